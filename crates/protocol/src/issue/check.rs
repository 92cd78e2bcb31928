//! Whether an access token is good, for everyone who consumes one.

use crate::app::{App, AppStatus};
use crate::outcome::Refusal;
use crate::record::{Customer, CustomerStatus, Grant, GrantStage, Held, Pool};
use crate::time::Timestamp;
use crate::token::{TokenClaim, TokenKeys};

/// Decides whether `claim` is a good token of an app's pool.
///
/// # Errors
///
/// [`Refusal::AccessInvalid`] for one that is not the latest (WeChat 40001), [`Refusal::AccessExpired`]
/// for the latest one past its time (WeChat 42001).
pub fn pool_token(
    keys: &TokenKeys,
    claim: &TokenClaim,
    app: &App,
    pool: &Pool,
    now: Timestamp,
) -> Result<Held, Refusal> {
    if app.status == AppStatus::Disabled || !keys.tag_holds(claim, &pool.salt, app.token_epoch) {
        return Err(Refusal::AccessInvalid);
    }
    good_generation(claim, pool.current, pool.previous, now)
}

/// Decides whether `claim` is a good access token of a grant.
///
/// # Errors
///
/// [`Refusal::AccessInvalid`], [`Refusal::AccessExpired`] as above; [`Refusal::CustomerUnknown`] and
/// [`Refusal::CustomerFrozen`] only for a token that is good otherwise.
pub fn grant_token(
    keys: &TokenKeys,
    claim: &TokenClaim,
    app: &App,
    grant: &Grant,
    now: Timestamp,
) -> Result<Held, Refusal> {
    if app.status == AppStatus::Disabled || !keys.tag_holds(claim, &grant.salt, app.token_epoch) {
        return Err(Refusal::AccessInvalid);
    }
    match grant.stage {
        GrantStage::Issued { .. } | GrantStage::Revoked { .. } => Err(Refusal::AccessInvalid),
        GrantStage::Active { tokens, .. } => good_generation(claim, tokens.access, tokens.previous, now),
    }
}

/// Decides whether a customer may be granted about, or asked about.
///
/// # Errors
///
/// [`Refusal::CustomerUnknown`], [`Refusal::CustomerFrozen`].
pub fn customer_may(customer: Option<&Customer>) -> Result<&Customer, Refusal> {
    let customer = customer.ok_or(Refusal::CustomerUnknown)?;
    match customer.status {
        CustomerStatus::Active => Ok(customer),
        CustomerStatus::Frozen => Err(Refusal::CustomerFrozen),
        CustomerStatus::Deleted => Err(Refusal::CustomerUnknown),
    }
}

fn good_generation(
    claim: &TokenClaim,
    current: Held,
    previous: Option<Held>,
    now: Timestamp,
) -> Result<Held, Refusal> {
    if claim.generation == current.generation {
        return if now < current.expires_at { Ok(current) } else { Err(Refusal::AccessExpired) };
    }
    previous
        .filter(|held| held.generation == claim.generation && now < held.expires_at)
        .ok_or(Refusal::AccessInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{CustomerId, Dialect};
    use crate::issue::sample::{GRANT, NOW, SALT, app, at, claim, grant, held, keys};
    use crate::record::{ActiveTokens, PoolKey, Profile};
    use crate::token::{Generation, Salt, TokenKind};

    /// A pool whose current token has a life of 1,000 ms, and whose predecessor has 300 ms left.
    fn pool(app: &App) -> Pool {
        Pool {
            key: PoolKey { app: app.no, kind: TokenKind::WeChatToken },
            salt: SALT,
            current: held(3, 0, 1_000),
            previous: Some(held(2, -500, 300)),
            token_epoch: app.token_epoch,
            quota_day: 0,
            used_today: 0,
            forced_today: 0,
            forced_at: None,
            revision: 1,
        }
    }

    fn grant_of(app: &App) -> Grant {
        let tokens = ActiveTokens {
            access: held(3, 0, 1_000),
            refresh_expires_at: at(9_000),
            previous: Some(held(2, -500, 300)),
            made_by: None,
        };
        grant(app, GrantStage::Active { spent_at: NOW, tokens })
    }

    #[test]
    fn the_current_token_is_good_until_its_end_and_its_predecessor_as_long_as_it_overlaps() {
        use Refusal::{AccessExpired, AccessInvalid};
        let active = app(Dialect::WeChat);
        let disabled = App { status: AppStatus::Disabled, ..active.clone() };
        let frozen = App { status: AppStatus::SecretFrozen, ..active.clone() };
        let revoked = App { token_epoch: 1, ..active.clone() };

        #[rustfmt::skip]
        let cases = [
            ("current",                          &active,   3, 0,     None),
            ("current, its last millisecond",    &active,   3, 999,   None),
            ("current, at its end",              &active,   3, 1_000, Some(AccessExpired)),
            ("predecessor",                      &active,   2, 0,     None),
            ("predecessor, last millisecond",    &active,   2, 299,   None),
            ("predecessor, after its overlap",   &active,   2, 300,   Some(AccessInvalid)),
            ("older",                            &active,   1, 0,     Some(AccessInvalid)),
            ("of after a backup",                &active,   4, 0,     Some(AccessInvalid)),
            ("the secret is frozen",             &frozen,   3, 0,     None),
            ("the app is disabled",              &disabled, 3, 0,     Some(AccessInvalid)),
            ("disabled, and expired",            &disabled, 3, 1_000, Some(AccessInvalid)),
            ("all of the app's tokens ended",    &revoked,  3, 0,     Some(AccessInvalid)),
        ];
        for (case, app, generation, now_ms, refusal) in cases {
            let generation = Generation::from_number(generation);
            let own = claim(TokenKind::WeChatToken, active.no, generation, 0);
            let found = pool_token(&keys(), &own, app, &pool(app), at(now_ms));
            assert_eq!(found.err(), refusal, "{case}, of a pool");
            let granted = claim(TokenKind::GrantAccess, GRANT, generation, 0);
            let found = grant_token(&keys(), &granted, app, &grant_of(app), at(now_ms));
            assert_eq!(found.err(), refusal, "{case}, of a grant");
        }
    }

    #[test]
    fn a_good_token_comes_with_its_own_life() {
        let app = app(Dialect::WeChat);
        for (generation, life) in [(3, held(3, 0, 1_000)), (2, held(2, -500, 300))] {
            let token = claim(TokenKind::WeChatToken, app.no, Generation::from_number(generation), 0);
            assert_eq!(pool_token(&keys(), &token, &app, &pool(&app), NOW), Ok(life));
        }
    }

    #[test]
    fn a_token_of_another_salt_is_none_of_the_records() {
        let app = app(Dialect::WeChat);
        let other_pool = Pool { salt: Salt([5; 16]), ..pool(&app) };
        let other_grant = Grant { salt: Salt([5; 16]), ..grant_of(&app) };
        let own = claim(TokenKind::WeChatToken, app.no, Generation::from_number(3), 0);
        let granted = claim(TokenKind::GrantAccess, GRANT, Generation::from_number(3), 0);
        assert_eq!(pool_token(&keys(), &own, &app, &other_pool, NOW), Err(Refusal::AccessInvalid));
        assert_eq!(grant_token(&keys(), &granted, &app, &other_grant, NOW), Err(Refusal::AccessInvalid));
    }

    #[test]
    fn only_an_active_grant_has_good_tokens() {
        let app = app(Dialect::MiniProgram);
        let token = claim(TokenKind::GrantAccess, GRANT, Generation::from_number(3), 0);
        for stage in
            [GrantStage::Issued { binding: None }, GrantStage::Revoked { spent_at: Some(NOW), at: NOW }]
        {
            let found = grant_token(&keys(), &token, &app, &grant(&app, stage), NOW);
            assert_eq!(found, Err(Refusal::AccessInvalid), "{stage:?}");
        }
    }

    #[test]
    fn a_frozen_customer_is_told_from_one_who_is_gone() {
        let customer = |status| Customer {
            id: CustomerId::parse("2160000000000001").unwrap(),
            status,
            profile: Profile::default(),
        };
        #[rustfmt::skip]
        let cases = [
            ("active",        Some(customer(CustomerStatus::Active)),  None),
            ("frozen",        Some(customer(CustomerStatus::Frozen)),  Some(Refusal::CustomerFrozen)),
            ("deleted",       Some(customer(CustomerStatus::Deleted)), Some(Refusal::CustomerUnknown)),
            ("never there",   None,                                    Some(Refusal::CustomerUnknown)),
        ];
        for (case, customer, refusal) in cases {
            assert_eq!(customer_may(customer.as_ref()).err(), refusal, "{case}");
        }
    }
}
