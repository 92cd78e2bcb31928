//! The store for replicas: PostgreSQL, shared by any number of processes.

mod fault;
mod housekeeping;
mod keeper;
mod open;
mod read;
mod rows;
mod schema;
mod write;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Client, Pool as Connections};
use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery, IssuerStore, Stored};
use mintkeep_protocol::port::keeper_store::Presented;
use mintkeep_protocol::record::{AuditEntry, Customer, Grant, PlatformKey, Pool, PoolKey, Service};
use mintkeep_protocol::time::Clock;
use mintkeep_protocol::token::StoreEpoch;

pub use open::DatabaseError;

use housekeeping::Turn;

use crate::cache::RecordCache;
use crate::change::{Change, Intent};
use fault::Fault;
use write::write;

/// How old a cached record may be: another replica's change is seen after this time at the latest, even if
/// its notification is lost.
const RECORD_AGE_MAX: Duration = Duration::from_secs(1);

/// How often a transaction is tried that the engine undid because of another one.
const TRIES_MAX: u32 = 5;

/// How often what is long dead is looked for.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What a store needs to know besides its URL.
pub struct PostgresOptions {
    /// Asked which records are long dead.
    pub clock: Arc<dyn Clock>,
    /// How long audit lines are kept.
    pub audit_retention: Duration,
    /// Most connections to the database.
    pub connections_max: usize,
}

impl PostgresOptions {
    /// How long audit lines are kept unless something else is said.
    pub const AUDIT_RETENTION: Duration = Duration::from_hours(30 * 24);
    /// Most connections to the database unless something else is said.
    pub const CONNECTIONS_MAX: usize = 16;

    /// The defaults.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, audit_retention: Self::AUDIT_RETENTION, connections_max: Self::CONNECTIONS_MAX }
    }
}

/// The store for replicas.
///
/// A change is acknowledged once PostgreSQL has committed it; how durable that is (a synchronous standby,
/// say) is the server's setting. Cached records are at most [`RECORD_AGE_MAX`] old; guards never look at
/// them.
pub struct PostgresStore {
    connections: Connections,
    cache: RecordCache,
    clock: Arc<dyn Clock>,
    audit_retention: Duration,
    /// The last grant that was looked at for being dead.
    tidied: AtomicI64,
}

impl PostgresStore {
    /// Connects, and checks that the tables are there.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`], which says what to do.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Arc<Self>, DatabaseError> {
        let connections = open::pool(open::config(url)?, options.connections_max)?;
        let db = connections.get().await.map_err(Fault::from)?;
        open::check_schema(&db).await?;
        drop(db);
        let store = Arc::new(Self {
            connections,
            cache: RecordCache::aging(RECORD_AGE_MAX),
            clock: options.clock,
            audit_retention: options.audit_retention,
            tidied: AtomicI64::new(i64::MIN),
        });
        #[expect(clippy::disallowed_methods, reason = "it ends with the store, and may be cut off anywhere")]
        tokio::spawn(keep_tidy(Arc::downgrade(&store)));
        Ok(store)
    }

    /// Deletes a bounded piece of what is long dead, after another replica that is at it. The store does so
    /// by itself, every second.
    ///
    /// # Errors
    ///
    /// [`StoreError`](mintkeep_protocol::port::issuer_store::StoreError): nothing was deleted.
    pub async fn tidy(&self) -> Stored<()> {
        self.tidy_in(Turn::Wait).await
    }

    async fn tidy_in(&self, turn: Turn) -> Stored<()> {
        let now = self.clock.now();
        let after = self.tidied.load(Ordering::SeqCst);
        let mut db = self.client().await?;
        let next = housekeeping::tidy(&mut db, after, now, now.before(self.audit_retention), turn).await?;
        self.tidied.store(next, Ordering::SeqCst);
        Ok(())
    }

    /// Brings the tables up to date; safe beside running processes of this version and the one before.
    /// Gives the schema that was found and the one that is there now.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`], which says what to do; nothing was changed then.
    pub async fn migrate(url: &str) -> Result<(usize, usize), DatabaseError> {
        let connections = open::pool(open::config(url)?, 1)?;
        let mut db = connections.get().await.map_err(Fault::from)?;
        let found = schema::migrate(&mut db).await?;
        Ok((found, found.max(schema::CURRENT)))
    }

    /// Ends all connections. Whoever asks afterwards is told that the store is closed.
    pub fn close(&self) {
        self.connections.close();
    }

    async fn client(&self) -> Result<Client, Fault> {
        Ok(self.connections.get().await?)
    }

    /// Makes a change that knows no quota.
    async fn commit(&self, change: Change, audit: Option<AuditEntry>) -> Stored<Commit> {
        match self.change(change, audit).await? {
            Presented::Done => Ok(Commit::Done),
            Presented::Lost | Presented::OverQuota => Ok(Commit::Lost),
        }
    }

    /// Makes a change, and shows it in the cache.
    async fn change(&self, change: Change, audit: Option<AuditEntry>) -> Stored<Presented> {
        let intent = Intent { change, audit };
        let written = self.transact(&intent).await;
        match &written {
            Ok(Presented::Done) => self.cache.publish(&intent.change),
            Ok(Presented::Lost | Presented::OverQuota) | Err(_) => self.cache.forget(&intent.change),
        }
        Ok(written?)
    }

    /// The one place where a transaction is tried again that met another one.
    async fn transact(&self, intent: &Intent) -> Result<Presented, Fault> {
        for _ in 1..TRIES_MAX {
            match self.try_transact(intent).await {
                Err(fault) if fault.is_conflict() => {}
                written => return written,
            }
        }
        self.try_transact(intent).await
    }

    async fn try_transact(&self, intent: &Intent) -> Result<Presented, Fault> {
        let mut db = self.client().await?;
        let tx = db.transaction().await?;
        let written = write(&tx, intent).await?;
        match written {
            Presented::Done => tx.commit().await?,
            Presented::Lost | Presented::OverQuota => tx.rollback().await?,
        }
        Ok(written)
    }
}

/// Tidies up until the store is closed or dropped.
async fn keep_tidy(store: Weak<PostgresStore>) {
    let mut turn = tokio::time::interval(TIDY_EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let Some(store) = store.upgrade().filter(|store| !store.connections.is_closed()) else { return };
        if let Err(error) = store.tidy_in(Turn::Pass).await {
            tracing::warn!(%error, "the store could not be tidied up; it is tried again later");
        }
    }
}

/// Records with a revision are written with the revision that they are to have.
macro_rules! revised {
    ($record:ident) => {{
        $record.revision = $record.revision.saturating_add(1);
        Arc::new($record)
    }};
}

#[async_trait]
impl IssuerStore for PostgresStore {
    async fn epoch(&self) -> Stored<StoreEpoch> {
        let stored = schema::meta(&self.client().await?, "epoch").await?;
        Ok(StoreEpoch(stored.and_then(|epoch| u16::try_from(epoch).ok()).unwrap_or(0)))
    }

    async fn app(&self, id: &AppId) -> Stored<Option<Arc<App>>> {
        let load = async { Ok(read::app(&self.client().await?, id).await?) };
        self.cache.apps.get_or_load(id, load).await
    }

    async fn app_by_no(&self, no: RecordId) -> Stored<Option<Arc<App>>> {
        let load = async { Ok(read::app_by_no(&self.client().await?, no).await?) };
        self.cache.apps_by_no.get_or_load(&no, load).await
    }

    async fn apps(&self, after: Option<&AppId>, most: u32) -> Stored<Vec<Arc<App>>> {
        let apps = read::apps(&self.client().await?, after, most).await?;
        Ok(apps.into_iter().map(Arc::new).collect())
    }

    async fn put_app(&self, mut app: App, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::PutApp(revised!(app)), Some(audit)).await
    }

    async fn delete_app(&self, app: &App, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::DeleteApp(Arc::new(app.clone())), Some(audit)).await
    }

    async fn pool(&self, key: PoolKey) -> Stored<Option<Arc<Pool>>> {
        let load = async { Ok(read::pool(&self.client().await?, key).await?) };
        self.cache.pools.get_or_load(&key, load).await
    }

    async fn commit_access(&self, mut pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.commit(Change::PutPool(revised!(pool)), audit).await
    }

    async fn grant(&self, id: RecordId) -> Stored<Option<Arc<Grant>>> {
        let load = async { Ok(read::grant(&self.client().await?, id).await?) };
        self.cache.grants.get_or_load(&id, load).await
    }

    async fn commit_grant(&self, mut grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::PutGrant(revised!(grant)), Some(audit)).await
    }

    async fn grants(&self, query: &GrantQuery) -> Stored<Vec<Arc<Grant>>> {
        let grants = read::grants(&self.client().await?, query).await?;
        Ok(grants.into_iter().map(Arc::new).collect())
    }

    async fn customer(&self, id: &CustomerId) -> Stored<Option<Arc<Customer>>> {
        let load = async { Ok(read::customer(&self.client().await?, id).await?) };
        self.cache.customers.get_or_load(id, load).await
    }

    async fn put_customer(&self, customer: Customer, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::PutCustomer(Arc::new(customer)), Some(audit)).await.map(|_| ())
    }

    async fn service(&self, id: &ServiceId) -> Stored<Option<Arc<Service>>> {
        let load = async { Ok(read::service(&self.client().await?, id).await?) };
        self.cache.services.get_or_load(id, load).await
    }

    async fn put_service(&self, service: Service, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::PutService(Arc::new(service)), Some(audit)).await.map(|_| ())
    }

    async fn platform_keys(&self) -> Stored<Vec<PlatformKey>> {
        Ok(read::platform_keys(&self.client().await?).await?)
    }

    async fn add_platform_key(&self, key: PlatformKey) -> Stored<Commit> {
        self.commit(Change::AddPlatformKey(key), None).await
    }

    async fn audit_tail(&self, after: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>> {
        Ok(read::audit_tail(&self.client().await?, after, most).await?)
    }

    async fn write_audit(&self, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::Nothing, Some(audit)).await.map(|_| ())
    }
}
