//! A store that counts what it is asked and fails when told to.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::port::issuer_store::{
    Commit, GrantQuery, IssuerStore, Remembered, StoreError, Stored,
};
use mintkeep_protocol::record::{
    AuditEntry, Customer, Grant, PlatformKey, Pool, PoolKey, Service, SpentNonce,
};
use mintkeep_protocol::token::StoreEpoch;
use mintkeep_store::MemoryStore;

/// What fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// Every read and every change.
    Everything,
    /// Every change, before it happens.
    Changes,
    /// Every change, after it happened: the answer is lost.
    Answers,
    /// Every change, by a panic.
    Panics,
}

/// The model of a store behind a counter. Every call lets other tasks go first, as an engine would.
pub struct Ledger {
    model: MemoryStore,
    trouble: AtomicU8,
    reads: AtomicUsize,
    changes: AtomicUsize,
    rivals: AtomicUsize,
    /// An app as this replica remembers it, until it is told to forget it.
    old_app: Mutex<Option<Arc<App>>>,
}

impl Ledger {
    pub fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    /// A store that several replicas use.
    pub fn shared() -> Self {
        Self::over(MemoryStore::shared())
    }

    fn over(model: MemoryStore) -> Self {
        Self {
            model,
            trouble: AtomicU8::new(0),
            reads: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            rivals: AtomicUsize::new(0),
            old_app: Mutex::new(None),
        }
    }

    /// Has this replica remember an app as it was.
    pub fn remember(&self, app: Arc<App>) {
        *self.old_app.lock().unwrap() = Some(app);
    }

    pub fn fail(&self, trouble: Trouble) {
        let number = match trouble {
            Trouble::None => 0,
            Trouble::Everything => 1,
            Trouble::Changes => 2,
            Trouble::Answers => 3,
            Trouble::Panics => 4,
        };
        self.trouble.store(number, SeqCst);
    }

    /// Has another replica be first at the next `times` changes of a pool or a grant that is there.
    pub fn be_beaten(&self, times: usize) {
        self.rivals.store(times, SeqCst);
    }

    async fn let_rival_go_first(&self, key: PoolKey) -> Stored<()> {
        let taken = self.rivals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if let (Ok(_), Some(pool)) = (taken, self.model.pool(key).await?) {
            self.model.commit_access(Pool::clone(&pool), None).await?;
        }
        Ok(())
    }

    async fn let_rival_change(&self, grant: &Grant, audit: &AuditEntry) -> Stored<()> {
        let taken = self.rivals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if let (Ok(_), Some(there)) = (taken, self.model.grant(grant.id).await?) {
            let audit = AuditEntry { subject: "a rival".into(), ..audit.clone() };
            self.model.commit_grant(Grant::clone(&there), audit).await?;
        }
        Ok(())
    }

    fn trouble(&self) -> Trouble {
        [Trouble::None, Trouble::Everything, Trouble::Changes, Trouble::Answers, Trouble::Panics]
            [usize::from(self.trouble.load(SeqCst))]
    }

    /// How many reads and changes there were since this was asked last.
    pub fn asked(&self) -> (usize, usize) {
        (self.reads.swap(0, SeqCst), self.changes.swap(0, SeqCst))
    }

    async fn read(&self) -> Stored<&MemoryStore> {
        self.reads.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
        if self.trouble() == Trouble::Everything { Err(broken()) } else { Ok(&self.model) }
    }

    async fn change(&self) -> Stored<&MemoryStore> {
        self.changes.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
        match self.trouble() {
            Trouble::None | Trouble::Answers => Ok(&self.model),
            Trouble::Everything | Trouble::Changes => Err(broken()),
            Trouble::Panics => panic!("told to"),
        }
    }

    fn as_remembered(&self, app: Option<Arc<App>>) -> Option<Arc<App>> {
        let old = self.old_app.lock().unwrap().clone();
        old.filter(|old| app.as_ref().is_some_and(|app| app.no == old.no)).or(app)
    }

    fn answered<T>(&self, changed: T) -> Stored<T> {
        if self.trouble() == Trouble::Answers { Err(broken()) } else { Ok(changed) }
    }
}

fn broken() -> StoreError {
    StoreError { room: "test", cause: "told to fail".into() }
}

#[async_trait]
impl IssuerStore for Ledger {
    fn forget(&self, record: Remembered<'_>) -> bool {
        if let Remembered::App(_) = record {
            *self.old_app.lock().unwrap() = None;
        }
        true
    }

    fn is_shared(&self) -> bool {
        self.model.is_shared()
    }

    async fn epoch(&self) -> Stored<StoreEpoch> {
        self.read().await?.epoch().await
    }

    async fn app(&self, id: &AppId) -> Stored<Option<Arc<App>>> {
        let app = self.read().await?.app(id).await?;
        Ok(self.as_remembered(app))
    }

    async fn app_by_no(&self, no: RecordId) -> Stored<Option<Arc<App>>> {
        let app = self.read().await?.app_by_no(no).await?;
        Ok(self.as_remembered(app))
    }

    async fn apps(&self, after: Option<&AppId>, most: u32) -> Stored<Vec<Arc<App>>> {
        self.read().await?.apps(after, most).await
    }

    async fn put_app(&self, app: App, audit: AuditEntry) -> Stored<Commit> {
        self.answered(self.change().await?.put_app(app, audit).await?)
    }

    async fn delete_app(&self, app: &App, audit: AuditEntry) -> Stored<Commit> {
        self.answered(self.change().await?.delete_app(app, audit).await?)
    }

    async fn pool(&self, key: PoolKey) -> Stored<Option<Arc<Pool>>> {
        self.read().await?.pool(key).await
    }

    async fn commit_access(&self, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.answered(self.change().await?.commit_access(pool, audit).await?)
    }

    async fn commit_access_for(&self, app: &App, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        self.let_rival_go_first(pool.key).await?;
        self.answered(self.change().await?.commit_access_for(app, pool, audit).await?)
    }

    async fn grant(&self, id: RecordId) -> Stored<Option<Arc<Grant>>> {
        self.read().await?.grant(id).await
    }

    async fn commit_grant(&self, grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        let model = self.change().await?;
        self.let_rival_change(&grant, &audit).await?;
        self.answered(model.commit_grant(grant, audit).await?)
    }

    async fn commit_grant_for(&self, app: &App, grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        self.answered(self.change().await?.commit_grant_for(app, grant, audit).await?)
    }

    async fn grants(&self, query: &GrantQuery) -> Stored<Vec<Arc<Grant>>> {
        self.read().await?.grants(query).await
    }

    async fn customer(&self, id: &CustomerId) -> Stored<Option<Arc<Customer>>> {
        self.read().await?.customer(id).await
    }

    async fn customers(&self, after: Option<&CustomerId>, most: u32) -> Stored<Vec<Arc<Customer>>> {
        self.read().await?.customers(after, most).await
    }

    async fn put_customer(&self, customer: Customer, audit: AuditEntry) -> Stored<()> {
        self.answered(self.change().await?.put_customer(customer, audit).await?)
    }

    async fn service(&self, id: &ServiceId) -> Stored<Option<Arc<Service>>> {
        self.read().await?.service(id).await
    }

    async fn services(&self, after: Option<&ServiceId>, most: u32) -> Stored<Vec<Arc<Service>>> {
        self.read().await?.services(after, most).await
    }

    async fn add_service(&self, service: Service, audit: AuditEntry) -> Stored<Commit> {
        self.answered(self.change().await?.add_service(service, audit).await?)
    }

    async fn put_service(&self, service: Service, audit: AuditEntry) -> Stored<()> {
        self.answered(self.change().await?.put_service(service, audit).await?)
    }

    async fn spend_nonce(&self, nonce: SpentNonce) -> Stored<Commit> {
        self.answered(self.change().await?.spend_nonce(nonce).await?)
    }

    async fn is_spent(&self, digest: [u8; 32]) -> Stored<bool> {
        self.read().await?.is_spent(digest).await
    }

    /// Not counted: the issuer asks by itself, every second.
    async fn platform_keys(&self) -> Stored<Vec<PlatformKey>> {
        if self.trouble() == Trouble::Everything { Err(broken()) } else { self.model.platform_keys().await }
    }

    async fn add_platform_key(&self, key: PlatformKey) -> Stored<Commit> {
        self.answered(self.change().await?.add_platform_key(key).await?)
    }

    async fn reseal_platform_key(
        &self,
        key: PlatformKey,
        was: &Sealed<PlatformKey>,
        audit: AuditEntry,
    ) -> Stored<Commit> {
        self.answered(self.change().await?.reseal_platform_key(key, was, audit).await?)
    }

    async fn audit_tail(&self, after: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>> {
        self.read().await?.audit_tail(after, most).await
    }

    async fn audit_before(&self, before: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>> {
        self.read().await?.audit_before(before, most).await
    }

    async fn write_audit(&self, audit: AuditEntry) -> Stored<()> {
        self.answered(self.change().await?.write_audit(audit).await?)
    }
}
