//! Which headers pass.

use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

/// What belongs to one connection. Source: RFC 9110 section 7.6.1.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What the platform has no business to know, or what is written anew for it: who calls the keeper and by
/// which key, the keeper's own name, a length that the body itself tells, another token.
const NOT_FORWARDED: [HeaderName; 11] = [
    header::HOST,
    header::AUTHORIZATION,
    header::COOKIE,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    mintkeep_protocol::dialect::dingtalk::TOKEN_HEADER,
];

/// Leaves of a request's head what is for the platform. The version is that of our connection to it, whatever the
/// caller speaks.
pub(super) fn clean_request(head: &mut Parts) {
    head.version = Version::HTTP_11;
    drop_hop_by_hop(&mut head.headers);
    for name in NOT_FORWARDED {
        head.headers.remove(name);
    }
    // What is compressed can't be looked at.
    head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Says how long a body is that streams, as its caller did: some platforms take no upload in chunks. Where nothing is
/// said, the client takes the body of a GET for none.
pub(super) fn frame(headers: &mut HeaderMap, length: Option<u64>) {
    match length {
        Some(length) => headers.insert(header::CONTENT_LENGTH, length.into()),
        None => headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
    };
}

/// Leaves of an answer's headers what is for the caller.
pub(super) fn clean_answer(headers: &mut HeaderMap) {
    drop_hop_by_hop(headers);
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.into_iter().chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_for_the_platform_stays_here() {
        let (mut head, ()) = http::Request::new(()).into_parts();
        for (name, value) in [
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Bearer planted"),
            ("host", "keeper.internal"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-acs-dingtalk-access-token", "planted"),
            ("accept-encoding", "gzip"),
            ("content-type", "application/json"),
            ("x-custom", "1"),
        ] {
            head.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        clean_request(&mut head);
        let mut left: Vec<(&str, &str)> =
            head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        let expected =
            [("accept-encoding", "identity"), ("content-type", "application/json"), ("x-custom", "1")];
        assert_eq!(left, expected);
    }
}
