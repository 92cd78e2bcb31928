//! Spans of time on the command line: `301s`, `5m`, `2h`, `30d`.

/// Reads a span as whole seconds.
///
/// # Errors
///
/// What to write instead.
pub fn seconds(text: &str) -> Result<u64, String> {
    let wanted = || "write a whole number and its unit, such as 301s, 5m, 2h or 30d".to_owned();
    let unit_s = match text.chars().last() {
        Some('s') => 1_u64,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wanted()),
    };
    let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wanted());
    }
    let number: u64 = digits.parse().map_err(|_| wanted())?;
    number.checked_mul(unit_s).ok_or_else(wanted)
}

/// Reads a delay as milliseconds: like [`seconds`], and `250ms`.
///
/// # Errors
///
/// What to write instead.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let wanted = || "write a whole number and its unit, such as 250ms or 5s".to_owned();
    match text.strip_suffix("ms") {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| wanted())
        }
        Some(_) => Err(wanted()),
        None => seconds(text).map_err(|_| wanted())?.checked_mul(1_000).ok_or_else(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_and_its_unit() {
        #[rustfmt::skip]
        let cases = [
            ("301s",  Some(301)),
            ("5m",    Some(300)),
            ("2h",    Some(7_200)),
            ("30d",   Some(2_592_000)),
            ("0s",    Some(0)),
            ("301",   None),
            ("s",     None),
            ("",      None),
            ("-1s",   None),
            ("+1s",   None),
            ("1.5h",  None),
            ("1 h",   None),
            ("1H",    None),
            ("1é",    None),
            ("99999999999999999999s", None),
            ("999999999999999999d",   None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_delay_may_be_in_milliseconds() {
        for (text, expected) in [("250ms", Some(250)), ("5s", Some(5_000)), ("ms", None), ("5", None)] {
            assert_eq!(milliseconds(text).ok(), expected, "{text}");
        }
    }
}
