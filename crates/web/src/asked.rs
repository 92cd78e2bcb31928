//! What a caller of our own API sent: bodies, paths and queries, each refused with a problem that says how
//! to mend it.

use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use mintkeep_protocol::dialect::json::Object;
use serde::de::DeserializeOwned;

use crate::body::{BodyRefused, read};
use crate::limits::Limits;
use crate::problem::Problem;

/// A JSON object out of the body, read strictly: no key twice, and what `T` says of unknown fields.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T>
where
    Limits: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "The body is not said to be JSON",
                "send JSON with `Content-Type: application/json`",
            ));
        }
        let body = read(request.into_body(), &Limits::from_ref(state)).await.map_err(unread)?;
        // Keys that occur twice are refused at any depth; the types below see only some of them.
        Object::read(&body)
            .map_err(|_| unreadable("send one JSON object, no key twice, at most 64 fields".to_owned()))?;
        serde_json::from_slice(&body).map(Self).map_err(|error| unreadable(fault_of(&error)))
    }
}

/// Names in the path.
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(named) = Path::from_request_parts(parts, state).await.map_err(|_| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "no-such-name",
                "Nothing can have this name",
                "names are 1 to 64 characters of A-Z a-z 0-9 . _ - and for customers also : +; grants, keys \
                 and faults have numbers",
            )
        })?;
        Ok(Self(named))
    }
}

/// Fields of the query.
pub struct Filter<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Filter<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(filter) = Query::from_request_parts(parts, state).await.map_err(|_| {
            unreadable(
                "the query has an unknown field, one twice, or a value that does not fit; see /openapi.json"
                    .to_owned(),
            )
        })?;
        Ok(Self(filter))
    }
}

fn unread(refused: BodyRefused) -> Problem {
    let (status, kind) = match refused {
        BodyRefused::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        BodyRefused::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow"),
        BodyRefused::Broken => (StatusCode::BAD_REQUEST, "broken-off"),
    };
    Problem::new(status, kind, "The body could not be read", refused.to_string())
}

fn unreadable(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "unreadable", "The request can't be read", detail)
}

/// What is wrong with a body, without the parts of it that the parser quotes: they may be secret.
pub(crate) fn fault_of(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let quotes = ["unknown field", "unknown variant", "invalid type", "invalid value", "invalid length"];
    match (quotes.iter().find(|kind| told.starts_with(**kind)), told.find(", expected ")) {
        (Some(kind), Some(at)) => format!("{kind}{}", told.get(at..).unwrap_or_default()),
        (Some(kind), None) => {
            format!("{kind} at line {} column {}", error.line(), error.column())
        }
        (None, _) => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what reading it says is looked at")]
    struct Body {
        seconds: u32,
    }

    #[test]
    fn a_fault_is_told_without_what_was_sent() {
        #[rustfmt::skip]
        let cases = [
            (r#"{"planted":1}"#,            "unknown field, expected `seconds` at line 1 column 10"),
            (r#"{"seconds":"planted"}"#,    "invalid type, expected u32 at line 1 column 20"),
            (r#"{"seconds":-1}"#,           "invalid value, expected u32 at line 1 column 13"),
            (r"{}",                         "missing field `seconds` at line 1 column 2"),
            (r#"{"seconds":1,"seconds":1}"#, "duplicate field `seconds` at line 1 column 22"),
        ];
        for (body, told) in cases {
            let fault = fault_of(&serde_json::from_str::<Body>(body).unwrap_err());
            assert_eq!(fault, told, "{body}");
        }
    }
}
