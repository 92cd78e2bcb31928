//! The model of a store: plain maps under one lock, nothing kept over a restart.

pub(crate) mod keeper;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery, IssuerStore, Stored};
use mintkeep_protocol::record::{
    AuditEntry, Customer, Grant, KeyPurpose, PlatformKey, Pool, PoolKey, Service, SpentNonce,
};
use mintkeep_protocol::token::StoreEpoch;

/// Every record in memory. For simulations, for rules under test, and as the model of the other stores.
#[derive(Default)]
pub struct MemoryStore {
    is_shared: bool,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    apps: BTreeMap<AppId, Arc<App>>,
    pools: BTreeMap<PoolKey, Arc<Pool>>,
    grants: BTreeMap<RecordId, Arc<Grant>>,
    customers: BTreeMap<CustomerId, Arc<Customer>>,
    services: BTreeMap<ServiceId, Arc<Service>>,
    spent_nonces: BTreeSet<[u8; 32]>,
    platform_keys: BTreeMap<(KeyPurpose, u32), PlatformKey>,
    /// Numbered from 1.
    audit: Vec<AuditEntry>,
    keeper: keeper::KeeperRecords,
}

impl Records {
    fn put_pool(&mut self, mut pool: Pool, audit: Option<AuditEntry>) -> Commit {
        let stored = self.pools.get(&pool.key).map_or(0, |stored| stored.revision);
        guarded(stored, pool.revision, || {
            pool.revision = pool.revision.saturating_add(1);
            self.pools.insert(pool.key, Arc::new(pool));
            self.audit.extend(audit);
        })
    }

    fn put_grant(&mut self, mut grant: Grant, audit: AuditEntry) -> Commit {
        let stored = self.grants.get(&grant.id).map_or(0, |stored| stored.revision);
        guarded(stored, grant.revision, || {
            grant.revision = grant.revision.saturating_add(1);
            self.grants.insert(grant.id, Arc::new(grant));
            self.audit.push(audit);
        })
    }

    /// Whether an app is still as it is here.
    fn is_stored(&self, app: &App) -> bool {
        self.apps.get(&app.id).is_some_and(|stored| (stored.no, stored.revision) == (app.no, app.revision))
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that several simulated processes use, as replicas use one database.
    #[must_use]
    pub fn shared() -> Self {
        Self { is_shared: true, ..Self::default() }
    }

    /// The records. No holder of this lock can leave them half changed, so poison means nothing.
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guard of every change: `stored` is the revision that is there, 0 if none is.
fn guarded(stored: i64, expected: i64, change: impl FnOnce()) -> Commit {
    if stored != expected {
        return Commit::Lost;
    }
    change();
    Commit::Done
}

#[async_trait]
impl IssuerStore for MemoryStore {
    fn is_shared(&self) -> bool {
        self.is_shared
    }

    async fn epoch(&self) -> Stored<StoreEpoch> {
        Ok(StoreEpoch::default())
    }

    async fn app(&self, id: &AppId) -> Stored<Option<Arc<App>>> {
        Ok(self.records().apps.get(id).cloned())
    }

    async fn app_by_no(&self, no: RecordId) -> Stored<Option<Arc<App>>> {
        Ok(self.records().apps.values().find(|app| app.no == no).cloned())
    }

    async fn apps(&self, after: Option<&AppId>, most: u32) -> Stored<Vec<Arc<App>>> {
        let records = self.records();
        let later = records.apps.values().filter(|app| after.is_none_or(|after| app.id > *after));
        Ok(later.take(count(most)).cloned().collect())
    }

    async fn put_app(&self, mut app: App, audit: AuditEntry) -> Stored<Commit> {
        let mut records = self.records();
        let same_id = records.apps.get(&app.id);
        let same_no = records.apps.values().find(|other| other.no == app.no);
        if same_id.map(|other| other.no) != same_no.map(|other| other.no) {
            return Ok(Commit::Lost);
        }
        Ok(guarded(same_no.map_or(0, |other| other.revision), app.revision, || {
            app.revision = app.revision.saturating_add(1);
            records.apps.insert(app.id.clone(), Arc::new(app));
            records.audit.push(audit);
        }))
    }

    async fn delete_app(&self, app: &App, audit: AuditEntry) -> Stored<Commit> {
        let mut records = self.records();
        let stored = records.apps.get(&app.id).filter(|stored| stored.no == app.no);
        if stored.is_none_or(|stored| stored.revision != app.revision) {
            return Ok(Commit::Lost);
        }
        records.apps.remove(&app.id);
        records.pools.retain(|key, _| key.app != app.no);
        records.grants.retain(|_, grant| grant.app != app.no);
        records.audit.push(audit);
        Ok(Commit::Done)
    }

    async fn pool(&self, key: PoolKey) -> Stored<Option<Arc<Pool>>> {
        Ok(self.records().pools.get(&key).cloned())
    }

    async fn commit_access(&self, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        Ok(self.records().put_pool(pool, audit))
    }

    async fn commit_access_for(&self, app: &App, pool: Pool, audit: Option<AuditEntry>) -> Stored<Commit> {
        let mut records = self.records();
        Ok(if records.is_stored(app) { records.put_pool(pool, audit) } else { Commit::Lost })
    }

    async fn grant(&self, id: RecordId) -> Stored<Option<Arc<Grant>>> {
        Ok(self.records().grants.get(&id).cloned())
    }

    async fn commit_grant(&self, grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        Ok(self.records().put_grant(grant, audit))
    }

    async fn commit_grant_for(&self, app: &App, grant: Grant, audit: AuditEntry) -> Stored<Commit> {
        let mut records = self.records();
        Ok(if records.is_stored(app) { records.put_grant(grant, audit) } else { Commit::Lost })
    }

    async fn grants(&self, query: &GrantQuery) -> Stored<Vec<Arc<Grant>>> {
        let records = self.records();
        let asked_for = records.grants.values().filter(|grant| {
            query.app.is_none_or(|app| grant.app == app)
                && query.customer.as_ref().is_none_or(|customer| grant.customer == *customer)
                && query.after.is_none_or(|after| grant.id > after)
        });
        Ok(asked_for.take(count(query.most)).cloned().collect())
    }

    async fn customer(&self, id: &CustomerId) -> Stored<Option<Arc<Customer>>> {
        Ok(self.records().customers.get(id).cloned())
    }

    async fn customers(&self, after: Option<&CustomerId>, most: u32) -> Stored<Vec<Arc<Customer>>> {
        let records = self.records();
        let later = records.customers.values().filter(|known| after.is_none_or(|after| known.id > *after));
        Ok(later.take(count(most)).cloned().collect())
    }

    async fn put_customer(&self, customer: Customer, audit: AuditEntry) -> Stored<()> {
        let mut records = self.records();
        records.customers.insert(customer.id.clone(), Arc::new(customer));
        records.audit.push(audit);
        Ok(())
    }

    async fn service(&self, id: &ServiceId) -> Stored<Option<Arc<Service>>> {
        Ok(self.records().services.get(id).cloned())
    }

    async fn services(&self, after: Option<&ServiceId>, most: u32) -> Stored<Vec<Arc<Service>>> {
        let records = self.records();
        let later = records.services.values().filter(|known| after.is_none_or(|after| known.id > *after));
        Ok(later.take(count(most)).cloned().collect())
    }

    async fn add_service(&self, service: Service, audit: AuditEntry) -> Stored<Commit> {
        let mut records = self.records();
        if records.services.contains_key(&service.id) {
            return Ok(Commit::Lost);
        }
        records.services.insert(service.id.clone(), Arc::new(service));
        records.audit.push(audit);
        Ok(Commit::Done)
    }

    async fn put_service(&self, service: Service, audit: AuditEntry) -> Stored<()> {
        let mut records = self.records();
        records.services.insert(service.id.clone(), Arc::new(service));
        records.audit.push(audit);
        Ok(())
    }

    async fn spend_nonce(&self, nonce: SpentNonce) -> Stored<Commit> {
        let is_first = self.records().spent_nonces.insert(nonce.digest);
        Ok(if is_first { Commit::Done } else { Commit::Lost })
    }

    async fn is_spent(&self, digest: [u8; 32]) -> Stored<bool> {
        Ok(self.records().spent_nonces.contains(&digest))
    }

    async fn platform_keys(&self) -> Stored<Vec<PlatformKey>> {
        Ok(self.records().platform_keys.values().cloned().collect())
    }

    async fn add_platform_key(&self, key: PlatformKey) -> Stored<Commit> {
        let mut records = self.records();
        let place = (key.purpose, key.version);
        if records.platform_keys.contains_key(&place) {
            return Ok(Commit::Lost);
        }
        records.platform_keys.insert(place, key);
        Ok(Commit::Done)
    }

    async fn reseal_platform_key(
        &self,
        key: PlatformKey,
        was: &Sealed<PlatformKey>,
        audit: AuditEntry,
    ) -> Stored<Commit> {
        let mut records = self.records();
        match records.platform_keys.get_mut(&(key.purpose, key.version)) {
            Some(stored) if stored.sealed.as_bytes() == was.as_bytes() => *stored = key,
            Some(_) | None => return Ok(Commit::Lost),
        }
        records.audit.push(audit);
        Ok(Commit::Done)
    }

    async fn audit_tail(&self, after: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>> {
        let records = self.records();
        let numbered = (1..).zip(records.audit.iter().cloned());
        if let Some(after) = after {
            return Ok(numbered.filter(|(n, _)| *n > after).take(count(most)).collect());
        }
        let surplus = records.audit.len().saturating_sub(count(most));
        Ok(numbered.skip(surplus).collect())
    }

    async fn audit_before(&self, before: Option<i64>, most: u32) -> Stored<Vec<(i64, AuditEntry)>> {
        let records = self.records();
        let numbered: Vec<_> = (1..).zip(&records.audit).collect();
        let earlier = numbered.into_iter().rev().filter(|(n, _)| before.is_none_or(|before| *n < before));
        Ok(earlier.take(count(most)).map(|(n, line)| (n, line.clone())).collect())
    }

    async fn write_audit(&self, audit: AuditEntry) -> Stored<()> {
        self.records().audit.push(audit);
        Ok(())
    }
}

/// A bound as the collections count it.
fn count(most: u32) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}
