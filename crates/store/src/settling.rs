//! Whether the clock may be believed when it says that something is long dead.

use std::time::Duration;

use mintkeep_protocol::time::Timestamp;
use tokio::time::Instant;

/// How long the clock has to run without a leap, since the start too, before anything is deleted by it. A clock that
/// is wrong by years, for a moment, would else cost every record that is good by the right one.
pub const SETTLED_AFTER: Duration = Duration::from_hours(1);

/// By how much the clock outruns the monotonic one, from one look to the next, when it leaps.
const LEAP_MIN: Duration = Duration::from_mins(1);

/// Compares the clock with the monotonic one at each look.
#[derive(Debug, Default)]
pub struct Settling {
    looked: Option<(Timestamp, Instant)>,
    even_since: Option<Instant>,
}

impl Settling {
    /// Whether the clock, which reads `now`, ran without a leap for [`SETTLED_AFTER`]. One that is set back leaps
    /// nowhere: by it less is dead than there is.
    pub fn has_settled(&mut self, now: Timestamp, at: Instant) -> bool {
        let (then, then_at) = self.looked.replace((now, at)).unwrap_or((now, at));
        let ahead = now.since(then.after(at.duration_since(then_at)));
        if ahead >= LEAP_MIN {
            tracing::warn!(
                ahead_s = ahead.as_secs(),
                wait_s = SETTLED_AFTER.as_secs(),
                "the clock leapt ahead: nothing is deleted until it ran evenly for a while; set it right before then"
            );
            self.even_since = None;
        }
        at.duration_since(*self.even_since.get_or_insert(at)) >= SETTLED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_believed_after_an_hour_without_a_leap() {
        const MIN_S: i64 = 60;
        const YEAR_S: i64 = 31_536_000;
        let begin = Instant::now();
        let mut settling = Settling::default();
        let looks = [
            // (what, seconds since the start, how far the clock is ahead of them, whether it is believed)
            ("the start", 0, 0, false),
            ("nearly an hour", 60 * MIN_S - 1, 0, false),
            ("an hour", 60 * MIN_S, 0, true),
            ("put right by less than a minute", 61 * MIN_S, MIN_S - 1, true),
            ("a leap", 62 * MIN_S, YEAR_S, false),
            ("set back", 63 * MIN_S, 0, false),
            ("nearly an hour after it", 122 * MIN_S - 1, 0, false),
            ("an hour after it", 122 * MIN_S, 0, true),
            ("set back a year", 123 * MIN_S, -YEAR_S, true),
            ("and right again", 124 * MIN_S, 0, false),
        ];
        for (what, elapsed_s, ahead_s, believed) in looks {
            let at = begin + Duration::from_secs(u64::try_from(elapsed_s).unwrap());
            let read_s = 1_800_000_000_i64.saturating_add(elapsed_s).saturating_add(ahead_s);
            let now = Timestamp::from_unix_ms(read_s.saturating_mul(1_000));
            assert_eq!(settling.has_settled(now, at), believed, "{what}");
        }
    }
}
