//! Who failed to prove itself, and how often.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mintkeep_protocol::ident::AppId;
use mintkeep_protocol::time::Timestamp;

/// How many failures of one caller are answered as what they are, in each window.
const FAILURES_MAX: u32 = 10;
/// The window in which failures are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// How many callers are counted at once. Past that, further ones are over the limit from their first failure.
const CALLERS_MAX: usize = 10_000;

/// A caller: its address, and the app that it says it is.
pub(super) type Who = (IpAddr, AppId);

#[derive(Debug, Clone, Copy)]
struct Failed {
    since: Timestamp,
    times: u32,
}

/// Counts failures. A good proof is never refused for the failures before it.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<Who, Failed>>);

impl Throttle {
    /// Notes a failure; `true`: it is one too many.
    pub(super) fn failed(&self, who: Who, now: Timestamp) -> bool {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = |failed: &Failed| failed.since <= now && now < failed.since.after(WINDOW);
        if callers.len() >= CALLERS_MAX && !callers.contains_key(&who) {
            callers.retain(|_, failed| is_current(failed));
            if callers.len() >= CALLERS_MAX {
                return true;
            }
        }
        let failed = callers.entry(who).or_insert(Failed { since: now, times: 0 });
        if !is_current(failed) {
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

    fn who(n: u32) -> Who {
        (IpAddr::from(n.to_be_bytes()), AppId::parse("wx1").unwrap())
    }

    #[test]
    fn the_eleventh_failure_within_a_minute_is_one_too_many_for_that_caller_alone() {
        let throttle = Throttle::default();
        let before_end = NOW.after(WINDOW).before(Duration::from_millis(1));
        assert!((0..10).all(|_| !throttle.failed(who(1), NOW)));
        assert!(throttle.failed(who(1), before_end));
        assert!(!throttle.failed(who(2), before_end), "another address");
        assert!(!throttle.failed((who(1).0, AppId::parse("wx2").unwrap()), before_end), "another app");
        assert!(!throttle.failed(who(1), NOW.after(WINDOW)), "a new window");
    }

    #[test]
    fn callers_past_the_bound_are_not_counted_and_those_of_past_windows_make_room() {
        let throttle = Throttle::default();
        for n in 0..u32::try_from(CALLERS_MAX).unwrap() {
            assert!(!throttle.failed(who(n), NOW));
        }
        assert!(throttle.failed(who(u32::MAX), NOW));
        assert!(!throttle.failed(who(u32::MAX), NOW.after(WINDOW)));
        assert_eq!(throttle.0.lock().unwrap().len(), 1);
    }
}
