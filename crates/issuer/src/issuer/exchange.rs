//! Codes and refresh tokens: each traded once, by exactly one of all who try.

use mintkeep_protocol::app::App;
use mintkeep_protocol::binding::ShownBinding;
use mintkeep_protocol::issue::authenticate::AuthenticClient;
use mintkeep_protocol::issue::check::customer_may;
use mintkeep_protocol::issue::code::{Exchange, ExchangeAsk, exchange_code};
use mintkeep_protocol::issue::refresh::{may_refresh, refresh};
use mintkeep_protocol::outcome::{Refusal, TokenSet};
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::{ActiveTokens, AuditAction, Grant, GrantStage};
use mintkeep_protocol::request::RequestDigest;
use mintkeep_protocol::secret::{AccessToken, AuthCode, RefreshToken};
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::{TokenClaim, TokenKind, TokenPlace};
use mintkeep_web::arrival::Arrival;

use super::{COMMIT_TRIES, Failure, Issuer};

/// Who trades, and by which request.
#[derive(Clone, Copy)]
pub struct CodeAsk<'a> {
    /// The app.
    pub client: &'a AuthenticClient,
    /// Its signed request, if it was signed.
    pub request: Option<RequestDigest>,
    /// Where and when from.
    pub arrival: &'a Arrival,
}

/// What is traded in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Traded {
    Code(ShownBinding),
    Refresh,
}

impl Traded {
    const fn unknown(self) -> Refusal {
        match self {
            Self::Code(_) => Refusal::CodeInvalid,
            Self::Refresh => Refusal::RefreshInvalid,
        }
    }

    const fn action(self) -> AuditAction {
        match self {
            Self::Code(_) => AuditAction::CodeExchanged,
            Self::Refresh => AuditAction::TokenRefreshed,
        }
    }
}

impl Issuer {
    /// Trades a code for a grant's first pair of tokens. `shown` is what it came with.
    ///
    /// # Errors
    ///
    /// [`Refusal::CodeMalformed`] for what was never a code of ours, without asking the store; else as
    /// [`exchange_code`], then the customer's state.
    pub async fn exchange(
        &self,
        ask: CodeAsk<'_>,
        code: &AuthCode,
        shown: ShownBinding,
    ) -> Result<TokenSet, Failure> {
        let claim = self.tokens.parse(code.expose()).filter(|claim| claim.kind.is_code());
        Box::pin(self.trade(ask, Traded::Code(shown), &claim.ok_or(Refusal::CodeMalformed)?)).await
    }

    /// Trades a refresh token for the next pair of tokens.
    ///
    /// # Errors
    ///
    /// As [`refresh`], then the customer's state.
    pub async fn refresh(&self, ask: CodeAsk<'_>, token: &RefreshToken) -> Result<TokenSet, Failure> {
        may_refresh(ask.client.app())?;
        let claim = self.tokens.parse(token.expose()).filter(|claim| claim.kind == TokenKind::GrantRefresh);
        Box::pin(self.trade(ask, Traded::Refresh, &claim.ok_or(Refusal::RefreshInvalid)?)).await
    }

    /// Load, decide, commit. A lost commit is decided anew on what the winner left: "used", as a rule.
    ///
    /// Its callers box its future, or each other call's would be larger by it.
    async fn trade(&self, ask: CodeAsk<'_>, traded: Traded, claim: &TokenClaim) -> Result<TokenSet, Failure> {
        for _try in 0..COMMIT_TRIES {
            let grant = self.grant_of(claim).await?.ok_or(traded.unknown())?;
            // Another app's epochs say nothing of who calls.
            if grant.app == ask.client.app().no {
                self.knows_epoch(ask.client, grant.token_epoch)?;
            }
            let asked = ExchangeAsk {
                caller: ask.client,
                request: ask.request,
                epoch: self.epoch,
                now: self.clock.now(),
            };
            let exchange = match traded {
                Traded::Code(shown) => exchange_code(&self.tokens, claim, &grant, &asked, shown)?,
                Traded::Refresh => refresh(&self.tokens, claim, &grant, &asked)?,
            };
            let app = ask.client.app();
            let audit = |action| self.audit(format_args!("app {}", app.id), action, grant.id, ask.arrival);
            match exchange {
                Exchange::Again(tokens) => return Ok(self.token_set(app, &grant, &tokens, asked.now)),
                Exchange::Replayed(revoked) => {
                    let commit = self.store.commit_grant(revoked, audit(AuditAction::CodeReplayed)).await?;
                    // Lost: what somebody else made of the grant is to end too.
                    if commit == Commit::Done {
                        return Err(Refusal::CodeUsed.into());
                    }
                }
                Exchange::First(next) => {
                    let customer = self.store.customer(&grant.customer).await?;
                    customer_may(customer.as_deref())?;
                    let audit = audit(traded.action());
                    let commit = self.store.commit_grant_for(app, next.clone(), audit).await?;
                    if let (Commit::Done, GrantStage::Active { tokens, .. }) = (commit, next.stage) {
                        return Ok(self.token_set(app, &next, &tokens, asked.now));
                    }
                    self.still_lets_in(ask.client).await?;
                }
            }
        }
        Err(Failure::Busy)
    }

    fn token_set(&self, app: &App, grant: &Grant, tokens: &ActiveTokens, now: Timestamp) -> TokenSet {
        let text = |kind| {
            let place =
                TokenPlace { kind, record: grant.id, salt: &grant.salt, token_epoch: app.token_epoch };
            self.tokens.mint(&place, tokens.access.generation)
        };
        TokenSet {
            access: AccessToken::new(text(TokenKind::GrantAccess)),
            access_expires_at: tokens.access.expires_at,
            expires_in: tokens.access.expires_at.since(now),
            refresh: RefreshToken::new(text(TokenKind::GrantRefresh)),
            refresh_expires_at: tokens.refresh_expires_at,
            customer: grant.customer.clone(),
            scopes: grant.scopes.clone(),
        }
    }
}
