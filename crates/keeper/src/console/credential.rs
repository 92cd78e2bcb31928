//! One credential: where its tokens come from, and the tokens: the app's own, or its customers' by the page.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::ident::{AppId, CredentialName, CustomerId};
use mintkeep_protocol::keep::slot::{Slot, SlotKey};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::browser::see_other;
use mintkeep_web::console::wording::{length, relative, told};
use mintkeep_web::console::{Confirm, Notice, Visit};
use mintkeep_web::listing::next_of;
use mintkeep_web::problem::Problem;

use super::token::TokenBody;
use super::{ROWS, Room, Standing, page_of};
use crate::admin::AdminFailure;
use crate::admin_routes::{by, problem_of};
use crate::roster::Account;

struct Row {
    customer: CustomerId,
    standing: Standing,
    end: Option<String>,
}

/// A page of a credential's customers.
struct Customers {
    rows: Vec<Row>,
    is_first: bool,
    next: Option<CustomerId>,
}

#[derive(Template)]
#[template(path = "console/credential.html")]
struct CredentialBody<'p> {
    name: &'p CredentialName,
    app: &'p AppId,
    dialect: &'static str,
    base_url: &'p str,
    added: String,
    renew_ahead: String,
    daily_limit: String,
    /// The app's own token.
    token: Option<TokenBody<'p>>,
    /// Or its customers'.
    customers: Option<Customers>,
}

/// `GET /credentials/{name}`.
pub(super) async fn show(State(room): State<Room>, Path(name): Path<String>, visit: Visit) -> Response {
    let account = match room.whose(&name, None) {
        Ok((account, _)) => account,
        Err(problem) => return visit.problem(&problem),
    };
    let (token, customers) = if account.is_per_customer() {
        (Ok(None), room.customers(&account, visit.field("after")).await.map(Some))
    } else {
        (room.token(&account, None, &visit).await.map(Some), Ok(None))
    };
    let (token, customers) = match (token, customers) {
        (Ok(token), Ok(customers)) => (token, customers),
        (Err(problem), _) | (_, Err(problem)) => return visit.problem(&problem),
    };
    let (credential, terms) = (&account.credential, &account.terms);
    let body = CredentialBody {
        name: &credential.name,
        app: &credential.app,
        dialect: credential.source.dialect().name(),
        base_url: &credential.base_url,
        added: told(credential.created_at),
        renew_ahead: length(terms.renew_ahead),
        daily_limit: terms.daily_limit.map_or_else(
            || "without end".to_owned(),
            |limit| format!("{limit}, {} of them for emergencies", terms.daily_reserve),
        ),
        token,
        customers,
    };
    visit.page(credential.name.as_str(), &body)
}

impl Room {
    async fn customers(&self, account: &Account, after: Option<&str>) -> Result<Customers, Problem> {
        let credential = account.credential.no;
        let after = after.and_then(|after| CustomerId::parse(after).ok());
        let is_first = after.is_none();
        let after = after.map(|customer| SlotKey { credential, customer: Some(customer) });
        let most = u32::try_from(ROWS).unwrap_or(u32::MAX);
        let slots = self.0.store.slots(Some(credential), after.as_ref(), most).await;
        let slots = slots.map_err(|error| problem_of(&AdminFailure::Store(error)))?;
        let now = self.0.clock.now();
        let rows: Vec<Row> = slots.iter().filter_map(|slot| row_of(slot, now)).collect();
        let next = next_of(&slots, most).and_then(|slot| slot.key.customer.clone());
        Ok(Customers { rows, is_first, next })
    }
}

fn row_of(slot: &Slot, now: Timestamp) -> Option<Row> {
    Some(Row {
        customer: slot.key.customer.clone()?,
        standing: Standing::of(&slot.upkeep, slot.good(now).is_some()),
        end: slot.held.as_ref().map(|held| relative(held.expires_at, now)),
    })
}

/// `GET /credentials/{name}/customers?customer=…`: the search form leads to the customer's page.
pub(super) async fn find_customer(
    State(room): State<Room>,
    Path(name): Path<String>,
    visit: Visit,
) -> Response {
    match room.whose(&name, visit.field("customer")) {
        Ok((account, customer)) => see_other(&page_of(&account.credential.name, customer.as_ref())),
        Err(_unfit) => visit.trouble(
            StatusCode::NOT_FOUND,
            "There is no such customer",
            "A customer’s id is 1 to 64 characters of A-Z a-z 0-9 . _ - : +.",
        ),
    }
}

/// `GET /credentials/{name}/remove`.
pub(super) async fn ask_remove(State(room): State<Room>, Path(name): Path<String>, visit: Visit) -> Response {
    let account = match room.whose(&name, None) {
        Ok((account, _)) => account,
        Err(problem) => return visit.problem(&problem),
    };
    let page = page_of(&account.credential.name, None);
    visit.confirm(&Confirm {
        title: &format!("Remove the credential {name}?"),
        text: "All tokens that are held for it, its customers’ too, are forgotten here at once and for good, and so is what \
               it proves its app by. They are not cancelled at the platform. Servers that ask for them get none.",
        button: "Remove the credential",
        action: &format!("{page}/remove"),
        back: &page,
    })
}

/// `POST /credentials/{name}/remove`: leads to the list.
pub(super) async fn remove(State(room): State<Room>, Path(name): Path<String>, visit: Visit) -> Response {
    let account = match room.whose(&name, None) {
        Ok((account, _)) => account,
        Err(problem) => return visit.problem(&problem),
    };
    let name = &account.credential.name;
    match room.0.remove_credential(name, &by(visit.arrival())).await {
        Ok(()) => visit.back("/credentials", Ok(Notice::said(format!("The credential {name} was removed.")))),
        Err(failure) => visit.back(&page_of(name, None), Err(problem_of(&failure))),
    }
}
