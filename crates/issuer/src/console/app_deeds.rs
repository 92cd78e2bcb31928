//! What an operator does to an app. Each deed leads back to the app's page, which says what came of it.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use mintkeep_protocol::ident::AppId;
use mintkeep_web::asked::{Asked, Named};
use mintkeep_web::console::{Confirm, Notice, Visit};
use mintkeep_web::problem::{Problem, unfit};

use super::named;
use crate::admin::app_words::RotateSecret;
use crate::admin::{AdminDesk, app_proofs, apps};

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

/// `GET /apps/{id}/delete`.
pub(super) async fn ask_delete(State(desk): State<AdminDesk>, path: Path<String>, visit: Visit) -> Response {
    let known = match named(&path, AppId::parse) {
        Ok(id) => apps::show(State(desk), Named(id)).await,
        Err(problem) => Err(problem),
    };
    match known {
        Err(problem) => visit.problem(&problem),
        Ok(Json(app)) => {
            let page = format!("/apps/{}", app.id);
            visit.confirm(&Confirm {
                title: &format!("Delete the app {}?", app.id),
                text: "Its tokens, codes and grants end with it, at once and for good. An app that is made anew under \
                       this id has other tokens. To stop it for a while, disable it instead.",
                button: "Delete the app",
                action: &format!("{page}/delete"),
                back: &page,
            })
        }
    }
}

/// `POST /apps/{id}/delete`: leads to the list.
pub(super) async fn delete(State(desk): State<AdminDesk>, path: Path<String>, visit: Visit) -> Response {
    let deleted = match named(&path, AppId::parse) {
        Ok(id) => apps::delete(State(desk), *visit.arrival(), Named(id.clone())).await.map(|_status| id),
        Err(problem) => Err(problem),
    };
    match deleted {
        Err(problem) => visit.problem(&problem),
        Ok(id) => visit.back("/apps", Ok(Notice::said(format!("The app {id} was deleted.")))),
    }
}
