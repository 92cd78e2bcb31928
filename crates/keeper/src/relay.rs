//! Calls that a client library makes with the token it was given here. A library with one base URL sends the
//! keeper all its calls; they go on to the platform as they came.
//!
//! Nobody gets further than without the keeper: the call keeps the token that it came with, and only one that a
//! credential holds, or held until its last renewal, leads anywhere.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::{Request, StatusCode};
use mintkeep_protocol::dialect::dingtalk::TOKEN_HEADER;
use mintkeep_protocol::dialect::query::Query;
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::outcome::{Outcome, Refusal};
use mintkeep_protocol::secret::AccessToken;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::note::Noted;
use mintkeep_web::problem::Problem;

use crate::dropin::{self, DropIn};
use crate::proxy::Proxy;
use crate::roster::Account;
use crate::routes::Access;

/// What is behind every path that is not the keeper's own.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) drop_in: Arc<DropIn>,
    pub(crate) proxy: Proxy,
}

/// Sends a call with a token on; everything else is for the drop-in endpoints.
pub(crate) async fn endpoints(State(relay): State<Relay>, arrival: Arrival, request: Request<Body>) -> Noted {
    let token = presented(&request).filter(|_| !dropin::hands_out(request.uri().path()));
    let Some(token) = token else { return dropin::endpoints(State(relay.drop_in), arrival, request).await };
    let account = relay.proxy.keeper.account_of_token(&token);
    let Some(dialect) = dialect_of(account.as_deref(), &request) else {
        return dropin::endpoints(State(relay.drop_in), arrival, request).await;
    };
    let (head, body) = request.into_parts();
    let asked = Request::from_parts(head.clone(), Bytes::new());
    let outcome = match relay.access(account) {
        Err(refusal) => Outcome::Refused(refusal),
        Ok(access) => match relay.proxy.pass_on(access, (head, body), &token).await {
            Ok(answer) => return answer.into(),
            Err(problem) => outcome_of(&problem),
        },
    };
    relay.drop_in.answer(dialect, &asked, (Some(outcome), &arrival)).await
}

impl Relay {
    /// On whose behalf a call with a token of `account` goes on, as far as somebody may send calls through the keeper.
    ///
    /// A report of a dead token is put down to that consumer: the call itself names none.
    fn access(&self, account: Option<Arc<Account>>) -> Result<Access, Refusal> {
        let account = account.ok_or(Refusal::AccessInvalid)?;
        let consumer = self.proxy.keeper.roster.consumer_that_may(Verb::Proxy, &account.credential.name);
        let consumer = consumer.ok_or(Refusal::AccessDenied)?;
        Ok(Access { consumer, account })
    }
}

/// The dialect to answer in: the token's own, or what can be told by where the token and the call are.
fn dialect_of(account: Option<&Account>, request: &Request<Body>) -> Option<Dialect> {
    match account {
        Some(account) => Some(account.credential.source.dialect()),
        None if request.headers().contains_key(TOKEN_HEADER) => Some(Dialect::DingTalk),
        None => dropin::dialect_of(request.uri().path()),
    }
}

/// What a dialect can say of a call that did not get through: what its caller has to mend, or that it may be tried again.
fn outcome_of(problem: &Problem) -> Outcome {
    match problem.status {
        StatusCode::METHOD_NOT_ALLOWED => Outcome::Refused(Refusal::MethodWrong),
        StatusCode::BAD_REQUEST => Outcome::Refused(Refusal::BodyMalformed),
        StatusCode::FORBIDDEN => Outcome::Refused(Refusal::AccessDenied),
        _ => Outcome::Unknown,
    }
}

/// The token of a call, where either platform takes it.
fn presented(request: &Request<Body>) -> Option<AccessToken> {
    let text = match request.headers().get(TOKEN_HEADER) {
        Some(value) => value.to_str().ok()?.to_owned(),
        None => Query::read(request.uri().query()?).ok()?.get("access_token")?.to_owned(),
    };
    Some(AccessToken::new(text))
}
