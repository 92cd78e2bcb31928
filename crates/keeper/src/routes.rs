//! The keeper's listener: tokens, reports, exchanges and customers for a company's other servers.

mod access;
mod customers;
mod exchanges;
mod tokens;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{any, get, post};
use http::{Method, Uri};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::problem::wrong_method;
use mintkeep_web::shortcut::{Answering, Request, Shortcut};
use mintkeep_web::tasks::Tasks;

pub use access::Access;
pub(crate) use access::{not_read, still_good, unavailable};
pub use tokens::TokenBody;

use self::watch::WatchDesk;
use crate::dropin::{self, DropIn};
use crate::keeper::Keeper;
use crate::proxy::{self, Onward, Proxy};
use crate::relay::{self, Relay};

/// What the keeper's listener has beside the keeper.
pub struct ListenerParts {
    /// The drop-in endpoints.
    pub drop_in: Arc<DropIn>,
    /// The proxy's way to the platforms.
    pub onward: Arc<dyn Onward>,
    /// The listener's own tasks: watching ends when they begin to stop.
    pub tasks: Tasks,
    /// How often a watcher hears something at least: [`WATCH_BEAT_EVERY`].
    pub watch_beat_every: Duration,
}

/// How often a watcher hears something, so that nobody between takes the connection for dead.
pub const WATCH_BEAT_EVERY: Duration = Duration::from_secs(15);

/// All routes of the keeper's listener: our own API under `/v1`, the proxy, the drop-in endpoints, and calls that
/// client libraries make with what these gave them.
pub fn router(keeper: Arc<Keeper>, parts: ListenerParts) -> Router {
    let watching =
        WatchDesk { keeper: Arc::clone(&keeper), tasks: parts.tasks, beat_every: parts.watch_beat_every };
    let watching = Router::new().route("/v1/watch", get(watch::watch)).with_state(watching);
    let proxy = Proxy { keeper: Arc::clone(&keeper), onward: parts.onward };
    let relay = Relay { drop_in: parts.drop_in, proxy: proxy.clone() };
    let relay = Router::new().fallback(relay::endpoints).with_state(relay);
    let proxy = Router::new().route("/proxy/{*rest}", any(proxy::forward)).with_state(proxy);
    Router::new()
        .route("/v1/tokens/{credential}", get(tokens::read_own))
        .route("/v1/tokens/{credential}/report", post(tokens::report_own))
        .route("/v1/tokens/{credential}/{customer}", get(tokens::read_customers).delete(customers::forget))
        .route("/v1/tokens/{credential}/{customer}/report", post(tokens::report_customers))
        .route("/v1/exchanges/{credential}", post(exchanges::exchange))
        .route("/v1/customers/{credential}", get(customers::list))
        .with_state(keeper)
        .merge(watching)
        .method_not_allowed_fallback(wrong_method)
        .merge(proxy)
        .merge(relay)
}

/// What of these routes the keeper's listener serves past the router: plain reads of a credential's own token, and
/// the drop-in endpoints.
#[must_use]
pub fn shortcut(keeper: Arc<Keeper>, drop_in: Arc<DropIn>) -> Arc<dyn Shortcut> {
    Arc::new(Busiest { keeper, drop_in })
}

struct Busiest {
    keeper: Arc<Keeper>,
    drop_in: Arc<DropIn>,
}

impl Shortcut for Busiest {
    fn takes(&self, method: &Method, uri: &Uri) -> bool {
        tokens::plainly_read(method, uri).is_some() || dropin::hands_out(uri.path())
    }

    fn answer(&self, request: Request, arrival: Arrival) -> Answering {
        if tokens::plainly_read(request.method(), request.uri()).is_some() {
            Box::pin(tokens::read_plainly(Arc::clone(&self.keeper), request))
        } else {
            Box::pin(dropin::endpoints(State(Arc::clone(&self.drop_in)), arrival, request))
        }
    }
}
