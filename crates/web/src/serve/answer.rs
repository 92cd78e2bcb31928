//! One request: named, held to its limits, handed to the router, logged and counted.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use hyper::body::Incoming;
use mintkeep_protocol::port::entropy::draw;
use mintkeep_protocol::request::RequestId;
use tower::Service;

use super::patience::Gauge;
use super::{Arriving, Refused, Shared};
use crate::access_log::Line;
use crate::arrival::{Arrival, peer_behind};
use crate::limits::Limits;
use crate::note::{DropConnection, Noted};
use crate::shortcut::Answering;
use crate::stopwatch::Stopwatch;

/// Tells the peer that this was the connection's last answer.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Answers the requests of one connection, one at a time.
pub(super) struct Answerer<'c> {
    shared: &'c Shared,
    gauge: &'c Gauge,
    socket_peer: IpAddr,
    /// Where the connection's request ids come from: drawn at its start, stepped for each request.
    id_state: AtomicU64,
}

/// A handler wants the connection to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped, as the handler asked")]
pub(super) struct Dropped;

impl<'c> Answerer<'c> {
    pub(super) fn new(shared: &'c Shared, gauge: &'c Gauge, socket_peer: IpAddr) -> Self {
        let id_state = AtomicU64::new(u64::from_be_bytes(draw(shared.house.entropy.as_ref())));
        Self { shared, gauge, socket_peer: socket_peer.to_canonical(), id_state }
    }

    /// Answers `request`.
    ///
    /// The request goes straight to its handler, and the future holds little else: hyper copies all of it with each
    /// request, to memory that has left the processor's cache by then.
    pub(super) fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Dropped>> {
        let stopwatch = Stopwatch::start();
        self.gauge.handler_begins();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let arrival = self.arrival(&request);
        let handler = match check_head(&request, &self.shared.manners.limits) {
            Ok(()) => self.handed_on(request.map(Arriving::new), arrival),
            Err(refused) => Box::pin(self.refuse(request.map(|_unread| ()), arrival, refused)),
        };
        async move {
            let answered = self.attended(handler).await;
            self.gauge.handler_ended();
            let Noted { mut response, note } = match answered {
                Ok(noted) => noted,
                Err(refused) => {
                    let mut bare = Request::new(());
                    (*bare.method_mut(), *bare.uri_mut()) = (method.clone(), uri.clone());
                    Box::pin(self.refuse(bare, arrival, refused)).await
                }
            };

            let duration = stopwatch.elapsed();
            let dropped = response.extensions().get::<DropConnection>().is_some();
            let status = if dropped { 0 } else { response.status().as_u16() };
            self.shared.metrics.answered(status, note, duration);
            if let Some(log) = &self.shared.house.access_log {
                log.put(&Line {
                    listener: self.shared.name,
                    arrival,
                    method: &method,
                    path: uri.path(),
                    status,
                    duration,
                    bytes: response.body().size_hint().exact(),
                    note,
                });
            }
            if dropped {
                return Err(Dropped);
            }
            if self.shared.house.readiness.is_leaving() {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            Ok(response)
        }
    }

    /// Answers instead of the router.
    async fn refuse(&self, mut request: Request<()>, arrival: Arrival, refused: Refused) -> Noted {
        if refused == Refused::Panicked {
            tracing::error!(listener = self.shared.name, request = %arrival.id, "a handler panicked");
        }
        let mut response = if refused == Refused::TunnelAsked {
            refused.into_response()
        } else {
            request.extensions_mut().insert(arrival);
            (self.shared.manners.refusal_form)(request, refused).await
        };
        if matches!(refused, Refused::HeadAmbiguous | Refused::TunnelAsked) {
            // What follows on the connection may be the body that a proxy saw, or its next request.
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        response.into()
    }

    /// Hands `request` to whom it is for. Nothing happens until the answer is asked for.
    fn handed_on(&self, mut request: Request<Arriving>, arrival: Arrival) -> Answering {
        match &self.shared.shortcut {
            Some(way) if way.takes(request.method(), request.uri()) => way.answer(request, arrival),
            _ => {
                request.extensions_mut().insert(arrival);
                let mut router = self.shared.router.clone();
                Box::pin(async move {
                    let Ok(response) = router.call(request.map(Body::new)).await;
                    response.into()
                })
            }
        }
    }

    /// Lets the handler answer, unless it is too slow or breaks.
    fn attended<'h>(
        &self,
        mut handler: Pin<Box<dyn Future<Output = Noted> + Send + 'h>>,
    ) -> impl Future<Output = Result<Noted, Refused>> {
        poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(Poll::Ready(noted)) => Poll::Ready(Ok(noted)),
            Ok(Poll::Pending) if self.gauge.is_overdue() => Poll::Ready(Err(Refused::DeadlinePassed)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_panic) => Poll::Ready(Err(Refused::Panicked)),
        })
    }

    fn arrival(&self, request: &Request<Incoming>) -> Arrival {
        let trusted = &self.shared.manners.trusted_proxies;
        let peer = if trusted.is_empty() {
            self.socket_peer
        } else {
            peer_behind(self.socket_peer, request.headers(), trusted)
        };
        let at = self.shared.house.clock.now();
        Arrival { id: RequestId::new(at, self.next_random()), peer, at }
    }

    /// The next number of the connection's own sequence: unlike those of others, not unpredictable.
    ///
    /// The generator is `SplitMix64`, which is a step and a mix.
    fn next_random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.id_state.load(Relaxed).wrapping_add(STEP);
        self.id_state.store(state, Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Holds a head to its limits, each counted as it was on the wire.
fn check_head<B>(request: &Request<B>, limits: &Limits) -> Result<(), Refused> {
    /// The two spaces and the version of a request line.
    const LINE_REST_BYTES: usize = " ".len() * 2 + "HTTP/1.1".len();
    if *request.method() == Method::CONNECT {
        return Err(Refused::TunnelAsked);
    }
    let method_bytes = request.method().as_str().len();
    let line_bytes = method_bytes.saturating_add(target_bytes(request.uri())).saturating_add(LINE_REST_BYTES);
    if line_bytes > limits.request_line_bytes_max {
        return Err(Refused::TargetTooLong);
    }
    let headers = Headers::of(request.headers());
    if headers.bytes > limits.header_bytes_max {
        return Err(Refused::HeadersTooLarge);
    }
    if headers.hosts > 1 || headers.codings > 1 || !headers.codings_fit {
        return Err(Refused::HeadAmbiguous);
    }
    if !headers.hosts_fit || (headers.hosts == 0 && request.version() >= Version::HTTP_11) {
        return Err(Refused::HostMissing);
    }
    Ok(())
}

/// What a head's headers must be looked through for, in one pass.
struct Headers {
    /// As they were on the wire.
    bytes: usize,
    hosts: usize,
    /// Whether each host is of the characters that one can have (RFC 3986, section 3.2). An empty one is a
    /// host: the target has none.
    hosts_fit: bool,
    codings: usize,
    /// Whether each transfer coding is `chunked`.
    codings_fit: bool,
}

impl Headers {
    fn of(headers: &HeaderMap) -> Self {
        /// The colon, the space and the line end of a header.
        const REST_BYTES: usize = ": ".len() + "\r\n".len();
        const HOST_MARKS: &[u8] = b"-._~%!$&'()*+,;=:[]";
        let mut seen = Self { bytes: 0, hosts: 0, hosts_fit: true, codings: 0, codings_fit: true };
        for (name, value) in headers {
            let bytes = name.as_str().len().saturating_add(value.len()).saturating_add(REST_BYTES);
            seen.bytes = seen.bytes.saturating_add(bytes);
            if name == HOST {
                seen.hosts = seen.hosts.saturating_add(1);
                let fits = |byte: &u8| byte.is_ascii_alphanumeric() || HOST_MARKS.contains(byte);
                seen.hosts_fit &= value.as_bytes().iter().all(fits);
            } else if name == TRANSFER_ENCODING {
                seen.codings = seen.codings.saturating_add(1);
                seen.codings_fit &= value.as_bytes().eq_ignore_ascii_case(b"chunked");
            }
        }
        seen
    }
}

/// The length of a request target in whichever of its four forms.
fn target_bytes(uri: &Uri) -> usize {
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len().saturating_add("://".len()));
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    scheme.saturating_add(authority).saturating_add(path)
}
