//! The keeper's records in PostgreSQL.

pub mod read;
pub mod write;

use async_trait::async_trait;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::intent::FrozenAnswer;
use mintkeep_protocol::keep::slot::{LeaseFence, Slot, SlotKey};
use mintkeep_protocol::port::keeper_store::{
    Change as Followed, ChangeMark, Commit, Ended, KeeperStore, Presented, QuotaAccount, QuotaDebit, Stored,
};
use mintkeep_protocol::record::AuditEntry;
use mintkeep_protocol::time::Timestamp;

use super::PostgresStore;
use crate::change::keeper::KeeperChange;
use crate::change::{Change, Intent};

impl PostgresStore {
    /// Makes one of the keeper's changes.
    async fn present(&self, change: KeeperChange) -> Stored<Presented> {
        self.change(Intent { change: Change::Keeper(Box::new(change)), app_revision: None, audit: None })
            .await
    }

    async fn keep(&self, change: KeeperChange, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.commit(Change::Keeper(Box::new(change)), audit).await
    }
}

#[async_trait]
impl KeeperStore for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn credentials(&self, after: Option<RecordId>, most: u32) -> Stored<Vec<Credential>> {
        self.list(async |db| read::credentials(db, after, most).await).await
    }

    async fn put_credential(&self, credential: Credential, audit: AuditEntry) -> Stored<Commit> {
        self.keep(KeeperChange::PutCredential(credential), Some(audit)).await
    }

    async fn remove_credential(&self, mut credential: Credential, audit: AuditEntry) -> Stored<Commit> {
        credential.proof = None;
        credential.removed_at.get_or_insert(audit.at);
        self.keep(KeeperChange::RemoveCredential(credential), Some(audit)).await
    }

    async fn consumers(&self) -> Stored<Vec<Consumer>> {
        self.list(async |db| read::consumers(db).await).await
    }

    async fn put_consumer(&self, consumer: Consumer, audit: AuditEntry) -> Stored<Commit> {
        self.keep(KeeperChange::PutConsumer(consumer), Some(audit)).await
    }

    async fn slot(&self, key: &SlotKey) -> Stored<Option<Slot>> {
        self.ask(async |db| read::slot(db, key).await).await
    }

    async fn slots(&self, of: Option<RecordId>, after: Option<&SlotKey>, most: u32) -> Stored<Vec<Slot>> {
        self.list(async |db| read::slots(db, of, after, most).await).await
    }

    async fn take_lease(&self, leased: &Slot) -> Stored<Commit> {
        self.keep(KeeperChange::TakeLease(leased.clone()), None).await
    }

    async fn present(&self, slot: &Slot, debit: Option<QuotaDebit>) -> Stored<Presented> {
        self.present(KeeperChange::Present(slot.clone(), debit)).await
    }

    async fn keep_answer(
        &self,
        key: &SlotKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit> {
        self.keep(KeeperChange::KeepAnswer(key.clone(), intent, answer), None).await
    }

    async fn commit_kept(&self, slot: &Slot, ended: Ended) -> Stored<Commit> {
        let change = KeeperChange::CommitKept(slot.clone(), ended.history, ended.refund);
        self.keep(change, ended.audit).await
    }

    async fn history(&self, key: &SlotKey) -> Stored<Vec<HistoryEntry>> {
        self.list(async |db| read::history(db, key).await).await
    }

    async fn calls(&self, account: &QuotaAccount) -> Stored<u32> {
        self.ask(async |db| read::calls(db, account).await).await
    }

    async fn exchange(&self, key: &ExchangeKey) -> Stored<Option<Exchange>> {
        self.ask(async |db| read::exchange(db, key).await).await
    }

    async fn open_exchanges(&self, most: u32) -> Stored<Vec<Exchange>> {
        self.list(async |db| read::open_exchanges(db, most).await).await
    }

    async fn take_exchange(&self, exchange: &Exchange, forget_before: Timestamp) -> Stored<Commit> {
        self.keep(KeeperChange::TakeExchange(exchange.clone(), forget_before), None).await
    }

    async fn present_code(&self, exchange: &Exchange, debit: Option<QuotaDebit>) -> Stored<Presented> {
        let change = KeeperChange::PresentCode(exchange.clone(), debit);
        self.present(change).await
    }

    async fn keep_code_answer(
        &self,
        key: &ExchangeKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit> {
        self.keep(KeeperChange::KeepCodeAnswer(*key, intent, answer), None).await
    }

    async fn put_off_exchange(
        &self,
        exchange: &Exchange,
        refund: Option<QuotaAccount>,
        audit: Option<AuditEntry>,
    ) -> Stored<Commit> {
        self.keep(KeeperChange::PutOffExchange(exchange.clone(), refund), audit).await
    }

    async fn commit_exchange(&self, exchange: &Exchange, slot: &Slot, ended: Ended) -> Stored<Commit> {
        let (exchange, slot) = (exchange.clone(), slot.clone());
        let change = KeeperChange::CommitExchange(exchange, slot, ended.history, ended.refund);
        self.keep(change, ended.audit).await
    }

    async fn changes_since(&self, mark: ChangeMark, most: u32) -> Stored<(ChangeMark, Vec<Followed>)> {
        self.list(async |db| read::changes_since(db, mark, most).await).await
    }

    async fn write_keeper_audit(&self, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::Nothing, Some(audit)).await.map(|_| ())
    }

    async fn change_mark(&self) -> Stored<ChangeMark> {
        self.ask(async |db| read::change_mark(db).await).await
    }
}
