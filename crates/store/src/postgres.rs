//! The store for replicas: PostgreSQL, shared by any number of processes.

mod address;
mod connections;
mod fault;
mod gather;
pub(crate) mod hot;
mod housekeeping;
pub(crate) mod keeper;
mod news;
pub(crate) mod open;
mod options;
pub(crate) mod packed;
mod pooler;
mod read;
pub(crate) mod restored;
mod retry;
pub(crate) mod rows;
pub(crate) mod schema;
mod tls;
mod write;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery, IssuerStore, Remembered, Stored};
use mintkeep_protocol::port::keeper_store::Presented;
use mintkeep_protocol::record::{
    AuditEntry, Customer, Grant, PlatformKey, Pool, PoolKey, Service, SpentNonce,
};
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_protocol::token::StoreEpoch;
use tokio::time::Instant;

pub use open::DatabaseError;
pub use options::PostgresOptions;

use connections::{CONNECTIONS_MIN, Connections};
pub(crate) use fault::Fault;
use gather::Gatherer;
use hot::{RowKey, Table};
use news::Ear;
use restored::Marked;
use retry::Tries;
use write::write;

use crate::cache::RecordCache;
use crate::change::{Change, Intent};
use crate::migration::{Migrated, Migrating};
use crate::settling::Settling;

/// How often what is long dead is looked for.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// The store for replicas.
///
/// A change is acknowledged once PostgreSQL has committed it; how durable that is (a synchronous standby,
/// say) is the server's setting. Cached records are at most [`PostgresOptions::record_age_max`] old; guards
/// never look at them.
pub struct PostgresStore {
    connections: Arc<Connections>,
    cache: Arc<RecordCache>,
    pools: Gatherer,
    grants: Gatherer,
    ear: Ear,
    clock: Arc<dyn Clock>,
    audit_retention: Duration,
    settling: Mutex<Settling>,
    /// The last grant that was looked at for being dead.
    tidied: AtomicI64,
}

impl PostgresStore {
    /// Checks that a URL can be read and what it asks for be had, without connecting.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Url`], [`DatabaseError::Tls`].
    pub fn check_url(url: &str) -> Result<(), DatabaseError> {
        open::address(url).map(drop)
    }

    /// Connects, and checks that the tables are there.
    ///
    /// The URL may name several hosts, with `target_session_attrs=read-write` for the one that is no standby,
    /// and `sslmode` (`disable`, `require`, `verify-ca`, `verify-full`) with `sslrootcert`, as PostgreSQL's own
    /// clients take them; without `sslmode` nothing is encrypted.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`], which says what to do.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Arc<Self>, DatabaseError> {
        let most = options.connections_max.max(CONNECTIONS_MIN);
        let address = open::address(url)?;
        let connections = Arc::new(Connections::of(open::pool(address.clone(), most)?));
        open::check_sessions(pooler::is_session_shared(&connections).await?)?;
        let there = connections.ask(async |db| schema::there(db).await).await?;
        open::check_schema(there)?;
        open::check_whole(there)?;
        let cache = Arc::new(RecordCache::aging(options.record_age_max));
        let store = Arc::new(Self {
            pools: Gatherer::start(Table::Pools, connections.clone(), cache.clone()),
            grants: Gatherer::start(Table::Grants, connections.clone(), cache.clone()),
            ear: Ear::open(address, cache.clone()),
            connections,
            cache,
            clock: options.clock,
            audit_retention: options.audit_retention,
            settling: Mutex::default(),
            tidied: AtomicI64::new(i64::MIN),
        });
        #[expect(clippy::disallowed_methods, reason = "it ends with the store, and may be cut off anywhere")]
        tokio::spawn(keep_tidy(Arc::downgrade(&store)));
        Ok(store)
    }

    /// Deletes a bounded piece of what is long dead at `at`, by the monotonic clock; nothing while another replica is at
    /// it, or while the wall clock has to prove itself. The store does so by itself, every second.
    ///
    /// # Errors
    ///
    /// [`StoreError`](mintkeep_protocol::port::issuer_store::StoreError): nothing was deleted.
    pub async fn tidy(&self, at: Instant) -> Stored<()> {
        let now = self.clock.now();
        let is_settled = {
            let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
            settling.has_settled(now, at)
        };
        if !is_settled {
            return Ok(());
        }
        let after = self.tidied.load(Ordering::SeqCst);
        let audit_before = now.before(self.audit_retention);
        let mut db = self.connections.get_to_write().await?;
        let next = db.work(async |db| housekeeping::tidy(db, after, now, audit_before).await).await?;
        self.tidied.store(next, Ordering::SeqCst);
        Ok(())
    }

    /// Brings the tables up to date, and tells of each step; safe beside running processes of this version and
    /// the one before, and beside another migration.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`], which says what to do; nothing was changed then.
    pub async fn migrate(
        url: &str,
        tell: &mut (dyn FnMut(Migrating) + Send),
    ) -> Result<Migrated, DatabaseError> {
        let connections = open::pool(open::migration_address(url)?, 1)?;
        let mut db = connections.get().await.map_err(Fault::from)?;
        Ok(schema::migrate(&mut db, tell).await?)
    }

    /// Begins a new epoch in a database that was restored from a backup, so that nothing is handed out which was
    /// handed out after that backup.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`], which says what to do; nothing was changed then.
    pub async fn mark_restored(url: &str, now: Timestamp) -> Result<StoreEpoch, DatabaseError> {
        let connections = open::pool(open::migration_address(url)?, 1)?;
        let mut db = connections.get().await.map_err(Fault::from)?;
        open::check_schema(schema::there(&db).await?)?;
        match restored::mark(&mut db, now).await? {
            Marked::Begun(epoch) => Ok(epoch),
            Marked::InUse(connections) => Err(DatabaseError::InUse { connections }),
        }
    }

    /// Ends all connections. Whoever asks afterwards is told that the store is closed.
    pub fn close(&self) {
        self.connections.close();
        self.ear.close();
    }

    /// Asks for one record.
    async fn ask<T>(&self, question: impl AsyncFnOnce(&ClientWrapper) -> Result<T, Fault>) -> Stored<T> {
        Ok(self.connections.ask(question).await?)
    }

    /// Asks for many records, which may take a while, on a connection of one's own.
    async fn list<T>(&self, question: impl AsyncFnOnce(&ClientWrapper) -> Result<T, Fault>) -> Stored<T> {
        let mut db = self.connections.get().await?;
        Ok(db.work(async |db| question(db).await).await?)
    }

    /// Makes a change that knows no quota.
    async fn commit(&self, change: Change, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.commit_if(None, change, audit).await
    }

    /// Makes a change that knows no quota, if the record's app is as it was when it was decided on.
    async fn commit_if(
        &self,
        app: Option<&App>,
        change: Change,
        audit: Option<AuditEntry>,
    ) -> Stored<Commit> {
        let intent = Intent { change, app_revision: app.map(|app| app.revision), audit };
        match self.change(intent).await? {
            Presented::Done => Ok(Commit::Done),
            Presented::Lost | Presented::OverQuota => {
                // It may be the app that is another by now.
                if let Some(app) = app {
                    self.cache.forget_remembered(Remembered::App(app));
                }
                Ok(Commit::Lost)
            }
        }
    }

    /// Makes a change, and shows it in the cache.
    async fn change(&self, intent: Intent) -> Stored<Presented> {
        let row = RowKey::of(&intent.change);
        match row.map(|row| (row, row.table())) {
            Some((row, Table::Pools)) => self.pools.change(row, intent).await,
            Some((row, Table::Grants)) => self.grants.change(row, intent).await,
            None => {
                let written = self.transact(&intent).await;
                self.cache.settle(&intent.change, matches!(written, Ok(Presented::Done)));
                Ok(written?)
            }
        }
    }

    async fn transact(&self, intent: &Intent) -> Result<Presented, Fault> {
        let mut tries = Tries::default();
        loop {
            let mut db = self.connections.get_to_write().await?;
            match db.work(async |db| write(db, intent).await).await {
                Err(fault) if tries.allow_another(&fault) => {}
                written => return written,
            }
        }
    }
}

/// Tidies up until the store is closed or dropped.
async fn keep_tidy(store: Weak<PostgresStore>) {
    let mut turn = tokio::time::interval(TIDY_EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let Some(store) = store.upgrade().filter(|store| !store.connections.is_closed()) else { return };
        if let Err(error) = store.tidy(Instant::now()).await {
            tracing::warn!(%error, "the store could not be tidied up; it is tried again later");
        }
    }
}

#[async_trait]
impl IssuerStore for PostgresStore {
    fn forget(&self, record: Remembered<'_>) -> bool {
        self.cache.forget_remembered(record);
        true
    }

    fn is_shared(&self) -> bool {
        true
    }

    /// Not told while nothing can be written, which is what it is asked again and again for.
    async fn epoch(&self) -> Stored<StoreEpoch> {
        let asked = self.ask(async |db| {
            schema::check_writable(&**db).await?;
            restored::epoch(&**db).await
        });
        asked.await
    }

    async fn app(&self, id: &AppId) -> Stored<Option<Arc<App>>> {
        let load = self.ask(async |db| read::app(db, id).await);
        self.cache.apps.get_or_load(id, load).await
    }

    async fn app_by_no(&self, no: RecordId) -> Stored<Option<Arc<App>>> {
        let load = self.ask(async |db| read::app_by_no(db, no).await);
        self.cache.apps_by_no.get_or_load(&no, load).await
    }

    async fn apps(&self, after: Option<&AppId>, most: u32) -> Stored<Vec<Arc<App>>> {
        let apps = self.list(async |db| read::apps(db, after, most).await).await?;
        Ok(apps.into_iter().map(Arc::new).collect())
    }

    async fn put_app(&self, app: App, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::put_app(app), Some(audit)).await
    }

    async fn delete_app(&self, app: &App, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::DeleteApp(Arc::new(app.clone())), Some(audit)).await
    }

    async fn pool(&self, key: PoolKey) -> Stored<Option<Arc<Pool>>> {
        let load = self.ask(async |db| read::pool(db, key).await);
        self.cache.pools.get_or_load(&key, load).await
    }

    async fn commit_access(&self, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.commit(Change::put_pool(pool), audit).await
    }

    async fn commit_access_for(&self, app: &App, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.commit_if(Some(app), Change::put_pool(pool), audit).await
    }

    async fn grant(&self, id: RecordId) -> Stored<Option<Arc<Grant>>> {
        let load = self.ask(async |db| read::grant(db, id).await);
        self.cache.grants.get_or_load(&id, load).await
    }

    async fn commit_grant(&self, grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::put_grant(grant), Some(audit)).await
    }

    async fn commit_grant_for(&self, app: &App, grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        self.commit_if(Some(app), Change::put_grant(grant), Some(audit)).await
    }

    async fn grants(&self, query: &GrantQuery) -> Stored<Vec<Arc<Grant>>> {
        let grants = self.list(async |db| read::grants(db, query).await).await?;
        Ok(grants.into_iter().map(Arc::new).collect())
    }

    async fn customer(&self, id: &CustomerId) -> Stored<Option<Arc<Customer>>> {
        let load = self.ask(async |db| read::customer(db, id).await);
        self.cache.customers.get_or_load(id, load).await
    }

    async fn customers(&self, after: Option<&CustomerId>, most: u32) -> Stored<Vec<Arc<Customer>>> {
        let found = self.list(async |db| read::customers(db, after, most).await).await?;
        Ok(found.into_iter().map(Arc::new).collect())
    }

    async fn put_customer(&self, customer: Customer, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::PutCustomer(Arc::new(customer)), Some(audit)).await.map(|_| ())
    }

    async fn service(&self, id: &ServiceId) -> Stored<Option<Arc<Service>>> {
        let load = self.ask(async |db| read::service(db, id).await);
        self.cache.services.get_or_load(id, load).await
    }

    async fn services(&self, after: Option<&ServiceId>, most: u32) -> Stored<Vec<Arc<Service>>> {
        let found = self.list(async |db| read::services(db, after, most).await).await?;
        Ok(found.into_iter().map(Arc::new).collect())
    }

    async fn add_service(&self, service: Service, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::AddService(Arc::new(service)), Some(audit)).await
    }

    async fn put_service(&self, service: Service, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::PutService(Arc::new(service)), Some(audit)).await.map(|_| ())
    }

    async fn spend_nonce(&self, nonce: SpentNonce) -> Stored<Commit> {
        self.commit(Change::SpendNonce(nonce), None).await
    }

    async fn is_spent(&self, digest: [u8; 32]) -> Stored<bool> {
        self.ask(async |db| read::is_spent(db, digest).await).await
    }

    async fn platform_keys(&self) -> Stored<Vec<PlatformKey>> {
        Ok(self.list(async |db| read::platform_keys(db).await).await?)
    }

    async fn add_platform_key(&self, key: PlatformKey) -> Stored<Commit> {
        self.commit(Change::AddPlatformKey(key), None).await
    }

    async fn reseal_platform_key(
        &self,
        key: PlatformKey,
        was: &Sealed<PlatformKey>,
        audit: AuditEntry,
    ) -> Stored<Commit> {
        self.commit(Change::ResealPlatformKey { key, was: was.clone() }, Some(audit)).await
    }

    async fn audit_tail(&self, after: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>> {
        let now = self.clock.now();
        self.list(async |db| read::audit_tail(db, after, most, now).await).await
    }

    async fn audit_before(&self, before: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>> {
        Ok(self.list(async |db| read::audit_before(db, before, most).await).await?)
    }

    async fn write_audit(&self, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::Nothing, Some(audit)).await.map(|_| ())
    }
}
