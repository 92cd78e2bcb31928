//! The door: who shows the admin token gets a session, and only a session's own forms change anything.

use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use mintkeep_protocol::secret::AccessToken;

use crate::arrival::Arrival;
use crate::body::read;
use crate::browser::{cookie, is_own_form, see_other};
use crate::fields::Fields;
use crate::note::AnswerNote;

use super::House;
use super::seals::{LIFE, Session};
use super::visit::{Asked, SignInPage, TroublePage, Visit, send};

/// What the browser keeps.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    /// The session.
    Session,
    /// What the next page says once.
    Notice,
}

impl Kept {
    /// The cookie's name. Over TLS a browser then takes it from nobody but this very host.
    const fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Session, true) => "__Host-mintkeep-admin",
            (Self::Session, false) => "mintkeep-admin",
            (Self::Notice, true) => "__Host-mintkeep-said",
            (Self::Notice, false) => "mintkeep-said",
        }
    }
}

/// How long a notice waits for its page, in seconds.
pub(super) const NOTICE_LIFE_S: u64 = 60;

/// What the sign-in page says besides.
const WRONG: &str = "That is not the admin token of this server.";
const TOO_MANY: &str = "Too many wrong tokens came from your address. Wait a minute, then try again.";
const STRANGE: &str = "That form did not come from this page, so it was not looked at.";
const ENDED: &str = "Your session has ended. Nothing was changed.";
const LEFT_HERE: &str = "You are signed out in this browser. The store did not answer, so another replica may take a \
                         copy of your cookie until it has rested for an hour.";

impl House {
    async fn session(&self, headers: &HeaderMap) -> Option<Session> {
        self.0.sessions.enter(self.kept(headers, Kept::Session)?, self.0.parts.clock.now()).await
    }

    /// What a browser kept for us.
    fn kept<'h>(&self, headers: &'h HeaderMap, what: Kept) -> Option<&'h str> {
        cookie(headers, what.name(self.0.parts.place.is_secure()))
    }

    /// Has the browser keep `value` for `life_s` seconds; 0: no longer.
    pub(super) fn keep(&self, response: &mut Response, what: Kept, (value, life_s): (&str, u64)) {
        let is_secure = self.0.parts.place.is_secure();
        let (name, secure) = (what.name(is_secure), if is_secure { "; Secure" } else { "" });
        let line = format!("{name}={value}; Max-Age={life_s}; Path=/; HttpOnly; SameSite=Strict{secure}");
        if let Ok(line) = HeaderValue::from_str(&line) {
            response.headers_mut().append(SET_COOKIE, line);
        }
    }

    fn keep_session(&self, response: &mut Response, session: &Session) {
        self.keep(response, Kept::Session, (&self.0.sessions.seals.cookie(session), LIFE.as_secs()));
    }

    /// Whether a form was sent from a page of ours.
    fn is_own_form(&self, headers: &HeaderMap) -> bool {
        is_own_form(headers, self.0.parts.place.public_url.as_deref())
    }
}

/// Notes what came of a request of the console, for the access log.
fn noted(response: Response) -> Response {
    let code = match response.status() {
        StatusCode::UNAUTHORIZED => "unauthorized",
        status if status.is_server_error() => "failed",
        status if status.is_client_error() => "refused",
        _ => "done",
    };
    AnswerNote { endpoint: "console", code }.on(response)
}

/// Where to go after the sign-in: a page of ours, named by its path and query.
fn destination(asked: Option<&str>) -> &str {
    let is_ours = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    asked.filter(is_ours).unwrap_or("/")
}

fn sign_in_page(status: StatusCode, to: &str, trouble: Option<&str>) -> Response {
    send(&SignInPage { to: destination(Some(to)), trouble }, status)
}

/// `GET /sign-in`.
pub(super) async fn show(
    State(house): State<House>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if house.session(&headers).await.is_some() {
        return noted(see_other("/"));
    }
    let fields = Fields::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    noted(sign_in_page(StatusCode::OK, fields.get("to").unwrap_or("/"), None))
}

/// `POST /sign-in`.
pub(super) async fn sign_in(State(house): State<House>, arrival: Arrival, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let hall = &house.0;
    if !house.is_own_form(&head.headers) {
        return noted(sign_in_page(StatusCode::FORBIDDEN, "/", Some(STRANGE)));
    }
    let body = read(body, &hall.parts.limits).await.unwrap_or_default();
    let fields = Fields::parse(&body).unwrap_or_default();
    let to = destination(fields.get("to"));
    let now = hall.parts.clock.now();
    if let Some(end) = hall.wrong_tokens.over_until(&arrival.peer, now) {
        let mut response = sign_in_page(StatusCode::TOO_MANY_REQUESTS, to, Some(TOO_MANY));
        let wait_s = end.since(now).as_secs().saturating_add(1);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_s));
        return noted(response);
    }
    let shown = AccessToken::new(fields.get("token").unwrap_or_default().trim().to_owned());
    if !hall.parts.token.holds(&shown) {
        hall.wrong_tokens.failed(arrival.peer, now);
        tracing::warn!(peer = %arrival.peer, "a wrong admin token was shown to the console");
        return noted(sign_in_page(StatusCode::UNAUTHORIZED, to, Some(WRONG)));
    }
    tracing::info!(peer = %arrival.peer, "signed in to the console");
    let mut response = see_other(to);
    house.keep_session(&mut response, &Session::begin(&*hall.parts.entropy, now));
    noted(response)
}

/// `POST /sign-out`.
pub(super) async fn sign_out(visit: Visit) -> Response {
    let (house, session) = (&visit.0.house, &visit.0.session);
    let mut response = match house.0.sessions.end(session, house.0.parts.clock.now()).await {
        Ok(()) => see_other("/sign-in"),
        Err(error) => {
            tracing::warn!(%error, "the end of a session of the console could not be stored");
            sign_in_page(StatusCode::OK, "/", Some(LEFT_HERE))
        }
    };
    house.keep(&mut response, Kept::Session, ("", 0));
    response
}

/// Lets through who has a session; of what changes something, only forms of our own pages.
pub(super) async fn enter(State(house): State<House>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let is_change = !matches!(head.method, Method::GET | Method::HEAD);
    let path_and_query = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let Some(session) = house.session(&head.headers).await else {
        let (to, trouble) = if is_change { ("/", Some(ENDED)) } else { (path_and_query, None) };
        return noted(sign_in_page(StatusCode::UNAUTHORIZED, to, trouble));
    };
    if is_change && !house.is_own_form(&head.headers) {
        return noted(refused(StatusCode::FORBIDDEN, "That form came from elsewhere. Nothing was changed."));
    }
    let encoded = if is_change {
        let Ok(read) = read(body, &house.0.parts.limits).await else {
            return noted(refused(
                StatusCode::BAD_REQUEST,
                "The form could not be read. Nothing was changed.",
            ));
        };
        read
    } else {
        bytes::Bytes::copy_from_slice(head.uri.query().unwrap_or_default().as_bytes())
    };
    let Ok(fields) = Fields::parse(&encoded) else {
        return noted(refused(StatusCode::BAD_REQUEST, "A field came twice. Nothing was changed."));
    };
    if is_change && !house.0.sessions.seals.is_form_token(fields.get("form_token"), &session) {
        let text = "That form is not of your session. Nothing was changed; open the page again.";
        return noted(refused(StatusCode::FORBIDDEN, text));
    }
    let (path, arrival) = (head.uri.path().to_owned(), head.extensions.get().copied());
    let arrival = arrival.unwrap_or(Arrival::UNKNOWN);
    let kept = house.kept(&head.headers, Kept::Notice);
    let notice = kept.and_then(|kept| house.0.sessions.seals.notice(&session, &path, kept));
    let asked = Asked { path, fields, arrival, notice };
    head.extensions.insert(Visit::new(house.clone(), session, asked));
    let mut response = next.run(Request::from_parts(head, Body::empty())).await;
    if !is_change && let Some(seen) = session.refreshed(house.0.parts.clock.now()) {
        house.keep_session(&mut response, &seen);
    }
    noted(response)
}

/// A page without the menu: who gets it may be led astray.
fn refused(status: StatusCode, text: &str) -> Response {
    send(&TroublePage { title: "This was refused", text }, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_a_page_of_ours_and_nowhere_else() {
        #[rustfmt::skip]
        let cases = [
            (Some("/apps?after=a"),    "/apps?after=a"),
            (None,                     "/"),
            (Some("https://a.example"), "/"),
            (Some("//a.example"),      "/"),
            (Some("/\\a.example"),     "/"),
            (Some("/a\r\nb"),          "/"),
            (Some("apps"),             "/"),
        ];
        for (asked, to) in cases {
            assert_eq!(destination(asked), to, "{asked:?}");
        }
    }
}
