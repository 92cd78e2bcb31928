//! The pages and how they are sent: with a policy that lets nothing run, load or frame that is not named.

use std::fmt::Write as _;

use askama::Template;
use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY, X_FRAME_OPTIONS};
use http::{HeaderValue, StatusCode};
use mintkeep_protocol::app::App;
use mintkeep_web::browser::guarded;

use super::way_back::origin_of;
use super::words::Words;

/// The question.
#[derive(Template)]
#[template(path = "consent/ask.html")]
pub(super) struct AskPage<'p> {
    pub words: &'static Words,
    pub app: &'p str,
    pub logo: Option<&'p str>,
    pub customer: &'p str,
    pub nick_name: Option<&'p str>,
    pub scopes: &'p [String],
    pub fields: &'p [(&'static str, String)],
    pub ticket: &'p str,
}

/// The answer, for the script of the page that opened ours.
#[derive(Template)]
#[template(path = "consent/done.html")]
pub(super) struct DonePage<'p> {
    pub words: &'static Words,
    pub origin: &'p str,
    pub message: &'p str,
    pub is_allowed: bool,
}

/// Why it did not work, and where to begin anew.
#[derive(Template)]
#[template(path = "consent/error.html")]
pub(super) struct ErrorPage<'p> {
    pub words: &'static Words,
    pub text: &'p str,
    pub again: Option<&'p str>,
}

/// One app that has access.
pub(super) struct GrantedApp {
    pub name: String,
    pub scopes: Vec<String>,
    /// A date of ISO 8601.
    pub since: String,
    pub app_no: i64,
    pub proof: String,
}

/// What the customer granted.
#[derive(Template)]
#[template(path = "consent/granted.html")]
pub(super) struct GrantedPage<'p> {
    pub words: &'static Words,
    pub customer: &'p str,
    pub apps: &'p [GrantedApp],
    pub has_more: bool,
    pub was_ended: bool,
}

/// What a page may show beside itself, and who may show it.
#[derive(Default)]
pub(super) struct Policy<'p> {
    /// Where one picture may come from.
    pub picture: Option<Picture<'p>>,
    /// Whether our own script runs.
    pub script: bool,
    /// Where a form's answer may lead beside our own origin.
    pub form_leads_to: Option<&'p str>,
    /// Which origins may frame the page.
    pub frame_origins: &'p [String],
}

/// A logo that may be shown, and from where.
#[derive(Clone, Copy)]
pub(super) struct Picture<'p> {
    pub url: &'p str,
    pub source: &'p str,
}

/// The logo of an app, if it is on the web. A picture runs no script, be it an SVG.
pub(super) fn logo(app: &App) -> Option<Picture<'_>> {
    let url = app.settings.logo_url.as_deref()?;
    origin_of(url).map(|source| Picture { url, source })
}

impl Policy<'_> {
    fn text(&self) -> String {
        let mut text = "default-src 'none'; style-src 'self'; base-uri 'none'; img-src 'self'".to_owned();
        if let Some(picture) = self.picture {
            text.push(' ');
            text.push_str(picture.source);
        }
        if self.script {
            text.push_str("; script-src 'self'");
        }
        // Chromium holds redirects after a form to this too, so the app's own redirects must pass:
        // any https, and the very origin if the app is on plain http.
        text.push_str("; form-action 'self'");
        if let Some(origin) = self.form_leads_to {
            text.push_str(" https: ");
            text.push_str(origin);
        }
        let framers =
            if self.frame_origins.is_empty() { "'none'".to_owned() } else { self.frame_origins.join(" ") };
        // Writing to a String can't fail.
        let _written = write!(text, "; frame-ancestors {framers}");
        text
    }
}

/// Sends a page.
pub(super) fn send(page: &impl Template, status: StatusCode, words: &Words, policy: &Policy<'_>) -> Response {
    let Ok(html) = page.render() else {
        // Rendering into memory fails only if a value's own `Display` does; ours don't.
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.");
    };
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(words.lang));
    headers.insert(VARY, HeaderValue::from_static("accept-language, cookie"));
    if let Ok(policy) = HeaderValue::from_str(&policy.text()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    } else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "The page's policy could not be written.");
    }
    if policy.frame_origins.is_empty() {
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    guarded(response)
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    guarded(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::tests::app;

    #[test]
    fn a_logo_is_a_picture_from_the_web_and_nothing_else() {
        #[rustfmt::skip]
        let cases = [
            ("https://cdn.example/a.svg?b",    Some("https://cdn.example")),
            ("http://127.0.0.1:9/a.png",       Some("http://127.0.0.1:9")),
            ("data:image/svg+xml,%3Csvg%3E",   None),
            ("javascript:alert(1)",            None),
            ("https://a; script-src */",       None),
            ("//cdn.example/a.png",            None),
        ];
        for (url, source) in cases {
            let mut app = app(&[]);
            app.settings.logo_url = Some(url.into());
            assert_eq!(logo(&app).map(|picture| picture.source), source, "{url}");
        }
        assert!(logo(&app(&[])).is_none());
    }

    #[test]
    fn a_policy_names_only_what_its_page_needs() {
        assert_eq!(
            Policy::default().text(),
            "default-src 'none'; style-src 'self'; base-uri 'none'; img-src 'self'; form-action 'self'; \
             frame-ancestors 'none'"
        );
        let frame_origins = ["https://wallet.example".to_owned()];
        let most = Policy {
            picture: Some(Picture { url: "", source: "https://cdn.example" }),
            script: true,
            form_leads_to: Some("http://127.0.0.1:9"),
            frame_origins: &frame_origins,
        };
        assert_eq!(
            most.text(),
            "default-src 'none'; style-src 'self'; base-uri 'none'; img-src 'self' https://cdn.example; script-src 'self'; \
             form-action 'self' https: http://127.0.0.1:9; frame-ancestors https://wallet.example"
        );
    }

    #[test]
    fn an_apps_name_stays_text() {
        let page = AskPage {
            words: &crate::consent::words::EN,
            app: "<script>alert(1)</script>",
            logo: Some("data:image/svg+xml,\"onload=\"alert(1)"),
            customer: "1",
            nick_name: Some("<b>"),
            scopes: &["<i>".to_owned()],
            fields: &[("state", "\"><script>".to_owned())],
            ticket: "t",
        };
        let html = page.render().unwrap();
        for live in ["<script", "<b>", "<i>", "\"onload"] {
            assert!(!html.contains(live), "{live} in {html}");
        }
    }
}
