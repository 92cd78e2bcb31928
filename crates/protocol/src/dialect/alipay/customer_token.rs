//! The family's other APIs, called for somebody else: a customer's token goes into the body, and a dead one is
//! known by the answer's.

use bytes::Bytes;

use crate::dialect::json::{Field, Malformed, Object};
use crate::secret::AccessToken;

/// The field that a customer's token is put in. Source: the family's `inquiryUserInfo` and `cancelToken`.
const ACCESS_TOKEN: &str = "accessToken";

/// Why a token can't be put in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// It is not one JSON object, or one that two readers could read differently.
    #[error("send one JSON object, no name in it twice, or no body at all")]
    NoObject,
    /// It has a token of the caller's own.
    #[error("leave accessToken out of the body: the customer's token is put in here")]
    HasToken,
}

impl From<Malformed> for BodyFault {
    fn from(_: Malformed) -> Self {
        Self::NoObject
    }
}

/// The body with the token in it, as the first field; every other byte stays as the caller wrote it. No body
/// at all counts as an object without fields.
///
/// # Errors
///
/// [`BodyFault`].
pub fn put_token(body: &[u8], token: &AccessToken) -> Result<Bytes, BodyFault> {
    let body = if body.is_empty() { b"{}" } else { body };
    let object = Object::read(body)?;
    if object.names(ACCESS_TOKEN) {
        return Err(BodyFault::HasToken);
    }
    let opening = body.iter().position(|byte| *byte == b'{').ok_or(BodyFault::NoObject)?;
    let (before, fields) = body.split_at_checked(opening.saturating_add(1)).ok_or(BodyFault::NoObject)?;
    let token = serde_json::to_vec(token.expose()).map_err(|_| BodyFault::NoObject)?;
    let comma: &[u8] = if object.is_empty() { b"" } else { b"," };
    let name = [b"\"", ACCESS_TOKEN.as_bytes(), b"\":"].concat();
    Ok([before, &name, &token, comma, fields].concat().into())
}

/// An answer's body that is longer than this never says that a token is dead, in bytes.
const DEAD_TOKEN_BODY_BYTES_MAX: usize = 4_096;

/// Whether an answer's plain body says that the call's access token is dead: `INVALID_ACCESS_TOKEN`,
/// `EXPIRED_ACCESS_TOKEN`, with status `F`. AlipayHK's page has no code for it; these are the family's.
#[must_use]
pub fn says_token_is_dead(body: &[u8]) -> bool {
    const DEAD: [&str; 2] = ["INVALID_ACCESS_TOKEN", "EXPIRED_ACCESS_TOKEN"];
    says(body, |status, code| status == "F" && DEAD.contains(&code))
}

/// Whether an answer's plain body says that what the call asked for was done.
#[must_use]
pub fn says_done(body: &[u8]) -> bool {
    says(body, |status, _code| status == "S")
}

/// Whether an answer's `result` has a status and a code of this kind. A body that can't be read says nothing.
fn says(body: &[u8], is_it: impl Fn(&str, &str) -> bool) -> bool {
    if body.len() > DEAD_TOKEN_BODY_BYTES_MAX {
        return false;
    }
    let Ok(object) = Object::read(body) else { return false };
    let Some(Field::Nested(result)) = object.get("result") else { return false };
    let text = |name: &str| result.get(name).and_then(serde_json::Value::as_str);
    text("resultStatus").zip(text("resultCode")).is_some_and(|(status, code)| is_it(status, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_in_first_and_every_other_byte_stays() {
        #[rustfmt::skip]
        let cases: [(&str, Result<&str, BodyFault>); 14] = [
            ("",                                     Ok(r#"{"accessToken":"T"}"#)),
            ("{}",                                   Ok(r#"{"accessToken":"T"}"#)),
            (" { } ",                                Ok(r#" {"accessToken":"T" } "#)),
            (r#"{"a":1}"#,                           Ok(r#"{"accessToken":"T","a":1}"#)),
            (r#"{ "amount" : 1.10, "b":"\u00e9"}"#,  Ok(r#"{"accessToken":"T", "amount" : 1.10, "b":"\u00e9"}"#)),
            (r#"{"n":12345678901234567890123}"#,     Ok(r#"{"accessToken":"T","n":12345678901234567890123}"#)),
            (r#"{"in":{"accessToken":"x"}}"#,        Ok(r#"{"accessToken":"T","in":{"accessToken":"x"}}"#)),
            (r#"{"accessToken":"mine"}"#,            Err(BodyFault::HasToken)),
            (r#"{"a":1,"access\u0054oken":null}"#,   Err(BodyFault::HasToken)),
            (r#"{"a":1,"a":2}"#,                     Err(BodyFault::NoObject)),
            ("[]",                                   Err(BodyFault::NoObject)),
            ("{} {}",                                Err(BodyFault::NoObject)),
            ("a=b",                                  Err(BodyFault::NoObject)),
            (" ",                                    Err(BodyFault::NoObject)),
        ];
        for (body, expected) in cases {
            let put = put_token(body.as_bytes(), &AccessToken::new("T".to_owned()));
            let put = put.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            assert_eq!(put.as_deref(), expected.as_ref().map(|text| *text), "{body}");
        }
        let odd = put_token(b"{}", &AccessToken::new("a\"b\\".to_owned())).unwrap();
        assert_eq!(odd, r#"{"accessToken":"a\"b\\"}"#, "whatever a platform calls a token");
    }

    #[test]
    fn a_dead_token_is_told_by_its_code_and_status_alone() {
        let result = |status: &str, code: &str| {
            format!(r#"{{"result":{{"resultCode":"{code}","resultStatus":"{status}"}}}}"#)
        };
        #[rustfmt::skip]
        let cases = [
            (result("F", "INVALID_ACCESS_TOKEN"),  true),
            (result("F", "EXPIRED_ACCESS_TOKEN"),  true),
            (result("S", "SUCCESS"),               false),
            (result("U", "INVALID_ACCESS_TOKEN"),  false),
            (result("F", "PARAM_ILLEGAL"),         false),
            (result("F", "INVALID_REFRESH_TOKEN"), false),
            (r#"{"resultCode":"INVALID_ACCESS_TOKEN","resultStatus":"F"}"#.to_owned(), false),
            (r#"{"result":"INVALID_ACCESS_TOKEN"}"#.to_owned(), false),
            ("INVALID_ACCESS_TOKEN".to_owned(),    false),
            (String::new(),                        false),
        ];
        for (body, is_dead) in cases {
            assert_eq!(says_token_is_dead(body.as_bytes()), is_dead, "{body}");
        }
    }
}
