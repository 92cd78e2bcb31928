//! The audit: who did what, the latest first. The latest thousand lines can be paged through and searched.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use mintkeep_protocol::record::AuditEntry;
use mintkeep_web::asked::Filter;
use mintkeep_web::console::Visit;
use mintkeep_web::console::wording::{clip, exact, told};

use crate::admin::AdminDesk;
use crate::admin::audit::{self, AuditFilter, AuditLine};

/// How many lines are looked at.
const LOOKED_AT: u32 = 1_000;
/// How many lines a page has.
const LINES: usize = 50;
/// How much of an actor or a subject is shown, in characters.
const TEXT_CHARS: usize = 80;

struct Line {
    at: String,
    at_exact: String,
    actor: String,
    action: String,
    subject: String,
    address: String,
    request: String,
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditBody<'p> {
    about: &'p str,
    lines: Vec<Line>,
    is_first: bool,
    next: Option<String>,
    looked_at: u32,
}

/// `GET /audit`.
pub(super) async fn list(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let about = visit.field("about").unwrap_or_default();
    let before: Option<i64> = visit.field("before").and_then(|before| before.parse().ok());
    let latest = audit::tail(State(desk), Filter(AuditFilter { after: None, most: Some(LOOKED_AT) })).await;
    let found = match latest {
        Ok(Json(found)) => found.lines,
        Err(problem) => return visit.problem(&problem),
    };
    let is_wanted = |line: &&AuditLine| {
        before.is_none_or(|before| line.n < before) && (about.is_empty() || is_about(&line.entry, about))
    };
    let mut further = found.iter().rev().filter(is_wanted);
    let shown: Vec<&AuditLine> = further.by_ref().take(LINES).collect();
    let next = further.next().and_then(|_| shown.last()).map(|last| query_of(about, last.n));
    let body = AuditBody {
        about,
        lines: shown.into_iter().map(|line| line_of(&line.entry)).collect(),
        is_first: before.is_none(),
        next,
        looked_at: LOOKED_AT,
    };
    visit.page("Audit", &body)
}

fn query_of(about: &str, before: i64) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !about.is_empty() {
        query.append_pair("about", about);
    }
    query.append_pair("before", &before.to_string()).finish()
}

/// The action as the API writes it, such as `token_minted`.
fn action_of(entry: &AuditEntry) -> String {
    let written = serde_json::to_value(entry.action).unwrap_or_default();
    written.as_str().unwrap_or_default().replace('_', " ")
}

/// Whether a line has this text in what it says, whatever its case.
fn is_about(entry: &AuditEntry, about: &str) -> bool {
    let about = about.to_lowercase();
    let address = entry.address.map(|address| address.to_string()).unwrap_or_default();
    let texts = [entry.actor.as_str(), &action_of(entry), &entry.subject, &address, &entry.request_id];
    texts.iter().any(|text| text.to_lowercase().contains(&about))
}

fn line_of(entry: &AuditEntry) -> Line {
    Line {
        at: told(entry.at),
        at_exact: exact(entry.at),
        actor: clip(&entry.actor, TEXT_CHARS),
        action: action_of(entry),
        subject: clip(&entry.subject, TEXT_CHARS),
        address: entry.address.map_or_else(|| "–".to_owned(), |address| address.to_string()),
        request: clip(&entry.request_id, TEXT_CHARS),
    }
}
