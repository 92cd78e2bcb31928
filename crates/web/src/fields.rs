//! A query's or a form's fields, each at most once.

use std::collections::BTreeSet;

/// Fields by name, in the order they came in.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

/// A name came twice: which of the two is meant can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldTwice;

impl Fields {
    /// Reads `name=value&…`, percent-encoded.
    ///
    /// # Errors
    ///
    /// [`FieldTwice`].
    pub fn parse(encoded: &[u8]) -> Result<Self, FieldTwice> {
        let fields = Self::parse_all(encoded);
        if fields.has_twice() { Err(FieldTwice) } else { Ok(fields) }
    }

    /// The same with the names that come twice kept, for whoever has to say so by what the others are.
    #[must_use]
    pub fn parse_all(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// Whether a name came twice.
    #[must_use]
    pub fn has_twice(&self) -> bool {
        let mut seen = BTreeSet::new();
        !self.0.iter().all(|(name, _)| seen.insert(name))
    }

    /// The value of `name`; an empty one counts as absent, and so does a name that came twice.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => (!value.is_empty()).then_some(value),
            (_, _) => None,
        }
    }

    /// All that came, as a query again, but for the fields of these names.
    #[must_use]
    pub fn query_without(&self, names: &[&str]) -> String {
        let kept = self.0.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_twice_is_refused_and_an_empty_value_is_absent() {
        let fields = Fields::parse(b"a=1&b=&c=%E9%A6%99+%26").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("d")), (Some("1"), None, None));
        assert_eq!(fields.get("c"), Some("\u{9999} &"));
        assert_eq!(Fields::parse(b"a=1&%61=1").unwrap_err(), FieldTwice);
        let all = Fields::parse_all(b"a=1&b=2&%61=&c=%26");
        assert_eq!((all.has_twice(), all.get("a"), all.get("b")), (true, None, Some("2")));
        assert_eq!(all.query_without(&["b"]), "a=1&a=&c=%26");
    }
}
