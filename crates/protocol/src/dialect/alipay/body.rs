//! A signed request's body, plain or encrypted.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::fields::Fields;
use super::message::only;
use super::pairs::EncryptHeader;
use super::{ENCRYPT, base64_forms};
use crate::crypto::{RsaPrivateKey, WireKey};
use crate::outcome::Refusal;

/// A request's body as it came. Its signature covers exactly these bytes.
#[derive(Clone)]
pub enum SignedBody {
    /// The JSON itself.
    Plain(Bytes),
    /// The JSON under a symmetric key that travels beside it.
    Encrypted(EncryptedBody),
}

/// An encrypted body. Only to be opened after the signature over it holds.
#[derive(Clone)]
pub struct EncryptedBody {
    /// Which of the platform's keys opens it; `None`: the latest.
    pub key_version: Option<u32>,
    wrapped_key: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// What was in an encrypted body.
pub struct OpenedBody {
    /// The JSON, an object.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The key, under which the answer goes back.
    pub key: WireKey,
}

impl EncryptedBody {
    /// Opens the body. Takes an RSA private key operation; not for the event loop.
    ///
    /// `decoy` is 32 fresh random bytes: see [`WireKey::from_ciphertext`].
    ///
    /// # Errors
    ///
    /// [`Refusal::EncryptionInvalid`], whatever is wrong: key, padding, or that no JSON object comes out.
    pub fn open(&self, private: &RsaPrivateKey, decoy: [u8; 32]) -> Result<OpenedBody, Refusal> {
        let key = WireKey::from_ciphertext(private, &self.wrapped_key, decoy);
        let plaintext = key.decrypt(&self.ciphertext).map_err(|_| Refusal::EncryptionInvalid)?;
        let plaintext = Zeroizing::new(plaintext);
        Fields::parse(&plaintext).map_err(|_| Refusal::EncryptionInvalid)?;
        Ok(OpenedBody { plaintext, key })
    }
}

impl SignedBody {
    /// Reads the body and the headers that say what it is.
    ///
    /// # Errors
    ///
    /// [`Refusal::FieldIllegal`] for another media type or charset, [`Refusal::EncryptionInvalid`] for an
    /// unreadable `Encrypt` header or a ciphertext that is not base64.
    pub(super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self, Refusal> {
        let encrypt = only(headers, &ENCRYPT)?;
        // The official Go client says it twice, with a charset and without: whichever is read, it is JSON.
        if !headers.get_all(CONTENT_TYPE).iter().all(|value| takes(value, encrypt.is_some())) {
            return Err(Refusal::FieldIllegal);
        }
        let Some(encrypt) = encrypt else {
            return Ok(Self::Plain(body.clone()));
        };
        let header = encrypt.to_str().map_err(|_| Refusal::EncryptionInvalid)?;
        let EncryptHeader { key_version, wrapped_key } = EncryptHeader::parse(header)?;
        let ciphertext = base64_forms::decode_bare(body).ok_or(Refusal::EncryptionInvalid)?;
        Ok(Self::Encrypted(EncryptedBody { key_version, wrapped_key, ciphertext }))
    }
}

/// Whether a body may be of this media type, or of each of these, as a proxy joins two headers of a name.
fn takes(media_types: &HeaderValue, encrypted: bool) -> bool {
    media_types.to_str().is_ok_and(|text| text.split(',').all(|media_type| takes_one(media_type, encrypted)))
}

/// JSON, or text if it is encrypted, in UTF-8.
fn takes_one(media_type: &str, encrypted: bool) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let right = essence.eq_ignore_ascii_case("application/json")
        || (encrypted && essence.eq_ignore_ascii_case("text/plain"));
    right && parts.all(is_utf8_or_no_charset)
}

fn is_utf8_or_no_charset(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return true };
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset")
        || value.eq_ignore_ascii_case("utf-8")
        || value.eq_ignore_ascii_case("utf8")
}
