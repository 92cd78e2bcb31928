//! The smallest store that keeps the port's promises; it also watches that the keeper keeps its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mintkeep_protocol::crypto::{MasterKeys, Sealed};
use mintkeep_protocol::dialect::answer::read_back;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey, ExchangeStage};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::intent::FrozenAnswer;
use mintkeep_protocol::keep::slot::{LeaseFence, Slot, SlotKey, TokenDigest};
use mintkeep_protocol::port::keeper_store::{
    Change, ChangeMark, Commit, Ended, KeeperStore, Presented, QuotaAccount, QuotaDebit, StoreError, Stored,
};
use mintkeep_protocol::record::AuditEntry;
use mintkeep_protocol::time::Timestamp;
use tokio::sync::watch;

use crate::gate::{Fate, Gate, Mischief};
use crate::platform::token_in;
use crate::story::Story;

#[derive(Default)]
pub struct Records {
    credentials: BTreeMap<RecordId, Credential>,
    consumers: BTreeMap<RecordId, Consumer>,
    pub slots: BTreeMap<SlotKey, Slot>,
    histories: BTreeMap<SlotKey, Vec<HistoryEntry>>,
    exchanges: BTreeMap<ExchangeKey, Exchange>,
    pub calls: BTreeMap<QuotaAccount, u32>,
    changes: Vec<ChangedKey>,
    /// Which process took which lease last.
    leases: BTreeMap<SlotKey, (LeaseFence, u64)>,
    /// Tokens in answers that were kept, with their place, and all tokens that were ever committed.
    pub answered: BTreeMap<[u8; 16], String>,
    pub committed: BTreeSet<[u8; 16]>,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

enum ChangedKey {
    Slot(SlotKey),
    Credential(RecordId),
    Consumer(RecordId),
}

/// What is durable: it outlives every process.
pub struct ModelStore {
    pub records: Mutex<Records>,
    pub is_shared: bool,
    pub mischief: watch::Sender<Mischief>,
    /// The method whose next call is done, and its answer lost.
    pub loses_answer_of: Mutex<Option<&'static str>>,
    pub story: Arc<Story>,
    /// Opens answers, to watch what becomes of them.
    ring: Arc<MasterKeys>,
}

impl ModelStore {
    pub fn new(is_shared: bool, ring: Arc<MasterKeys>, story: Arc<Story>) -> Arc<Self> {
        let mischief = watch::Sender::new(Mischief::default());
        Arc::new(Self {
            records: Mutex::default(),
            is_shared,
            mischief,
            loses_answer_of: Mutex::default(),
            story,
            ring,
        })
    }

    /// How many calls were debited to an app.
    pub fn debited(&self, app: &str) -> u32 {
        let records = self.records.lock().unwrap();
        records.calls.iter().filter(|(account, _)| account.app.as_str() == app).map(|(_, calls)| calls).sum()
    }

    /// Everything, as text.
    pub fn dump(&self) -> String {
        let records = self.records.lock().unwrap();
        let credentials = serde_json::to_string(&records.credentials.values().collect::<Vec<_>>()).unwrap();
        let consumers = serde_json::to_string(&records.consumers.values().collect::<Vec<_>>()).unwrap();
        let slots = serde_json::to_string(&records.slots.values().collect::<Vec<_>>()).unwrap();
        let exchanges = serde_json::to_string(&records.exchanges.values().collect::<Vec<_>>()).unwrap();
        [credentials, consumers, slots, exchanges].concat()
    }

    fn note_answer(&self, place: &str, records: &mut Records, answer: &Sealed<FrozenAnswer>) {
        // Sealed under another master key than the world began with: nothing to be seen.
        let Ok(raw) = self.ring.open(place, answer) else { return };
        if let Some(token) = token_in(&read_back(&raw).unwrap()) {
            records.answered.insert(TokenDigest::of(&token).0, format!("{token} at {place}"));
        }
    }
}

impl Records {
    /// Stores a slot if the guard holds, and watches that versions only grow.
    fn put_slot(&mut self, slot: &Slot) -> bool {
        let present = self.slots.get(&slot.key);
        if present.map_or(0, |present| present.revision) != slot.revision {
            return false;
        }
        if let Some(held) = &slot.held {
            let before = present.and_then(|present| present.held.as_ref()).map(|held| held.version);
            if Some(held.version) < before {
                self.broken.push(format!("a version went back from {before:?} to {:?}", held.version));
            }
            self.committed.insert(held.digest.0);
        }
        self.committed.extend(slot.past.iter().map(|past| past.digest.0));
        let revision = slot.revision.saturating_add(1);
        self.slots.insert(slot.key.clone(), Slot { revision, ..slot.clone() });
        self.changes.push(ChangedKey::Slot(slot.key.clone()));
        true
    }

    fn put_exchange(&mut self, exchange: &Exchange) -> bool {
        let present = self.exchanges.get(&exchange.key).map_or(0, |present| present.revision);
        if present != exchange.revision {
            return false;
        }
        let revision = exchange.revision.saturating_add(1);
        self.exchanges.insert(exchange.key, Exchange { revision, ..exchange.clone() });
        true
    }

    fn debit(&mut self, debit: Option<&QuotaDebit>) -> bool {
        let Some(debit) = debit else { return true };
        let calls = self.calls.entry(debit.account.clone()).or_default();
        if *calls >= debit.ceiling {
            return false;
        }
        *calls = calls.saturating_add(1);
        true
    }

    fn refund(&mut self, account: Option<&QuotaAccount>) {
        if let Some(calls) = account.and_then(|account| self.calls.get_mut(account)) {
            *calls = calls.saturating_sub(1);
        }
    }

    fn end(&mut self, key: &SlotKey, ended: &Ended) {
        self.refund(ended.refund.as_ref());
        let lines = self.histories.entry(key.clone()).or_default();
        lines.insert(0, ended.history.clone());
        lines.truncate(HistoryEntry::KEPT_MAX);
    }
}

const fn commit(is_done: bool) -> Commit {
    if is_done { Commit::Done } else { Commit::Lost }
}

/// One process's door to the store.
pub struct StoreDoor {
    pub store: Arc<ModelStore>,
    pub gate: Arc<Gate>,
}

impl StoreDoor {
    async fn through<T: Send>(
        &self,
        what: &'static str,
        act: impl FnOnce(&mut Records) -> T + Send,
    ) -> Stored<T> {
        self.gate.alive().await;
        let mischief = *self.store.mischief.borrow();
        let failed = || StoreError { room: "model", cause: "played".to_owned() };
        let is_lost = self.store.loses_answer_of.lock().unwrap().take_if(|lost| *lost == what).is_some();
        let fate = if is_lost { Fate::FailAfter } else { self.gate.fate(mischief) };
        self.note(what, fate.name());
        match fate {
            Fate::FailBefore => return Err(failed()),
            Fate::DieBefore => self.gate.die().await,
            Fate::Fine | Fate::FailAfter | Fate::DieAfter => {}
        }
        let done = act(&mut self.store.records.lock().unwrap());
        match fate {
            Fate::FailAfter => return Err(failed()),
            Fate::DieAfter => self.gate.die().await,
            Fate::Fine | Fate::FailBefore | Fate::DieBefore => {}
        }
        let stall = self.gate.stall(mischief);
        if !stall.is_zero() {
            tokio::time::sleep(stall).await;
        }
        self.gate.alive().await;
        Ok(done)
    }

    fn note(&self, what: &'static str, how: &'static str) {
        let changes = i64::try_from(self.store.records.lock().unwrap().changes.len()).unwrap();
        self.gate.story.note(self.gate.who, what, how, changes);
    }
}

fn page<T: Clone>(all: impl Iterator<Item = T>, most: u32) -> Vec<T> {
    all.take(usize::try_from(most).unwrap()).collect()
}

#[async_trait]
impl KeeperStore for StoreDoor {
    fn is_shared(&self) -> bool {
        self.store.is_shared
    }

    async fn credentials(&self, after: Option<RecordId>, most: u32) -> Stored<Vec<Credential>> {
        self.through("credentials", |records| {
            let all = records.credentials.values().filter(|credential| credential.removed_at.is_none());
            page(all.filter(|credential| Some(credential.no) > after).cloned(), most)
        })
        .await
    }

    async fn put_credential(&self, credential: Credential, _: AuditEntry) -> Stored<Commit> {
        self.through("put_credential", |records| {
            let present = records.credentials.get(&credential.no).map_or(0, |present| present.revision);
            let is_taken = records.credentials.values().any(|other| {
                other.name == credential.name && other.no != credential.no && other.removed_at.is_none()
            });
            if present != credential.revision || is_taken {
                return Commit::Lost;
            }
            let revision = credential.revision.saturating_add(1);
            records.changes.push(ChangedKey::Credential(credential.no));
            records.credentials.insert(credential.no, Credential { revision, ..credential });
            Commit::Done
        })
        .await
    }

    async fn remove_credential(&self, credential: Credential, audit: AuditEntry) -> Stored<Commit> {
        let no = credential.no;
        let put = self.put_credential(credential, audit).await?;
        self.through("remove_credential", |records| {
            records.slots.retain(|key, _| put == Commit::Lost || key.credential != no);
        })
        .await?;
        Ok(put)
    }

    async fn consumers(&self) -> Stored<Vec<Consumer>> {
        self.through("consumers", |records| {
            records.consumers.values().filter(|consumer| consumer.revoked_at.is_none()).cloned().collect()
        })
        .await
    }

    async fn put_consumer(&self, consumer: Consumer, _: AuditEntry) -> Stored<Commit> {
        self.through("put_consumer", |records| {
            let present = records.consumers.get(&consumer.no).map_or(0, |present| present.revision);
            let is_taken = records.consumers.values().any(|other| {
                other.name == consumer.name && other.no != consumer.no && other.revoked_at.is_none()
            });
            if present != consumer.revision || is_taken {
                return Commit::Lost;
            }
            let revision = consumer.revision.saturating_add(1);
            records.changes.push(ChangedKey::Consumer(consumer.no));
            records.consumers.insert(consumer.no, Consumer { revision, ..consumer });
            Commit::Done
        })
        .await
    }

    async fn slot(&self, key: &SlotKey) -> Stored<Option<Slot>> {
        self.through("slot", |records| records.slots.get(key).cloned()).await
    }

    async fn slots(&self, of: Option<RecordId>, after: Option<&SlotKey>, most: u32) -> Stored<Vec<Slot>> {
        self.through("slots", |records| {
            let all = records.slots.values().filter(|slot| Some(&slot.key) > after);
            page(all.filter(|slot| of.is_none_or(|of| slot.key.credential == of)).cloned(), most)
        })
        .await
    }

    async fn take_lease(&self, leased: &Slot) -> Stored<Commit> {
        self.through("take_lease", |records| {
            let owner = records.credentials.get(&leased.key.credential);
            let is_there = owner.is_some_and(|credential| credential.removed_at.is_none());
            let is_taken = is_there && records.put_slot(leased);
            if is_taken {
                records.leases.insert(leased.key.clone(), (leased.fence, self.gate.who));
            }
            commit(is_taken)
        })
        .await
    }

    async fn present(&self, slot: &Slot, debit: Option<QuotaDebit>) -> Stored<Presented> {
        self.through("present", |records| {
            if records.slots.get(&slot.key).map(|present| present.revision) != Some(slot.revision) {
                return Presented::Lost;
            }
            if !records.debit(debit.as_ref()) {
                return Presented::OverQuota;
            }
            records.put_slot(slot);
            Presented::Done
        })
        .await
    }

    async fn keep_answer(
        &self,
        key: &SlotKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit> {
        let store = Arc::clone(&self.store);
        self.through("keep_answer", |records| {
            let Some(mut slot) = records.slots.get(key).cloned() else { return Commit::Lost };
            match &mut slot.intent {
                Some(kept) if kept.fence == intent && kept.answer.is_none() => {
                    kept.answer = Some(answer.clone());
                }
                Some(_) | None => return Commit::Lost,
            }
            store.note_answer(&key.place(), records, &answer);
            commit(records.put_slot(&slot))
        })
        .await
    }

    async fn commit_kept(&self, slot: &Slot, ended: Ended) -> Stored<Commit> {
        self.through("commit_kept", |records| {
            let is_done = records.slots.contains_key(&slot.key) && records.put_slot(slot);
            if is_done {
                // Operators and new authorizations take the next fence; whoever commits under this one held it.
                let holder = records.leases.get(&slot.key).filter(|(fence, _)| *fence == slot.fence);
                if holder.is_some_and(|(_, who)| *who != self.gate.who) {
                    records.broken.push(format!("a commit under the lease of another, {:?}", slot.fence));
                }
                records.end(&slot.key, &ended);
            }
            commit(is_done)
        })
        .await
    }

    async fn history(&self, key: &SlotKey) -> Stored<Vec<HistoryEntry>> {
        self.through("history", |records| records.histories.get(key).cloned().unwrap_or_default()).await
    }

    async fn calls(&self, account: &QuotaAccount) -> Stored<u32> {
        self.through("calls", |records| records.calls.get(account).copied().unwrap_or_default()).await
    }

    async fn exchange(&self, key: &ExchangeKey) -> Stored<Option<Exchange>> {
        self.through("exchange", |records| records.exchanges.get(key).cloned()).await
    }

    async fn open_exchanges(&self, most: u32) -> Stored<Vec<Exchange>> {
        self.through("open_exchanges", |records| {
            let is_open = |exchange: &&Exchange| matches!(exchange.stage, ExchangeStage::Open { .. });
            page(records.exchanges.values().filter(is_open).cloned(), most)
        })
        .await
    }

    async fn take_exchange(&self, exchange: &Exchange, forget_before: Timestamp) -> Stored<Commit> {
        self.through("take_exchange", |records| {
            records.exchanges.retain(|_, old| {
                matches!(old.stage, ExchangeStage::Open { .. }) || forget_before <= old.begun_at
            });
            commit(records.put_exchange(exchange))
        })
        .await
    }

    async fn present_code(&self, exchange: &Exchange, debit: Option<QuotaDebit>) -> Stored<Presented> {
        self.through("present_code", |records| {
            if records.exchanges.get(&exchange.key).map(|present| present.revision) != Some(exchange.revision)
            {
                return Presented::Lost;
            }
            if !records.debit(debit.as_ref()) {
                return Presented::OverQuota;
            }
            records.put_exchange(exchange);
            Presented::Done
        })
        .await
    }

    async fn keep_code_answer(
        &self,
        key: &ExchangeKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit> {
        let store = Arc::clone(&self.store);
        self.through("keep_code_answer", |records| {
            let Some(mut exchange) = records.exchanges.get(key).cloned() else { return Commit::Lost };
            match &mut exchange.intent {
                Some(kept) if kept.fence == intent && kept.answer.is_none() => {
                    kept.answer = Some(answer.clone());
                }
                Some(_) | None => return Commit::Lost,
            }
            store.note_answer(&key.place(), records, &answer);
            commit(records.put_exchange(&exchange))
        })
        .await
    }

    async fn put_off_exchange(
        &self,
        exchange: &Exchange,
        refund: Option<QuotaAccount>,
        _: Option<AuditEntry>,
    ) -> Stored<Commit> {
        self.through("put_off_exchange", |records| {
            let is_done = records.put_exchange(exchange);
            if is_done {
                records.refund(refund.as_ref());
            }
            commit(is_done)
        })
        .await
    }

    async fn commit_exchange(&self, exchange: &Exchange, slot: &Slot, ended: Ended) -> Stored<Commit> {
        self.through("commit_exchange", |records| {
            let revision = |found: Option<i64>| found.unwrap_or(0);
            let at_exchange = revision(records.exchanges.get(&exchange.key).map(|found| found.revision));
            let at_slot = revision(records.slots.get(&slot.key).map(|found| found.revision));
            if (at_exchange, at_slot) != (exchange.revision, slot.revision) {
                return Commit::Lost;
            }
            records.end(&slot.key, &ended);
            commit(records.put_exchange(exchange) && records.put_slot(slot))
        })
        .await
    }

    async fn changes_since(&self, mark: ChangeMark, most: u32) -> Stored<(ChangeMark, Vec<Change>)> {
        self.through("changes_since", |records| {
            let from = usize::try_from(mark.0).unwrap();
            let keys = records.changes.iter().skip(from).take(usize::try_from(most).unwrap());
            let changes: Vec<_> = keys
                .filter_map(|key| match key {
                    ChangedKey::Slot(key) => records.slots.get(key).cloned().map(Change::Slot),
                    ChangedKey::Credential(no) => {
                        records.credentials.get(no).cloned().map(Change::Credential)
                    }
                    ChangedKey::Consumer(no) => records.consumers.get(no).cloned().map(Change::Consumer),
                })
                .collect();
            let to = records.changes.len().min(from.saturating_add(usize::try_from(most).unwrap()));
            (ChangeMark(i64::try_from(to).unwrap()), changes)
        })
        .await
    }

    async fn write_keeper_audit(&self, _: AuditEntry) -> Stored<()> {
        self.through("write_keeper_audit", |_| ()).await
    }

    async fn change_mark(&self) -> Stored<ChangeMark> {
        self.through("change_mark", |records| ChangeMark(i64::try_from(records.changes.len()).unwrap())).await
    }
}
