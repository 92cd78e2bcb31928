//! A map for many readers: 256 shards, each behind a lock that is held for a lookup and no longer.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ahash::{HashMap, RandomState};

const SHARDS: usize = 256;

type Shard<K, V> = RwLock<HashMap<K, Arc<V>>>;

/// The map. Values are shared, so a reader keeps what it found while a writer replaces it.
pub(crate) struct Sharded<K, V> {
    shards: Box<[Shard<K, V>]>,
    hasher: RandomState,
}

impl<K: Eq + Hash + Clone, V> Sharded<K, V> {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard(key).and_then(|shard| reading(shard).get(key).cloned())
    }

    /// Puts `value` in unless `keeps` prefers what is there. Gives what was there before, or the value back.
    pub(crate) fn put_unless(
        &self,
        key: &K,
        value: Arc<V>,
        keeps: impl FnOnce(&V) -> bool,
    ) -> Result<Option<Arc<V>>, Arc<V>> {
        let Some(shard) = self.shard(key) else { return Err(value) };
        let mut shard = writing(shard);
        if shard.get(key).is_some_and(|present| keeps(present)) {
            return Err(value);
        }
        Ok(shard.insert(key.clone(), value))
    }

    pub(crate) fn remove_if(&self, key: &K, is_gone: impl FnOnce(&V) -> bool) -> Option<Arc<V>> {
        let mut shard = writing(self.shard(key)?);
        if shard.get(key).is_some_and(|present| is_gone(present)) { shard.remove(key) } else { None }
    }

    /// All values, shard by shard: each as it was when its shard's turn came.
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<V>> {
        let values = |shard: &Shard<K, V>| {
            let shard = reading(shard);
            // Most shards of a small map are empty, and whoever looks at all values does so often.
            (!shard.is_empty()).then(|| shard.values().cloned().collect::<Vec<_>>())
        };
        self.shards.iter().filter_map(values).flatten()
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> Option<&Shard<K, V>> {
        let index = usize::try_from(self.hasher.hash_one(key)).unwrap_or_default() % SHARDS;
        self.shards.get(index)
    }
}

fn reading<K, V>(shard: &Shard<K, V>) -> RwLockReadGuard<'_, HashMap<K, Arc<V>>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn writing<K, V>(shard: &Shard<K, V>) -> RwLockWriteGuard<'_, HashMap<K, Arc<V>>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}
