//! Customers: found by their id, or page by page.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::record::CustomerStatus;
use mintkeep_web::asked::{Asked, Filter, Named};
use mintkeep_web::browser::see_other;
use mintkeep_web::console::wording::clip;
use mintkeep_web::console::{Form, Notice, Visit};
use mintkeep_web::problem::{Problem, unfit};
use serde_json::json;

use super::{NAME_CHARS, ROWS, Standing, asked, named};
use crate::admin::customers::{self, CustomerPut, CustomerView};
use crate::admin::{AdminDesk, PageFilter};

/// The fields of the form that makes a customer.
const FIELDS: [&str; 2] = ["id", "nick_name"];
/// What an id looks like.
const ID_FORM: &str = "A customer’s id is 1 to 64 characters of A-Z a-z 0-9 . _ - : +.";
/// How much of a profile's text is shown, in characters.
const PROFILE_CHARS: usize = 200;

struct Row {
    id: CustomerId,
    name: Option<String>,
    standing: Standing,
}

#[derive(Template)]
#[template(path = "console/customers.html")]
struct CustomersBody<'p> {
    form: &'p Form<'p>,
    rows: Vec<Row>,
    is_first: bool,
    next: Option<CustomerId>,
}

#[derive(Template)]
#[template(path = "console/customer.html")]
struct CustomerBody<'p> {
    form_token: &'p str,
    id: &'p CustomerId,
    standing: Standing,
    is_active: bool,
    profile: Vec<(&'static str, String)>,
}

/// `GET /customers`: page by page; with `?id=…` the search form leads to the customer's page.
pub(super) async fn list(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    match visit.field("id").map(CustomerId::parse) {
        None => {}
        Some(Ok(id)) => return see_other(&format!("/customers/{id}")),
        Some(Err(_)) => return visit.trouble(StatusCode::NOT_FOUND, "Nobody can have this id", ID_FORM),
    }
    let after = visit.field("after").and_then(|after| CustomerId::parse(after).ok());
    listed(desk, &visit, (after, &Form::new(&visit))).await
}

async fn listed(desk: AdminDesk, visit: &Visit, (after, form): (Option<CustomerId>, &Form<'_>)) -> Response {
    let is_first = after.is_none();
    match customers::list(State(desk), Filter(PageFilter { after, most: Some(ROWS) })).await {
        Err(problem) => visit.problem(&problem),
        Ok(Json(page)) => {
            let rows = page.customers.into_iter().map(|customer| Row {
                name: customer.profile.nick_name.map(|name| clip(&name, NAME_CHARS)),
                standing: standing_of(customer.status),
                id: customer.id,
            });
            let body = CustomersBody { form, rows: rows.collect(), is_first, next: page.next };
            visit.form_page("Customers", &body, form)
        }
    }
}

/// `POST /customers`: leads to the new customer's page.
pub(super) async fn create(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    match made(&desk, &visit).await {
        Err(problem) => listed(desk, &visit, (None, &Form::refused(&visit, &problem, &FIELDS))).await,
        Ok(id) => visit.back(&format!("/customers/{id}"), Ok(Notice::said("The customer was made."))),
    }
}

/// Makes a customer, and never puts one in another's place.
async fn made(desk: &AdminDesk, visit: &Visit) -> Result<CustomerId, Problem> {
    let id = CustomerId::parse(visit.field("id").unwrap_or_default())
        .map_err(|_| unfit(format!("id: {ID_FORM}")))?;
    match customers::show(State(desk.clone()), Named(id.clone())).await {
        Err(problem) if problem.status == StatusCode::NOT_FOUND => {}
        Err(problem) => return Err(problem),
        Ok(_known) => {
            let (title, detail) =
                ("There is a customer of this id", "Nothing was changed. Choose another id.");
            return Err(Problem::new(StatusCode::CONFLICT, "id-taken", title, detail));
        }
    }
    let fields = match visit.field("nick_name") {
        None => json!({}),
        Some(name) => json!({ "profile": { "nick_name": name } }),
    };
    let Json(_customer) =
        customers::put(State(desk.clone()), *visit.arrival(), Named(id.clone()), asked(fields)?).await?;
    Ok(id)
}

/// `GET /customers/{id}`.
pub(super) async fn show(State(desk): State<AdminDesk>, path: Path<String>, visit: Visit) -> Response {
    let id = match named(&path, CustomerId::parse) {
        Ok(id) => id,
        Err(problem) => return visit.problem(&problem),
    };
    match customers::show(State(desk), Named(id)).await {
        Err(problem) => visit.problem(&problem),
        Ok(Json(customer)) => {
            let body = body_of(&customer, visit.form_token());
            visit.page(customer.id.as_str(), &body)
        }
    }
}

const fn standing_of(status: CustomerStatus) -> Standing {
    let (word, class) = match status {
        CustomerStatus::Active => ("active", "good"),
        CustomerStatus::Frozen => ("frozen", "bad"),
        CustomerStatus::Deleted => ("deleted", "bad"),
    };
    Standing { word, class }
}

fn body_of<'p>(customer: &'p CustomerView, form_token: &'p str) -> CustomerBody<'p> {
    let profile = &customer.profile;
    let texts = [
        ("Name", &profile.nick_name, NAME_CHARS),
        ("Picture", &profile.avatar, PROFILE_CHARS),
        ("Gender", &profile.gender, NAME_CHARS),
        ("Country", &profile.nationality, NAME_CHARS),
    ];
    let told =
        texts.into_iter().filter_map(|(what, text, chars)| Some((what, clip(text.as_deref()?, chars))));
    CustomerBody {
        form_token,
        id: &customer.id,
        standing: standing_of(customer.status),
        is_active: customer.status == CustomerStatus::Active,
        profile: told.collect(),
    }
}

/// `POST /customers/{id}/status`: freezes a customer, or lets them grant again. The profile stays.
pub(super) async fn set_status(State(desk): State<AdminDesk>, path: Path<String>, visit: Visit) -> Response {
    let id = match named(&path, CustomerId::parse) {
        Ok(id) => id,
        Err(problem) => return visit.problem(&problem),
    };
    let page = format!("/customers/{id}");
    let wanted = match visit.field("status") {
        Some("active") => Some((CustomerStatus::Active, "The customer is active.")),
        Some("frozen") => {
            Some((CustomerStatus::Frozen, "The customer is frozen: no grant about them is good."))
        }
        Some(_) | None => None,
    };
    let Some((status, said)) = wanted else {
        return visit.back(&page, Err(unfit("status must be active or frozen")));
    };
    let present = customers::show(State(desk.clone()), Named(id.clone())).await;
    let outcome = match present {
        Err(problem) => Err(problem),
        Ok(Json(CustomerView { profile, .. })) => {
            let asked = Asked(CustomerPut { status, profile });
            customers::put(State(desk), *visit.arrival(), Named(id), asked).await
        }
    };
    visit.back(&page, outcome.map(|_customer| Notice::said(said)))
}
