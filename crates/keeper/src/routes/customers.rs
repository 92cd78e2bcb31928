//! `/v1/customers`, and forgetting one.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use http::{HeaderMap, StatusCode};
use mintkeep_protocol::dialect::alipay::format_instant;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::keep::slot::{Slot, SlotKey, TokenVersion, Trouble, Upkeep};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::listing::next_of;
use mintkeep_web::problem::Problem;
use serde::{Deserialize, Serialize};

use super::access::{Access, customer};
use crate::admin::{AdminFailure, By};
use crate::keeper::{Keeper, store_trouble};

/// How many customers one answer lists at most.
const CUSTOMERS_MAX: u32 = 1_000;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    /// The last customer of the page before.
    after: Option<CustomerId>,
}

#[derive(Serialize)]
pub(super) struct CustomerList {
    customers: Vec<CustomerLine>,
    /// What to pass as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<CustomerId>,
}

#[derive(Serialize)]
struct CustomerLine {
    customer_id: CustomerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<TokenVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    state: &'static str,
}

pub(super) async fn list(
    State(keeper): State<Arc<Keeper>>,
    Path(credential): Path<String>,
    query: Result<Query<ListQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<CustomerList>, Problem> {
    let access = Access::grant(&keeper, &headers, (Verb::Read, &credential))?;
    let Query(query) = query.map_err(|_| {
        let detail = "after is the last customer_id of the page before";
        Problem::new(StatusCode::BAD_REQUEST, "query-malformed", "The query is malformed", detail)
    })?;
    let no = access.account.credential.no;
    let after = query.after.map(|customer| SlotKey { credential: no, customer: Some(customer) });
    let slots = keeper.store.slots(Some(no), after.as_ref(), CUSTOMERS_MAX).await;
    let slots = slots.map_err(|error| store_problem(store_trouble(&error)))?;
    let next = next_of(&slots, CUSTOMERS_MAX).and_then(|slot| slot.key.customer.clone());
    Ok(Json(CustomerList { customers: slots.into_iter().filter_map(line).collect(), next }))
}

/// A customer that was forgotten is not listed.
fn line(slot: Slot) -> Option<CustomerLine> {
    let state = match slot.upkeep {
        Upkeep::NeedsConsent { because: Trouble::Forgotten, .. } => return None,
        Upkeep::NeedsConsent { .. } => "needs_consent",
        Upkeep::NeedsOperator { .. } => "needs_operator",
        Upkeep::Idle { .. } | Upkeep::Renewing { .. } | Upkeep::Backoff { .. } => "kept",
    };
    Some(CustomerLine {
        customer_id: slot.key.customer?,
        version: slot.held.as_ref().map(|held| held.version),
        expires_at: slot.held.as_ref().map(|held| format_instant(held.expires_at, 0)),
        state,
    })
}

pub(super) async fn forget(
    State(keeper): State<Arc<Keeper>>,
    Path((credential, customer_id)): Path<(String, String)>,
    headers: HeaderMap,
    arrival: Arrival,
) -> Result<StatusCode, Problem> {
    let access = Access::grant(&keeper, &headers, (Verb::Forget, &credential))?;
    let customer = customer(&customer_id)?;
    let by = By::consumer(&access.consumer, &arrival);
    match keeper.forget(&access.account, &customer, (&access.consumer.name, &by)).await {
        // Forgetting what is not there is done already.
        Ok(()) | Err(AdminFailure::NotFound) => Ok(StatusCode::NO_CONTENT),
        Err(AdminFailure::Store(error)) => Err(store_problem(store_trouble(&error))),
        Err(_contended) => Err(store_problem(Trouble::Store)),
    }
}

fn store_problem(trouble: Trouble) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "Not now", trouble.to_string())
        .retry_after(std::time::Duration::from_secs(2))
}
