//! Times as the family writes them: ISO 8601 with an offset.

use jiff::tz::Offset;

use crate::time::Timestamp;

/// Longest text that is looked at, in bytes. ISO 8601 to the nanosecond has 35.
const TEXT_BYTES_MAX: usize = 64;

/// How many digits the nanoseconds since 1970 have, from 2001 on to 2286. As milliseconds they would be
/// thirty million years.
const NANOSECONDS_DIGITS: usize = 19;

/// Reads a time: ISO 8601 with an offset (`+08:00`, `+0800` or `Z`), with no or up to nine digits of
/// fraction, with or without seconds; or milliseconds since the Unix epoch, or nanoseconds, which are told
/// by their digits. Without an offset it is no point in time, and refused.
#[must_use]
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        let unix_ms = if text.len() == NANOSECONDS_DIGITS { number / 1_000_000 } else { number };
        return Some(Timestamp::from_unix_ms(unix_ms));
    }
    let read: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix_ms(read.as_millisecond()))
}

/// Writes a time as `2019-06-06T12:12:12+08:00`, rounded down to the second, so that an expiry is never
/// later than it is. What a calendar of four-digit years can't show is written as its nearest end.
///
/// Source: "The value follows the ISO 8601 standard format. For example, "2019-11-27T12:01:01+08:30"."
#[must_use]
pub fn format_instant(at: Timestamp, offset_min: i16) -> String {
    let second = at.unix_s().clamp(jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    let shown = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
    let offset = Offset::from_seconds(i32::from(offset_min).saturating_mul(60)).unwrap_or(Offset::UTC);
    shown.display_with_offset(offset).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-05-22T01:12:21Z is the sample of the AlipayHK page.
    #[test]
    fn every_form_that_was_seen_is_read_and_no_other() {
        const SAMPLE_MS: i64 = 1_716_340_341_000;
        #[rustfmt::skip]
        let cases = [
            ("2024-05-22T06:42:21+05:30",           Some(SAMPLE_MS)),
            ("2024-05-22T06:42:21+0530",            Some(SAMPLE_MS)),
            ("2024-05-22T01:12:21Z",                Some(SAMPLE_MS)),
            ("2024-05-21T17:12:21-08:00",           Some(SAMPLE_MS)),
            ("2024-05-22T06:42:21.0+05:30",         Some(SAMPLE_MS)),
            ("2024-05-22T06:42:21.123+05:30",       Some(SAMPLE_MS + 123)),
            ("2024-05-22T06:42:21.123456789+0530",  Some(SAMPLE_MS + 123)),
            ("2024-05-22T06:42+05:30",              Some(SAMPLE_MS - 21_000)),
            ("1716340341000",                       Some(SAMPLE_MS)),
            ("0",                                   Some(0)),
            ("1716340341000999999",                 Some(SAMPLE_MS)),
            ("999999999999999999",                  Some(999_999_999_999_999_999)),
            ("1000000000000000000",                 Some(1_000_000_000_000)),
            ("9223372036854775808",                 None),
            ("2024-05-22T06:42:21",                 None),
            ("2024-05-22",                          None),
            ("2024-13-22T06:42:21+05:30",           None),
            ("2024-05-22T25:42:21+05:30",           None),
            ("2024-05-22T06:42:21.1234567890+0530", None),
            ("99999-05-22T06:42:21+05:30",          None),
            ("99999999999999999999",                None),
            ("-1716340341000",                      None),
            ("yesterday",                           None),
            ("",                                    None),
        ];
        for (text, unix_ms) in cases {
            assert_eq!(parse_instant(text), unix_ms.map(Timestamp::from_unix_ms), "{text}");
        }
        assert_eq!(parse_instant(&"1".repeat(65)), None);
    }

    #[test]
    fn a_time_is_written_to_the_second_with_its_offset_and_never_fails() {
        #[rustfmt::skip]
        let cases = [
            (1_559_794_332_000, 480,  "2019-06-06T12:12:12+08:00"),
            (1_559_794_332_999, 480,  "2019-06-06T12:12:12+08:00"),
            (1_559_794_332_000, 510,  "2019-06-06T12:42:12+08:30"),
            (1_559_794_332_000, -210, "2019-06-06T00:42:12-03:30"),
            (1_559_794_332_000, 0,    "2019-06-06T04:12:12+00:00"),
            (1_559_794_332_000, i16::MAX, "2019-06-06T04:12:12+00:00"),
            (i64::MAX,          0,    "9999-12-30T22:00:00+00:00"),
        ];
        for (unix_ms, offset_min, text) in cases {
            assert_eq!(format_instant(Timestamp::from_unix_ms(unix_ms), offset_min), text);
        }
        assert!(!format_instant(Timestamp::from_unix_ms(i64::MIN), 480).is_empty());
    }
}
