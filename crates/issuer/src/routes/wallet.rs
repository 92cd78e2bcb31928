//! What a wallet's own backend asks for: codes, for customers that it has asked itself.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use mintkeep_protocol::ident::{AppId, CustomerId, Scope, ServiceId};
use mintkeep_protocol::issue::code::Consent;
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::record::ServiceRole;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::auth;
use mintkeep_web::body::read;
use mintkeep_web::json;
use mintkeep_web::problem::{Problem, unfit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Desk;
use crate::issuer::{Failure, IssuedCode};

/// Most scopes of a code.
const SCOPES_MAX: usize = 64;

/// Who gets a code about whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeRequest {
    /// The app's id.
    #[schema(value_type = String, example = "MINI0000000000000001")]
    pub client_id: AppId,
    /// The customer's id.
    #[schema(value_type = String, example = "2160000000000001")]
    pub customer_id: CustomerId,
    /// What they agreed to.
    #[schema(value_type = Vec<String>, example = json!(["auth_user"]))]
    pub scopes: Vec<Scope>,
}

impl CodeRequest {
    /// Who gets the code, and for what. Whoever asks hands the code on itself, so it has no redirect URI.
    pub(crate) fn parted(self) -> Result<(AppId, Consent), Problem> {
        if self.scopes.len() > SCOPES_MAX {
            return Err(unfit(format!("scopes must be {SCOPES_MAX} or fewer")));
        }
        let consent =
            Consent { customer: self.customer_id, scopes: self.scopes, redirect_uri: None, challenge: None };
        Ok((self.client_id, consent))
    }
}

/// A code.
#[derive(Serialize, ToSchema)]
pub struct CodeAnswer {
    /// The code, once.
    pub auth_code: String,
    /// Until when it can be exchanged, in milliseconds since the Unix epoch.
    #[schema(value_type = i64)]
    pub expires_at: Timestamp,
}

impl From<IssuedCode> for CodeAnswer {
    fn from(issued: IssuedCode) -> Self {
        Self { auth_code: issued.code.expose().to_owned(), expires_at: issued.expires_at }
    }
}

/// `POST /wallet/v1/codes`.
pub(super) async fn issue_code(
    State(desk): State<Desk>,
    arrival: Arrival,
    request: http::Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let Some((name, secret)) = auth::basic(&head.headers) else {
        return wallet_unknown().into_response();
    };
    let Ok(id) = ServiceId::parse(&name) else { return wallet_unknown().into_response() };
    if let Err(failure) = desk.issuer.service(&id, &secret, ServiceRole::Wallet).await {
        return problem_of(&failure).into_response();
    }
    let Ok(body) = read(body, &desk.issuer.limits).await else {
        return bad_request("the body could not be read").into_response();
    };
    let asked: CodeRequest = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(_) => {
            return bad_request("send JSON with client_id, customer_id and scopes").into_response();
        }
    };
    let actor = format!("wallet {id}");
    let (app, consent) = match asked.parted() {
        Ok(parted) => parted,
        Err(problem) => return problem.into_response(),
    };
    match desk.issuer.issue_code(&actor, &app, &consent, &arrival).await {
        Ok(issued) => json::no_store(&CodeAnswer::from(issued)),
        Err(failure) => problem_of(&failure).into_response(),
    }
}

fn bad_request(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-request", "The request can't be read", detail)
}

fn wallet_unknown() -> Problem {
    let detail = "use Basic authentication with a wallet's id and secret";
    Problem::unauthorized("unauthorized", "Who asks is not known", detail, "Basic realm=\"mintkeep\"")
}

/// A failure of ours in plain HTTP.
#[must_use]
pub fn problem_of(failure: &Failure) -> Problem {
    let (status, kind, title) = match failure {
        Failure::Store(_) | Failure::Busy | Failure::Overtaken => {
            tracing::error!(%failure, "a request could not be done");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The store can't answer")
        }
        Failure::Refused(Refusal::ProofInvalid) => return wallet_unknown(),
        Failure::Refused(Refusal::ClientUnknown) => {
            (StatusCode::NOT_FOUND, "app-unknown", "There is no such app")
        }
        Failure::Refused(Refusal::CustomerUnknown) => {
            (StatusCode::NOT_FOUND, "customer-unknown", "There is no such customer")
        }
        Failure::Refused(Refusal::AccessDenied) => {
            (StatusCode::FORBIDDEN, "not-allowed", "That is not allowed")
        }
        Failure::Refused(refusal) => return refused(*refusal),
    };
    Problem::new(status, kind, title, failure.to_string())
}

fn refused(refusal: Refusal) -> Problem {
    Problem::new(StatusCode::CONFLICT, "refused", "It was refused", refusal.to_string())
}
