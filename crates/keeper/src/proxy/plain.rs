//! WeChat and DingTalk: the token goes on a call's head, so bodies stream both ways.
//!
//! A request's body that fits a small buffer is kept for a second try. A longer one is sent once: when its token
//! is dead, its caller gets the platform's own words and repeats it itself.

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::Limited;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use mintkeep_protocol::ident::Dialect;
use mintkeep_web::problem::Problem;

use super::peek::{Peeked, peek};
use super::{BODY_WAIT_MAX, Call, Proxy, broke_off, climbing, count_repeat, headers, unread};
use crate::shelf::Kept;

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

impl Proxy {
    pub(super) async fn pass_plain(
        &self,
        call: &Call,
        plain: Plain,
        body: Body,
    ) -> Result<Response, Problem> {
        let broken = || unread("send the whole body, at most 64 MiB, without long pauses");
        let body = Body::new(Limited::new(body, BODY_BYTES_MAX));
        let began = tokio::time::timeout(BODY_WAIT_MAX, peek(body, REPEAT_BODY_BYTES_MAX, |_| true)).await;
        let body = began.map_err(|_late| broken())?.map_err(|_broken| broken())?;
        let leaf = self.token(call).await?;
        let kept = self.good(&leaf)?;
        match body {
            Peeked::More(body) => {
                let (answer, is_dead) = self.stream(call, plain, kept, body).await?;
                if is_dead {
                    self.successor(call, kept).await;
                }
                Ok(answer)
            }
            Peeked::Whole(bytes) => {
                let (answer, is_dead) = self.stream(call, plain, kept, Body::from(bytes.clone())).await?;
                if is_dead && let Some(next) = self.successor(call, kept).await {
                    count_repeat();
                    return Ok(self.stream(call, plain, self.good(&next)?, Body::from(bytes)).await?.0);
                }
                Ok(answer)
            }
        }
    }

    /// Makes the call; its answer, and whether that says that the token is dead.
    async fn stream(
        &self,
        call: &Call,
        plain: Plain,
        token: &Kept,
        body: Body,
    ) -> Result<(Response, bool), Problem> {
        let mut request = Request::from_parts(call.head.clone(), body);
        let put = match plain {
            Plain::WeChat => wechat::put_token(&mut request, &token.access),
            Plain::DingTalk => dingtalk::put_token(&mut request, &token.access),
        };
        put.map_err(|_| climbing())?;
        judge(plain, self.send(call, request).await?).await
    }
}

/// Whether an answer of this status and body says that its call's token is dead.
type SaysDead = fn(StatusCode, &[u8]) -> bool;

/// The answer as it goes back, and whether it says that the token is dead. Of a long answer only the
/// beginning is looked at, and of one that is no JSON object only the first byte.
async fn judge(plain: Plain, answer: http::Response<Body>) -> Result<(Response, bool), Problem> {
    let (mut head, body) = answer.into_parts();
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
