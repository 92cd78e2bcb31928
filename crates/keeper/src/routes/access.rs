//! Who calls, and whether it may.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, StatusCode};
use mintkeep_protocol::ident::{CredentialName, CustomerId};
use mintkeep_protocol::keep::consumer::{Consumer, Verb};
use mintkeep_protocol::keep::plan::Denial;
use mintkeep_protocol::keep::slot::Trouble;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::problem::Problem;
use mintkeep_web::{auth, body};
use serde::de::DeserializeOwned;

use crate::keeper::Keeper;
use crate::reader::ReadFailure;
use crate::roster::Account;
use crate::shelf::{Kept, Leaf};

/// A caller that has proved itself and may do what it asks.
pub struct Access {
    /// Who.
    pub consumer: Arc<Consumer>,
    /// With which credential.
    pub account: Arc<Account>,
}

impl Access {
    /// Lets a consumer in.
    ///
    /// A credential that it may not use and one that does not exist are answered alike, so nobody learns
    /// the names of others' credentials.
    ///
    /// # Errors
    ///
    /// The [`Problem`] to answer with.
    pub fn grant(
        keeper: &Keeper,
        headers: &HeaderMap,
        (verb, credential): (Verb, &str),
    ) -> Result<Self, Problem> {
        let consumer = auth::bearer(headers)
            .and_then(|key| keeper.consumer_of_key(key.expose()))
            .ok_or_else(|| refuse("unauthorized"))?;
        let account = CredentialName::parse(credential)
            .ok()
            .filter(|name| consumer.may(verb, name))
            .and_then(|name| keeper.account(&name))
            .ok_or_else(|| refuse("forbidden"))?;
        Ok(Self { consumer, account })
    }
}

fn refuse(kind: &'static str) -> Problem {
    metrics::counter!("mintkeep_keeper_refused_total", "kind" => kind).increment(1);
    if kind == "unauthorized" {
        let detail = "send a consumer key that is not revoked: Authorization: Bearer KEY";
        return Problem::unauthorized(kind, "Who are you?", detail, "Bearer realm=\"mintkeep keeper\"");
    }
    let detail = "this consumer may not do this with a credential of this name, if there is one; \
                  an operator grants it by `mintkeep consumer create`";
    Problem::new(StatusCode::FORBIDDEN, kind, "Not for this consumer", detail)
}

/// The customer in a path.
pub(super) fn customer(text: &str) -> Result<CustomerId, Problem> {
    CustomerId::parse(text).map_err(|_| no_such_slot())
}

/// There is nothing by this name.
pub(crate) fn no_such_slot() -> Problem {
    let detail = "the credential has tokens of its own or of its customers, never both; a customer's begin \
                  with POST /v1/exchanges/{credential}";
    Problem::new(StatusCode::NOT_FOUND, "no-such-token", "No such token", detail)
}

/// Why a reader gets no token.
pub(crate) fn not_read(failure: ReadFailure, now: Timestamp) -> Problem {
    match failure {
        ReadFailure::NoSuchSlot => no_such_slot(),
        ReadFailure::Unavailable(denial) => unavailable(denial, now),
    }
}

/// The token of a leaf that was good when it was read: it may have ended in this very millisecond.
pub(crate) fn still_good(leaf: &Leaf, now: Timestamp) -> Result<&Kept, Problem> {
    let because = leaf.upkeep.trouble().unwrap_or(Trouble::Ambiguous);
    leaf.good(now).ok_or_else(|| unavailable(Denial { because, retry_at: Some(now) }, now))
}

/// There is no good token, and when to ask again.
pub(crate) fn unavailable(denial: Denial, now: Timestamp) -> Problem {
    let mut detail = denial.because.to_string();
    if matches!(denial.because, Trouble::RefreshRefused | Trouble::InDoubt | Trouble::Forgotten) {
        detail.push_str(": send the customer through authorization again");
    }
    let problem =
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "token-unavailable", "No valid token now", detail);
    let wait = denial.retry_at.map_or(WAIT_FOR_PEOPLE, |at| at.since(now));
    problem.retry_after(wait.max(Duration::from_secs(1)))
}

/// When only people can help, asking more often than this is of no use.
const WAIT_FOR_PEOPLE: Duration = Duration::from_mins(1);

/// Reads a JSON body.
pub(super) async fn json<T: DeserializeOwned>(keeper: &Keeper, body: Body) -> Result<T, Problem> {
    let bytes = body::read(body, &keeper.settings.limits).await.map_err(|refused| {
        let status = match refused {
            body::BodyRefused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            body::BodyRefused::TooSlow => StatusCode::REQUEST_TIMEOUT,
            body::BodyRefused::Broken => StatusCode::BAD_REQUEST,
        };
        Problem::new(status, "body-refused", "The body was not taken", refused.to_string())
    })?;
    serde_json::from_slice(&bytes).map_err(|_| {
        let detail = "send a JSON object with the fields that the API names, and no others";
        Problem::new(StatusCode::BAD_REQUEST, "body-malformed", "The body is malformed", detail)
    })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::header::RETRY_AFTER;
    use mintkeep_protocol::ident::RecordId;
    use mintkeep_protocol::keep::slot::{Slot, SlotKey};

    use super::*;

    #[test]
    fn a_token_that_ended_while_it_was_handed_out_can_be_asked_for_again_in_a_second() {
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let key = SlotKey { credential: RecordId::from_number(1), customer: None };
        let ended = Leaf::broken(&Slot::empty(key, now), now);
        let answer = still_good(&ended, now).err().unwrap().into_response();
        assert_eq!(
            (answer.status(), &answer.headers()[RETRY_AFTER]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
    }
}
