//! The calls of today that were granted without a write, and are stored with the next one.
//!
//! A `stable_token` that is the same again, and an extension within one second, change no record. They count
//! all the same; how many may be counted here alone is the rule's to say (`issue::access`).

use std::sync::{Mutex, PoisonError};

use ahash::HashMap;
use mintkeep_protocol::record::PoolKey;
use mintkeep_protocol::time::Timestamp;

/// Counts by pool, of the latest day that one of its calls came on.
#[derive(Default)]
pub struct Tally(Mutex<HashMap<PoolKey, Day>>);

#[derive(Clone, Copy)]
struct Day {
    number: i64,
    calls: u32,
}

impl Tally {
    /// Changes the count of the day of `now`; what it was before comes back.
    fn change(&self, key: PoolKey, now: Timestamp, change: impl FnOnce(u32) -> u32) -> u32 {
        let number = now.quota_day();
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let day = days.entry(key).or_insert(Day { number, calls: 0 });
        if day.number != number {
            *day = Day { number, calls: 0 };
        }
        let before = day.calls;
        day.calls = change(before);
        before
    }

    /// What is counted here and nowhere else.
    pub fn unsaved(&self, key: PoolKey, now: Timestamp) -> u32 {
        self.change(key, now, |calls| calls)
    }

    /// Counts `calls`; how many there were before comes back.
    pub fn add(&self, key: PoolKey, now: Timestamp, calls: u32) -> u32 {
        self.change(key, now, |before| before.saturating_add(calls))
    }

    /// Takes one call back that was counted and not granted.
    pub fn take_back(&self, key: PoolKey, now: Timestamp) {
        self.change(key, now, |before| before.saturating_sub(1));
    }

    /// Takes all that is counted, to store it.
    pub fn take(&self, key: PoolKey, now: Timestamp) -> Taken<'_> {
        Taken { tally: self, key, now, calls: self.change(key, now, |_taken| 0) }
    }
}

/// Calls that were taken to be stored. What is not stored is counted again.
pub struct Taken<'t> {
    tally: &'t Tally,
    key: PoolKey,
    now: Timestamp,
    calls: u32,
}

impl Taken<'_> {
    /// How many.
    pub const fn calls(&self) -> u32 {
        self.calls
    }

    /// They are in the store.
    pub fn stored(mut self) {
        self.calls = 0;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.tally.add(self.key, self.now, self.calls);
    }
}

#[cfg(test)]
mod tests {
    use mintkeep_protocol::ident::RecordId;
    use mintkeep_protocol::token::TokenKind;

    use super::*;

    #[test]
    fn calls_are_counted_by_pool_and_day_until_they_are_taken() {
        const DAY_MS: i64 = 86_400_000;
        let pool = |number| PoolKey { app: RecordId::from_number(number), kind: TokenKind::WeChatStable };
        let (today, tomorrow) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(DAY_MS));
        let tally = Tally::default();
        assert_eq!((tally.add(pool(1), today, 1), tally.add(pool(1), today, 2)), (0, 1));
        tally.take_back(pool(1), today);
        assert_eq!((tally.unsaved(pool(1), today), tally.unsaved(pool(2), today)), (2, 0));
        let taken = tally.take(pool(1), today);
        assert_eq!((taken.calls(), tally.unsaved(pool(1), today)), (2, 0));
        tally.add(pool(1), today, 1);
        drop(taken);
        assert_eq!(tally.unsaved(pool(1), today), 3, "what was not stored is counted again");
        tally.take(pool(1), today).stored();
        assert_eq!(tally.unsaved(pool(1), today), 0);
        tally.add(pool(1), today, 3);
        assert_eq!(tally.add(pool(1), tomorrow, 1), 0, "another day's calls are over");
    }
}
