//! The keeper's records in the model.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::intent::{FrozenAnswer, Intent};
use mintkeep_protocol::keep::slot::{LeaseFence, Slot, SlotKey};
use mintkeep_protocol::port::keeper_store::{
    Change, ChangeMark, Commit, Ended, KeeperStore, Presented, QuotaAccount, QuotaDebit, Stored,
};
use mintkeep_protocol::record::AuditEntry;
use mintkeep_protocol::time::Timestamp;

use super::{MemoryStore, Records, count};
use crate::flat::keeper::is_open;

/// What the keeper stores. Records that are followed have their mark beside them.
#[derive(Default)]
pub struct KeeperRecords {
    mark: i64,
    credentials: BTreeMap<RecordId, (i64, Credential)>,
    consumers: BTreeMap<RecordId, (i64, Consumer)>,
    slots: BTreeMap<SlotKey, (i64, Slot)>,
    history: BTreeMap<SlotKey, Vec<HistoryEntry>>,
    calls: BTreeMap<QuotaAccount, u32>,
    exchanges: BTreeMap<ExchangeKey, Exchange>,
}

impl KeeperRecords {
    fn next_mark(&mut self) -> i64 {
        self.mark = self.mark.saturating_add(1);
        self.mark
    }

    fn is_usable(&self, credential: RecordId) -> bool {
        self.credentials.get(&credential).is_some_and(|(_, credential)| credential.removed_at.is_none())
    }

    fn put_credential(&mut self, mut credential: Credential) -> Commit {
        let stored = self.credentials.get(&credential.no).map_or(0, |(_, stored)| stored.revision);
        let mut others = self.credentials.values().map(|(_, other)| other);
        let is_taken = credential.removed_at.is_none()
            && others.any(|other| {
                other.name == credential.name && other.no != credential.no && other.removed_at.is_none()
            });
        if is_taken || stored != credential.revision {
            return Commit::Lost;
        }
        credential.revision = stored.saturating_add(1);
        let mark = self.next_mark();
        self.credentials.insert(credential.no, (mark, credential));
        Commit::Done
    }

    fn put_consumer(&mut self, mut consumer: Consumer) -> Commit {
        let stored = self.consumers.get(&consumer.no).map_or(0, |(_, stored)| stored.revision);
        let mut others = self.consumers.values().map(|(_, other)| other);
        let is_taken = consumer.revoked_at.is_none()
            && others.any(|other| {
                other.name == consumer.name && other.no != consumer.no && other.revoked_at.is_none()
            });
        if is_taken || stored != consumer.revision {
            return Commit::Lost;
        }
        consumer.revision = stored.saturating_add(1);
        let mark = self.next_mark();
        self.consumers.insert(consumer.no, (mark, consumer));
        Commit::Done
    }

    fn slot_guard_holds(&self, slot: &Slot) -> bool {
        self.slots.get(&slot.key).map_or(0, |(_, stored)| stored.revision) == slot.revision
    }

    fn put_slot(&mut self, slot: &Slot) -> Commit {
        if !self.slot_guard_holds(slot) {
            return Commit::Lost;
        }
        let revision = slot.revision.saturating_add(1);
        let mark = self.next_mark();
        self.slots.insert(slot.key.clone(), (mark, Slot { revision, ..slot.clone() }));
        Commit::Done
    }

    fn exchange_guard_holds(&self, exchange: &Exchange) -> bool {
        self.exchanges.get(&exchange.key).map_or(0, |stored| stored.revision) == exchange.revision
    }

    fn put_exchange(&mut self, exchange: &Exchange) -> Commit {
        if !self.exchange_guard_holds(exchange) {
            return Commit::Lost;
        }
        let revision = exchange.revision.saturating_add(1);
        self.exchanges.insert(exchange.key, Exchange { revision, ..exchange.clone() });
        Commit::Done
    }

    fn debit(&mut self, debit: Option<QuotaDebit>) -> bool {
        let Some(debit) = debit else { return true };
        let calls = self.calls.get(&debit.account).copied().unwrap_or(0);
        let has_room = calls < debit.ceiling;
        if has_room {
            self.calls.insert(debit.account, calls.saturating_add(1));
        }
        has_room
    }

    fn refund(&mut self, account: Option<QuotaAccount>) {
        if let Some(calls) = account.and_then(|account| self.calls.get_mut(&account)) {
            *calls = calls.saturating_sub(1);
        }
    }

    fn tell(&mut self, key: &SlotKey, line: HistoryEntry) {
        let story = self.history.entry(key.clone()).or_default();
        story.insert(0, line);
        story.truncate(count(HistoryEntry::KEPT_MAX));
    }
}

/// Puts an answer into the intent that it answers, unless that has one.
fn answered(intent: Option<&mut Intent>, fence: LeaseFence, answer: Sealed<FrozenAnswer>) -> Commit {
    match intent.filter(|intent| intent.fence == fence && intent.answer.is_none()) {
        None => Commit::Lost,
        Some(intent) => {
            intent.answer = Some(answer);
            Commit::Done
        }
    }
}

impl Records {
    /// Writes the audit line of what is done.
    fn audited(&mut self, commit: Commit, audit: impl IntoIterator<Item = AuditEntry>) -> Commit {
        if commit == Commit::Done {
            self.audit.extend(audit);
        }
        commit
    }
}

#[async_trait]
impl KeeperStore for MemoryStore {
    fn is_shared(&self) -> bool {
        self.is_shared
    }

    async fn credentials(&self, after: Option<RecordId>, most: u32) -> Stored<Vec<Credential>> {
        let records = self.records();
        let there = records.keeper.credentials.values().map(|(_, credential)| credential);
        let later = there.filter(|credential| {
            credential.removed_at.is_none() && after.is_none_or(|after| credential.no > after)
        });
        Ok(later.take(count(most)).cloned().collect())
    }

    async fn put_credential(&self, credential: Credential, audit: AuditEntry) -> Stored<Commit> {
        let mut records = self.records();
        let commit = records.keeper.put_credential(credential);
        Ok(records.audited(commit, [audit]))
    }

    async fn remove_credential(&self, mut credential: Credential, audit: AuditEntry) -> Stored<Commit> {
        let mut records = self.records();
        credential.proof = None;
        credential.removed_at.get_or_insert(audit.at);
        let no = credential.no;
        let commit = records.keeper.put_credential(credential);
        if commit == Commit::Done {
            records.keeper.slots.retain(|key, _| key.credential != no);
            records.keeper.history.retain(|key, _| key.credential != no);
            records.keeper.exchanges.retain(|key, _| key.credential != no);
        }
        Ok(records.audited(commit, [audit]))
    }

    async fn consumers(&self) -> Stored<Vec<Consumer>> {
        let records = self.records();
        let there = records.keeper.consumers.values().map(|(_, consumer)| consumer);
        Ok(there.filter(|consumer| consumer.revoked_at.is_none()).cloned().collect())
    }

    async fn put_consumer(&self, consumer: Consumer, audit: AuditEntry) -> Stored<Commit> {
        let mut records = self.records();
        let commit = records.keeper.put_consumer(consumer);
        Ok(records.audited(commit, [audit]))
    }

    async fn slot(&self, key: &SlotKey) -> Stored<Option<Slot>> {
        Ok(self.records().keeper.slots.get(key).map(|(_, slot)| slot.clone()))
    }

    async fn slots(&self, of: Option<RecordId>, after: Option<&SlotKey>, most: u32) -> Stored<Vec<Slot>> {
        let records = self.records();
        let asked_for = records.keeper.slots.values().map(|(_, slot)| slot).filter(|slot| {
            of.is_none_or(|of| slot.key.credential == of) && after.is_none_or(|after| slot.key > *after)
        });
        Ok(asked_for.take(count(most)).cloned().collect())
    }

    async fn take_lease(&self, leased: &Slot) -> Stored<Commit> {
        let keeper = &mut self.records().keeper;
        if !keeper.is_usable(leased.key.credential) {
            return Ok(Commit::Lost);
        }
        Ok(keeper.put_slot(leased))
    }

    async fn present(&self, slot: &Slot, debit: Option<QuotaDebit>) -> Stored<Presented> {
        let keeper = &mut self.records().keeper;
        if !keeper.slot_guard_holds(slot) {
            return Ok(Presented::Lost);
        }
        if !keeper.debit(debit) {
            return Ok(Presented::OverQuota);
        }
        keeper.put_slot(slot);
        Ok(Presented::Done)
    }

    async fn keep_answer(
        &self,
        key: &SlotKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit> {
        let keeper = &mut self.records().keeper;
        let Some((_, mut slot)) = keeper.slots.get(key).cloned() else { return Ok(Commit::Lost) };
        match answered(slot.intent.as_mut(), intent, answer) {
            Commit::Done => Ok(keeper.put_slot(&slot)),
            Commit::Lost => Ok(Commit::Lost),
        }
    }

    async fn commit_kept(&self, slot: &Slot, ended: Ended) -> Stored<Commit> {
        let mut records = self.records();
        let commit = records.keeper.put_slot(slot);
        if commit == Commit::Done {
            records.keeper.tell(&slot.key, ended.history);
            records.keeper.refund(ended.refund);
        }
        Ok(records.audited(commit, ended.audit))
    }

    async fn history(&self, key: &SlotKey) -> Stored<Vec<HistoryEntry>> {
        Ok(self.records().keeper.history.get(key).cloned().unwrap_or_default())
    }

    async fn calls(&self, account: &QuotaAccount) -> Stored<u32> {
        Ok(self.records().keeper.calls.get(account).copied().unwrap_or(0))
    }

    async fn exchange(&self, key: &ExchangeKey) -> Stored<Option<Exchange>> {
        Ok(self.records().keeper.exchanges.get(key).cloned())
    }

    async fn open_exchanges(&self, most: u32) -> Stored<Vec<Exchange>> {
        let records = self.records();
        let open = records.keeper.exchanges.values().filter(|exchange| is_open(exchange));
        Ok(open.take(count(most)).cloned().collect())
    }

    async fn take_exchange(&self, exchange: &Exchange, forget_before: Timestamp) -> Stored<Commit> {
        let keeper = &mut self.records().keeper;
        if !keeper.is_usable(exchange.key.credential) {
            return Ok(Commit::Lost);
        }
        let commit = keeper.put_exchange(exchange);
        if commit == Commit::Done {
            keeper.exchanges.retain(|_, exchange| is_open(exchange) || exchange.begun_at >= forget_before);
        }
        Ok(commit)
    }

    async fn present_code(&self, exchange: &Exchange, debit: Option<QuotaDebit>) -> Stored<Presented> {
        let keeper = &mut self.records().keeper;
        if !keeper.exchange_guard_holds(exchange) {
            return Ok(Presented::Lost);
        }
        if !keeper.debit(debit) {
            return Ok(Presented::OverQuota);
        }
        keeper.put_exchange(exchange);
        Ok(Presented::Done)
    }

    async fn keep_code_answer(
        &self,
        key: &ExchangeKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit> {
        let keeper = &mut self.records().keeper;
        let Some(mut exchange) = keeper.exchanges.get(key).cloned() else { return Ok(Commit::Lost) };
        match answered(exchange.intent.as_mut(), intent, answer) {
            Commit::Done => Ok(keeper.put_exchange(&exchange)),
            Commit::Lost => Ok(Commit::Lost),
        }
    }

    async fn put_off_exchange(
        &self,
        exchange: &Exchange,
        refund: Option<QuotaAccount>,
        audit: Option<AuditEntry>,
    ) -> Stored<Commit> {
        let mut records = self.records();
        let commit = records.keeper.put_exchange(exchange);
        if commit == Commit::Done {
            records.keeper.refund(refund);
        }
        Ok(records.audited(commit, audit))
    }

    async fn commit_exchange(&self, exchange: &Exchange, slot: &Slot, ended: Ended) -> Stored<Commit> {
        let mut records = self.records();
        let keeper = &mut records.keeper;
        if !keeper.exchange_guard_holds(exchange) || !keeper.slot_guard_holds(slot) {
            return Ok(Commit::Lost);
        }
        keeper.put_exchange(exchange);
        keeper.put_slot(slot);
        keeper.tell(&slot.key, ended.history);
        keeper.refund(ended.refund);
        Ok(records.audited(Commit::Done, ended.audit))
    }

    async fn changes_since(&self, mark: ChangeMark, most: u32) -> Stored<(ChangeMark, Vec<Change>)> {
        let records = self.records();
        let keeper = &records.keeper;
        let slots = after(mark, keeper.slots.values(), Change::Slot);
        let credentials = after(mark, keeper.credentials.values(), Change::Credential);
        let consumers = after(mark, keeper.consumers.values(), Change::Consumer);
        Ok(first_changes(mark, slots.chain(credentials).chain(consumers).collect(), most))
    }

    async fn write_keeper_audit(&self, audit: AuditEntry) -> Stored<()> {
        self.records().audit.push(audit);
        Ok(())
    }

    async fn change_mark(&self) -> Stored<ChangeMark> {
        Ok(ChangeMark(self.records().keeper.mark))
    }
}

/// What changed after `mark`, of the records of one kind.
fn after<'r, T: Clone + 'r>(
    mark: ChangeMark,
    records: impl Iterator<Item = &'r (i64, T)>,
    change: fn(T) -> Change,
) -> impl Iterator<Item = (i64, Change)> {
    let changed = records.filter(move |(changed, _)| *changed > mark.0);
    changed.map(move |(changed, record)| (*changed, change(record.clone())))
}

/// The first `most` of the changes after `mark`, in their order, and the mark of the last of them.
pub fn first_changes(
    mark: ChangeMark,
    mut changes: Vec<(i64, Change)>,
    most: u32,
) -> (ChangeMark, Vec<Change>) {
    changes.sort_by_key(|(mark, _)| *mark);
    changes.truncate(count(most));
    let last = changes.last().map_or(mark, |(mark, _)| ChangeMark(*mark));
    (last, changes.into_iter().map(|(_, change)| change).collect())
}
