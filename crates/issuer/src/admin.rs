//! The admin API: what an operator, the command line and the console do to a running issuer.
//!
//! Every route is behind the admin token, takes and gives JSON, refuses fields that it does not know, says
//! no with a problem (RFC 9457) that tells what to do, and writes a line into the audit for each change.
//! Times are milliseconds since the Unix epoch.

pub(crate) mod app_proofs;
pub(crate) mod app_words;
pub(crate) mod apps;
pub(crate) mod customers;
pub(crate) mod grants;
mod inspect;
mod platform_keys;
pub(crate) mod sandbox;
pub(crate) mod services;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use http::StatusCode;
use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::AppId;
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::record::{AuditAction, AuditEntry};
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::limits::Limits;
use mintkeep_web::problem::{self, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::faults::Faults;
use crate::issuer::{Failure, Issuer};

/// Who the audit says did what came over this API.
const ACTOR: &str = "admin";

/// A clock that the sandbox moves. It is the one that every lifetime is measured by.
pub trait MovableClock: Send + Sync {
    /// Moves it ahead, on top of what it was moved before.
    fn advance(&self, by: Duration);
    /// Back to the system's time.
    fn reset(&self);
    /// How far it is ahead of the system's time.
    fn offset(&self) -> Duration;
}

/// What only a sandbox has.
#[derive(Clone)]
pub struct Sandbox {
    /// Its clock, the same one that the issuer reads.
    pub clock: Arc<dyn MovableClock>,
    /// Its fault rules, the same ones that the issuer's routes ask.
    pub faults: Arc<Faults>,
}

/// Which part of a list by id to tell.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageFilter<Id> {
    /// Only those after this id.
    #[param(value_type = Option<String>)]
    pub after: Option<Id>,
    /// How many at most, 1 to 1000; left out: 100.
    pub most: Option<u32>,
}

/// What the routes work on.
#[derive(Clone)]
pub(crate) struct AdminDesk {
    pub issuer: Arc<Issuer>,
    pub sandbox: Option<Sandbox>,
}

impl FromRef<AdminDesk> for Limits {
    fn from_ref(desk: &AdminDesk) -> Self {
        desk.issuer.limits
    }
}

/// The admin routes under `/admin/v1/`, behind `token`, and their description, with that of the issuer's listener.
///
/// `sandbox`: `None` in production; its routes then say so.
pub fn router(issuer: Arc<Issuer>, sandbox: Option<Sandbox>, token: AdminToken) -> (Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(apps::create, apps::list))
        .routes(routes!(apps::show, apps::change, apps::delete))
        .routes(routes!(app_proofs::rotate_secret))
        .routes(routes!(app_proofs::add_key))
        .routes(routes!(app_proofs::remove_key))
        .routes(routes!(app_proofs::revoke_tokens))
        .routes(routes!(app_proofs::disable))
        .routes(routes!(app_proofs::enable))
        .routes(routes!(app_proofs::freeze_secret))
        .routes(routes!(customers::list))
        .routes(routes!(customers::put, customers::show))
        .routes(routes!(grants::issue_code))
        .routes(routes!(grants::list))
        .routes(routes!(grants::show))
        .routes(routes!(grants::revoke))
        .routes(routes!(inspect::inspect))
        .routes(routes!(services::create, services::list))
        .routes(routes!(services::show))
        .routes(routes!(platform_keys::list))
        .routes(routes!(platform_keys::rotate))
        .routes(routes!(sandbox::show_clock, sandbox::advance_clock, sandbox::reset_clock))
        .routes(routes!(sandbox::list_faults, sandbox::add_fault))
        .routes(routes!(sandbox::clear_fault))
        .split_for_parts();
    api.merge(crate::routes::described::description(&issuer.public_url));
    let router =
        router.method_not_allowed_fallback(problem::wrong_method).with_state(AdminDesk { issuer, sandbox });
    (token.guard(router), api)
}

/// What is answered when a use-case did not do what was asked.
fn problem_of(failure: &Failure) -> Problem {
    if let Failure::Refused(refusal) = failure {
        let told = REMEDIES.iter().find(|(meant, ..)| meant == refusal);
        if let Some((_, status, kind, title, detail)) = told {
            return Problem::new(*status, kind, title, *detail);
        }
    }
    crate::routes::wallet::problem_of(failure)
}

type Remedy = (Refusal, StatusCode, &'static str, &'static str, &'static str);

/// What to do about the refusals that an operator can meet.
#[rustfmt::skip]
const REMEDIES: [Remedy; 5] = [
    (Refusal::ClientUnknown, StatusCode::NOT_FOUND, "app-unknown", "There is no such app",
        "GET /admin/v1/apps lists them; POST /admin/v1/apps makes one"),
    (Refusal::CustomerUnknown, StatusCode::NOT_FOUND, "customer-unknown", "There is no such customer",
        "make it with PUT /admin/v1/customers/{id}"),
    (Refusal::CustomerFrozen, StatusCode::CONFLICT, "customer-frozen", "The customer is frozen",
        "put the customer with the status `active` first"),
    (Refusal::ClientDisabled, StatusCode::CONFLICT, "app-disabled", "The app is disabled",
        "enable the app first"),
    (Refusal::AccessDenied, StatusCode::CONFLICT, "scope-not-allowed", "The app may not ask for one of these scopes",
        "add the scope to the app's setting `scopes`, or ask for `auth_base` or `auth_user`"),
];

fn app_unknown() -> Problem {
    problem_of(&Failure::Refused(Refusal::ClientUnknown))
}

fn customer_unknown() -> Problem {
    problem_of(&Failure::Refused(Refusal::CustomerUnknown))
}

/// A store that can't answer, in plain HTTP.
fn unavailable(error: mintkeep_protocol::port::issuer_store::StoreError) -> Problem {
    crate::routes::wallet::problem_of(&Failure::Store(error))
}

fn busy() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "busy",
        "Others change this all the time",
        "nothing was changed; try again",
    )
    .retry_after(Duration::from_secs(1))
}

impl AdminDesk {
    /// The app of this id.
    pub(crate) async fn known_app(&self, id: &AppId) -> Result<Arc<App>, Problem> {
        self.issuer.store.app(id).await.map_err(unavailable)?.ok_or_else(app_unknown)
    }

    /// The audit line of a change.
    fn audit(&self, action: AuditAction, subject: impl std::fmt::Display, arrival: &Arrival) -> AuditEntry {
        self.issuer.audit(ACTOR, action, subject, arrival)
    }
}
