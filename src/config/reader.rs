//! Reads a TOML document setting by setting, and notes every mistake with its line and its remedy.
//!
//! Deserialising would stop at the first mistake, and would quote the line that holds it, with whatever
//! secret somebody wrote there.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Something about a line of the configuration, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong. Never quotes a secret.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}; {}", self.line, self.what, self.remedy)
    }
}

/// A value and the line it stands on.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// Counted from 1.
    pub line: usize,
    /// What stands there.
    pub value: T,
}

impl<T> At<T> {
    /// The same line with another value.
    pub fn with<U>(&self, value: U) -> At<U> {
        At { line: self.line, value }
    }
}

/// The document and what was noted about it so far.
#[derive(Debug)]
pub struct Notes<'t> {
    text: &'t str,
    mistakes: RefCell<Vec<Remark>>,
    warnings: RefCell<Vec<Remark>>,
}

impl<'t> Notes<'t> {
    /// Nothing is noted yet.
    pub const fn new(text: &'t str) -> Self {
        Self { text, mistakes: RefCell::new(Vec::new()), warnings: RefCell::new(Vec::new()) }
    }

    /// The whole document; what of it can't be read is noted.
    pub fn document(&self) -> Section<'t, '_> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let line = self.line(error.span().map_or(0, |span| span.start));
            self.mistake(line, format!("this is not TOML ({})", error.message()), "see https://toml.io");
        }
        Section::new(self, String::new(), 1, document.into_inner())
    }

    /// Notes a mistake: with it, the configuration can't be used.
    pub fn mistake(&self, line: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.borrow_mut().push(Remark { line, what: what.into(), remedy: remedy.into() });
    }

    /// Notes a warning: the configuration works, but is hardly meant so.
    pub fn warning(&self, line: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.borrow_mut().push(Remark { line, what: what.into(), remedy: remedy.into() });
    }

    /// All mistakes and all warnings, each by line.
    pub fn into_remarks(self) -> (Vec<Remark>, Vec<Remark>) {
        let (mut mistakes, mut warnings) = (self.mistakes.into_inner(), self.warnings.into_inner());
        mistakes.sort_by_key(|remark| remark.line);
        warnings.sort_by_key(|remark| remark.line);
        (mistakes, warnings)
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|&&byte| byte == b'\n').count().saturating_add(1)
    }
}

/// A table of the document, from which settings are taken one by one.
#[derive(Debug)]
pub struct Section<'t, 'n> {
    notes: &'n Notes<'t>,
    /// With its parents', such as `issuer.tls`; empty for the document itself.
    name: String,
    /// Where it begins.
    pub line: usize,
    table: DeTable<'t>,
    /// What was asked for.
    known: Vec<&'static str>,
    /// What was asked for and is not there.
    missing: Vec<&'static str>,
}

impl<'t, 'n> Section<'t, 'n> {
    const fn new(notes: &'n Notes<'t>, name: String, line: usize, table: DeTable<'t>) -> Self {
        Self { notes, name, line, table, known: Vec::new(), missing: Vec::new() }
    }

    /// A table within this one.
    pub fn section(&mut self, key: &'static str) -> Option<Self> {
        let found = self.take(key)?;
        let (notes, name) = (self.notes, self.path(key));
        match found.value {
            DeValue::Table(table) => Some(Self::new(notes, name, found.line, table)),
            other @ (DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)) => {
                let what = format!("`{name}` is {} and must be a table", kind(&other));
                notes.mistake(found.line, what, format!("write [{name}] and its settings below it"));
                None
            }
        }
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let found = self.take(key)?;
        self.as_text(key, &found)
    }

    /// A text that `parse` understands. `expected` says what it must be, with an example.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<At<T>> {
        let text = self.text(key)?;
        let parsed = parse(&text.value);
        if parsed.is_none() {
            let what = format!("`{}` can't be {:?}", self.path(key), text.value);
            self.notes.mistake(text.line, what, format!("write {expected}"));
        }
        Some(text.with(parsed?))
    }

    /// Texts in a list; none if it is left out.
    pub fn texts(&mut self, key: &'static str) -> Vec<At<String>> {
        let Some(found) = self.take(key) else { return Vec::new() };
        let Some(list) = found.value.as_array() else {
            let what = format!("`{}` is {} and must be a list", self.path(key), kind(&found.value));
            self.notes.mistake(found.line, what, format!("write {key} = [\"…\", \"…\"]"));
            return Vec::new();
        };
        let item = |item: &Spanned<DeValue<'t>>| {
            let line = self.notes.line(item.span().start);
            self.as_text(key, &At { line, value: item.get_ref().clone() })
        };
        list.iter().filter_map(item).collect()
    }

    /// A whole number within `range`, of `unit`.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u64>, unit: &str) -> Option<u64> {
        let found = self.take(key)?;
        let number = found
            .value
            .as_integer()
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let what = format!("`{}` is no number of {unit} that can be used", self.path(key));
            let remedy = format!("write a whole number from {} to {}", range.start(), range.end());
            self.notes.mistake(found.line, what, remedy);
        }
        number
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let found = self.take(key)?;
        if found.value.as_bool().is_none() {
            let what = format!("`{}` is {}", self.path(key), kind(&found.value));
            self.notes.mistake(found.line, what, "write true or false");
        }
        found.value.as_bool()
    }

    /// Notes that a setting is missing, if it was not there when it was asked for. (A wrong one is noted
    /// as wrong.)
    pub fn require<T>(&self, key: &'static str, found: Option<T>, remedy: &str) -> Option<T> {
        if self.missing.contains(&key) {
            self.notes.mistake(self.line, format!("`{}` is missing", self.path(key)), remedy);
        }
        found
    }

    /// Notes every setting that nobody asked for.
    pub fn finish(self) {
        for (key, value) in &self.table {
            let line = self.notes.line(key.span().start.min(value.span().start));
            let what = format!("there is no setting `{}`", self.path(key.get_ref()));
            let remedy = match key.get_ref().as_ref() {
                "sandbox" | "clock" | "faults" => {
                    "remove it; the sandbox, its clock and its fault rules exist only under `mintkeep dev`"
                        .to_owned()
                }
                _ if self.name.is_empty() => format!("remove it, or write one of {}", self.known.join(", ")),
                _ => format!("remove it, or write one of {} in [{}]", self.known.join(", "), self.name),
            };
            self.notes.mistake(line, what, remedy);
        }
    }

    /// A setting's name with its section's.
    pub fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Where mistakes are noted.
    pub const fn notes(&self) -> &'n Notes<'t> {
        self.notes
    }

    fn take(&mut self, key: &'static str) -> Option<At<DeValue<'t>>> {
        self.known.push(key);
        let Some(found) = self.table.remove(key) else {
            self.missing.push(key);
            return None;
        };
        Some(At { line: self.notes.line(found.span().start), value: found.into_inner() })
    }

    fn as_text(&self, key: &str, found: &At<DeValue<'t>>) -> Option<At<String>> {
        let text = found.value.as_str();
        if text.is_none() {
            let what = format!("`{}` is {} and must be a text", self.path(key), kind(&found.value));
            self.notes.mistake(found.line, what, "write it in quotes");
        }
        Some(found.with(text?.to_owned()))
    }
}

const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
