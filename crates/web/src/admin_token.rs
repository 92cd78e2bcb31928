//! The admin listener's bearer token, and the door that asks for it.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use mintkeep_protocol::crypto::{MacKey, same_bytes, sha256};
use mintkeep_protocol::secret::{AccessToken, ClientSecret};

use crate::auth::bearer;
use crate::note::AnswerNote;
use crate::problem::Problem;

/// What the admin token is compared with: its digest, so that the token itself is kept nowhere.
#[derive(Clone, Copy)]
pub struct AdminToken([u8; 32]);

impl AdminToken {
    /// Takes the token that the operator has: at least 128 random bits, or a digest protects nothing.
    #[must_use]
    pub fn new(token: &ClientSecret) -> Self {
        Self(sha256(token.expose().as_bytes()))
    }

    /// Whether `shown` is the token, compared in constant time.
    #[must_use]
    pub fn holds(&self, shown: &AccessToken) -> bool {
        same_bytes(&self.0, &sha256(shown.expose().as_bytes()))
    }

    /// A key for one `purpose`, which changes when the token does.
    #[must_use]
    pub fn key(&self, purpose: &str) -> MacKey {
        MacKey::new(&self.0).derive(purpose)
    }

    /// Lets only bearers of the token through to the routes of `router`, which must have one.
    ///
    /// Whatever is answered may hold a secret, so no cache may keep it.
    pub fn guard(self, router: Router) -> Router {
        router.route_layer(from_fn_with_state(self, admit))
    }
}

async fn admit(State(token): State<AdminToken>, request: Request, next: Next) -> Response {
    let is_admin = bearer(request.headers()).is_some_and(|shown| token.holds(&shown));
    let mut response = if is_admin { next.run(request).await } else { stranger() };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let code = match response.status() {
        StatusCode::UNAUTHORIZED => "unauthorized",
        status if status.is_server_error() => "failed",
        status if status.is_client_error() => "refused",
        _ => "done",
    };
    AnswerNote { endpoint: "admin", code }.on(response)
}

fn stranger() -> Response {
    let detail = "send `Authorization: Bearer` and the admin token, which is in the file that the server names \
                  when it starts";
    let challenge = "Bearer realm=\"mintkeep admin\"";
    Problem::unauthorized("unauthorized", "Who asks is not known", detail, challenge).into_response()
}
