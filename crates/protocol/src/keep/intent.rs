//! What is made durable before it is sent, and before its answer is parsed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::Sealed;
use crate::time::Timestamp;

use super::slot::LeaseFence;

/// The exact bytes of a request under seal: what [`RequestBytes::freeze`] gave.
pub enum FrozenRequest {}

/// The exact bytes of an answer under seal: what [`write_down`](crate::dialect::answer::write_down) gave.
pub enum FrozenAnswer {}

/// "About to present this": durable before the first byte goes out.
#[derive(Clone, Serialize, Deserialize)]
pub struct Intent {
    /// The lease it was written under; names the intent.
    pub fence: LeaseFence,
    /// When it was first presented, by the holder's clock.
    pub presented_at: Timestamp,
    /// How often the request was, or may have been, sent.
    pub times: u32,
    /// The request itself, so that it can be repeated byte by byte.
    pub request: Sealed<FrozenRequest>,
    /// The answer as it arrived, durable before anybody reads it.
    #[serde(default)]
    pub answer: Option<Sealed<FrozenAnswer>>,
}

/// A frozen request can't be read back. Its bytes were sealed, so this is damage or a version's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frozen request can't be read back")]
pub struct FrozenBroken;

#[derive(Serialize, Deserialize)]
struct RequestParts {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// The bytes of a request, for the seal.
pub struct RequestBytes;

impl RequestBytes {
    /// Everything of `request` that goes on the wire.
    ///
    /// # Errors
    ///
    /// [`FrozenBroken`] if it can't be written down, which no request of ours is.
    pub fn freeze(request: &http::Request<Bytes>) -> Result<Zeroizing<Vec<u8>>, FrozenBroken> {
        let parts = RequestParts {
            method: request.method().as_str().to_owned(),
            target: request.uri().to_string(),
            headers: header_list(request.headers()),
            body: request.body().to_vec(),
        };
        serde_json::to_vec(&parts).map(Zeroizing::new).map_err(|_| FrozenBroken)
    }

    /// The request that was frozen, byte by byte.
    ///
    /// # Errors
    ///
    /// [`FrozenBroken`].
    pub fn thaw(frozen: &[u8]) -> Result<http::Request<Bytes>, FrozenBroken> {
        let parts: RequestParts = serde_json::from_slice(frozen).map_err(|_| FrozenBroken)?;
        let mut builder = http::Request::builder().method(parts.method.as_str()).uri(parts.target);
        for (name, value) in parts.headers {
            builder = builder.header(name, value);
        }
        builder.body(Bytes::from(parts.body)).map_err(|_| FrozenBroken)
    }
}

fn header_list(headers: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_request_thaws_byte_by_byte() {
        let request = http::Request::post("/a/b?c=d%20e")
            .header("signature", "algorithm=RSA256, signature=x%2B")
            .header("x-odd", http::HeaderValue::from_bytes(b"\xff").unwrap())
            .body(Bytes::from_static(b"{\"a\":\xff}"))
            .unwrap();
        let again = RequestBytes::thaw(&RequestBytes::freeze(&request).unwrap()).unwrap();
        assert_eq!(again.method(), request.method());
        assert_eq!(again.uri(), request.uri());
        assert_eq!(again.headers(), request.headers());
        assert_eq!(again.body(), request.body());
        assert!(RequestBytes::thaw(b"{}").is_err());
    }
}
