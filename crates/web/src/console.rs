//! The console: pages on the admin listener for who operates this server.
//!
//! Here is what its rooms share: the [`door`] that asks for the admin token and checks every form, the
//! bounded [`sessions`], the frame around a page, the overview, and how things are worded. The roles bring
//! the rooms themselves, each its own, so that a process with one role shows only that role's.
//!
//! A session belongs to one process: who signed in at one replica is not known to another.

mod assets;
mod door;
mod glance;
mod sessions;
mod visit;
pub mod wording;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use mintkeep_protocol::port::entropy::Entropy;
use mintkeep_protocol::time::Clock;

use crate::admin_token::AdminToken;
use crate::limits::Limits;
use crate::throttle::Throttle;

pub use glance::{Alert, Count, Glance, Seen};
pub use visit::{Notice, Visit};

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
    /// Whether browsers come by TLS.
    pub is_secure: bool,
    /// Of the listener.
    pub limits: Limits,
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
    let hall =
        Hall { parts, sessions: Sessions::default(), wrong_tokens: Throttle::default(), menu, glances };
    let house = House(Arc::new(hall));
    pages
        .merge(Router::new().route("/", get(glance::overview)).with_state(house.clone()))
        .route("/sign-out", post(door::sign_out))
        .route_layer(from_fn_with_state(house.clone(), door::enter))
        .route("/sign-in", get(door::show).post(door::sign_in).with_state(house))
        .merge(assets::router())
}
