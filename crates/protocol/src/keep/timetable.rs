//! When to renew, how long to wait after a failure, and how many calls a day may cost.

use std::time::Duration;

use crate::issue::access::FORCED_A_DAY_MAX;
use crate::port::keeper_store::CallKind;
use crate::time::Timestamp;

use super::semantics::Terms;
use super::slot::{Trouble, Upkeep};

/// One random draw, as a fraction from zero up to, not including, one.
#[derive(Debug, Clone, Copy)]
pub struct Chance(pub u32);

impl Chance {
    /// That fraction of `whole`.
    #[must_use]
    pub fn of(self, whole: Duration) -> Duration {
        let whole_ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        let part = u128::from(whole_ms).saturating_mul(u128::from(self.0)) >> 32;
        Duration::from_millis(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

/// Between two renewals of one slot that both succeed lies at least this; else a platform that hands out
/// short-lived tokens, or the same token early, would be asked without a pause.
pub const RENEWAL_GAP_MIN: Duration = Duration::from_secs(10);

/// Over how long the renewals are spread that are due when a keeper starts.
pub const START_SPREAD_MAX: Duration = Duration::from_mins(1);

/// When to renew a token that was just obtained.
///
/// From `renew_ahead` before its end up to three quarters of that, by chance; a token with a shorter
/// life, from the middle of it.
#[must_use]
pub fn renew_at(terms: &Terms, now: Timestamp, expires_at: Timestamp, chance: Chance) -> Timestamp {
    let life = expires_at.since(now);
    let ahead = terms.renew_ahead.min(half(life));
    let planned = expires_at.before(ahead).after(chance.of(quarter(ahead)));
    planned.max(now.after(RENEWAL_GAP_MIN))
}

/// When to do at the start what is due then, so that a restart is no herd.
///
/// A slot without a good token waits for nothing.
#[must_use]
pub fn start_at(
    due_at: Timestamp,
    now: Timestamp,
    expires_at: Option<Timestamp>,
    chance: Chance,
) -> Timestamp {
    let left = expires_at.map_or(Duration::ZERO, |end| end.since(now));
    let spread = START_SPREAD_MAX.min(quarter(left));
    due_at.max(now.after(chance.of(spread)))
}

/// How long to wait after `failures` failures in a row, the last of them of this kind.
///
/// Doubles from the kind's first wait to its longest, and then from half of that up to all of it by chance.
#[must_use]
pub fn wait_after(trouble: Trouble, failures: u32, chance: Chance) -> Duration {
    let (first, longest) = waits(trouble);
    let doubled = first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let wait = doubled.min(longest);
    half(wait).saturating_add(chance.of(half(wait)))
}

/// Whether the timetable has something to do for a slot.
///
/// A time that lies further ahead than any wait of its kind was written by a clock that has been set back
/// since: nobody waits for it.
#[must_use]
pub fn is_due(upkeep: &Upkeep, now: Timestamp) -> bool {
    let Some(due) = upkeep.due_at() else { return false };
    due <= now || upkeep.trouble().is_some_and(|trouble| due.since(now) > waits(trouble).1)
}

/// The first and the longest wait after a failure of this kind.
const fn waits(trouble: Trouble) -> (Duration, Duration) {
    match trouble {
        Trouble::NotSent | Trouble::Ambiguous | Trouble::Store => {
            (Duration::from_secs(1), Duration::from_mins(1))
        }
        Trouble::RateLimited | Trouble::AnswerUnreadable => {
            (Duration::from_secs(15), Duration::from_mins(10))
        }
        Trouble::QuotaExhausted => (Duration::from_mins(5), Duration::from_mins(30)),
        // For an answer that is here and bears an unknown key: a new key has it read at once.
        Trouble::InDoubt => (Duration::from_hours(1), Duration::from_hours(24)),
        Trouble::CredentialRefused
        | Trouble::RefreshRefused
        | Trouble::Refused
        | Trouble::Forgotten
        | Trouble::SealBroken => (Duration::from_mins(1), Duration::from_hours(1)),
    }
}

/// Who wants a call made, as far as the ledger cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// There is a good token still.
    Ordinary,
    /// There is none, or an operator asks.
    Emergency,
}

/// How many calls of one kind there may be in a day after this one.
///
/// Where no limit is known each call is counted all the same: `token explain` tells how many there were.
#[must_use]
pub fn ceiling(terms: &Terms, kind: CallKind, urgency: Urgency) -> u32 {
    let limit = terms.daily_limit.unwrap_or(u32::MAX);
    match (kind, urgency) {
        // Only an operator forces, so all of them are for that.
        (CallKind::ForcedStableToken, _) => limit.min(FORCED_A_DAY_MAX),
        (CallKind::Token | CallKind::StableToken | CallKind::ApplyToken, Urgency::Ordinary) => {
            limit.saturating_sub(terms.daily_reserve)
        }
        (CallKind::Token | CallKind::StableToken | CallKind::ApplyToken, Urgency::Emergency) => limit,
    }
}

fn half(whole: Duration) -> Duration {
    whole.checked_div(2).unwrap_or_default()
}

fn quarter(whole: Duration) -> Duration {
    whole.checked_div(4).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::credential::{CredentialSettings, TokenSource};
    use super::*;

    const LOW: Chance = Chance(0);
    const HIGH: Chance = Chance(u32::MAX);

    fn terms(source: TokenSource) -> Terms {
        Terms::of(source, &CredentialSettings::default())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds.saturating_mul(1000))
    }

    #[test]
    fn a_token_is_renewed_between_its_lead_and_three_quarters_of_it() {
        use TokenSource::{DingTalk, MiniProgram, WeChatStable, WeChatToken};
        #[rustfmt::skip]
        let cases = [
            ("legacy",                       WeChatToken,   7_200,  6_300,  6_524),
            ("stable, in its last minutes",  WeChatStable,  7_200,  6_915,  6_986),
            ("extended",                     DingTalk,      7_200,  6_300,  6_524),
            ("a day",                        MiniProgram,  86_400, 72_000, 75_599),
            ("shorter than the lead",        WeChatToken,     600,    300,    374),
            ("shorter than the gap",         WeChatToken,       8,     10,     10),
            ("over already",                 WeChatToken,       0,     10,     10),
        ];
        for (case, source, expires, earliest, latest) in cases {
            let planned = |chance| renew_at(&terms(source), at(0), at(expires), chance).unix_s();
            assert_eq!((planned(LOW), planned(HIGH)), (earliest, latest), "{case}");
        }
    }

    #[test]
    fn a_start_is_no_herd_and_an_empty_slot_does_not_wait() {
        #[rustfmt::skip]
        let cases = [
            ("not due yet",                 50, Some(7_200), 50,  60),
            ("due, an hour left",           -9, Some(3_600),  0,  59),
            ("due, a minute left",          -9, Some(60),     0,  14),
            ("due, expired",                -9, Some(-1),     0,   0),
            ("due, never had one",          -9, None,         0,   0),
        ];
        for (case, due, expires, earliest, latest) in cases {
            let planned = |chance| start_at(at(due), at(0), expires.map(at), chance).unix_s();
            assert!((earliest..=latest).contains(&planned(LOW)), "{case}: {}", planned(LOW));
            assert!((earliest..=latest).contains(&planned(HIGH)), "{case}: {}", planned(HIGH));
            assert!(planned(LOW) <= planned(HIGH), "{case}");
        }
    }

    #[test]
    fn waits_double_up_to_their_longest_and_never_past_it() {
        let seconds = |trouble, failures, chance| wait_after(trouble, failures, chance).as_millis();
        #[rustfmt::skip]
        let cases = [
            ("first",        Trouble::NotSent,               1,       500,     999),
            ("second",       Trouble::NotSent,               2,     1_000,   1_999),
            ("many",         Trouble::Ambiguous,            99,    30_000,  59_999),
            ("limited",      Trouble::RateLimited,           1,     7_500,  14_999),
            ("bad secret",   Trouble::CredentialRefused,     1,    30_000,  59_999),
            ("stays bad",    Trouble::CredentialRefused,    40, 1_800_000, 3_599_999),
        ];
        for (case, trouble, failures, least, most) in cases {
            assert_eq!(seconds(trouble, failures, LOW), least, "{case}");
            assert_eq!(seconds(trouble, failures, HIGH), most, "{case}");
        }
    }

    #[test]
    fn a_slot_is_due_at_its_time_or_when_a_clock_was_set_back() {
        let because = Trouble::NotSent;
        let backoff = |until| Upkeep::Backoff { until: at(until), because };
        let operator = |retry_at| Upkeep::NeedsOperator { since: at(0), because, retry_at };
        #[rustfmt::skip]
        let cases = [
            ("at its time",                 Upkeep::Idle { renew_at: at(0) },                  true),
            ("before it",                   Upkeep::Idle { renew_at: at(1) },                  false),
            ("a wait of its longest",       backoff(60),                                       false),
            ("a wait of longer than that",  backoff(61),                                       true),
            ("waits for people",            operator(None),                                    false),
            ("tried all the same",          operator(Some(at(0))),                             true),
            ("consent",                     Upkeep::NeedsConsent { since: at(0), because },    false),
        ];
        for (case, upkeep, due) in cases {
            assert_eq!(is_due(&upkeep, at(0)), due, "{case}");
        }
    }

    #[test]
    fn the_reserve_is_for_emergencies() {
        let limited = terms(TokenSource::WeChatToken);
        assert_eq!(ceiling(&limited, CallKind::Token, Urgency::Ordinary), 1_800);
        assert_eq!(ceiling(&limited, CallKind::Token, Urgency::Emergency), 2_000);
        assert_eq!(ceiling(&terms(TokenSource::DingTalk), CallKind::Token, Urgency::Emergency), u32::MAX);
    }

    #[test]
    fn forced_calls_have_a_limit_of_their_own_and_no_reserve() {
        let forced = |terms| ceiling(&terms, CallKind::ForcedStableToken, Urgency::Emergency);
        let stable = terms(TokenSource::WeChatStable);
        assert_eq!(forced(stable), 20);
        assert_eq!(forced(Terms { daily_limit: Some(7), ..stable }), 7);
        assert_eq!(forced(Terms { daily_limit: None, ..stable }), 20);
    }
}
