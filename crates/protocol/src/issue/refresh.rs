//! Refresh tokens: each is traded once, for the next pair.

use super::code::{Exchange, ExchangeAsk, next_tokens};
use crate::app::App;
use crate::outcome::Refusal;
use crate::record::{Grant, GrantStage};
use crate::token::{TokenClaim, TokenKeys};

/// Whether an app may present refresh tokens at all: decided before one is looked at, since "Obtain a new refresh
/// token via this API" would be no advice to an app that may not.
///
/// # Errors
///
/// [`Refusal::GrantTypeUnsupported`] if it may not.
///
/// Source: Mini Program `applyToken`, error code `AUTH_CLIENT_UNSUPPORTED_GRANT_TYPE`.
pub fn may_refresh(app: &App) -> Result<(), Refusal> {
    if app.settings.refuses_refresh { Err(Refusal::GrantTypeUnsupported) } else { Ok(()) }
}

/// Decides whether a refresh token may be traded for the next pair of tokens.
///
/// # Errors
///
/// In this order: as [`may_refresh`], [`Refusal::RefreshInvalid`], [`Refusal::RefreshUsed`],
/// [`Refusal::RefreshExpired`].
///
/// Source: Mini Program `applyToken`, error codes `INVALID_REFRESH_TOKEN`, `USED_REFRESH_TOKEN`,
/// `EXPIRED_REFRESH_TOKEN`.
pub fn refresh(
    keys: &TokenKeys,
    claim: &TokenClaim,
    grant: &Grant,
    ask: &ExchangeAsk<'_>,
) -> Result<Exchange, Refusal> {
    let app = ask.caller.app();
    may_refresh(app)?;
    if grant.app != app.no || !keys.tag_holds(claim, &grant.salt, app.token_epoch) {
        return Err(Refusal::RefreshInvalid);
    }
    let GrantStage::Active { spent_at, tokens } = grant.stage else {
        return Err(Refusal::RefreshInvalid);
    };
    if claim.generation < tokens.access.generation {
        return if ask.repeats(&tokens) { Ok(Exchange::Again(tokens)) } else { Err(Refusal::RefreshUsed) };
    }
    if claim.generation > tokens.access.generation {
        // Handed out after the backup that this store was restored from.
        return Err(Refusal::RefreshInvalid);
    }
    if ask.now >= tokens.refresh_expires_at {
        return Err(Refusal::RefreshExpired);
    }
    let tokens = next_tokens(tokens.access.generation, Some(tokens.access), ask);
    Ok(Exchange::First(Grant { stage: GrantStage::Active { spent_at, tokens }, ..grant.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppSettings;
    use crate::ident::{Dialect, RecordId};
    use crate::issue::sample::{GRANT, NOW, app, at, claim, client, grant, held, keys};
    use crate::record::{ActiveTokens, Held};
    use crate::request::RequestDigest;
    use crate::token::{Generation, StoreEpoch, TokenKind};

    const DAY_MS: i64 = 86_400_000;
    const ONE: Option<RequestDigest> = Some(RequestDigest([1; 16]));
    const OTHER: Option<RequestDigest> = Some(RequestDigest([2; 16]));

    /// The stage after the request [`ONE`] traded the refresh token of generation 1 at [`NOW`].
    fn refreshed() -> GrantStage {
        let tokens = ActiveTokens {
            access: held(2, 0, DAY_MS),
            refresh_expires_at: at(3 * DAY_MS),
            previous: Some(held(1, -1_000, 300_000)),
            made_by: ONE,
        };
        GrantStage::Active { spent_at: at(-1_000), tokens }
    }

    fn traded(
        app: &App,
        stage: GrantStage,
        generation: i64,
        (request, now_ms): (Option<RequestDigest>, i64),
    ) -> Result<Exchange, Refusal> {
        let caller = client(app);
        let ask = ExchangeAsk { caller: &caller, request, epoch: StoreEpoch::new(0), now: at(now_ms) };
        let token = claim(TokenKind::GrantRefresh, GRANT, Generation::from_number(generation), 0);
        refresh(&keys(), &token, &grant(&owner(), stage), &ask)
    }

    fn owner() -> App {
        app(Dialect::MiniProgram)
    }

    fn refusal(decided: &Result<Exchange, Refusal>) -> Option<Refusal> {
        decided.as_ref().err().copied()
    }

    #[test]
    fn a_refresh_token_is_good_once_for_its_own_app_until_its_end() {
        use Refusal::{GrantTypeUnsupported, RefreshExpired, RefreshInvalid, RefreshUsed};
        let owner = owner();
        let stranger = App { no: RecordId::from_number(10), ..owner.clone() };
        let revoked_app = App { token_epoch: 1, ..owner.clone() };
        let settings = AppSettings { refuses_refresh: true, ..AppSettings::default() };
        let unsupported = App { settings, ..owner.clone() };
        let ended = GrantStage::Revoked { spent_at: Some(NOW), at: NOW };
        let unused = GrantStage::Issued { binding: None };

        #[rustfmt::skip]
        let cases = [
            ("at once",                      &owner,       refreshed(),        2, 0,              None),
            ("last good millisecond",        &owner,       refreshed(),        2, 3 * DAY_MS - 1, None),
            ("at its end",                   &owner,       refreshed(),        2, 3 * DAY_MS,     Some(RefreshExpired)),
            ("the one before",               &owner,       refreshed(),        1, 0,              Some(RefreshUsed)),
            ("the one before, late",         &owner,       refreshed(),        1, 3 * DAY_MS,     Some(RefreshUsed)),
            ("of after the backup",          &owner,       refreshed(),        3, 0,              Some(RefreshInvalid)),
            ("somebody else's",              &stranger,    refreshed(),        2, 0,              Some(RefreshInvalid)),
            ("somebody else's, used",        &stranger,    refreshed(),        1, 0,              Some(RefreshInvalid)),
            ("all of the app's ended",       &revoked_app, refreshed(),        2, 0,              Some(RefreshInvalid)),
            ("the grant ended",              &owner,       ended,              2, 0,              Some(RefreshInvalid)),
            ("the grant ended, used",        &owner,       ended,              1, 0,              Some(RefreshInvalid)),
            ("its code was not exchanged",   &owner,       unused,             1, 0,              Some(RefreshInvalid)),
            ("an app without refresh",       &unsupported, refreshed(),        2, 0,              Some(GrantTypeUnsupported)),
            ("the same, and a used one",     &unsupported, refreshed(),        1, 0,              Some(GrantTypeUnsupported)),
        ];
        for (case, caller, stage, generation, now_ms, expected) in cases {
            let decided = traded(caller, stage, generation, (OTHER, now_ms));
            assert_eq!(refusal(&decided), expected, "{case}");
            let is_first = matches!(decided, Ok(Exchange::First(_)));
            assert_eq!(is_first, expected.is_none(), "{case}");
        }
    }

    #[test]
    fn only_the_identical_signed_request_gets_the_pair_again_and_for_a_minute() {
        #[rustfmt::skip]
        let cases = [
            ("identical, at once",                 ONE,   0,      true),
            ("identical, in the last millisecond", ONE,   59_999, true),
            ("identical, after a minute",          ONE,   60_000, false),
            ("another",                            OTHER, 0,      false),
            ("unsigned",                           None,  0,      false),
        ];
        for (case, request, now_ms, is_again) in cases {
            let decided = traded(&owner(), refreshed(), 1, (request, now_ms));
            if is_again {
                let Ok(Exchange::Again(tokens)) = decided else { panic!("{case}: not answered again") };
                assert_eq!(tokens.access, held(2, 0, DAY_MS), "{case}");
            } else {
                assert_eq!(refusal(&decided), Some(Refusal::RefreshUsed), "{case}");
            }
        }
    }

    #[test]
    fn the_next_pair_leaves_the_access_token_five_minutes_and_never_past_its_own_end() {
        #[rustfmt::skip]
        let cases: [(&str, i64, Option<Held>); 4] = [
            ("at once",              1,                Some(held(2, 0, 300_001))),
            ("five minutes left",    DAY_MS - 300_000, Some(held(2, 0, DAY_MS))),
            ("its last millisecond", DAY_MS - 1,       Some(held(2, 0, DAY_MS))),
            ("at its end",           DAY_MS,           None),
        ];
        for (case, now_ms, previous) in cases {
            let Ok(Exchange::First(next)) = traded(&owner(), refreshed(), 2, (OTHER, now_ms)) else {
                panic!("{case}: the token was good");
            };
            let tokens = ActiveTokens {
                access: held(3, now_ms, now_ms + DAY_MS),
                refresh_expires_at: at(now_ms + 3 * DAY_MS),
                previous,
                made_by: OTHER,
            };
            assert_eq!(next.stage, GrantStage::Active { spent_at: at(-1_000), tokens }, "{case}");
            assert_eq!(next.revision, 3, "{case}: its guard is what was loaded");
        }
    }

    #[test]
    fn a_restored_store_hands_out_no_generation_twice() {
        let caller = client(&owner());
        let ask = ExchangeAsk { caller: &caller, request: ONE, epoch: StoreEpoch::new(1), now: NOW };
        let token = claim(TokenKind::GrantRefresh, GRANT, Generation::from_number(2), 0);
        let Ok(Exchange::First(next)) = refresh(&keys(), &token, &grant(&owner(), refreshed()), &ask) else {
            panic!("the token was good");
        };
        let GrantStage::Active { tokens, .. } = next.stage else { panic!("not active") };
        assert_eq!(tokens.access.generation, StoreEpoch::new(1).first());
    }
}
