//! The keeper's reading of a platform's answer.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::message::{only, text_to_sign};
use super::pairs::{EncryptHeader, SignatureHeader};
use super::{ENCRYPT, Endpoint, Gateway, RESPONSE_TIME, SIGNATURE, base64_forms, parse_instant};
use crate::app::AppKey;
use crate::crypto::{RsaPrivateKey, WireKey};
use crate::dialect::answer::{Ambiguity, Said, UpstreamAnswer};
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
    /// The app that called.
    pub client_id: &'a AppId,
    /// The path of the request: [`super::UnsignedRequest::path`].
    pub path: &'a str,
    /// The platform's keys; a signature by any of them is good, whatever version it names.
    pub platform_keys: &'a [AppKey],
    /// The app's own key, for answers that are encrypted.
    pub private_key: Option<&'a RsaPrivateKey>,
}

/// What an answer brought.
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

/// A token set as it arrived. A one-time token was spent on it, so whatever else is missing or odd must
/// not lose the access token: unlike in [`crate::outcome::TokenSet`], nothing else has to be there.
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
struct ResultBody {
    #[serde(rename = "resultCode")]
    code: String,
    #[serde(rename = "resultStatus")]
    status: String,
    #[serde(rename = "resultMessage")]
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserInfoBody {
    user_id: String,
    #[serde(flatten)]
    profile: Profile,
}

/// Reads a platform's answer to a call of `endpoint`.
#[must_use]
pub fn decode_response(
    (gateway, endpoint): (Gateway, Endpoint),
    check: &AnswerCheck<'_>,
    response: &Response<Bytes>,
) -> UpstreamAnswer<Received> {
    if response.status() != StatusCode::OK {
        return UpstreamAnswer::Ambiguous(Ambiguity::Status(response.status().as_u16()));
    }
    open_response(check, response)
        .and_then(|body| serde_json::from_slice(&body).ok())
        .and_then(|body| verdict(gateway, endpoint, body))
        .unwrap_or(UpstreamAnswer::Ambiguous(Ambiguity::Unreadable))
}

/// The body of an answer that is the platform's own, decrypted if it is encrypted; `None`: it is not the
/// platform's, or can't be decrypted.
#[must_use]
pub fn open_response(check: &AnswerCheck<'_>, response: &Response<Bytes>) -> Option<Bytes> {
    if !is_authentic(check, response) {
        return None;
    }
    match only(response.headers(), &ENCRYPT).ok()? {
        None => Some(response.body().clone()),
        Some(header) => open(check, header.to_str().ok()?, response.body()),
    }
}

fn is_authentic(check: &AnswerCheck<'_>, response: &Response<Bytes>) -> bool {
    let headers = response.headers();
    let Ok(Some(time)) = only(headers, &RESPONSE_TIME) else { return false };
    let Ok(Some(signature)) = only(headers, &SIGNATURE) else { return false };
    let Some(Ok(signature)) = signature.to_str().ok().map(SignatureHeader::parse) else { return false };
    let client_id = check.client_id.as_str().as_bytes();
    let signed_text = text_to_sign(check.path, client_id, time.as_bytes(), response.body());
    check.platform_keys.iter().any(|key| key.public.verify(&signed_text, &signature.signature))
}

/// Decrypts an answer. We tell nobody whether that worked, so a key that does not open needs no random
/// stand-in.
fn open(check: &AnswerCheck<'_>, header: &str, body: &Bytes) -> Option<Bytes> {
    const STAND_IN: [u8; 32] = [0; 32];
    let header = EncryptHeader::parse(header).ok()?;
    let key = WireKey::from_ciphertext(check.private_key?, &header.wrapped_key, STAND_IN);
    let ciphertext = base64_forms::decode_bare(body)?;
    key.decrypt(&ciphertext).ok().map(Bytes::from)
}

fn verdict(gateway: Gateway, endpoint: Endpoint, body: AnswerBody) -> Option<UpstreamAnswer<Received>> {
    let ResultBody { code, status, message } = &body.result;
    let said = Said::new(code, message.as_deref().unwrap_or_default());
    match status.as_str() {
        "S" => received(endpoint, body).map(UpstreamAnswer::Granted),
        "F" => {
            let refusal = match gateway.outcome_of_code(code) {
                Some(Outcome::Refused(refusal)) => refusal,
                Some(Outcome::Granted(_) | Outcome::Unknown) | None => Refusal::AccessDenied,
            };
            Some(UpstreamAnswer::Refused { refusal, said })
        }
        "U" => Some(UpstreamAnswer::Ambiguous(Ambiguity::Busy(said))),
        _ => None,
    }
}

/// What success brought; `None` without the one thing that it is for.
fn received(endpoint: Endpoint, body: AnswerBody) -> Option<Received> {
    let time = |value| text(value).and_then(|time| parse_instant(&time));
    match endpoint {
        Endpoint::ApplyToken => Some(Received::Tokens(ReceivedTokens {
            access: AccessToken::new(text(body.access_token)?),
            access_expires_at: time(body.access_token_expiry_time),
            refresh: text(body.refresh_token).map(RefreshToken::new),
            refresh_expires_at: time(body.refresh_token_expiry_time),
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

/// A text that is there, or a number as text: some platforms write times and user ids so.
fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => (!text.is_empty()).then_some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
