//! The sandbox's clock and its fault rules. There is no such page in production.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::ident::Dialect;
use mintkeep_web::asked::{Asked, Named};
use mintkeep_web::console::wording::{clip, length, told};
use mintkeep_web::console::{Notice, Visit};
use mintkeep_web::problem::{Problem, unfit};
use std::time::Duration;

use super::NAME_CHARS;
use crate::admin::AdminDesk;
use crate::admin::sandbox::{self, ClockAdvance};
use crate::faults::{ActiveFault, FaultAction, FaultRule};

const HERE: &str = "/sandbox";

struct Rule {
    id: u64,
    told: String,
}

#[derive(Template)]
#[template(path = "console/sandbox.html")]
struct SandboxBody<'p> {
    form_token: &'p str,
    now: String,
    ahead: Option<String>,
    dialects: [&'static str; 4],
    rules: Vec<Rule>,
}

/// `GET /sandbox`.
pub(super) async fn show(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let clock = sandbox::show_clock(State(desk.clone())).await;
    let faults = sandbox::list_faults(State(desk)).await;
    match (clock, faults) {
        (Ok(Json(clock)), Ok(Json(faults))) => {
            let ahead = Duration::from_secs(clock.offset_s);
            let body = SandboxBody {
                form_token: visit.form_token(),
                now: told(clock.now),
                ahead: (!ahead.is_zero()).then(|| length(ahead)),
                dialects: Dialect::ALL.map(Dialect::name),
                rules: faults.faults.iter().map(rule_of).collect(),
            };
            visit.page("Sandbox", &body)
        }
        (Err(problem), _) | (_, Err(problem)) => visit.problem(&problem),
    }
}

fn rule_of(fault: &ActiveFault) -> Rule {
    let FaultRule { dialect, endpoint, action, delay_ms, code, probability, count } = &fault.rule;
    let deed = match action {
        FaultAction::DropBefore => "cut before anything happened".to_owned(),
        FaultAction::DropAfter => "cut after it happened".to_owned(),
        FaultAction::Delay => format!("answered {} ms late", delay_ms.unwrap_or_default()),
        FaultAction::Answer => format!("answered {}", clip(code.as_deref().unwrap_or("–"), NAME_CHARS)),
    };
    let place = clip(endpoint.as_deref().unwrap_or("all endpoints"), NAME_CHARS);
    let left = count.map_or_else(|| "without end".to_owned(), |count| format!("{count} more times"));
    let chance = if *probability < 1.0 { format!(", with a chance of {probability}") } else { String::new() };
    Rule { id: fault.id, told: format!("{dialect}, {place}: {deed}{chance}, {left}") }
}

/// `POST /sandbox/clock`.
pub(super) async fn advance(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let outcome = match visit.field("advance_s").map(str::parse) {
        Some(Ok(advance_s)) => {
            let asked = Asked(ClockAdvance { advance_s });
            let moved = sandbox::advance_clock(State(desk), *visit.arrival(), asked).await;
            moved.map(|_clock| Notice::said(format!("The clock went ahead by {advance_s} s.")))
        }
        Some(Err(_)) | None => Err(unfit("give a number of seconds, 1 or more")),
    };
    visit.back(HERE, outcome)
}

/// `POST /sandbox/clock/reset`.
pub(super) async fn reset(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let outcome = sandbox::reset_clock(State(desk), *visit.arrival()).await;
    visit.back(HERE, outcome.map(|_clock| Notice::said("The clock shows the system’s time again.")))
}

/// A rule out of the form's fields.
fn rule_asked(visit: &Visit) -> Result<FaultRule, Problem> {
    let action = match visit.field("action") {
        Some("drop_before") => FaultAction::DropBefore,
        Some("drop_after") => FaultAction::DropAfter,
        Some("delay") => FaultAction::Delay,
        Some("answer") => FaultAction::Answer,
        Some(_) | None => return Err(unfit("choose what happens to the requests")),
    };
    let dialect = visit.field("dialect").and_then(|name| name.parse().ok());
    let number = |name: &str| visit.field(name).map(str::parse).transpose();
    Ok(FaultRule {
        dialect: dialect.ok_or_else(|| unfit("choose a dialect"))?,
        endpoint: visit.field("endpoint").map(ToOwned::to_owned),
        action,
        delay_ms: number("delay_ms").map_err(|_| unfit("the delay is a whole number of milliseconds"))?,
        code: visit.field("code").map(ToOwned::to_owned),
        probability: 1.0,
        count: number("count").map_err(|_| unfit("how often it strikes is a whole number"))?,
    })
}

/// `POST /sandbox/faults`.
pub(super) async fn add(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let outcome = match rule_asked(&visit) {
        Ok(rule) => sandbox::add_fault(State(desk), *visit.arrival(), Asked(rule)).await,
        Err(problem) => Err(problem),
    };
    visit.back(HERE, outcome.map(|_added| Notice::said("The rule is in force.")))
}

/// `POST /sandbox/faults/{id}/clear`.
pub(super) async fn clear(State(desk): State<AdminDesk>, Path(id): Path<String>, visit: Visit) -> Response {
    let Ok(id) = id.parse() else {
        return visit.trouble(StatusCode::NOT_FOUND, "There is no such rule", "");
    };
    let outcome = sandbox::clear_fault(State(desk), *visit.arrival(), Named(id)).await;
    visit.back(HERE, outcome.map(|_status| Notice::said("The rule has ended.")))
}
