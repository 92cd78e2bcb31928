//! The proxy's way to the platforms: bodies stream both ways, nothing is redirected.

use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::upstream::{PlatformConnector, platform_connector};

/// How long a platform may take to the head of its answer. Shorter than a listener's own deadline, so that it
/// is the proxy that says what happened.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(25);
/// How long an unused connection is kept.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(55);

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OnwardFault {
    /// Nothing was sent.
    #[error("the platform could not be reached")]
    NotSent,
    /// It may have been done.
    #[error("the platform did not answer")]
    Ambiguous,
}

/// Makes a consumer's call at a platform.
#[async_trait]
pub trait Onward: Send + Sync {
    /// Sends the request to its full URL and gives the answer as soon as its head is there.
    async fn forward(&self, request: Request<Body>) -> Result<Response<Body>, OnwardFault>;
}

/// The real way.
pub struct HyperOnward(Client<PlatformConnector, Body>);

impl HyperOnward {
    /// Makes it. A request that waited for a kept connection which the platform closed before a byte went out
    /// gets another connection; nothing else is tried again.
    #[must_use]
    pub fn new() -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_CONNECTION_MAX);
        Self(builder.build(platform_connector()))
    }
}

impl Default for HyperOnward {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Onward for HyperOnward {
    async fn forward(&self, request: Request<Body>) -> Result<Response<Body>, OnwardFault> {
        match tokio::time::timeout(ANSWER_WAIT_MAX, self.0.request(request)).await {
            Ok(Ok(answer)) => Ok(answer.map(Body::new)),
            Ok(Err(error)) if error.is_connect() => Err(OnwardFault::NotSent),
            Ok(Err(_)) | Err(_) => Err(OnwardFault::Ambiguous),
        }
    }
}
