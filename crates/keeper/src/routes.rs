//! The keeper's plain API: tokens, reports, exchanges and customers for a company's other servers.

mod access;
mod customers;
mod exchanges;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub use access::Access;
pub(crate) use access::unavailable;
pub use tokens::TokenBody;

use crate::keeper::Keeper;

/// All routes under `/v1`. What else a listener serves is merged beside them.
pub fn router(keeper: Arc<Keeper>) -> Router {
    Router::new()
        .route("/v1/tokens/{credential}", get(tokens::read_own))
        .route("/v1/tokens/{credential}/report", post(tokens::report_own))
        .route("/v1/tokens/{credential}/{customer}", get(tokens::read_customers).delete(customers::forget))
        .route("/v1/tokens/{credential}/{customer}/report", post(tokens::report_customers))
        .route("/v1/exchanges/{credential}", post(exchanges::exchange))
        .route("/v1/customers/{credential}", get(customers::list))
        .with_state(keeper)
}
