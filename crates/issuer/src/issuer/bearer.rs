//! What is asked with, or about, an access token.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::issue::access::daily_quota;
use mintkeep_protocol::issue::authenticate::AuthenticClient;
use mintkeep_protocol::issue::check::{customer_may, grant_token, pool_token};
use mintkeep_protocol::issue::ticket;
use mintkeep_protocol::outcome::{Granted, Refusal};
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::{AuditAction, Grant, GrantStage, Held, Pool, PoolKey};
use mintkeep_protocol::request::Ask;
use mintkeep_protocol::secret::AccessToken;
use mintkeep_protocol::token::{TokenClaim, TokenKind};
use mintkeep_web::arrival::Arrival;

use super::{COMMIT_TRIES, Failure, Issuer};

/// The addresses that `get_api_domain_ip` and `getcallbackip` tell: this server speaks from loopback.
const PLATFORM_ADDRESSES: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// The calls of today that have a quota, by pool.
const QUOTA_KINDS: [TokenKind; 2] = [TokenKind::WeChatToken, TokenKind::WeChatStable];

/// An app's own token that was found good.
pub(super) struct GoodPoolToken {
    pub app: Arc<App>,
    pub pool: Pool,
    pub held: Held,
}

/// A grant's access token that was found good.
pub(super) struct GoodGrantToken {
    pub app: Arc<App>,
    pub grant: Arc<Grant>,
    pub held: Held,
}

impl Issuer {
    /// Does what the bearer of an app's own token asks for. What is wrong with the ask is told only to
    /// whoever holds a good token.
    pub(super) async fn done_for_bearer(
        &self,
        dialect: Dialect,
        token: &AccessToken,
        ask: &Result<Ask, Refusal>,
        arrival: &Arrival,
    ) -> Result<Granted, Failure> {
        let claim = self.tokens.parse(token.expose()).ok_or(Refusal::AccessInvalid)?;
        let good = self.good_pool_token(&claim).await?;
        if good.app.dialect != dialect {
            return Err(Refusal::AccessInvalid.into());
        }
        self.meter.count(&good.app, self.clock.now())?;
        match ask.as_ref().map_err(|refusal| *refusal)? {
            Ask::PlatformAddresses => Ok(Granted::Addresses(PLATFORM_ADDRESSES.to_vec())),
            Ask::ClearQuota(id) => self.clear_quota(&good.app, id, arrival).await,
            Ask::QuotaOf { pool } => self.quota_of(&good.app, *pool).await,
            Ask::Ticket { kind } => {
                let turn = ticket::turn(self.clock.now());
                let ticket = AccessToken::new(self.pool_token_text(&good.pool, *kind, turn));
                Ok(Granted::Ticket { ticket, expires_in: ticket::TICKET_LIFE })
            }
            Ask::AppToken { .. }
            | Ask::ExchangeCode(_)
            | Ask::Refresh(_)
            | Ask::CancelToken(_)
            | Ask::UserInfo(_) => Err(Refusal::SecretMissing.into()),
        }
    }

    /// The app and pool of a token that is good now.
    pub(super) async fn good_pool_token(&self, claim: &TokenClaim) -> Result<GoodPoolToken, Failure> {
        if !matches!(claim.kind, TokenKind::WeChatToken | TokenKind::WeChatStable | TokenKind::DingTalkToken)
        {
            return Err(Refusal::AccessInvalid.into());
        }
        let key = PoolKey { app: claim.record, kind: claim.kind };
        let (stored, app) = self.pool_and_app(key, claim).await?.ok_or(Refusal::AccessInvalid)?;
        let pool = self.extensions.exact(&stored);
        let held = pool_token(&self.tokens, claim, &app, &pool, self.clock.now())?;
        Ok(GoodPoolToken { app, pool, held })
    }

    /// The app and grant of an access token that is good now.
    pub(super) async fn good_grant_token(&self, claim: &TokenClaim) -> Result<GoodGrantToken, Failure> {
        if claim.kind != TokenKind::GrantAccess {
            return Err(Refusal::AccessInvalid.into());
        }
        let (grant, app) = self.grant_and_app(claim).await?.ok_or(Refusal::AccessInvalid)?;
        let held = grant_token(&self.tokens, claim, &app, &grant, self.clock.now())?;
        Ok(GoodGrantToken { app, grant, held })
    }

    /// `cancelToken`: ends a grant. Doing it twice is as good as once.
    pub(super) async fn cancel(
        &self,
        client: &AuthenticClient,
        token: &AccessToken,
        arrival: &Arrival,
    ) -> Result<Granted, Failure> {
        let claim = self.tokens.parse(token.expose()).ok_or(Refusal::AccessInvalid)?;
        for _try in 0..COMMIT_TRIES {
            if claim.kind != TokenKind::GrantAccess {
                return Err(Refusal::AccessInvalid.into());
            }
            let grant = self.grant_of(&claim).await?.ok_or(Refusal::AccessInvalid)?;
            let app = client.app();
            if grant.app != app.no {
                return Err(Refusal::AccessInvalid.into());
            }
            self.knows_epoch(client, grant.token_epoch)?;
            if !self.tokens.tag_holds(&claim, &grant.salt, app.token_epoch) {
                return Err(Refusal::AccessInvalid.into());
            }
            if let GrantStage::Revoked { .. } = grant.stage {
                return Ok(Granted::Cancelled);
            }
            grant_token(&self.tokens, &claim, app, &grant, self.clock.now())?;
            let actor = format!("app {}", app.id);
            let audit = self.audit(actor, AuditAction::TokenCancelled, grant.id, arrival);
            if self.store.commit_grant(revoked(&grant, self.clock.now()), audit).await? == Commit::Done {
                return Ok(Granted::Cancelled);
            }
        }
        Err(Failure::Busy)
    }

    /// `inquiryUserInfo`: what the granted scopes let the app know.
    pub(super) async fn user_info(
        &self,
        client: &AuthenticClient,
        token: &AccessToken,
    ) -> Result<Granted, Failure> {
        let claim = self.tokens.parse(token.expose()).ok_or(Refusal::AccessInvalid)?;
        let good = self.good_grant_token(&claim).await?;
        if good.app.no != client.app().no {
            return Err(Refusal::AccessInvalid.into());
        }
        let customer = self.store.customer(&good.grant.customer).await?;
        let customer = customer_may(customer.as_deref())?;
        let may_see = good.grant.scopes.iter().any(|scope| scope.as_str() == "auth_user");
        Ok(Granted::UserInfo {
            customer: customer.id.clone(),
            profile: may_see.then(|| customer.profile.clone()),
        })
    }

    async fn quota_of(&self, app: &App, kind: Option<TokenKind>) -> Result<Granted, Failure> {
        let kind = kind.ok_or(Refusal::FieldIllegal)?;
        let (key, now) = (PoolKey { app: app.no, kind }, self.clock.now());
        let pool = self.store.pool(key).await?.filter(|pool| pool.quota_day == now.quota_day());
        let stored = pool.map_or(0, |pool| pool.used_today);
        let used = stored.saturating_add(self.tally.unsaved(key, now));
        Ok(Granted::Quota { daily_limit: daily_quota(app, kind).unwrap_or(u32::MAX), used })
    }

    async fn clear_quota(&self, app: &App, id: &AppId, arrival: &Arrival) -> Result<Granted, Failure> {
        if *id != app.id {
            return Err(Refusal::FieldIllegal.into());
        }
        for kind in QUOTA_KINDS {
            self.clear_pool_quota(app, kind, arrival).await?;
        }
        Ok(Granted::QuotaCleared)
    }

    async fn clear_pool_quota(&self, app: &App, kind: TokenKind, arrival: &Arrival) -> Result<(), Failure> {
        for _try in 0..COMMIT_TRIES {
            let Some(pool) = self.store.pool(PoolKey { app: app.no, kind }).await? else {
                return Ok(());
            };
            let cleared = Pool { used_today: 0, forced_today: 0, ..Pool::clone(&pool) };
            let actor = format!("app {}", app.id);
            let audit = self.audit(actor, AuditAction::QuotaCleared, &app.id, arrival);
            if self.store.commit_access(cleared, Some(audit)).await? == Commit::Done {
                self.tally.take(PoolKey { app: app.no, kind }, self.clock.now()).stored();
                return Ok(());
            }
        }
        Err(Failure::Busy)
    }
}

/// The grant, ended.
pub(super) fn revoked(grant: &Grant, at: mintkeep_protocol::time::Timestamp) -> Grant {
    let spent_at = match grant.stage {
        GrantStage::Issued { .. } => None,
        GrantStage::Active { spent_at, .. } => Some(spent_at),
        GrantStage::Revoked { spent_at, .. } => spent_at,
    };
    Grant { stage: GrantStage::Revoked { spent_at, at }, ..grant.clone() }
}
