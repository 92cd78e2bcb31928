//! JSON answers that nobody may keep.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

/// More than most answers take, in bytes, so that writing them moves nothing.
const USUAL_BYTES: usize = 512;

/// 200 with `body`, and `Cache-Control: no-store`. `body` is of a type that always serialises.
pub fn no_store(body: &impl Serialize) -> Response {
    let mut text = Vec::with_capacity(USUAL_BYTES);
    // Writing to memory does not fail.
    let _always_serialises = serde_json::to_writer(&mut text, body);
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
