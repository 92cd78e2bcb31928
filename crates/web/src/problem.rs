//! Errors of the plain (not a dialect's) API: RFC 9457 problem details.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// An error answer in `application/problem+json`.
///
/// `detail` says what to do; it never repeats what the caller sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status line's code.
    pub status: StatusCode,
    /// The kind of problem, a short name such as `token-unavailable`; `type` is `urn:mintkeep:problem:` and this.
    pub kind: &'static str,
    /// The kind in words, the same each time.
    pub title: &'static str,
    /// What is wrong this time and what to do.
    pub detail: Cow<'static, str>,
    /// When to try again, rounded up to whole seconds in `Retry-After`.
    pub retry_after: Option<Duration>,
    /// How to prove oneself, in `WWW-Authenticate`: every 401 has one (RFC 9110, section 15.5.2).
    pub challenge: Option<&'static str>,
}

impl Problem {
    /// A problem that is no better later.
    #[must_use]
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), retry_after: None, challenge: None }
    }

    /// A 401: who asks is not known, and proves themselves by `challenge`.
    #[must_use]
    pub fn unauthorized(
        kind: &'static str,
        title: &'static str,
        detail: &'static str,
        challenge: &'static str,
    ) -> Self {
        Self { challenge: Some(challenge), ..Self::new(StatusCode::UNAUTHORIZED, kind, title, detail) }
    }

    /// The same, to be tried again after `wait`.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

/// A field of a request that can be read, and can't be what it says.
#[must_use]
pub fn unfit(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "unfit", "A field does not fit", detail)
}

/// A router's answer to a method that a path does not take; the router adds the `Allow` header.
pub async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        "This path is asked another way",
        "use one of the methods in the answer's Allow header",
    )
}

/// The members of RFC 9457 section 3.1, as they are written.
#[derive(Serialize)]
struct Members<'p> {
    r#type: &'p str,
    title: &'p str,
    status: u16,
    detail: &'p str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let r#type = format!("urn:mintkeep:problem:{}", self.kind);
        let members = Members {
            r#type: &r#type,
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_vec(&members).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s(wait)));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// What `Retry-After` says of a wait: whole seconds, rounded up.
pub(crate) fn retry_after_s(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_problem_is_written_as_the_rfc_says() {
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "token-unavailable", "No token", "wait \"")
                .retry_after(Duration::from_millis(1001));
        let response = problem.into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "2");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            body,
            r#"{"type":"urn:mintkeep:problem:token-unavailable","title":"No token","status":503,"detail":"wait \""}"#
        );
    }
}
