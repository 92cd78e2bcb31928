//! Looking at the beginning of a body without keeping the rest.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;

/// A body whose beginning was looked at.
pub(super) enum Peeked {
    /// It ended within the bound.
    Whole(Bytes),
    /// It goes on, or its beginning says that it need not be looked at.
    More(Body),
}

/// Reads a body as long as it is within `most` bytes and `goes_on` says yes to what there is so far.
///
/// # Errors
///
/// It broke off.
pub(super) async fn peek(
    mut body: Body,
    most: usize,
    goes_on: impl Fn(&[u8]) -> bool,
) -> Result<Peeked, axum::Error> {
    let mut seen = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        seen.extend_from_slice(&data);
        if seen.len() > most || (!seen.is_empty() && !goes_on(&seen)) {
            return Ok(Peeked::More(joined(seen.freeze(), body)));
        }
    }
    Ok(Peeked::Whole(seen.freeze()))
}

fn joined(seen: Bytes, rest: Body) -> Body {
    let first = futures_util::stream::once(std::future::ready(Ok(seen)));
    Body::from_stream(first.chain(rest.into_data_stream()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn chunks(parts: &'static [&'static str]) -> Body {
        let parts =
            parts.iter().map(|part| Ok::<_, std::convert::Infallible>(Bytes::from_static(part.as_bytes())));
        Body::from_stream(stream::iter(parts.collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn what_was_looked_at_is_not_lost_wherever_the_look_ends() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str], bool); 7] = [
            ("empty",               &[],                true),
            ("within",              &["{", "abc"],      true),
            ("exactly",             &["{abc", "defg"],  true),
            ("a byte more",         &["{abc", "defgh"], false),
            ("one long piece",      &["{abcdefgh"],     false),
            ("not to be looked at", &["abc", "d"],      false),
            ("empty piece first",   &["", "{a"],        true),
        ];
        for (case, parts, is_whole) in cases {
            let peeked = peek(chunks(parts), 8, |seen| seen.first() == Some(&b'{')).await.unwrap();
            let (whole, bytes) = match peeked {
                Peeked::Whole(bytes) => (true, bytes),
                Peeked::More(body) => (false, body.collect().await.unwrap().to_bytes()),
            };
            assert_eq!((whole, bytes), (is_whole, Bytes::from(parts.concat())), "{case}");
        }
    }
}
