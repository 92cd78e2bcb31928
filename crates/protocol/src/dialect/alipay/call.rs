//! The issuer's reading of a request, in the order in which things may be told.

use bytes::Bytes;
use http::{HeaderValue, Method, Request};

use super::message::{only, text_to_sign};
use super::pairs::SignatureHeader;
use super::{CLIENT_ID, Endpoint, Gateway, REQUEST_TIME, SIGNATURE, SignedBody, ask, parse_instant};
use crate::ident::AppId;
use crate::outcome::Refusal;
use crate::request::{Ask, RequestSignature};

/// A request whose method, path and client id are right. Whatever else is wrong with it is kept until
/// the step that may tell it.
pub struct SignedCall {
    /// Whose gateway was called.
    pub gateway: Gateway,
    /// What was called.
    pub endpoint: Endpoint,
    /// Who says to call.
    pub client_id: AppId,
    target: String,
    raw_body: Bytes,
    raw_time: Result<HeaderValue, Refusal>,
    signature: Result<SignatureHeader, Refusal>,
    body: Result<SignedBody, Refusal>,
}

/// Checks a request's method, path and client id, in this order, and reads the rest.
///
/// The path is the one that we see, without a prefix that a proxy cut off.
///
/// # Errors
///
/// [`Refusal::MethodWrong`], [`Refusal::ApiUnknown`], [`Refusal::ClientMissing`], or
/// [`Refusal::FieldIllegal`] for a client id that comes twice or that no client can have.
pub fn decode_head(gateway: Gateway, request: &Request<Bytes>) -> Result<SignedCall, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::MethodWrong);
    }
    let endpoint = gateway.endpoint(request.uri().path()).ok_or(Refusal::ApiUnknown)?;
    let headers = request.headers();
    let client_id = only(headers, &CLIENT_ID)?.filter(|id| !id.is_empty()).ok_or(Refusal::ClientMissing)?;
    let client_id =
        client_id.to_str().ok().and_then(|id| AppId::parse(id).ok()).ok_or(Refusal::FieldIllegal)?;
    let raw_time = match only(headers, &REQUEST_TIME) {
        Ok(Some(raw)) => Ok(raw.clone()),
        Ok(None) | Err(_) => Err(Refusal::RequestTimeIllegal),
    };
    let signature = match only(headers, &SIGNATURE) {
        Ok(Some(header)) => {
            header.to_str().map_err(|_| Refusal::ProofInvalid).and_then(SignatureHeader::parse)
        }
        Ok(None) | Err(_) => Err(Refusal::ProofInvalid),
    };
    Ok(SignedCall {
        gateway,
        endpoint,
        client_id,
        target: target_of(request).to_owned(),
        raw_body: request.body().clone(),
        raw_time,
        signature,
        body: SignedBody::read(headers, request.body()),
    })
}

/// The path and query as the caller wrote them, whether or not the target was absolute.
pub(super) fn target_of<B>(request: &Request<B>) -> &str {
    request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// `target` as the caller wrote it before a proxy cut off `prefix`.
pub(super) fn with_prefix(prefix: Option<&str>, target: &str) -> String {
    [prefix.unwrap_or_default().trim_end_matches('/'), target].concat()
}

impl SignedCall {
    /// What proves the caller. `prefix` is [`crate::app::AppSettings::public_path_prefix`].
    ///
    /// To be told after an unknown or disabled client is.
    ///
    /// # Errors
    ///
    /// [`Refusal::ProofInvalid`] and [`Refusal::KeyUnknown`] for a `Signature` header that is missing or
    /// can't be read; [`Refusal::RequestTimeIllegal`] if there is not one `Request-Time`, without which
    /// there is no string to sign.
    pub fn signature(&self, prefix: Option<&str>) -> Result<RequestSignature, Refusal> {
        let SignatureHeader { key_version, signature } = self.signature.clone()?;
        let raw_time = self.raw_time.as_ref().map_err(|refusal| *refusal)?;
        let path = with_prefix(prefix, &self.target);
        let client_id = self.client_id.as_str().as_bytes();
        let signed_text = text_to_sign(&path, client_id, raw_time.as_bytes(), &self.raw_body);
        let request_time = raw_time.to_str().ok().and_then(parse_instant);
        Ok(RequestSignature { key_version, signed_text, signature, request_time })
    }

    /// The body. To be told after the proof holds.
    ///
    /// # Errors
    ///
    /// [`Refusal::EncryptionInvalid`]; [`Refusal::FieldIllegal`] for a body of a wrong type.
    pub fn body(&self) -> Result<&SignedBody, Refusal> {
        self.body.as_ref().map_err(|refusal| *refusal)
    }

    /// What is asked for. `plaintext` is [`SignedBody::Plain`], or what [`super::EncryptedBody::open`]
    /// gave. To be told after the proof holds, and the app may call this API and not too often.
    ///
    /// # Errors
    ///
    /// [`Refusal::BodyMissing`], [`Refusal::BodyMalformed`], [`Refusal::FieldIllegal`],
    /// [`Refusal::FieldMissing`], [`Refusal::AccessMissing`], [`Refusal::GrantTypeUnsupported`].
    pub fn ask(&self, plaintext: &[u8]) -> Result<Ask, Refusal> {
        ask::decode(self.endpoint, plaintext)
    }
}
