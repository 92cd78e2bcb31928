//! The proxy: forwards a consumer's call to its credential's own platform, with the token put in on the way.
//!
//! When the answer says that the token is dead, it is reported, and the call is made once more with the next
//! one: a platform that refused the token did nothing else. How the token is put in, and how long a body may be,
//! is in `plain` for the dialects whose calls carry it on their head, in `signed` for the others.

mod headers;
mod onward;
mod peek;
mod plain;
mod signed;
mod target;

pub use onward::{HyperOnward, Onward, OnwardFault};

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::keep::plan::Reported;
use mintkeep_protocol::keep::slot::TokenDigest;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::problem::Problem;

use self::plain::Plain;
use crate::breaker::Pass;
use crate::keeper::Keeper;
use crate::reader::Reading;
use crate::routes::{Access, not_read, still_good};
use crate::shelf::{Kept, Leaf};

/// How long a request's body may take, of one that streams its first part.
const BODY_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// What the proxy works on.
#[derive(Clone)]
pub struct Proxy {
    /// The tokens.
    pub keeper: Arc<Keeper>,
    /// The way to the platforms.
    pub onward: Arc<dyn Onward>,
}

/// Forwards a call under `/proxy/{credential}/…`.
pub async fn forward(State(proxy): State<Proxy>, arrival: Arrival, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    proxy.pass(head, body, arrival).await.unwrap_or_else(IntoResponse::into_response)
}

/// A call that waits for its token.
struct Call {
    access: Access,
    /// Whose token it takes; `None`: the app's own.
    customer: Option<CustomerId>,
    /// The platform's own path, as the platform may read it.
    path: String,
    /// Its target is the platform's.
    head: Parts,
}

impl Proxy {
    async fn pass(&self, mut head: Parts, body: Body, arrival: Arrival) -> Result<Response, Problem> {
        let (credential, path) = target::split(head.uri.path()).ok_or_else(climbing)?;
        let access = Access::grant(&self.keeper, &head.headers, (Verb::Proxy, credential))?;
        can_be_forwarded(&head.method)?;
        let plain = Plain::of(access.account.credential.source.dialect());
        let (customer, path) = match plain {
            Some(_) => (None, plain::admit(path)?),
            None => signed::admit(&head.method, path)?,
        };
        let own_path = target::read_loosely(path);
        head.uri = target::onward(&access.account.credential.base_url, path, head.uri.query())
            .ok_or_else(climbing)?;
        headers::clean_request(&mut head);
        let call = Call { access, customer, path: own_path, head };
        match plain {
            Some(plain) => self.pass_plain(call, plain, body).await,
            None => self.pass_signed(&call, body, &arrival).await,
        }
    }

    async fn token(&self, call: &Call) -> Result<Arc<Leaf>, Problem> {
        let min_ttl = std::time::Duration::ZERO;
        let reading =
            Reading { customer: call.customer.as_ref(), min_ttl, consumer: &call.access.consumer.name };
        let leaf = self.keeper.read(&call.access.account, &reading).await;
        leaf.map_err(|failure| not_read(failure, self.keeper.clock.now()))
    }

    fn good<'l>(&self, leaf: &'l Leaf) -> Result<&'l Kept, Problem> {
        still_good(leaf, self.keeper.clock.now())
    }

    /// Reports the token that the platform called dead; what is held then, if that is another and good.
    async fn successor(&self, call: &Call, dead: TokenDigest) -> Option<Arc<Leaf>> {
        let Access { consumer, account } = &call.access;
        let reported = Reported::Digest(dead);
        let reporting = self.keeper.report(account, call.customer.as_ref(), reported, consumer);
        let (_, leaf) = reporting.await.ok()?;
        let is_another = leaf.good(self.keeper.clock.now()).is_some_and(|next| next.digest != dead);
        is_another.then_some(leaf)
    }

    /// Sends a request that has its token, through the platform's breaker.
    async fn send(&self, call: &Call, request: Request<Body>) -> Result<http::Response<Body>, Problem> {
        // Of a body that streams, the caller may be the slow one.
        let is_whole = request.body().size_hint().exact().is_some();
        let pass = self.keeper.breakers.pass(&call.access.account.credential.base_url);
        let Some(pass) = pass.map(Pass::for_caller) else {
            count("breaker_open");
            return Err(unreachable_platform());
        };
        match self.onward.forward(request).await {
            Ok(answer) => {
                pass.answered();
                count("answered");
                Ok(answer)
            }
            Err(fault) => {
                if is_whole || fault == OnwardFault::NotSent {
                    pass.failed();
                }
                count("failed");
                Err(fault_problem(fault))
            }
        }
    }
}

fn can_be_forwarded(method: &Method) -> Result<(), Problem> {
    if [Method::CONNECT, Method::TRACE].contains(method) {
        return Err(wrong_method("the proxy forwards calls of an API: GET, POST and their like"));
    }
    Ok(())
}

fn count_repeat() {
    metrics::counter!("mintkeep_keeper_proxy_repeats_total").increment(1);
}

fn count(outcome: &'static str) {
    metrics::counter!("mintkeep_keeper_proxied_total", "outcome" => outcome).increment(1);
}

fn fault_problem(fault: OnwardFault) -> Problem {
    match fault {
        OnwardFault::NotSent => unreachable_platform(),
        OnwardFault::Ambiguous => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "platform-silent",
            "The platform did not answer",
            "it is not known whether the call took effect; try again only if that does no harm",
        ),
    }
}

fn unreachable_platform() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "platform-unreachable",
        "The platform could not be reached",
        "nothing was sent; try again",
    )
}

fn wrong_method(detail: &'static str) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "Not forwarded", detail)
}

fn not_proxied(detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "not-proxied", "Not forwarded", detail)
}

fn climbing() -> Problem {
    let detail = "call /proxy/{credential}/PATH with the platform's own path, without . or .. in it";
    Problem::new(StatusCode::BAD_REQUEST, "path-illegal", "The path is not forwarded", detail)
}

fn unread(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "body-refused", "The body was not taken", detail)
}

fn broke_off() -> Problem {
    let detail = "its answer broke off; it is not known whether the call took effect";
    Problem::new(StatusCode::BAD_GATEWAY, "platform-broke-off", "The platform broke off", detail)
}
