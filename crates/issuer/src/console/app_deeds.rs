//! What an operator does to an app. Each deed leads back to the app's page, which says what came of it.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use mintkeep_protocol::ident::AppId;
use mintkeep_web::asked::{Asked, Named};
use mintkeep_web::console::{Notice, Visit};
use mintkeep_web::problem::Problem;

use super::named;
use crate::admin::app_words::RotateSecret;
use crate::admin::{AdminDesk, app_proofs, unfit};

/// Does `act` to the app that the path names.
async fn deed(
    visit: &Visit,
    path: &Path<String>,
    act: impl AsyncFnOnce(AppId) -> Result<Notice, Problem>,
) -> Response {
    match named(path, AppId::parse) {
        Ok(id) => {
            let page = format!("/apps/{id}");
            visit.back(&page, act(id).await)
        }
        Err(problem) => visit.problem(&problem),
    }
}

/// `POST /apps/{id}/enable`.
pub(super) async fn enable(State(desk): State<AdminDesk>, path: Path<String>, visit: Visit) -> Response {
    deed(&visit, &path, async |id| {
        let done = app_proofs::enable(State(desk), *visit.arrival(), Named(id)).await;
        done.map(|_app| Notice::said("The app is enabled."))
    })
    .await
}

/// `POST /apps/{id}/disable`.
pub(super) async fn disable(State(desk): State<AdminDesk>, path: Path<String>, visit: Visit) -> Response {
    deed(&visit, &path, async |id| {
        let done = app_proofs::disable(State(desk), *visit.arrival(), Named(id)).await;
        done.map(|_app| Notice::said("The app is disabled. None of its tokens is good until it is enabled."))
    })
    .await
}

/// `POST /apps/{id}/rotate-secret`.
pub(super) async fn rotate_secret(
    State(desk): State<AdminDesk>,
    path: Path<String>,
    visit: Visit,
) -> Response {
    deed(&visit, &path, async |id| match visit.field("overlap_s").map(str::parse).transpose() {
        Err(_) => Err(unfit("overlap_s must be a number of seconds")),
        Ok(overlap_s) => {
            let asked = Asked(RotateSecret { overlap_s });
            let done = app_proofs::rotate_secret(State(desk), *visit.arrival(), Named(id), asked).await;
            done.map(|Json(rotated)| {
                let text = if rotated.previous_expires_at.is_some() {
                    "The secret was rotated. The one before it stays good until it ends below."
                } else {
                    "The secret was rotated. The one before it has ended."
                };
                Notice::said(text).with_secret("The new secret", rotated.secret)
            })
        }
    })
    .await
}

/// `POST /apps/{id}/revoke-tokens`.
pub(super) async fn revoke_tokens(
    State(desk): State<AdminDesk>,
    path: Path<String>,
    visit: Visit,
) -> Response {
    deed(&visit, &path, async |id| {
        if visit.field("sure") == Some("yes") {
            let done = app_proofs::revoke_tokens(State(desk), *visit.arrival(), Named(id)).await;
            done.map(|_app| Notice::said("All of the app’s tokens, codes and refresh tokens have ended."))
        } else {
            Err(unfit("tick the box that says you are sure; nothing was revoked"))
        }
    })
    .await
}
