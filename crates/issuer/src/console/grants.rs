//! Grants, searched by app and customer, and their end.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::ident::{AppId, CustomerId, Scope};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::asked::{Filter, Named};
use mintkeep_web::console::wording::{exact, relative, told};
use mintkeep_web::console::{Notice, Visit};

use super::{ROWS, Standing};
use crate::admin::AdminDesk;
use crate::admin::grants::{self, GrantFilter, GrantState, GrantView};

/// How many scopes of a grant are named.
const SCOPES_SHOWN: usize = 4;

struct Row {
    id: String,
    app: Option<AppId>,
    customer: CustomerId,
    scopes: String,
    standing: Standing,
    made: String,
    made_exact: String,
    end: Option<String>,
    can_be_ended: bool,
}

#[derive(Template)]
#[template(path = "console/grants.html")]
struct GrantsBody<'p> {
    form_token: &'p str,
    app: &'p str,
    customer: &'p str,
    rows: Vec<Row>,
    is_first: bool,
    /// The query of the next page.
    next: Option<String>,
}

/// `GET /grants`.
pub(super) async fn list(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let (app, customer) =
        (visit.field("app").unwrap_or_default(), visit.field("customer").unwrap_or_default());
    let after = visit.field("after").and_then(|after| after.parse().ok());
    let Some((app_id, customer_id)) = wanted(app, customer) else {
        let text = "An id is 1 to 64 characters of A-Z a-z 0-9 . _ -, a customer’s also of : and +.";
        return visit.trouble(StatusCode::NOT_FOUND, "Nothing can have this id", text);
    };
    let now = desk.issuer.now();
    let filter = GrantFilter { app: app_id, customer: customer_id, after, most: Some(ROWS) };
    match grants::list(State(desk), Filter(filter)).await {
        Err(problem) => visit.problem(&problem),
        Ok(Json(page)) => {
            let body = GrantsBody {
                form_token: visit.form_token(),
                app,
                customer,
                rows: page.grants.iter().map(|grant| row_of(grant, now)).collect(),
                is_first: after.is_none(),
                next: page.next.map(|next| query_of(app, customer, Some(&next))),
            };
            visit.page("Grants", &body)
        }
    }
}

/// What is searched for: nothing of an empty field; `None` if nothing can have such an id.
fn wanted(app: &str, customer: &str) -> Option<(Option<AppId>, Option<CustomerId>)> {
    let app = if app.is_empty() { None } else { Some(AppId::parse(app).ok()?) };
    let customer = if customer.is_empty() { None } else { Some(CustomerId::parse(customer).ok()?) };
    Some((app, customer))
}

/// The query of a page of this search.
fn query_of(app: &str, customer: &str, after: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("app", app), ("customer", customer), ("after", after.unwrap_or_default())] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

fn row_of(grant: &GrantView, now: Timestamp) -> Row {
    let (word, class) = match grant.state {
        GrantState::CodeIssued => ("code issued", ""),
        GrantState::CodeExpired => ("code expired", ""),
        GrantState::Active => ("active", "good"),
        GrantState::Expired => ("expired", ""),
        GrantState::Revoked => ("revoked", "bad"),
        GrantState::EndedWithApp => ("ended with its app’s tokens", "bad"),
    };
    let end = match grant.state {
        GrantState::CodeIssued => Some(grant.code_expires_at),
        GrantState::Active => grant.refresh_expires_at.max(grant.access_expires_at),
        GrantState::CodeExpired | GrantState::Expired | GrantState::Revoked | GrantState::EndedWithApp => {
            None
        }
    };
    let names: Vec<&str> = grant.scopes.iter().take(SCOPES_SHOWN).map(Scope::as_str).collect();
    let rest = grant.scopes.len().saturating_sub(SCOPES_SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    Row {
        id: grant.id.clone(),
        app: grant.client_id.clone(),
        customer: grant.customer_id.clone(),
        scopes: format!("{}{more}", names.join(", ")),
        standing: Standing { word, class },
        made: told(grant.made_at),
        made_exact: exact(grant.made_at),
        end: end.map(|end| relative(end, now)),
        can_be_ended: matches!(grant.state, GrantState::CodeIssued | GrantState::Active),
    }
}

/// `POST /grants/{id}/revoke`.
pub(super) async fn revoke(State(desk): State<AdminDesk>, Path(id): Path<String>, visit: Visit) -> Response {
    let query = query_of(
        visit.field("app").unwrap_or_default(),
        visit.field("customer").unwrap_or_default(),
        visit.field("after"),
    );
    let page = if query.is_empty() { "/grants".to_owned() } else { format!("/grants?{query}") };
    let Ok(id) = id.parse() else {
        return visit.trouble(StatusCode::NOT_FOUND, "There is no such grant", "");
    };
    let outcome = grants::revoke(State(desk), *visit.arrival(), Named(id)).await;
    visit.back(&page, outcome.map(|_grant| Notice::said(format!("The grant {id} was revoked."))))
}
