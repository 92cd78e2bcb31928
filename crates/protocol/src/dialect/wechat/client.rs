//! The keeper's side: asking WeChat for a token, and putting it on a request.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::{Endpoint, GRANT_TYPE, codes};
use crate::dialect::answer::{Ambiguity, Said, UpstreamAnswer, is_token};
use crate::dialect::json::{self, Object};
use crate::dialect::query;
use crate::ident::AppId;
use crate::outcome::{Granted, Refusal};
use crate::secret::{AccessToken, ClientSecret};

/// Which call gets the token. The two have pools of their own: never mix them for one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCall {
    /// `GET /cgi-bin/token`: every call mints a new token and supersedes the current one.
    Token,
    /// `POST /cgi-bin/stable_token`.
    Stable {
        /// Whether a new token is minted while the current one is good. Twenty times a day.
        force: bool,
    },
}

#[derive(Serialize)]
struct StableTokenBody<'a> {
    grant_type: &'static str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

/// Writes the request for a token: path and query only, the authority is the caller's to add.
///
/// With [`TokenCall::Token`] the secret is in the query, as the platform wants it: never log the URI.
///
/// # Errors
///
/// A secret so long that no URI holds it, 65,534 bytes.
pub fn encode_request(
    id: &AppId,
    secret: &ClientSecret,
    call: TokenCall,
) -> Result<Request<Bytes>, http::Error> {
    match call {
        TokenCall::Token => {
            let secret = query::encode(secret.expose());
            let path = Endpoint::Token.path();
            Request::get(format!("{path}?grant_type={GRANT_TYPE}&appid={id}&secret={secret}"))
                .body(Bytes::new())
        }
        TokenCall::Stable { force } => {
            let body = StableTokenBody {
                grant_type: GRANT_TYPE,
                appid: id.as_str(),
                secret: secret.expose(),
                force_refresh: force,
            };
            Request::builder()
                .method(Method::POST)
                .uri(Endpoint::StableToken.path())
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(json::to_bytes(&body))
        }
    }
}

/// Reads the answer to [`encode_request`], now or after it was stored. Fields that we don't know are
/// passed over.
#[must_use]
pub fn decode_response(response: &Response<Bytes>) -> UpstreamAnswer {
    // WeChat answers everything with 200; another status is somebody's between us.
    if response.status() != StatusCode::OK {
        return UpstreamAnswer::Ambiguous(Ambiguity::Status(response.status().as_u16()));
    }
    let Ok(object) = Object::read(response.body()) else {
        return UpstreamAnswer::Ambiguous(Ambiguity::Unreadable);
    };
    if let Some(errcode) = object.whole("errcode").filter(|errcode| *errcode != 0) {
        return refused(errcode, object.text("errmsg").ok().flatten().unwrap_or_default());
    }
    granted(&object).unwrap_or(UpstreamAnswer::Ambiguous(Ambiguity::Unreadable))
}

fn granted(object: &Object<'_>) -> Option<UpstreamAnswer> {
    let token = object.text("access_token").ok()?.filter(|token| is_token(token))?;
    let expires_in_s = u64::try_from(object.whole("expires_in")?).ok().filter(|seconds| *seconds > 0)?;
    Some(UpstreamAnswer::Granted(Granted::AppToken {
        token: AccessToken::new(token.to_owned()),
        expires_in: Duration::from_secs(expires_in_s),
    }))
}

fn refused(errcode: i64, message: &str) -> UpstreamAnswer {
    let said = Said::new(&errcode.to_string(), message);
    if errcode == i64::from(codes::BUSY) {
        return UpstreamAnswer::Ambiguous(Ambiguity::Busy(said));
    }
    let is_about_address = errcode == 40164 || WAITS_FOR_OPERATOR.contains(&errcode);
    let refusal = if is_about_address {
        Refusal::AddressNotAllowed(address_in(message))
    } else {
        codes::refusal_of(errcode).unwrap_or(Refusal::AccessDenied)
    };
    UpstreamAnswer::Refused { refusal, said }
}

/// Codes about a calling address that the account's operator has to confirm first, or refused to.
const WAITS_FOR_OPERATOR: [i64; 4] = [89501, 89503, 89506, 89507];

/// The first address in a message: ours, as the platform sees it, for the operator to put on the list.
fn address_in(message: &str) -> IpAddr {
    let address = message.split([' ', ',']).find_map(|word| word.parse().ok());
    address.unwrap_or(Ipv4Addr::UNSPECIFIED.into())
}

/// An answer's body that is longer than this never says that a token is dead, in bytes.
pub const DEAD_TOKEN_BODY_BYTES_MAX: usize = 4_096;

/// Whether an answer to a platform call says that the call's token is dead: 40001 `access_token is
/// invalid or not latest`, 40014 `invalid access_token`, 42001 `access_token expired`.
///
/// The content type is not asked: WeChat sends JSON errors as `text/plain` where a file was expected.
#[must_use]
pub fn says_token_is_dead(status: StatusCode, body: &[u8]) -> bool {
    const DEAD: [i64; 3] = [40001, 40014, 42001];
    if status != StatusCode::OK || body.len() > DEAD_TOKEN_BODY_BYTES_MAX || body.first() != Some(&b'{') {
        return false;
    }
    let errcode = Object::read(body).ok().and_then(|object| object.whole("errcode"));
    errcode.is_some_and(|errcode| DEAD.contains(&errcode))
}

/// Puts `token` on a platform call: the query parameter `access_token`, in place of any that is there.
///
/// # Errors
///
/// A request target longer than a URI may be.
pub fn put_token<B>(request: &mut Request<B>, token: &AccessToken) -> Result<(), http::Error> {
    *request.uri_mut() = query::with_parameter(request.uri(), "access_token", token.expose())?;
    Ok(())
}
