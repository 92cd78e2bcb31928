//! What is to be changed, as data: one intent, one transaction, whatever the engine.

pub mod keeper;

use std::sync::Arc;

use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::record::{AuditEntry, Customer, Grant, PlatformKey, Pool, Service, SpentNonce};

/// A change and the audit line that goes with it: both or neither.
pub struct Intent {
    pub change: Change,
    /// The revision that the record's app must have; `None`: any.
    pub app_revision: Option<i64>,
    pub audit: Option<AuditEntry>,
}

/// A change of one record. Records with a revision carry the one that they have *after* the change;
/// [`guard`] tells the one that must be stored before it.
pub enum Change {
    PutApp(Arc<App>),
    /// The app as it is stored; its pools and grants go with it.
    DeleteApp(Arc<App>),
    PutPool(Arc<Pool>),
    PutGrant(Arc<Grant>),
    PutCustomer(Arc<Customer>),
    /// Where there is none of its id.
    AddService(Arc<Service>),
    PutService(Arc<Service>),
    SpendNonce(SpentNonce),
    AddPlatformKey(PlatformKey),
    /// The same key under another seal, in place of the seal that it `was` under.
    ResealPlatformKey {
        key: PlatformKey,
        was: Sealed<PlatformKey>,
    },
    /// One of the keeper's records; none of them is ever cached.
    Keeper(Box<keeper::KeeperChange>),
    /// Nothing but the audit line.
    Nothing,
}

impl Change {
    /// Puts an app over the revision that it has.
    pub fn put_app(mut app: App) -> Self {
        app.revision = next(app.revision);
        Self::PutApp(Arc::new(app))
    }

    /// As [`Self::put_app`], a pool.
    pub fn put_pool(mut pool: Pool) -> Self {
        pool.revision = next(pool.revision);
        Self::PutPool(Arc::new(pool))
    }

    /// As [`Self::put_app`], a grant.
    pub fn put_grant(mut grant: Grant) -> Self {
        grant.revision = next(grant.revision);
        Self::PutGrant(Arc::new(grant))
    }
}

/// The revision that a change of `revision` leaves.
const fn next(revision: i64) -> i64 {
    revision.saturating_add(1)
}

/// The revision that must be stored for a change to `revision`; 0: none may be stored.
pub const fn guard(revision: i64) -> i64 {
    revision.saturating_sub(1)
}
