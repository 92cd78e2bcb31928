//! The console: pages on the admin listener for whoever operates this server.
//!
//! Here is what its rooms share: the [`door`] that asks for the admin token and checks every form, the
//! [`sessions`], the frame around a page, the overview, the audit, and how things are worded. The roles bring
//! the rooms themselves, each its own, so that a process with one role shows only that role's.
//!
//! Nothing of a visit is kept in the process, so that each page may come from another replica.

mod assets;
mod audit;
mod door;
mod form;
mod glance;
mod seals;
mod sessions;
mod visit;
pub mod wording;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use mintkeep_protocol::port::entropy::Entropy;
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::time::Clock;

use crate::admin_token::AdminToken;
use crate::limits::Limits;
use crate::throttle::Throttle;

pub use form::Form;
pub use glance::{Alert, Count, Glance, Seen};
pub use visit::{Confirm, Notice, Visit, wish};

use sessions::Sessions;

/// A page in the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// What it is called.
    pub text: &'static str,
    /// Its path; pages beneath it belong to it.
    pub path: &'static str,
}

/// What a role brings.
pub struct Rooms {
    /// Its part of the menu.
    pub links: Vec<Link>,
    /// Its pages. Every handler takes a [`Visit`], which only the door makes.
    pub router: Router,
    /// Its part of the overview.
    pub glance: Arc<dyn Glance>,
}

/// What the console's door is made of.
pub struct ConsoleParts {
    /// What signs in.
    pub token: AdminToken,
    /// What sessions are measured by. Not the sandbox's clock: moving it would sign out who moves it.
    pub clock: Arc<dyn Clock>,
    /// What sessions are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// Told which sessions were ended.
    pub store: Arc<dyn IssuerStore>,
    /// Where browsers find it.
    pub place: Place,
    /// Of the listener.
    pub limits: Limits,
}

/// Where browsers find the console.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Whether the listener itself speaks TLS.
    pub has_tls: bool,
    /// Its address as browsers have it, such as `https://admin.example.com`, if something stands before it. Said
    /// by the operator: what a request claims of itself (`X-Forwarded-Proto`) is never believed.
    pub public_url: Option<String>,
}

impl Place {
    /// Whether browsers come by TLS, so that a cookie must never leave without.
    fn is_secure(&self) -> bool {
        self.has_tls || self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// What all pages work with.
#[derive(Clone)]
struct House(Arc<Hall>);

struct Hall {
    parts: ConsoleParts,
    sessions: Sessions,
    /// Wrong tokens, by address. Past the limit no token of that address is looked at for a while.
    wrong_tokens: Throttle<IpAddr>,
    menu: Vec<Link>,
    glances: Vec<Arc<dyn Glance>>,
}

/// The console's routes: sign-in, overview, and the roles' `rooms`, all but the sign-in behind the door.
pub fn router(parts: ConsoleParts, rooms: Vec<Rooms>) -> Router {
    let mut menu = vec![Link { text: "Overview", path: "/" }];
    let mut glances = Vec::new();
    let mut pages = Router::new();
    for room in rooms {
        menu.extend(room.links);
        glances.push(room.glance);
        pages = pages.merge(room.router);
    }
    menu.push(Link { text: "Audit", path: "/audit" });
    let sessions = Sessions::new(&parts.token, Arc::clone(&parts.store));
    let hall = Hall { parts, sessions, wrong_tokens: Throttle::default(), menu, glances };
    let house = House(Arc::new(hall));
    pages
        .merge(
            Router::new()
                .route("/", get(glance::overview))
                .route("/audit", get(audit::list))
                .with_state(house.clone()),
        )
        .route("/sign-out", post(door::sign_out))
        .route_layer(from_fn_with_state(house.clone(), door::enter))
        .route("/sign-in", get(door::show).post(door::sign_in).with_state(house))
        .merge(assets::router())
}
