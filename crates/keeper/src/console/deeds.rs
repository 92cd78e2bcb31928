//! What an operator does to a token. Each deed leads back to the token's page, which says what came of it.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::keep::renew::Resolution;
use mintkeep_web::console::{Notice, Visit};
use mintkeep_web::problem::Problem;

use super::{Room, page_of};
use crate::admin_routes::{by, problem_of};

/// How long the page of a deed waits for the platform. The renewal goes on without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// `POST /credentials/{name}/refresh`.
pub(super) async fn refresh_own(room: State<Room>, Path(name): Path<String>, visit: Visit) -> Response {
    refresh(room, (&name, None), &visit).await
}

/// `POST /credentials/{name}/customers/{customer}/refresh`.
pub(super) async fn refresh_customers(
    room: State<Room>,
    Path((name, customer)): Path<(String, String)>,
    visit: Visit,
) -> Response {
    refresh(room, (&name, Some(&customer)), &visit).await
}

async fn refresh(
    State(room): State<Room>,
    (name, customer): (&str, Option<&str>),
    visit: &Visit,
) -> Response {
    let (account, customer) = match room.whose(name, customer) {
        Ok(whose) => whose,
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

/// `POST /credentials/{name}/resolve`.
pub(super) async fn resolve_own(room: State<Room>, Path(name): Path<String>, visit: Visit) -> Response {
    resolve(room, (&name, None), &visit).await
}

/// `POST /credentials/{name}/customers/{customer}/resolve`.
pub(super) async fn resolve_customers(
    room: State<Room>,
    Path((name, customer)): Path<(String, String)>,
    visit: Visit,
) -> Response {
    resolve(room, (&name, Some(&customer)), &visit).await
}

async fn resolve(
    State(room): State<Room>,
    (name, customer): (&str, Option<&str>),
    visit: &Visit,
) -> Response {
    let (account, customer) = match room.whose(name, customer) {
        Ok(whose) => whose,
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
