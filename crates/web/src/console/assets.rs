//! The console's style and icon. They tell nothing, so anybody may load them.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderName;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

/// Kept for an hour: long enough to save the requests, short enough for an update to arrive.
fn file(text: &'static str, kind: &'static str) -> Response {
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "public, max-age=3600"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    (headers, text).into_response()
}

/// The routes of the files.
pub(super) fn router() -> Router {
    let style =
        || async { file(include_str!("../../templates/console/style.css"), "text/css; charset=utf-8") };
    let icon = || async { file(include_str!("../../templates/console/icon.svg"), "image/svg+xml") };
    Router::new().route("/console/style.css", get(style)).route("/console/icon.svg", get(icon))
}
