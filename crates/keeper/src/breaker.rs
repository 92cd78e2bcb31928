//! A breaker per platform: after repeated faults one probe at a time goes through, and nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many faults in a row open the breaker.
const FAULTS_MAX: u32 = 5;
/// How long it is open first; doubled after each probe that fails.
const OPEN_FIRST: Duration = Duration::from_secs(2);
/// How long it is open at most.
const OPEN_MAX: Duration = Duration::from_secs(30);

#[derive(Default)]
struct State {
    faults: u32,
    open: Option<Open>,
}

struct Open {
    until: Instant,
    length: Duration,
    probing: bool,
}

/// The breakers, by base URL without a slash at its end: with one it is the same platform.
#[derive(Default)]
pub(crate) struct Breakers(Mutex<HashMap<String, State>>);

/// The permission to send one request. Must be told how it went; dropped untold, it counts as a fault, unless it was
/// given [for a caller](Self::for_caller).
pub(crate) struct Pass<'b> {
    breakers: &'b Breakers,
    base_url: &'b str,
    ending: Ending,
    is_probe: bool,
}

/// How a request ended, as far as its pass was told.
enum Ending {
    Answered,
    Faulty,
    Unknown,
}

impl Breakers {
    /// Whether a request may go out now.
    pub(crate) fn pass<'b>(&'b self, base_url: &'b str) -> Option<Pass<'b>> {
        let base_url = base_url.trim_end_matches('/');
        let mut states = self.lock();
        let open = states.get_mut(base_url).and_then(|state| state.open.as_mut());
        let is_probe = open.is_some();
        if let Some(open) = open {
            if open.probing || Instant::now() < open.until {
                return None;
            }
            open.probing = true;
        }
        Some(Pass { breakers: self, base_url, ending: Ending::Faulty, is_probe })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn withdrawn(&self, base_url: &str) {
        if let Some(open) = self.lock().get_mut(base_url).and_then(|state| state.open.as_mut()) {
            open.probing = false;
        }
    }

    /// Of what was under way when it opened, the faults are no news.
    fn failed(&self, base_url: &str, is_probe: bool) {
        let mut states = self.lock();
        let state = states.entry(base_url.to_owned()).or_default();
        state.faults = state.faults.saturating_add(1);
        let length = match &state.open {
            Some(_) if !is_probe => return,
            Some(open) => open.length.saturating_mul(2).min(OPEN_MAX),
            None if state.faults >= FAULTS_MAX => OPEN_FIRST,
            None => return,
        };
        let now = Instant::now();
        state.open = Some(Open { until: now.checked_add(length).unwrap_or(now), length, probing: false });
    }
}

impl Pass<'_> {
    /// Dropped untold it counts as nothing: a caller who hangs up, or is slow itself, is no fault of the platform's.
    pub(crate) fn for_caller(mut self) -> Self {
        self.ending = Ending::Unknown;
        self
    }

    /// The platform answered, whatever it said.
    pub(crate) fn answered(mut self) {
        self.ending = Ending::Answered;
    }

    /// The platform did not answer.
    pub(crate) fn failed(mut self) {
        self.ending = Ending::Faulty;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        match self.ending {
            Ending::Answered => {
                self.breakers.lock().remove(self.base_url);
            }
            Ending::Faulty => self.breakers.failed(self.base_url, self.is_probe),
            Ending::Unknown if self.is_probe => self.breakers.withdrawn(self.base_url),
            Ending::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breakers: &Breakers, url: &str) -> bool {
        breakers.pass(url).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_lets_one_probe_through_at_a_time() {
        let breakers = Breakers::default();
        for url in ["a", "a/"].into_iter().cycle().take(FAULTS_MAX.try_into().unwrap()) {
            assert!(fail(&breakers, url));
        }
        assert!(breakers.pass("a").is_none() && breakers.pass("a/").is_none(), "open");
        assert!(fail(&breakers, "b"), "another platform's is not");

        tokio::time::advance(OPEN_FIRST).await;
        let probe = breakers.pass("a").expect("the probe");
        assert!(breakers.pass("a").is_none(), "one at a time");
        drop(probe);
        tokio::time::advance(OPEN_FIRST).await;
        assert!(breakers.pass("a").is_none(), "open for twice as long");
        tokio::time::advance(OPEN_FIRST).await;
        breakers.pass("a").expect("the next probe").answered();
        assert!(breakers.pass("a").is_some() && breakers.pass("a").is_some(), "closed");
    }

    #[tokio::test(start_paused = true)]
    async fn however_long_a_platform_is_away_it_is_looked_at_every_half_minute() {
        let breakers = Breakers::default();
        for _ in 0..FAULTS_MAX {
            assert!(fail(&breakers, "a"));
        }
        for _ in 0..10 {
            tokio::time::advance(OPEN_MAX).await;
            assert!(fail(&breakers, "a"), "a probe");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_under_way_when_it_opened_neither_lengthens_it_nor_takes_the_probes_place() {
        let breakers = Breakers::default();
        let under_way = || breakers.pass("a").expect("closed");
        let early: Vec<_> = (0..FAULTS_MAX).map(|_| under_way()).collect();
        let late: Vec<_> = (0..FAULTS_MAX).map(|_| under_way()).collect();
        let (last, hung_up) = (under_way(), under_way().for_caller());
        drop(early);
        drop(late);
        tokio::time::advance(OPEN_FIRST).await;
        let _probe = breakers.pass("a").expect("open for no longer");
        drop((last, hung_up));
        assert!(breakers.pass("a").is_none(), "one at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_hangs_up_is_no_fault_and_leaves_the_probe_to_the_next() {
        let breakers = Breakers::default();
        for _ in 0..FAULTS_MAX {
            drop(breakers.pass("a").expect("closed").for_caller());
        }
        for _ in 0..FAULTS_MAX {
            breakers.pass("a").expect("closed still").for_caller().failed();
        }
        assert!(breakers.pass("a").is_none(), "open");
        tokio::time::advance(OPEN_FIRST).await;
        drop(breakers.pass("a").expect("the probe").for_caller());
        breakers.pass("a").expect("the next probe, at once").answered();
    }
}
