//! What is known of each platform's tokens: one typed table, from which every retry, lock, cache and
//! serving rule of the keeper is derived.
//!
//! Source: the four pages; where a page is silent, what its platform was seen to do.

use std::time::Duration;

use crate::port::keeper_store::CallKind;

use super::credential::{CredentialSettings, TokenSource};

/// Whose a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The app's.
    App,
    /// An app's, for one customer.
    AppAndCustomer,
}

/// What asking again does to the token that one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// A new token; the one before lives on for `overlap`, older ones end.
    Supersedes {
        /// How long.
        overlap: Duration,
    },
    /// The same token with what is left of its life, until it has `last` or less left: then a new one.
    SameUntil {
        /// How much.
        last: Duration,
    },
    /// The same token, good for its full life again.
    Extends,
    /// What one asks with can be used once.
    OneTime,
}

/// Whether a request may be sent again when nobody knows whether it took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// At any time: it costs a call at most.
    Always,
    /// Only byte by byte the same, and only to a platform that says it takes it.
    IdenticalOnly,
}

/// The longest life that an app's token is believed to have: one that is said to live longer is renewed as if it did
/// not. On every page it is two hours. A customer's token has the end that its platform names, however far.
pub const APP_LIFE_MAX: Duration = Duration::from_hours(24);

/// Of a token's life one part in this many has to be over before it is renewed because a reader wishes for a longer
/// one. Of two hours that is a quarter of an hour.
const WISH_PART: u32 = 8;

/// One column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Semantics {
    /// Whose a token is.
    pub holder: Holder,
    /// What asking again does.
    pub repeat: Repeat,
    /// Whether an unanswered request may be sent again.
    pub again: Again,
    /// What a call counts as.
    pub kind: CallKind,
    /// Calls a day that the platform allows an app; `None`: it names no number.
    pub daily_limit: Option<u32>,
    /// How long before its end we renew a token, unless the credential says otherwise.
    pub renew_ahead: Duration,
    /// A report that names a token younger than this is too soon.
    pub report_age_min: Duration,
}

/// The table.
///
/// `renew_ahead` is ours: early enough for many tries before the end, and where a renewal shortens the
/// predecessor's life (`Supersedes`) or does nothing before its time (`SameUntil`), as late as that asks.
#[must_use]
pub const fn semantics(source: TokenSource) -> Semantics {
    let report_age_min = Duration::from_secs(5);
    match source {
        TokenSource::WeChatToken => Semantics {
            holder: Holder::App,
            // WeChat: "both new and old access_token values are available within five minutes".
            repeat: Repeat::Supersedes { overlap: Duration::from_mins(5) },
            again: Again::Always,
            kind: CallKind::Token,
            daily_limit: Some(2_000),
            renew_ahead: Duration::from_mins(15),
            report_age_min,
        },
        TokenSource::WeChatStable => Semantics {
            holder: Holder::App,
            repeat: Repeat::SameUntil { last: Duration::from_mins(5) },
            again: Again::Always,
            kind: CallKind::StableToken,
            daily_limit: Some(500_000),
            renew_ahead: Duration::from_secs(285),
            report_age_min,
        },
        TokenSource::DingTalk => Semantics {
            holder: Holder::App,
            // DingTalk: "Repeated requests within the validity period return the same result and
            // automatically extend the validity."
            repeat: Repeat::Extends,
            again: Again::Always,
            kind: CallKind::Token,
            daily_limit: None,
            renew_ahead: Duration::from_mins(15),
            report_age_min,
        },
        TokenSource::MiniProgram | TokenSource::AlipayHk => Semantics {
            holder: Holder::AppAndCustomer,
            // Mini Program: USED_REFRESH_TOKEN, "The refresh token has been used."
            repeat: Repeat::OneTime,
            again: Again::IdenticalOnly,
            kind: CallKind::ApplyToken,
            daily_limit: None,
            renew_ahead: Duration::from_hours(4),
            report_age_min,
        },
    }
}

/// The table's column for one credential, with the credential's own settings in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The column.
    pub semantics: Semantics,
    /// How long the platform takes a byte-identical signed request again; zero: never.
    pub identical_retry: Duration,
    /// How long before its end a token is renewed.
    pub renew_ahead: Duration,
    /// Calls a day; `None`: without end.
    pub daily_limit: Option<u32>,
    /// How many of them only an emergency may use.
    pub daily_reserve: u32,
}

impl Terms {
    /// Of a credential with these `settings`, whose tokens come from `source`.
    #[must_use]
    pub fn of(source: TokenSource, settings: &CredentialSettings) -> Self {
        let semantics = semantics(source);
        let seconds = |set: u32| Duration::from_secs(u64::from(set));
        let daily_limit = settings.daily_limit.or(semantics.daily_limit).filter(|limit| *limit > 0);
        Self {
            semantics,
            identical_retry: settings.identical_retry_s.map_or(Duration::ZERO, seconds),
            renew_ahead: settings.renew_ahead_s.map_or(semantics.renew_ahead, seconds),
            daily_limit,
            // A tenth, so that the last calls of a bad day are for whoever has no token at all.
            daily_reserve: settings.daily_reserve.unwrap_or_else(|| daily_limit.unwrap_or(0).div_euclid(10)),
        }
    }

    /// Whether what a renewal presents can be presented once only.
    #[must_use]
    pub const fn is_one_time(&self) -> bool {
        matches!(self.semantics.again, Again::IdenticalOnly)
    }

    /// Whether a renewal with so much `left` of a token's `life` would bring one that lives longer by enough: not before
    /// an eighth of it is over, or each of one consumer's reads could end the token that all the others have.
    #[must_use]
    pub fn gains_at(&self, left: Duration, life: Duration) -> bool {
        match self.semantics.repeat {
            Repeat::SameUntil { last } => left <= last,
            Repeat::Supersedes { .. } | Repeat::Extends | Repeat::OneTime => {
                life.saturating_sub(left).saturating_mul(WISH_PART) >= life
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_tokens_are_renewed_only_when_that_gives_a_new_one() {
        let stable = semantics(TokenSource::WeChatStable);
        let Repeat::SameUntil { last } = stable.repeat else { panic!("stable") };
        assert!(stable.renew_ahead < last);
    }

    #[test]
    fn only_what_can_be_used_once_may_not_be_sent_again() {
        for source in TokenSource::ALL {
            let column = semantics(source);
            assert_eq!(column.repeat == Repeat::OneTime, column.again == Again::IdenticalOnly, "{source:?}");
            assert_eq!(column.holder == Holder::AppAndCustomer, source.dialect().is_signed(), "{source:?}");
        }
    }
}
