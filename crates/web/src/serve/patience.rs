//! How long a connection is waited for, without a timer per request.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::crowd::{Crowd, Turn};
use crate::limits::Limits;

/// How often a connection is looked at within its read timeout.
///
/// Every limit is therefore kept to a quarter of the read timeout: never early, at most so much late.
const LOOKS_PER_READ_TIMEOUT: u32 = 4;

/// How much of what a peer still sends is read and thrown away when a connection is closed, in bytes.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two requests, or while the peer takes our answer.
    Still,
    /// From the first byte of a head (or the connection's start) until the head is whole.
    Head,
    /// From the whole head until the handler has answered.
    Handler,
    /// We have said our last; the peer may still be sending.
    Closing,
}

/// What a connection is doing and since when; written by its stream and service, read by its [`Watch`].
///
/// One connection is one task, so nothing here needs an ordering.
#[derive(Debug)]
pub(super) struct Gauge {
    /// The number of changes so far, and in the lowest two bits the phase.
    mark: AtomicU64,
    overdue: AtomicBool,
}

impl Gauge {
    /// A new connection owes us a head.
    pub(super) const fn new() -> Self {
        Self { mark: AtomicU64::new(1), overdue: AtomicBool::new(false) }
    }

    /// A head is whole, and its handler begins.
    pub(super) fn handler_begins(&self) {
        self.overdue.store(false, Relaxed);
        self.enter(Phase::Handler);
    }

    /// The handler has answered.
    pub(super) fn handler_ended(&self) {
        self.enter(Phase::Still);
    }

    /// Whether the handler has had its time.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.load(Relaxed)
    }

    /// Whether a head has begun, or the first one is owed.
    pub(super) fn awaits_head(&self) -> bool {
        self.phase() == Phase::Head
    }

    fn phase(&self) -> Phase {
        match self.mark.load(Relaxed) & 3 {
            0 => Phase::Still,
            1 => Phase::Head,
            2 => Phase::Handler,
            _ => Phase::Closing,
        }
    }

    fn enter(&self, phase: Phase) {
        let bits = match phase {
            Phase::Still => 0,
            Phase::Head => 1,
            Phase::Handler => 2,
            Phase::Closing => 3,
        };
        let changes = (self.mark.load(Relaxed) >> 2).wrapping_add(1);
        self.mark.store((changes << 2) | bits, Relaxed);
    }

    fn bytes_came(&self) {
        if self.phase() == Phase::Still {
            self.enter(Phase::Head);
        }
    }

    fn bytes_went(&self) {
        if self.phase() == Phase::Still {
            self.enter(Phase::Still);
        }
    }
}

/// Looks at a gauge again and again, and says when patience has ended.
#[derive(Debug)]
pub(super) struct Watch {
    seen_mark: u64,
    looks_unchanged: u128,
    head_looks: u128,
    still_looks: u128,
    handler_looks: u128,
}

impl Watch {
    pub(super) fn new(limits: &Limits) -> Self {
        let period_us = Self::period(limits).as_micros();
        let looks = |limit: Duration| limit.as_micros().div_ceil(period_us);
        Self {
            seen_mark: 0,
            looks_unchanged: 0,
            head_looks: looks(limits.read_timeout),
            still_looks: looks(limits.idle_timeout),
            handler_looks: looks(limits.request_deadline),
        }
    }

    /// How often to look.
    pub(super) fn period(limits: &Limits) -> Duration {
        limits.read_timeout.div_f64(f64::from(LOOKS_PER_READ_TIMEOUT)).max(Duration::from_millis(1))
    }

    /// One look. `true`: close the connection. A late handler is told by [`Gauge::is_overdue`] instead.
    pub(super) fn look(&mut self, gauge: &Gauge) -> bool {
        let mark = gauge.mark.load(Relaxed);
        if mark != self.seen_mark {
            self.seen_mark = mark;
            self.looks_unchanged = 0;
            return false;
        }
        self.looks_unchanged = self.looks_unchanged.saturating_add(1);
        match gauge.phase() {
            Phase::Still => self.looks_unchanged >= self.still_looks,
            Phase::Head => self.looks_unchanged >= self.head_looks,
            Phase::Closing => true,
            Phase::Handler => {
                gauge.overdue.store(self.looks_unchanged >= self.handler_looks, Relaxed);
                false
            }
        }
    }
}

/// A stream that tells a gauge what passes, writes when it is its turn, and lingers when it is closed.
pub(super) struct Patient<'g, I> {
    inner: I,
    gauge: &'g Gauge,
    turn: Turn<'g>,
    lingered_bytes: usize,
}

impl<'g, I> Patient<'g, I> {
    pub(super) const fn new(inner: I, gauge: &'g Gauge, crowd: &'g Crowd) -> Self {
        Self { inner, gauge, turn: Turn::new(crowd), lingered_bytes: 0 }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<'_, I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.gauge.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<'_, I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.turn.poll(cx));
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.gauge.bytes_went();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Ends our side, then reads out what the peer still sends, until it ends its side too.
    ///
    /// A socket closed over unread bytes resets the connection, and the peer would lose the answer that
    /// tells it, say, that its body is too large.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gauge.phase() != Phase::Closing {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.gauge.enter(Phase::Closing);
        }
        let mut scratch = [0; 4096];
        while self.lingered_bytes < LINGER_BYTES_MAX {
            let mut buf = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
            self.lingered_bytes = self.lingered_bytes.saturating_add(buf.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// A peer who sends without end, and how much of it was read.
    struct Endless(usize);

    impl AsyncRead for Endless {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let room = buf.initialize_unfilled().len();
            buf.advance(room);
            self.0 = self.0.saturating_add(room);
            assert!(self.0 <= 2 * LINGER_BYTES_MAX, "it is read on and on");
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn who_sends_on_and_on_is_read_out_up_to_a_bound() {
        let (gauge, crowd) = (Gauge::new(), Crowd::default());
        let mut stream = Patient::new(Endless(0), &gauge, &crowd);
        poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await.unwrap();
        assert!(stream.inner.0 >= LINGER_BYTES_MAX);
    }
}
