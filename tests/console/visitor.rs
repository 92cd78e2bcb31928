//! A browser at the console: keeps its cookie, fills in forms, follows what a deed leads to.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_SECURITY_POLICY, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// Where the console is, as its visitors say.
const HOST_SAID: &str = "console.example:7800";

/// What came back.
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub html: String,
}

impl Page {
    pub fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The page's text between two pieces of it.
    pub fn between(&self, before: &str, after: &str) -> &str {
        let (_, rest) =
            self.html.split_once(before).unwrap_or_else(|| panic!("no {before} in {}", self.html));
        rest.split_once(after).unwrap().0
    }
}

/// Somebody at a browser.
pub struct Visitor {
    router: Router,
    cookies: Mutex<BTreeMap<String, String>>,
    pub form_token: String,
}

impl Visitor {
    /// Who has not signed in.
    pub fn stranger(router: &Router) -> Self {
        Self { router: router.clone(), cookies: Mutex::default(), form_token: String::new() }
    }

    /// Who shows `token`, and then has a session.
    pub async fn signed_in(router: &Router, token: &str) -> Self {
        let mut visitor = Self::stranger(router);
        let page = visitor.show(token).await;
        assert_eq!((page.status, page.header(LOCATION)), (303, "/"), "{}", page.html);
        let overview = visitor.get("/").await;
        visitor.form_token = overview.between("name=\"form_token\" value=\"", "\"").to_owned();
        visitor
    }

    /// The same browser, at another replica.
    pub fn at(&self, router: &Router) -> Self {
        let cookies = Mutex::new(self.cookies.lock().unwrap().clone());
        Self { router: router.clone(), cookies, form_token: self.form_token.clone() }
    }

    /// Sends the sign-in form.
    pub async fn show(&self, token: &str) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        self.send(Method::POST, "/sign-in", &[(ORIGIN.as_str(), "http://console.example:7800")], body).await
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, &[], String::new()).await
    }

    /// Sends one of our forms as a browser would.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let own = [("sec-fetch-site", "same-origin")];
        let token = [("form_token", self.form_token.as_str())];
        self.post_as(path, &own, token.iter().chain(fields).copied()).await
    }

    /// Sends a form with these headers and no other field than these.
    pub async fn post_as<'f>(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        fields: impl IntoIterator<Item = (&'f str, &'f str)>,
    ) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, path, headers, body).await
    }

    /// Sends one of our forms and goes where it leads.
    pub async fn deed(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let done = self.post(path, fields).await;
        assert_eq!(done.status, 303, "{path}: {}", done.html);
        self.get(done.header(LOCATION)).await
    }

    /// Keeps the cookies that came, and drops those that ended.
    fn keep(&self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let (pair, manners) = line.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if manners.starts_with("Max-Age=0;") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Page {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, HOST_SAID)
            .header("content-type", "application/x-www-form-urlencoded");
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        self.keep(&head.headers);
        let html = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Page { status: head.status.as_u16(), headers: head.headers, html }
    }
}

/// What every page must be, whatever the records hold.
pub fn check(page: &Page, path: &str) {
    const PAGE_BYTES_MAX: usize = 50 * 1024;
    assert_eq!(page.status, 200, "{path}: {}", page.html);
    assert!(page.html.len() < PAGE_BYTES_MAX, "{path} has {} bytes", page.html.len());
    let policy = page.header(CONTENT_SECURITY_POLICY);
    assert!(
        policy.starts_with("default-src 'none'; ") && policy.ends_with("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{policy}");
    #[rustfmt::skip]
    let headers = [
        ("cache-control",          "no-store"),
        ("x-frame-options",        "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy",        "same-origin"),
    ];
    for (name, value) in headers {
        assert_eq!(page.header(name), value, "{path}: {name}");
    }
    // Text has no bare `<`, so whatever begins with one is a tag, and must be one of ours.
    for tag in page.html.split('<').skip(1).map(|rest| rest.split_once('>').unwrap().0) {
        let lives = [" on", " style", "javascript:", "=\"http", "=\"//", "=\"data:"];
        let is_inert = !tag.starts_with("script") && !lives.iter().any(|live| tag.contains(live));
        assert!(is_inert, "{path} has <{tag}>");
    }
}
