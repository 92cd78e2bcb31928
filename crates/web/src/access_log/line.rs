//! What a line of the access log says.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use mintkeep_protocol::time::Timestamp;

use super::Format;
use crate::arrival::Arrival;
use crate::note::AnswerNote;

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
    ///
    /// Piece by piece into memory, since `write!` would cost more than all the rest of a request's line.
    pub(super) fn format(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Json => self.format_json(out),
            Format::Text => self.format_text(out),
        }
        out.push(b'\n');
    }

    fn format_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"timestamp":""#);
        write_date(self.arrival.at, out);
        out.extend_from_slice(br#"","level":"INFO","target":"access","listener":""#);
        out.extend_from_slice(self.listener.as_bytes());
        out.extend_from_slice(br#"","request":""#);
        out.extend_from_slice(&self.arrival.id.to_text());
        out.extend_from_slice(br#"","peer":""#);
        write_address(self.arrival.peer, out);
        out.extend_from_slice(br#"","method":""#);
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.extend_from_slice(br#"","path":""#);
        write_path(self.path, out);
        out.extend_from_slice(br#"","status":"#);
        write_number(self.status.into(), out);
        out.extend_from_slice(br#","duration_us":"#);
        write_number(micros(self.duration), out);
        if let Some(bytes) = self.bytes {
            out.extend_from_slice(br#","bytes":"#);
            write_number(bytes, out);
        }
        if let Some(AnswerNote { endpoint, code }) = self.note {
            out.extend_from_slice(br#","endpoint":""#);
            out.extend_from_slice(endpoint.as_bytes());
            out.extend_from_slice(br#"","code":""#);
            out.extend_from_slice(code.as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
    }

    fn format_text(&self, out: &mut Vec<u8>) {
        write_date(self.arrival.at, out);
        for word in [self.listener, self.method.as_str()] {
            out.push(b' ');
            out.extend_from_slice(word.as_bytes());
        }
        out.push(b' ');
        write_path(self.path, out);
        out.push(b' ');
        match self.status {
            0 => out.extend_from_slice(b"dropped"),
            status => write_number(status.into(), out),
        }
        if let Some(AnswerNote { endpoint, code }) = self.note {
            out.push(b' ');
            out.extend_from_slice(endpoint.as_bytes());
            out.push(b' ');
            out.extend_from_slice(code.as_bytes());
        }
        out.push(b' ');
        write_number(micros(self.duration), out);
        out.extend_from_slice(b" us ");
        if let Some(bytes) = self.bytes {
            write_number(bytes, out);
            out.extend_from_slice(b" bytes ");
        }
        write_address(self.arrival.peer, out);
        out.push(b' ');
        out.extend_from_slice(&self.arrival.id.to_text());
    }
}

/// Whole microseconds.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Writes a number in decimal.
fn write_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut used) = (number, 0_usize);
    for place in digits.iter_mut().rev() {
        *place |= u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used = used.saturating_add(1);
        if rest == 0 {
            break;
        }
    }
    let (_unused, written) = digits.split_at(digits.len().saturating_sub(used));
    out.extend_from_slice(written);
}

fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                write_number(octet.into(), out);
            }
        }
        // Writing to memory does not fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Writes what of a path may be seen, such that it can stand in a JSON string.
fn write_path(path: &str, out: &mut Vec<u8>) {
    let path = path.as_bytes();
    // Most paths are too short to have a secret in them.
    if path.len() < SECRET_BYTES_MIN && path.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(path);
        return;
    }
    let mut room = PATH_BYTES_MAX;
    for (place, segment) in path.split(|&byte| byte == b'/').enumerate() {
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
        if segment.iter().all(|&byte| is_plain(byte)) {
            out.extend_from_slice(segment);
            continue;
        }
        for &byte in segment {
            if is_plain(byte) {
                out.push(byte);
            } else {
                // Writing to memory does not fail.
                drop(write!(out, "%{byte:02X}"));
            }
        }
    }
}

/// Whether a byte can stand in a JSON string, and in a terminal, as it is.
const fn is_plain(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f..)
}

thread_local! {
    /// The last second that was written, and its text without the fraction.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Writes `2026-11-22T03:14:15.926Z`; only the fraction is formatted for each line.
fn write_date(at: Timestamp, out: &mut Vec<u8>) {
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != at.unix_s() {
            *second = at.unix_s();
            *text = jiff::Timestamp::from_second(*second).unwrap_or_default().strftime("%FT%T.").to_string();
        }
        out.extend_from_slice(text.as_bytes());
    });
    let ms = u64::try_from(at.unix_ms().rem_euclid(1000)).unwrap_or_default();
    if ms < 100 {
        out.push(b'0');
    }
    if ms < 10 {
        out.push(b'0');
    }
    write_number(ms, out);
    out.push(b'Z');
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
            note: Some(AnswerNote { endpoint: "wechat", code: "granted" }),
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
            "2026-11-22T03:14:15.926Z issuer POST /cgi-bin/token 200 wechat granted 81 us 52 bytes \
             192.0.2.1 6b025e07-00000000-00000007\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&text(&line("/cgi-bin/token"), Format::Json)).unwrap();
        let expected = serde_json::json!({
            "timestamp": "2026-11-22T03:14:15.926Z", "level": "INFO", "target": "access",
            "listener": "issuer", "request": "6b025e07-00000000-00000007", "peer": "192.0.2.1",
            "method": "POST", "path": "/cgi-bin/token", "status": 200, "duration_us": 81, "bytes": 52,
            "endpoint": "wechat", "code": "granted",
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
            write_path(path, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), written, "{case}");
        }
    }

    #[test]
    fn numbers_dates_and_addresses_are_written_as_the_library_would() {
        fn written(write: impl Fn(&mut Vec<u8>)) -> String {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        }
        for number in [0, 9, 10, 99, 100, 1234, u64::MAX] {
            assert_eq!(written(|out| write_number(number, out)), number.to_string());
        }
        for address in ["0.0.0.0", "255.10.1.0", "::1", "2001:db8::7"] {
            assert_eq!(written(|out| write_address(address.parse().unwrap(), out)), address);
        }
        for (ms, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (9, "1970-01-01T00:00:00.009Z"),
            (1_099, "1970-01-01T00:00:01.099Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(written(|out| write_date(Timestamp::from_unix_ms(ms), out)), date);
        }
    }
}
