//! Who was given which token, and who asks again for the same one.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ahash::HashMap;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::semantics::Repeat;
use mintkeep_protocol::keep::slot::{SlotKey, TokenDigest};
use mintkeep_protocol::time::Timestamp;

/// Whoever asks again within this time for what it was given says that it is of no use.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);
/// How many callers are remembered at once. Past that, those that asked longer ago are forgotten, and
/// where there are none, further ones are not remembered.
const CALLERS_MAX: usize = 10_000;

/// A consumer, at an address, and the slot that it asks about.
pub(super) type Whom = (RecordId, IpAddr, SlotKey);

#[derive(Debug, Clone, Copy)]
struct Last {
    digest: TokenDigest,
    at: Timestamp,
    times: u32,
}

/// What was given to whom last.
#[derive(Default)]
pub(super) struct Given(Mutex<HashMap<Whom, Last>>);

impl Given {
    /// Notes that a token is given. How often it was given to this caller in a row, each time soon after the
    /// time before.
    pub(super) fn note(&self, whom: Whom, digest: TokenDigest, now: Timestamp) -> u32 {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |last: &Last| last.at <= now && now < last.at.after(AGAIN_WITHIN);
        if callers.len() >= CALLERS_MAX && !callers.contains_key(&whom) {
            callers.retain(|_, last| is_recent(last));
            if callers.len() >= CALLERS_MAX {
                return 1;
            }
        }
        let last = callers.entry(whom).or_insert(Last { digest, at: now, times: 0 });
        let times = if last.digest == digest && is_recent(last) { last.times.saturating_add(1) } else { 1 };
        *last = Last { digest, at: now, times };
        times
    }
}

/// Whether being given the same token for the `times`-th time in a row means that it is dead to the caller.
///
/// Where asking the platform again changes nothing while the token is good there, the second time does. Where
/// every asking replaces the token, only the third: two workers of one machine that start together are no
/// reason to shorten everybody's token.
pub(super) const fn is_report(times: u32, repeat: Repeat) -> bool {
    match repeat {
        Repeat::SameUntil { .. } | Repeat::Extends => times >= 2,
        Repeat::Supersedes { .. } | Repeat::OneTime => times >= 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn whom(n: u32) -> Whom {
        let key = SlotKey { credential: RecordId::from_number(1), customer: None };
        (RecordId::from_number(1), IpAddr::from(n.to_be_bytes()), key)
    }

    /// Which token was given, and when, in milliseconds.
    type Notes<'n> = &'n [(TokenDigest, u64)];

    #[test]
    fn the_same_token_counts_while_it_is_asked_for_again_within_ten_seconds() {
        let (one, other) = (TokenDigest::of("one"), TokenDigest::of("other"));
        #[rustfmt::skip]
        let cases: [(&str, Notes<'_>, u32); 6] = [
            ("first",                   &[(one, 0)],                            1),
            ("at once",                 &[(one, 0), (one, 0)],                  2),
            ("a millisecond in time",   &[(one, 0), (one, 9_999), (one, 19_998)], 3),
            ("a millisecond too late",  &[(one, 0), (one, 10_000)],             1),
            ("another token",           &[(one, 0), (one, 1), (other, 2)],      1),
            ("the first token again",   &[(one, 0), (other, 1), (one, 2)],      1),
        ];
        for (case, notes, times) in cases {
            let given = Given::default();
            let told = notes.iter().map(|(digest, after_ms)| {
                given.note(whom(1), *digest, NOW.after(Duration::from_millis(*after_ms)))
            });
            assert_eq!(told.last(), Some(times), "{case}");
            assert_eq!(given.note(whom(2), one, NOW), 1, "{case}: another caller");
        }
    }

    #[test]
    fn what_costs_others_their_token_needs_a_third_time() {
        let legacy = Repeat::Supersedes { overlap: Duration::from_mins(5) };
        let stable = Repeat::SameUntil { last: Duration::from_mins(5) };
        #[rustfmt::skip]
        let cases = [
            (stable,          1, false), (stable,          2, true),
            (Repeat::Extends, 1, false), (Repeat::Extends, 2, true),
            (legacy,          2, false), (legacy,          3, true),
            (Repeat::OneTime, 2, false), (Repeat::OneTime, 3, true),
        ];
        for (repeat, times, is) in cases {
            assert_eq!(is_report(times, repeat), is, "{repeat:?} {times}");
        }
    }
}
