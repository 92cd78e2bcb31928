//! The fields of a JSON body and what a page says of their length and characters.

use std::borrow::Cow;

use crate::dialect::json::{Field, Object};
use crate::outcome::Refusal;

/// A body's fields. `null` means absent, and no name comes twice.
pub(super) struct Fields<'a>(Object<'a>);

impl<'a> Fields<'a> {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`Refusal::BodyMissing`] if it is empty, [`Refusal::BodyMalformed`] if [`Object::read`] refuses it.
    pub fn parse(body: &'a [u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Err(Refusal::BodyMissing);
        }
        Object::read(body).map(Self).map_err(|_| Refusal::BodyMalformed)
    }

    /// A text field; `Ok(None)` if it is absent, `null` or empty.
    ///
    /// # Errors
    ///
    /// [`Refusal::FieldIllegal`] if it is no string, longer than `chars_max`, or has a special character.
    ///
    /// Source: Mini Program, "Characters not allowed: special characters such as @ # ?", "Can be Null".
    /// Every character but ASCII letters, digits, `.`, `_` and `-` counts as special.
    pub fn text(&self, name: &str, chars_max: usize) -> Result<Option<&str>, Refusal> {
        let text = self.any_text(name)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = text.is_none_or(|text| text.len() <= chars_max && text.bytes().all(is_plain));
        if fits { Ok(text) } else { Err(Refusal::FieldIllegal) }
    }

    /// A text field of any length and characters; `Ok(None)` if it is absent, `null` or empty.
    ///
    /// # Errors
    ///
    /// [`Refusal::FieldIllegal`] if it is no string.
    pub fn any_text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        self.0.text(name).map_err(|_| Refusal::FieldIllegal)
    }

    /// Checks `extendInfo`, whose content means nothing to us.
    ///
    /// The page declares a String and shows an object, so both are taken; the object's length is that
    /// of its shortest JSON text. A JSON text needs quotes and braces, so only the three characters that
    /// the page names, and control characters other than white space, count as special here.
    ///
    /// # Errors
    ///
    /// [`Refusal::FieldIllegal`] if it is anything else, longer than 4,096 characters, or has one of these.
    pub fn check_extend_info(&self) -> Result<(), Refusal> {
        const CHARS_MAX: usize = 4_096;
        let text = match self.0.get("extendInfo") {
            None | Some(Field::Null) => return Ok(()),
            Some(Field::Text(text)) => Cow::Borrowed(text.as_ref()),
            Some(Field::Nested(value)) if value.is_object() => Cow::Owned(value.to_string()),
            Some(Field::Nested(_) | Field::Flag(_) | Field::Whole(_) | Field::Number) => {
                return Err(Refusal::FieldIllegal);
            }
        };
        let special = |c: char| matches!(c, '@' | '#' | '?') || (c.is_control() && !c.is_ascii_whitespace());
        if text.chars().count() > CHARS_MAX || text.contains(special) {
            return Err(Refusal::FieldIllegal);
        }
        Ok(())
    }
}
