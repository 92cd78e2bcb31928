//! The keeper's rooms of the console. They call what its admin API calls, and show it as pages.

mod consumers;
mod credential;
mod credentials;
mod deeds;
mod glance;
mod timeline;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use mintkeep_protocol::ident::{CredentialName, CustomerId};
use mintkeep_protocol::keep::slot::Upkeep;
use mintkeep_web::console::{Link, Rooms};
use mintkeep_web::problem::Problem;

use crate::admin::AdminFailure;
use crate::admin_routes::problem_of;
use crate::keeper::Keeper;
use crate::roster::Account;

/// How many rows a page of a list has. Few enough that a page of the longest names stays below 50 KiB.
const ROWS: usize = 25;

/// What the pages work on.
#[derive(Clone)]
struct Room(Arc<Keeper>);

/// A state in words, and how it is meant.
struct Standing {
    word: &'static str,
    /// A class of the style: `good`, `bad` or nothing.
    class: &'static str,
}

impl Standing {
    /// How a token is doing.
    const fn of(upkeep: &Upkeep, is_good: bool) -> Self {
        let (word, class) = match upkeep {
            Upkeep::Idle { .. } if is_good => ("good", "good"),
            Upkeep::Idle { .. } => ("due", ""),
            Upkeep::Renewing { .. } => ("being renewed", ""),
            Upkeep::Backoff { .. } => ("renewals fail", "bad"),
            Upkeep::NeedsConsent { .. } => ("needs consent", "bad"),
            Upkeep::NeedsOperator { .. } => ("needs you", "bad"),
        };
        Self { word, class }
    }
}

/// The keeper's rooms.
pub fn rooms(keeper: Arc<Keeper>) -> Rooms {
    let room = Room(keeper);
    let links = vec![
        Link { text: "Credentials", path: "/credentials" },
        Link { text: "Consumers", path: "/consumers" },
    ];
    let router = Router::new()
        .route("/consumers", get(consumers::list).post(consumers::create))
        .route("/consumers/{name}/revoke", get(consumers::ask_revoke).post(consumers::revoke))
        .route("/credentials", get(credentials::list).post(credentials::add))
        .route("/credentials/{name}", get(credential::show))
        .route("/credentials/{name}/remove", get(credential::ask_remove).post(credential::remove))
        .route("/credentials/{name}/refresh", post(deeds::refresh))
        .route("/credentials/{name}/resolve", post(deeds::resolve))
        .route("/credentials/{name}/customers", get(credential::find_customer))
        .route("/credentials/{name}/customers/{customer}", get(token::show_customers))
        .route("/credentials/{name}/customers/{customer}/refresh", post(deeds::refresh))
        .route("/credentials/{name}/customers/{customer}/resolve", post(deeds::resolve));
    Rooms { links, router: router.with_state(room.clone()), glance: Arc::new(room) }
}

/// The page of a token.
fn page_of(name: &CredentialName, customer: Option<&CustomerId>) -> String {
    match customer {
        None => format!("/credentials/{name}"),
        Some(customer) => format!("/credentials/{name}/customers/{customer}"),
    }
}

impl Room {
    /// The account and the customer that a path names.
    fn whose(
        &self,
        name: &str,
        customer: Option<&str>,
    ) -> Result<(Arc<Account>, Option<CustomerId>), Problem> {
        let unknown = || problem_of(&AdminFailure::NotFound);
        let name = CredentialName::parse(name).map_err(|_| unknown())?;
        let account = self.0.account(&name).ok_or_else(unknown)?;
        let customer = customer.map(CustomerId::parse).transpose().map_err(|_| unknown())?;
        Ok((account, customer))
    }
}
