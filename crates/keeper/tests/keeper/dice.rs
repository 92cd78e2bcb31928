//! Chance and time of a simulated world, both from one seed.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use mintkeep_protocol::port::entropy::Entropy;
use mintkeep_protocol::time::{Clock, Timestamp};
use tokio::time::Instant;

/// A seeded generator, shared by all who need chance. `SplitMix64`, by Steele, Lea and Flood.
pub struct Dice(AtomicU64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub fn roll(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From zero up to, not including, `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.roll().checked_rem(end).unwrap_or_default()
    }

    /// Whether something of so many per thousand happens.
    pub fn happens(&self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub fn wait(&self, most: Duration) -> Duration {
        Duration::from_millis(self.below(u64::try_from(most.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Entropy for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.roll().to_le_bytes()) {
                *to = from;
            }
        }
    }
}

/// The runtime's paused time, from noon in China on; and a clock beside it that somebody may set.
pub struct SimClock {
    began: Instant,
    set_by_ms: AtomicI64,
}

/// 2026-06-01T12:00+08:00: far from the midnight at which quotas start anew.
const NOON: Timestamp = Timestamp::from_unix_ms(1_780_286_400_000);

impl SimClock {
    pub fn start() -> Self {
        Self { began: Instant::now(), set_by_ms: AtomicI64::new(0) }
    }

    /// What time it really is.
    pub fn truth(&self) -> Timestamp {
        NOON.after(self.began.elapsed())
    }

    /// Sets the clock that keepers see, so many milliseconds off the truth.
    pub fn set(&self, by_ms: i64) {
        self.set_by_ms.store(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.truth().unix_ms().saturating_add(self.set_by_ms.load(Ordering::Relaxed)))
    }
}
