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
/// Whoever goes on asking for a token has it looked into again if the platform has not confirmed it for so long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_mins(5);
/// How many callers are remembered at once. Past that, those that asked longer ago are forgotten, and
/// where there are none, further ones are not remembered.
const CALLERS_MAX: usize = 10_000;

/// A consumer, at an address, and the slot that it asks about.
pub(super) type Whom = (RecordId, IpAddr, SlotKey);

#[derive(Debug, Clone, Copy)]
struct Last {
    digest: TokenDigest,
    at: Timestamp,
    times: Times,
}

/// How often a caller was given the same token in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// Each time soon after the time before.
    pub(super) soon: u32,
    /// However long after it.
    pub(super) ever: u32,
}

impl Times {
    const ONCE: Self = Self { soon: 1, ever: 1 };
}

/// What was given to whom last.
#[derive(Default)]
pub(super) struct Given(Mutex<HashMap<Whom, Last>>);

impl Given {
    /// Notes that a token is given. How often it was given to this caller in a row.
    pub(super) fn note(&self, whom: Whom, digest: TokenDigest, now: Timestamp) -> Times {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |last: &Last| last.at <= now && now < last.at.after(AGAIN_WITHIN);
        if callers.len() >= CALLERS_MAX && !callers.contains_key(&whom) {
            callers.retain(|_, last| is_recent(last));
            if callers.len() >= CALLERS_MAX {
                return Times::ONCE;
            }
        }
        let before = callers.get(&whom).filter(|last| last.digest == digest);
        let times = before.map_or(Times::ONCE, |last| Times {
            soon: if is_recent(last) { last.times.soon.saturating_add(1) } else { 1 },
            ever: last.times.ever.saturating_add(1),
        });
        callers.insert(whom, Last { digest, at: now, times });
        times
    }
}

/// Whether being given the same token so often in a row means that it is dead to the caller.
///
/// Where asking the platform again changes nothing while the token is good there, the second time does. Where
/// every asking replaces the token, only the third: two workers of one machine that start together are no
/// reason to shorten everybody's token.
pub(super) const fn is_report(times: Times, repeat: Repeat) -> bool {
    match repeat {
        Repeat::SameUntil { .. } | Repeat::Extends => times.soon >= 2,
        Repeat::Supersedes { .. } | Repeat::OneTime => times.soon >= 3,
    }
}

/// Whether it may mean that of a token of such an age, and looking costs nobody anything.
///
/// A library that fetches once after each dead token, in a service that calls once a minute, never asks twice
/// soon. A script that keeps nothing asks in the same way; so this is looked into, and not believed, and of
/// one that goes on asking only now and then.
pub(super) fn may_be_report(times: Times, repeat: Repeat, age: Duration) -> bool {
    match repeat {
        Repeat::SameUntil { .. } | Repeat::Extends => {
            times.ever == 2 || (times.ever > 2 && age >= LOOK_AGAIN_AFTER)
        }
        Repeat::Supersedes { .. } | Repeat::OneTime => false,
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
        let cases: [(&str, Notes<'_>, u32, u32); 7] = [
            ("first",                   &[(one, 0)],                              1, 1),
            ("at once",                 &[(one, 0), (one, 0)],                    2, 2),
            ("a millisecond in time",   &[(one, 0), (one, 9_999), (one, 19_998)], 3, 3),
            ("a millisecond too late",  &[(one, 0), (one, 10_000)],               1, 2),
            ("late, and then soon",     &[(one, 0), (one, 60_000), (one, 60_001)], 2, 3),
            ("another token",           &[(one, 0), (one, 1), (other, 2)],        1, 1),
            ("the first token again",   &[(one, 0), (other, 1), (one, 2)],        1, 1),
        ];
        for (case, notes, soon, ever) in cases {
            let given = Given::default();
            let told = notes.iter().map(|(digest, after_ms)| {
                given.note(whom(1), *digest, NOW.after(Duration::from_millis(*after_ms)))
            });
            assert_eq!(told.last(), Some(Times { soon, ever }), "{case}");
            assert_eq!(given.note(whom(2), one, NOW), Times::ONCE, "{case}: another caller");
        }
    }

    #[test]
    fn ten_thousand_callers_are_remembered_until_they_asked_too_long_ago() {
        let (given, digest) = (Given::default(), TokenDigest::of("one"));
        let [first, last, further] = [0, 9_999, 10_000].map(whom);
        for n in 0..10_000 {
            given.note(whom(n), digest, NOW);
        }
        let again = |whom: &Whom, now| given.note(whom.clone(), digest, now).soon;
        assert_eq!([&further, &further].map(|whom| again(whom, NOW)), [1, 1]);
        assert_eq!([&first, &last].map(|whom| again(whom, NOW)), [2, 2]);
        let later = NOW.after(AGAIN_WITHIN);
        assert_eq!([&further, &further].map(|whom| again(whom, later)), [1, 2]);
    }

    #[test]
    fn a_late_second_asking_is_looked_into_where_that_costs_nobody_their_token() {
        let legacy = Repeat::Supersedes { overlap: Duration::from_mins(5) };
        let stable = Repeat::SameUntil { last: Duration::from_mins(5) };
        #[rustfmt::skip]
        let cases = [
            (stable,          1, 300, false), (stable,          2, 0, true), (stable,          3, 299, false), (stable,          3, 300, true),
            (Repeat::Extends, 1, 300, false), (Repeat::Extends, 2, 0, true), (Repeat::Extends, 3, 299, false), (Repeat::Extends, 3, 300, true),
            (legacy,          9, 300, false), (Repeat::OneTime, 9, 300, false),
        ];
        for (repeat, ever, age_s, may) in cases {
            let told = may_be_report(Times { soon: 1, ever }, repeat, Duration::from_secs(age_s));
            assert_eq!(told, may, "{repeat:?} {ever} {age_s}");
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
        for (repeat, soon, is) in cases {
            assert_eq!(is_report(Times { soon, ever: 9 }, repeat), is, "{repeat:?} {soon}");
        }
    }
}
