//! A query's or a form's fields, each at most once.

/// Fields by name.
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
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded).into_owned() {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(FieldTwice);
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// The value of `name`; an empty one counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        (!value.is_empty()).then_some(value)
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
    }
}
