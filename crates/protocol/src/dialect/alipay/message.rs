//! What requests and answers share: the string to sign, and headers.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::outcome::Refusal;

/// The media type of a plain body.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
/// The media type of an encrypted body.
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

/// What a signature covers: `POST {path}\n{client id}.{time}.{body}`, no newline at the end.
///
/// All of it as it is on the wire: `path` with prefix and query, the headers' raw text, the raw body.
#[must_use]
pub fn text_to_sign(path: &str, client_id: &[u8], time: &[u8], body: &[u8]) -> Vec<u8> {
    [b"POST ", path.as_bytes(), b"\n", client_id, b".", time, b".", body].concat()
}

/// The one value of a header; `None` if it is absent.
///
/// # Errors
///
/// [`Refusal::FieldIllegal`] if it comes twice: two readers could take different ones.
pub(super) fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(Refusal::FieldIllegal) } else { Ok(first) }
}

/// A value that we wrote ourselves, of visible ASCII only.
pub(super) fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
