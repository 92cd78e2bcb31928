//! A decoded call of any dialect: who asks, may they, and what becomes of it.

use std::sync::Arc;

use mintkeep_protocol::app::App;
use mintkeep_protocol::binding::ShownBinding;
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::issue::access::remaining;
use mintkeep_protocol::issue::authenticate::{AuthenticClient, authenticate};
use mintkeep_protocol::outcome::{Granted, Outcome, Refusal};
use mintkeep_protocol::request::{Ask, Call, Caller, ClientProof, RequestDigest};
use mintkeep_protocol::secret::AccessToken;
use mintkeep_web::arrival::Arrival;

use super::exchange::CodeAsk;
use super::{Failure, Issuer};

/// What came of a call, and of whom it was.
pub struct Answered {
    /// The app, if it is known: its settings shape the answer.
    pub app: Option<Arc<App>>,
    /// What to answer.
    pub outcome: Outcome,
}

impl Issuer {
    /// Does what a call of one of the secret dialects (WeChat, DingTalk) asks for.
    pub async fn answer(self: &Arc<Self>, dialect: Dialect, call: &Call, arrival: &Arrival) -> Answered {
        match &call.caller {
            Caller::Client { id, proof } => {
                let mut found = None;
                let whom = (dialect, id, proof);
                let mut done = self.done_once(whom, &call.ask, arrival, &mut found).await;
                if matches!(done, Err(Failure::Overtaken)) {
                    done = self.done_once(whom, &call.ask, arrival, &mut found).await;
                }
                let outcome = done.map_or_else(Into::into, Outcome::Granted);
                Answered { app: found, outcome }
            }
            Caller::Bearer(token) => {
                // Boxed, so that who asks for a token, which most do, carries nothing of it.
                let done = Box::pin(self.done_for_bearer(dialect, token, &call.ask, arrival)).await;
                let outcome = done.map_or_else(Into::into, Outcome::Granted);
                Answered { app: None, outcome }
            }
        }
    }

    /// Lets a client in and does what it asks for. `found` is its app then, if it is known.
    async fn done_once(
        self: &Arc<Self>,
        (dialect, id, proof): (Dialect, &AppId, &ClientProof),
        ask: &Result<Ask, Refusal>,
        arrival: &Arrival,
        found: &mut Option<Arc<App>>,
    ) -> Result<Granted, Failure> {
        let app = found.insert(self.app_of(dialect, id).await?);
        let client = self.admit(app, proof, arrival)?;
        self.done_for_client(&client, ask.as_ref().map_err(|refusal| *refusal)?, None, arrival).await
    }

    /// The app that a caller says to be. An app of another dialect is unknown in this one.
    ///
    /// # Errors
    ///
    /// [`Refusal::ClientUnknown`].
    pub async fn app_of(&self, dialect: Dialect, id: &AppId) -> Result<Arc<App>, Failure> {
        let app = self.app(id).await?;
        if app.dialect == dialect { Ok(app) } else { Err(Refusal::ClientUnknown.into()) }
    }

    /// Checks a caller's proof and counts its call.
    ///
    /// # Errors
    ///
    /// What [`authenticate`] refuses, then [`Refusal::RateLimited`].
    pub fn admit(
        &self,
        app: &Arc<App>,
        proof: &ClientProof,
        arrival: &Arrival,
    ) -> Result<AuthenticClient, Refusal> {
        let now = self.clock.now();
        let client = authenticate(app, proof, arrival.peer, &self.secret_key, now)?;
        self.meter.count(app, now)?;
        Ok(client)
    }

    /// Does what an app asks for. `request` is its signature's digest, where there is one.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub async fn done_for_client(
        self: &Arc<Self>,
        client: &AuthenticClient,
        ask: &Ask,
        request: Option<RequestDigest>,
        arrival: &Arrival,
    ) -> Result<Granted, Failure> {
        match ask {
            &Ask::AppToken { pool: kind, force } => {
                let settled = self.app_token_pool(client, (kind, force), arrival).await?;
                let current = settled.pool.current;
                Ok(Granted::AppToken {
                    token: AccessToken::new(self.pool_token_text(&settled.pool, kind, current.generation)),
                    expires_in: remaining(client.app(), &current, settled.at),
                })
            }
            Ask::ExchangeCode(code) => {
                let ask = CodeAsk { client, request, arrival };
                self.exchange(ask, code, ShownBinding::NotAsked).await.map(Granted::TokenSet)
            }
            Ask::Refresh(token) => {
                self.refresh(CodeAsk { client, request, arrival }, token).await.map(Granted::TokenSet)
            }
            Ask::CancelToken(token) => self.cancel(client, token, arrival).await,
            Ask::UserInfo(token) => self.user_info(client, token).await,
            Ask::PlatformAddresses | Ask::ClearQuota(_) | Ask::QuotaOf { .. } | Ask::Ticket { .. } => {
                Err(Refusal::AccessMissing.into())
            }
        }
    }
}
