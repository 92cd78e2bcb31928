//! The style, the picture and the scripts of the pages, and `my.js` for everyone's.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderName;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

/// Who may load a file into a page.
#[derive(Clone, Copy)]
enum For {
    OurPages,
    AllPages,
}

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Kept for an hour: long enough to save the requests, short enough for an update to arrive.
fn file(text: &'static str, kind: &'static str, readers: For) -> Response {
    let readers = match readers {
        For::OurPages => "same-origin",
        For::AllPages => "cross-origin",
    };
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "public, max-age=3600"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (RESOURCE_POLICY, readers),
    ];
    (headers, text).into_response()
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The routes of the files.
pub(super) fn router() -> Router {
    let style = || async {
        file(include_str!("../../templates/consent/style.css"), "text/css; charset=utf-8", For::OurPages)
    };
    let icon =
        || async { file(include_str!("../../templates/consent/icon.svg"), "image/svg+xml", For::OurPages) };
    let report = || async { file(include_str!("../../templates/consent/report.js"), SCRIPT, For::OurPages) };
    let my = || async { file(include_str!("../../templates/consent/my.js"), SCRIPT, For::AllPages) };
    Router::new()
        .route("/authorize/style.css", get(style))
        .route("/authorize/icon.svg", get(icon))
        .route("/authorize/report.js", get(report))
        .route("/my.js", get(my))
}
