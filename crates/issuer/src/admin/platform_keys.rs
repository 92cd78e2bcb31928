//! `/admin/v1/platform-keys`: the keys that the platform signs its answers with.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::record::AuditAction;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::Named;
use mintkeep_web::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{AdminDesk, unavailable};
use crate::issuer::SigningKey;

/// One of the platform's keys.
#[derive(Serialize, ToSchema)]
pub(super) struct PlatformKeyView {
    /// Whose answers it signs.
    #[schema(value_type = String, example = "miniprogram")]
    dialect: Dialect,
    /// Its `keyVersion`.
    version: u32,
    /// Whether it signs now; the older ones still open what was encrypted for them.
    is_current: bool,
    /// A `PUBLIC KEY` PEM block, for the apps that check signatures.
    public_key_pem: String,
}

/// The platform's keys.
#[derive(Serialize, ToSchema)]
pub(super) struct PlatformKeyList {
    /// By dialect and version.
    keys: Vec<PlatformKeyView>,
}

fn views(desk: &AdminDesk, dialect: Dialect) -> Vec<PlatformKeyView> {
    let keys = desk.issuer.signer.all(dialect);
    let latest = keys.last().map(|key| key.version);
    let view = |key: &SigningKey| PlatformKeyView {
        dialect,
        version: key.version,
        is_current: Some(key.version) == latest,
        public_key_pem: key.private.public().to_pem(),
    };
    keys.iter().map(view).collect()
}

/// Lists the platform's public keys.
#[utoipa::path(get, operation_id = "listPlatformKeys", path = "/admin/v1/platform-keys", tag = "platform keys",
    responses((status = 200, body = PlatformKeyList)))]
pub(super) async fn list(State(desk): State<AdminDesk>) -> Json<PlatformKeyList> {
    Json(PlatformKeyList {
        keys: Dialect::ALL.into_iter().flat_map(|dialect| views(&desk, dialect)).collect(),
    })
}

/// Draws a further key for a signed dialect; it signs from now on.
#[utoipa::path(post, operation_id = "rotatePlatformKey", path = "/admin/v1/platform-keys/{dialect}/rotate", tag = "platform keys",
    params(("dialect" = String, Path)),
    responses((status = 201, body = PlatformKeyList), (status = 409, description = "The dialect has no keys")))]
pub(super) async fn rotate(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(dialect): Named<Dialect>,
) -> Result<(StatusCode, Json<PlatformKeyList>), Problem> {
    if !dialect.is_signed() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "no-keys",
            "Answers of this dialect are not signed",
            "the dialects with keys are miniprogram and alipayhk",
        ));
    }
    let rotated = desk.issuer.signer.rotate(dialect).await;
    let version = rotated.map_err(|fault| {
        tracing::error!(%fault, %dialect, "a platform key could not be drawn");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no-key",
            "A key could not be drawn",
            "list the keys to see whether it was stored; the server's log says what went wrong",
        )
    })?;
    let subject = format!("platform key {dialect} {version}");
    let audit = desk.audit(AuditAction::KeyAdded, subject, &arrival);
    desk.issuer.note(audit).await.map_err(unavailable)?;
    Ok((StatusCode::CREATED, Json(PlatformKeyList { keys: views(&desk, dialect) })))
}
