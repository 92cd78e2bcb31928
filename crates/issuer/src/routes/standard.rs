//! The standard facade: RFC 6749 tokens, RFC 7662 introspection, RFC 7009 revocation, RFC 8414 metadata, and
//! a gateway's sub-request.

pub(super) mod token;

use std::future::Future;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mintkeep_protocol::dialect::dingtalk::TOKEN_HEADER;
use mintkeep_protocol::dialect::query::{Malformed, Query};
use mintkeep_protocol::ident::{AppId, Dialect, Scope, ServiceId};
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::record::ServiceRole;
use mintkeep_protocol::request::ClientProof;
use mintkeep_protocol::secret::{AccessToken, ClientSecret};
use mintkeep_protocol::token::TokenKind;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::auth;
use mintkeep_web::body::read;
use mintkeep_web::json;
use mintkeep_web::note::Noted;
use mintkeep_web::problem::Problem;
use serde::Serialize;
use serde_json::json;

use super::Desk;
use crate::issuer::{Failure, Issuer};

/// An OAuth error answer (RFC 6749, section 5.2).
fn oauth_error(status: StatusCode, error: &'static str, description: &'static str) -> Response {
    let body = Json(json!({ "error": error, "error_description": description }));
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"mintkeep\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    }
    response
}

fn unavailable() -> Response {
    oauth_error(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again later")
}

fn invalid_client() -> Response {
    oauth_error(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "use a known id and secret, by Basic authentication or as client_id and client_secret",
    )
}

fn invalid_request(description: &'static str) -> Response {
    oauth_error(StatusCode::BAD_REQUEST, "invalid_request", description)
}

async fn read_form(desk: &Desk, body: impl HttpBody<Data = Bytes>) -> Result<Bytes, Response> {
    read(body, &desk.issuer.limits).await.map_err(|_| invalid_request("the body could not be read"))
}

/// A form's parameters, or what is wrong with it; RFC 6749 section 3.2 refuses one that is included twice.
fn form(body: &[u8]) -> Result<Query<'_>, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed);
    text.and_then(Query::read).map_err(|_| "the body is no form, or has a parameter twice")
}

/// The only id and secret of a request: by Basic authentication, or as `client_id` and `client_secret`.
///
/// Both at once are refused: "The client MUST NOT use more than one authentication method in each request"
/// (RFC 6749, section 2.3). A `client_id` that only repeats the header's is no method.
fn client_of(headers: &HeaderMap, form: &Query<'_>) -> Result<(String, ClientSecret), Unproved> {
    let secret = form.get("client_secret").map(|secret| ClientSecret::new(secret.to_owned()));
    if !headers.contains_key(AUTHORIZATION) {
        let id = form.get("client_id").map(str::to_owned);
        return id.zip(secret).ok_or(Unproved::Nobody);
    }
    if secret.is_some() {
        return Err(Unproved::Twice);
    }
    let (id, secret) = auth::basic(headers).ok_or(Unproved::Nobody)?;
    if form.get("client_id").is_some_and(|other| other != id) {
        return Err(Unproved::Twice);
    }
    Ok((id, secret))
}

/// Why a request names no one client.
enum Unproved {
    /// It has no id and secret that can be read.
    Nobody,
    /// It has two.
    Twice,
}

impl Unproved {
    fn into_response(self) -> Response {
        match self {
            Self::Nobody => invalid_client(),
            Self::Twice => invalid_request(
                "the client says twice who it is: by a header, and by another client_id or a client_secret",
            ),
        }
    }
}

/// The parameter that both endpoints are about.
fn token_of<'f>(form: &'f Query<'_>) -> Result<&'f str, &'static str> {
    form.get("token").ok_or("the parameter token is missing")
}

/// What RFC 7662 section 2.2 answers of a good token.
#[derive(Serialize)]
struct ActiveToken<'a> {
    active: bool,
    client_id: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    iss: &'a str,
    dialect: Dialect,
}

/// What it answers of any other: nothing but that.
#[derive(Serialize)]
struct InactiveToken {
    active: bool,
}

fn scope_text(scopes: &[Scope]) -> String {
    let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    names.join(" ")
}

/// `POST /oauth2/introspect`, for resource servers only: it would be an oracle for anyone else.
#[expect(clippy::manual_async_fn, reason = "an async fn would hold the request twice")]
pub(super) fn introspect<B: HttpBody<Data = Bytes> + Send + Unpin>(
    State(desk): State<Desk>,
    mut request: http::Request<B>,
) -> impl Future<Output = Noted> + Send {
    async move { introspected(&desk, &mut request).await.unwrap_or_else(|refused| refused).into() }
}

async fn introspected(
    desk: &Desk,
    request: &mut http::Request<impl HttpBody<Data = Bytes> + Unpin>,
) -> Result<Response, Response> {
    let body = read_form(desk, request.body_mut()).await?;
    let form = form(&body).map_err(invalid_request)?;
    let (id, secret) = client_of(request.headers(), &form).map_err(Unproved::into_response)?;
    let id = ServiceId::parse(&id).map_err(|_| invalid_client())?;
    match desk.issuer.service(&id, &secret, ServiceRole::ResourceServer).await {
        Ok(_service) => {}
        Err(Failure::Refused(Refusal::AccessDenied)) => {
            return Err(oauth_error(StatusCode::FORBIDDEN, "unauthorized_client", "not a resource server"));
        }
        Err(Failure::Refused(_)) => return Err(invalid_client()),
        Err(failure) => return Err(store_trouble(&failure)),
    }
    let token = token_of(&form).map_err(invalid_request)?;
    let found = desk.issuer.introspect(token).await.map_err(|failure| store_trouble(&failure))?;
    let Some(found) = found else { return Ok(json::no_store(&InactiveToken { active: false })) };
    Ok(json::no_store(&ActiveToken {
        active: true,
        client_id: found.app.id.as_str(),
        sub: &found.subject,
        scope: scope_text(&found.scopes),
        exp: found.held.expires_at.unix_s(),
        iat: found.held.issued_at.unix_s(),
        token_type: (found.kind != TokenKind::GrantRefresh).then_some("Bearer"),
        iss: &desk.issuer.public_url,
        dialect: found.app.dialect,
    }))
}

fn store_trouble(failure: &Failure) -> Response {
    tracing::error!(%failure, "the facade could not use the store");
    unavailable()
}

/// `POST /oauth2/revoke`, for the app that the token was issued to.
///
/// The standard lets a client pass over the answer's body; `{}` is there for those that read one whatever the
/// endpoint and take anything but JSON for a failure.
pub(super) async fn revoke(
    State(desk): State<Desk>,
    arrival: Arrival,
    request: http::Request<Body>,
) -> Response {
    revoked(&desk, &arrival, request).await.unwrap_or_else(|refused| refused)
}

async fn revoked(desk: &Desk, arrival: &Arrival, request: http::Request<Body>) -> Result<Response, Response> {
    let (head, body) = request.into_parts();
    let body = read_form(desk, body).await?;
    let form = form(&body).map_err(invalid_request)?;
    let (id, secret) = client_of(&head.headers, &form).map_err(Unproved::into_response)?;
    let whom = (id.as_str(), &ClientProof::Secret(secret));
    let mut done = revoked_once(&desk.issuer, whom, &form, arrival).await;
    if matches!(done, Err(Failure::Overtaken)) {
        done = revoked_once(&desk.issuer, whom, &form, arrival).await;
    }
    match done {
        Ok(Ok(())) => Ok(Json(json!({})).into_response()),
        Ok(Err(what)) => Err(invalid_request(what)),
        Err(Failure::Refused(refusal)) => Err(token::refused(refusal)),
        Err(failure) => Err(store_trouble(&failure)),
    }
}

/// The app behind a revocation proves itself first; only then is it told that it named no token.
async fn revoked_once(
    issuer: &Arc<Issuer>,
    (id, proof): (&str, &ClientProof),
    form: &Query<'_>,
    arrival: &Arrival,
) -> Result<Result<(), &'static str>, Failure> {
    let id = AppId::parse(id).map_err(|_| Refusal::ClientUnknown)?;
    let app = issuer.app(&id).await?;
    let client = issuer.admit(&app, proof, arrival)?;
    match token_of(form) {
        Ok(token) => issuer.revoke(&client, token, arrival).await.map(Ok),
        Err(what) => Ok(Err(what)),
    }
}

/// How a client may prove itself at any of the three endpoints.
const AUTH_METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// What `/oauth2/token` takes for a grant.
const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];

/// `GET /.well-known/oauth-authorization-server`.
pub(super) async fn metadata(State(desk): State<Desk>) -> Response {
    let url = &desk.issuer.public_url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/oauth2/token"),
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "introspection_endpoint": format!("{url}/oauth2/introspect"),
        "introspection_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint": format!("{url}/oauth2/revoke"),
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "authorization_response_iss_parameter_supported": true,
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": GRANT_TYPES,
        "scopes_supported": ["auth_base", "auth_user"],
    }))
    .into_response()
}

/// The token of the request that a gateway guards; of a header that comes twice, none: whoever is guarded may
/// read the other one.
fn guarded_token(headers: &HeaderMap) -> Option<AccessToken> {
    const ACCESS_TOKEN: HeaderName = HeaderName::from_static("access-token");
    if headers.contains_key(AUTHORIZATION) {
        return auth::bearer(headers);
    }
    let name = if headers.contains_key(TOKEN_HEADER) { TOKEN_HEADER } else { ACCESS_TOKEN };
    let mut named = headers.get_all(name).iter();
    let (Some(token), None) = (named.next(), named.next()) else { return None };
    Some(AccessToken::new(token.to_str().ok()?.to_owned()))
}

/// `GET /authz`: 204 and who it is, or 401. For nginx `auth_request` and who asks like it.
pub(super) async fn authz(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    authorize(&desk, &headers, StatusCode::NO_CONTENT).await
}

/// Anything below `/authz/`: the same, with 200. Envoy's `ext_authz` over HTTP repeats the guarded request's
/// method, and its path after a prefix, and takes 200 alone for a yes.
pub(super) async fn authz_below(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    authorize(&desk, &headers, StatusCode::OK).await
}

async fn authorize(desk: &Desk, headers: &HeaderMap, yes: StatusCode) -> Response {
    let token = guarded_token(headers);
    let found = match &token {
        Some(token) => desk.issuer.introspect(token.expose()).await,
        None => Ok(None),
    };
    match found {
        // A refresh token opens no door.
        Ok(Some(found)) if found.kind != TokenKind::GrantRefresh => {
            let mut response = yes.into_response();
            let told = [
                ("x-mintkeep-client-id", found.app.id.to_string()),
                ("x-mintkeep-subject", found.subject.clone()),
                ("x-mintkeep-scope", scope_text(&found.scopes)),
                ("x-mintkeep-dialect", found.app.dialect.to_string()),
                ("x-mintkeep-expires-at", found.held.expires_at.unix_s().to_string()),
            ];
            for (name, value) in told {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    response.headers_mut().insert(HeaderName::from_static(name), value);
                }
            }
            response
        }
        Ok(_) => {
            let detail = "send a good access token as Authorization: Bearer, or in the platform's own header";
            let (kind, title) = ("token-not-good", "The access token is not good");
            // Source: RFC 6750, section 3.1: a request without a token is told of no error in the challenge.
            let challenge = if token.is_some() { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            Problem::unauthorized(kind, title, detail, challenge).into_response()
        }
        Err(failure) => store_trouble(&failure),
    }
}
