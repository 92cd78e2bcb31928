//! From the wallet's assertion to a session in the browser.

use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use mintkeep_protocol::crypto::RsaPublicKey;
use mintkeep_protocol::ident::ServiceId;
use mintkeep_protocol::port::entropy::draw;
use mintkeep_protocol::port::issuer_store::{Commit, Stored};
use mintkeep_protocol::record::ServiceRole;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::browser::{cookie, is_own_form, see_other};

use super::Desk;
use super::assertion::{Asserted, AssertionRejected, Presented};
use super::page::{ErrorPage, Policy, send};
use super::session::{SESSION_LIFE, Session};
use super::way_back::{origin_of, with_answer};
use super::words::Words;

/// The session cookie's name. Over TLS a browser then takes it from nobody but this very host.
const fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-mintkeep-customer" } else { "mintkeep-customer" }
}

impl Desk {
    /// Who sits at this browser.
    pub(super) fn session(&self, headers: &HeaderMap, now: Timestamp) -> Option<Session> {
        self.0.seals.open(cookie(headers, cookie_name(self.is_secure()))?, now)
    }

    /// Believes the wallet, or not. What is believed is spent with that, for every replica and for good.
    ///
    /// # Errors
    ///
    /// The store can't answer; the assertion may be spent. Inside: why the assertion is not believed.
    async fn believe(&self, token: &str, now: Timestamp) -> Stored<Result<Asserted, AssertionRejected>> {
        let presented = match Presented::read(token) {
            Ok(presented) => presented,
            Err(rejected) => return Ok(Err(rejected)),
        };
        let Some(key) = self.assertion_key(&presented.wallet).await? else {
            return Ok(Err(AssertionRejected::WalletUnknown));
        };
        let asserted = match presented.verify(&key, &self.0.issuer.public_url, now) {
            Ok(asserted) => asserted,
            Err(rejected) => return Ok(Err(rejected)),
        };
        Ok(match self.0.issuer.store.spend_nonce(asserted.nonce).await? {
            Commit::Done => Ok(asserted),
            Commit::Lost => Err(AssertionRejected::Used),
        })
    }

    async fn assertion_key(&self, wallet: &ServiceId) -> Stored<Option<RsaPublicKey>> {
        let service = self.0.issuer.store.service(wallet).await?;
        let service = service.filter(|service| service.role == ServiceRole::Wallet);
        let pem = service.and_then(|service| service.assertion_key_pem.clone());
        Ok(pem.and_then(|pem| RsaPublicKey::from_pem(&pem).ok()))
    }

    /// Takes an assertion out of the URL and puts a session into the browser; `here` is the URL without it.
    ///
    /// The assertion is spent with that, so neither a reload nor the browser's history shows it again.
    pub(super) async fn sign_in(&self, token: &str, here: &str, words: &'static Words) -> Response {
        let now = self.0.issuer.now();
        let asserted = match self.believe(token, now).await {
            Ok(Ok(asserted)) => asserted,
            Ok(Err(rejected)) => {
                tracing::warn!(%rejected, "a wallet's assertion was not believed");
                return self.not_signed_in(words);
            }
            Err(error) => {
                tracing::error!(%error, "the authorization page could not use its store");
                return self.error(words, StatusCode::SERVICE_UNAVAILABLE, words.error_busy);
            }
        };
        let session = Session {
            customer: asserted.customer,
            id: draw(&*self.0.issuer.entropy),
            expires_at: now.after(SESSION_LIFE),
        };
        let mut response = see_other(here);
        if let Ok(cookie) = HeaderValue::from_str(&self.set_cookie(&session)) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }

    fn set_cookie(&self, session: &Session) -> String {
        let is_framed = !self.0.settings.frame_origins.is_empty();
        // Within a frame on another site a browser sends a cookie only if it is marked so, over TLS.
        let manners = match (self.is_secure(), is_framed) {
            (true, true) => "SameSite=None; Secure; Partitioned",
            (true, false) => "SameSite=Lax; Secure",
            (false, _) => "SameSite=Lax",
        };
        let (name, sealed) = (cookie_name(self.is_secure()), self.0.seals.seal(session));
        format!("{name}={sealed}; Max-Age={}; Path=/; HttpOnly; {manners}", SESSION_LIFE.as_secs())
    }

    /// Sends a browser without a session to the wallet, to come back to `here`.
    pub(super) fn to_wallet(&self, here: &str, words: &'static Words) -> Response {
        match &self.0.settings.wallet_url {
            Some(wallet) => {
                let back = format!("{}{here}", self.0.issuer.public_url);
                see_other(&with_answer(wallet, &[("return_to", &back)]))
            }
            None => self.not_signed_in(words),
        }
    }

    fn not_signed_in(&self, words: &'static Words) -> Response {
        self.error(words, StatusCode::UNAUTHORIZED, words.error_sign_in)
    }

    /// A page that says why it did not work.
    pub(super) fn error(&self, words: &'static Words, status: StatusCode, text: &str) -> Response {
        self.error_again(words, status, text, None)
    }

    /// The same, with a link to begin anew.
    pub(super) fn error_again(
        &self,
        words: &'static Words,
        status: StatusCode,
        text: &str,
        again: Option<&str>,
    ) -> Response {
        send(&ErrorPage { words, text, again }, status, words, &self.policy())
    }

    /// The policy of a page that needs nothing beside itself.
    pub(super) fn policy(&self) -> Policy<'_> {
        Policy { frame_origins: &self.0.settings.frame_origins, ..Policy::default() }
    }

    /// Whether a form was sent from a page of ours.
    pub(super) fn is_own_form(&self, headers: &HeaderMap) -> bool {
        is_own_form(headers, origin_of(&self.0.issuer.public_url))
    }
}
