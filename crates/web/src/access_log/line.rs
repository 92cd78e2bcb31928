//! What a line of the access log says.

use std::cell::RefCell;
use std::io::Write;
use std::time::Duration;

use http::Method;
use mintkeep_protocol::time::Timestamp;

use super::Format;
use crate::arrival::Arrival;
use crate::note::{AnswerNote, OutcomeCode};

/// Longest path that is written, in bytes; the rest is cut off.
const PATH_BYTES_MAX: usize = 256;

/// A path segment of this length or more, in bytes, may be a token that somebody put into a path by
/// mistake; `*` is written for it. No segment of ours is as long.
const SECRET_BYTES_MIN: usize = 32;

/// One request and what came of it.
#[derive(Debug)]
pub struct Line<'r> {
    /// The listener's name.
    pub listener: &'static str,
    /// When, whence, and its name.
    pub arrival: Arrival,
    /// The request's method.
    pub method: &'r Method,
    /// The request's path, without the query.
    pub path: &'r str,
    /// The answer's status; 0 if the connection was dropped without one.
    pub status: u16,
    /// From the whole head until the handler's answer.
    pub duration: Duration,
    /// The answer's length, if it was known beforehand.
    pub bytes: Option<u64>,
    /// What the handler said of it.
    pub note: Option<AnswerNote>,
}

impl Line<'_> {
    /// Writes the line with its line feed.
    pub(super) fn format(&self, format: Format, out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _written = match format {
            Format::Json => self.format_json(out),
            Format::Text => self.format_text(out),
        };
        out.push(b'\n');
    }

    fn format_json(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        out.extend_from_slice(br#"{"timestamp":""#);
        write_date(self.arrival.at, out)?;
        out.extend_from_slice(br#"","level":"INFO","target":"access","listener":""#);
        out.extend_from_slice(self.listener.as_bytes());
        write!(out, r#"","request":"{}","peer":"{}""#, self.arrival.id, self.arrival.peer)?;
        out.extend_from_slice(br#","method":""#);
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.extend_from_slice(br#"","path":""#);
        write_path(self.path, out)?;
        write!(out, r#"","status":{},"duration_us":{}"#, self.status, self.duration.as_micros())?;
        if let Some(bytes) = self.bytes {
            write!(out, r#","bytes":{bytes}"#)?;
        }
        if let Some(note) = self.note {
            write!(out, r#","endpoint":"{}","code":"#, note.endpoint)?;
            match note.code {
                OutcomeCode::Name(name) => write!(out, r#""{name}""#)?,
                OutcomeCode::Number(number) => write!(out, "{number}")?,
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn format_text(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        write_date(self.arrival.at, out)?;
        write!(out, " {} {} ", self.listener, self.method)?;
        write_path(self.path, out)?;
        match self.status {
            0 => out.extend_from_slice(b" dropped"),
            status => write!(out, " {status}")?,
        }
        if let Some(note) = self.note {
            match note.code {
                OutcomeCode::Name(name) => write!(out, " {} {name}", note.endpoint)?,
                OutcomeCode::Number(number) => write!(out, " {} {number}", note.endpoint)?,
            }
        }
        write!(out, " {} us", self.duration.as_micros())?;
        if let Some(bytes) = self.bytes {
            write!(out, " {bytes} bytes")?;
        }
        write!(out, " {} {}", self.arrival.peer, self.arrival.id)
    }
}

/// Writes what of a path may be seen, such that it can stand in a JSON string.
fn write_path(path: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut room = PATH_BYTES_MAX;
    for (place, segment) in path.split('/').enumerate() {
        if place > 0 {
            out.push(b'/');
        }
        if segment.len() >= SECRET_BYTES_MIN {
            out.push(b'*');
            continue;
        }
        let Some(left) = room.checked_sub(segment.len()) else {
            out.extend_from_slice("…".as_bytes());
            break;
        };
        room = left.saturating_sub(1);
        for &byte in segment.as_bytes() {
            match byte {
                b'"' | b'\\' | 0..=0x1f | 0x7f.. => write!(out, "%{byte:02X}")?,
                _ => out.push(byte),
            }
        }
    }
    Ok(())
}

thread_local! {
    /// The last second that was written, and its text without the fraction.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Writes `2026-11-22T03:14:15.926Z`; only the fraction is formatted for each line.
fn write_date(at: Timestamp, out: &mut Vec<u8>) -> std::io::Result<()> {
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != at.unix_s() {
            *second = at.unix_s();
            *text = jiff::Timestamp::from_second(*second).unwrap_or_default().strftime("%FT%T").to_string();
        }
        write!(out, "{text}.{:03}Z", at.unix_ms().rem_euclid(1000))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mintkeep_protocol::request::RequestId;

    fn line(path: &'static str) -> Line<'static> {
        let at = Timestamp::from_unix_ms(1_795_317_255_926);
        Line {
            listener: "issuer",
            arrival: Arrival { id: RequestId::new(at, 7), peer: [192, 0, 2, 1].into(), at },
            method: &Method::POST,
            path,
            status: 200,
            duration: Duration::from_micros(81),
            bytes: Some(52),
            note: Some(AnswerNote { endpoint: "wechat/token", code: OutcomeCode::Number(40001) }),
        }
    }

    fn text(line: &Line<'_>, format: Format) -> String {
        let mut out = Vec::new();
        line.format(format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_says_who_asked_for_what_and_what_came_of_it() {
        assert_eq!(
            text(&line("/cgi-bin/token"), Format::Text),
            "2026-11-22T03:14:15.926Z issuer POST /cgi-bin/token 200 wechat/token 40001 81 us 52 bytes \
             192.0.2.1 6b025e07-00000000-00000007\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&text(&line("/cgi-bin/token"), Format::Json)).unwrap();
        let expected = serde_json::json!({
            "timestamp": "2026-11-22T03:14:15.926Z", "level": "INFO", "target": "access",
            "listener": "issuer", "request": "6b025e07-00000000-00000007", "peer": "192.0.2.1",
            "method": "POST", "path": "/cgi-bin/token", "status": 200, "duration_us": 81, "bytes": 52,
            "endpoint": "wechat/token", "code": 40001,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut bare = line("/v1/watch");
        bare.status = 0;
        bare.bytes = None;
        bare.note = None;
        assert!(text(&bare, Format::Text).contains("/v1/watch dropped 81 us 192.0.2.1"));
        let json: serde_json::Value = serde_json::from_str(&text(&bare, Format::Json)).unwrap();
        assert!(json.get("bytes").is_none() && json.get("code").is_none());
    }

    #[test]
    fn a_path_shows_no_segment_as_long_as_a_secret_and_cannot_break_the_line() {
        let just_short: &'static str = "/v1/tokens/0123456789012345678901234567890";
        let long: &'static str = format!("/{}", "abcdefgh/".repeat(100)).leak();
        #[rustfmt::skip]
        let cases = [
            ("a char short",    just_short,                                       just_short.to_owned()),
            ("long enough",     "/v1/tokens/01234567890123456789012345678901/x",  "/v1/tokens/*/x".to_owned()),
            ("quote",           "/a\"b\\c\nd\u{e9}",                              "/a%22b%5Cc%0Ad%C3%A9".to_owned()),
            ("very long",       long,                                             format!("/{}…", "abcdefgh/".repeat(28))),
            ("empty",           "",                                               String::new()),
        ];
        for (case, path, written) in cases {
            let mut out = Vec::new();
            write_path(path, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), written, "{case}");
        }
    }
}
