//! One connection, from the handshake to its end.

use std::future::{Future, poll_fn};
use std::mem;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::answer::Answerer;
use super::bell::Bell;
use super::patience::{Gauge, Patient, Watch};
use super::{LAST_HANDSHAKE, LAST_LOOK, Shared};
use crate::limits::Limits;

/// What is answered to a head that did not become whole in time. Whose path it would be is not known, so it has
/// nobody's form. Source: RFC 9110 section 15.5.9, "the server SHOULD send the \"close\" connection option".
const HEAD_TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: IpAddr, shared: &Shared) {
    let _counted = shared.metrics.connected();
    // Answers are written whole; waiting to fill a packet would only delay them.
    let _no_delay_refused = stream.set_nodelay(true);
    let Some(tls) = &shared.tls else { return drive(stream, peer, shared).await };
    let handshake = timeout(shared.manners.limits.read_timeout, tls.acceptor().accept(stream));
    let shaken = tokio::select! {
        biased;
        shaken = handshake => shaken,
        () = stopped_for(LAST_HANDSHAKE, shared) => return,
    };
    match shaken {
        Ok(Ok(stream)) => drive(stream, peer, shared).await,
        Ok(Err(error)) => tracing::debug!(listener = shared.name, %peer, %error, "TLS handshake failed"),
        Err(_late) => tracing::debug!(listener = shared.name, %peer, "TLS handshake took too long"),
    }
}

/// What ends a connection that its peer does not.
enum Turn {
    PatienceEnded,
    Stopping,
}

/// Speaks HTTP over `stream` until either side ends it, patience does, or the process stops.
async fn drive<I: AsyncRead + AsyncWrite + Unpin>(stream: I, peer: IpAddr, shared: &Shared) {
    let limits = &shared.manners.limits;
    let gauge = Gauge::new();
    let answerer = Answerer::new(shared, &gauge, peer);
    let service = service_fn(|request| answerer.answer(request));
    let io = TokioIo::new(Patient::new(stream, &gauge, &shared.crowd));
    let mut connection = shared.http.serve_connection(io, service);
    let bell = Arc::<Bell>::default();
    let waker = Waker::from(Arc::clone(&bell));

    // Only those that were woken are polled, where `select!` would poll each of them with every request.
    let mut turns = FuturesUnordered::<Pin<Box<dyn Future<Output = Turn> + Send + '_>>>::new();
    turns.push(Box::pin(patience(&gauge, limits)));
    turns.push(Box::pin(stop(shared)));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            // First, so that the connection sees at once that its handler is overdue.
            Some(turn) = turns.next() => match turn {
                Turn::PatienceEnded => break,
                Turn::Stopping => is_stopping = true,
            },
            // What is wrong with one connection is its peer's doing and has been answered, if it could be.
            _ended = poll_fn(|cx| {
                bell.is_for(cx.waker());
                let cx = &mut Context::from_waker(&waker);
                let served = Pin::new(&mut connection).poll(cx);
                // Told before, it would close without a look at what has come by now.
                if served.is_pending() && mem::take(&mut is_stopping) {
                    Pin::new(&mut connection).graceful_shutdown();
                    return Pin::new(&mut connection).poll(cx);
                }
                served
            }) => return,
        }
    }
    let parts = connection.into_parts();
    if gauge.awaits_head() && !parts.read_buf.is_empty() {
        let mut stream = parts.io.into_inner();
        let told = async {
            stream.write_all(HEAD_TOO_SLOW).await?;
            stream.shutdown().await
        };
        // Whoever is too slow to take even this has lost nothing.
        let _untold = timeout(Watch::period(limits), told).await;
    }
}

/// Looks at the gauge again and again, until patience has ended.
async fn patience(gauge: &Gauge, limits: &Limits) -> Turn {
    let mut watch = Watch::new(limits);
    let period = Watch::period(limits);
    let mut looks = interval_at(after(period), period);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if watch.look(gauge) {
            return Turn::PatienceEnded;
        }
    }
}

/// Waits for the stop, and for what was sent before the peer could know of it.
async fn stop(shared: &Shared) -> Turn {
    stopped_for(LAST_LOOK, shared).await;
    Turn::Stopping
}

/// Waits until `wait` after the stop.
async fn stopped_for(wait: Duration, shared: &Shared) {
    shared.house.tasks.stopping().await;
    tokio::time::sleep(wait).await;
}

/// The runtime's instant `wait` from now.
fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}

/// Time is the runtime's own here: it stands still, but for what somebody waits for.
#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::get;
    use mintkeep_protocol::port::entropy::SystemEntropy;
    use tokio::io::{AsyncReadExt, duplex};
    use tokio::time::sleep;

    use super::super::crowd::Crowd;
    use super::super::{House, Manners, http_builder};
    use super::*;
    use crate::clock::SystemClock;
    use crate::limits::Limits;
    use crate::metrics::HttpMetrics;
    use crate::readiness::Readiness;
    use crate::tasks::Tasks;

    const IDLE: Duration = Duration::from_millis(600);
    /// The limit, and a quarter of the read timeout: as late as it may be kept.
    const IDLE_AT_LAST: Duration = Duration::from_millis(650);
    const BODY: &str = "an answer that is a good deal longer than what the way to its peer can hold";
    /// How much of an answer is on its way to a peer that takes none of it.
    const WAY_BYTES: usize = 16;

    fn shared() -> Shared {
        let limits =
            Limits { read_timeout: Duration::from_millis(200), idle_timeout: IDLE, ..Limits::default() };
        let manners = Manners { limits, ..Manners::default() };
        Shared {
            name: "test",
            router: Router::new().route("/", get(async || BODY)),
            shortcut: None,
            tls: None,
            http: http_builder(&manners),
            manners,
            house: House {
                clock: Arc::new(SystemClock),
                entropy: Arc::new(SystemEntropy),
                access_log: None,
                readiness: Readiness::default(),
                tasks: Tasks::new(1),
            },
            metrics: HttpMetrics::new("test"),
            crowd: Crowd::default(),
        }
    }

    /// What a peer gets that takes a byte of its answer each `pace`, `bytes_max` at most, and how long after the last
    /// of them it is let go.
    async fn served(pace: Duration, bytes_max: usize) -> (String, Duration) {
        let (shared, (ours, mut theirs)) = (shared(), duplex(WAY_BYTES));
        let server = async {
            drive(ours, Ipv4Addr::LOCALHOST.into(), &shared).await;
            Instant::now()
        };
        let peer = async {
            theirs.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let (mut taken, mut last) = (String::new(), Instant::now());
            while taken.len() < bytes_max {
                sleep(pace).await;
                let Ok(byte) = theirs.read_u8().await else { break };
                taken.push(byte.into());
                last = Instant::now();
            }
            (taken, last)
        };
        let (ended, (taken, last)) = timeout(Duration::from_mins(10), async { tokio::join!(server, peer) })
            .await
            .expect("the connection ends");
        (taken, ended.saturating_duration_since(last))
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_no_more_of_its_answer_is_let_go_at_the_idle_limit() {
        for bytes in [0, 1, WAY_BYTES, 100] {
            let (taken, still) = served(Duration::from_millis(300), bytes).await;
            assert_eq!(taken.len(), bytes);
            assert!(!taken.ends_with(BODY), "there was more to take than {bytes}");
            assert!((IDLE..=IDLE_AT_LAST).contains(&still), "{bytes} bytes, then let go after {still:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_by_the_last_look_is_answered() {
        let (shared, (ours, mut theirs)) = (shared(), duplex(1024));
        let peer = async {
            let mut answer = vec![0; 1024];
            for _ in 0..2 {
                theirs.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
                let length = theirs.read(&mut answer).await.unwrap();
                assert!(answer[..length].ends_with(BODY.as_bytes()), "{length} bytes");
                let _none = shared.house.tasks.shutdown(Duration::ZERO).await;
                sleep(LAST_LOOK).await;
            }
        };
        tokio::join!(peer, drive(ours, Ipv4Addr::LOCALHOST.into(), &shared));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_its_answer_byte_by_byte_gets_all_of_it_if_each_is_within_the_idle_limit() {
        for (pace, is_whole) in [(599, true), (651, false)] {
            let pace = Duration::from_millis(pace);
            let (taken, _still) = served(pace, usize::MAX).await;
            assert_eq!(taken.ends_with(BODY), is_whole, "a byte each {pace:?}: {taken}");
        }
    }
}
