//! A visit to a page behind the door: what was asked, and the ways to answer.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, RETRY_AFTER, X_FRAME_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::arrival::Arrival;
use crate::asked::fault_of;
use crate::browser::{guarded, see_other};
use crate::fields::Fields;
use crate::problem::{Problem, retry_after_s, unfit};

use super::door::{Kept, NOTICE_LIFE_S};
use super::form::Form;
use super::seals::Session;
use super::wording::clip;
use super::{House, Link};

/// Longest text of a notice whose whole would be too long for a cookie, in characters.
const CLIPPED_CHARS: usize = 300;

/// What a page says once, after a change.
pub struct Notice {
    /// What was done.
    pub text: String,
    /// What is shown this once, each under what it is.
    pub secrets: Vec<(String, Zeroizing<String>)>,
    /// Whether it did not work.
    pub is_trouble: bool,
}

impl Notice {
    /// What was done.
    #[must_use]
    pub fn said(text: impl Into<String>) -> Self {
        Self { text: text.into(), secrets: vec![], is_trouble: false }
    }

    /// Why it was not done.
    #[must_use]
    pub fn trouble(text: impl Into<String>) -> Self {
        Self { is_trouble: true, ..Self::said(text) }
    }

    /// The same, with something that is shown this once.
    #[must_use]
    pub fn with_secret(mut self, what: &str, secret: String) -> Self {
        self.secrets.push((what.to_owned(), Zeroizing::new(secret)));
        self
    }

    /// As text that [`Self::read`] reads; it holds the secrets.
    pub(super) fn written(&self) -> Zeroizing<Vec<u8>> {
        let secrets: Vec<_> = self.secrets.iter().map(|(what, secret)| (what, secret.as_str())).collect();
        // Texts and a flag are always written.
        Zeroizing::new(serde_json::to_vec(&(&self.text, secrets, self.is_trouble)).unwrap_or_default())
    }

    /// What was written.
    pub(super) fn read(written: &[u8]) -> Option<Self> {
        let read: (String, Vec<(String, String)>, bool) = serde_json::from_slice(written).ok()?;
        let (text, secrets, is_trouble) = read;
        let secrets = secrets.into_iter().map(|(what, secret)| (what, Zeroizing::new(secret)));
        Some(Self { text, secrets: secrets.collect(), is_trouble })
    }

    /// The same in few words.
    pub(super) fn clipped(&self) -> Self {
        let text = clip(&self.text, CLIPPED_CHARS);
        Self { text, secrets: self.secrets.clone(), is_trouble: self.is_trouble }
    }
}

/// What is asked once more before it is done.
pub struct Confirm<'p> {
    /// The question, such as `Delete the app wx1?`.
    pub title: &'p str,
    /// What ends with it.
    pub text: &'p str,
    /// What the button says.
    pub button: &'p str,
    /// The path that does it.
    pub action: &'p str,
    /// The page to go back to instead.
    pub back: &'p str,
}

/// A request that came through the door: its session is live, and a form's token was right.
#[derive(Clone)]
pub struct Visit(pub(super) Arc<Stay>);

pub(super) struct Stay {
    pub house: House,
    pub session: Session,
    form_token: String,
    asked: Asked,
}

/// What was asked.
pub(super) struct Asked {
    pub path: String,
    /// Of the query, or of the form.
    pub fields: Fields,
    pub arrival: Arrival,
    /// What the page is to say this once.
    pub notice: Option<Notice>,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Response;

    /// A page that is not behind the door answers nobody.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        parts.extensions.get().cloned().ok_or_else(|| guarded(StatusCode::UNAUTHORIZED.into_response()))
    }
}

impl Visit {
    pub(super) fn new(house: House, session: Session, asked: Asked) -> Self {
        let form_token = house.0.sessions.seals.form_token(&session);
        Self(Arc::new(Stay { house, session, form_token, asked }))
    }

    /// What every form must carry in `form_token`.
    #[must_use]
    pub fn form_token(&self) -> &str {
        &self.0.form_token
    }

    /// Whence the request came, for the audit.
    #[must_use]
    pub fn arrival(&self) -> &Arrival {
        &self.0.asked.arrival
    }

    /// A field of the query, or of the form; an empty one counts as absent.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0.asked.fields.get(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// A page: `body` within the frame.
    #[must_use]
    pub fn page(&self, title: &str, body: &impl Template) -> Response {
        self.page_with(StatusCode::OK, title, body)
    }

    /// A page with a form: what the form says of itself decides the status.
    #[must_use]
    pub fn form_page(&self, title: &str, body: &impl Template, form: &Form<'_>) -> Response {
        self.page_with(form.status(), title, body)
    }

    fn page_with(&self, status: StatusCode, title: &str, body: &impl Template) -> Response {
        let Ok(body) = body.render() else { return unmade() };
        let hall = &self.0.house.0;
        let notice = self.0.asked.notice.as_ref();
        let is_here = |link: &Link| {
            let beneath = self.0.asked.path.strip_prefix(link.path);
            beneath.is_some_and(|rest| rest.is_empty() || (rest.starts_with('/') && link.path != "/"))
        };
        let menu: Vec<(Link, bool)> = hall.menu.iter().map(|link| (*link, is_here(link))).collect();
        let frame = FramePage { title, body: &body, menu: &menu, notice, form_token: &self.0.form_token };
        let mut response = send(&frame, status);
        if notice.is_some() {
            self.0.house.keep(&mut response, Kept::Notice, ("", 0));
        }
        response
    }

    /// A page that asks once more before something ends for good; its form does it.
    #[must_use]
    pub fn confirm(&self, asked: &Confirm<'_>) -> Response {
        self.page(asked.title, &ConfirmBody { asked, form_token: self.form_token() })
    }

    /// A page that says why there is nothing else to see.
    #[must_use]
    pub fn trouble(&self, status: StatusCode, title: &str, text: &str) -> Response {
        self.page_with(status, title, &TroubleBody { title, text })
    }

    /// The same, of a use-case's own words.
    #[must_use]
    pub fn problem(&self, problem: &Problem) -> Response {
        let mut response = self.trouble(problem.status, problem.title, &words_of(problem));
        if let Some(wait) = problem.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s(wait)));
        }
        response
    }

    /// Goes to the page at `path`, which then says `notice` once.
    fn done(&self, path: &str, notice: &Notice) -> Response {
        let page = path.split('?').next().unwrap_or(path);
        let mut response = see_other(path);
        if let Some(sealed) = self.0.house.0.sessions.seals.seal(&self.0.session, page, notice) {
            self.0.house.keep(&mut response, Kept::Notice, (&sealed, NOTICE_LIFE_S));
        }
        response
    }

    /// Goes back to the page at `path`, which then says what came of a change.
    #[must_use]
    pub fn back(&self, path: &str, outcome: Result<Notice, Problem>) -> Response {
        let notice = outcome.unwrap_or_else(|problem| {
            let words = words_of(&problem);
            let stop = if words.is_empty() { "." } else { ": " };
            Notice::trouble(format!("{}{stop}{words}", problem.title))
        });
        self.done(path, &notice)
    }
}

/// A wish of the API out of a form's fields, so that both are checked alike. What is absent is `null`.
///
/// # Errors
///
/// A field does not fit, or a field that is needed is absent; nothing of what was sent is told.
pub fn wish<T: DeserializeOwned>(mut fields: Value) -> Result<T, Problem> {
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(fields.clone()).map_err(|error| {
        let fault = fault_of(&error);
        let detail = match culprit::<T>(&fields, &error) {
            Some(name) => format!("{name}: {fault}"),
            None => fault,
        };
        unfit(detail)
    })
}

/// The field that reading failed at: the one without which it fails otherwise, or not at all.
fn culprit<T: DeserializeOwned>(fields: &Value, error: &serde_json::Error) -> Option<String> {
    let told = error.to_string();
    if told.starts_with("missing field") {
        return None;
    }
    let all = fields.as_object()?;
    let is_at_fault = |name: &&String| {
        let mut rest = all.clone();
        rest.remove(*name);
        serde_json::from_value::<T>(Value::Object(rest)).err().is_none_or(|other| other.to_string() != told)
    };
    all.keys().find(is_at_fault).cloned()
}

/// What a problem says to do, without the paths of the API: those are not for whoever sits at a page.
pub(super) fn words_of(problem: &Problem) -> String {
    if problem.detail.contains("/admin/v1/") { String::new() } else { problem.detail.to_string() }
}

#[derive(Template)]
#[template(path = "console/frame.html")]
struct FramePage<'p> {
    title: &'p str,
    /// HTML that a template made.
    body: &'p str,
    menu: &'p [(Link, bool)],
    notice: Option<&'p Notice>,
    form_token: &'p str,
}

#[derive(Template)]
#[template(path = "console/trouble_body.html")]
struct TroubleBody<'p> {
    title: &'p str,
    text: &'p str,
}

#[derive(Template)]
#[template(path = "console/confirm.html")]
struct ConfirmBody<'p> {
    asked: &'p Confirm<'p>,
    form_token: &'p str,
}

/// A refusal without the menu.
#[derive(Template)]
#[template(path = "console/trouble.html")]
pub(super) struct TroublePage<'p> {
    pub title: &'p str,
    pub text: &'p str,
}

/// The sign-in page.
#[derive(Template)]
#[template(path = "console/sign_in.html")]
pub(super) struct SignInPage<'p> {
    /// Where to go afterwards.
    pub to: &'p str,
    pub trouble: Option<&'p str>,
}

/// Nothing runs, nothing is loaded but our own style and icon, nobody frames it, and forms lead only here.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// Sends a page.
pub(super) fn send(page: &impl Template, status: StatusCode) -> Response {
    const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    let Ok(html) = page.render() else { return unmade() };
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    guarded(response)
}

/// Rendering into memory fails only if a value's own `Display` does; ours don't.
fn unmade() -> Response {
    guarded((StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.\n").into_response())
}
