//! WeChat and DingTalk: the token goes on a call's head, so bodies stream both ways.
//!
//! A request's body that fits a small buffer is kept for a second try. A longer one is sent once: when its token
//! is dead, its caller gets the platform's own words and repeats it itself.

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::Limited;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::keep::slot::TokenDigest;
use mintkeep_protocol::secret::AccessToken;
use mintkeep_web::problem::Problem;

use super::peek::{Peeked, peek};
use super::{
    BODY_WAIT_MAX, Call, Proxy, broke_off, can_be_forwarded, climbing, count_repeat, headers, not_proxied,
    target, unread,
};
use crate::dropin;
use crate::routes::Access;

/// Longest request body that is kept for a second try, in bytes.
const REPEAT_BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest request body that is forwarded, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How a platform's tokens are put and told dead.
#[derive(Clone, Copy)]
pub(super) enum Plain {
    WeChat,
    DingTalk,
}

impl Plain {
    /// The way of `dialect`; `None` if its calls are signed.
    pub(super) const fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::WeChat => Some(Self::WeChat),
            Dialect::DingTalk => Some(Self::DingTalk),
            Dialect::MiniProgram | Dialect::AlipayHk => None,
        }
    }
}

/// The platform's path of a call.
///
/// Its token endpoints are not reached this way. They take the app's secret, which no consumer has, and WeChat calls a
/// wrong one by the code of a dead token (40001): a good one would be renewed for it.
pub(super) fn admit(path: &str) -> Result<&str, Problem> {
    if dropin::trades_secrets(&target::read_loosely(path)) {
        let detail =
            "read the token by GET /v1/tokens/{credential}; the keeper itself asks the platform for it";
        return Err(not_proxied(detail));
    }
    Ok(path)
}

impl Proxy {
    pub(super) async fn pass_plain(
        &self,
        mut call: Call,
        plain: Plain,
        body: Body,
    ) -> Result<Response, Problem> {
        let (body, again) = begun(&mut call.head, body).await?;
        let leaf = self.token(&call).await?;
        let kept = self.good(&leaf)?;
        let (answer, is_dead) = self.stream(&call, plain, &kept.access, body).await?;
        if is_dead
            && let Some(next) = self.successor(&call, kept.digest).await
            && let Some(bytes) = again
        {
            count_repeat();
            let next = &self.good(&next)?.access;
            return Ok(self.stream(&call, plain, next, Body::from(bytes)).await?.0);
        }
        Ok(answer)
    }

    /// Forwards a call as it came, with the token that it came with, which is of this account.
    ///
    /// It is not made again with another token: who has a dead one is to get no further with it.
    ///
    /// # Errors
    ///
    /// The [`Problem`] of a call under `/proxy` that fares like it.
    pub(crate) async fn pass_on(
        &self,
        access: Access,
        (mut head, body): (Parts, Body),
        token: &AccessToken,
    ) -> Result<Response, Problem> {
        can_be_forwarded(&head.method)?;
        let credential = &access.account.credential;
        let plain = Plain::of(credential.source.dialect()).ok_or_else(climbing)?;
        let path = Some(head.uri.path()).filter(|path| target::is_plain_path(path)).ok_or_else(climbing)?;
        let path = admit(path)?;
        let own_path = target::read_loosely(path);
        head.uri = target::onward(&credential.base_url, path, head.uri.query()).ok_or_else(climbing)?;
        headers::clean_request(&mut head);
        let (body, _not_made_again) = begun(&mut head, body).await?;
        let call = Call { access, customer: None, path: own_path, head };
        let (answer, is_dead) = self.stream(&call, plain, token, body).await?;
        if is_dead {
            self.successor(&call, TokenDigest::of(token.expose())).await;
        }
        Ok(answer)
    }

    /// Makes the call; its answer, and whether that says that the token is dead.
    async fn stream(
        &self,
        call: &Call,
        plain: Plain,
        token: &AccessToken,
        body: Body,
    ) -> Result<(Response, bool), Problem> {
        let mut request = Request::from_parts(call.head.clone(), body);
        let put = match plain {
            Plain::WeChat => wechat::put_token(&mut request, token),
            Plain::DingTalk => dingtalk::put_token(&mut request, &call.path, token),
        };
        put.map_err(|_| climbing())?;
        judge(plain, self.send(call, request).await?).await
    }
}

/// A request's body with its beginning read, so that a caller who is slow with it is not taken for a slow platform;
/// and all of it, if it is short enough to be sent once more.
async fn begun(head: &mut Parts, body: Body) -> Result<(Body, Option<Bytes>), Problem> {
    let broken = || unread("send the whole body, at most 64 MiB, without long pauses");
    let length = body.size_hint().exact();
    let fits = |length| usize::try_from(length).is_ok_and(|length| length <= BODY_BYTES_MAX);
    if length.is_some_and(|length| !fits(length)) {
        // Before a byte of it is sent: the platform would have to guess what a body that breaks off means.
        return Err(broken());
    }
    let body = Body::new(Limited::new(body, BODY_BYTES_MAX));
    let begun = tokio::time::timeout(BODY_WAIT_MAX, peek(body, REPEAT_BODY_BYTES_MAX, |_| true)).await;
    match begun.map_err(|_late| broken())?.map_err(|_broken| broken())? {
        Peeked::Whole(bytes) => Ok((Body::from(bytes.clone()), Some(bytes))),
        Peeked::More(body) => {
            headers::frame(&mut head.headers, length);
            Ok((body, None))
        }
    }
}

/// Whether an answer of this status and body says that its call's token is dead.
type SaysDead = fn(StatusCode, &[u8]) -> bool;

/// The answer as it goes back, and whether it says that the token is dead. Of a long answer only the
/// beginning is looked at, and of one that is no JSON object only the first byte.
async fn judge(plain: Plain, answer: http::Response<Body>) -> Result<(Response, bool), Problem> {
    let (mut head, body) = answer.into_parts();
    // To whoever passed it on, 101 would be a connection that speaks another protocol from here on.
    if head.status.is_informational() {
        return Err(broke_off());
    }
    headers::clean_answer(&mut head.headers);
    let (most, says_token_is_dead): (usize, SaysDead) = match plain {
        Plain::WeChat => (wechat::DEAD_TOKEN_BODY_BYTES_MAX, wechat::says_token_is_dead),
        Plain::DingTalk => (dingtalk::DEAD_TOKEN_BODY_BYTES_MAX, dingtalk::says_token_is_dead),
    };
    let looked = peek(body, most, |first| first.first() == Some(&b'{')).await;
    match looked.map_err(|_broken| broke_off())? {
        Peeked::More(body) => Ok((Response::from_parts(head, body), false)),
        Peeked::Whole(bytes) => {
            let is_dead = says_token_is_dead(head.status, &bytes);
            Ok((Response::from_parts(head, Body::from(bytes)), is_dead))
        }
    }
}
