//! `/admin/v1/master-key`: exchanging the master key while everything runs, whatever roles this process has.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::{Json, Router};
use http::StatusCode;
use mintkeep_issuer::issuer::walk_platform_keys;
use mintkeep_keeper::Keeper;
use mintkeep_keeper::rotation::walk_keepers_records;
use mintkeep_protocol::crypto::reseal::{Pass, Resealing, Walk};
use mintkeep_protocol::crypto::{MasterKeys, key_name};
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::port::keeper_store::KeeperStore;
use mintkeep_protocol::record::{AuditAction, AuditEntry};
use mintkeep_protocol::time::Clock;
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::problem::{Problem, wrong_method};
use mintkeep_web::tasks::Tasks;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::wiring::{Process, Records};

/// How often a rotation goes over the whole store, at most.
const PASSES_MAX: u32 = 5;

/// Between two ways over the store: longer than other replicas take to see what was sealed under the new key, and to
/// take that key over themselves.
const SETTLE: Duration = Duration::from_secs(3);

/// What the routes work on.
struct Desk {
    issuer: Arc<dyn IssuerStore>,
    keeper: Arc<dyn KeeperStore>,
    keeper_here: Option<Arc<Keeper>>,
    keys: Arc<MasterKeys>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    latest: Mutex<Option<Rotation>>,
}

/// One rotation, as it goes and as it went.
struct Rotation {
    progress: watch::Receiver<Resealing>,
    ended: watch::Receiver<Option<Result<(), String>>>,
}

/// How far the latest rotation of this process is.
#[derive(Serialize, ToSchema)]
struct RotationView {
    /// `none`, `running`, `done` or `failed`.
    state: &'static str,
    /// Records that were looked at, in the present way over the store.
    seen: u64,
    /// Records that were sealed anew.
    resealed: u64,
    /// Records still under another key.
    left: u64,
    /// Keys that such records are under and that are neither `current` nor in `older`.
    missing_keys: Vec<String>,
    /// Whether the older keys can be taken out of the configuration: all is done and nothing is left.
    older_keys_removable: bool,
    /// Why it failed.
    trouble: Option<String>,
}

/// What the store's secrets are sealed under, counted now.
#[derive(Serialize, ToSchema)]
struct MasterKeyView {
    /// The name of the key that seals: eight hexadecimal digits.
    current: String,
    /// The names of those that only open.
    older: Vec<String>,
    /// Records that were looked at.
    seen: u64,
    /// Of them, those that are not under the current key.
    left: u64,
    /// Keys that such records are under and that are neither `current` nor in `older`.
    missing_keys: Vec<String>,
    /// Whether the older keys can be taken out of the configuration: nothing is left under them.
    older_keys_removable: bool,
}

/// The routes, behind `token`, and their description. `keeper_here`: the one of this process, if it has one.
pub fn router(
    process: &Process,
    records: &Records,
    keeper_here: Option<Arc<Keeper>>,
    token: AdminToken,
) -> (Router, OpenApi) {
    metrics::describe_gauge!(
        "mintkeep_master_key_left",
        "Records that were not under the current master key when this process last went over the store."
    );
    let desk = Desk {
        issuer: Arc::clone(&records.issuer),
        keeper: Arc::clone(&records.keeper),
        keeper_here,
        keys: Arc::clone(&records.master),
        clock: Arc::clone(&process.house.clock),
        tasks: process.background.clone(),
        latest: Mutex::new(None),
    };
    let (router, api) =
        OpenApiRouter::new().routes(routes!(show)).routes(routes!(begin, follow)).split_for_parts();
    (token.guard(router.method_not_allowed_fallback(wrong_method).with_state(Arc::new(desk))), api)
}

/// Tells what the store's secrets are sealed under: whether the older keys can be removed.
#[utoipa::path(get, operation_id = "showMasterKey", path = "/admin/v1/master-key", tag = "master key",
    responses((status = 200, body = MasterKeyView)))]
async fn show(State(desk): State<Arc<Desk>>, arrival: Arrival) -> Result<Json<MasterKeyView>, Problem> {
    let counted = desk.walk(Pass::Count, &desk.audit(&arrival), |_| {}).await.map_err(|trouble| {
        tracing::error!(trouble, "the store's seals could not be counted");
        let detail = "the store does not answer; ask again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "Not now", detail)
            .retry_after(Duration::from_secs(2))
    })?;
    let ring = desk.keys.ring();
    Ok(Json(MasterKeyView {
        current: key_name(ring.current().id()),
        older: ring.older().iter().map(|key| key_name(key.id())).collect(),
        seen: counted.seen,
        left: counted.left,
        missing_keys: counted.missing.names(),
        older_keys_removable: counted.left == 0,
    }))
}

/// Begins to seal everything in the store anew under the master key that the configuration names now.
///
/// Put the new key first and keep the old one in `older`, in the configuration of every replica, before this is
/// asked of one of them. The others take the new key over as soon as they see something that is sealed under it.
#[utoipa::path(post, operation_id = "rotateMasterKey", path = "/admin/v1/master-key/rotation", tag = "master key",
    responses((status = 202, body = RotationView), (status = 409, description = "One is running, or there is no key to rotate to")))]
async fn begin(
    State(desk): State<Arc<Desk>>,
    arrival: Arrival,
) -> Result<(StatusCode, Json<RotationView>), Problem> {
    let conflict = |kind, title, detail: String| Problem::new(StatusCode::CONFLICT, kind, title, detail);
    let mut latest = desk.latest.lock().unwrap_or_else(PoisonError::into_inner);
    if latest.as_ref().is_some_and(|latest| latest.ended.borrow().is_none()) {
        let detail = "GET /admin/v1/master-key/rotation tells how far it is".to_owned();
        return Err(conflict("rotation-running", "A rotation is running", detail));
    }
    desk.keys.read_again().map_err(|not_taken| {
        conflict(
            "master-key-not-taken",
            "The configuration's master keys can't be used",
            not_taken.to_string(),
        )
    })?;
    let (progress, progress_seen) = watch::channel(Resealing::default());
    let (ended, ended_seen) = watch::channel(None);
    let (of_task, audit) = (Arc::clone(&desk), desk.audit(&arrival));
    desk.tasks.spawn(async move {
        let done = of_task.rotate(&audit, &progress).await;
        ended.send_replace(Some(done));
    });
    let view = latest.insert(Rotation { progress: progress_seen, ended: ended_seen }).view();
    drop(latest);
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Tells how far the latest rotation of this process is.
#[utoipa::path(get, operation_id = "showMasterKeyRotation", path = "/admin/v1/master-key/rotation", tag = "master key",
    responses((status = 200, body = RotationView)))]
async fn follow(State(desk): State<Arc<Desk>>) -> Json<RotationView> {
    let latest = desk.latest.lock().unwrap_or_else(PoisonError::into_inner);
    Json(latest.as_ref().map_or_else(|| RotationView::of("none", &Resealing::default()), Rotation::view))
}

impl RotationView {
    fn of(state: &'static str, progress: &Resealing) -> Self {
        Self {
            state,
            seen: progress.seen,
            resealed: progress.resealed,
            left: progress.left,
            missing_keys: progress.missing.names(),
            older_keys_removable: state == "done" && progress.left == 0,
            trouble: None,
        }
    }
}

impl Rotation {
    fn view(&self) -> RotationView {
        let progress = self.progress.borrow();
        match &*self.ended.borrow() {
            None => RotationView::of("running", &progress),
            Some(Ok(())) => RotationView::of("done", &progress),
            Some(Err(trouble)) => {
                RotationView { trouble: Some(trouble.clone()), ..RotationView::of("failed", &progress) }
            }
        }
    }
}

impl Desk {
    /// Who the audit says did it.
    fn audit(&self, arrival: &Arrival) -> AuditEntry {
        AuditEntry {
            at: self.clock.now(),
            actor: "admin".to_owned(),
            action: AuditAction::MasterKeyRotated,
            subject: format!("master key {}", key_name(self.keys.ring().current().id())),
            address: Some(arrival.peer),
            request_id: arrival.id.to_string(),
        }
    }

    /// Goes over the store until nothing is under another key: other replicas may have sealed something under the
    /// old one after it was passed by.
    async fn rotate(&self, audit: &AuditEntry, progress: &watch::Sender<Resealing>) -> Result<(), String> {
        let mut resealed = 0_u64;
        for _ in 0..PASSES_MAX {
            let tell = |so_far: &Resealing| {
                let all = Resealing { resealed: resealed.saturating_add(so_far.resealed), ..so_far.clone() };
                progress.send_replace(all);
            };
            let found = self.walk(Pass::Reseal, audit, tell).await?;
            resealed = resealed.saturating_add(found.resealed);
            let is_clean = found.left == 0 && (found.resealed == 0 || !self.keeper.is_shared());
            if is_clean || !found.missing.names().is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = self.tasks.stopping() => return Err("the server was stopped: begin again".to_owned()),
                () = tokio::time::sleep(SETTLE) => {}
            }
        }
        let done = AuditEntry { at: self.clock.now(), ..audit.clone() };
        self.issuer.write_audit(done).await.map_err(|error| error.to_string())
    }

    /// Goes over all that is sealed in the store once.
    async fn walk(
        &self,
        pass: Pass,
        audit: &AuditEntry,
        tell: impl Fn(&Resealing) + Send + Sync,
    ) -> Result<Resealing, String> {
        let mut walk = Walk::new((&self.keys, pass), audit.clone(), tell);
        walk_platform_keys(&*self.issuer, &mut walk).await.map_err(|fault| fault.to_string())?;
        let of_keepers = walk_keepers_records(&*self.keeper, self.keeper_here.as_deref(), &mut walk).await;
        of_keepers.map_err(|fault| fault.to_string())?;
        let found = walk.so_far;
        metrics::gauge!("mintkeep_master_key_left").set(u32::try_from(found.left).unwrap_or(u32::MAX));
        Ok(found)
    }
}
