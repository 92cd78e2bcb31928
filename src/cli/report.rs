//! Answers as people read them: tables, facts, single values.

use mintkeep_protocol::dialect::alipay::format_instant;
use mintkeep_protocol::time::Timestamp;
use serde_json::Value;

pub use crate::say::{note, note_on, write_line, write_out};

/// Writes an answer for programs.
pub fn write_json(answer: &Value) {
    let text = serde_json::to_string_pretty(answer).unwrap_or_default();
    write_line(&text);
}

/// Text with every character that could steer a terminal taken out.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The field at `pointer` as text; `-` if it is absent or `null`. Lists are joined with commas.
pub fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(Value::Array(entries)) if entries.is_empty() => "-".to_owned(),
        Some(Value::Array(entries)) => {
            entries.iter().map(|entry| text(entry, "")).collect::<Vec<_>>().join(",")
        }
        Some(Value::Object(fields)) if fields.is_empty() => "-".to_owned(),
        Some(Value::Object(fields)) => fields
            .iter()
            .map(|(name, value)| format!("{}={}", printable(name), text(value, "")))
            .collect::<Vec<_>>()
            .join(" "),
        Some(other @ (Value::Bool(_) | Value::Number(_))) => other.to_string(),
    }
}

/// The instant at `pointer`, in UTC to the second; `-` if there is none.
pub fn instant(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer).and_then(Value::as_i64) {
        Some(unix_ms) => format_instant(Timestamp::from_unix_ms(unix_ms), 0).replace("+00:00", "Z"),
        None => "-".to_owned(),
    }
}

/// Writes a table with its columns lined up; `empty` if it has no row.
pub fn write_table<const N: usize>(headings: [&str; N], rows: &[[String; N]], empty: &str) {
    if rows.is_empty() {
        return write_line(empty);
    }
    let mut widths = headings.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut out = line(&headings.map(ToOwned::to_owned), &widths);
    for row in rows {
        out.push_str(&line(row, &widths));
    }
    write_out(out.as_bytes());
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, widest)| format!("{cell:<widest$}"));
    format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
}

/// Writes what is known of one thing, a line for each fact.
pub fn write_facts(facts: &[(&str, String)]) {
    let widest = facts.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let lines = facts.iter().map(|(name, value)| format!("{name:<widest$}  {value}\n"));
    write_out(lines.collect::<String>().as_bytes());
}

/// Says that a list goes on, if it does.
pub fn note_if_more(answer: &Value) {
    if answer.get("next").is_some_and(|next| !next.is_null()) {
        note("There are more: --most tells how many to list.");
    }
}

/// The entries of a list in an answer.
pub fn entries<'v>(answer: &'v Value, name: &str) -> &'v [Value] {
    answer.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_told_whatever_it_is_and_never_steers_the_terminal() {
        let value = json!({
            "text": "a\u{1b}[31mb\n", "none": null, "number": 7, "list": ["a", "b"], "empty": [],
            "facts": {"x": 1, "y": "z"}, "at": 1_800_000_000_000_i64,
        });
        #[rustfmt::skip]
        let cases = [
            ("/text",    "a\u{fffd}[31mb\u{fffd}"),
            ("/none",    "-"),
            ("/missing", "-"),
            ("/number",  "7"),
            ("/list",    "a,b"),
            ("/empty",   "-"),
            ("/facts",   "x=1 y=z"),
        ];
        for (pointer, told) in cases {
            assert_eq!(text(&value, pointer), told, "{pointer}");
        }
        assert_eq!(instant(&value, "/at"), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn columns_line_up() {
        let widths = [3, 5];
        assert_eq!(line(&["a".to_owned(), "b".to_owned()], &widths), "a    b\n");
    }
}
