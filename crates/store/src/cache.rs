//! Recently used records in memory, bounded, in front of a store that is asked only for the others.
//!
//! Whoever commits a change puts the new record here before it answers, so whoever asks after an answer
//! sees what was answered. A load that a change overtakes does not get its old record in: the change
//! takes the load's place in the cache.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::port::issuer_store::{Remembered, Stored};
use mintkeep_protocol::record::{Customer, Grant, Pool, PoolKey, Service};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::change::Change;

/// Most apps in memory, by id and once more by number. An app is 1 to 4 KiB.
const APPS_MAX: usize = 10_000;
/// Most pools in memory, about 250 bytes each.
const POOLS_MAX: usize = 50_000;
/// Most grants in memory, about 500 bytes each.
const GRANTS_MAX: usize = 100_000;
/// Most customers in memory, about 300 bytes each.
const CUSTOMERS_MAX: usize = 50_000;
/// Most services in memory.
const SERVICES_MAX: usize = 1_000;

/// The issuer's records that were used last.
pub struct RecordCache {
    pub apps: Shelf<AppId, App>,
    pub apps_by_no: Shelf<RecordId, App>,
    pub pools: Shelf<PoolKey, Pool>,
    pub grants: Shelf<RecordId, Grant>,
    pub customers: Shelf<CustomerId, Customer>,
    pub services: Shelf<ServiceId, Service>,
}

impl RecordCache {
    /// An empty cache in front of a store that nobody else changes.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// An empty cache in front of a store that others change too: no record is used that was loaded longer
    /// than `age_max` ago.
    pub fn aging(age_max: Duration) -> Self {
        Self::with(Some(age_max))
    }

    fn with(age_max: Option<Duration>) -> Self {
        Self {
            apps: Shelf::new(APPS_MAX, age_max),
            apps_by_no: Shelf::new(APPS_MAX, age_max),
            pools: Shelf::new(POOLS_MAX, age_max),
            grants: Shelf::new(GRANTS_MAX, age_max),
            customers: Shelf::new(CUSTOMERS_MAX, age_max),
            services: Shelf::new(SERVICES_MAX, age_max),
        }
    }

    /// Shows what became of a change.
    pub fn settle(&self, change: &Change, is_done: bool) {
        if is_done {
            self.publish(change);
        } else {
            self.forget(change);
        }
    }

    /// Shows a change that is durable.
    pub fn publish(&self, change: &Change) {
        match change {
            Change::PutApp(app) => {
                self.apps.put(app.id.clone(), app.clone());
                self.apps_by_no.put(app.no, app.clone());
            }
            Change::DeleteApp(app) => {
                self.forget(change);
                self.forget_records_of(app.no);
            }
            Change::PutPool(pool) => self.pools.put(pool.key, pool.clone()),
            Change::PutGrant(grant) => self.grants.put(grant.id, grant.clone()),
            Change::PutCustomer(customer) => self.customers.put(customer.id.clone(), customer.clone()),
            Change::AddService(service) | Change::PutService(service) => {
                self.services.put(service.id.clone(), service.clone());
            }
            Change::SpendNonce(_)
            | Change::AddPlatformKey(_)
            | Change::ResealPlatformKey { .. }
            | Change::Keeper(_)
            | Change::Nothing => {}
        }
    }

    /// Drops the record of a change of which it is unknown whether it happened, or whose guard did not
    /// hold: the next reader asks the store.
    pub fn forget(&self, change: &Change) {
        match change {
            Change::PutApp(app) | Change::DeleteApp(app) => {
                self.apps.forget(&app.id);
                self.apps_by_no.forget(&app.no);
            }
            Change::PutPool(pool) => self.pools.forget(&pool.key),
            Change::PutGrant(grant) => self.grants.forget(&grant.id),
            Change::PutCustomer(customer) => self.customers.forget(&customer.id),
            Change::AddService(service) | Change::PutService(service) => self.services.forget(&service.id),
            Change::SpendNonce(_)
            | Change::AddPlatformKey(_)
            | Change::ResealPlatformKey { .. }
            | Change::Keeper(_)
            | Change::Nothing => {}
        }
    }

    /// Drops an app's pools and grants.
    pub fn forget_records_of(&self, app: RecordId) {
        self.pools.forget_all(|key, _| key.app == app);
        self.grants.forget_all(|_, grant| grant.app == app);
    }

    /// Drops every record.
    pub fn forget_everything(&self) {
        self.apps.forget_all(|_, _| true);
        self.apps_by_no.forget_all(|_, _| true);
        self.pools.forget_all(|_, _| true);
        self.grants.forget_all(|_, _| true);
        self.customers.forget_all(|_, _| true);
        self.services.forget_all(|_, _| true);
    }

    /// Drops one record that is known to be out of date.
    pub fn forget_remembered(&self, record: Remembered<'_>) {
        match record {
            Remembered::App(app) => {
                self.apps.forget(&app.id);
                self.apps_by_no.forget(&app.no);
            }
            Remembered::Pool(key) => self.pools.forget(&key),
            Remembered::Grant(id) => self.grants.forget(&id),
        }
    }
}

/// The cached records of one kind. That a record does not exist is remembered too, in the same bounds, and
/// the record's creation takes its place.
pub struct Shelf<K, V> {
    records: Cache<K, Known<V>>,
    age_max: Option<Duration>,
    /// How often [`Self::forget_all`] ran; it can't see a load under way, so the load sees it.
    sweeps: AtomicU64,
}

/// What is known of a record.
struct Known<V> {
    record: Option<Arc<V>>,
    /// Until when; `None`: until it is changed.
    until: Option<Instant>,
}

impl<V> Clone for Known<V> {
    fn clone(&self) -> Self {
        Self { record: self.record.clone(), until: self.until }
    }
}

impl<V> Known<V> {
    fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl<K: Hash + Eq + Clone, V> Shelf<K, V> {
    fn new(records_max: usize, age_max: Option<Duration>) -> Self {
        Self { records: Cache::new(records_max), age_max, sweeps: AtomicU64::new(0) }
    }

    /// The record from memory, or else by `load`; of many who ask for one record at once, one loads it.
    pub async fn get_or_load(
        &self,
        key: &K,
        load: impl Future<Output = Stored<Option<V>>>,
    ) -> Stored<Option<Arc<V>>> {
        if let Some(known) = self.records.get(key) {
            if known.is_fresh() {
                return Ok(known.record);
            }
            self.records.remove_if(key, |known| !known.is_fresh());
        }
        let sweeps = self.sweeps.load(Ordering::SeqCst);
        let place = match self.records.get_value_or_guard_async(key).await {
            Ok(known) => return Ok(known.record),
            Err(place) => place,
        };
        let until = self.until();
        let record = load.await?.map(Arc::new);
        // A change that came meanwhile has taken the place and is newer; then this record is not kept.
        let _ = place.insert(Known { record: record.clone(), until });
        if self.sweeps.load(Ordering::SeqCst) != sweeps {
            self.forget(key);
        }
        Ok(record)
    }

    fn put(&self, key: K, record: Arc<V>) {
        self.records.insert(key, Known { record: Some(record), until: self.until() });
    }

    /// When what is learned now is too old; counted from before it is asked for.
    fn until(&self) -> Option<Instant> {
        self.age_max.and_then(|age_max| Instant::now().checked_add(age_max))
    }

    /// Drops one record.
    pub fn forget(&self, key: &K) {
        self.records.remove(key);
    }

    /// Drops every record that is `meant`, and whatever is being loaded now.
    pub fn forget_all(&self, meant: impl Fn(&K, &V) -> bool) {
        self.sweeps.fetch_add(1, Ordering::SeqCst);
        self.records.retain(|key, known| !known.record.as_ref().is_some_and(|record| meant(key, record)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_load_that_a_change_overtakes_leaves_the_newer_record() {
        let shelf = Shelf::<u8, &str>::new(8, None);
        let load = async {
            shelf.put(1, Arc::new("new"));
            Ok(Some("old"))
        };
        shelf.get_or_load(&1, load).await.unwrap();
        let kept = shelf.get_or_load(&1, async { Ok(None) }).await.unwrap();
        assert_eq!(kept.as_deref(), Some(&"new"));
    }

    #[tokio::test]
    async fn a_load_that_a_removal_overtakes_is_not_kept() {
        type Removal = fn(&Shelf<u8, &str>);
        let removals: [(&str, Removal); 2] =
            [("one", |shelf| shelf.forget(&1)), ("all", |shelf| shelf.forget_all(|_, _| true))];
        for (case, remove) in removals {
            let shelf = Shelf::<u8, &str>::new(8, None);
            let load = async {
                remove(&shelf);
                Ok(Some("old"))
            };
            shelf.get_or_load(&1, load).await.unwrap();
            assert_eq!(shelf.get_or_load(&1, async { Ok(None) }).await.unwrap(), None, "{case}");
        }
    }

    #[tokio::test]
    async fn a_record_that_does_not_exist_is_asked_for_once_until_it_is_made() {
        let shelf = Shelf::<u8, &str>::new(8, None);
        assert_eq!(shelf.get_or_load(&1, async { Ok(None) }).await.unwrap(), None);
        let again = shelf.get_or_load(&1, async { panic!("the store is not asked again") }).await;
        assert_eq!(again.unwrap(), None);
        shelf.put(1, Arc::new("made"));
        let made = shelf.get_or_load(&1, async { Ok(None) }).await.unwrap();
        assert_eq!(made.as_deref(), Some(&"made"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_others_may_have_changed_is_asked_for_again_when_it_is_too_old() {
        let shelf = Shelf::<u8, &str>::new(8, Some(Duration::from_secs(1)));
        let ask = |answer| shelf.get_or_load(&1, async move { Ok(Some(answer)) });
        assert_eq!(ask("first").await.unwrap().as_deref(), Some(&"first"));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(ask("second").await.unwrap().as_deref(), Some(&"first"), "still fresh");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(ask("third").await.unwrap().as_deref(), Some(&"third"));
    }
}
