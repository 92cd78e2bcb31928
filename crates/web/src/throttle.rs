//! Who failed to prove itself, and how often.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mintkeep_protocol::time::Timestamp;

/// How many failures of one caller are answered as what they are, in each window.
const FAILURES_MAX: u32 = 10;
/// The window in which failures are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// How many callers are counted at once. Past that, further ones are over the limit from their first failure.
const CALLERS_MAX: usize = 10_000;
/// How often room is made among them: all are looked through for it, which each further stranger would pay for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
struct Failed {
    since: Timestamp,
    times: u32,
}

/// Counts the failures of callers, each named by a `Who`. Whether a good proof is looked at after too many
/// failures is its user's to decide.
pub struct Throttle<Who>(Mutex<Callers<Who>>);

struct Callers<Who> {
    failed: HashMap<Who, Failed>,
    swept_at: Option<Timestamp>,
}

impl<Who> Default for Throttle<Who> {
    fn default() -> Self {
        Self(Mutex::new(Callers { failed: HashMap::new(), swept_at: None }))
    }
}

impl<Who: Eq + Hash> Callers<Who> {
    /// Whether one more can be counted, once those whose window is over have made room.
    fn have_room(&mut self, now: Timestamp) -> bool {
        let is_swept = self.swept_at.is_some_and(|at| at <= now && now < at.after(SWEEP_EVERY));
        if self.failed.len() >= CALLERS_MAX && !is_swept {
            self.swept_at = Some(now);
            self.failed.retain(|_, failed| failed.is_current(now));
        }
        self.failed.len() < CALLERS_MAX
    }
}

impl Failed {
    fn is_current(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.since.after(WINDOW)
    }
}

impl<Who: Eq + Hash> Throttle<Who> {
    /// When the caller may try again, if it failed as often as it may.
    pub fn over_until(&self, who: &Who, now: Timestamp) -> Option<Timestamp> {
        let callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = callers.failed.get(who).filter(|failed| failed.is_current(now))?;
        (failed.times >= FAILURES_MAX).then(|| failed.since.after(WINDOW))
    }

    /// Notes a failure; `true`: it is one too many.
    pub fn failed(&self, who: Who, now: Timestamp) -> bool {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !callers.failed.contains_key(&who) && !callers.have_room(now) {
            return true;
        }
        let failed = callers.failed.entry(who).or_insert(Failed { since: now, times: 0 });
        if !failed.is_current(now) {
            *failed = Failed { since: now, times: 0 };
        }
        failed.times = failed.times.saturating_add(1);
        failed.times > FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn who(n: u32) -> (u32, &'static str) {
        (n, "wx1")
    }

    #[test]
    fn the_eleventh_failure_within_a_minute_is_one_too_many_for_that_caller_alone() {
        let throttle = Throttle::default();
        let before_end = NOW.after(WINDOW).before(Duration::from_millis(1));
        assert!((0..10).all(|_| !throttle.failed(who(1), NOW)));
        assert!(throttle.failed(who(1), before_end));
        assert!(!throttle.failed(who(2), before_end), "another address");
        assert!(!throttle.failed((1, "wx2"), before_end), "another app");
        assert!(!throttle.failed(who(1), NOW.after(WINDOW)), "a new window");
    }

    #[test]
    fn who_failed_ten_times_is_over_until_the_window_ends() {
        let throttle = Throttle::default();
        let end = NOW.after(WINDOW);
        for _ in 0..9 {
            throttle.failed(who(1), NOW);
        }
        assert_eq!(throttle.over_until(&who(1), NOW), None);
        throttle.failed(who(1), NOW);
        let last = end.before(Duration::from_millis(1));
        assert_eq!(throttle.over_until(&who(1), last), Some(end));
        assert_eq!((throttle.over_until(&who(1), end), throttle.over_until(&who(2), NOW)), (None, None));
    }

    #[test]
    fn all_callers_are_looked_through_once_a_second_however_many_strangers_fail() {
        let throttle = Throttle::default();
        for n in 0..u32::try_from(CALLERS_MAX).unwrap() {
            throttle.failed(who(n), NOW);
        }
        let (end, ms) = (NOW.after(WINDOW), Duration::from_millis(1));
        assert!(throttle.failed(who(u32::MAX), end.before(ms)), "nobody's window is over");
        let next = end.before(ms).after(SWEEP_EVERY);
        assert!(throttle.failed(who(u32::MAX), next.before(ms)), "it is not looked again so soon");
        assert!(!throttle.failed(who(u32::MAX), next), "they have made room");
    }

    #[test]
    fn callers_past_the_bound_are_not_counted_and_those_of_past_windows_make_room() {
        let throttle = Throttle::default();
        for n in 0..u32::try_from(CALLERS_MAX).unwrap() {
            assert!(!throttle.failed(who(n), NOW));
        }
        assert!(throttle.failed(who(u32::MAX), NOW));
        assert!(!throttle.failed(who(u32::MAX), NOW.after(WINDOW)));
        assert_eq!(throttle.0.lock().unwrap().failed.len(), 1);
    }
}
