//! The way to the platforms: HTTP/1.1 over TLS, connections reused, nothing retried, nothing redirected.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Frame, SizeHint};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mintkeep_protocol::port::upstream::{FaultCause, Upstream, UpstreamFault};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;

use crate::settings::KeeperSettings;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an unused connection is kept.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(55);
/// How many unused connections to one platform are kept.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// What dials a platform: TLS 1.2 or later where the URL says `https`.
pub type PlatformConnector = HttpsConnector<HttpConnector>;

/// Makes a connector that trusts the operating system's certificate authorities.
#[must_use]
pub fn platform_connector() -> PlatformConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    HttpsConnectorBuilder::new().with_tls_config(tls()).https_or_http().enable_http1().wrap_connector(http)
}

/// A machine without certificate authorities can still reach platforms on itself, as the sandbox does.
fn tls() -> rustls::ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    #[expect(clippy::expect_used, reason = "the provider has the versions that rustls itself asks for")]
    let builder = || {
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.2 and 1.3")
    };
    match builder().with_native_roots() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no certificate authorities on this machine: platforms can't be reached by https");
            builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    }
}

/// The real upstream.
pub struct HyperUpstream {
    client: Client<PlatformConnector, Watched>,
    deadline: Duration,
    answer_bytes_max: usize,
}

impl HyperUpstream {
    /// Makes one. Each request's deadline is a tenth under [`KeeperSettings::request_deadline`], so that it is
    /// this room that says whether anything was sent.
    #[must_use]
    pub fn new(settings: &KeeperSettings) -> Self {
        let tenth = settings.request_deadline.checked_div(10).unwrap_or_default();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .retry_canceled_requests(false)
            .build(platform_connector());
        Self {
            client,
            deadline: settings.request_deadline.saturating_sub(tenth),
            answer_bytes_max: settings.answer_bytes_max,
        }
    }

    async fn exchange(
        &self,
        request: http::Request<Watched>,
        touched: &AtomicBool,
    ) -> Result<http::Response<Bytes>, UpstreamFault> {
        let response = self.client.request(request).await.map_err(|error| fault(&error, touched))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.answer_bytes_max).collect().await.map_err(|error| {
            let is_too_long = error.downcast_ref::<LengthLimitError>().is_some();
            let cause = if is_too_long { FaultCause::AnswerTooLarge } else { FaultCause::ConnectionLost };
            UpstreamFault::Ambiguous(cause)
        })?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }
}

#[async_trait]
impl Upstream for HyperUpstream {
    async fn send(
        &self,
        base_url: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, UpstreamFault> {
        // Of two tries, the second is made only if the first sent nothing: a kept connection that the
        // platform closed in the meantime.
        for _ in 0..2 {
            let touched = Arc::new(AtomicBool::new(false));
            let watched = watched(base_url, &request, &touched)?;
            let sent = tokio::time::timeout(self.deadline, self.exchange(watched, &touched)).await;
            match sent {
                Ok(Err(UpstreamFault::NotSent(FaultCause::ConnectionLost))) => {}
                Ok(answer) => return answer,
                Err(_late) if touched.load(Ordering::Acquire) => {
                    return Err(UpstreamFault::Ambiguous(FaultCause::Deadline));
                }
                Err(_late) => return Err(UpstreamFault::NotSent(FaultCause::Deadline)),
            }
        }
        Err(UpstreamFault::NotSent(FaultCause::ConnectionLost))
    }
}

/// The request with its full URL, and a body that tells when somebody begins to write it.
fn watched(
    base_url: &str,
    request: &http::Request<Bytes>,
    touched: &Arc<AtomicBool>,
) -> Result<http::Request<Watched>, UpstreamFault> {
    let illegal = || UpstreamFault::NotSent(FaultCause::RequestIllegal);
    let base: http::Uri = base_url.parse().map_err(|_| illegal())?;
    let mut parts = base.into_parts();
    parts.path_and_query = request.uri().path_and_query().cloned();
    let body = Watched { body: Full::new(request.body().clone()), touched: Arc::clone(touched) };
    let mut watched = http::Request::new(body);
    *watched.method_mut() = request.method().clone();
    *watched.uri_mut() = http::Uri::from_parts(parts).map_err(|_| illegal())?;
    *watched.headers_mut() = request.headers().clone();
    Ok(watched)
}

/// A request body that notes when it is looked at. A connection does that just before it writes the
/// request's head, so before then not a byte of the request went out.
struct Watched {
    body: Full<Bytes>,
    touched: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.touched.store(true, Ordering::Release);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.touched.store(true, Ordering::Release);
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.touched.store(true, Ordering::Release);
        self.body.size_hint()
    }
}

fn fault(error: &legacy::Error, touched: &AtomicBool) -> UpstreamFault {
    if touched.load(Ordering::Acquire) {
        return UpstreamFault::Ambiguous(FaultCause::ConnectionLost);
    }
    if !error.is_connect() {
        return UpstreamFault::NotSent(FaultCause::ConnectionLost);
    }
    let is_tls = std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source())
        .any(is_about_tls);
    UpstreamFault::NotSent(if is_tls { FaultCause::Tls } else { FaultCause::Connect })
}

/// An error of the operating system's kind that wraps another passes it over as a source, and two wrap this one.
fn is_about_tls(cause: &(dyn Error + 'static)) -> bool {
    let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    cause.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_about_tls(wrapped))
}
