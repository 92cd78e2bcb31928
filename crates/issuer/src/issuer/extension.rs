//! Extensions of a token's life to the millisecond, durable to the second.
//!
//! DingTalk extends a token with every repeat. Writing each of them would cost a disk write per call, so
//! what is stored is rounded up to the next whole second, and repeats within that second store nothing.
//! The exact end is kept here, where nobody else promises another one. After a crash, and where replicas share
//! a store, the token lives up to a second longer than the last answer promised, never shorter.

use std::sync::{PoisonError, RwLock};

use ahash::HashMap;
use mintkeep_protocol::record::{Pool, PoolKey};
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::TokenKind;

/// The exact ends of pools' current tokens.
#[derive(Default)]
pub struct Extensions {
    /// Of a store that several replicas use, what is stored counts: another one may have promised more since.
    is_shared: bool,
    ends: RwLock<HashMap<PoolKey, Exact>>,
}

#[derive(Clone, Copy)]
struct Exact {
    /// What is stored.
    stored: Timestamp,
    /// What was promised last.
    promised: Timestamp,
}

impl Extensions {
    /// No ends yet, of a store that may be shared.
    pub fn new(is_shared: bool) -> Self {
        Self { is_shared, ..Self::default() }
    }

    /// What is stored for an end that is promised exactly.
    pub fn stored_end(promised: Timestamp) -> Timestamp {
        const SECOND_MS: i64 = 1_000;
        let up = promised.unix_ms().saturating_add(SECOND_MS.saturating_sub(1));
        Timestamp::from_unix_ms(up.div_euclid(SECOND_MS).saturating_mul(SECOND_MS))
    }

    /// The pool as callers were told it is, if `pool` is what was stored then. Only DingTalk extends.
    pub fn exact(&self, pool: &Pool) -> Pool {
        let mut exact = pool.clone();
        if pool.key.kind != TokenKind::DingTalkToken {
            return exact;
        }
        let known = self.ends.read().unwrap_or_else(PoisonError::into_inner).get(&pool.key).copied();
        if let Some(known) = known.filter(|known| known.stored == pool.current.expires_at) {
            exact.current.expires_at = known.promised;
        }
        exact
    }

    /// Notes an end that is about to be promised.
    pub fn promise(&self, key: PoolKey, promised: Timestamp) {
        if self.is_shared {
            return;
        }
        let exact = Exact { stored: Self::stored_end(promised), promised };
        let mut ends = self.ends.write().unwrap_or_else(PoisonError::into_inner);
        let known = ends.entry(key).or_insert(exact);
        // Two repeats within a second may pass here in any order: the later promise counts.
        if known.stored != exact.stored || known.promised < promised {
            *known = exact;
        }
    }
}

#[cfg(test)]
mod tests {
    use mintkeep_protocol::app::App;
    use mintkeep_protocol::ident::{AppId, Dialect, RecordId};
    use mintkeep_protocol::issue::access::empty_pool;
    use mintkeep_protocol::token::Salt;

    use super::*;

    #[test]
    fn what_is_stored_is_the_promise_rounded_up_to_a_second() {
        for (promised, stored) in [(7_000, 7_000), (7_001, 8_000), (7_999, 8_000)] {
            let promised = Timestamp::from_unix_ms(promised);
            assert_eq!(Extensions::stored_end(promised).unix_ms(), stored);
        }
    }

    #[test]
    fn of_the_promises_of_a_second_the_latest_counts_whichever_is_noted_last() {
        let (at, extensions) = (Timestamp::from_unix_ms, Extensions::default());
        let app =
            App::new(RecordId::from_number(1), AppId::parse("ding1").unwrap(), Dialect::DingTalk, at(0));
        let mut pool = empty_pool(&app, TokenKind::DingTalkToken, Salt([0; 16]));
        pool.current.expires_at = at(8_000);
        for (promised, told) in [(7_300, 7_300), (7_100, 7_300), (7_500, 7_500)] {
            extensions.promise(pool.key, at(promised));
            assert_eq!(extensions.exact(&pool).current.expires_at, at(told), "{promised}");
        }
    }
}
