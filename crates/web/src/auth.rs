//! Credentials out of the `Authorization` header, straight into types that can't be printed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use mintkeep_protocol::secret::{AccessToken, ClientSecret};
use percent_encoding::percent_decode_str;

/// Longest `Authorization` value that is looked at, in bytes.
pub const AUTHORIZATION_BYTES_MAX: usize = 4096;

/// The token of `Authorization: Bearer …`, or `None` if there isn't exactly one.
///
/// The scheme's case does not matter. Source: RFC 6750 section 2.1, RFC 9110 section 11.1.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<AccessToken> {
    let token = credentials(headers, "bearer")?;
    Some(AccessToken::new(token.to_owned()))
}

/// Name and secret of `Authorization: Basic …`, or `None` if there isn't exactly one that can be read.
///
/// With or without the form encoding of RFC 6749 section 2.3.1: a strict client writes even a hyphen as
/// `%2D`, and most leave it out. Names and secrets of ours have neither `%` nor `+`, so a percent escape is
/// always the encoding, and a `+` is left as it is. Source: RFC 7617 section 2.
#[must_use]
pub fn basic(headers: &HeaderMap) -> Option<(String, ClientSecret)> {
    let pair = zeroize::Zeroizing::new(STANDARD.decode(credentials(headers, "basic")?).ok()?);
    let (name, secret) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((plain(name)?, ClientSecret::new(plain(secret)?)))
}

/// `text` without its percent escapes, or `None` if they hide what is not UTF-8.
fn plain(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// What follows `scheme` in the only `Authorization` line.
fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    if line.len() > AUTHORIZATION_BYTES_MAX {
        return None;
    }
    let (named, credentials) = line.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    (named.eq_ignore_ascii_case(scheme) && !credentials.is_empty() && !credentials.contains(' '))
        .then_some(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (AUTHORIZATION, line.parse().unwrap())).collect()
    }

    #[test]
    fn a_bearer_token_is_read_only_if_there_is_exactly_one() {
        let long = format!("Bearer {}", "a".repeat(AUTHORIZATION_BYTES_MAX));
        #[rustfmt::skip]
        let cases: [(&str, &[&str], Option<&str>); 9] = [
            ("usual",        &["Bearer abc"],               Some("abc")),
            ("lower case",   &["bearer abc"],               Some("abc")),
            ("two spaces",   &["Bearer  abc "],             Some("abc")),
            ("none",         &[],                           None),
            ("two lines",    &["Bearer abc", "Bearer abc"], None),
            ("two words",    &["Bearer abc def"],           None),
            ("empty",        &["Bearer "],                  None),
            ("other scheme", &["Basic abc"],                None),
            ("too long",     &[&long],                      None),
        ];
        for (case, lines, token) in cases {
            assert_eq!(bearer(&headers(lines)).as_ref().map(AccessToken::expose), token, "{case}");
        }
    }

    #[test]
    fn basic_credentials_are_split_at_the_first_colon() {
        #[rustfmt::skip]
        let cases = [
            ("usual",            "Basic Z2F0ZXdheTpzZWNyZXQ=",     Some(("gateway", "secret"))),
            ("colon in secret",  "basic Z2F0ZXdheTpzZTpjcmV0",     Some(("gateway", "se:cret"))),
            ("empty secret",     "Basic Z2F0ZXdheTo=",             Some(("gateway", ""))),
            ("form encoded",     "Basic Z2F0ZSUyRHdheTpzZS0lMkRjcmV0", Some(("gate-way", "se--cret"))),
            ("a plus",           "Basic Z2F0ZXdheTpzZStjcmV0",     Some(("gateway", "se+cret"))),
            ("escaped not UTF-8", "Basic Z2F0ZXdheTolRkY=",        None),
            ("no colon",         "Basic Z2F0ZXdheQ==",             None),
            ("empty name",       "Basic OnNlY3JldA==",             Some(("", "secret"))),
            ("not base64",       "Basic gateway:secret",           None),
            ("not UTF-8",        "Basic /zpzZWNyZXQ=",             None),
        ];
        for (case, line, expected) in cases {
            let found = basic(&headers(&[line]));
            let found = found.as_ref().map(|(id, secret)| (id.as_str(), secret.expose()));
            assert_eq!(found, expected, "{case}");
        }
    }
}
