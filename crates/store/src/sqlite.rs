//! The embedded store: one file, one process, one writer with group commit, readers beside it.

mod backup;
mod fault;
mod housekeeping;
pub(crate) mod keeper;
pub(crate) mod open;
mod read;
mod readers;
pub(crate) mod rows;
mod schema;
mod write;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery, IssuerStore, Stored};
use mintkeep_protocol::port::keeper_store::Presented;
use mintkeep_protocol::record::{
    AuditEntry, Customer, Grant, PlatformKey, Pool, PoolKey, Service, SpentNonce,
};
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_protocol::token::StoreEpoch;
use tokio::sync::oneshot;

pub use housekeeping::{CALLS_KEPT_DAYS, DEAD_CODE_KEPT, DEAD_GRANT_KEPT, REMOVED_KEPT, SPENT_NONCE_KEPT};
pub use open::OpenError;

use crate::cache::RecordCache;
use crate::change::{Change, Intent};
use crate::migration::{Migrated, Migrating};
use fault::unavailable;
use housekeeping::Housekeeping;
use open::FolderLock;
use readers::Readers;
use writer::{QUEUE_INTENTS_MAX, Request, Writer};

/// What a store needs to know besides its folder.
pub struct SqliteOptions {
    /// Asked which records are long dead.
    pub clock: Arc<dyn Clock>,
    /// How long audit lines are kept.
    pub audit_retention: Duration,
}

impl SqliteOptions {
    /// How long audit lines are kept unless something else is said.
    pub const AUDIT_RETENTION: Duration = Duration::from_hours(30 * 24);

    /// The defaults.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, audit_retention: Self::AUDIT_RETENTION }
    }
}

/// The embedded store.
///
/// A change is acknowledged once it is on the disk (WAL, `synchronous=FULL`). The cache in front is
/// authoritative, because the data folder has one owner: see [`OpenError::InUse`].
pub struct SqliteStore {
    file: PathBuf,
    epoch: StoreEpoch,
    cache: Arc<RecordCache>,
    readers: Readers,
    requests: SyncSender<Request>,
    is_failing: Arc<AtomicBool>,
    /// `None` once closed.
    running: Mutex<Option<Running>>,
}

/// What ends with the store.
struct Running {
    writer: JoinHandle<()>,
    lock: FolderLock,
}

impl SqliteStore {
    /// Opens the store in `folder`, and makes folder and store if they aren't there.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<Arc<Self>, OpenError> {
        let opened = open::open(folder, options.clock.now(), &mut log)?;
        let readers = Readers::open(&opened.file)
            .map_err(|cause| OpenError::Sqlite { file: opened.file.clone(), cause })?;
        let there = File::open(&opened.file);
        let there = there.map_err(|cause| OpenError::Io { path: opened.file.clone(), cause })?;
        let cache = Arc::new(RecordCache::new());
        let (requests, asked) = sync_channel(QUEUE_INTENTS_MAX);
        let is_failing = Arc::<AtomicBool>::default();
        let writer = Writer {
            db: opened.db,
            file: opened.file.clone(),
            opened: there,
            cache: cache.clone(),
            requests: asked,
            housekeeping: Housekeeping::new(options.clock, options.audit_retention),
            pace: writer::Pace::default(),
            is_failing: Arc::clone(&is_failing),
        };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(|| writer.run());
        let writer = thread.map_err(|cause| OpenError::Io { path: folder.to_owned(), cause })?;
        Ok(Arc::new(Self {
            file: opened.file,
            epoch: opened.epoch,
            cache,
            readers,
            requests,
            is_failing,
            running: Mutex::new(Some(Running { writer, lock: opened.lock })),
        }))
    }

    /// Brings the tables of the store in `folder` up to date, as its server does at its start, and tells of each step.
    /// Folder and store are made if they aren't there.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do; the tables are as they were then.
    pub fn migrate(
        folder: &Path,
        now: Timestamp,
        tell: &mut (dyn FnMut(Migrating) + Send),
    ) -> Result<Migrated, OpenError> {
        open::open(folder, now, tell).map(|opened| opened.migrated)
    }

    /// Makes everything durable that was asked for, and gives the data folder free. Blocks until then.
    ///
    /// Whoever asks for a change afterwards is told that the store is closed.
    pub fn close(&self) {
        let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        self.readers.close();
        let _ = self.requests.send(Request::Close);
        if running.writer.join().is_err() {
            tracing::error!("the store's writer had ended by a panic");
        }
        drop(running.lock);
    }

    /// Copies the store, while it runs, to a new file that can be put in its place.
    ///
    /// A store opened on the copy begins a new epoch by itself.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do; there is no file at `to` then.
    pub async fn backup(&self, to: &Path) -> Result<(), OpenError> {
        let (file, to) = (self.file.clone(), to.to_owned());
        let failed = to.clone();
        let copied = tokio::task::spawn_blocking(move || backup::backup(&file, &to)).await;
        copied.map_err(|error| OpenError::Io { path: failed, cause: std::io::Error::other(error) })?
    }

    /// As [`Self::backup`], of the store in `folder`, on which another process may work meanwhile.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do; there is no file at `to` then.
    pub fn backup_of(folder: &Path, to: &Path) -> Result<(), OpenError> {
        let file = folder.join(open::FILE_NAME);
        if let Err(cause) = File::open(&file) {
            return Err(OpenError::Io { path: file, cause });
        }
        backup::backup(&file, to)
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
            Presented::Lost | Presented::OverQuota => Ok(Commit::Lost),
        }
    }

    /// Hands an intent to the writer and waits until it is durable.
    async fn change(&self, intent: Intent) -> Stored<Presented> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(Request::Commit(intent, reply)).map_err(|error| match error {
            TrySendError::Full(_) => unavailable("too many changes wait; the disk is too slow"),
            TrySendError::Disconnected(_) => unavailable("the store is closed"),
        })?;
        answer.await.map_err(|_| unavailable("the store is closed"))?
    }
}

/// Tells the log of a migration at a server's start.
fn log(migrating: Migrating) {
    if let Migrating::Begun { schema, what } = migrating {
        tracing::info!(schema, what, "the store's tables are brought up to date");
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl IssuerStore for SqliteStore {
    /// Not told while nothing can be written, which is what it is asked again and again for.
    async fn epoch(&self) -> Stored<StoreEpoch> {
        if self.is_failing.load(Relaxed) {
            return Err(unavailable("the last change could not be written"));
        }
        Ok(self.epoch)
    }

    async fn app(&self, id: &AppId) -> Stored<Option<Arc<App>>> {
        let wanted = id.clone();
        self.cache.apps.get_or_load(id, self.readers.ask(move |db| read::app(db, &wanted))).await
    }

    async fn app_by_no(&self, no: RecordId) -> Stored<Option<Arc<App>>> {
        self.cache.apps_by_no.get_or_load(&no, self.readers.ask(move |db| read::app_by_no(db, no))).await
    }

    async fn apps(&self, after: Option<&AppId>, most: u32) -> Stored<Vec<Arc<App>>> {
        let after = after.cloned();
        let apps = self.readers.ask(move |db| read::apps(db, after.as_ref(), most)).await?;
        Ok(apps.into_iter().map(Arc::new).collect())
    }

    async fn put_app(&self, app: App, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::put_app(app), Some(audit)).await
    }

    async fn delete_app(&self, app: &App, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::DeleteApp(Arc::new(app.clone())), Some(audit)).await
    }

    async fn pool(&self, key: PoolKey) -> Stored<Option<Arc<Pool>>> {
        self.cache.pools.get_or_load(&key, self.readers.ask(move |db| read::pool(db, key))).await
    }

    async fn commit_access(&self, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.commit(Change::put_pool(pool), audit).await
    }

    async fn commit_access_for(&self, app: &App, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.commit_if(Some(app), Change::put_pool(pool), audit).await
    }

    async fn grant(&self, id: RecordId) -> Stored<Option<Arc<Grant>>> {
        self.cache.grants.get_or_load(&id, self.readers.ask(move |db| read::grant(db, id))).await
    }

    async fn commit_grant(&self, grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        self.commit(Change::put_grant(grant), Some(audit)).await
    }

    async fn commit_grant_for(&self, app: &App, grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        self.commit_if(Some(app), Change::put_grant(grant), Some(audit)).await
    }

    async fn grants(&self, query: &GrantQuery) -> Stored<Vec<Arc<Grant>>> {
        let query = query.clone();
        let grants = self.readers.ask(move |db| read::grants(db, &query)).await?;
        Ok(grants.into_iter().map(Arc::new).collect())
    }

    async fn customer(&self, id: &CustomerId) -> Stored<Option<Arc<Customer>>> {
        let wanted = id.clone();
        self.cache.customers.get_or_load(id, self.readers.ask(move |db| read::customer(db, &wanted))).await
    }

    async fn customers(&self, after: Option<&CustomerId>, most: u32) -> Stored<Vec<Arc<Customer>>> {
        let after = after.cloned();
        let found = self.readers.ask(move |db| read::customers(db, after.as_ref(), most)).await?;
        Ok(found.into_iter().map(Arc::new).collect())
    }

    async fn put_customer(&self, customer: Customer, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::PutCustomer(Arc::new(customer)), Some(audit)).await.map(|_| ())
    }

    async fn service(&self, id: &ServiceId) -> Stored<Option<Arc<Service>>> {
        let wanted = id.clone();
        self.cache.services.get_or_load(id, self.readers.ask(move |db| read::service(db, &wanted))).await
    }

    async fn services(&self, after: Option<&ServiceId>, most: u32) -> Stored<Vec<Arc<Service>>> {
        let after = after.cloned();
        let found = self.readers.ask(move |db| read::services(db, after.as_ref(), most)).await?;
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
        self.readers.ask(move |db| read::is_spent(db, digest)).await
    }

    async fn platform_keys(&self) -> Stored<Vec<PlatformKey>> {
        self.readers.ask(read::platform_keys).await
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
        self.readers.ask(move |db| read::audit_tail(db, after, most)).await
    }

    async fn audit_before(&self, before: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>> {
        self.readers.ask(move |db| read::audit_before(db, before, most)).await
    }

    async fn write_audit(&self, audit: AuditEntry) -> Stored<()> {
        self.commit(Change::Nothing, Some(audit)).await.map(|_| ())
    }
}
