//! A query string from a stranger, read strictly.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

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
