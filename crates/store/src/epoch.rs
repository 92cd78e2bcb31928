//! Which epoch a store is in after it was restored from a backup.

use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::{Generation, StoreEpoch};

/// The name of the epoch's number among the store's own numbers.
pub const NUMBER: &str = "epoch";

/// The name of its first generation. The version before this one knows the number alone.
pub const FIRST: &str = "epoch_first";

/// The epoch of which a store has these numbers.
pub fn from_stored(number: Option<i64>, first: Option<i64>) -> StoreEpoch {
    let epoch = StoreEpoch::new(number.and_then(|number| u16::try_from(number).ok()).unwrap_or_default());
    let first = StoreEpoch::from_first(Generation::from_number(first.unwrap_or_default()));
    // A version that does not know the other may have begun this one.
    if first.number() == epoch.number() { first } else { epoch }
}

/// The epoch that begins now in a restored store which has `stored` in it.
///
/// It is one that no store before had: its number is later than the backup's, and it begins no earlier than the
/// calendar's, so that a backup that is restored twice does not give the same epoch twice.
pub fn after_restore(stored: StoreEpoch, now: Timestamp) -> StoreEpoch {
    const START: Timestamp = Timestamp::from_unix_ms(1_767_225_600_000);
    let since_ms = u64::try_from(now.since(START).as_millis()).unwrap_or(u64::MAX);
    // The calendar has not passed a backup of a store that was itself restored in the hours before.
    let next = later(StoreEpoch::new(stored.number().saturating_add(1)), since_ms);
    next.max(calendar_epoch(since_ms))
}

/// Counts stretches of four hours since 2026; enough for thirty years. In each of them a millisecond later begins 65,536
/// generations later, so that no record gets there by being minted.
fn calendar_epoch(since_ms: u64) -> StoreEpoch {
    const STRETCH_MS: u64 = 4 * 3_600_000;
    const MS_BITS: u32 = 16;
    let stretch = StoreEpoch::new(u16::try_from(since_ms / STRETCH_MS).unwrap_or(u16::MAX));
    later(stretch, (since_ms % STRETCH_MS) << MS_BITS)
}

/// `epoch`, beginning so many generations later.
fn later(epoch: StoreEpoch, generations: u64) -> StoreEpoch {
    let generations = i64::try_from(generations).unwrap_or(i64::MAX);
    StoreEpoch::from_first(Generation::from_number(epoch.first().number().saturating_add(generations)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_348_800_000;

    #[test]
    fn an_epoch_begins_later_than_any_that_began_before_it() {
        let calendar = after_restore(StoreEpoch::default(), Timestamp::from_unix_ms(NOON)).number();
        for stored in [0, calendar - 1, calendar, calendar + 1, calendar + 9] {
            let mut before = StoreEpoch::new(stored);
            for later_ms in [0, 1, 2, 60_000, 3 * 3_600_000, 5 * 3_600_000, 9 * 3_600_000] {
                let now = Timestamp::from_unix_ms(NOON + later_ms);
                let epoch = after_restore(StoreEpoch::new(stored), now);
                assert!(epoch > before, "{stored}, {later_ms} ms later: {epoch:?} {before:?}");
                assert!(
                    epoch.number() > stored && epoch.number() >= calendar,
                    "{stored}, {later_ms} ms later"
                );
                before = epoch;
            }
        }
    }

    #[test]
    fn an_epoch_that_a_version_began_which_knows_the_number_alone_is_of_that_number() {
        let begun = after_restore(StoreEpoch::default(), Timestamp::from_unix_ms(NOON));
        let (number, first) = (i64::from(begun.number()), begun.first().number());
        assert_eq!(from_stored(None, None), StoreEpoch::default());
        assert_eq!(from_stored(Some(number), Some(first)), begun);
        assert_eq!(from_stored(Some(number), None), StoreEpoch::new(begun.number()));
        assert_eq!(from_stored(Some(number + 1), Some(first)), StoreEpoch::new(begun.number() + 1));
    }
}
