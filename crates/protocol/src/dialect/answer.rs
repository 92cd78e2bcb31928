//! What a platform's answer means to the keeper, whatever the dialect.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::outcome::{Granted, Refusal};

/// A platform's answer to a request for a token, read.
pub enum UpstreamAnswer<G = Granted> {
    /// It happened, and this came of it.
    Granted(G),
    /// It did not happen, and the platform says so.
    Refused {
        /// Why, in our words. A code that we don't know is [`Refusal::AccessDenied`].
        refusal: Refusal,
        /// Why, in the platform's.
        said: Said,
    },
    /// It may or may not have happened.
    Ambiguous(Ambiguity),
}

/// Why an answer leaves open whether the request took effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// The platform's own "try again later": WeChat `-1`, DingTalk `unknownError`, status `U`.
    #[error("the platform does not know: {0}")]
    Busy(Said),
    /// An HTTP status that says nothing about the request, such as a gateway's 502.
    #[error("HTTP status {0}")]
    Status(u16),
    /// Not in the dialect's form, or a field is missing; with a signed dialect, also not authentic.
    #[error("the answer can't be read")]
    Unreadable,
}

/// A platform's code and message, cut and redacted so that they may be logged and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    code: String,
    message: String,
}

impl Said {
    /// Longest code kept, in characters. The longest known is DingTalk's
    /// `Forbidden.AccessDenied.QpsLimitForAppkeyAndApi`.
    pub const CODE_CHARS_MAX: usize = 64;
    /// Longest message kept, in characters.
    pub const MESSAGE_CHARS_MAX: usize = 200;

    /// Takes what a platform wrote.
    #[must_use]
    pub fn new(code: &str, message: &str) -> Self {
        Self {
            code: printable(code).take(Self::CODE_CHARS_MAX).collect(),
            message: redact(message).chars().take(Self::MESSAGE_CHARS_MAX).collect(),
        }
    }

    /// The platform's own code, such as `40164`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The platform's own words, without anything that could be a secret.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

/// Text without control characters, which would forge lines in a log.
fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if c.is_control() { ' ' } else { c })
}

/// Blots out every run of letters and digits that could be a token, a secret or a key.
///
/// A word that long is rare in a message; an id that is blotted out is in the request anyway. The
/// blocks of WeChat's `rid` and of DingTalk's `requestid` are shorter and stay.
fn redact(text: &str) -> String {
    const WORD_BYTES_MAX: usize = 15;
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '/' | '=');
    let mut clean = String::with_capacity(text.len());
    let text: String = printable(text).collect();
    for piece in text.split_inclusive(|c| !is_word(c)) {
        let word = piece.trim_end_matches(|c| !is_word(c));
        let is_plain = word.len() <= WORD_BYTES_MAX || word.bytes().all(|b| b.is_ascii_alphabetic());
        if is_plain && word.len() <= 2 * WORD_BYTES_MAX {
            clean.push_str(piece);
        } else {
            clean.push_str("***");
            clean.push_str(piece.get(word.len()..).unwrap_or_default());
        }
    }
    clean
}

/// Whether `text` can be what a platform calls a token: visible ASCII, so that it fits a header and a
/// query, and no longer than any platform says (WeChat: "reserve space for at least 512 characters").
pub(crate) fn is_token(text: &str) -> bool {
    const TOKEN_BYTES_MAX: usize = 2_048;
    !text.is_empty() && text.len() <= TOKEN_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Writes an answer down as it arrived, so that it can be sealed, stored and read later by the same
/// code that would have read it at once.
#[must_use]
pub fn write_down(answer: &Response<Bytes>) -> Vec<u8> {
    let mut raw = answer.status().as_str().as_bytes().to_vec();
    for (name, value) in answer.headers() {
        raw.push(b'\n');
        raw.extend_from_slice(name.as_str().as_bytes());
        raw.push(b':');
        raw.extend_from_slice(value.as_bytes());
    }
    raw.extend_from_slice(b"\n\n");
    raw.extend_from_slice(answer.body());
    raw
}

/// Reads what [`write_down`] wrote; `None`: it is something else.
#[must_use]
pub fn read_back(raw: &[u8]) -> Option<Response<Bytes>> {
    let mut answer = Response::new(Bytes::new());
    let (status, mut rest) = split_line(raw)?;
    *answer.status_mut() = StatusCode::from_bytes(status).ok()?;
    loop {
        let (line, after) = split_line(rest)?;
        rest = after;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|&b| b == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name).ok()?;
        answer.headers_mut().append(name, HeaderValue::from_bytes(value.get(1..)?).ok()?);
    }
    *answer.body_mut() = Bytes::copy_from_slice(rest);
    Some(answer)
}

fn split_line(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = raw.iter().position(|&b| b == b'\n')?;
    let (line, rest) = raw.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_platform_said_keeps_its_sense_and_loses_what_could_be_secret() {
        #[rustfmt::skip]
        let cases = [
            ("a rid stays",           "invalid appid rid: 6aac005a-01bfdbee-79769285", "invalid appid rid: 6aac005a-01bfdbee-79769285"),
            ("an address stays",      "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist", "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"),
            ("a long word stays",     "QpsLimitForAppkeyAndApi", "QpsLimitForAppkeyAndApi"),
            ("fifteen with a digit",  "abcdefgh1234567.", "abcdefgh1234567."),
            ("sixteen with a digit",  "abcdefgh12345678.", "***."),
            ("thirty letters",        "abcdefghijklmnopqrstuvwxyzabcd", "abcdefghijklmnopqrstuvwxyzabcd"),
            ("thirty-one letters",    "abcdefghijklmnopqrstuvwxyzabcde", "***"),
            ("a token in a sentence", "token=0123456789abcdef0123456789abcdef, dead", "***, dead"),
            ("Chinese",               "不合法的access_token", "不合法的access_token"),
            ("a forged line",         "no\nlevel=error", "no level=error"),
        ];
        for (case, written, kept) in cases {
            assert_eq!(Said::new("40001", written).message(), kept, "{case}");
        }
        let long = Said::new(&"7".repeat(99), &"ab ".repeat(99));
        assert_eq!(long.code().len(), Said::CODE_CHARS_MAX);
        assert_eq!(long.message().chars().count(), Said::MESSAGE_CHARS_MAX);
    }

    #[test]
    fn an_answer_reads_back_as_it_arrived() {
        let mut answer = Response::new(Bytes::from_static(b"{\"a\":\n\n1}"));
        *answer.status_mut() = StatusCode::FORBIDDEN;
        answer.headers_mut().append("x-a", HeaderValue::from_static("1: 2"));
        answer.headers_mut().append("x-a", HeaderValue::from_bytes(b"\xe9").unwrap());
        let read = read_back(&write_down(&answer)).unwrap();
        assert_eq!((read.status(), read.body()), (answer.status(), answer.body()));
        assert_eq!(read.headers(), answer.headers());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(raw: Vec<u8>) {
            if let Some(answer) = read_back(&raw) {
                prop_assert!(read_back(&write_down(&answer)).is_some());
            }
        }

        #[test]
        fn no_message_lets_a_token_through(before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let token = "7aB3".repeat(14);
            let said = Said::new("1", &format!("{before}{token}{after}"));
            prop_assert!(!said.message().contains(&token));
        }
    }
}
