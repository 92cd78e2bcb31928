//! The fields of a JSON body, read strictly.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::outcome::Refusal;

/// A body's top-level fields. `null` means absent, and no name comes twice.
pub(super) struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`Refusal::BodyMissing`] if it is empty, [`Refusal::BodyMalformed`] if it is not an object of JSON
    /// in UTF-8, or has a key twice: two readers could take different values.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Err(Refusal::BodyMissing);
        }
        serde_json::from_slice(body).map_err(|_| Refusal::BodyMalformed)
    }

    /// Takes a text field out; `Ok(None)` if it is absent, `null` or empty.
    ///
    /// # Errors
    ///
    /// [`Refusal::FieldIllegal`] if it is no string, longer than `chars_max`, or has a special character.
    ///
    /// Source: Mini Program, "Characters not allowed: special characters such as @ # ?", "Can be Null".
    /// Every character but ASCII letters, digits, `.`, `_` and `-` counts as special.
    pub fn text(&mut self, name: &str, chars_max: usize) -> Result<Option<String>, Refusal> {
        let text = match self.0.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                return Err(Refusal::FieldIllegal);
            }
        };
        let fits = text.len() <= chars_max
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !fits {
            return Err(Refusal::FieldIllegal);
        }
        Ok((!text.is_empty()).then_some(text))
    }

    /// Checks `extendInfo`, whose content means nothing to us.
    ///
    /// The page declares a String and shows an object, so both are taken; the object's length is that
    /// of its shortest JSON text. A JSON text needs quotes and braces, so only the three characters that
    /// the page names, and control characters, count as special here.
    ///
    /// # Errors
    ///
    /// [`Refusal::FieldIllegal`] if it is anything else, longer than 4,096 characters, or has one of these.
    pub fn check_extend_info(&self) -> Result<(), Refusal> {
        const CHARS_MAX: usize = 4_096;
        let text = match self.0.get("extendInfo") {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::String(text)) => text.clone(),
            Some(object @ Value::Object(_)) => object.to_string(),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => return Err(Refusal::FieldIllegal),
        };
        let special = |c: char| matches!(c, '@' | '#' | '?') || (c.is_control() && !c.is_ascii_whitespace());
        if text.chars().count() > CHARS_MAX || text.contains(special) {
            return Err(Refusal::FieldIllegal);
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strict;

        impl<'de> Visitor<'de> for Strict {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without a repeated key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    match fields.entry(name) {
                        Entry::Occupied(_) => return Err(A::Error::custom("a key comes twice")),
                        Entry::Vacant(slot) => slot.insert(value),
                    };
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Strict)
    }
}
