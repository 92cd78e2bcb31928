//! What the issuer needs from its store: one method, one intent, one transaction.

use std::sync::Arc;

use async_trait::async_trait;

use crate::app::App;
use crate::crypto::Sealed;
use crate::ident::{AppId, CustomerId, RecordId, ServiceId};
use crate::record::{AuditEntry, Customer, Grant, PlatformKey, Pool, PoolKey, Service, SpentNonce};
use crate::token::StoreEpoch;

/// What became of a guarded change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is durable.
    Done,
    /// Its guard did not hold: somebody else was first, and nothing was changed.
    Lost,
}

/// The store could not answer; after a change it is unknown whether it happened. For the operator.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{room} store: {cause}")]
pub struct StoreError {
    /// Which engine.
    pub room: &'static str,
    /// What it said. Never a secret: records hold none.
    pub cause: String,
}

/// Shorthand for what every method gives.
pub type Stored<T> = Result<T, StoreError>;

/// Which grants to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantQuery {
    /// Only this app's.
    pub app: Option<RecordId>,
    /// Only this customer's.
    pub customer: Option<CustomerId>,
    /// Only those made after this one.
    pub after: Option<RecordId>,
    /// How many at most.
    pub most: u32,
}

/// A record that a process may remember after reading it.
#[derive(Clone, Copy)]
pub enum Remembered<'a> {
    /// This app, by its id and by its number.
    App(&'a App),
    /// This pool.
    Pool(PoolKey),
    /// The grant of this number.
    Grant(RecordId),
}

/// The issuer's records, behind any engine.
///
/// Reads may come from a cache that is at most a second behind other replicas; guards never do. Every
/// change compares the record's `revision` with the one that is stored, stores `revision + 1`, and
/// writes the audit line in the same transaction. `Ok(Commit::Lost)`: the revision was another; load again.
#[async_trait]
pub trait IssuerStore: Send + Sync {
    /// Lets the next read of `record` ask the engine, because what is remembered of it proved to be out of
    /// date. `false`: nobody else changes this store, so what was read is how things are.
    fn forget(&self, _record: Remembered<'_>) -> bool {
        false
    }

    /// Whether several processes may use this store at the same time.
    fn is_shared(&self) -> bool {
        false
    }

    /// How often this store was restored from a backup.
    async fn epoch(&self) -> Stored<StoreEpoch>;

    /// The app of this id.
    async fn app(&self, id: &AppId) -> Stored<Option<Arc<App>>>;

    /// The app of this record.
    async fn app_by_no(&self, no: RecordId) -> Stored<Option<Arc<App>>>;

    /// Up to `most` apps after `after`, by id.
    async fn apps(&self, after: Option<&AppId>, most: u32) -> Stored<Vec<Arc<App>>>;

    /// Stores an app: a new one if its revision is 0, else over the one of the same revision.
    ///
    /// `Lost`: the id or number is taken, or the revision was another.
    async fn put_app(&self, app: App, audit: AuditEntry) -> Stored<Commit>;

    /// Deletes an app, its pools and its grants.
    async fn delete_app(&self, app: &App, audit: AuditEntry) -> Stored<Commit>;

    /// An app's pool.
    async fn pool(&self, key: PoolKey) -> Stored<Option<Arc<Pool>>>;

    /// Stores what a rule decided of a pool. Guard: the revision.
    ///
    /// `audit` is `None` for mere extensions and counts, which would drown the rest.
    async fn commit_access(&self, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit>;

    /// As [`Self::commit_access`], for a token that is to be handed out. Guard: besides, that `app`, which it was
    /// decided on, is stored as it is here. A replica whose memory of the app is out of date hands out nothing.
    async fn commit_access_for(&self, app: &App, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit>;

    /// A code's or grant's record.
    async fn grant(&self, id: RecordId) -> Stored<Option<Arc<Grant>>>;

    /// Stores a new code, or what a rule decided of a grant. Guard: the revision (0: the number is free).
    async fn commit_grant(&self, grant: Grant, audit: AuditEntry) -> Stored<Commit>;

    /// As [`Self::commit_grant`], for a code or tokens that are to be handed out; guarded as
    /// [`Self::commit_access_for`].
    async fn commit_grant_for(&self, app: &App, grant: Grant, audit: AuditEntry) -> Stored<Commit>;

    /// Grants in the order they were made.
    async fn grants(&self, query: &GrantQuery) -> Stored<Vec<Arc<Grant>>>;

    /// A customer.
    async fn customer(&self, id: &CustomerId) -> Stored<Option<Arc<Customer>>>;

    /// Up to `most` customers after `after`, by id in the engine's own order.
    async fn customers(&self, after: Option<&CustomerId>, most: u32) -> Stored<Vec<Arc<Customer>>>;

    /// Stores a customer over the one of the same id.
    async fn put_customer(&self, customer: Customer, audit: AuditEntry) -> Stored<()>;

    /// A resource server or a wallet.
    async fn service(&self, id: &ServiceId) -> Stored<Option<Arc<Service>>>;

    /// Up to `most` services after `after`, by id in the engine's own order.
    async fn services(&self, after: Option<&ServiceId>, most: u32) -> Stored<Vec<Arc<Service>>>;

    /// Stores a new service. `Lost`: the id is taken.
    async fn add_service(&self, service: Service, audit: AuditEntry) -> Stored<Commit>;

    /// Stores a service over the one of the same id.
    async fn put_service(&self, service: Service, audit: AuditEntry) -> Stored<()>;

    /// Spends what may be used once. Of any number of calls for one digest, on any number of replicas, one is
    /// `Done`. No audit line: what comes of a sign-in has its own.
    async fn spend_nonce(&self, nonce: SpentNonce) -> Stored<Commit>;

    /// Whether this was spent; not from a cache.
    async fn is_spent(&self, digest: [u8; 32]) -> Stored<bool>;

    /// All of the platform's keys.
    async fn platform_keys(&self) -> Stored<Vec<PlatformKey>>;

    /// Stores a platform key. `Lost`: this dialect has one of this version.
    async fn add_platform_key(&self, key: PlatformKey) -> Stored<Commit>;

    /// Stores the same platform key under another seal.
    ///
    /// Guard: its seal is `was` still. `Lost` else.
    async fn reseal_platform_key(
        &self,
        key: PlatformKey,
        was: &Sealed<PlatformKey>,
        audit: AuditEntry,
    ) -> Stored<Commit>;

    /// Audit lines, oldest first, each with its number: the first `most` after number `after`, so that a reader
    /// whoever goes on from the last one misses none; without a number the last `most` of all.
    async fn audit_tail(&self, after: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>>;

    /// The last `most` audit lines before number `before`, the latest first, each with its number.
    async fn audit_before(&self, before: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>>;

    /// Writes an audit line that belongs to no record of this store (clock, faults).
    async fn write_audit(&self, audit: AuditEntry) -> Stored<()>;
}
