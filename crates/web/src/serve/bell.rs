//! Bodies that, once they have been read to their end, don't wake their connection.
//!
//! hyper wakes a connection for each piece of a body that its handler takes, so that the next piece is read. After
//! the last one nothing is left to read, yet every request with a body would have its connection polled twice.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// What wakes a connection's task, unless a body is being taken from on this very thread.
#[derive(Default)]
pub(super) struct Bell(AtomicWaker);

thread_local! {
    /// Whether a body is being taken from.
    static HELD: Cell<bool> = const { Cell::new(false) };
    /// What was rung meanwhile.
    static RUNG: Cell<Option<Arc<Bell>>> = const { Cell::new(None) };
}

impl Bell {
    /// Whom it wakes from now on.
    pub(super) fn is_for(&self, task: &Waker) {
        self.0.register(task);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if HELD.get() {
            RUNG.set(Some(Arc::clone(self)));
        } else {
            self.0.wake();
        }
    }
}

/// Holds the bells of this thread until it is dropped.
struct Hold;

impl Hold {
    fn begin() -> Self {
        HELD.set(true);
        Self
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        HELD.set(false);
    }
}

/// A request's body as it comes off the wire.
pub struct Arriving(Incoming);

impl Arriving {
    pub(super) const fn new(body: Incoming) -> Self {
        Self(body)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.0.is_end_stream() {
            return Poll::Ready(None);
        }
        let hold = Hold::begin();
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        drop(hold);
        if let Some(bell) = RUNG.take().filter(|_| !self.0.is_end_stream()) {
            bell.0.wake();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::future::{Future, poll_fn};
    use std::time::Duration;

    use axum::response::Response;
    use http_body_util::BodyExt;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use crate::tasks::Tasks;

    /// What a connection answers to the pieces of one request, and how often it is polled for that.
    async fn served(pieces: &'static [&str]) -> (String, u32) {
        let (mut client, server) = duplex(4096);
        let service = service_fn(async |request: http::Request<Incoming>| {
            let body = Arriving::new(request.into_body()).collect().await.unwrap().to_bytes();
            let answer = if body.is_empty() { Bytes::from_static(b"abcde") } else { body };
            Ok::<_, Infallible>(Response::new(axum::body::Body::from(answer)))
        });
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(Arc::clone(&bell));
        let mut polls = 0_u32;
        let serving = poll_fn(|cx| {
            polls = polls.saturating_add(1);
            bell.is_for(cx.waker());
            Pin::new(&mut connection).poll(&mut Context::from_waker(&waker))
        });
        let asking = Tasks::new(1).spawn(async move {
            for piece in pieces {
                client.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut answer = String::new();
            while !answer.ends_with("abcde") {
                answer.push(char::from(client.read_u8().await.unwrap()));
            }
            // The end of the connection is seen by a poll of its own.
            tokio::task::yield_now().await;
            answer
        });
        timeout(Duration::from_secs(20), serving).await.expect("it answers").unwrap();
        (asking.await.unwrap(), polls)
    }

    #[tokio::test]
    async fn a_request_that_comes_whole_has_its_connection_polled_once_and_no_other_is_forgotten() {
        const GET: &str = "GET / HTTP/1.1\r\n\r\n";
        const WHOLE: &str = "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nabcde";
        const CHUNKS: &str =
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n";
        const HEAD: &str = "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n";
        let (_, of_none) = served(&[GET]).await;
        let (answer, of_whole) = served(&[WHOLE]).await;
        assert!(answer.ends_with("\r\n\r\nabcde"), "{answer}");
        assert_eq!(of_whole, of_none, "a body that came with its head costs no poll");
        let cases: [&'static [&str]; 3] = [&[CHUNKS], &[HEAD, "abcde"], &[HEAD, "ab", "cde"]];
        for pieces in cases {
            let (answer, _) = served(pieces).await;
            assert!(answer.ends_with("\r\n\r\nabcde"), "{pieces:?}: {answer}");
        }
    }
}
