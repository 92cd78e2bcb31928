//! Where a call goes: the credential's own platform, whatever the caller wrote.

use http::Uri;
use http::uri::PathAndQuery;
use mintkeep_protocol::dialect::query::Query;
use mintkeep_protocol::ident::CustomerId;

const ROOT: &str = "/proxy/";

/// The credential and the platform's path of a call; `None` if the path climbs.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(ROOT)?;
    let slash = rest.find('/')?;
    let (credential, path) = rest.split_at(slash);
    is_plain_path(path).then_some((credential, path))
}

/// Whether a path climbs nowhere.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.split('/').all(is_plain)
}

/// The customer that a platform's path begins with, and the rest.
pub(super) fn split_customer(path: &str) -> Option<(CustomerId, &str)> {
    let rest = path.strip_prefix('/')?;
    let (customer, path) = rest.split_at(rest.find('/')?);
    let customer = String::from_utf8(decode(customer)?).ok()?;
    Some((CustomerId::parse(&customer).ok()?, path))
}

/// Whether a segment of a path is `name`, to somebody who reads it less strictly: in any case, with whatever comes
/// after it that is no letter or digit, as wallets know each of their paths by `.htm` too, and with further segments.
pub(super) fn names(path: &str, name: &str) -> bool {
    path.split('/').filter_map(decode).any(|segment| {
        let word = segment.trim_ascii_start().split(|byte| !byte.is_ascii_alphanumeric()).next();
        word.is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// A path as somebody may read it who decodes it and minds no doubled or trailing slash. What is not text is left out:
/// no endpoint has it.
pub(super) fn read_loosely(path: &str) -> String {
    let segments = path.split('/').filter_map(|segment| String::from_utf8(decode(segment)?).ok());
    segments.filter(|segment| !segment.is_empty()).fold(String::new(), |read, segment| read + "/" + &segment)
}

/// Whether a segment is one name, however it is escaped: not `.` or `..`, and nothing that ends a segment for
/// somebody who reads it less strictly.
fn is_plain(segment: &str) -> bool {
    let Some(decoded) = decode(segment) else { return false };
    let climbs = decoded.iter().all(|byte| *byte == b'.') && !decoded.is_empty();
    !climbs
        && !decoded.iter().any(|byte| matches!(byte, b'/' | b'\\' | b'%' | b';') || byte.is_ascii_control())
}

fn decode(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok().filter(|digits| !digits.starts_with('+'))?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

/// The full URL: the base URL's own host and prefix, the path, and the query without the caller's own token.
pub(super) fn onward(base_url: &str, path: &str, query: Option<&str>) -> Option<Uri> {
    let base: Uri = base_url.parse().ok()?;
    let mut parts = base.into_parts();
    let prefix = parts.path_and_query.as_ref().map_or("", PathAndQuery::path).trim_end_matches('/');
    let mut target = format!("{prefix}{path}");
    let mut separator = '?';
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        // A name that can't be read could be the token's to somebody else.
        let probe = format!("{name}=x");
        if Query::read(&probe).ok()?.get("access_token").is_some() {
            continue;
        }
        target.push(separator);
        target.push_str(pair);
        separator = '&';
    }
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_climbs_goes_nowhere() {
        #[rustfmt::skip]
        let cases = [
            ("/proxy/shop/cgi-bin/user/get",  Some(("shop", "/cgi-bin/user/get"))),
            ("/proxy/shop/",                  Some(("shop", "/"))),
            ("/proxy/shop//cgi-bin/a",        Some(("shop", "//cgi-bin/a"))),
            ("/proxy/shop/a.b/..c/v1.0",      Some(("shop", "/a.b/..c/v1.0"))),
            ("/proxy/shop/%E4%BD%A0",         Some(("shop", "/%E4%BD%A0"))),
            ("/proxy/shop",                   None),
            ("/proxy/shop/../other/a",        None),
            ("/proxy/shop/a/..",              None),
            ("/proxy/shop/./a",               None),
            ("/proxy/shop/%2e%2E/a",          None),
            ("/proxy/shop/.%2e/a",            None),
            ("/proxy/shop/..%2fa",            None),
            ("/proxy/shop/..\\a",             None),
            ("/proxy/shop/%252e%252e/a",      None),
            ("/proxy/shop/..;/a",             None),
            ("/proxy/shop/a%00",              None),
            ("/proxy/shop/a%0d%0ab",          None),
            ("/proxy/shop/a%2",               None),
            ("/proxy/shop/a%+1",              None),
        ];
        for (path, expected) in cases {
            assert_eq!(split(path), expected, "{path}");
        }
    }

    #[test]
    fn a_signed_dialects_path_begins_with_the_customer() {
        #[rustfmt::skip]
        let cases = [
            ("/2160000000000001/v1/users/a", Some(("2160000000000001", "/v1/users/a"))),
            ("/a%3Ab/v1",                    Some(("a:b", "/v1"))),
            ("/c1/",                         Some(("c1", "/"))),
            ("/c1",                          None),
            ("//v1",                         None),
            ("/c%201/v1",                    None),
            ("/",                            None),
        ];
        for (path, expected) in cases {
            let split = split_customer(path);
            let split = split.as_ref().map(|(customer, path)| (customer.as_str(), *path));
            assert_eq!(split, expected, "{path}");
        }
    }

    #[test]
    fn a_name_is_known_however_and_wherever_it_is_written() {
        #[rustfmt::skip]
        let cases = [
            ("/v1/authorizations/applyToken",    true),
            ("/applytoken",                      true),
            ("/v1/authorizations/apply%54oken/", true),
            ("/v1/applyToken//",                 true),
            ("/v1/applyToken%20",                true),
            ("/v1/applyToken.htm",               true),
            ("/v1/applyToken%2eJSON/",           true),
            ("/v1/applyToken.v2.htm",            true),
            ("/v1/applyToken%3Fa",               true),
            ("/v1/applyToken%23",                true),
            ("/v1/applyToken/a",                 true),
            ("/v1/applyToken/%20",               true),
            ("/v1/applyToken/.htm",              true),
            ("/v1/.applyToken",                  false),
            ("/v1/applyTokens",                  false),
            ("/",                                false),
        ];
        for (path, expected) in cases {
            assert_eq!(names(path, "applyToken"), expected, "{path}");
        }
    }

    #[test]
    fn a_path_is_read_as_a_platform_might() {
        #[rustfmt::skip]
        let cases = [
            ("/cgi-bin/token",       "/cgi-bin/token"),
            ("//cgi-bin///token//",  "/cgi-bin/token"),
            ("/cgi-bin/%74oke%6E",   "/cgi-bin/token"),
            ("/a/%ff",               "/a"),
            ("/",                    ""),
        ];
        for (path, expected) in cases {
            assert_eq!(read_loosely(path), expected, "{path}");
        }
    }

    #[test]
    fn a_call_goes_to_the_credentials_own_host_without_the_callers_own_token() {
        let base = "https://api.example:8443/prefix/";
        #[rustfmt::skip]
        let cases = [
            ("/a",              None,                                  Some("https://api.example:8443/prefix/a")),
            ("//evil.example",  None,                                  Some("https://api.example:8443/prefix//evil.example")),
            ("/a",              Some("x=1&y=%20"),                     Some("https://api.example:8443/prefix/a?x=1&y=%20")),
            ("/a",              Some("access_token=t&x=1"),            Some("https://api.example:8443/prefix/a?x=1")),
            ("/a",              Some("x=1&access%5Ftoken=t"),          Some("https://api.example:8443/prefix/a?x=1")),
            ("/a",              Some("access_token"),                  Some("https://api.example:8443/prefix/a")),
            ("/a",              Some("access_token=a&access_token=b"), Some("https://api.example:8443/prefix/a")),
            ("/a",              Some("acc%zz=t"),                      None),
        ];
        for (path, query, expected) in cases {
            let uri = onward(base, path, query).map(|uri| uri.to_string());
            assert_eq!(uri.as_deref(), expected, "{path} {query:?}");
        }
        assert_eq!(onward("https://api.example", "/a", None).unwrap().to_string(), "https://api.example/a");
    }
}
