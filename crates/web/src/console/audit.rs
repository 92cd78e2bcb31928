//! The audit: who did what, the latest first, page by page as far back as it is kept.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::record::AuditEntry;

use super::wording::{clip, exact, told};
use super::{House, Visit};

/// How many lines one page looks at. A search that finds fewer goes on with a link: no index bears it, and no page
/// reads the whole audit.
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
    /// The query of the page before this one in time; `None`: this is the first that is kept.
    older: Option<String>,
    /// Since when the lines were looked at.
    since: Option<String>,
}

/// `GET /audit`.
pub(super) async fn list(State(house): State<House>, visit: Visit) -> Response {
    let about = visit.field("about").unwrap_or_default();
    let before: Option<i64> = visit.field("before").and_then(|before| before.parse().ok());
    let found = match house.0.parts.store.audit_before(before, LOOKED_AT).await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "the console could not read the audit");
            let text = "The store does not answer. Nothing is lost; look again in a while.";
            return visit.trouble(StatusCode::SERVICE_UNAVAILABLE, "Not now", text);
        }
    };
    let mut wanted = found.iter().filter(|(_, entry)| about.is_empty() || is_about(entry, about));
    let shown: Vec<&(i64, AuditEntry)> = wanted.by_ref().take(LINES).collect();
    let goes_on = u32::try_from(found.len()).is_ok_and(|found| found >= LOOKED_AT);
    let last = if wanted.next().is_some() { shown.last().copied() } else { found.last().filter(|_| goes_on) };
    let body = AuditBody {
        about,
        lines: shown.iter().map(|(_, entry)| line_of(entry)).collect(),
        is_first: before.is_none(),
        older: last.map(|(n, _)| query_of(about, *n)),
        since: last.map(|(_, entry)| told(entry.at)),
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
