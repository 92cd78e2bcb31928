//! Which epoch a store is in after it was restored from a backup.

use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::StoreEpoch;

/// The epoch that begins now in a restored store which has `stored` in it.
///
/// It is one that no store before had: later than the backup's, and not earlier than the calendar's, so that
/// a backup that is restored twice does not give the same epoch twice.
pub fn after_restore(stored: StoreEpoch, now: Timestamp) -> StoreEpoch {
    StoreEpoch(stored.0.saturating_add(1)).max(calendar_epoch(now))
}

/// Counts stretches of four hours since 2026; enough for thirty years.
fn calendar_epoch(now: Timestamp) -> StoreEpoch {
    const START: Timestamp = Timestamp::from_unix_ms(1_767_225_600_000);
    const STRETCH_S: u64 = 4 * 3_600;
    StoreEpoch(u16::try_from(now.since(START).as_secs() / STRETCH_S).unwrap_or(u16::MAX))
}
