//! What may be used once and was: assertions, by the digest of their nonce.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mintkeep_protocol::time::Timestamp;

/// How many are remembered at once. At 32 bytes each about 12 MB when full; at the longest life of an
/// assertion it is 1,000 sign-ins a second, without end. Only what a wallet signed gets here, so a stranger
/// can't fill it.
const REMEMBERED_MAX: usize = 262_144;

/// Whether something may still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// It may, and from now on may not.
    First,
    /// It was.
    Again,
    /// Too many are remembered to take one more; none is forgotten early to make room.
    Full,
}

/// The used ones of this process.
///
/// Remembered for between one and two lives: two sets, and each life the older is dropped whole. Other
/// replicas do not know them, which is why an assertion's life is short; what it leads to, a code, is guarded
/// by the store.
pub struct SpentOnce {
    life: Duration,
    sets: Mutex<Sets>,
}

#[derive(Default)]
struct Sets {
    since: Timestamp,
    current: HashSet<[u8; 32]>,
    older: HashSet<[u8; 32]>,
}

impl SpentOnce {
    /// Remembers each for at least `life`.
    #[must_use]
    pub fn new(life: Duration) -> Self {
        Self { life, sets: Mutex::default() }
    }

    /// Uses what `digest` names.
    pub fn spend(&self, digest: [u8; 32], now: Timestamp) -> Spend {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.since(sets.since);
        if age >= self.life {
            let current = std::mem::take(&mut sets.current);
            sets.older = if age >= self.life.saturating_mul(2) { HashSet::new() } else { current };
            sets.since = now;
        }
        if sets.current.contains(&digest) || sets.older.contains(&digest) {
            return Spend::Again;
        }
        if sets.current.len().saturating_add(sets.older.len()) >= REMEMBERED_MAX {
            return Spend::Full;
        }
        sets.current.insert(digest);
        Spend::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> [u8; 32] {
        mintkeep_protocol::crypto::sha256(&number.to_be_bytes())
    }

    #[test]
    fn a_digest_is_remembered_for_its_life_and_forgotten_after_two() {
        let spent = SpentOnce::new(Duration::from_mins(5));
        let start = Timestamp::from_unix_ms(1_800_000_000_000);
        let later = |seconds| start.after(Duration::from_secs(seconds));
        #[rustfmt::skip]
        let cases = [
            ("first",                      1, later(0),   Spend::First),
            ("again at once",              1, later(0),   Spend::Again),
            ("another",                    2, later(299), Spend::First),
            ("the first, past a life",     1, later(301), Spend::Again),
            ("the other, within its life", 2, later(598), Spend::Again),
            ("the first, past two",        1, later(602), Spend::First),
            ("all, long after",            1, later(9999), Spend::First),
        ];
        for (case, number, now, answer) in cases {
            assert_eq!(spent.spend(digest(number), now), answer, "{case}");
        }
    }

    #[test]
    fn a_full_memory_takes_no_more_and_forgets_none() {
        let spent = SpentOnce::new(Duration::from_mins(5));
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        for number in 0..REMEMBERED_MAX {
            assert_eq!(spent.spend(digest(number), now), Spend::First);
        }
        assert_eq!(spent.spend(digest(REMEMBERED_MAX), now), Spend::Full);
        assert_eq!(spent.spend(digest(0), now), Spend::Again);
        let next = now.after(Duration::from_mins(10));
        assert_eq!(spent.spend(digest(REMEMBERED_MAX), next), Spend::First);
    }
}
