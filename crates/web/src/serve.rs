//! A listener: accepts connections, serves each within its limits, and leaves without dropping a request.

mod answer;
mod bell;
mod connection;
mod crowd;
mod patience;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper::server::conn::http1;
use ipnet::IpNet;
use mintkeep_protocol::outcome::{Outcome, Refusal};
use mintkeep_protocol::port::entropy::Entropy;
use mintkeep_protocol::time::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

pub use bell::Arriving;

use crate::access_log::AccessLog;
use crate::limits::Limits;
use crate::metrics::HttpMetrics;
use crate::problem::Problem;
use crate::readiness::Readiness;
use crate::shortcut::Shortcut;
use crate::tasks::Tasks;
use crate::tls::Tls;

/// How long accepting pauses when the operating system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the log is told so while it lasts.
const ACCEPT_TELL_EVERY: Duration = Duration::from_mins(1);

/// How long connections are still read after the stop, for requests that were sent before they could know.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// How long a TLS handshake may still take after the stop: whoever began it before may be about to ask.
const LAST_HANDSHAKE: Duration = Duration::from_secs(1);

/// One listener.
pub struct Listener {
    /// Its name in logs and metrics, such as `issuer`.
    pub name: &'static str,
    /// Where it listens.
    pub socket: TcpListener,
    /// Its TLS, if it isn't plain.
    pub tls: Option<Tls>,
    /// What it serves. Paths that nobody serves are the router's own matter.
    pub router: Router,
    /// What of it goes past the router.
    pub shortcut: Option<Arc<dyn Shortcut>>,
    /// How it behaves.
    pub manners: Manners,
}

/// How a listener behaves.
#[derive(Clone)]
pub struct Manners {
    /// What it takes and how long it waits.
    pub limits: Limits,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether header names are written as `Content-Type` rather than `content-type`, for clients that
    /// compare them by case.
    pub title_case_headers: bool,
    /// How it words what it refuses by itself.
    pub refusal_form: RefusalForm,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            title_case_headers: false,
            refusal_form: Arc::new(|_request, refused| Box::pin(async move { refused.into_response() })),
        }
    }
}

/// Makes the answer to what a listener refuses by itself, so that a dialect's callers get it in their own
/// form; [`Refused::into_response`] where nobody knows better.
///
/// The request is whole if its head was refused. Past a deadline or a panic its headers are gone.
pub type RefusalForm =
    Arc<dyn Fn(Request<()>, Refused) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// Why a listener answers instead of its router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The request line is over [`Limits::request_line_bytes_max`].
    TargetTooLong,
    /// The headers are over [`Limits::header_bytes_max`].
    HeadersTooLarge,
    /// A proxy before us may have read the head another way: it has two hosts, or a transfer coding that is
    /// not `chunked`, once. (Of a length beside chunks hyper takes the chunks, and closes the connection.)
    ///
    /// Source: RFC 9112 sections 3.2, more than one `Host` is a 400, and 6.1, "A sender MUST NOT apply the
    /// chunked transfer coding more than once".
    HeadAmbiguous,
    /// An HTTP/1.1 request without a host, or with one that no host can have.
    ///
    /// Source: RFC 9112 section 3.2, "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
    /// request message that lacks a Host header field and to any request message that contains ... an invalid
    /// field value".
    HostMissing,
    /// `CONNECT`: whoever reads a 2xx takes what follows for a tunnel, so no dialect's 200 may answer it.
    TunnelAsked,
    /// The handler had not answered at [`Limits::request_deadline`]; what it did may or may not have happened.
    DeadlinePassed,
    /// The handler panicked, which is our fault and logged; what it did may or may not have happened.
    Panicked,
}

impl Refused {
    /// The same in the dialects' terms: a head over the limits is too large; a handler that is late or broke
    /// may have done what was asked.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::TargetTooLong | Self::HeadersTooLarge => Outcome::Refused(Refusal::TooLarge),
            Self::HeadAmbiguous | Self::HostMissing => Outcome::Refused(Refusal::BodyMalformed),
            Self::TunnelAsked => Outcome::Refused(Refusal::MethodWrong),
            Self::DeadlinePassed | Self::Panicked => Outcome::Unknown,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::TargetTooLong => Problem::new(
                StatusCode::URI_TOO_LONG,
                "target-too-long",
                "The request line is too long",
                "shorten the query, or send the parameters in a body where the endpoint takes one",
            ),
            Self::HeadersTooLarge => Problem::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                "The headers are too large",
                "send fewer or shorter headers",
            ),
            Self::HeadAmbiguous => Problem::new(
                StatusCode::BAD_REQUEST,
                "head-ambiguous",
                "The headers can be read in two ways",
                "send one Host, and of transfer codings chunked alone, once",
            ),
            Self::HostMissing => Problem::new(
                StatusCode::BAD_REQUEST,
                "host-missing",
                "The request names no host",
                "send one Host header with the name that you connected to",
            ),
            Self::TunnelAsked => Problem::new(
                StatusCode::BAD_REQUEST,
                "no-tunnels",
                "This is no proxy",
                "send the request itself, not CONNECT; a client that does so is set to use this server as its proxy",
            ),
            Self::DeadlinePassed => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "deadline-passed",
                "The answer took too long",
                "it is not known whether the request took effect; try again",
            )
            .retry_after(Duration::from_secs(1)),
            Self::Panicked => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal-error",
                "The server failed",
                "this is a bug in the server; its log has a line with this request's id",
            ),
        }
        .into_response()
    }
}

/// What all listeners of a process share.
#[derive(Clone)]
pub struct House {
    /// Tells when requests come.
    pub clock: Arc<dyn Clock>,
    /// Where request ids are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// Where each request leaves a line.
    pub access_log: Option<AccessLog>,
    /// Whether the process is leaving: answers then close their connections.
    pub readiness: Readiness,
    /// The connections. Its shutdown stops the listeners and lets what is in flight finish.
    pub tasks: Tasks,
}

/// A listener's own, shared by its connections.
struct Shared {
    name: &'static str,
    router: Router,
    shortcut: Option<Arc<dyn Shortcut>>,
    tls: Option<Tls>,
    manners: Manners,
    house: House,
    http: http1::Builder,
    metrics: HttpMetrics,
    crowd: crowd::Crowd,
}

/// Serves `listener` until the house's tasks are told to stop. Returns then; connections finish on their own,
/// and the shutdown of the tasks waits for them.
pub async fn serve(listener: Listener, house: House) {
    let Listener { name, socket, tls, router, shortcut, manners } = listener;
    let tasks = house.tasks.clone();
    let places = Arc::new(Semaphore::new(manners.limits.connections_max));
    let http = http_builder(&manners);
    let shared = Arc::new(Shared {
        name,
        router,
        shortcut,
        tls,
        manners,
        house,
        http,
        metrics: HttpMetrics::new(name),
        crowd: crowd::Crowd::default(),
    });

    let begin = |stream: TcpStream, peer, place: OwnedSemaphorePermit| {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            connection::serve(stream, peer, &shared).await;
            drop(place);
        })
    };
    let accepting = async {
        let mut told: Option<Instant> = None;
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match socket.accept().await {
                Ok((stream, peer)) => drop(begin(stream, peer.ip(), place)),
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() >= ACCEPT_TELL_EVERY) {
                        tracing::error!(listener = name, %error, "can't accept; raise the hard limit of open files");
                        told = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = tasks.stopping() => {}
    }
    // Closing the socket resets the connections that the operating system has accepted for us and we have
    // not. So it is asked for them directly, until it has none: the runtime may not have heard of the last.
    let Ok(socket) = socket.into_std() else { return };
    while let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        let Ok((stream, peer)) = socket.accept() else { return };
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            drop(begin(stream, peer.ip(), place));
        }
    }
}

/// HTTP/1.1 as we speak it. What exceeds twice the limits of a head is refused before it is whole.
///
/// That, and what is no head at all, hyper answers by itself, with a status and no body: it has no hook there, and
/// whose path it would be is not known, so it has nobody's form.
fn http_builder(manners: &Manners) -> http1::Builder {
    /// The least that hyper takes, in bytes.
    const BUFFER_BYTES_MIN: usize = 8192;
    let head_bytes_max =
        manners.limits.header_bytes_max.saturating_add(manners.limits.request_line_bytes_max);
    let mut http = http1::Builder::new();
    http.header_read_timeout(None)
        // Whoever has asked and ends its own side still wants the answer; and we need not look whether it did.
        .half_close(true)
        .max_buf_size(head_bytes_max.saturating_mul(2).max(BUFFER_BYTES_MIN))
        // Answers are short: copied behind their head, they cost less than a second piece to write.
        .writev(false)
        .title_case_headers(manners.title_case_headers);
    http
}

/// Whether an accept failed because the peer was gone already.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}
