//! What happened in a simulated world, in order: to tell when a promise breaks, and to compare two runs.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How many of the last events are told.
const TOLD_MAX: usize = 9_000;

pub struct Story {
    began: Instant,
    events: Mutex<Vec<Event>>,
    processes: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Event {
    after: Duration,
    /// Which process; zero: the world.
    who: u64,
    what: &'static str,
    how: &'static str,
    of: i64,
}

impl Story {
    pub fn begin() -> Self {
        Self { began: Instant::now(), events: Mutex::default(), processes: AtomicU64::new(1) }
    }

    /// The number of the next process that is started.
    pub fn another_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// `of`: which credential, or another number that two runs must have in common.
    pub fn note(&self, who: u64, what: &'static str, how: &'static str, of: i64) {
        let event = Event { after: self.began.elapsed(), who, what, how, of };
        self.events.lock().unwrap().push(event);
    }

    /// Where two runs part, if they do: the event that only one of them has at this place.
    pub fn parting(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self.events.lock().unwrap(), other.events.lock().unwrap());
        let same = ours.iter().zip(theirs.iter()).take_while(|(our, their)| our == their).count();
        let told = |events: &[Event]| events.get(same).map_or("the end".to_owned(), ToString::to_string);
        (same < ours.len().max(theirs.len()))
            .then(|| format!("event {same}: {} or {}", told(&ours), told(&theirs)))
    }

    pub fn len(&self) -> usize {
        self.events.lock().unwrap().len()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, who, what, how, of } = self;
        write!(f, "{:>12.3} s  {who}  {what} {of} {how}", after.as_secs_f64())
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.events.lock().unwrap();
        events.iter().skip(events.len().saturating_sub(TOLD_MAX)).try_for_each(|event| writeln!(f, "{event}"))
    }
}
