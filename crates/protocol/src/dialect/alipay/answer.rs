//! The issuer's answers: made, then signed elsewhere, then finished.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use serde::Serialize;

use super::call::{target_of, with_prefix};
use super::message::{JSON, TEXT, only, text_to_sign, value};
use super::pairs::{EncryptHeader, SignatureHeader};
use super::{CLIENT_ID, ENCRYPT, Gateway, RESPONSE_TIME, ResultRow, SIGNATURE, TRACER_ID, format_instant};
use crate::app::{App, AppKey, SignatureEncoding};
use crate::crypto::{WireCipherBroken, WireKey};
use crate::dialect::AnswerContext;
use crate::outcome::{Granted, Outcome, Refusal};
use crate::record::Profile;
use crate::time::Timestamp;

/// What every answer repeats of its request, good or bad.
#[derive(Debug, Clone)]
pub struct Echo {
    client_id: Option<HeaderValue>,
    target: String,
    encoding: Option<SignatureEncoding>,
}

impl Echo {
    /// Keeps it.
    #[must_use]
    pub fn of(request: &Request<Bytes>) -> Self {
        let header = |name| only(request.headers(), name).ok().flatten();
        Self {
            client_id: header(&CLIENT_ID).cloned(),
            target: target_of(request).to_owned(),
            encoding: header(&SIGNATURE)
                .and_then(|header| header.to_str().ok())
                .and_then(SignatureHeader::encoding),
        }
    }
}

/// An answer that waits for its signature.
pub struct UnsignedAnswer {
    body: Bytes,
    client_id: Option<HeaderValue>,
    path: String,
    encoding: SignatureEncoding,
    response_time: String,
    tracer_id: String,
    encrypt: Option<String>,
    may_encrypt: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerBody<'a> {
    result: ResultRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_expiry_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token_expiry_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_info: Option<UserInfo<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserInfo<'a> {
    user_id: &'a str,
    #[serde(flatten)]
    profile: Option<&'a Profile>,
}

/// Makes the answer to an outcome, plain.
#[must_use]
pub fn answer(
    gateway: Gateway,
    echo: &Echo,
    outcome: &Outcome,
    context: &AnswerContext<'_>,
) -> UnsignedAnswer {
    let settings = context.app.map(|app| &app.settings);
    let offset_min = context.app.map_or(DEFAULT_OFFSET_MIN, App::time_offset_min);
    let prefix = settings.and_then(|settings| settings.public_path_prefix.as_deref());
    let body = body_of(gateway, outcome, offset_min);
    UnsignedAnswer {
        // Texts and an object with text keys: there is nothing that JSON can't show.
        body: serde_json::to_vec(&body).unwrap_or_default().into(),
        client_id: echo.client_id.clone(),
        path: with_prefix(prefix, &echo.target),
        encoding: settings
            .and_then(|settings| settings.signature_encoding)
            .or(echo.encoding)
            .unwrap_or(SignatureEncoding::PercentBase64),
        response_time: format_instant(context.now, offset_min),
        tracer_id: context.request_id.to_string(),
        encrypt: None,
        may_encrypt: !matches!(outcome, Outcome::Refused(Refusal::EncryptionInvalid)),
    }
}

/// The offset in answers to nobody that we know, as in the pages' samples.
const DEFAULT_OFFSET_MIN: i16 = 480;

fn body_of(gateway: Gateway, outcome: &Outcome, offset_min: i16) -> AnswerBody<'_> {
    let time = |at: Timestamp| Some(format_instant(at, offset_min));
    let bare = AnswerBody {
        result: gateway.result_of(outcome),
        access_token: None,
        access_token_expiry_time: None,
        refresh_token: None,
        refresh_token_expiry_time: None,
        customer_id: None,
        user_info: None,
    };
    let granted = match outcome {
        Outcome::Granted(granted) => granted,
        Outcome::Refused(_) | Outcome::Unknown => return bare,
    };
    match granted {
        Granted::TokenSet(tokens) => AnswerBody {
            access_token: Some(tokens.access.expose()),
            access_token_expiry_time: time(tokens.access_expires_at),
            refresh_token: Some(tokens.refresh.expose()),
            refresh_token_expiry_time: time(tokens.refresh_expires_at),
            customer_id: Some(tokens.customer.as_str()),
            ..bare
        },
        Granted::UserInfo { customer, profile } => {
            let user_info = UserInfo { user_id: customer.as_str(), profile: profile.as_ref() };
            AnswerBody { user_info: Some(user_info), ..bare }
        }
        Granted::Cancelled => bare,
        // No endpoint of the family asks for these.
        Granted::AppToken { .. }
        | Granted::Addresses(_)
        | Granted::QuotaCleared
        | Granted::Quota { .. }
        | Granted::Ticket { .. } => AnswerBody { result: gateway.unknown(), ..bare },
    }
}

impl UnsignedAnswer {
    /// Encrypts the answer under the request's key, which goes along, encrypted for the app.
    ///
    /// The answer to an encryption that could not be read stays plain: its key is not known to be the
    /// caller's, and a caller that sees one answer for every cause learns nothing from it.
    ///
    /// # Errors
    ///
    /// [`WireCipherBroken`] if the library can't.
    pub fn encrypted(self, key: &WireKey, app_key: &AppKey) -> Result<Self, WireCipherBroken> {
        if !self.may_encrypt {
            return Ok(self);
        }
        let wrapped_key = key.to_ciphertext(&app_key.public).map_err(|_| WireCipherBroken)?;
        let body = STANDARD.encode(key.encrypt(&self.body)?).into();
        let encrypt = Some(EncryptHeader::format(app_key.version, &wrapped_key));
        Ok(Self { body, encrypt, ..self })
    }

    /// The body as it goes out.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// What is to be signed by the platform's key.
    #[must_use]
    pub fn text_to_sign(&self) -> Vec<u8> {
        let client_id = self.client_id.as_ref().map_or(b"".as_slice(), HeaderValue::as_bytes);
        text_to_sign(&self.path, client_id, self.response_time.as_bytes(), &self.body)
    }

    /// The answer with its signature, which was made by the platform's key of this version.
    #[must_use]
    pub fn signed(self, key_version: u32, signature: &[u8]) -> Response<Bytes> {
        let header = SignatureHeader::format(key_version, signature, self.encoding);
        let mut response = self.unsigned();
        response.headers_mut().insert(SIGNATURE, value(header));
        response
    }

    /// The answer without a signature, for when no key of ours is known.
    ///
    /// Always HTTP 200: public clients throw on anything else before they read the body.
    #[must_use]
    pub fn unsigned(self) -> Response<Bytes> {
        let media_type = if self.encrypt.is_some() { TEXT } else { JSON };
        let mut response = Response::new(self.body);
        let headers = response.headers_mut();
        if let Some(client_id) = self.client_id {
            headers.insert(CLIENT_ID, client_id);
        }
        headers.insert(RESPONSE_TIME, value(self.response_time));
        headers.insert(CONTENT_TYPE, media_type);
        headers.insert(TRACER_ID, value(self.tracer_id));
        if let Some(encrypt) = self.encrypt {
            headers.insert(ENCRYPT, value(encrypt));
        }
        response
    }
}
