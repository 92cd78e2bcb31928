//! The callers that are no app: resource servers and wallets.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use mintkeep_protocol::ident::ServiceId;
use mintkeep_protocol::record::ServiceRole;
use mintkeep_web::asked::Filter;
use mintkeep_web::console::{Form, Notice, Visit};
use serde_json::json;

use super::{ROWS, asked};
use crate::admin::services;
use crate::admin::{AdminDesk, PageFilter};

struct Row {
    id: ServiceId,
    role: &'static str,
    vouches: bool,
}

#[derive(Template)]
#[template(path = "console/services.html")]
struct ServicesBody<'p> {
    form: &'p Form<'p>,
    rows: Vec<Row>,
    is_first: bool,
    next: Option<ServiceId>,
}

/// The fields of the form that makes a service.
const FIELDS: [&str; 3] = ["assertion_key_pem", "role", "id"];

const fn role_of(role: ServiceRole) -> &'static str {
    match role {
        ServiceRole::ResourceServer => "resource server",
        ServiceRole::Wallet => "wallet",
    }
}

/// `GET /services`.
pub(super) async fn list(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let after = visit.field("after").and_then(|after| ServiceId::parse(after).ok());
    listed(desk, &visit, (after, &Form::new(&visit))).await
}

async fn listed(desk: AdminDesk, visit: &Visit, (after, form): (Option<ServiceId>, &Form<'_>)) -> Response {
    let is_first = after.is_none();
    match services::list(State(desk), Filter(PageFilter { after, most: Some(ROWS) })).await {
        Err(problem) => visit.problem(&problem),
        Ok(Json(page)) => {
            let rows = page.services.into_iter().map(|service| Row {
                role: role_of(service.role),
                vouches: service.assertion_key_pem.is_some(),
                id: service.id,
            });
            let body = ServicesBody { form, rows: rows.collect(), is_first, next: page.next };
            visit.form_page("Services", &body, form)
        }
    }
}

/// `POST /services`.
pub(super) async fn create(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let fields = json!({
        "id": visit.field("id"),
        "role": visit.field("role"),
        "assertion_key_pem": visit.field("assertion_key_pem"),
        "replace": visit.field("replace") == Some("yes"),
    });
    let made = match asked(fields) {
        Err(problem) => Err(problem),
        Ok(asked) => services::create(State(desk.clone()), *visit.arrival(), asked).await,
    };
    match made {
        Err(problem) => listed(desk, &visit, (None, &Form::refused(&visit, &problem, &FIELDS))).await,
        Ok((_, Json(made))) => {
            let text = format!("The service {} was made.", made.service.id);
            visit.back("/services", Ok(Notice::said(text).with_secret("Its secret", made.secret)))
        }
    }
}
