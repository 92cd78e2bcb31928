//! What a reader and a reporter get, decided from what is held and what is being done about it.

use std::time::Duration;

use crate::time::Timestamp;

use super::semantics::Terms;
use super::slot::{TokenDigest, TokenVersion, Trouble, Upkeep};
use super::timetable::is_due;

/// A slot as far as plans care.
#[derive(Debug, Clone, Copy)]
pub struct Outlook {
    /// The end of the token that is held, past or future; `None`: none was ever held.
    pub expires_at: Option<Timestamp>,
    /// How long that token was good when it was obtained.
    pub life: Duration,
    /// What is being done about the next one.
    pub upkeep: Upkeep,
}

/// What a reader gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPlan {
    /// The token, as it is.
    Serve,
    /// The token, as it is; and a renewal is due.
    ServeAndRenew,
    /// What comes of a renewal; if nothing does, whatever is good then.
    AwaitFlight,
    /// Nothing: there is no good token, and for the time being none can be had.
    Deny(Denial),
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// What is wrong.
    pub because: Trouble,
    /// When it is worth asking again; `None`: not before somebody has done something.
    pub retry_at: Option<Timestamp>,
}

/// Plans a read.
///
/// A reader never waits while there is a good token, with one exception that it asks for itself: a
/// `min_ttl` that the token falls short of, while a renewal is possible now and would bring enough of a longer life.
#[must_use]
pub fn plan_read(outlook: &Outlook, terms: &Terms, min_ttl: Duration, now: Timestamp) -> ReadPlan {
    let left = outlook.expires_at.map_or(Duration::ZERO, |end| end.since(now));
    let is_due = is_due(&outlook.upkeep, now);
    if left.is_zero() {
        return match denial(&outlook.upkeep, now) {
            None => ReadPlan::AwaitFlight,
            Some(denial) => ReadPlan::Deny(denial),
        };
    }
    if left < min_ttl && terms.gains_at(left, outlook.life) && denial(&outlook.upkeep, now).is_none() {
        return ReadPlan::AwaitFlight;
    }
    if is_due { ReadPlan::ServeAndRenew } else { ReadPlan::Serve }
}

/// Why no renewal can begin now, if none can. One that is under way is no reason: it can be joined.
fn denial(upkeep: &Upkeep, now: Timestamp) -> Option<Denial> {
    match *upkeep {
        Upkeep::Idle { .. } | Upkeep::Renewing { .. } => None,
        Upkeep::Backoff { because, .. }
        | Upkeep::NeedsConsent { because, .. }
        | Upkeep::NeedsOperator { because, .. } => {
            (!is_due(upkeep, now)).then_some(Denial { because, retry_at: upkeep.due_at() })
        }
    }
}

/// Which token a report calls dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// The token of this digest.
    Digest(TokenDigest),
    /// The token of this version.
    Version(TokenVersion),
}

/// What a slot holds, as far as reports care.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The version that is held.
    pub version: TokenVersion,
    /// Its digest.
    pub digest: TokenDigest,
    /// When it was asked for.
    pub obtained_at: Timestamp,
    /// The ones before it.
    pub past: &'a [super::slot::Past],
}

/// What a reporter gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportPlan {
    /// The token that is held is newer than the one reported.
    AlreadyNewer,
    /// The token that is held is the one reported, and it is too soon to do anything about it.
    TooSoon(TooSoon),
    /// One renewal; every reporter shares it.
    Renew,
    /// No such token was ever held here.
    NeverHeld,
}

/// Why it is too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooSoon {
    /// The token was obtained a moment ago.
    #[error("the token was obtained a moment ago")]
    JustObtained,
    /// A renewal failed, and the next try has its time.
    #[error("a renewal failed and is tried again at its time")]
    BackingOff,
    /// A renewal failed, and none is tried before somebody has done something.
    #[error("no renewal can help: the customer has to authorize anew, or an operator to decide")]
    WaitsForPeople,
    /// The consumer reported too many tokens.
    #[error("the consumer's reports of this hour are used up")]
    OverBudget,
}

impl TooSoon {
    /// Why a slot of this upkeep, whose renewal failed, is not renewed now.
    #[must_use]
    pub const fn after_failure(upkeep: &Upkeep) -> Self {
        match upkeep {
            Upkeep::NeedsConsent { .. } | Upkeep::NeedsOperator { retry_at: None, .. } => {
                Self::WaitsForPeople
            }
            Upkeep::Idle { .. }
            | Upkeep::Renewing { .. }
            | Upkeep::Backoff { .. }
            | Upkeep::NeedsOperator { retry_at: Some(_), .. } => Self::BackingOff,
        }
    }
}

/// Plans a report: a compare, then, for the token that is held, a renewal if there is reason for one.
///
/// A probe is no step of it. In two dialects the renewal itself tells whether the platform thinks the
/// token good (it gives the same one again), in the others it is one call like the probe and ends the
/// question; so N reports of one dead token cost one call, never two.
#[must_use]
pub fn plan_report(
    reported: Reported,
    known: &Known<'_>,
    (outlook, terms): (&Outlook, &Terms),
    has_budget: bool,
    now: Timestamp,
) -> ReportPlan {
    let is_current = match reported {
        Reported::Digest(digest) => digest == known.digest,
        Reported::Version(version) => version == known.version,
    };
    if !is_current {
        let was_held = known.past.iter().any(|past| match reported {
            Reported::Digest(digest) => digest == past.digest,
            Reported::Version(version) => version == past.version,
        });
        // Versions only grow, so a smaller one is an older one even where it is forgotten by now.
        let is_older =
            matches!(reported, Reported::Version(v) if TokenVersion::default() < v && v < known.version);
        return if was_held || is_older { ReportPlan::AlreadyNewer } else { ReportPlan::NeverHeld };
    }
    if matches!(outlook.upkeep, Upkeep::Renewing { .. }) {
        return ReportPlan::Renew;
    }
    if now.since(known.obtained_at) < terms.semantics.report_age_min && known.obtained_at <= now {
        return ReportPlan::TooSoon(TooSoon::JustObtained);
    }
    if denial(&outlook.upkeep, now).is_some() {
        return ReportPlan::TooSoon(TooSoon::after_failure(&outlook.upkeep));
    }
    if has_budget { ReportPlan::Renew } else { ReportPlan::TooSoon(TooSoon::OverBudget) }
}

#[cfg(test)]
mod tests {
    use super::super::credential::{CredentialSettings, TokenSource};
    use super::super::slot::{HolderId, Past};
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

    fn terms(source: TokenSource) -> Terms {
        Terms::of(source, &CredentialSettings::default())
    }

    fn in_ms(wait: i64) -> Timestamp {
        Timestamp::from_unix_ms(NOW.unix_ms().saturating_add(wait))
    }

    #[test]
    fn a_reader_waits_only_for_its_own_wish_or_when_nothing_is_good() {
        use ReadPlan::{AwaitFlight, Serve, ServeAndRenew};
        let because = Trouble::NotSent;
        let idle = Upkeep::Idle { renew_at: in_ms(1) };
        let due = Upkeep::Idle { renew_at: NOW };
        let renewing = Upkeep::Renewing { by: HolderId(1), since: NOW };
        let backoff = Upkeep::Backoff { until: in_ms(1), because };
        let over = Upkeep::Backoff { until: NOW, because };
        let consent = Upkeep::NeedsConsent { since: NOW, because };
        let operator = Upkeep::NeedsOperator { since: NOW, because, retry_at: None };
        let operator_due = Upkeep::NeedsOperator { since: NOW, because, retry_at: Some(NOW) };
        let denied = |retry_at| ReadPlan::Deny(Denial { because, retry_at });
        let (stable, legacy) = (TokenSource::WeChatStable, TokenSource::WeChatToken);
        #[rustfmt::skip]
        let cases = [
            ("good",                             legacy, Some(1),       idle,         0,     Serve),
            ("good, due",                        legacy, Some(1),       due,          0,     ServeAndRenew),
            ("good, being renewed",              legacy, Some(1),       renewing,     0,     Serve),
            ("good, backing off",                legacy, Some(1),       backoff,      0,     Serve),
            ("good, backed off",                 legacy, Some(1),       over,         0,     ServeAndRenew),
            ("good, needs consent",              legacy, Some(1),       consent,      0,     Serve),
            ("exactly long enough",              legacy, Some(5_000),   idle,     5_000,     Serve),
            ("a millisecond short",              legacy, Some(4_999),   idle,     5_000,     AwaitFlight),
            ("short, being renewed",             legacy, Some(4_999),   renewing, 5_000,     AwaitFlight),
            ("short, backing off",               legacy, Some(4_999),   backoff,  5_000,     Serve),
            ("short, needs consent",             legacy, Some(4_999),   consent,  5_000,     Serve),
            ("short, an eighth of it over",      legacy, Some(8_750),   idle,     9_999,     AwaitFlight),
            ("short, and younger than that",     legacy, Some(8_751),   idle,     9_999,     Serve),
            ("short, but a renewal gains none",  stable, Some(300_001), idle,   400_000,     Serve),
            ("short, and a renewal gains",       stable, Some(300_000), idle,   400_000,     AwaitFlight),
            ("at its end",                       legacy, Some(0),       idle,         0,     AwaitFlight),
            ("never had one",                    legacy, None,          idle,         0,     AwaitFlight),
            ("none, being renewed",              legacy, None,          renewing,     0,     AwaitFlight),
            ("none, backing off",                legacy, None,          backoff,      0,     denied(Some(in_ms(1)))),
            ("none, backed off",                 legacy, None,          over,         0,     AwaitFlight),
            ("none, needs consent",              legacy, None,          consent,      0,     denied(None)),
            ("none, needs the operator",         legacy, None,          operator,     0,     denied(None)),
            ("none, operator's retry is due",    legacy, None,          operator_due, 0,     AwaitFlight),
        ];
        for (case, source, left_ms, upkeep, min_ttl_ms, plan) in cases {
            let life = Duration::from_secs(10);
            let outlook = Outlook { expires_at: left_ms.map(in_ms), life, upkeep };
            let min_ttl = Duration::from_millis(min_ttl_ms);
            assert_eq!(plan_read(&outlook, &terms(source), min_ttl, NOW), plan, "{case}");
        }
    }

    #[test]
    fn a_report_renews_only_the_token_that_is_held_and_not_too_soon() {
        use ReportPlan::{AlreadyNewer, NeverHeld, Renew};
        use Reported::Digest;
        let because = Trouble::Ambiguous;
        let idle = Upkeep::Idle { renew_at: in_ms(1) };
        let renewing = Upkeep::Renewing { by: HolderId(1), since: NOW };
        let backoff = Upkeep::Backoff { until: in_ms(1), because };
        let consent = Upkeep::NeedsConsent { since: NOW, because };
        let operator = |retry_at| Upkeep::NeedsOperator { since: NOW, because, retry_at };
        let (in_doubt, refused) = (operator(None), operator(Some(in_ms(1))));
        let (current, old, never) =
            (TokenDigest::of("current"), TokenDigest::of("old"), TokenDigest::of("never"));
        let version = |n| Reported::Version(TokenVersion(n));
        let too_soon = ReportPlan::TooSoon;
        #[rustfmt::skip]
        let cases = [
            ("the current one",              Digest(current), 5_000, idle,     true,  Renew),
            ("the current version",          version(7),      5_000, idle,     true,  Renew),
            ("a past one",                   Digest(old),     5_000, idle,     true,  AlreadyNewer),
            ("a past one, being renewed",    Digest(old),     5_000, renewing, true,  AlreadyNewer),
            ("a past version",               version(5),      5_000, idle,     true,  AlreadyNewer),
            ("a version long forgotten",     version(1),      5_000, idle,     true,  AlreadyNewer),
            ("a version to come",            version(8),      5_000, idle,     true,  NeverHeld),
            ("no version",                   version(0),      5_000, idle,     true,  NeverHeld),
            ("another's token",              Digest(never),   5_000, idle,     true,  NeverHeld),
            ("a millisecond too young",      Digest(current), 4_999, idle,     true,  too_soon(TooSoon::JustObtained)),
            ("young, but being renewed",     Digest(current), 4_999, renewing, true,  Renew),
            ("obtained in the future",       Digest(current),    -1, idle,     true,  Renew),
            ("backing off",                  Digest(current), 5_000, backoff,  true,  too_soon(TooSoon::BackingOff)),
            ("waiting for consent",          Digest(current), 5_000, consent,  true,  too_soon(TooSoon::WaitsForPeople)),
            ("waiting for an operator",      Digest(current), 5_000, in_doubt, true,  too_soon(TooSoon::WaitsForPeople)),
            ("the same, tried again later",  Digest(current), 5_000, refused,  true,  too_soon(TooSoon::BackingOff)),
            ("over budget",                  Digest(current), 5_000, idle,     false, too_soon(TooSoon::OverBudget)),
            ("over budget, joins",           Digest(current), 5_000, renewing, false, Renew),
            ("over budget, already newer",   Digest(old),     5_000, idle,     false, AlreadyNewer),
        ];
        for (case, reported, age_ms, upkeep, has_budget, plan) in cases {
            let past = [Past { version: TokenVersion(5), digest: old }];
            let known =
                Known { version: TokenVersion(7), digest: current, obtained_at: in_ms(-age_ms), past: &past };
            let outlook = Outlook { expires_at: Some(in_ms(1_000)), life: Duration::from_secs(1), upkeep };
            let rules = (&outlook, &terms(TokenSource::WeChatToken));
            assert_eq!(plan_report(reported, &known, rules, has_budget, NOW), plan, "{case}");
        }
    }
}
