//! The admin listener: liveness, readiness, metrics, and the roles' admin APIs.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use mintkeep_web::readiness::Readiness;
use utoipa::openapi::OpenApi;

/// What every process answers on its admin listener, over `roles`, which `api` describes.
///
/// The description is open to everybody: it is the same in every installation.
pub fn router(readiness: Readiness, roles: Router, api: OpenApi) -> Router {
    Router::new()
        .route("/openapi.json", get(|| async move { Json(api) }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness)
        .merge(roles)
}

/// Two roles' admin APIs as one, described as one.
pub fn beside(
    (router, mut api): (Router, OpenApi),
    (further, its_api): (Router, OpenApi),
) -> (Router, OpenApi) {
    api.merge(its_api);
    (router.merge(further), api)
}

/// Ready means: can serve what it has.
async fn readyz(State(readiness): State<Readiness>) -> Response {
    if readiness.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}
