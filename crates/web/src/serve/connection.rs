//! One connection, from the handshake to its end.

use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::answer::Answerer;
use super::patience::{Gauge, Patient, Watch};
use super::{LAST_LOOK, Shared};

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
    match handshake.await {
        Ok(Ok(stream)) => drive(stream, peer, shared).await,
        Ok(Err(error)) => tracing::debug!(listener = shared.name, %peer, %error, "TLS handshake failed"),
        Err(_late) => tracing::debug!(listener = shared.name, %peer, "TLS handshake took too long"),
    }
}

/// Speaks HTTP over `stream` until either side ends it, patience does, or the process stops.
async fn drive<I: AsyncRead + AsyncWrite + Unpin>(stream: I, peer: IpAddr, shared: &Shared) {
    let limits = &shared.manners.limits;
    let gauge = Gauge::new();
    let answerer = Answerer::new(shared, &gauge, peer);
    let service = service_fn(|request| answerer.answer(request));
    let io = TokioIo::new(Patient::new(stream, &gauge));
    let mut connection = shared.http.serve_connection(io, service);

    let mut watch = Watch::new(limits);
    let period = Watch::period(limits);
    let mut looks = interval_at(after(period), period);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = pin!(async {
        shared.house.tasks.stopping().await;
        tokio::time::sleep(LAST_LOOK).await;
    });
    let mut stopped = false;
    loop {
        tokio::select! {
            biased;
            // What is wrong with one connection is its peer's doing and has been answered, if it could be.
            _ended = &mut connection => return,
            _look = looks.tick() => if watch.look(&gauge) { break },
            () = stop.as_mut(), if !stopped => {
                stopped = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    let parts = connection.into_parts();
    if gauge.awaits_head() && !parts.read_buf.is_empty() {
        let mut stream = parts.io.into_inner();
        let told = async {
            stream.write_all(HEAD_TOO_SLOW).await?;
            stream.shutdown().await
        };
        // Who is too slow to take even this has lost nothing.
        let _untold = timeout(period, told).await;
    }
}

/// The runtime's instant `wait` from now.
fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}
