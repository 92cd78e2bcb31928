//! What an operator does to a token. Each deed leads back to the token's page, which says what came of it.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::keep::renew::Resolution;
use mintkeep_web::console::{Notice, Visit};
use mintkeep_web::problem::Problem;
use serde::Deserialize;

use super::{Room, page_of};
use crate::admin_routes::{by, problem_of};

/// How long the page of a deed waits for the platform. The renewal goes on without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whose token a path names: the credential's own, or a customer's.
#[derive(Deserialize)]
pub(super) struct Whose {
    name: String,
    #[serde(default)]
    customer: Option<String>,
}

/// `POST …/refresh`.
pub(super) async fn refresh(State(room): State<Room>, Path(whose): Path<Whose>, visit: Visit) -> Response {
    let (account, customer) = match room.whose(&whose.name, whose.customer.as_deref()) {
        Ok(found) => found,
        Err(problem) => return visit.problem(&problem),
    };
    let renewed = tokio::time::timeout(PATIENCE, room.0.refresh(&account, customer.as_ref())).await;
    let outcome = match renewed {
        Ok(renewed) => renewed
            .map(|_leaf| Notice::said("The token was renewed."))
            .map_err(|failure| problem_of(&failure)),
        Err(_elapsed) => {
            Ok(Notice::said("The platform is slow to answer. The renewal goes on; open this page again."))
        }
    };
    visit.back(&page_of(&account.credential.name, customer.as_ref()), outcome)
}

/// `POST …/resolve`.
pub(super) async fn resolve(State(room): State<Room>, Path(whose): Path<Whose>, visit: Visit) -> Response {
    let (account, customer) = match room.whose(&whose.name, whose.customer.as_deref()) {
        Ok(found) => found,
        Err(problem) => return visit.problem(&problem),
    };
    let (resolution, said) = match visit.field("decision") {
        Some("present_again") => (Resolution::PresentAgain, "The refresh token is presented once more."),
        Some("ask_consent") => {
            (Resolution::AskConsent, "The refresh token is given up: the customer must authorize anew.")
        }
        Some(_) | None => {
            let unfit = Problem::new(
                StatusCode::BAD_REQUEST,
                "unfit",
                "Nothing was decided",
                "choose one of the two",
            );
            return visit.back(&page_of(&account.credential.name, customer.as_ref()), Err(unfit));
        }
    };
    let resolved = room.0.resolve(&account, customer.as_ref(), (resolution, &by(visit.arrival()))).await;
    let outcome = resolved.map(|()| Notice::said(said)).map_err(|failure| problem_of(&failure));
    visit.back(&page_of(&account.credential.name, customer.as_ref()), outcome)
}
