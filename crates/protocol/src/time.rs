//! Points in time, in milliseconds, and the clock that is asked for them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch, UTC.
///
/// Every lifetime here is half-open: a thing is good while `now < expires_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Makes a timestamp from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn unix_s(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The instant `wait` later; the end of time if that can't be told.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The instant `wait` earlier; the beginning of time if that can't be told.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `earlier` until `self`; zero if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The day this instant falls on, counted in UTC+8 since 1970-01-01.
    ///
    /// The platforms' daily quotas start anew at midnight in China, which has had no other offset
    /// since 1991.
    #[must_use]
    pub const fn quota_day(self) -> i64 {
        const CHINA_OFFSET_MS: i64 = 8 * 3_600_000;
        self.0.saturating_add(CHINA_OFFSET_MS).div_euclid(86_400_000)
    }
}

/// Who is asked what time it is. The system's clock in production, a movable one in the sandbox.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_at_the_ends_of_time_saturates() {
        let end = Timestamp::from_unix_ms(i64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(Timestamp::from_unix_ms(i64::MIN).before(Duration::MAX).unix_ms(), i64::MIN);
        assert_eq!(Timestamp::from_unix_ms(5).since(Timestamp::from_unix_ms(9)), Duration::ZERO);
    }

    #[test]
    fn a_quota_day_starts_at_midnight_in_china() {
        // 1970-01-01T15:59:59.999Z is 23:59:59.999 in China, a millisecond later is the next day.
        assert_eq!(Timestamp::from_unix_ms(57_599_999).quota_day(), 0);
        assert_eq!(Timestamp::from_unix_ms(57_600_000).quota_day(), 1);
    }
}
