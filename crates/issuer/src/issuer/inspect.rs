//! What became of a token, told to the operator who has it in hand.

use std::sync::Arc;

use mintkeep_protocol::app::{App, AppStatus};
use mintkeep_protocol::ident::{CustomerId, Scope};
use mintkeep_protocol::issue::check::customer_may;
use mintkeep_protocol::issue::ticket;
use mintkeep_protocol::record::{ActiveTokens, Grant, GrantStage, Held, PoolKey};
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::{Salt, TokenClaim, TokenKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Failure, Issuer};

/// How many mass revocations back a token is still told to have ended by one.
const EPOCHS_BACK_MAX: u32 = 16;

/// Where a token or code is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// No key of this server made it.
    NotOurs,
    /// It was made here, and its app or grant is gone.
    Gone,
    /// It is good.
    Good,
    /// It is good, and has a successor.
    Overlapping,
    /// It was good until its time was over.
    Expired,
    /// A newer one took its place.
    Superseded,
    /// A code or refresh token that was traded in.
    Used,
    /// It was ended before its time.
    Revoked,
    /// It would be good if its app were not disabled.
    AppDisabled,
    /// It would be good if its customer were not frozen or deleted.
    CustomerBarred,
}

/// What is known of a token or code. It never holds the token itself.
pub struct Inspection {
    /// Where it is in its life.
    pub state: TokenState,
    /// What it is for and which of its record's it is; `None` if it is not ours.
    pub claim: Option<TokenClaim>,
    /// Whose it is.
    pub app: Option<Arc<App>>,
    /// Whom it is about, and what it allows.
    pub about: Option<(CustomerId, Vec<Scope>)>,
    /// When it was made, where the record still says so.
    pub issued_at: Option<Timestamp>,
    /// Until when it is or was good, where the record still says so.
    pub expires_at: Option<Timestamp>,
}

impl Inspection {
    const fn of(state: TokenState, claim: Option<TokenClaim>) -> Self {
        Self { state, claim, app: None, about: None, issued_at: None, expires_at: None }
    }

    fn with_life(self, (state, life): (TokenState, Option<Held>)) -> Self {
        let (issued_at, expires_at) = (life.map(|held| held.issued_at), life.map(|held| held.expires_at));
        Self { state, issued_at, expires_at, ..self }
    }
}

impl Issuer {
    /// What became of `token`.
    ///
    /// # Errors
    ///
    /// [`Failure::Store`]. A token that was never ours is told without asking the store.
    pub async fn inspect(&self, token: &str) -> Result<Inspection, Failure> {
        let Some(claim) = self.tokens.parse(token) else {
            return Ok(Inspection::of(TokenState::NotOurs, None));
        };
        match claim.kind {
            TokenKind::WeChatToken | TokenKind::WeChatStable | TokenKind::DingTalkToken => {
                self.inspect_pool(claim, claim.kind).await
            }
            TokenKind::Ticket | TokenKind::CardTicket => self.inspect_ticket(claim).await,
            TokenKind::Code
            | TokenKind::ChallengedCode
            | TokenKind::GrantAccess
            | TokenKind::GrantRefresh => self.inspect_grant(claim).await,
        }
    }

    /// A ticket is of whichever of the app's pools the token was that it was drawn with.
    async fn inspect_ticket(&self, claim: TokenClaim) -> Result<Inspection, Failure> {
        for kind in [TokenKind::DingTalkToken, TokenKind::WeChatToken] {
            let inspection = self.inspect_pool(claim, kind).await?;
            if inspection.state != TokenState::Gone {
                return Ok(inspection);
            }
        }
        self.inspect_pool(claim, TokenKind::WeChatStable).await
    }

    async fn inspect_pool(&self, claim: TokenClaim, kind: TokenKind) -> Result<Inspection, Failure> {
        let gone = Inspection::of(TokenState::Gone, Some(claim));
        let key = PoolKey { app: claim.record, kind };
        let Some((pool, app)) = self.pool_and_app(key, &claim).await? else { return Ok(gone) };
        let pool = self.extensions.exact(&pool);
        let mut life = match self.barred(&claim, &pool.salt, &app) {
            Some(state) => (state, None),
            None if claim.kind == kind && self.was_revoked(&claim, pool.current) => {
                (TokenState::Revoked, None)
            }
            None if claim.kind == kind => newest_life(&claim, pool.current, pool.previous, self.clock.now()),
            None => ticket_life(&claim, self.clock.now()),
        };
        hold_up(&mut life.0, &app);
        Ok(Inspection { app: Some(app), ..gone }.with_life(life))
    }

    async fn inspect_grant(&self, claim: TokenClaim) -> Result<Inspection, Failure> {
        let gone = Inspection::of(TokenState::Gone, Some(claim));
        let Some((grant, app)) = self.grant_and_app(&claim).await? else { return Ok(gone) };
        let mut life = match self.barred(&claim, &grant.salt, &app) {
            Some(state) => (state, None),
            None => grant_life(&claim, &grant, self.clock.now()),
        };
        hold_up(&mut life.0, &app);
        let customer = self.store.customer(&grant.customer).await?;
        if matches!(life.0, TokenState::Good | TokenState::Overlapping)
            && customer_may(customer.as_deref()).is_err()
        {
            life.0 = TokenState::CustomerBarred;
        }
        let about = Some((grant.customer.clone(), grant.scopes.clone()));
        Ok(Inspection { app: Some(app), about, ..gone }.with_life(life))
    }

    /// Whether a pool's latest token was revoked: its successor never was good.
    fn was_revoked(&self, claim: &TokenClaim, current: Held) -> bool {
        current.issued_at == current.expires_at && claim.generation.next(self.epoch) == current.generation
    }

    /// Why a token can't be good whatever its generation; `None`: it can.
    fn barred(&self, claim: &TokenClaim, salt: &Salt, app: &App) -> Option<TokenState> {
        if self.tokens.tag_holds(claim, salt, app.token_epoch) {
            return None;
        }
        let oldest = app.token_epoch.saturating_sub(EPOCHS_BACK_MAX);
        let was_revoked = (oldest..app.token_epoch).any(|epoch| self.tokens.tag_holds(claim, salt, epoch));
        Some(if was_revoked { TokenState::Revoked } else { TokenState::Gone })
    }
}

/// A token that is good but for its app, which is disabled.
fn hold_up(state: &mut TokenState, app: &App) {
    if app.status == AppStatus::Disabled && matches!(state, TokenState::Good | TokenState::Overlapping) {
        *state = TokenState::AppDisabled;
    }
}

/// A ticket has a life of its own.
fn ticket_life(claim: &TokenClaim, now: Timestamp) -> (TokenState, Option<Held>) {
    let life = ticket::life(claim.generation);
    (if now < life.expires_at { TokenState::Good } else { TokenState::Expired }, Some(life))
}

/// The life of a token of which the latest and perhaps the one before are good.
fn newest_life(
    claim: &TokenClaim,
    current: Held,
    previous: Option<Held>,
    now: Timestamp,
) -> (TokenState, Option<Held>) {
    if claim.generation == current.generation {
        let state = if now < current.expires_at { TokenState::Good } else { TokenState::Expired };
        return (state, Some(current));
    }
    match previous.filter(|held| held.generation == claim.generation) {
        Some(held) if now < held.expires_at => (TokenState::Overlapping, Some(held)),
        held => (TokenState::Superseded, held),
    }
}

fn grant_life(claim: &TokenClaim, grant: &Grant, now: Timestamp) -> (TokenState, Option<Held>) {
    let issued_at = grant.id.made_at();
    let code = Held { generation: claim.generation, issued_at, expires_at: grant.code_expires_at };
    let is_code = claim.kind.is_code();
    match grant.stage {
        GrantStage::Issued { .. } if !is_code => (TokenState::Gone, None),
        GrantStage::Issued { .. } if now < grant.code_expires_at => (TokenState::Good, Some(code)),
        GrantStage::Issued { .. } => (TokenState::Expired, Some(code)),
        GrantStage::Active { .. } | GrantStage::Revoked { spent_at: Some(_), .. } if is_code => {
            (TokenState::Used, Some(code))
        }
        GrantStage::Revoked { .. } => (TokenState::Revoked, None),
        GrantStage::Active { tokens, .. } if claim.kind == TokenKind::GrantRefresh => {
            refresh_life(claim, &tokens, now)
        }
        GrantStage::Active { tokens, .. } => newest_life(claim, tokens.access, tokens.previous, now),
    }
}

fn refresh_life(claim: &TokenClaim, tokens: &ActiveTokens, now: Timestamp) -> (TokenState, Option<Held>) {
    if claim.generation != tokens.access.generation {
        return (TokenState::Used, None);
    }
    let held = Held { expires_at: tokens.refresh_expires_at, ..tokens.access };
    let state = if now < held.expires_at { TokenState::Good } else { TokenState::Expired };
    (state, Some(held))
}
