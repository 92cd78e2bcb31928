//! The platform's servers as the keeper sees them: one request, one answer, or one of two faults.

use async_trait::async_trait;
use bytes::Bytes;

/// Why there is no answer. What the planner needs to know is only whether anything may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UpstreamFault {
    /// Not a byte of the request reached the platform: asking again is safe.
    #[error("not sent: {0}")]
    NotSent(FaultCause),
    /// It may have reached the platform, which may have acted on it.
    #[error("no answer: {0}")]
    Ambiguous(FaultCause),
}

/// What broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FaultCause {
    /// No connection: refused, unreachable, the name does not resolve.
    #[error("no connection to the platform")]
    Connect,
    /// The platform's certificate or protocol version is not acceptable.
    #[error(
        "no TLS session with the platform: its certificate must be for the base URL's host and of an authority that \
         this machine knows"
    )]
    Tls,
    /// The breaker is open: the platform failed often, and one probe at a time goes through.
    #[error("the platform failed repeatedly, waiting for one probe")]
    BreakerOpen,
    /// The request's deadline passed.
    #[error("the platform did not answer in time")]
    Deadline,
    /// The connection ended before the answer did.
    #[error("the connection to the platform ended early")]
    ConnectionLost,
    /// The answer is larger than any token needs.
    #[error("the platform's answer is too large")]
    AnswerTooLarge,
    /// The request itself can't be sent: its base URL or a header is no good.
    #[error("the request can't be made: check the credential's base URL")]
    RequestIllegal,
}

/// A client of the platforms: no hidden retries, no redirects, a deadline for each request.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Sends `request`, whose target is a path and query, to `base_url`, and waits for the whole answer.
    ///
    /// `base_url`'s own path is *not* put before the request's: who signs a path writes all of it.
    ///
    /// # Errors
    ///
    /// [`UpstreamFault`]. An HTTP status is no fault: some dialects put their refusals there.
    async fn send(
        &self,
        base_url: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, UpstreamFault>;
}
