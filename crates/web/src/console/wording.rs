//! How the console writes instants, lengths of time and long texts.

use std::time::Duration;

use mintkeep_protocol::time::Timestamp;

/// An instant to the second, for machines: `2026-11-22T05:43:57Z`.
#[must_use]
pub fn exact(at: Timestamp) -> String {
    written(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// An instant to the second, for people: `2026-11-22 05:43:57 UTC`.
#[must_use]
pub fn told(at: Timestamp) -> String {
    written(at, "%Y-%m-%d %H:%M:%S UTC")
}

fn written(at: Timestamp, form: &str) -> String {
    let second = at.unix_s().clamp(jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    jiff::Timestamp::from_second(second).unwrap_or_default().strftime(form).to_string()
}

/// How far an instant is from `now`: `in 2 h 5 min`, `3 d ago`, `now` within a second.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (at.since(now), now.since(at));
    match (ahead.as_secs(), behind.as_secs()) {
        (0, 0) => "now".to_owned(),
        (0, _) => format!("{} ago", length(behind)),
        _ => format!("in {}", length(ahead)),
    }
}

/// A length of time in its two largest units: `45 s`, `2 h 5 min`, `30 d`.
#[must_use]
pub fn length(of: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = of.as_secs();
    let mut parts = Vec::new();
    for (unit_s, name) in UNITS {
        let count = left.checked_div(unit_s).unwrap_or(0);
        left = left.saturating_sub(count.saturating_mul(unit_s));
        if count > 0 {
            parts.push(format!("{count} {name}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// The first `chars_max` characters of a text, and a mark if there are more.
#[must_use]
pub fn clip(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_told_in_its_two_largest_units_without_a_gap() {
        #[rustfmt::skip]
        let cases = [
            (0,       "0 s"),
            (59,      "59 s"),
            (60,      "1 min"),
            (3_599,   "59 min 59 s"),
            (3_600,   "1 h"),
            (3_659,   "1 h"),
            (7_500,   "2 h 5 min"),
            (86_400,  "1 d"),
            (90_061,  "1 d 1 h"),
        ];
        for (seconds, told) in cases {
            assert_eq!(length(Duration::from_secs(seconds)), told);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let cases = [("", ""), ("香港二", "香港二"), ("香港二三", "香港二…")];
        for (text, cut) in cases {
            assert_eq!(clip(text, 3), cut);
        }
    }

    #[test]
    fn an_instant_is_told_by_the_clock_and_from_now() {
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        assert_eq!(
            (told(now).as_str(), exact(now).as_str()),
            ("2027-01-15 08:00:00 UTC", "2027-01-15T08:00:00Z")
        );
        assert_eq!(relative(now.after(Duration::from_millis(7_500_900)), now), "in 2 h 5 min");
        assert_eq!(relative(now.before(Duration::from_secs(5)), now), "5 s ago");
        assert_eq!(relative(now.before(Duration::from_millis(999)), now), "now");
    }
}
