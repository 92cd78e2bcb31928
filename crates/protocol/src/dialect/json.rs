//! A JSON object from a stranger, read strictly and without a tree.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The bytes are not one JSON object, or it has a key twice, or it is too wide or too deep, or a field
/// that was asked for is of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the expected JSON object")]
pub struct Malformed;

/// A JSON object. Texts without escapes are borrowed from the body.
///
/// Refused: anything but an object, bytes after it, invalid UTF-8, a lone surrogate, a key that occurs
/// twice at any depth, more than [`Self::FIELDS_MAX`] fields, more than 127 levels (`serde_json`'s own
/// bound). JSON does not say which of two equal keys counts, so a proxy could read another one than we.
#[derive(Debug)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Field<'a>)>);

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Field<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number that is a whole one and fits.
    Whole(i64),
    /// Any other number.
    Number,
    /// A string.
    Text(Cow<'a, str>),
    /// An object or an array. No field that is asked for often has one.
    Nested(Value),
}

impl<'a> Object<'a> {
    /// Most fields of an object; the longest request of all dialects has five.
    pub const FIELDS_MAX: usize = 64;

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`Malformed`], for each reason above.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        serde_json::from_slice(body).map_err(|_| Malformed)
    }

    /// The field of this name; `None` if it is absent or `null`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field<'a>> {
        let field = self.0.iter().find(|(key, _)| key == name).map(|(_, field)| field);
        field.filter(|field| **field != Field::Null)
    }

    /// Whether there is a field of this name, `null` included.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of this name; `None` if it is absent, `null` or empty.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is of another type.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Malformed> {
        match self.get(name) {
            None => Ok(None),
            Some(Field::Text(text)) => Ok(Some(text.as_ref()).filter(|text| !text.is_empty())),
            Some(Field::Null | Field::Flag(_) | Field::Whole(_) | Field::Number | Field::Nested(_)) => {
                Err(Malformed)
            }
        }
    }

    /// The whole number of this name, also if it is written as a string, as some platforms' gateways
    /// do; `None` if it is absent, `null` or anything else.
    #[must_use]
    pub fn whole(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Field::Whole(number) => Some(*number),
            Field::Text(text) => text.parse().ok(),
            Field::Null | Field::Flag(_) | Field::Number | Field::Nested(_) => None,
        }
    }

    /// The flag of this name; `false` if it is absent or `null`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is of another type.
    pub fn flag(&self, name: &str) -> Result<bool, Malformed> {
        match self.get(name) {
            None => Ok(false),
            Some(Field::Flag(flag)) => Ok(*flag),
            Some(Field::Null | Field::Text(_) | Field::Whole(_) | Field::Number | Field::Nested(_)) => {
                Err(Malformed)
            }
        }
    }
}

/// An answer's body. Only types that always serialise come here, so there is nothing to report.
pub(crate) fn to_bytes(body: &impl serde::Serialize) -> bytes::Bytes {
    /// Most answers are shorter, so that writing them moves nothing.
    const USUAL_BYTES: usize = 512;
    let mut text = Vec::with_capacity(USUAL_BYTES);
    // Writing to memory does not fail.
    let _always_serialises = serde_json::to_writer(&mut text, body);
    text.into()
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut fields: Vec<(Cow<'de, str>, Field<'de>)> = Vec::with_capacity(5);
        while let Some(Text(key)) = map.next_key()? {
            if fields.len() >= Object::FIELDS_MAX || fields.iter().any(|(other, _)| *other == key) {
                return Err(A::Error::custom("too many fields, or one twice"));
            }
            fields.push((key, map.next_value()?));
        }
        Ok(Object(fields))
    }
}

/// A string, borrowed where it has no escapes. Serde's own `Cow` always copies.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(FieldVisitor)? {
            Field::Text(text) => Ok(Self(text)),
            Field::Null | Field::Flag(_) | Field::Whole(_) | Field::Number | Field::Nested(_) => {
                Err(D::Error::custom("not a string"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Field<'de>, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Field<'de>, E> {
        Ok(Field::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field<'de>, E> {
        Ok(Field::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<'de>, E> {
        Ok(i64::try_from(number).map_or(Field::Number, Field::Whole))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field<'de>, E> {
        Ok(Field::Number)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<'de>, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<Field<'de>>()?;
            if fields.insert(key, value.into()).is_some() {
                return Err(A::Error::custom("a field twice"));
            }
        }
        Ok(Field::Nested(Value::Object(fields)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Field<'de>>()? {
            items.push(item.into());
        }
        Ok(Field::Nested(Value::Array(items)))
    }
}

/// Inside of a nested value; a number that is not whole becomes `null`, since nothing reads it.
impl From<Field<'_>> for Value {
    fn from(field: Field<'_>) -> Self {
        match field {
            Field::Null | Field::Number => Self::Null,
            Field::Flag(flag) => Self::Bool(flag),
            Field::Whole(number) => Self::Number(number.into()),
            Field::Text(text) => Self::String(text.into_owned()),
            Field::Nested(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_strangers_object_is_read_strictly() {
        let wide = |count: usize| {
            let fields: Vec<_> = (0..count).map(|n| format!("\"k{n}\":{n}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let (widest, too_wide, deepest, too_deep) = (wide(64), wide(65), deep(126), deep(127));
        #[rustfmt::skip]
        let cases: [(&str, &[u8], bool); 22] = [
            ("empty object",              b"{}", true),
            ("spaces around",             b" { \"a\" : 1 }\r\n", true),
            ("an unknown field",          br#"{"a":"x","more":[1,{"b":null}]}"#, true),
            ("nothing",                   b"", false),
            ("an array",                  b"[]", false),
            ("a string",                  b"\"a\"", false),
            ("cut short",                 br#"{"a":"x"#, false),
            ("bytes after it",            b"{}{}", false),
            ("a trailing comma",          br#"{"a":1,}"#, false),
            ("a byte order mark",         b"\xef\xbb\xbf{}", false),
            ("a key twice",               br#"{"a":1,"a":1}"#, false),
            ("a key twice, once escaped", br#"{"a":1,"\u0061":1}"#, false),
            ("a key twice, deeper",       br#"{"x":{"a":1,"a":2}}"#, false),
            ("invalid UTF-8",             b"{\"a\":\"\xff\"}", false),
            ("a lone surrogate",          br#"{"a":"\ud800"}"#, false),
            ("a huge whole number",       br#"{"a":99999999999999999999999}"#, true),
            ("a number past infinity",    br#"{"a":1e999}"#, false),
            ("not a number",              br#"{"a":NaN}"#, false),
            ("as wide as may be",         widest.as_bytes(), true),
            ("one field wider",           too_wide.as_bytes(), false),
            ("as deep as may be",         deepest.as_bytes(), true),
            ("one level deeper",          too_deep.as_bytes(), false),
        ];
        for (case, body, good) in cases {
            assert_eq!(Object::read(body).is_ok(), good, "{case}");
        }
    }

    #[test]
    fn a_field_is_absent_or_of_its_type() {
        let body = br#"{"t":"x","esc":"\u0041","e":"","n":null,"f":true,"w":7,"d":"-7","h":1e3,"o":{"a":[1.5,"b"]}}"#;
        let object = Object::read(body).unwrap();
        #[rustfmt::skip]
        let cases = [
            ("t", Ok(Some("x")), Err(Malformed)),
            ("esc", Ok(Some("A")), Err(Malformed)),
            ("e", Ok(None), Err(Malformed)),
            ("n", Ok(None), Ok(false)),
            ("gone", Ok(None), Ok(false)),
            ("f", Err(Malformed), Ok(true)),
            ("w", Err(Malformed), Err(Malformed)),
            ("h", Err(Malformed), Err(Malformed)),
            ("o", Err(Malformed), Err(Malformed)),
        ];
        for (name, text, flag) in cases {
            assert_eq!(object.text(name), text, "{name}");
            assert_eq!(object.flag(name), flag, "{name}");
        }
        assert_eq!(object.get("w"), Some(&Field::Whole(7)));
        assert_eq!((object.whole("w"), object.whole("d"), object.whole("h")), (Some(7), Some(-7), None));
        assert_eq!(object.get("o"), Some(&Field::Nested(serde_json::json!({"a": [null, "b"]}))));
    }

    #[test]
    fn a_text_without_escapes_is_borrowed() {
        let object = Object::read(br#"{"a":"x","b":"\n"}"#).unwrap();
        assert!(matches!(object.get("a"), Some(Field::Text(Cow::Borrowed("x")))));
        assert!(matches!(object.get("b"), Some(Field::Text(Cow::Owned(_)))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_object_or_refused(body: Vec<u8>) {
            let _ = Object::read(&body);
        }

        #[test]
        fn texts_round_trip(key in "\\PC{1,20}", text in "\\PC{1,200}") {
            let body = serde_json::json!({ key.clone(): text.clone() }).to_string();
            let object = Object::read(body.as_bytes()).unwrap();
            prop_assert_eq!(object.text(&key), Ok(Some(text.as_str())));
        }
    }
}
