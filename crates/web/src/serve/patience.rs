//! How long a connection is waited for, without a timer per request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
    /// How much of the latest answer is still to be written: [`NOTHING`], [`UNFLUSHED`] or [`ANSWER`].
    owed: AtomicU8,
}

/// The peer's last request, if there was one, has been answered to the last byte.
const NOTHING: u8 = 0;
/// The HTTP library has all of the answer, and has not written all of it.
const UNFLUSHED: u8 = 1;
/// A request came whose answer is not ready, or not whole.
const ANSWER: u8 = 2;

impl Gauge {
    /// A new connection owes us a head.
    pub(super) const fn new() -> Self {
        Self { mark: AtomicU64::new(1), overdue: AtomicBool::new(false), owed: AtomicU8::new(NOTHING) }
    }

    /// A head is whole, and its handler begins.
    pub(super) fn handler_begins(&self) {
        self.overdue.store(false, Relaxed);
        self.owed.store(ANSWER, Relaxed);
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

    /// Whether every request has been answered whole: bytes that came since are those of a next head.
    pub(super) fn owes_nothing(&self) -> bool {
        self.owed.load(Relaxed) == NOTHING && self.phase() != Phase::Closing
    }

    fn all_flushed(&self) {
        if self.owed.load(Relaxed) == UNFLUSHED {
            self.owed.store(NOTHING, Relaxed);
        }
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

/// An answer's body. When the HTTP library lets go of it, it has all of it.
pub(super) struct Owed {
    body: Body,
    gauge: Arc<Gauge>,
}

impl Owed {
    pub(super) fn new(body: Body, gauge: &Arc<Gauge>) -> Self {
        Self { body, gauge: Arc::clone(gauge) }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.gauge.owed.store(UNFLUSHED, Relaxed);
    }
}

impl HttpBody for Owed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What comes of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    Wait,
    /// Close the connection: its peer had its time.
    Close,
    /// All is answered, and for as long as a head may take nothing came: if a part of one came along with the
    /// last request, the HTTP library has it, and nobody saw it come.
    LeftBehind,
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

    /// One look. A late handler is told by [`Gauge::is_overdue`] instead.
    pub(super) fn look(&mut self, gauge: &Gauge) -> Look {
        let mark = gauge.mark.load(Relaxed);
        if mark != self.seen_mark {
            self.seen_mark = mark;
            self.looks_unchanged = 0;
            return Look::Wait;
        }
        self.looks_unchanged = self.looks_unchanged.saturating_add(1);
        let is_over = match gauge.phase() {
            Phase::Still => self.looks_unchanged >= self.still_looks,
            Phase::Head => self.looks_unchanged >= self.head_looks,
            Phase::Closing => true,
            Phase::Handler => {
                gauge.overdue.store(self.looks_unchanged >= self.handler_looks, Relaxed);
                return Look::Wait;
            }
        };
        if is_over {
            return Look::Close;
        }
        let may_be_left_behind = self.looks_unchanged == self.head_looks && gauge.owes_nothing();
        if may_be_left_behind { Look::LeftBehind } else { Look::Wait }
    }
}

/// A stream that tells a gauge what passes, and lingers when it is closed.
pub(super) struct Patient<'g, I> {
    inner: I,
    gauge: &'g Gauge,
    lingered_bytes: usize,
}

impl<'g, I> Patient<'g, I> {
    pub(super) const fn new(inner: I, gauge: &'g Gauge) -> Self {
        Self { inner, gauge, lingered_bytes: 0 }
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
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.gauge.bytes_went();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
        self.gauge.bytes_went();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.gauge.all_flushed();
        Poll::Ready(Ok(()))
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
