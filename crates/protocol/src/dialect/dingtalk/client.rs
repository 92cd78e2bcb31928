//! The keeper's side: asking DingTalk for a token, and putting it on a request.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use serde::Serialize;

use super::{TOKEN_HEADER, codes};
use crate::dialect::answer::{Ambiguity, Said, UpstreamAnswer, is_token};
use crate::dialect::json::{self, Object};
use crate::dialect::query;
use crate::ident::AppId;
use crate::outcome::{Granted, Refusal};
use crate::secret::{AccessToken, ClientSecret};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessTokenBody<'a> {
    app_key: &'a str,
    app_secret: &'a str,
}

/// Writes the request for an app's own token, `POST /v1.0/oauth2/accessToken`: path only, the authority
/// is the caller's to add.
///
/// # Errors
///
/// None that can happen; the path is a constant.
pub fn encode_request(id: &AppId, secret: &ClientSecret) -> Result<Request<Bytes>, http::Error> {
    let body = AccessTokenBody { app_key: id.as_str(), app_secret: secret.expose() };
    Request::post("/v1.0/oauth2/accessToken")
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(json::to_bytes(&body))
}

/// Reads the answer to [`encode_request`], now or after it was stored. Fields that we don't know are
/// passed over.
///
/// "Repeated requests within the validity period return the same result and automatically extend the
/// validity": the same token with a new expiry is a success like any other.
#[must_use]
pub fn decode_response(response: &Response<Bytes>) -> UpstreamAnswer {
    let status = response.status();
    let unreadable = || {
        let is_plain = status == StatusCode::OK;
        let why = if is_plain { Ambiguity::Unreadable } else { Ambiguity::Status(status.as_u16()) };
        UpstreamAnswer::Ambiguous(why)
    };
    let Ok(object) = Object::read(response.body()) else {
        return unreadable();
    };
    if status == StatusCode::OK {
        return granted(&object).unwrap_or_else(unreadable);
    }
    let Ok(Some(code)) = object.text("code") else {
        return unreadable();
    };
    let said = Said::new(code, object.text("message").ok().flatten().unwrap_or_default());
    if !status.is_client_error() {
        return UpstreamAnswer::Ambiguous(Ambiguity::Busy(said));
    }
    UpstreamAnswer::Refused { refusal: refusal_of(code), said }
}

fn granted(object: &Object<'_>) -> Option<UpstreamAnswer> {
    let token = object.text("accessToken").ok()?.filter(|token| is_token(token))?;
    let expires_in_s = u64::try_from(object.whole("expireIn")?).ok().filter(|seconds| *seconds > 0)?;
    Some(UpstreamAnswer::Granted(Granted::AppToken {
        token: AccessToken::new(token.to_owned()),
        expires_in: Duration::from_secs(expires_in_s),
    }))
}

/// The refusal behind a code; a code that is new to us is an app that may not do this.
fn refusal_of(code: &str) -> Refusal {
    if code.starts_with("Forbidden.AccessDenied.QpsLimit") {
        return Refusal::RateLimited;
    }
    codes::refusal_of(code).unwrap_or(Refusal::AccessDenied)
}

/// An answer's body that is longer than this never says that a token is dead, in bytes.
pub const DEAD_TOKEN_BODY_BYTES_MAX: usize = 4_096;

/// Whether an answer to a platform call says that the call's token is dead: 400 `InvalidAuthentication`;
/// with the older API 200 and `errcode` 40014 or 42001, or 88 with one of them inside.
#[must_use]
pub fn says_token_is_dead(status: StatusCode, body: &[u8]) -> bool {
    if body.len() > DEAD_TOKEN_BODY_BYTES_MAX || body.first() != Some(&b'{') {
        return false;
    }
    let Ok(object) = Object::read(body) else {
        return false;
    };
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
            object.text("code") == Ok(Some("InvalidAuthentication"))
        }
        StatusCode::OK => match object.whole("errcode") {
            Some(40014 | 42001) => true,
            Some(88) => names_dead_token(&object),
            _ => false,
        },
        _ => false,
    }
}

/// Errcode 88 wraps another one: in `sub_code`, or in the text as `[subcode=40014,submsg=…]`.
fn names_dead_token(object: &Object<'_>) -> bool {
    let is_dead = |code: &str| matches!(code, "40014" | "42001");
    let message = object.text("errmsg").ok().flatten().unwrap_or_default();
    let within = message.split_once("subcode=").map(|(_, rest)| rest);
    let within = within.and_then(|rest| rest.split([',', ']']).next());
    within.is_some_and(is_dead) || object.whole("sub_code").is_some_and(|code| is_dead(&code.to_string()))
}

/// Puts `token` on a platform call: in its header at the versioned endpoints (`/v1.0/…`), as the query
/// parameter `access_token` at the older ones; in place of any that is there. The platform's own `path` says which:
/// the request's may begin with that of a gateway on the way.
///
/// # Errors
///
/// A token that fits no header, or a request target longer than a URI may be.
pub fn put_token<B>(request: &mut Request<B>, path: &str, token: &AccessToken) -> Result<(), http::Error> {
    if is_versioned(path) {
        let mut value = HeaderValue::from_str(token.expose())?;
        value.set_sensitive(true);
        request.headers_mut().insert(TOKEN_HEADER, value);
    } else {
        *request.uri_mut() = query::with_parameter(request.uri(), "access_token", token.expose())?;
    }
    Ok(())
}

/// Whether a path begins with a version, such as `/v1.0/`.
fn is_versioned(path: &str) -> bool {
    let mut rest = path.strip_prefix("/v").unwrap_or_default().chars();
    rest.next().is_some_and(|first| first.is_ascii_digit())
}
