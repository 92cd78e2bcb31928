//! What a listener knows of a request beside its head and body.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use ipnet::IpNet;
use mintkeep_protocol::request::RequestId;
use mintkeep_protocol::time::Timestamp;

/// When a request came, from where, and its name. In the extensions of every request that a router gets, and an
/// axum extractor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Names the request.
    pub id: RequestId,
    /// Whence it came; behind a trusted proxy, the address that the proxy saw.
    pub peer: IpAddr,
    /// The listener's clock when the head had been read.
    pub at: Timestamp,
}

impl Arrival {
    /// The arrival of a request that came over no socket (a test's): named by zeros, from 127.0.0.1, in 1970.
    pub const UNKNOWN: Self = Self {
        id: RequestId::new(Timestamp::from_unix_ms(0), 0),
        peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        at: Timestamp::from_unix_ms(0),
    };

    /// The arrival that a listener attached, else [`Self::UNKNOWN`].
    #[must_use]
    pub fn of<B>(request: &http::Request<B>) -> Self {
        request.extensions().get().copied().unwrap_or(Self::UNKNOWN)
    }
}

impl<S: Sync> FromRequestParts<S> for Arrival {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::UNKNOWN))
    }
}

/// How much of an IPv4 address in IPv6 is the same for all of them, in bits.
const MAPPED_BITS: u8 = 96;

/// A network as people write it: `192.0.2.0/24`, or an address, which is a network of its own.
///
/// One of IPv4 addresses in IPv6 is the network of IPv4 that it means: callers' addresses are told so too.
#[must_use]
pub fn network_of(text: &str) -> Option<IpNet> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(alone)?;
    let mapped = network.prefix_len().checked_sub(MAPPED_BITS).filter(|_| network.addr().is_ipv6());
    match (mapped, network.addr().to_canonical()) {
        (Some(prefix), address @ IpAddr::V4(_)) => IpNet::new(address, prefix).ok(),
        _ => Some(network),
    }
}

/// The header in which proxies tell for whom they speak.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the caller: the socket's, unless that is a proxy we trust.
///
/// Then it is the last address in `X-Forwarded-For` that is not itself a trusted proxy. Only the part
/// that trusted proxies wrote is believed: a caller may write whatever it likes to the left of it. An entry
/// that is no address ends the search at the proxy that wrote it.
#[must_use]
pub fn peer_behind(socket: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted_proxies.iter().any(|net| net.contains(&address));
    let mut peer = socket.to_canonical();
    let lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("?")).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(peer) {
            break;
        }
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        peer = address.to_canonical();
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_its_own() {
        let cases = [
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            ("::ffff:0:0/95", Some("::ffff:0:0/95")),
            ("2001:db8::1", Some("2001:db8::1/128")),
            ("192.0.2.0/33", None),
            ("192.0.2", None),
            ("", None),
        ];
        for (text, network) in cases {
            assert_eq!(network_of(text), network.map(|network| network.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn only_what_a_trusted_proxy_wrote_is_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        #[rustfmt::skip]
        let cases: [(&str, &str, &[&str], &str); 10] = [
            ("no header",             "10.0.0.1",        &[],                          "10.0.0.1"),
            ("stranger's header",     "192.0.2.9",       &["198.51.100.1"],            "192.0.2.9"),
            ("one proxy",             "10.0.0.1",        &["198.51.100.1"],            "198.51.100.1"),
            ("two proxies",           "10.0.0.1",        &["198.51.100.1, 10.0.0.2"],  "198.51.100.1"),
            ("caller lies",           "10.0.0.1",        &["1.1.1.1, 198.51.100.1"],   "198.51.100.1"),
            ("two lines",             "10.0.0.1",        &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("no address",            "10.0.0.1",        &["1.1.1.1, unknown"],        "10.0.0.1"),
            ("all trusted",           "10.0.0.1",        &["10.0.0.3,10.0.0.2"],       "10.0.0.3"),
            ("IPv4 in IPv6",          "::ffff:10.0.0.1", &["2001:db8::1"],             "2001:db8::1"),
            ("the same, told",        "10.0.0.1",        &["::ffff:198.51.100.1"],     "198.51.100.1"),
        ];
        for (case, socket, lines, peer) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let found = peer_behind(socket.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, peer.parse::<IpAddr>().unwrap(), "{case}");
        }
    }
}
