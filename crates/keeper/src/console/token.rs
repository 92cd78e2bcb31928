//! One token: how it is doing, its life as a plot and as a table, and what can be done to it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::history::{Cause, Ending, HistoryEntry};
use mintkeep_protocol::keep::semantics::Repeat;
use mintkeep_protocol::keep::slot::{Trouble, Upkeep};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::console::Visit;
use mintkeep_web::console::wording::{exact, relative, told};
use mintkeep_web::problem::Problem;
use std::time::Duration;

use super::timeline::{Life, Plot};
use super::{Room, Standing, page_of};
use crate::admin_routes::problem_of;
use crate::roster::Account;
use crate::shelf::Leaf;

/// An instant in both of its forms.
struct Instant {
    exact: String,
    told: String,
    relative: String,
}

impl Instant {
    fn of(at: Timestamp, now: Timestamp) -> Self {
        Self { exact: exact(at), told: told(at), relative: relative(at, now) }
    }
}

/// A line of the story.
struct Line {
    at: Instant,
    what: String,
    cause: String,
    version: String,
    code: Option<String>,
}

/// Everything about one token, for the middle of a page.
#[derive(Template)]
#[template(path = "console/token.html")]
pub(super) struct TokenBody<'p> {
    form_token: &'p str,
    /// The token's page.
    page: String,
    standing: Standing,
    trouble: Option<String>,
    failures: u32,
    version: Option<i64>,
    ends: Option<Instant>,
    refresh_ends: Option<Instant>,
    due: Option<Instant>,
    /// Whether nobody but the operator can decide what becomes of its refresh token.
    is_in_doubt: bool,
    is_renewing: bool,
    plot: Option<Plot>,
    lines: Vec<Line>,
    /// Today's calls by kind.
    calls: Vec<String>,
}

#[derive(Template)]
#[template(path = "console/customer_token.html")]
struct CustomerTokenBody<'p> {
    credential: &'p str,
    customer: &'p CustomerId,
    token: TokenBody<'p>,
}

/// `GET /credentials/{name}/customers/{customer}`.
pub(super) async fn show_customers(
    State(room): State<Room>,
    Path((name, customer)): Path<(String, String)>,
    visit: Visit,
) -> Response {
    let (account, customer) = match room.whose(&name, Some(&customer)) {
        Ok((account, Some(customer))) => (account, customer),
        Ok((_, None)) => return visit.trouble(StatusCode::NOT_FOUND, "There is no such customer", ""),
        Err(problem) => return visit.problem(&problem),
    };
    if room.0.leaf(&account, Some(&customer)).is_none() {
        let text =
            "Nothing is held for this customer under this credential. Their code was never exchanged here.";
        return visit.trouble(StatusCode::NOT_FOUND, "No token of this customer", text);
    }
    match room.token(&account, Some(&customer), &visit).await {
        Ok(token) => {
            let title = format!("{name} / {customer}");
            visit.page(&title, &CustomerTokenBody { credential: &name, customer: &customer, token })
        }
        Err(problem) => visit.problem(&problem),
    }
}

impl Room {
    /// What is told of a token.
    pub(super) async fn token<'p>(
        &self,
        account: &Account,
        customer: Option<&CustomerId>,
        visit: &'p Visit,
    ) -> Result<TokenBody<'p>, Problem> {
        let story = self.0.explain(account, customer).await.map_err(|failure| problem_of(&failure))?;
        let now = self.0.clock.now();
        let leaf = story.leaf.as_deref();
        let kept = leaf.and_then(|leaf| leaf.kept.as_ref());
        let upkeep = leaf.map(|leaf| &leaf.upkeep);
        let instant = |at: Timestamp| Instant::of(at, now);
        let due_at = leaf.and_then(|leaf| self.0.next_look(&leaf.key, &leaf.upkeep));
        let life = Life {
            history: &story.history,
            kept: kept.map(|kept| (kept.version, kept.obtained_at, kept.expires_at)),
            due_at,
            overlap: overlap_of(account),
        };
        let limit = story.daily_limit;
        let own_kind = account.terms.semantics.kind;
        let calls = story.calls.iter().map(|(kind, count)| match limit {
            Some(limit) if *kind == own_kind => format!("{}: {count} of {limit}", kind.name()),
            _ => format!("{}: {count}", kind.name()),
        });
        Ok(TokenBody {
            form_token: visit.form_token(),
            page: page_of(&account.credential.name, customer),
            standing: standing_of(leaf, now),
            trouble: upkeep.and_then(Upkeep::trouble).map(|trouble| trouble.to_string()),
            failures: leaf.map_or(0, |leaf| leaf.failures),
            version: kept.map(|kept| kept.version.0),
            ends: kept.map(|kept| instant(kept.expires_at)),
            refresh_ends: kept.and_then(|kept| kept.refresh_expires_at).map(instant),
            due: due_at.map(instant),
            is_in_doubt: matches!(upkeep, Some(Upkeep::NeedsOperator { because: Trouble::InDoubt, .. })),
            is_renewing: matches!(upkeep, Some(Upkeep::Renewing { .. })),
            plot: Plot::of(&life, now),
            lines: story.history.iter().map(|entry| line_of(entry, now)).collect(),
            calls: calls.collect(),
        })
    }
}

fn standing_of(leaf: Option<&Leaf>, now: Timestamp) -> Standing {
    leaf.map_or(Standing { word: "not asked for yet", class: "" }, |leaf| {
        Standing::of(&leaf.upkeep, leaf.good(now).is_some())
    })
}

/// How long a replaced token lives on, as far as its platform's page says.
const fn overlap_of(account: &Account) -> Duration {
    match account.terms.semantics.repeat {
        Repeat::Supersedes { overlap } => overlap,
        Repeat::SameUntil { last } => last,
        Repeat::Extends | Repeat::OneTime => Duration::ZERO,
    }
}

fn line_of(entry: &HistoryEntry, now: Timestamp) -> Line {
    let what = match entry.ending {
        Ending::Renewed => "a new token".to_owned(),
        Ending::Same => "the same token again".to_owned(),
        Ending::Failed { trouble } => format!("failed: {trouble}"),
        Ending::Resolved => "settled what was in doubt".to_owned(),
        Ending::Forgotten => "forgotten on request".to_owned(),
    };
    let cause = match &entry.cause {
        Cause::Timetable => "timetable".to_owned(),
        Cause::Operator => "operator".to_owned(),
        Cause::Read { consumer: None } => "a read".to_owned(),
        Cause::Read { consumer: Some(consumer) } => format!("a read of {consumer}"),
        Cause::Report { consumer } => format!("a report of {consumer}"),
        Cause::Exchange { consumer } => format!("a code’s exchange by {consumer}"),
    };
    Line {
        at: Instant::of(entry.at, now),
        what,
        cause,
        version: entry.version.map_or_else(|| "none".to_owned(), |version| version.0.to_string()),
        code: entry.code.clone(),
    }
}
