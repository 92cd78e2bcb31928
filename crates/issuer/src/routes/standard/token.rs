//! `POST /oauth2/token`: RFC 6749's token endpoint, for the apps that have a secret.
//!
//! What it grants is what the app's own dialect grants, in the standard's form, so that a client that finds the
//! server by its metadata can use it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::PRAGMA;
use http::{HeaderValue, StatusCode};
use mintkeep_protocol::app::App;
use mintkeep_protocol::binding::{Challenge, CodeBinding, ShownBinding};
use mintkeep_protocol::dialect::query::Query;
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::issue::refresh::may_refresh;
use mintkeep_protocol::outcome::{Granted, Refusal};
use mintkeep_protocol::request::{Ask, ClientProof};
use mintkeep_protocol::secret::{AuthCode, RefreshToken};
use mintkeep_protocol::token::TokenKind;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::json;
use serde::Serialize;

use super::{
    GRANT_TYPES, Unproved, client_of, form, invalid_client, invalid_request, oauth_error, read_form,
    scope_text, store_trouble,
};
use crate::issuer::{CodeAsk, Failure, Introspection, Issuer};
use crate::routes::Desk;

/// A token's answer (RFC 6749, section 5.1).
#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Grants a token, or says in the standard's words why not.
pub(in crate::routes) async fn token(
    State(desk): State<Desk>,
    arrival: Arrival,
    request: http::Request<Body>,
) -> Response {
    answered(&desk, &arrival, request).await.unwrap_or_else(|refused| refused)
}

async fn answered(
    desk: &Desk,
    arrival: &Arrival,
    request: http::Request<Body>,
) -> Result<Response, Response> {
    let (head, body) = request.into_parts();
    let body = read_form(desk, body).await?;
    let form = form(&body).map_err(invalid_request)?;
    let (id, secret) = client_of(&head.headers, &form).map_err(Unproved::into_response)?;
    let id = AppId::parse(&id).map_err(|_| invalid_client())?;
    let whom = (&id, &ClientProof::Secret(secret));
    let mut done = granted(&desk.issuer, whom, &form, arrival).await;
    if matches!(done, Err(Failure::Overtaken)) {
        done = granted(&desk.issuer, whom, &form, arrival).await;
    }
    match done {
        Ok(granted) => Ok(written(&granted)),
        Err(Failure::Refused(Refusal::GrantTypeUnsupported)) if is_known_grant_type(&form) => {
            Err(oauth_error(
                StatusCode::BAD_REQUEST,
                "unauthorized_client",
                "the app may not use this grant type",
            ))
        }
        Err(Failure::Refused(refusal)) => Err(refused(refusal)),
        Err(failure @ (Failure::Store(_) | Failure::Busy | Failure::Overtaken)) => {
            Err(store_trouble(&failure))
        }
    }
}

/// Whoever asks proves itself first; only then is it told what is wrong with what it asks.
async fn granted(
    issuer: &Arc<Issuer>,
    (id, proof): (&AppId, &ClientProof),
    form: &Query<'_>,
    arrival: &Arrival,
) -> Result<Granted, Failure> {
    let app = issuer.app(id).await?;
    let client = issuer.admit(&app, proof, arrival)?;
    let asked = asked(form, &app)?;
    if let Ask::ExchangeCode(code) = &asked {
        let shown = shown_binding(form)?;
        let ask = CodeAsk { client: &client, request: None, arrival };
        return issuer.exchange(ask, code, shown).await.map(Granted::TokenSet);
    }
    if let (Ask::Refresh(token), Some(scope)) = (&asked, form.get("scope")) {
        let granted = issuer.introspect(token.expose()).await?.filter(|found| found.app.no == app.no);
        check_scope(scope, granted.as_ref())?;
    }
    issuer.done_for_client(&client, &asked, None, arrival).await
}

/// Whether a refresh asks for no more than was granted. Of less, all is granted again, and the answer says so.
///
/// Source: RFC 6749, section 6, "MUST NOT include any scope not originally granted".
fn check_scope(asked: &str, granted: Option<&Introspection>) -> Result<(), Refusal> {
    // A token that is not good is refused for that.
    let Some(granted) = granted else { return Ok(()) };
    let mut names = asked.split(' ');
    let is_granted = names.all(|name| granted.scopes.iter().any(|scope| scope.as_str() == name));
    if is_granted { Ok(()) } else { Err(Refusal::AccessDenied) }
}

/// What the form says of what its code is bound to.
///
/// Source: RFC 6749, section 4.1.3, `redirect_uri`; RFC 7636, section 4.5, `code_verifier`.
fn shown_binding(form: &Query<'_>) -> Result<ShownBinding, Refusal> {
    let verifier = form.get("code_verifier");
    let met =
        verifier.map(|verifier| Challenge::met_by(verifier).ok_or(Refusal::FieldIllegal)).transpose()?;
    Ok(ShownBinding::Shown(CodeBinding::of(form.get("redirect_uri"), met)))
}

/// What the form asks for.
fn asked(form: &Query<'_>, app: &App) -> Result<Ask, Refusal> {
    let field = |name| form.get(name).map(ToOwned::to_owned).ok_or(Refusal::FieldMissing);
    match form.get("grant_type").ok_or(Refusal::FieldMissing)? {
        // An app's own token has no scopes, and section 3.3 wants a narrower grant told in words that it lacks.
        "client_credentials" if form.get("scope").is_some() => Err(Refusal::AccessDenied),
        "client_credentials" => Ok(Ask::AppToken { pool: own_pool(app.dialect)?, force: false }),
        "authorization_code" => Ok(Ask::ExchangeCode(AuthCode::new(field("code")?))),
        "refresh_token" => {
            may_refresh(app)?;
            Ok(Ask::Refresh(RefreshToken::new(field("refresh_token")?)))
        }
        _ => Err(Refusal::GrantTypeUnsupported),
    }
}

/// Whether others may use what this app may not.
///
/// Source: RFC 6749, section 5.2, `unauthorized_client` beside `unsupported_grant_type`.
fn is_known_grant_type(form: &Query<'_>) -> bool {
    form.get("grant_type").is_some_and(|asked| GRANT_TYPES.contains(&asked))
}

/// Where an app's own token is drawn from. WeChat's is `stable_token`'s: a repeat must not end a token in use.
const fn own_pool(dialect: Dialect) -> Result<TokenKind, Refusal> {
    match dialect {
        Dialect::WeChat => Ok(TokenKind::WeChatStable),
        Dialect::DingTalk => Ok(TokenKind::DingTalkToken),
        Dialect::MiniProgram | Dialect::AlipayHk => Err(Refusal::GrantTypeUnsupported),
    }
}

fn written(granted: &Granted) -> Response {
    let answer = match granted {
        Granted::AppToken { token, expires_in } => TokenAnswer {
            access_token: token.expose(),
            token_type: "Bearer",
            expires_in: expires_in.as_secs(),
            refresh_token: None,
            scope: None,
        },
        Granted::TokenSet(set) => TokenAnswer {
            access_token: set.access.expose(),
            token_type: "Bearer",
            expires_in: set.expires_in.as_secs(),
            refresh_token: Some(set.refresh.expose()),
            scope: (!set.scopes.is_empty()).then(|| scope_text(&set.scopes)),
        },
        // No ask of this endpoint ends in one of these.
        Granted::Cancelled
        | Granted::UserInfo { .. }
        | Granted::Addresses(_)
        | Granted::QuotaCleared
        | Granted::Quota { .. }
        | Granted::Ticket { .. } => return super::unavailable(),
    };
    let mut response = json::no_store(&answer);
    // Source: RFC 6749, section 5.1, which wants it beside `Cache-Control`.
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// A refusal in RFC 6749's words (section 5.2). No `_` arm, so a new refusal does not compile until it is
/// answered here. The limits have no word there; the status is HTTP's own, 429.
pub(super) fn refused(refusal: Refusal) -> Response {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    match refusal {
        Refusal::ClientMissing
        | Refusal::SecretMissing
        | Refusal::ClientUnknown
        | Refusal::SecretFrozen
        | Refusal::ProofInvalid
        | Refusal::KeyUnknown => invalid_client(),
        Refusal::ClientDisabled => oauth_error(BAD, "unauthorized_client", "the app is disabled"),
        Refusal::AddressNotAllowed(_) => {
            oauth_error(BAD, "unauthorized_client", "the app may not call from this address")
        }
        Refusal::AccessDenied => oauth_error(
            BAD,
            "invalid_scope",
            "ask for no scope that was not granted; an app's own token has none",
        ),
        Refusal::GrantTypeUnsupported => {
            oauth_error(BAD, "unsupported_grant_type", "not a grant type of this endpoint")
        }
        Refusal::CodeMalformed | Refusal::CodeInvalid | Refusal::CodeUsed | Refusal::CodeExpired => {
            oauth_error(
                BAD,
                "invalid_grant",
                "the code is not good, was used, was sent to another redirect_uri, or has another code_verifier",
            )
        }
        Refusal::RefreshInvalid | Refusal::RefreshUsed | Refusal::RefreshExpired => {
            oauth_error(BAD, "invalid_grant", "the refresh token is not good, or was used")
        }
        Refusal::CustomerUnknown | Refusal::CustomerFrozen => {
            oauth_error(BAD, "invalid_grant", "the customer who granted this is gone or frozen")
        }
        Refusal::QuotaExhausted | Refusal::RateLimited => oauth_error(
            StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable",
            "the app calls too often; use the token it has",
        ),
        Refusal::FieldMissing => {
            invalid_request("grant_type is missing, or the code or refresh_token that it needs")
        }
        Refusal::FieldIllegal => {
            invalid_request("code_verifier has to be 43 to 128 characters of A-Z a-z 0-9 - . _ ~")
        }
        Refusal::ApiUnknown
        | Refusal::MethodWrong
        | Refusal::BodyMissing
        | Refusal::BodyMalformed
        | Refusal::TooLarge
        | Refusal::TooSlow
        | Refusal::EncryptionInvalid
        | Refusal::RequestTimeIllegal
        | Refusal::AccessMissing
        | Refusal::AccessInvalid
        | Refusal::AccessExpired => invalid_request("the request is not one of this endpoint's"),
    }
}
