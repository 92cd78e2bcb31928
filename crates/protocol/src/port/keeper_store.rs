//! What the keeper needs from its store: one method, one intent, one transaction.

use async_trait::async_trait;

use crate::crypto::Sealed;
use crate::ident::{AppId, Dialect, RecordId};
use crate::keep::consumer::Consumer;
use crate::keep::credential::Credential;
use crate::keep::exchange::{Exchange, ExchangeKey};
use crate::keep::history::HistoryEntry;
use crate::keep::intent::FrozenAnswer;
use crate::keep::slot::{LeaseFence, Slot, SlotKey};
use crate::record::AuditEntry;
use crate::time::Timestamp;

pub use super::issuer_store::{Commit, StoreError, Stored};

/// Marks a place in the sequence of all changes of a keeper's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ChangeMark(pub i64);

/// One record that changed, as it is now.
pub enum Change {
    /// A slot.
    Slot(Slot),
    /// A credential; removed ones too, which end their slots.
    Credential(Credential),
    /// A consumer; revoked ones too.
    Consumer(Consumer),
}

/// Which calls to the platform are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuotaAccount {
    /// Whose platform.
    pub dialect: Dialect,
    /// Which app: two credentials of one app share its quota.
    pub app: AppId,
    /// What for.
    pub kind: CallKind,
    /// On which day: [`Timestamp::quota_day`].
    pub day: i64,
}

/// A kind of call that a platform counts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// WeChat `/cgi-bin/token`, DingTalk `accessToken`.
    Token,
    /// WeChat `/cgi-bin/stable_token`, normal mode.
    StableToken,
    /// WeChat `/cgi-bin/stable_token`, force mode.
    ForcedStableToken,
    /// `applyToken`, for a code or a refresh token.
    ApplyToken,
}

impl CallKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Token, Self::StableToken, Self::ForcedStableToken, Self::ApplyToken];

    /// The name in the store, in metrics and in `token explain`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::StableToken => "stable_token",
            Self::ForcedStableToken => "forced_stable_token",
            Self::ApplyToken => "apply_token",
        }
    }
}

/// One call to be counted before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaDebit {
    /// Where.
    pub account: QuotaAccount,
    /// How many calls the account may have at most after this one.
    pub ceiling: u32,
}

/// What became of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It is durable and its call is counted: the request may go out.
    Done,
    /// Its guard did not hold, and nothing was changed.
    Lost,
    /// The day's calls are used up, and nothing was changed.
    OverQuota,
}

/// What ends a lease, besides the slot itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The line for the slot's story.
    pub history: HistoryEntry,
    /// The line for the audit, where it is worth one.
    pub audit: Option<AuditEntry>,
    /// The call that was counted and never sent: counted back.
    pub refund: Option<QuotaAccount>,
}

/// The keeper's records, behind any engine.
///
/// Every record has a `revision`; every change compares it with the one that is stored (0: there is
/// none), stores `revision + 1`, gives the record the next [`ChangeMark`], and writes its audit line, all
/// in one transaction. `Ok(Commit::Lost)`: the revision was another; load again. Reads of records never come
/// from a cache: what is read here decides what is sent to a platform.
///
/// The revision is the fence in the store: taking a slot's lease changes it, so whoever held the lease
/// before commits nothing any more. No lease ends by a clock here. A keeper that wants a lease which another
/// one holds must have seen the same fence for the lease's whole length, by its own monotonic clock.
#[async_trait]
pub trait KeeperStore: Send + Sync {
    /// Whether other processes may use this store at the same time. If not, every lease that is found
    /// at the start belongs to a process that is gone.
    fn is_shared(&self) -> bool;

    /// Up to `most` credentials after record `after`, by number, without the removed ones.
    async fn credentials(&self, after: Option<RecordId>, most: u32) -> Stored<Vec<Credential>>;

    /// Stores a credential: a new one if its revision is 0.
    ///
    /// `Lost`: the name is taken by one that is not removed, or the revision was another.
    async fn put_credential(&self, credential: Credential, audit: AuditEntry) -> Stored<Commit>;

    /// Marks a credential removed (its `removed_at` is set, its proof gone), and deletes its slots, their
    /// story and its exchanges.
    async fn remove_credential(&self, credential: Credential, audit: AuditEntry) -> Stored<Commit>;

    /// All consumers, without the revoked ones.
    async fn consumers(&self) -> Stored<Vec<Consumer>>;

    /// Stores a consumer: a new one if its revision is 0, a revoked one if its `revoked_at` is set.
    ///
    /// `Lost`: the name is taken by one that is not revoked, or the revision was another.
    async fn put_consumer(&self, consumer: Consumer, audit: AuditEntry) -> Stored<Commit>;

    /// A slot.
    async fn slot(&self, key: &SlotKey) -> Stored<Option<Slot>>;

    /// Up to `most` slots after `after`, by key; of one credential if `of` names it.
    async fn slots(&self, of: Option<RecordId>, after: Option<&SlotKey>, most: u32) -> Stored<Vec<Slot>>;

    /// Takes a slot's lease: stores what [`Slot::leased`] made. A new slot if its revision is 0.
    ///
    /// Guard: the revision, and the credential is not removed. Of any number of keepers, one gets
    /// [`Commit::Done`].
    async fn take_lease(&self, leased: &Slot) -> Stored<Commit>;

    /// Stores a slot's intent and counts its call, both or neither.
    ///
    /// Guard: the revision; and, with a debit, that the account has fewer calls than its ceiling.
    async fn present(&self, slot: &Slot, debit: Option<QuotaDebit>) -> Stored<Presented>;

    /// Stores the answer to an intent, whoever holds the lease by now: what arrived is never lost.
    ///
    /// Guard: the slot's intent is of this fence and has no answer yet. `Lost` else.
    async fn keep_answer(
        &self,
        key: &SlotKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit>;

    /// Stores what a rule decided of a slot and ends its lease: a new token, a failure, a resolution.
    ///
    /// Guard: the revision, which our fence is part of.
    async fn commit_kept(&self, slot: &Slot, ended: Ended) -> Stored<Commit>;

    /// The last lines of a slot's story, the latest first; at most [`HistoryEntry::KEPT_MAX`].
    async fn history(&self, key: &SlotKey) -> Stored<Vec<HistoryEntry>>;

    /// How many calls an account has.
    async fn calls(&self, account: &QuotaAccount) -> Stored<u32>;

    /// The exchange of a code.
    async fn exchange(&self, key: &ExchangeKey) -> Stored<Option<Exchange>>;

    /// Exchanges that presented their code and have not ended, at most `most`.
    async fn open_exchanges(&self, most: u32) -> Stored<Vec<Exchange>>;

    /// Begins an exchange (revision 0), or takes the lease of one that was left.
    ///
    /// Guard: the revision. In passing it may delete exchanges that [`Self::open_exchanges`] does not give and that began
    /// before `forget_before`.
    async fn take_exchange(&self, exchange: &Exchange, forget_before: Timestamp) -> Stored<Commit>;

    /// As [`Self::present`], for an exchange.
    async fn present_code(&self, exchange: &Exchange, debit: Option<QuotaDebit>) -> Stored<Presented>;

    /// As [`Self::keep_answer`], for an exchange.
    async fn keep_code_answer(
        &self,
        key: &ExchangeKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit>;

    /// Ends an exchange that bought nothing, or puts it off for whoever takes it up next.
    ///
    /// Guard: the revision. `refund`: as in [`Ended`].
    async fn put_off_exchange(
        &self,
        exchange: &Exchange,
        refund: Option<QuotaAccount>,
        audit: Option<AuditEntry>,
    ) -> Stored<Commit>;

    /// Ends an exchange and puts what it bought into the customer's slot, both or neither.
    ///
    /// Guard: both revisions. A renewal that was under way in that slot has lost its lease by this.
    async fn commit_exchange(&self, exchange: &Exchange, slot: &Slot, ended: Ended) -> Stored<Commit>;

    /// What changed after `mark`, at most `most` records, oldest first, and the mark of the last of them.
    ///
    /// What is being committed meanwhile may be given an earlier mark. So whoever has asked until nothing was left asks
    /// the next time from the [`Self::change_mark`] of before; the same may be seen again then.
    async fn changes_since(&self, mark: ChangeMark, most: u32) -> Stored<(ChangeMark, Vec<Change>)>;

    /// Writes an audit line that belongs to no record (a master key's rotation).
    async fn write_keeper_audit(&self, audit: AuditEntry) -> Stored<()>;

    /// The present mark: all changes up to it have ended, and what is changed from now on has a later one.
    async fn change_mark(&self) -> Stored<ChangeMark>;
}
