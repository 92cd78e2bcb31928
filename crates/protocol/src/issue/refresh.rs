//! Refresh tokens: each is traded once, for the next pair.

use super::code::{Exchange, ExchangeAsk, next_tokens};
use crate::outcome::Refusal;
use crate::record::{Grant, GrantStage};
use crate::token::{TokenClaim, TokenKeys};

/// Decides whether a refresh token may be traded for the next pair of tokens.
///
/// # Errors
///
/// In this order: [`Refusal::RefreshInvalid`], [`Refusal::RefreshUsed`], [`Refusal::RefreshExpired`];
/// [`Refusal::GrantTypeUnsupported`] for an app that has no use for refresh tokens.
///
/// Source: Mini Program `applyToken`, error codes `INVALID_REFRESH_TOKEN`, `USED_REFRESH_TOKEN`,
/// `EXPIRED_REFRESH_TOKEN`, `AUTH_CLIENT_UNSUPPORTED_GRANT_TYPE`.
pub fn refresh(
    keys: &TokenKeys,
    claim: &TokenClaim,
    grant: &Grant,
    ask: &ExchangeAsk<'_>,
) -> Result<Exchange, Refusal> {
    let app = ask.caller.app();
    if app.settings.refuses_refresh {
        return Err(Refusal::GrantTypeUnsupported);
    }
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
