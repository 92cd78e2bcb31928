//! `/admin/v1/sandbox`: the movable clock and the fault rules.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_protocol::record::AuditAction;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Named};
use mintkeep_web::problem::{Problem, unfit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AdminDesk, Sandbox, unavailable};
use crate::faults::{ActiveFault, FaultRule, RuleRejected};
use crate::routes::outcome_of_code;

/// How far the clock can be ahead in all, in seconds: a hundred years.
const OFFSET_S_MAX: u64 = 36_525 * 86_400;

/// How far to move the clock.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockAdvance {
    /// By how many seconds, on top of what it was moved before.
    #[schema(example = 301)]
    pub advance_s: u64,
}

/// What the sandbox's clock says.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClockView {
    /// Its time.
    #[schema(value_type = i64)]
    pub now: Timestamp,
    /// By how many seconds it is ahead of the system's.
    pub offset_s: u64,
}

impl AdminDesk {
    fn only_in_sandbox(&self) -> Result<&Sandbox, Problem> {
        self.sandbox.as_ref().ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "only-in-the-sandbox",
                "There is no sandbox here",
                "a movable clock and fault rules exist only in the sandbox; start one with `mintkeep dev`",
            )
        })
    }

    fn clock_view(&self, sandbox: &Sandbox) -> Json<ClockView> {
        Json(ClockView { now: self.issuer.now(), offset_s: sandbox.clock.offset().as_secs() })
    }

    async fn note(&self, action: AuditAction, subject: String, arrival: &Arrival) -> Result<(), Problem> {
        self.issuer.note(self.audit(action, subject, arrival)).await.map_err(unavailable)
    }
}

/// Tells the sandbox's time.
#[utoipa::path(get, operation_id = "showClock", path = "/admin/v1/sandbox/clock", tag = "sandbox",
    responses((status = 200, body = ClockView), (status = 404, description = "Not a sandbox")))]
pub(crate) async fn show_clock(State(desk): State<AdminDesk>) -> Result<Json<ClockView>, Problem> {
    Ok(desk.clock_view(desk.only_in_sandbox()?))
}

/// Moves the sandbox's clock ahead. Every lifetime follows it.
#[utoipa::path(post, operation_id = "advanceClock", path = "/admin/v1/sandbox/clock", tag = "sandbox", request_body = ClockAdvance,
    responses((status = 200, body = ClockView), (status = 404, description = "Not a sandbox")))]
pub(crate) async fn advance_clock(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Asked(asked): Asked<ClockAdvance>,
) -> Result<Json<ClockView>, Problem> {
    let sandbox = desk.only_in_sandbox()?;
    let ahead_s = sandbox.clock.offset().as_secs().saturating_add(asked.advance_s);
    if asked.advance_s == 0 || ahead_s > OFFSET_S_MAX {
        return Err(unfit(
            "advance_s must be 1 or more, and the clock at most a hundred years ahead; DELETE resets it",
        ));
    }
    sandbox.clock.advance(Duration::from_secs(asked.advance_s));
    desk.note(AuditAction::ClockMoved, format!("ahead by {} s", asked.advance_s), &arrival).await?;
    Ok(desk.clock_view(sandbox))
}

/// Sets the sandbox's clock back to the system's.
#[utoipa::path(delete, operation_id = "resetClock", path = "/admin/v1/sandbox/clock", tag = "sandbox",
    responses((status = 200, body = ClockView), (status = 404, description = "Not a sandbox")))]
pub(crate) async fn reset_clock(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
) -> Result<Json<ClockView>, Problem> {
    let sandbox = desk.only_in_sandbox()?;
    sandbox.clock.reset();
    desk.note(AuditAction::ClockMoved, "back to the system's time".to_owned(), &arrival).await?;
    Ok(desk.clock_view(sandbox))
}

/// A new rule's number.
#[derive(Serialize, ToSchema)]
pub(crate) struct FaultAdded {
    /// For ending it.
    id: u64,
}

/// The rules in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct FaultList {
    /// In the order they were added.
    pub faults: Vec<ActiveFault>,
}

/// Adds a fault rule.
#[utoipa::path(post, operation_id = "addFault", path = "/admin/v1/sandbox/faults", tag = "sandbox", request_body = FaultRule,
    responses((status = 201, body = FaultAdded), (status = 404, description = "Not a sandbox")))]
pub(crate) async fn add_fault(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Asked(rule): Asked<FaultRule>,
) -> Result<(StatusCode, Json<FaultAdded>), Problem> {
    let sandbox = desk.only_in_sandbox()?;
    if let Some(code) = &rule.code
        && outcome_of_code(rule.dialect, code).is_none()
    {
        return Err(unfit(format!(
            "code must be one that {} answers; docs/dialect lists them",
            rule.dialect
        )));
    }
    if rule.count == Some(0) {
        return Err(unfit("count must be 1 or more; leave it out for a rule without end"));
    }
    let subject = format!("{} {}", rule.dialect, rule.endpoint.as_deref().unwrap_or("all endpoints"));
    let id = sandbox.faults.add(rule).map_err(|rejected| match rejected {
        RuleRejected::TooMany => {
            Problem::new(StatusCode::CONFLICT, "too-many", "There are many rules", rejected.to_string())
        }
        RuleRejected::NoEndpoint
        | RuleRejected::NoDelay
        | RuleRejected::NoCode
        | RuleRejected::NoProbability => unfit(rejected.to_string()),
    })?;
    desk.note(AuditAction::FaultAdded, format!("fault {id}: {subject}"), &arrival).await?;
    Ok((StatusCode::CREATED, Json(FaultAdded { id })))
}

/// Lists the fault rules in force; `count` is what is left of it.
#[utoipa::path(get, operation_id = "listFaults", path = "/admin/v1/sandbox/faults", tag = "sandbox",
    responses((status = 200, body = FaultList), (status = 404, description = "Not a sandbox")))]
pub(crate) async fn list_faults(State(desk): State<AdminDesk>) -> Result<Json<FaultList>, Problem> {
    Ok(Json(FaultList { faults: desk.only_in_sandbox()?.faults.list() }))
}

/// Ends a fault rule.
#[utoipa::path(delete, operation_id = "clearFault", path = "/admin/v1/sandbox/faults/{id}", tag = "sandbox",
    params(("id" = u64, Path)),
    responses((status = 204), (status = 404, description = "No such rule, or not a sandbox")))]
pub(crate) async fn clear_fault(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<u64>,
) -> Result<StatusCode, Problem> {
    if !desk.only_in_sandbox()?.faults.clear(id) {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "fault-unknown",
            "There is no rule of this number",
            "GET /admin/v1/sandbox/faults lists them; a rule whose count is used up is gone",
        ));
    }
    desk.note(AuditAction::FaultCleared, format!("fault {id}"), &arrival).await?;
    Ok(StatusCode::NO_CONTENT)
}
