//! How long a copy of a token can be used, and what a client library is told of that.

use std::time::Duration;

use mintkeep_protocol::keep::semantics::{Repeat, Terms};
use mintkeep_protocol::keep::slot::Upkeep;
use mintkeep_protocol::time::Timestamp;

/// How long a copy is used at least before its holder asks again, while the token lives; also what a library
/// with a margin of its own is left with.
const USE_MIN: Duration = Duration::from_mins(1);

/// How much longer a copy can be used that is made at `now`, of a token that has so much time `left`.
///
/// Not always to the token's own end: where a renewal ends the token before, the copy lasts until the next
/// renewal and the platform's overlap after it.
pub(super) fn usable(left: Duration, upkeep: &Upkeep, terms: &Terms, now: Timestamp) -> Duration {
    let renewal = match upkeep {
        Upkeep::Idle { renew_at } => renew_at.since(now),
        Upkeep::Renewing { .. } | Upkeep::Backoff { .. } | Upkeep::NeedsOperator { .. } => Duration::ZERO,
        // Nobody renews it any more.
        Upkeep::NeedsConsent { .. } => return left,
    };
    match terms.semantics.repeat {
        Repeat::SameUntil { .. } | Repeat::Extends => left,
        Repeat::Supersedes { overlap } => left.min(renewal.saturating_add(overlap)),
        // No page says what becomes of the access token before: as little as can be is promised.
        Repeat::OneTime => left.min(renewal.max(USE_MIN)),
    }
}

/// What a client library is told, if it drops a token `margin` early: enough that it uses the copy for a while
/// before it asks again, and never past the copy's end.
pub(super) fn told(usable: Duration, margin: Duration) -> Duration {
    usable.max(margin.saturating_add(usable.min(USE_MIN)))
}

/// Whether a token with so much time `left` is so near its end that a library with such a margin asks again
/// for each minute.
pub(super) fn is_near_end(left: Duration, margin: Duration) -> bool {
    left <= margin.saturating_add(USE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mintkeep_protocol::keep::credential::{CredentialSettings, TokenSource};
    use mintkeep_protocol::keep::slot::{HolderId, Trouble};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn after_s(seconds: u64) -> Timestamp {
        NOW.after(Duration::from_secs(seconds))
    }

    fn terms(source: TokenSource) -> Terms {
        Terms::of(source, &CredentialSettings::default())
    }

    #[test]
    fn a_copy_is_promised_for_no_longer_than_the_next_renewal_leaves_it_alive() {
        use TokenSource::{AlipayHk, DingTalk, MiniProgram, WeChatStable, WeChatToken};
        let idle = |after| Upkeep::Idle { renew_at: after_s(after) };
        let renewing = Upkeep::Renewing { by: HolderId(1), since: NOW };
        let backoff = Upkeep::Backoff { until: after_s(9), because: Trouble::NotSent };
        let consent = Upkeep::NeedsConsent { since: NOW, because: Trouble::RefreshRefused };
        #[rustfmt::skip]
        let cases = [
            (WeChatStable, 7_200,  idle(6_915),   7_200),
            (DingTalk,     7_200,  idle(6_300),   7_200),
            (WeChatToken,  7_200,  idle(6_300),   6_600),
            (WeChatToken,    900,  idle(0),         300),
            (WeChatToken,    900,  renewing,        300),
            (WeChatToken,    299,  backoff,         299),
            (MiniProgram, 259_200, idle(244_800), 244_800),
            (MiniProgram, 14_400,  idle(0),          60),
            (AlipayHk,    14_400,  renewing,         60),
            (AlipayHk,        59,  renewing,         59),
            (AlipayHk,    14_400,  consent,      14_400),
            (WeChatToken,      0,  idle(0),           0),
        ];
        for (source, left_s, upkeep, usable_s) in cases {
            let usable = usable(Duration::from_secs(left_s), &upkeep, &terms(source), NOW);
            assert_eq!(usable.as_secs(), usable_s, "{source:?}, {left_s} s left, {upkeep:?}");
        }
    }

    #[test]
    fn a_library_with_a_margin_uses_each_copy_for_a_while_and_never_past_its_end() {
        for margin_s in [0, 10, 60, 200, 300, 1_500, 7_140] {
            for usable_s in [0, 1, 59, 60, 61, 300, 1_500, 7_200] {
                let (margin, usable) = (Duration::from_secs(margin_s), Duration::from_secs(usable_s));
                let told = told(usable, margin);
                let used = told.saturating_sub(margin);
                assert!(used <= usable, "{margin_s} {usable_s}: past its end");
                assert!(used >= usable.min(USE_MIN), "{margin_s} {usable_s}: asks again at once");
                assert!(told >= usable, "{margin_s} {usable_s}: less than it is");
            }
        }
    }
}
