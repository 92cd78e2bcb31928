//! The keeper's part of the admin API: what an operator, the command line and the console do to it.
//!
//! Every route is behind the admin token, takes and gives JSON, refuses fields that it does not know, says
//! no with a problem (RFC 9457) that tells what to do, and writes a line into the audit for each change.
//! Times are milliseconds since the Unix epoch.

pub(crate) mod consumers;
pub(crate) mod credentials;
mod slots;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use http::StatusCode;
use mintkeep_protocol::ident::CredentialName;
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::limits::Limits;
use mintkeep_web::problem::{Problem, unfit, wrong_method};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::{AdminFailure, By};
use crate::keeper::Keeper;
use crate::roster::Account;

/// What the routes work on.
#[derive(Clone)]
struct KeeperDesk {
    keeper: Arc<Keeper>,
}

impl FromRef<KeeperDesk> for Limits {
    fn from_ref(desk: &KeeperDesk) -> Self {
        desk.keeper.settings.limits
    }
}

/// The admin routes under `/admin/v1/keeper/`, behind `token`, and their description.
pub fn router(keeper: Arc<Keeper>, token: AdminToken) -> (Router, OpenApi) {
    let (router, api) = OpenApiRouter::new()
        .routes(routes!(credentials::add, credentials::list))
        .routes(routes!(credentials::show, credentials::remove))
        .routes(routes!(credentials::change_proof))
        .routes(routes!(consumers::create, consumers::list))
        .routes(routes!(consumers::revoke))
        .routes(routes!(slots::list))
        .routes(routes!(tokens::read_own))
        .routes(routes!(tokens::read_customers))
        .routes(routes!(tokens::refresh_own))
        .routes(routes!(tokens::refresh_customers))
        .routes(routes!(tokens::explain_own))
        .routes(routes!(tokens::explain_customers))
        .routes(routes!(tokens::resolve_own))
        .routes(routes!(tokens::resolve_customers))
        .split_for_parts();
    let desk = KeeperDesk { keeper };
    (token.guard(router.method_not_allowed_fallback(wrong_method).with_state(desk)), api)
}

impl KeeperDesk {
    fn account(&self, name: &CredentialName) -> Result<Arc<Account>, Problem> {
        self.keeper.account(name).ok_or_else(|| {
            not_found(
                "credential-unknown",
                "There is no such credential",
                "GET /admin/v1/keeper/credentials lists them",
            )
        })
    }
}

/// Who the audit says did what came over this API.
pub(crate) fn by(arrival: &Arrival) -> By {
    By { actor: "admin".to_owned(), address: Some(arrival.peer), request_id: arrival.id.to_string() }
}

fn not_found(kind: &'static str, title: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, kind, title, detail)
}

/// What is answered when a wish was not done.
pub(crate) fn problem_of(failure: &AdminFailure) -> Problem {
    let told = failure.to_string();
    match failure {
        AdminFailure::NameTaken => {
            let detail = "remove what has it, or choose another";
            Problem::new(StatusCode::CONFLICT, "name-taken", "The name is taken", detail)
        }
        AdminFailure::NotFound => not_found(
            "no-such-token",
            "No such token",
            "a credential has a token of its own or tokens of its customers, never both; \
             GET /admin/v1/keeper/tokens lists them",
        ),
        AdminFailure::BaseUrlIllegal | AdminFailure::ProofUnfit(_) | AdminFailure::Key(_) => unfit(told),
        AdminFailure::NothingToResolve => {
            let detail = "only a token in doubt is resolved; GET …/explain tells its state";
            Problem::new(StatusCode::CONFLICT, "nothing-to-resolve", "It is not in doubt", detail)
        }
        AdminFailure::Contended => {
            Problem::new(StatusCode::CONFLICT, "busy", "Others change this all the time", told)
                .retry_after(Duration::from_secs(1))
        }
        AdminFailure::Seal => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "master-key", "The master key is missing", told)
        }
        AdminFailure::Renewal(trouble) => {
            Problem::new(StatusCode::BAD_GATEWAY, "renewal-failed", "The renewal failed", trouble.to_string())
        }
        AdminFailure::Store(error) => {
            tracing::error!(%error, "the keeper's admin API could not use its store");
            let detail = "the store does not answer; what was asked may have been done: look, then ask again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "Not now", detail)
                .retry_after(Duration::from_secs(2))
        }
    }
}
