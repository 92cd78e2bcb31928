//! A query string from a stranger, read strictly.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A parameter occurs twice, is not UTF-8, or has a broken percent escape; or there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a readable query string")]
pub struct Malformed;

/// The parameters of a query string. Values without escapes are borrowed from it.
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Most parameters; the longest request of all dialects has three.
    pub const PARAMETERS_MAX: usize = 32;

    /// Reads what follows the `?`. A `+` is a space, as HTML forms write it; empty pairs are skipped.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for each reason named there. Of two values for one name a proxy could check one and
    /// we take the other.
    pub fn read(text: &'a str) -> Result<Self, Malformed> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(4);
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if pairs.len() >= Self::PARAMETERS_MAX || pairs.iter().any(|(other, _)| *other == name) {
                return Err(Malformed);
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The parameter of this name; `None` if it is absent or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref());
        value.filter(|value| !value.is_empty())
    }
}

/// What of a value is written as it is: the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value as it stands in a query string.
pub(crate) fn encode(value: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(value, RESERVED)
}

/// `uri` with its parameter `name` set to `value`, whatever it was, the others as they were.
///
/// # Errors
///
/// The result is longer than a URI may be, 65,534 bytes.
pub(crate) fn with_parameter(uri: &Uri, name: &str, value: &str) -> Result<Uri, http::Error> {
    let is_other = |pair: &&str| {
        let written = pair.split_once('=').map_or(*pair, |(written, _)| written);
        !pair.is_empty() && decode(written).is_ok_and(|decoded| decoded != name)
    };
    let mut text = format!("{}?", uri.path());
    for pair in uri.query().unwrap_or_default().split('&').filter(is_other) {
        text.push_str(pair);
        text.push('&');
    }
    text.push_str(name);
    text.push('=');
    text.extend(utf8_percent_encode(value, RESERVED));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text)?);
    Ok(Uri::from_parts(parts)?)
}

/// Decodes a name or a value: every `%` begins an escape of two hexadecimal digits.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, Malformed> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(is_escape) {
        return Err(Malformed);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| Malformed)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_strangers_query_is_read_strictly() {
        let many = |count: usize| (0..count).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        let (most, too_many) = (format!("{}&a=x", many(31)), format!("{}&a=x", many(32)));
        #[rustfmt::skip]
        let cases = [
            ("plain",                     "a=x", Ok(Some("x"))),
            ("among others",              "b=1&a=x&c", Ok(Some("x"))),
            ("escaped",                   "%61=%E4%BD%A0+%2B", Ok(Some("\u{4f60} +"))),
            ("an equals sign within",     "a=x=y==", Ok(Some("x=y=="))),
            ("empty",                     "a=", Ok(None)),
            ("no value",                  "a", Ok(None)),
            ("nothing",                   "", Ok(None)),
            ("empty pairs",               "&&a=x&", Ok(Some("x"))),
            ("other case is another one", "A=x", Ok(None)),
            ("twice",                     "a=x&a=x", Err(Malformed)),
            ("twice, once escaped",       "a=x&%61=x", Err(Malformed)),
            ("an unused one twice",       "a=x&b=1&b=1", Err(Malformed)),
            ("half an escape",            "a=%4", Err(Malformed)),
            ("no escape at all",          "a=%zz", Err(Malformed)),
            ("a bare percent sign",       "a=100%", Err(Malformed)),
            ("not UTF-8",                 "a=%ff", Err(Malformed)),
            ("as many as may be",         most.as_str(), Ok(Some("x"))),
            ("one more",                  too_many.as_str(), Err(Malformed)),
        ];
        for (case, text, value) in cases {
            let read = Query::read(text);
            assert_eq!(read.as_ref().map(|query| query.get("a")).map_err(|fault| *fault), value, "{case}");
        }
    }

    #[test]
    fn setting_a_parameter_replaces_every_other_writing_of_it() {
        #[rustfmt::skip]
        let cases = [
            ("no query",        "/x",                           "/x?t=new%2Bone"),
            ("empty query",     "/x?",                          "/x?t=new%2Bone"),
            ("another",         "/x?a=%41&b",                   "/x?a=%41&b&t=new%2Bone"),
            ("the same",        "/x?t=old&a=1",                 "/x?a=1&t=new%2Bone"),
            ("escaped, twice",  "/x?%74=old&a=1&t",             "/x?a=1&t=new%2Bone"),
            ("unreadable name", "/x?%zz=1&a=1",                 "/x?a=1&t=new%2Bone"),
            ("absolute form",   "http://host:1/x?a=1",          "http://host:1/x?a=1&t=new%2Bone"),
        ];
        for (case, before, after) in cases {
            let uri = with_parameter(&before.parse().unwrap(), "t", "new+one").unwrap();
            assert_eq!(uri.to_string(), after, "{case}");
        }
        assert!(with_parameter(&"/x".parse().unwrap(), "t", &"x".repeat(70_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_refused(text in "\\PC{0,200}") {
            let _ = Query::read(&text);
        }

        #[test]
        fn what_is_encoded_is_read(name in "\\PC{1,20}", value in "\\PC{1,200}") {
            let mut text = form_urlencoded::Serializer::new(String::new());
            text.append_pair(&name, &value);
            let text = text.finish();
            let query = Query::read(&text).unwrap();
            prop_assert_eq!(query.get(&name), Some(value.as_str()));
        }
    }
}
