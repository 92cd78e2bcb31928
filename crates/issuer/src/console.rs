//! The issuer's rooms of the console. They call what the admin API calls, and show it as pages.

mod app_deeds;
mod apps;
mod customers;
mod glance;
mod grants;
mod sandbox;
mod services;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use http::StatusCode;
use mintkeep_web::asked::Asked;
use mintkeep_web::console::{Link, Rooms, wish};
use mintkeep_web::problem::Problem;
use serde::de::DeserializeOwned;

use crate::admin::{AdminDesk, Sandbox};
use crate::issuer::Issuer;

/// How many rows a page of a list has. Few enough that a page of the longest names stays below 50 KiB.
const ROWS: u32 = 25;
/// How much of a name a list shows, in characters.
const NAME_CHARS: usize = 60;

/// A state in words, and how it is meant.
struct Standing {
    word: &'static str,
    /// A class of the style: `good`, `bad` or nothing.
    class: &'static str,
}

/// The issuer's rooms. `sandbox`: `None` in production, which then has no page for it.
pub fn rooms(issuer: Arc<Issuer>, sandbox: Option<Sandbox>) -> Rooms {
    let desk = AdminDesk { issuer, sandbox };
    let mut links = vec![
        Link { text: "Apps", path: "/apps" },
        Link { text: "Customers", path: "/customers" },
        Link { text: "Grants", path: "/grants" },
        Link { text: "Services", path: "/services" },
    ];
    let mut router = Router::new()
        .route("/apps", get(apps::list).post(apps::create))
        .route("/apps/{id}", get(apps::show))
        .route("/apps/{id}/enable", post(app_deeds::enable))
        .route("/apps/{id}/disable", post(app_deeds::disable))
        .route("/apps/{id}/rotate-secret", post(app_deeds::rotate_secret))
        .route("/apps/{id}/revoke-tokens", post(app_deeds::revoke_tokens))
        .route("/apps/{id}/delete", get(app_deeds::ask_delete).post(app_deeds::delete))
        .route("/customers", get(customers::list).post(customers::create))
        .route("/customers/{id}", get(customers::show))
        .route("/customers/{id}/status", post(customers::set_status))
        .route("/grants", get(grants::list))
        .route("/grants/{id}/revoke", post(grants::revoke))
        .route("/services", get(services::list).post(services::create));
    if desk.sandbox.is_some() {
        links.push(Link { text: "Sandbox", path: "/sandbox" });
        router = router
            .route("/sandbox", get(sandbox::show))
            .route("/sandbox/clock", post(sandbox::advance))
            .route("/sandbox/clock/reset", post(sandbox::reset))
            .route("/sandbox/faults", post(sandbox::add))
            .route("/sandbox/faults/{id}/clear", post(sandbox::clear));
    }
    Rooms { links, router: router.with_state(desk.clone()), glance: Arc::new(desk) }
}

/// What a form asks, as the API's routes take it.
fn asked<T: DeserializeOwned>(fields: serde_json::Value) -> Result<Asked<T>, Problem> {
    wish(fields).map(Asked)
}

/// A name out of the path.
fn named<T, E>(Path(text): &Path<String>, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, Problem> {
    parse(text).map_err(|_| {
        let detail = "go back and follow a link";
        Problem::new(StatusCode::NOT_FOUND, "no-such-name", "Nothing can have this name", detail)
    })
}
