//! Reading a request's body, within a size and a time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use mintkeep_protocol::outcome::Refusal;

use crate::limits::Limits;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefused {
    /// Longer than [`Limits::body_bytes_max`].
    #[error("the body is larger than this server takes")]
    TooLarge,
    /// Not complete after [`Limits::read_timeout`].
    #[error("the body took longer than this server waits")]
    TooSlow,
    /// The connection ended within it, or its chunks are malformed.
    #[error("the body is broken off or malformed")]
    Broken,
}

/// What a dialect says of it.
impl From<BodyRefused> for Refusal {
    fn from(refused: BodyRefused) -> Self {
        match refused {
            BodyRefused::TooLarge => Self::TooLarge,
            BodyRefused::TooSlow => Self::TooSlow,
            BodyRefused::Broken => Self::BodyMalformed,
        }
    }
}

/// Reads all of `body`, however it is framed.
///
/// A body whose announced length is over the limit is refused before a byte of it is read.
///
/// # Errors
///
/// [`BodyRefused`].
pub async fn read(body: impl Body<Data = Bytes>, limits: &Limits) -> Result<Bytes, BodyRefused> {
    let mut collecting = pin!(collect(body, limits.body_bytes_max));
    // Most bodies came with their heads, and need no timer.
    if let Poll::Ready(whole) = poll_fn(|cx| Poll::Ready(collecting.as_mut().poll(cx))).await {
        return whole;
    }
    tokio::time::timeout(limits.read_timeout, collecting).await.unwrap_or(Err(BodyRefused::TooSlow))
}

/// Collects up to `bytes_max`; a body of one frame is handed on without a copy.
async fn collect(body: impl Body<Data = Bytes>, bytes_max: usize) -> Result<Bytes, BodyRefused> {
    let mut body = pin!(body);
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(BodyRefused::TooLarge);
    }
    let mut first = Bytes::new();
    let mut all: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| BodyRefused::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        let read = all.as_ref().map_or(first.len(), BytesMut::len);
        if read.saturating_add(data.len()) > bytes_max {
            return Err(BodyRefused::TooLarge);
        }
        match &mut all {
            Some(all) => all.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity(announced.max(read.saturating_add(data.len())));
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                all = Some(joined);
            }
        }
    }
    Ok(all.map_or(first, BytesMut::freeze))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::body::Body;
    use http_body::Frame;
    use http_body_util::StreamBody;

    fn chunks(lengths: &[usize]) -> Body {
        let frames: Vec<_> = lengths
            .iter()
            .map(|&length| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'a'; length]))))
            .collect();
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_however_it_is_cut() {
        let limits = Limits { body_bytes_max: 8, ..Limits::default() };
        #[rustfmt::skip]
        let cases: [(&str, Body, Result<usize, BodyRefused>); 7] = [
            ("empty",             Body::empty(),             Ok(0)),
            ("whole",             Body::from("a".repeat(8)), Ok(8)),
            ("whole, a byte more", Body::from("a".repeat(9)), Err(BodyRefused::TooLarge)),
            ("chunks",            chunks(&[3, 0, 3, 2]),     Ok(8)),
            ("chunks, a byte more", chunks(&[3, 3, 3]),      Err(BodyRefused::TooLarge)),
            ("one chunk too long", chunks(&[9]),             Err(BodyRefused::TooLarge)),
            ("empty chunk first", chunks(&[0, 8]),           Ok(8)),
        ];
        for (case, body, length) in cases {
            assert_eq!(read(body, &limits).await.map(|bytes| bytes.len()), length, "{case}");
        }
    }

    /// A body that says its length, and of which nothing comes.
    struct Announced(u64);

    impl http_body::Body for Announced {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_says_it_is_too_long_is_refused_before_a_byte_of_it_came() {
        let limits = Limits { body_bytes_max: 8, ..Limits::default() };
        assert_eq!(read(Announced(8), &limits).await, Err(BodyRefused::TooSlow));
        assert_eq!(read(Announced(9), &limits).await, Err(BodyRefused::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up_at_the_read_timeout() {
        let limits = Limits { read_timeout: Duration::from_secs(10), ..Limits::default() };
        let endless = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(read(Body::new(endless), &limits).await, Err(BodyRefused::TooSlow));
    }
}
