//! The callers that are no app: resource servers and wallets.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use mintkeep_protocol::ident::ServiceId;
use mintkeep_protocol::record::ServiceRole;
use mintkeep_web::asked::Filter;
use mintkeep_web::console::{Notice, Visit};
use serde_json::json;

use super::{ROWS, asked};
use crate::admin::AdminDesk;
use crate::admin::services::{self, ServiceFilter};

struct Row {
    id: ServiceId,
    role: &'static str,
    vouches: bool,
}

#[derive(Template)]
#[template(path = "console/services.html")]
struct ServicesBody<'p> {
    form_token: &'p str,
    rows: Vec<Row>,
    is_first: bool,
    next: Option<ServiceId>,
}

const fn role_of(role: ServiceRole) -> &'static str {
    match role {
        ServiceRole::ResourceServer => "resource server",
        ServiceRole::Wallet => "wallet",
    }
}

/// `GET /services`.
pub(super) async fn list(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let after = visit.field("after").and_then(|after| ServiceId::parse(after).ok());
    let is_first = after.is_none();
    match services::list(State(desk), Filter(ServiceFilter { after, most: Some(ROWS) })).await {
        Err(problem) => visit.problem(&problem),
        Ok(Json(page)) => {
            let rows = page.services.into_iter().map(|service| Row {
                role: role_of(service.role),
                vouches: service.assertion_key_pem.is_some(),
                id: service.id,
            });
            let form_token = visit.form_token();
            visit.page(
                "Services",
                &ServicesBody { form_token, rows: rows.collect(), is_first, next: page.next },
            )
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
        Ok(asked) => services::create(State(desk), *visit.arrival(), asked).await,
    };
    let outcome = made.map(|(_, Json(made))| {
        let text = format!("The service {} was made.", made.service.id);
        Notice::said(text).with_secret("Its secret", made.secret)
    });
    visit.back("/services", outcome)
}
