//! What is no dialect's: codes for wallets, introspection and revocation for gateways and tools.

use std::sync::Arc;

use mintkeep_protocol::app::{App, AppStatus};
use mintkeep_protocol::ident::{AppId, RecordId, Scope, ServiceId};
use mintkeep_protocol::issue::authenticate::{AuthenticClient, SecretOwner, secret_holds, secret_mac};
use mintkeep_protocol::issue::check::customer_may;
use mintkeep_protocol::issue::code::{Consent, issue_code};
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::{AuditAction, Grant, GrantStage, Held, Pool, PoolKey, Service, ServiceRole};
use mintkeep_protocol::secret::{AuthCode, ClientSecret};
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::{TokenClaim, TokenKind, TokenPlace};
use mintkeep_web::arrival::Arrival;

use super::bearer::revoked;
use super::{COMMIT_TRIES, Failure, Issuer};

/// A code, and until when it can be exchanged.
pub struct IssuedCode {
    /// The code.
    pub code: AuthCode,
    /// Half-open, like every lifetime here.
    pub expires_at: Timestamp,
    /// The grant it will become.
    pub grant: RecordId,
}

/// What a good token says of itself (RFC 7662, section 2.2).
pub struct Introspection {
    /// The app it was issued to.
    pub app: Arc<App>,
    /// The app itself, or the customer it is about.
    pub subject: String,
    /// What it allows; none for an app's own token.
    pub scopes: Vec<Scope>,
    /// Its life.
    pub held: Held,
    /// What it is for.
    pub kind: TokenKind,
}

impl Issuer {
    /// Issues a code to `app`. `actor` is who vouches for the customer's consent.
    ///
    /// # Errors
    ///
    /// [`Refusal::ClientUnknown`], [`Refusal::ClientDisabled`], [`Refusal::CustomerUnknown`],
    /// [`Refusal::CustomerFrozen`]; [`Refusal::AccessDenied`] for a scope that the app may not ask for.
    pub async fn issue_code(
        &self,
        actor: &str,
        app: &AppId,
        consent: &Consent,
        arrival: &Arrival,
    ) -> Result<IssuedCode, Failure> {
        for _try in 0..COMMIT_TRIES {
            let app = self.app_for_code(app, consent).await?;
            let now = self.clock.now();
            let grant = issue_code(&app, consent.clone(), (self.new_record(now), self.salt()), now);
            if self.commit_code(actor, &app, &grant, arrival).await? == Commit::Done {
                return Ok(self.code_of(&app, &grant, consent.code_kind()));
            }
        }
        Err(Failure::Busy)
    }

    /// Issues the code that a customer agreed to on the page of the number `page`: one code, however often
    /// and on however many replicas the page's form arrives.
    ///
    /// The page's number becomes the grant's, so the store's guard (the number is free) is what makes it one;
    /// and as codes are derived, every later arrival gets the same one.
    ///
    /// # Errors
    ///
    /// As [`Self::issue_code`]; [`Refusal::CodeUsed`] once the app has exchanged the code,
    /// [`Refusal::CodeExpired`] when it no longer can, [`Refusal::CodeInvalid`] if the grant was revoked.
    pub async fn issue_code_of_page(
        &self,
        page: RecordId,
        app: &AppId,
        consent: &Consent,
        arrival: &Arrival,
    ) -> Result<IssuedCode, Failure> {
        let actor = format!("customer {}", consent.customer);
        for _try in 0..COMMIT_TRIES {
            let app = self.app_for_code(app, consent).await?;
            let grant = issue_code(&app, consent.clone(), (page, self.salt()), self.clock.now());
            if self.commit_code(&actor, &app, &grant, arrival).await? == Commit::Done {
                return Ok(self.code_of(&app, &grant, consent.code_kind()));
            }
            if let Some(earlier) = self.store.grant(page).await? {
                return self.code_of_earlier(&app, (&grant, consent.code_kind()), &earlier);
            }
        }
        Err(Failure::Busy)
    }

    /// The code that the same page made `earlier`, where it would now make `grant`.
    fn code_of_earlier(
        &self,
        app: &App,
        (grant, kind): (&Grant, TokenKind),
        earlier: &Grant,
    ) -> Result<IssuedCode, Failure> {
        if earlier.app != app.no || earlier.customer != grant.customer || earlier.scopes != grant.scopes {
            // Two pages of one millisecond drew the same number: one in four million such pairs.
            return Err(Failure::Busy);
        }
        if earlier.token_epoch != app.token_epoch {
            // It ended with all of the app's tokens.
            return Err(Refusal::CodeInvalid.into());
        }
        match earlier.stage {
            GrantStage::Issued { .. } if earlier.stage != grant.stage => Err(Failure::Busy),
            GrantStage::Issued { .. } if self.clock.now() < earlier.code_expires_at => {
                Ok(self.code_of(app, earlier, kind))
            }
            GrantStage::Issued { .. } => Err(Refusal::CodeExpired.into()),
            GrantStage::Active { .. } => Err(Refusal::CodeUsed.into()),
            GrantStage::Revoked { .. } => Err(Refusal::CodeInvalid.into()),
        }
    }

    /// The app, if it may have a code for what this customer agreed to.
    async fn app_for_code(&self, app: &AppId, consent: &Consent) -> Result<Arc<App>, Failure> {
        let app = self.app(app).await?;
        if app.status == AppStatus::Disabled {
            return Err(Refusal::ClientDisabled.into());
        }
        customer_may(self.store.customer(&consent.customer).await?.as_deref())?;
        if !consent.scopes.iter().all(|scope| app.may_ask(scope)) {
            return Err(Refusal::AccessDenied.into());
        }
        Ok(app)
    }

    async fn commit_code(
        &self,
        actor: &str,
        app: &App,
        grant: &Grant,
        arrival: &Arrival,
    ) -> Result<Commit, Failure> {
        let subject = format!("{} {}", app.id, grant.customer);
        let audit = self.audit(actor, AuditAction::CodeIssued, subject, arrival);
        Ok(self.store.commit_grant_for(app, grant.clone(), audit).await?)
    }

    fn code_of(&self, app: &App, grant: &Grant, kind: TokenKind) -> IssuedCode {
        let place = TokenPlace { kind, record: grant.id, salt: &grant.salt, token_epoch: app.token_epoch };
        let code = AuthCode::new(self.tokens.mint(&place, self.code_generation()));
        IssuedCode { code, expires_at: grant.code_expires_at, grant: grant.id }
    }

    /// What a token says of itself; `None` if it is not good, for whatever reason.
    ///
    /// # Errors
    ///
    /// [`Failure::Store`]. A token that was never ours is told without asking the store.
    pub async fn introspect(&self, token: &str) -> Result<Option<Introspection>, Failure> {
        let Some(claim) = self.tokens.parse(token) else { return Ok(None) };
        match self.good_token(&claim).await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Refused(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn good_token(&self, claim: &TokenClaim) -> Result<Introspection, Failure> {
        match claim.kind {
            TokenKind::WeChatToken | TokenKind::WeChatStable | TokenKind::DingTalkToken => {
                let good = self.good_pool_token(claim).await?;
                let subject = good.app.id.as_str().to_owned();
                Ok(Introspection {
                    app: good.app,
                    subject,
                    scopes: vec![],
                    held: good.held,
                    kind: claim.kind,
                })
            }
            TokenKind::GrantAccess => {
                let good = self.good_grant_token(claim).await?;
                customer_may(self.store.customer(&good.grant.customer).await?.as_deref())?;
                Ok(about_grant(good.app, &good.grant, good.held, claim.kind))
            }
            TokenKind::GrantRefresh => {
                let (grant, app) = self.grant_and_app(claim).await?.ok_or(Refusal::RefreshInvalid)?;
                let held = self.good_refresh(claim, &app, &grant)?;
                customer_may(self.store.customer(&grant.customer).await?.as_deref())?;
                Ok(about_grant(app, &grant, held, claim.kind))
            }
            TokenKind::Code | TokenKind::ChallengedCode | TokenKind::Ticket | TokenKind::CardTicket => {
                Err(Refusal::AccessInvalid.into())
            }
        }
    }

    fn good_refresh(&self, claim: &TokenClaim, app: &App, grant: &Grant) -> Result<Held, Refusal> {
        let GrantStage::Active { tokens, .. } = grant.stage else { return Err(Refusal::RefreshInvalid) };
        let held = Held { expires_at: tokens.refresh_expires_at, ..tokens.access };
        let is_good = app.status != AppStatus::Disabled
            && self.tokens.tag_holds(claim, &grant.salt, app.token_epoch)
            && claim.generation == held.generation
            && self.clock.now() < held.expires_at;
        if is_good { Ok(held) } else { Err(Refusal::RefreshInvalid) }
    }

    /// Ends a token (RFC 7009): an app's own by itself, a grant's with all that belongs to it.
    ///
    /// A token that is not good any more, or is another app's, is passed over: the answer is the same.
    ///
    /// # Errors
    ///
    /// [`Failure::Store`], [`Failure::Busy`], [`Failure::Overtaken`].
    pub async fn revoke(
        &self,
        client: &AuthenticClient,
        token: &str,
        arrival: &Arrival,
    ) -> Result<(), Failure> {
        let Some(claim) = self.tokens.parse(token) else { return Ok(()) };
        for _try in 0..COMMIT_TRIES {
            let commit = match claim.kind {
                TokenKind::WeChatToken | TokenKind::WeChatStable | TokenKind::DingTalkToken => {
                    self.revoke_pool_token(client, &claim, arrival).await?
                }
                TokenKind::GrantAccess | TokenKind::GrantRefresh => {
                    self.revoke_grant_token(client, &claim, arrival).await?
                }
                TokenKind::Code | TokenKind::ChallengedCode | TokenKind::Ticket | TokenKind::CardTicket => {
                    return Ok(());
                }
            };
            if commit == Commit::Done {
                return Ok(());
            }
        }
        Err(Failure::Busy)
    }

    async fn revoke_pool_token(
        &self,
        client: &AuthenticClient,
        claim: &TokenClaim,
        arrival: &Arrival,
    ) -> Result<Commit, Failure> {
        let app = client.app();
        let key = PoolKey { app: app.no, kind: claim.kind };
        let Some(pool) = self.pool_of(key, claim).await? else { return Ok(Commit::Done) };
        self.knows_epoch(client, pool.token_epoch)?;
        // The tag covers the record: none of another app's tokens holds for a pool of this one's.
        if !self.tokens.tag_holds(claim, &pool.salt, app.token_epoch) {
            return Ok(Commit::Done);
        }
        let now = self.clock.now();
        let mut ended = Pool::clone(&pool);
        if claim.generation == pool.current.generation {
            if now >= pool.current.expires_at {
                return Ok(Commit::Done);
            }
            // A successor that was never good: what is revoked is not told as one whose time was over.
            ended.current = Held {
                generation: pool.current.generation.next(self.epoch),
                issued_at: now,
                expires_at: now,
            };
        } else if pool.previous.is_some_and(|held| held.generation == claim.generation) {
            ended.previous = None;
        } else {
            return Ok(Commit::Done);
        }
        let audit = self.audit(format_args!("app {}", app.id), AuditAction::TokenRevoked, &app.id, arrival);
        Ok(self.store.commit_access(ended, Some(audit)).await?)
    }

    async fn revoke_grant_token(
        &self,
        client: &AuthenticClient,
        claim: &TokenClaim,
        arrival: &Arrival,
    ) -> Result<Commit, Failure> {
        let app = client.app();
        let own = self.grant_of(claim).await?.filter(|grant| grant.app == app.no);
        let Some(grant) = own else { return Ok(Commit::Done) };
        self.knows_epoch(client, grant.token_epoch)?;
        if !self.tokens.tag_holds(claim, &grant.salt, app.token_epoch) {
            return Ok(Commit::Done);
        }
        self.end_grant(&format!("app {}", app.id), &grant, arrival).await
    }

    /// Ends a grant: no code, access token or refresh token of it is good any more.
    ///
    /// # Errors
    ///
    /// [`Failure::Store`]. `Lost`: it was changed meanwhile; load it again.
    pub async fn end_grant(&self, actor: &str, grant: &Grant, arrival: &Arrival) -> Result<Commit, Failure> {
        if let GrantStage::Revoked { .. } = grant.stage {
            return Ok(Commit::Done);
        }
        let audit = self.audit(actor, AuditAction::GrantRevoked, grant.id, arrival);
        Ok(self.store.commit_grant(revoked(grant, self.clock.now()), audit).await?)
    }

    /// A resource server or wallet, by its name and secret.
    ///
    /// # Errors
    ///
    /// [`Refusal::ProofInvalid`] whatever is wrong with it; [`Refusal::AccessDenied`] for another role.
    pub async fn service(
        &self,
        id: &ServiceId,
        secret: &ClientSecret,
        role: ServiceRole,
    ) -> Result<Arc<Service>, Failure> {
        let service = self.store.service(id).await?.ok_or(Refusal::ProofInvalid)?;
        let stored = std::slice::from_ref(&service.secret);
        let owner = SecretOwner::Service(id);
        if !secret_holds(&self.secret_key, owner, stored, secret, self.clock.now()) {
            return Err(Refusal::ProofInvalid.into());
        }
        if service.role == role { Ok(service) } else { Err(Refusal::AccessDenied.into()) }
    }

    /// What a service's secret is stored as.
    #[must_use]
    pub fn service_secret_mac(&self, id: &ServiceId, secret: &ClientSecret) -> [u8; 32] {
        secret_mac(&self.secret_key, SecretOwner::Service(id), secret)
    }
}

fn about_grant(app: Arc<App>, grant: &Grant, held: Held, kind: TokenKind) -> Introspection {
    Introspection { app, subject: grant.customer.to_string(), scopes: grant.scopes.clone(), held, kind }
}
