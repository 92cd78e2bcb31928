//! Customers, found by their id: the store holds millions and lists none.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::record::CustomerStatus;
use mintkeep_web::asked::{Asked, Named};
use mintkeep_web::browser::see_other;
use mintkeep_web::console::wording::clip;
use mintkeep_web::console::{Notice, Visit};

use super::{NAME_CHARS, Standing, named};
use crate::admin::customers::{self, CustomerPut, CustomerView};
use crate::admin::{AdminDesk, unfit};

/// How much of a profile's text is shown, in characters.
const PROFILE_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "console/customers.html")]
struct CustomersBody;

#[derive(Template)]
#[template(path = "console/customer.html")]
struct CustomerBody<'p> {
    form_token: &'p str,
    id: &'p CustomerId,
    standing: Standing,
    is_active: bool,
    profile: Vec<(&'static str, String)>,
}

/// `GET /customers[?id=…]`: the search form, which leads to the customer's page.
pub(super) async fn find(visit: Visit) -> Response {
    match visit.field("id").map(CustomerId::parse) {
        None => visit.page("Customers", &CustomersBody),
        Some(Ok(id)) => see_other(&format!("/customers/{id}")),
        Some(Err(_)) => visit.trouble(
            StatusCode::NOT_FOUND,
            "Nobody can have this id",
            "A customer’s id is 1 to 64 characters of A-Z a-z 0-9 . _ - : +.",
        ),
    }
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
    let (word, class) = match customer.status {
        CustomerStatus::Active => ("active", "good"),
        CustomerStatus::Frozen => ("frozen", "bad"),
        CustomerStatus::Deleted => ("deleted", "bad"),
    };
    CustomerBody {
        form_token,
        id: &customer.id,
        standing: Standing { word, class },
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
