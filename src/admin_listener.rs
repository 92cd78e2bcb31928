//! The admin listener: liveness, readiness, metrics, the roles' admin APIs, and the console.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::clock::SystemClock;
use mintkeep_web::console::{self, ConsoleParts, Place, Rooms};
use mintkeep_web::problem::{self, Problem};
use mintkeep_web::readiness::Readiness;
use utoipa::openapi::OpenApi;

use crate::engine::StoreHealth;
use crate::wiring::{Door, Process};

/// What every process answers on its admin listener, over `roles`, which `api` describes.
///
/// The description is open to everybody: it is the same in every installation, but for the issuer's public URL.
pub fn router((readiness, store): (Readiness, StoreHealth), roles: Router, api: OpenApi) -> Router {
    Router::new()
        .route("/openapi.json", get(|| async move { Json(api) }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state((readiness, store))
        .merge(roles)
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(nothing_here)
}

async fn nothing_here() -> Problem {
    let detail = "/openapi.json has the API's paths, and the console is at /";
    Problem::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", detail)
}

/// Two roles' admin APIs as one, described as one.
pub fn beside(
    (router, mut api): (Router, OpenApi),
    (further, its_api): (Router, OpenApi),
) -> (Router, OpenApi) {
    api.merge(its_api);
    (router.merge(further), api)
}

/// The console over the roles' rooms, for whoever comes by `door` and has the admin token. `public_url`: where
/// browsers find it, if not by the door itself.
pub fn console(
    process: &Process,
    (door, public_url): (&Door, Option<String>),
    store: Arc<dyn IssuerStore>,
    token: AdminToken,
    rooms: Vec<Rooms>,
) -> Router {
    let parts = ConsoleParts {
        token,
        clock: Arc::new(SystemClock),
        entropy: Arc::clone(&process.house.entropy),
        store,
        place: Place { has_tls: door.tls.is_some(), public_url },
        limits: door.manners.limits,
    };
    console::router(parts, rooms)
}

/// Ready means: can serve what it has.
///
/// A store that does not answer is told and leaves the process ready. It is the same store for all replicas,
/// so a balancer that took them out would turn answers that callers can read (held tokens, "come back later"
/// in their own dialect) into refused connections.
async fn readyz(State((readiness, store)): State<(Readiness, StoreHealth)>) -> Response {
    match (readiness.is_ready(), store.is_good()) {
        (true, true) => "ready\n".into_response(),
        (true, false) => "ready, but the store does not answer\n".into_response(),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}
