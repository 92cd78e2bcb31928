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
        GrantStage::Issued | GrantStage::Revoked { .. } => Err(Refusal::AccessInvalid),
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
