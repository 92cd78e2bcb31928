//! Apps as the admin API reads and writes them.

use ipnet::IpNet;
use mintkeep_protocol::app::{App, AppKey, AppStatus};
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::network_of;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::settings::Settings;

/// A new app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppCreate {
    /// What the platform calls it; left out: drawn in the dialect's style.
    #[schema(value_type = Option<String>, example = "wx5f1c9a7e2b3d4c60")]
    pub id: Option<AppId>,
    /// Which protocol it speaks: `wechat`, `dingtalk`, `miniprogram` or `alipayhk`.
    #[schema(value_type = String, example = "wechat")]
    pub dialect: Dialect,
    /// What people call it, at most 128 characters; shown on the authorization page.
    #[schema(example = "Corner shop")]
    pub name: String,
    /// What differs from the dialect's defaults.
    #[serde(default)]
    pub settings: Settings,
    /// Where it may call from; empty: from anywhere.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["192.0.2.0/24"]))]
    pub addresses: Vec<Network>,
    /// For the signed dialects: its public key, a `PUBLIC KEY` PEM block; left out: a pair is drawn.
    pub public_key_pem: Option<String>,
    /// For the signed dialects: the key's `keyVersion`; left out: 1.
    pub key_version: Option<u32>,
}

/// A network, or an address, which is one of its own.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network(pub IpNet);

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        network_of(&text).map(Self).ok_or("write an address, or a network such as 192.0.2.0/24")
    }
}

/// What to change of an app. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppChange {
    /// What people call it.
    pub name: Option<String>,
    /// Where it may call from, all of it; empty: from anywhere.
    #[schema(value_type = Option<Vec<String>>)]
    pub addresses: Option<Vec<Network>>,
    /// The settings to change; `null` is the dialect's default again.
    #[serde(default)]
    #[schema(value_type = Settings)]
    pub settings: Map<String, Value>,
}

/// An app. Of its secrets only how long they are good.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppView {
    /// What the platform calls it.
    #[schema(value_type = String)]
    pub id: AppId,
    /// Which protocol it speaks.
    #[schema(value_type = String)]
    pub dialect: Dialect,
    /// What people call it.
    pub name: String,
    /// `active`, `secret_frozen` or `disabled`.
    #[schema(value_type = String)]
    pub status: AppStatus,
    /// Its secrets that are good, the newest first.
    pub secrets: Vec<SecretView>,
    /// Its public keys.
    pub keys: Vec<KeyView>,
    /// Where it may call from; empty: from anywhere.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpNet>,
    /// What differs from the dialect's defaults.
    pub settings: Settings,
    /// How often all of its tokens were revoked.
    pub token_epoch: u32,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Timestamp,
}

/// A secret that is good.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretView {
    /// Until when; `null`: without end.
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<Timestamp>,
}

/// A public key.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Its `keyVersion`.
    pub version: u32,
    /// A `PUBLIC KEY` PEM block.
    pub public_key_pem: String,
}

impl From<&AppKey> for KeyView {
    fn from(key: &AppKey) -> Self {
        Self { version: key.version, public_key_pem: key.public.to_pem() }
    }
}

impl AppView {
    /// The app as it is at `now`.
    pub(crate) fn of(app: &App, now: Timestamp) -> Self {
        let good = app.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|end| now < end));
        Self {
            id: app.id.clone(),
            dialect: app.dialect,
            name: app.name.clone(),
            status: app.status,
            secrets: good.map(|secret| SecretView { expires_at: secret.expires_at }).collect(),
            keys: app.keys.iter().map(KeyView::from).collect(),
            addresses: app.addresses.clone(),
            settings: Settings(app.settings.clone()),
            token_epoch: app.token_epoch,
            created_at: app.created_at,
        }
    }
}

/// A new app, and what is shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppCreated {
    /// The app.
    pub app: AppView,
    /// Its secret, shown once; `null` for the signed dialects.
    pub secret: Option<String>,
    /// Its private key, shown once, if the pair was drawn here.
    pub private_key_pem: Option<String>,
    /// For the signed dialects: the key that the platform's answers are signed with.
    pub platform_public_key_pem: Option<String>,
}

/// Some apps.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppPage {
    /// By id.
    pub apps: Vec<AppView>,
    /// What to give as `after` for the next page; `null`: this is the last one.
    #[schema(value_type = Option<String>)]
    pub next: Option<AppId>,
}

/// How a secret is rotated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSecret {
    /// How long the old secrets stay good, in seconds, at most 30 days; left out: a day; 0: they end now.
    pub overlap_s: Option<u32>,
}

/// A new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretRotated {
    /// The secret, shown once.
    pub secret: String,
    /// Until when the one before it is good; `null` if it has ended.
    #[schema(value_type = Option<i64>)]
    pub previous_expires_at: Option<Timestamp>,
}

/// A further public key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyAdd {
    /// Its `keyVersion`; left out: one more than the latest.
    pub version: Option<u32>,
    /// A `PUBLIC KEY` PEM block; left out: a pair is drawn.
    pub public_key_pem: Option<String>,
}

/// A key that was added.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyAdded {
    /// Its `keyVersion`.
    pub version: u32,
    /// The public key.
    pub public_key_pem: String,
    /// The private key, shown once, if the pair was drawn here.
    pub private_key_pem: Option<String>,
}
