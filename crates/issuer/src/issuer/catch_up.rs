//! The records of a token that another replica may have handed out a moment ago.
//!
//! A record that is read may be a second old. No refusal may come of that: whoever got a token from one
//! replica shows it to the next at once. A token proves by itself what must have been stored before it was
//! made, since nobody without the server key can have one; a record that is behind that proof is read anew.

use std::sync::Arc;

use mintkeep_protocol::app::App;
use mintkeep_protocol::issue::authenticate::AuthenticClient;
use mintkeep_protocol::port::issuer_store::{Remembered, Stored};
use mintkeep_protocol::record::{Grant, GrantStage, Pool, PoolKey};
use mintkeep_protocol::token::TokenClaim;

use super::{Failure, Issuer};

impl Issuer {
    /// The app and the pool that `claim` is of, no older than the token.
    pub(super) async fn pool_and_app(
        &self,
        key: PoolKey,
        claim: &TokenClaim,
    ) -> Stored<Option<(Arc<Pool>, Arc<App>)>> {
        let Some(app) = self.store.app_by_no(claim.record).await? else { return Ok(None) };
        let Some(pool) = self.pool_of(key, claim).await? else { return Ok(None) };
        let app = self.not_behind(app, pool.token_epoch).await?;
        Ok(app.map(|app| (pool, app)))
    }

    /// The app and the grant that `claim` is of, no older than the token.
    pub(super) async fn grant_and_app(&self, claim: &TokenClaim) -> Stored<Option<(Arc<Grant>, Arc<App>)>> {
        let Some(grant) = self.grant_of(claim).await? else { return Ok(None) };
        let Some(app) = self.store.app_by_no(grant.app).await? else { return Ok(None) };
        let app = self.not_behind(app, grant.token_epoch).await?;
        Ok(app.map(|app| (grant, app)))
    }

    /// The pool that `claim` is of, no older than the token.
    pub(super) async fn pool_of(&self, key: PoolKey, claim: &TokenClaim) -> Stored<Option<Arc<Pool>>> {
        let pool = self.store.pool(key).await?;
        // That there was none may be old too.
        let is_behind = pool.as_ref().is_none_or(|pool| pool.current.generation < claim.generation);
        if !is_behind || !self.store.forget(Remembered::Pool(key)) {
            return Ok(pool);
        }
        self.store.pool(key).await
    }

    /// The grant that `claim` is of, no older than the token.
    pub(super) async fn grant_of(&self, claim: &TokenClaim) -> Stored<Option<Arc<Grant>>> {
        let grant = self.store.grant(claim.record).await?;
        let is_behind = grant.as_ref().is_some_and(|grant| is_behind(grant, claim));
        if !is_behind || !self.store.forget(Remembered::Grant(claim.record)) {
            return Ok(grant);
        }
        self.store.grant(claim.record).await
    }

    /// Passes if whoever was let in as `client` is known by an app no older than a record of it that was made in
    /// its `token_epoch`.
    ///
    /// # Errors
    ///
    /// [`Failure::Overtaken`]: another replica ended all of the app's tokens a moment ago, and nothing newer holds
    /// under the app as it was. Who calls is to be let in anew.
    pub(super) fn knows_epoch(&self, client: &AuthenticClient, token_epoch: u32) -> Result<(), Failure> {
        let app = client.app();
        if app.token_epoch >= token_epoch {
            return Ok(());
        }
        self.store.forget(Remembered::App(app));
        Err(Failure::Overtaken)
    }

    /// `app`, no older than a record of it that was made in its `token_epoch`.
    async fn not_behind(&self, app: Arc<App>, token_epoch: u32) -> Stored<Option<Arc<App>>> {
        if app.token_epoch >= token_epoch || !self.store.forget(Remembered::App(&app)) {
            return Ok(Some(app));
        }
        self.store.app_by_no(app.no).await
    }
}

/// Whether a grant is as it was before the token was made.
fn is_behind(grant: &Grant, claim: &TokenClaim) -> bool {
    match grant.stage {
        GrantStage::Issued { .. } => !claim.kind.is_code(),
        GrantStage::Active { tokens, .. } => tokens.access.generation < claim.generation,
        GrantStage::Revoked { .. } => false,
    }
}
