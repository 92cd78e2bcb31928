//! The demo mini program: a shop that plays the nine steps of the flow with the real parts.
//!
//! Its page runs `my.js`; its "merchant's server" is a handler here that asks the keeper as any other
//! server of a company would, under the sandbox's consumer key. The tokens never reach the page.

mod user_info;

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Request, StatusCode};
use mintkeep_protocol::secret::AccessToken;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub use user_info::Signer;

/// Where the shop is.
pub const PATH: &str = "/sandbox/shop";

/// Longest answer of the keeper's that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const CREDENTIAL: &str = "miniprogram-sandbox";

/// What the merchant's server has: the keeper's own listener and a consumer key, and the platform.
#[derive(Clone)]
pub struct Merchant {
    /// The keeper's routes.
    pub keeper: Router,
    /// `Bearer` and the consumer key.
    pub authorization: String,
    /// What it calls the platform with, beyond tokens.
    pub signer: Arc<Signer>,
}

/// The shop's page and its server.
pub fn router(merchant: Merchant) -> Router {
    let page = || async { file(include_str!("sandbox_shop/page.html"), "text/html; charset=utf-8") };
    let script = || async { file(include_str!("sandbox_shop/page.js"), "text/javascript; charset=utf-8") };
    Router::new()
        .route(PATH, get(page))
        .route("/sandbox/shop/page.js", get(script))
        .route("/sandbox/shop/sign-in", post(sign_in))
        .with_state(merchant)
}

fn file(text: &'static str, kind: &'static str) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

/// What the merchant's server does with a code: the keeper exchanges it, and keeps the tokens; with one of
/// them the platform tells who the customer is.
async fn sign_in(State(merchant): State<Merchant>, headers: HeaderMap, body: Bytes) -> Response {
    let is_own = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let code = serde_json::from_slice(&body)
        .ok()
        .and_then(|asked: Value| asked.get("authCode").and_then(Value::as_str).map(str::to_owned));
    let (true, Some(code)) = (is_own, code) else { return StatusCode::BAD_REQUEST.into_response() };
    let asked = json!({ "auth_code": code });
    let exchange = merchant.ask(Method::POST, &format!("/v1/exchanges/{CREDENTIAL}"), Some(&asked)).await;
    let Some(customer) = exchange.told.get("customer_id").and_then(Value::as_str).map(str::to_owned) else {
        return (StatusCode::BAD_GATEWAY, Json(exchange.without_token())).into_response();
    };
    let kept = merchant.ask(Method::GET, &format!("/v1/tokens/{CREDENTIAL}/{customer}"), None).await;
    let token = kept.told.get("access_token").and_then(Value::as_str).unwrap_or_default();
    let user = merchant.signer.user_info(AccessToken::new(token.to_owned())).await;
    let told = json!({ "exchange": exchange.without_token(), "kept": kept.without_token(), "user": user });
    Json(told).into_response()
}

/// What the keeper said.
struct Told {
    status: StatusCode,
    told: Value,
}

impl Told {
    /// The same for the page's eyes: an access token stays on the server.
    fn without_token(mut self) -> Value {
        if let Some(fields) = self.told.as_object_mut() {
            fields.remove("access_token");
        }
        json!({ "status": self.status.as_u16(), "told": self.told })
    }
}

impl Merchant {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Told {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        let unheard = Told { status: StatusCode::BAD_GATEWAY, told: Value::Null };
        let Ok(request) = request else { return unheard };
        let Ok(response) = self.keeper.clone().oneshot(request).await;
        let status = response.status();
        let Ok(body) = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await else { return unheard };
        Told { status, told: serde_json::from_slice(&body).unwrap_or_default() }
    }
}
