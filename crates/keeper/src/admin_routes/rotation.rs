//! `/admin/v1/keeper/master-key`: exchanging the master key while everything runs.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::problem::Problem;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{KeeperDesk, ReadMasterKeys, by};
use crate::rotation::RotationProgress;

/// The rotations of this process.
pub(super) struct Rotations {
    keys: Option<ReadMasterKeys>,
    latest: Mutex<Option<Rotation>>,
}

/// One rotation, as it goes and as it went.
struct Rotation {
    progress: watch::Receiver<RotationProgress>,
    ended: watch::Receiver<Option<Result<(), String>>>,
}

/// How far the latest rotation is.
#[derive(Serialize, ToSchema)]
pub(super) struct RotationView {
    /// `none`, `running`, `done` or `failed`.
    state: &'static str,
    /// Records that were looked at.
    seen: u64,
    /// Of them, those that were sealed anew.
    resealed: u64,
    /// Records still under an older key. Once the state is `done` and this is 0, the older keys can be removed;
    /// otherwise begin again.
    left: u64,
    /// Why it failed.
    trouble: Option<String>,
}

impl Rotations {
    pub(super) fn new(keys: Option<ReadMasterKeys>) -> Self {
        Self { keys, latest: Mutex::new(None) }
    }

    fn view(&self) -> RotationView {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().map_or(NO_ROTATION, Rotation::view)
    }
}

const NO_ROTATION: RotationView =
    RotationView { state: "none", seen: 0, resealed: 0, left: 0, trouble: None };

impl Rotation {
    fn view(&self) -> RotationView {
        let RotationProgress { seen, resealed, left } = *self.progress.borrow();
        let (state, trouble) = match &*self.ended.borrow() {
            None => ("running", None),
            Some(Ok(())) => ("done", None),
            Some(Err(trouble)) => ("failed", Some(trouble.clone())),
        };
        RotationView { state, seen, resealed, left, trouble }
    }
}

/// Begins to seal everything anew under the master key that the configuration names now.
///
/// Put the new key first and keep the old one beside it, on every replica, before this is asked.
#[utoipa::path(post, operation_id = "rotateMasterKey", path = "/admin/v1/keeper/master-key/rotation", tag = "keeper",
    responses((status = 202, body = RotationView), (status = 409, description = "One is running, or there is no key to rotate to")))]
pub(super) async fn begin(
    State(desk): State<KeeperDesk>,
    arrival: Arrival,
) -> Result<(StatusCode, Json<RotationView>), Problem> {
    let conflict = |kind, title, detail: String| Problem::new(StatusCode::CONFLICT, kind, title, detail);
    let Some(read_keys) = &desk.rotations.keys else {
        let detail = "this process was given its master key at the start and can't read another; \
                      `mintkeep serve` reads it where its configuration says";
        return Err(conflict("no-master-key-source", "The key can't be rotated here", detail.to_owned()));
    };
    let ring = read_keys()
        .map_err(|trouble| conflict("master-key-unreadable", "The master keys can't be read", trouble))?;
    let mut latest = desk.rotations.latest.lock().unwrap_or_else(PoisonError::into_inner);
    if latest.as_ref().is_some_and(|latest| latest.ended.borrow().is_none()) {
        let detail = "GET /admin/v1/keeper/master-key/rotation tells how far it is".to_owned();
        return Err(conflict("rotation-running", "A rotation is running", detail));
    }
    let (progress, progress_seen) = watch::channel(RotationProgress::default());
    let (ended, ended_seen) = watch::channel(None);
    let (keeper, by) = (Arc::clone(&desk.keeper), by(&arrival));
    desk.keeper.tasks.spawn(async move {
        let done = keeper.rotate_master_key(Arc::new(ring), &by, &progress).await;
        let told = done.map(|_| ()).map_err(|failure| failure.to_string());
        ended.send_replace(Some(told));
    });
    *latest = Some(Rotation { progress: progress_seen, ended: ended_seen });
    drop(latest);
    Ok((StatusCode::ACCEPTED, Json(desk.rotations.view())))
}

/// Tells how far the latest rotation of this process is.
#[utoipa::path(get, operation_id = "showMasterKeyRotation", path = "/admin/v1/keeper/master-key/rotation", tag = "keeper",
    responses((status = 200, body = RotationView)))]
pub(super) async fn show(State(desk): State<KeeperDesk>) -> Json<RotationView> {
    Json(desk.rotations.view())
}
