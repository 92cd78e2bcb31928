//! Authorization codes: issued once, exchanged once.

use super::authenticate::AuthenticClient;
use crate::app::App;
use crate::binding::{Challenge, CodeBinding, ShownBinding};
use crate::ident::{CustomerId, RecordId, Scope};
use crate::outcome::Refusal;
use crate::record::{ActiveTokens, Grant, GrantStage, Held};
use crate::request::RequestDigest;
use crate::time::Timestamp;
use crate::token::{Generation, Salt, StoreEpoch, TokenClaim, TokenKeys, TokenKind};

/// What a customer agreed to.
#[derive(Debug, Clone)]
pub struct Consent {
    /// Who.
    pub customer: CustomerId,
    /// What the app may do.
    pub scopes: Vec<Scope>,
    /// Where the code is sent, if a browser carries it to a URI of the app's.
    pub redirect_uri: Option<String>,
    /// What the app's verifier has to meet, if it asked with a challenge (RFC 7636).
    pub challenge: Option<Challenge>,
}

impl Consent {
    /// What the code is, of which the dialects' own exchanges take one kind only.
    #[must_use]
    pub const fn code_kind(&self) -> TokenKind {
        if self.challenge.is_some() { TokenKind::ChallengedCode } else { TokenKind::Code }
    }
}

/// The record of a new code. Its code is the token of generation [`Generation::of_codes_in`] the epoch.
#[must_use]
pub fn issue_code(app: &App, consent: Consent, (id, salt): (RecordId, Salt), now: Timestamp) -> Grant {
    let binding = CodeBinding::of(consent.redirect_uri.as_deref(), consent.challenge);
    Grant {
        id,
        app: app.no,
        customer: consent.customer,
        scopes: consent.scopes,
        salt,
        stage: GrantStage::Issued { binding },
        token_epoch: app.token_epoch,
        code_expires_at: now.after(app.code_lifetime()),
        revision: 0,
    }
}

/// What an exchange or a refresh comes to.
pub enum Exchange {
    /// Commit this grant, then hand out the tokens it holds. A lost commit means: used.
    First(Grant),
    /// The byte-identical request was answered before: hand out the same tokens again.
    Again(ActiveTokens),
    /// A used code was shown again, late and by another request: commit this revoked grant, then answer "used".
    Replayed(Grant),
}

/// Who exchanges, when, and by which request.
#[derive(Clone, Copy)]
pub struct ExchangeAsk<'a> {
    /// The caller.
    pub caller: &'a AuthenticClient,
    /// The request, if it was signed.
    pub request: Option<RequestDigest>,
    /// The store's epoch.
    pub epoch: StoreEpoch,
    /// The clock's reading.
    pub now: Timestamp,
}

impl ExchangeAsk<'_> {
    /// Whether this is the request that made `tokens`, byte for byte.
    fn is_same(&self, tokens: &ActiveTokens) -> bool {
        self.request.is_some() && self.request == tokens.made_by
    }

    /// Whether it is that, and soon enough to be answered again.
    pub(super) fn repeats(&self, tokens: &ActiveTokens) -> bool {
        let until = tokens.access.issued_at.after(self.caller.app().identical_retry());
        self.is_same(tokens) && self.now < until
    }
}

/// Decides whether a code may be traded for tokens.
///
/// # Errors
///
/// In this order, so that a stranger learns nothing about a code that isn't its own:
/// [`Refusal::CodeInvalid`], [`Refusal::CodeUsed`], [`Refusal::CodeExpired`]. A code with another redirect URI
/// than it was sent to, or another verifier than was meant, is invalid, and stays good for whoever shows the right
/// ones; where no verifier can be shown, a code that has a challenge is invalid.
///
/// Source: Mini Program `applyToken`, error codes `INVALID_CODE`, `USED_CODE`, `EXPIRED_CODE`; RFC 6749,
/// section 4.1.3, `redirect_uri`: "their values MUST be identical"; RFC 7636, section 4.6. That a code which was
/// sent nowhere may not come with a URI is ours: it did not take the way that its client believes. So it is with
/// a verifier and a code without a challenge: somebody took the challenge away (RFC 9700, section 4.8.2).
pub fn exchange_code(
    keys: &TokenKeys,
    claim: &TokenClaim,
    grant: &Grant,
    ask: &ExchangeAsk<'_>,
    shown: ShownBinding,
) -> Result<Exchange, Refusal> {
    let app = ask.caller.app();
    if grant.app != app.no || !keys.tag_holds(claim, &grant.salt, app.token_epoch) {
        return Err(Refusal::CodeInvalid);
    }
    match grant.stage {
        GrantStage::Issued { binding } => {
            let is_met = match shown {
                ShownBinding::NotAsked => claim.kind == TokenKind::Code,
                ShownBinding::Shown(shown) => shown == binding,
            };
            if !is_met {
                return Err(Refusal::CodeInvalid);
            }
        }
        GrantStage::Revoked { spent_at: Some(_), .. } => return Err(Refusal::CodeUsed),
        GrantStage::Revoked { spent_at: None, .. } => return Err(Refusal::CodeInvalid),
        GrantStage::Active { tokens, .. } if ask.repeats(&tokens) => return Ok(Exchange::Again(tokens)),
        // Its own request again, however late, is a caller who has not heard the answer, and no thief.
        GrantStage::Active { tokens, .. } if ask.is_same(&tokens) => return Err(Refusal::CodeUsed),
        GrantStage::Active { spent_at, .. } => {
            let is_late = app.replay_revokes_after().is_some_and(|wait| ask.now >= spent_at.after(wait));
            let stage = GrantStage::Revoked { spent_at: Some(spent_at), at: ask.now };
            let revoked = Grant { stage, ..grant.clone() };
            return if is_late { Ok(Exchange::Replayed(revoked)) } else { Err(Refusal::CodeUsed) };
        }
    }
    // A restored backup can't know which of its codes were spent after it was taken.
    let is_of_this_epoch = claim.generation == Generation::of_codes_in(ask.epoch);
    if ask.now >= grant.code_expires_at || !is_of_this_epoch {
        return Err(Refusal::CodeExpired);
    }
    let stage =
        GrantStage::Active { spent_at: ask.now, tokens: next_tokens(Generation::default(), None, ask) };
    Ok(Exchange::First(Grant { stage, ..grant.clone() }))
}

/// The pair of tokens after `generation`; `previous` is the access token that it supersedes.
pub(super) fn next_tokens(
    generation: Generation,
    previous: Option<Held>,
    ask: &ExchangeAsk<'_>,
) -> ActiveTokens {
    let app = ask.caller.app();
    ActiveTokens {
        access: Held {
            generation: generation.next(ask.epoch),
            issued_at: ask.now,
            expires_at: ask.now.after(app.access_lifetime()),
        },
        refresh_expires_at: ask.now.after(app.refresh_lifetime()),
        previous: previous
            .filter(|held| ask.now < held.expires_at)
            .map(|held| Held { expires_at: held.expires_at.min(ask.now.after(app.overlap())), ..held }),
        made_by: ask.request,
    }
}

#[cfg(test)]
mod tests;
