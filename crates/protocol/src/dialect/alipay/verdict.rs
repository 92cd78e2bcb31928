//! The keeper's reading of a platform's answer.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::message::{only, text_to_sign};
use super::pairs::{EncryptHeader, SignatureHeader};
use super::{ENCRYPT, Endpoint, Gateway, RESPONSE_TIME, SIGNATURE, base64_forms, parse_instant};
use crate::crypto::{RsaPrivateKey, RsaPublicKey, WireKey};
use crate::ident::{AppId, CustomerId};
use crate::outcome::{Outcome, Refusal};
use crate::record::Profile;
use crate::secret::{AccessToken, RefreshToken};
use crate::time::Timestamp;

/// What an answer is checked against and opened with.
///
/// Reading is pure: an answer that was stored as it came gives the same verdict later.
#[derive(Clone, Copy)]
pub struct AnswerCheck<'a> {
    /// What was called.
    pub endpoint: Endpoint,
    /// The app that called.
    pub client_id: &'a AppId,
    /// The path of the request: [`super::UnsignedRequest::path`].
    pub path: &'a str,
    /// The platform's public keys; a signature by any of them is good.
    pub platform_keys: &'a [RsaPublicKey],
    /// The app's own key, for answers that are encrypted.
    pub private_key: Option<&'a RsaPrivateKey>,
}

/// What an answer says.
pub enum PlatformAnswer {
    /// It happened.
    Granted(Received),
    /// It did not happen.
    Refused {
        /// What we would have called it; `None` for a code that no page has.
        refusal: Option<Refusal>,
        /// The platform's own code, for people.
        code: String,
    },
    /// It may or may not have happened.
    Ambiguous(Ambiguity),
}

/// Why an answer does not tell whether it happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// Not HTTP 200: something before the platform answered.
    #[error("HTTP status {0}")]
    HttpStatus(u16),
    /// No signature, or none by a key that we know.
    #[error("answer is not signed by a known platform key: compare the credential's platform key")]
    ProofInvalid,
    /// Encrypted, and not for us.
    #[error("encrypted answer can't be read")]
    EncryptionInvalid,
    /// Not the JSON that the page describes, or success without what it should bring.
    #[error("answer is not as its page describes")]
    Unreadable,
    /// The platform itself does not know (status `U`).
    #[error("platform answered {0}, status U")]
    PlatformUnsure(String),
}

/// What was granted.
pub enum Received {
    /// `applyToken`.
    Tokens(ReceivedTokens),
    /// `cancelToken`.
    Cancelled,
    /// `inquiryUserInfo`.
    UserInfo {
        /// The customer.
        customer: CustomerId,
        /// What the scopes let us see.
        profile: Profile,
    },
}

/// A token set as it arrived. Only the access token must be there: a one-time token was spent on it, so
/// what else is missing must not lose it.
pub struct ReceivedTokens {
    /// The access token.
    pub access: AccessToken,
    /// Until when.
    pub access_expires_at: Option<Timestamp>,
    /// The refresh token.
    pub refresh: Option<RefreshToken>,
    /// Until when.
    pub refresh_expires_at: Option<Timestamp>,
    /// Whom the grant is about.
    pub customer: Option<CustomerId>,
}

/// The fields of any answer. Only `result` must be as the page says; what else is of a wrong type counts
/// as absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerBody {
    result: ResultBody,
    access_token: Option<Value>,
    access_token_expiry_time: Option<Value>,
    refresh_token: Option<Value>,
    refresh_token_expiry_time: Option<Value>,
    customer_id: Option<Value>,
    user_info: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultBody {
    result_code: String,
    result_status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserInfoBody {
    user_id: String,
    #[serde(flatten)]
    profile: Profile,
}

/// Reads a platform's answer.
#[must_use]
pub fn decode_response(
    gateway: Gateway,
    check: &AnswerCheck<'_>,
    response: &Response<Bytes>,
) -> PlatformAnswer {
    match read(check, response) {
        Ok(body) => verdict(gateway, check.endpoint, body),
        Err(ambiguity) => PlatformAnswer::Ambiguous(ambiguity),
    }
}

fn read(check: &AnswerCheck<'_>, response: &Response<Bytes>) -> Result<AnswerBody, Ambiguity> {
    if response.status() != StatusCode::OK {
        return Err(Ambiguity::HttpStatus(response.status().as_u16()));
    }
    if !is_signed(check, response) {
        return Err(Ambiguity::ProofInvalid);
    }
    let opened = match only(response.headers(), &ENCRYPT) {
        Ok(None) => response.body().clone(),
        Ok(Some(_)) => open(check, response).ok_or(Ambiguity::EncryptionInvalid)?,
        Err(_) => return Err(Ambiguity::EncryptionInvalid),
    };
    serde_json::from_slice(&opened).map_err(|_| Ambiguity::Unreadable)
}

fn text_header<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    only(headers, name).ok().flatten()?.to_str().ok()
}

fn is_signed(check: &AnswerCheck<'_>, response: &Response<Bytes>) -> bool {
    let headers = response.headers();
    let Some(time) = text_header(headers, &RESPONSE_TIME) else { return false };
    let Some(Ok(header)) = text_header(headers, &SIGNATURE).map(SignatureHeader::parse) else { return false };
    let client_id = check.client_id.as_str().as_bytes();
    let signed_text = text_to_sign(check.path, client_id, time.as_bytes(), response.body());
    check.platform_keys.iter().any(|key| key.verify(&signed_text, &header.signature))
}

/// Decrypts an answer. Its signature holds, so nobody can use us to try ciphertexts, and a key that
/// does not open needs no random stand-in.
fn open(check: &AnswerCheck<'_>, response: &Response<Bytes>) -> Option<Bytes> {
    const STAND_IN: [u8; 32] = [0; 32];
    let header = EncryptHeader::parse(text_header(response.headers(), &ENCRYPT)?).ok()?;
    let key = WireKey::from_ciphertext(check.private_key?, &header.wrapped_key, STAND_IN);
    let ciphertext = base64_forms::decode_bare(response.body())?;
    key.decrypt(&ciphertext).ok().map(Bytes::from)
}

fn verdict(gateway: Gateway, endpoint: Endpoint, body: AnswerBody) -> PlatformAnswer {
    match body.result.result_status.as_str() {
        "S" => received(endpoint, body)
            .map_or(PlatformAnswer::Ambiguous(Ambiguity::Unreadable), PlatformAnswer::Granted),
        "F" => {
            let refusal = match gateway.outcome_of_code(&body.result.result_code) {
                Some(Outcome::Refused(refusal)) => Some(refusal),
                Some(Outcome::Granted(_) | Outcome::Unknown) | None => None,
            };
            PlatformAnswer::Refused { refusal, code: shown(body.result.result_code) }
        }
        "U" => PlatformAnswer::Ambiguous(Ambiguity::PlatformUnsure(shown(body.result.result_code))),
        _ => PlatformAnswer::Ambiguous(Ambiguity::Unreadable),
    }
}

/// A foreign code, safe to log: codes are upper-case words, and anything else is not repeated.
fn shown(code: String) -> String {
    const BYTES_MAX: usize = 64;
    let fits = code.len() <= BYTES_MAX && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { code } else { "an unreadable code".to_owned() }
}

fn received(endpoint: Endpoint, body: AnswerBody) -> Option<Received> {
    match endpoint {
        Endpoint::ApplyToken => Some(Received::Tokens(ReceivedTokens {
            access: AccessToken::new(text(body.access_token)?),
            access_expires_at: text(body.access_token_expiry_time).and_then(|time| parse_instant(&time)),
            refresh: text(body.refresh_token).map(RefreshToken::new),
            refresh_expires_at: text(body.refresh_token_expiry_time).and_then(|time| parse_instant(&time)),
            customer: text(body.customer_id).and_then(|id| CustomerId::parse(&id).ok()),
        })),
        Endpoint::CancelToken => Some(Received::Cancelled),
        Endpoint::UserInfo => {
            let info: UserInfoBody = serde_json::from_value(body.user_info?).ok()?;
            let customer = CustomerId::parse(&info.user_id).ok()?;
            Some(Received::UserInfo { customer, profile: info.profile })
        }
    }
}

/// A text that is there, or a number as text (some platforms write times so).
fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => (!text.is_empty()).then_some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
