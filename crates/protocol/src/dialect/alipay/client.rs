//! The keeper's requests: made, then signed elsewhere, then finished.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};

use super::call::with_prefix;
use super::message::{JSON, TEXT, text_to_sign, value};
use super::pairs::{EncryptHeader, SignatureHeader};
use super::{CLIENT_ID, ENCRYPT, Gateway, REQUEST_TIME, SIGNATURE, ask, format_instant};
use crate::app::{AppKey, SignatureEncoding};
use crate::crypto::{WireCipherBroken, WireKey};
use crate::ident::AppId;
use crate::request::Ask;
use crate::time::Timestamp;

/// Who sends a request, and when.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// The app.
    pub client_id: &'a AppId,
    /// What the platform's base URL has between its host and the page's path; mostly empty.
    pub path_prefix: &'a str,
    /// The request's own time. The same time gives the same bytes, signature included.
    pub at: Timestamp,
    /// The offset in which it is written, in minutes east of UTC.
    pub offset_min: i16,
}

/// Why there is no such request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The platform has no endpoint for it.
    #[error("this platform has no such call")]
    NotSpoken,
    /// The base URL's path can't be part of a request.
    #[error("the base URL's path is not a path: correct the credential's base URL")]
    PrefixIllegal,
}

/// A request that waits for its signature.
pub struct UnsignedRequest {
    path: PathAndQuery,
    client_id: String,
    request_time: String,
    body: Bytes,
    encrypt: Option<String>,
}

/// Makes the request that asks for `ask`, plain.
///
/// # Errors
///
/// [`RequestFault`].
pub fn encode_request(
    gateway: Gateway,
    ask: &Ask,
    sender: &Sender<'_>,
) -> Result<UnsignedRequest, RequestFault> {
    let (endpoint, body) = ask::encode(ask).ok_or(RequestFault::NotSpoken)?;
    let path = gateway.path(endpoint).ok_or(RequestFault::NotSpoken)?;
    let path = with_prefix(Some(sender.path_prefix), path);
    let path = path.parse().map_err(|_| RequestFault::PrefixIllegal)?;
    Ok(encode_call(path, body.into(), sender))
}

/// Makes the request that brings `body` to `target`, whatever API that is, plain. The target is the whole path,
/// prefix and query included.
#[must_use]
pub fn encode_call(target: PathAndQuery, body: Bytes, sender: &Sender<'_>) -> UnsignedRequest {
    UnsignedRequest {
        path: target,
        client_id: sender.client_id.as_str().to_owned(),
        request_time: format_instant(sender.at, sender.offset_min),
        body,
        encrypt: None,
    }
}

impl UnsignedRequest {
    /// Encrypts the request under `key`, which goes along, encrypted for the platform.
    ///
    /// # Errors
    ///
    /// [`WireCipherBroken`] if the library can't.
    pub fn encrypted(self, key: &WireKey, platform_key: &AppKey) -> Result<Self, WireCipherBroken> {
        let wrapped_key = key.to_ciphertext(&platform_key.public).map_err(|_| WireCipherBroken)?;
        let body = STANDARD.encode(key.encrypt(&self.body)?).into();
        let encrypt = Some(EncryptHeader::format(platform_key.version, &wrapped_key));
        Ok(Self { body, encrypt, ..self })
    }

    /// The path with its prefix, which the answer's signature covers too.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// What is to be signed by the app's key.
    #[must_use]
    pub fn text_to_sign(&self) -> Vec<u8> {
        text_to_sign(self.path(), self.client_id.as_bytes(), self.request_time.as_bytes(), &self.body)
    }

    /// The request with its signature, which was made by the app's key of this version. Its target is
    /// the path alone.
    #[must_use]
    pub fn signed(self, key_version: u32, signature: &[u8], encoding: SignatureEncoding) -> Request<Bytes> {
        let media_type = if self.encrypt.is_some() { TEXT } else { JSON };
        let mut request = Request::new(self.body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(self.path);
        let headers = request.headers_mut();
        headers.insert(CLIENT_ID, value(self.client_id));
        headers.insert(REQUEST_TIME, value(self.request_time));
        headers.insert(CONTENT_TYPE, media_type);
        if let Some(encrypt) = self.encrypt {
            headers.insert(ENCRYPT, value(encrypt));
        }
        headers.insert(SIGNATURE, value(SignatureHeader::format(key_version, signature, encoding)));
        request
    }
}
