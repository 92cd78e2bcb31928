//! What an app proves itself by, and whether it may act.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_protocol::app::{App, AppKey, AppStatus, StoredSecret};
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::issue::authenticate::{SecretOwner, secret_mac};
use mintkeep_protocol::record::AuditAction;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Named};
use mintkeep_web::problem::{Problem, unfit};

use super::AdminDesk;
use super::app_words::{AppView, KeyAdd, KeyAdded, RotateSecret, SecretRotated};
use super::apps::{drawn_secret, key_pair};

/// Longest overlap of two secrets, in seconds.
const OVERLAP_S_MAX: u32 = 30 * 86_400;
/// The overlap unless the caller says, in seconds.
const OVERLAP_S: u32 = 86_400;
/// Most secrets that are good at once.
const SECRETS_MAX: usize = 4;
/// Most keys of an app.
const KEYS_MAX: usize = 16;

/// Gives an app a new secret, shown once; the old one stays good for a while.
#[utoipa::path(post, operation_id = "rotateAppSecret", path = "/admin/v1/apps/{id}/rotate-secret", tag = "apps",
    params(("id" = String, Path)), request_body = RotateSecret,
    responses((status = 200, body = SecretRotated), (status = 404, description = "No such app")))]
pub(crate) async fn rotate_secret(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<AppId>,
    Asked(asked): Asked<RotateSecret>,
) -> Result<Json<SecretRotated>, Problem> {
    let overlap_s = asked.overlap_s.unwrap_or(OVERLAP_S);
    if overlap_s > OVERLAP_S_MAX {
        return Err(unfit(format!("overlap_s must be {OVERLAP_S_MAX} (30 days) or less")));
    }
    let overlap = Duration::from_secs(u64::from(overlap_s));
    let secret = drawn_secret(&desk);
    let key = &desk.issuer.secret_key;
    let view = desk
        .change_app(&id, (AuditAction::SecretRotated, &arrival), |app, now| {
            if app.dialect.is_signed() {
                return Err(no_secret());
            }
            let mac = secret_mac(key, SecretOwner::App(app.no), &secret);
            app.secrets = rotated(&app.secrets, StoredSecret { mac, expires_at: None }, overlap, now);
            Ok(())
        })
        .await?;
    Ok(Json(SecretRotated {
        secret: secret.expose().to_owned(),
        previous_expires_at: view.secrets.get(1).and_then(|old| old.expires_at),
    }))
}

/// The new secret before those that are still good, none of them longer than the overlap.
fn rotated(old: &[StoredSecret], new: StoredSecret, overlap: Duration, now: Timestamp) -> Vec<StoredSecret> {
    let end = now.after(overlap);
    let still_good = old.iter().filter_map(|secret| {
        let expires_at = secret.expires_at.map_or(end, |earlier| earlier.min(end));
        (now < expires_at).then_some(StoredSecret { mac: secret.mac, expires_at: Some(expires_at) })
    });
    std::iter::once(new).chain(still_good).take(SECRETS_MAX).collect()
}

fn no_secret() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "no-secret",
        "Apps of this dialect have keys, not secrets",
        "add a key with POST /admin/v1/apps/{id}/keys and remove the old one",
    )
}

fn no_keys() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "no-keys",
        "Apps of this dialect have a secret, not keys",
        "rotate the secret with POST /admin/v1/apps/{id}/rotate-secret",
    )
}

/// Adds a public key; if none is given a pair is drawn, and its private half shown once.
#[utoipa::path(post, operation_id = "addAppKey", path = "/admin/v1/apps/{id}/keys", tag = "apps",
    params(("id" = String, Path)), request_body = KeyAdd,
    responses((status = 201, body = KeyAdded), (status = 404, description = "No such app"),
        (status = 409, description = "The version is taken")))]
pub(crate) async fn add_key(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<AppId>,
    Asked(asked): Asked<KeyAdd>,
) -> Result<(StatusCode, Json<KeyAdded>), Problem> {
    let app = desk.known_app(&id).await?;
    if !app.dialect.is_signed() {
        return Err(no_keys());
    }
    let (public, private) = key_pair(&desk, asked.public_key_pem).await?;
    let view = desk
        .change_app(&id, (AuditAction::KeyAdded, &arrival), |app, _now| {
            let version = free_version(app, asked.version)?;
            app.keys.push(AppKey { version, public: public.clone() });
            Ok(())
        })
        .await?;
    let added = KeyAdded {
        version: view.keys.last().map_or(0, |key| key.version),
        public_key_pem: public.to_pem(),
        private_key_pem: private.map(|key| key.to_pem().to_string()),
    };
    Ok((StatusCode::CREATED, Json(added)))
}

fn free_version(app: &App, asked: Option<u32>) -> Result<u32, Problem> {
    if app.keys.len() >= KEYS_MAX {
        return Err(unfit("the app has 16 keys; remove one first"));
    }
    let latest = app.keys.iter().map(|key| key.version).max();
    let version = asked.unwrap_or_else(|| latest.map_or(1, |latest| latest.saturating_add(1)));
    if app.keys.iter().any(|key| key.version == version) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "version-taken",
            "The app has a key of this version",
            "choose another version, or leave it out for the next one",
        ));
    }
    Ok(version)
}

/// Removes a public key: signatures by it are refused from now on.
#[utoipa::path(delete, operation_id = "removeAppKey", path = "/admin/v1/apps/{id}/keys/{version}", tag = "apps",
    params(("id" = String, Path), ("version" = u32, Path)),
    responses((status = 200, body = AppView), (status = 404, description = "No such app or key")))]
pub(crate) async fn remove_key(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named((id, version)): Named<(AppId, u32)>,
) -> Result<Json<AppView>, Problem> {
    desk.change_app(&id, (AuditAction::AppChanged, &arrival), |app, _now| {
        let before = app.keys.len();
        app.keys.retain(|key| key.version != version);
        if app.keys.len() == before {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "key-unknown",
                "The app has no key of this version",
                "GET /admin/v1/apps/{id} lists its keys",
            ));
        }
        Ok(())
    })
    .await
    .map(Json)
}

/// Ends all of an app's tokens, codes and grants' tokens at once: the answer to a leak.
#[utoipa::path(post, operation_id = "revokeAppTokens", path = "/admin/v1/apps/{id}/revoke-tokens", tag = "apps",
    params(("id" = String, Path)),
    responses((status = 200, body = AppView), (status = 404, description = "No such app")))]
pub(crate) async fn revoke_tokens(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<AppId>,
) -> Result<Json<AppView>, Problem> {
    desk.change_app(&id, (AuditAction::AppTokensRevoked, &arrival), |app, _now| {
        app.token_epoch = app
            .token_epoch
            .checked_add(1)
            .ok_or_else(|| unfit("the app's tokens were revoked four billion times; make a new app"))?;
        Ok(())
    })
    .await
    .map(Json)
}

/// Disables an app: it may not act, and none of its tokens is good until it is enabled.
#[utoipa::path(post, operation_id = "disableApp", path = "/admin/v1/apps/{id}/disable", tag = "apps",
    params(("id" = String, Path)),
    responses((status = 200, body = AppView), (status = 404, description = "No such app")))]
pub(crate) async fn disable(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<AppId>,
) -> Result<Json<AppView>, Problem> {
    desk.set_status(&id, AppStatus::Disabled, &arrival).await
}

/// Enables an app again, also one whose secret is frozen.
#[utoipa::path(post, operation_id = "enableApp", path = "/admin/v1/apps/{id}/enable", tag = "apps",
    params(("id" = String, Path)),
    responses((status = 200, body = AppView), (status = 404, description = "No such app")))]
pub(crate) async fn enable(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<AppId>,
) -> Result<Json<AppView>, Problem> {
    desk.set_status(&id, AppStatus::Active, &arrival).await
}

/// Freezes an app's secret: no new token, those it has stay good (WeChat 40243).
#[utoipa::path(post, operation_id = "freezeAppSecret", path = "/admin/v1/apps/{id}/freeze-secret", tag = "apps",
    params(("id" = String, Path)),
    responses((status = 200, body = AppView), (status = 404, description = "No such app"),
        (status = 409, description = "The dialect has no secrets")))]
pub(crate) async fn freeze_secret(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<AppId>,
) -> Result<Json<AppView>, Problem> {
    desk.set_status(&id, AppStatus::SecretFrozen, &arrival).await
}

impl AdminDesk {
    async fn set_status(
        &self,
        id: &AppId,
        status: AppStatus,
        arrival: &Arrival,
    ) -> Result<Json<AppView>, Problem> {
        self.change_app(id, (AuditAction::AppChanged, arrival), |app, _now| {
            if status == AppStatus::SecretFrozen && Dialect::is_signed(app.dialect) {
                return Err(no_secret());
            }
            app.status = status;
            Ok(())
        })
        .await
        .map(Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_secrets_end_with_the_overlap_or_their_own_end_whichever_is_first() {
        let now = Timestamp::from_unix_ms(1_000_000);
        let secret = |mac: u8, end: Option<i64>| StoredSecret {
            mac: [mac; 32],
            expires_at: end.map(Timestamp::from_unix_ms),
        };
        let old = [secret(1, None), secret(2, Some(1_000_500)), secret(3, Some(1_000_000))];
        let told = |overlap_ms| {
            let rotated = rotated(&old, secret(9, None), Duration::from_millis(overlap_ms), now);
            let tell = |secret: &StoredSecret| (secret.mac[0], secret.expires_at.map(Timestamp::unix_ms));
            rotated.iter().map(tell).collect::<Vec<_>>()
        };
        #[rustfmt::skip]
        let cases = [
            (0,     vec![(9, None)]),
            (1,     vec![(9, None), (1, Some(1_000_001)), (2, Some(1_000_001))]),
            (2_000, vec![(9, None), (1, Some(1_002_000)), (2, Some(1_000_500))]),
        ];
        for (overlap_ms, expected) in cases {
            assert_eq!(told(overlap_ms), expected, "{overlap_ms}");
        }
    }
}
