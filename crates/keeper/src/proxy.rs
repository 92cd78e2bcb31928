//! The proxy: forwards a consumer's call to its credential's own platform, with the token put in on the way.
//!
//! When the answer says that the token is dead, it is reported, and the call is made once more with the next
//! one: a platform that refused the token did nothing else. That takes a body which fits a small buffer; a longer
//! one streams through, and its caller gets the platform's own words and repeats it itself.

mod headers;
mod onward;
mod peek;
mod target;

pub use onward::{HyperOnward, Onward, OnwardFault};

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::Limited;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::keep::plan::{Denial, Reported};
use mintkeep_protocol::keep::slot::Trouble;
use mintkeep_web::problem::Problem;

use self::peek::{Peeked, peek};
use crate::breaker::Pass;
use crate::keeper::Keeper;
use crate::reader::{ReadFailure, Reading};
use crate::routes::{Access, unavailable};
use crate::shelf::{Kept, Leaf};

/// Longest request body that is kept for a second try, in bytes.
const REPEAT_BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest request body that is forwarded, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the first part of a request's body may take.
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
pub async fn forward(State(proxy): State<Proxy>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    proxy.pass(head, body).await.unwrap_or_else(IntoResponse::into_response)
}

/// Whose platform, and how its tokens are put and told dead.
#[derive(Clone, Copy)]
enum Platform {
    WeChat,
    DingTalk,
}

/// A call that waits for its token.
struct Call {
    access: Access,
    platform: Platform,
    head: Parts,
}

impl Proxy {
    async fn pass(&self, mut head: Parts, body: Body) -> Result<Response, Problem> {
        let (credential, path) = target::split(head.uri.path()).ok_or_else(climbing)?;
        let access = Access::grant(&self.keeper, &head.headers, (Verb::Proxy, credential))?;
        if [Method::CONNECT, Method::TRACE].contains(&head.method) {
            let detail = "the proxy forwards calls of an API: GET, POST and their like";
            return Err(Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong-method",
                "Not forwarded",
                detail,
            ));
        }
        let platform = platform_of(access.account.credential.source.dialect())?;
        head.uri = target::onward(&access.account.credential.base_url, path, head.uri.query())
            .ok_or_else(climbing)?;
        headers::clean_request(&mut head.headers);
        let call = Call { access, platform, head };

        let body = Body::new(Limited::new(body, BODY_BYTES_MAX));
        let began = tokio::time::timeout(BODY_WAIT_MAX, peek(body, REPEAT_BODY_BYTES_MAX, |_| true)).await;
        let body = began.map_err(|_late| unread())?.map_err(|_broken| unread())?;
        let leaf = self.token(&call).await?;
        let kept = self.good(&leaf)?;
        match body {
            Peeked::More(body) => {
                let answer = self.send(&call, kept, body).await?;
                let (answer, is_dead) = self.judge(&call, answer).await?;
                if is_dead {
                    self.renewed(&call, kept).await;
                }
                Ok(answer)
            }
            Peeked::Whole(bytes) => self.send_twice_at_most(&call, kept, bytes).await,
        }
    }

    async fn send_twice_at_most(&self, call: &Call, kept: &Kept, body: Bytes) -> Result<Response, Problem> {
        let answer = self.send(call, kept, Body::from(body.clone())).await?;
        let (answer, is_dead) = self.judge(call, answer).await?;
        if !is_dead {
            return Ok(answer);
        }
        let Some(next) = self.renewed(call, kept).await else { return Ok(answer) };
        let Some(next) = next.good(self.keeper.clock.now()).filter(|next| next.digest != kept.digest) else {
            return Ok(answer);
        };
        metrics::counter!("mintkeep_keeper_proxy_repeats_total").increment(1);
        let answer = self.send(call, next, Body::from(body)).await?;
        Ok(self.judge(call, answer).await?.0)
    }

    async fn token(&self, call: &Call) -> Result<Arc<Leaf>, Problem> {
        let min_ttl = std::time::Duration::ZERO;
        let reading = Reading { customer: None, min_ttl, consumer: &call.access.consumer.name };
        self.keeper.read(&call.access.account, &reading).await.map_err(|failure| match failure {
            ReadFailure::Unavailable(denial) => unavailable(denial, self.keeper.clock.now()),
            ReadFailure::NoSuchSlot => not_spoken(),
        })
    }

    fn good<'l>(&self, leaf: &'l Leaf) -> Result<&'l Kept, Problem> {
        let now = self.keeper.clock.now();
        let denial = Denial { because: Trouble::Ambiguous, retry_at: Some(now) };
        leaf.good(now).ok_or_else(|| unavailable(denial, now))
    }

    /// Reports the token that the platform called dead, and gives what is held then.
    async fn renewed(&self, call: &Call, dead: &Kept) -> Option<Arc<Leaf>> {
        let Access { consumer, account } = &call.access;
        let reported = Reported::Digest(dead.digest);
        self.keeper.report(account, None, reported, consumer).await.ok().map(|(_, leaf)| leaf)
    }

    async fn send(&self, call: &Call, token: &Kept, body: Body) -> Result<http::Response<Body>, Problem> {
        let mut request = Request::from_parts(call.head.clone(), body);
        let put = match call.platform {
            Platform::WeChat => wechat::put_token(&mut request, &token.access),
            Platform::DingTalk => dingtalk::put_token(&mut request, &token.access),
        };
        put.map_err(|_| climbing())?;
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

    /// The answer as it goes back, and whether it says that the token is dead. Of a long answer only the
    /// beginning is looked at, and of one that is no JSON object only the first byte.
    async fn judge(&self, call: &Call, answer: http::Response<Body>) -> Result<(Response, bool), Problem> {
        let (mut head, body) = answer.into_parts();
        headers::clean_answer(&mut head.headers);
        let most = match call.platform {
            Platform::WeChat => wechat::DEAD_TOKEN_BODY_BYTES_MAX,
            Platform::DingTalk => dingtalk::DEAD_TOKEN_BODY_BYTES_MAX,
        };
        let peeked = peek(body, most, |first| first.first() == Some(&b'{')).await.map_err(|_broken| {
            let detail = "its answer broke off; it is not known whether the call took effect";
            Problem::new(StatusCode::BAD_GATEWAY, "platform-broke-off", "The platform broke off", detail)
        })?;
        match peeked {
            Peeked::More(body) => Ok((Response::from_parts(head, body), false)),
            Peeked::Whole(bytes) => {
                let is_dead = match call.platform {
                    Platform::WeChat => wechat::says_token_is_dead(head.status, &bytes),
                    Platform::DingTalk => dingtalk::says_token_is_dead(head.status, &bytes),
                };
                Ok((Response::from_parts(head, Body::from(bytes)), is_dead))
            }
        }
    }
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

fn platform_of(dialect: Dialect) -> Result<Platform, Problem> {
    match dialect {
        Dialect::WeChat => Ok(Platform::WeChat),
        Dialect::DingTalk => Ok(Platform::DingTalk),
        Dialect::MiniProgram | Dialect::AlipayHk => Err(not_spoken()),
    }
}

fn not_spoken() -> Problem {
    Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "proxy-not-spoken",
        "The proxy does not serve this dialect",
        "it serves wechat and dingtalk; calls of the signed dialects carry the token inside a body that the \
         merchant signs: read the token by GET /v1/tokens/{credential}/{customer} and sign the call yourself",
    )
}

fn climbing() -> Problem {
    let detail = "call /proxy/{credential}/PATH with the platform's own path, without . or .. in it";
    Problem::new(StatusCode::BAD_REQUEST, "path-illegal", "The path is not forwarded", detail)
}

fn unread() -> Problem {
    let detail = "send the whole body, at most 64 MiB, without long pauses";
    Problem::new(StatusCode::BAD_REQUEST, "body-refused", "The body was not taken", detail)
}
