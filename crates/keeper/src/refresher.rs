//! The refresher: begins each slot's renewal at its time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mintkeep_protocol::keep::history::Cause;
use mintkeep_protocol::keep::slot::SlotKey;
use mintkeep_protocol::keep::timetable::start_at;
use mintkeep_protocol::time::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::keeper::Keeper;
use crate::renewal::Errand;

/// The timetable is looked at this often at least, so that a clock which somebody set is noticed.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);
/// A clock that falls behind the monotonic one by more than this was set back: tokens end earlier than
/// their times say now.
pub(crate) const SET_BACK_MIN: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Plan {
    by_time: BTreeSet<(Timestamp, SlotKey)>,
    by_key: HashMap<SlotKey, Timestamp>,
}

/// When each slot is due.
#[derive(Default)]
pub(crate) struct Timetable {
    plan: Mutex<Plan>,
    wake: Notify,
}

impl Timetable {
    /// Plans a slot for `at` and no other time; `None`: for no time.
    pub(crate) fn plan(&self, key: &SlotKey, at: Option<Timestamp>) {
        let mut plan = self.lock();
        if let Some(before) = plan.by_key.remove(key) {
            plan.by_time.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            let is_first = plan.by_time.first().is_none_or(|(first, _)| at < *first);
            plan.by_time.insert((at, key.clone()));
            plan.by_key.insert(key.clone(), at);
            if is_first {
                self.wake.notify_one();
            }
        }
    }

    /// Plans a slot for `at`, unless it is planned already.
    pub(crate) fn plan_if_none(&self, key: &SlotKey, at: Timestamp) {
        let is_planned = self.lock().by_key.contains_key(key);
        if !is_planned {
            self.plan(key, Some(at));
        }
    }

    /// Wakes the refresher, to look at the clock again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn take_due(&self, now: Timestamp) -> Vec<SlotKey> {
        let mut plan = self.lock();
        let mut due = Vec::new();
        while let Some((at, _)) = plan.by_time.first()
            && *at <= now
            && let Some((_, key)) = plan.by_time.pop_first()
        {
            plan.by_key.remove(&key);
            due.push(key);
        }
        due
    }

    /// When a slot is looked at next.
    pub(crate) fn at(&self, key: &SlotKey) -> Option<Timestamp> {
        self.lock().by_key.get(key).copied()
    }

    fn next(&self) -> Option<Timestamp> {
        self.lock().by_time.first().map(|(at, _)| *at)
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the process stops.
pub(crate) async fn run(keeper: Arc<Keeper>, mut watch: ClockWatch) {
    let places = Arc::new(Semaphore::new(keeper.settings.renewals_at_once_max));
    loop {
        if watch.was_set_back(&keeper) {
            plan_all_anew(&keeper);
        }
        for key in keeper.timetable.take_due(keeper.clock.now()) {
            let place = tokio::select! {
                biased;
                () = keeper.tasks.stopping() => return,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let errand = Errand::new(Cause::Timetable);
            // Nobody waits for it here; its end plans the slot's next time.
            drop(keeper.fly(&key, errand, place.ok()));
        }
        let next = keeper.timetable.next();
        let wait = next.map_or(LOOK_EVERY_MAX, |at| at.since(keeper.clock.now()).min(LOOK_EVERY_MAX));
        tokio::select! {
            biased;
            () = keeper.tasks.stopping() => return,
            () = tokio::time::sleep(wait) => {}
            () = keeper.timetable.wake.notified() => {}
        }
    }
}

/// Compares the wall clock with the monotonic one, since before the first slot was planned.
pub(crate) struct ClockWatch {
    wall: Timestamp,
    monotonic: Instant,
}

impl ClockWatch {
    pub(crate) fn new(keeper: &Keeper) -> Self {
        Self { wall: keeper.clock.now(), monotonic: Instant::now() }
    }

    fn was_set_back(&mut self, keeper: &Keeper) -> bool {
        let expected = self.wall.after(self.monotonic.elapsed());
        *self = Self::new(keeper);
        expected.since(self.wall) > SET_BACK_MIN
    }
}

/// Has every slot of the shelf looked at soon, spread like a start: a token that was asked for later than it is now is
/// renewed whatever its times say, and whoever holds a lease may not be at it any more.
fn plan_all_anew(keeper: &Keeper) {
    let now = keeper.clock.now();
    tracing::warn!(
        "the clock was set back: every token is looked at, and renewed if it was asked for later than it is now"
    );
    // In the order of their keys, so that the same chances give the same plan.
    let mut leaves: Vec<_> = keeper.shelf.all().collect();
    leaves.sort_by(|left, right| left.key.cmp(&right.key));
    for leaf in leaves {
        if keeper.due_at(&leaf).is_some() {
            let end = leaf.kept.as_ref().map(|kept| kept.expires_at);
            keeper.timetable.plan(&leaf.key, Some(start_at(now, now, end, keeper.chance())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use bytes::Bytes;
    use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing, MasterKeys};
    use mintkeep_protocol::ident::RecordId;
    use mintkeep_protocol::keep::slot::Slot;
    use mintkeep_protocol::port::entropy::SystemEntropy;
    use mintkeep_protocol::port::upstream::{Upstream, UpstreamFault};
    use mintkeep_protocol::time::Clock;
    use mintkeep_store::MemoryStore;
    use mintkeep_web::tasks::Tasks;

    use crate::keeper::KeeperParts;
    use crate::settings::KeeperSettings;
    use crate::shelf::Leaf;

    /// A world in which nobody may ask a platform for anything.
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_ms(1_800_000_000_000)
        }
    }

    #[async_trait]
    impl Upstream for Still {
        async fn send(
            &self,
            _: &str,
            _: http::Request<Bytes>,
        ) -> Result<http::Response<Bytes>, UpstreamFault> {
            panic!("a platform is asked")
        }
    }

    #[tokio::test]
    async fn a_slot_that_was_shelved_as_its_credential_was_removed_is_looked_at_once() {
        let keeper = Keeper::new(KeeperParts {
            store: Arc::new(MemoryStore::new()),
            upstream: Arc::new(Still),
            clock: Arc::new(Still),
            entropy: Arc::new(SystemEntropy),
            master: Arc::new(MasterKeys::new(MasterKeyRing::new(MasterKey::new(&[7; 32]), vec![]))),
            tasks: Tasks::single_threaded(),
            settings: KeeperSettings::default(),
        });
        let slot = Slot::empty(key(1), Still.now());
        let leaf = Arc::new(Leaf::open(&slot, &keeper.seals).unwrap());
        assert_eq!(keeper.due_at(&leaf), Some(Still.now()));
        keeper.shelf.put(&leaf);
        let ticket = keeper.fly(&key(1), Errand::new(Cause::Timetable), None);
        assert!(ticket.landed().await.is_none(), "nothing was done");
        assert_eq!(keeper.timetable.next(), None);
        assert!(keeper.shelf.get(&key(1)).is_none());
    }

    fn key(number: i64) -> SlotKey {
        SlotKey { credential: RecordId::from_number(number), customer: None }
    }

    #[test]
    fn a_slot_is_due_once_at_its_last_planned_time() {
        let at = Timestamp::from_unix_ms;
        let timetable = Timetable::default();
        timetable.plan(&key(1), Some(at(10)));
        timetable.plan(&key(2), Some(at(10)));
        timetable.plan(&key(1), Some(at(20)));
        timetable.plan_if_none(&key(1), at(5));
        assert_eq!(timetable.take_due(at(9)), []);
        assert_eq!(timetable.take_due(at(10)), [key(2)]);
        assert_eq!(timetable.next(), Some(at(20)));
        timetable.plan(&key(1), None);
        assert_eq!(timetable.take_due(at(99)), []);
    }
}
