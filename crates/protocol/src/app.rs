//! Apps: the clients of the issuer, their proofs and their settings.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::crypto::RsaPublicKey;
use crate::ident::{AppId, Dialect, RecordId, Scope};
use crate::time::Timestamp;

/// A client of the issuer: a mini program, an official account, an internal app, a merchant.
#[derive(Clone, Serialize, Deserialize)]
pub struct App {
    /// The record's number. An app made anew under an old id has another one, so old tokens stay dead.
    pub no: RecordId,
    /// What the platform calls it.
    pub id: AppId,
    /// Which protocol it speaks. Ids are unique within one dialect and over all of them.
    pub dialect: Dialect,
    /// What people call it; shown on the authorization page.
    pub name: String,
    /// Whether it may act.
    pub status: AppStatus,
    /// The shared secrets that are good, the newest first.
    #[serde(default)]
    pub secrets: Vec<StoredSecret>,
    /// The public keys for its signatures.
    #[serde(default)]
    pub keys: Vec<AppKey>,
    /// Where it may call from; empty: from anywhere.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// What differs from the dialect's defaults.
    #[serde(default)]
    pub settings: AppSettings,
    /// Part of every token of the app; bumping it ends all of them in one write.
    #[serde(default)]
    pub token_epoch: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts changes; the guard of every change.
    #[serde(skip)]
    pub revision: i64,
}

/// Whether an app may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppStatus {
    /// It may.
    Active,
    /// Its secret is refused; tokens that it has stay good (WeChat 40243).
    SecretFrozen,
    /// It may not, and none of its tokens is good.
    Disabled,
}

/// A shared secret as the store keeps it: a MAC under the server's key, useless without that.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredSecret {
    /// The MAC.
    #[serde(with = "base64_bytes")]
    pub mac: [u8; 32],
    /// Until when it is good after a rotation; `None`: without end.
    pub expires_at: Option<Timestamp>,
}

/// One of an app's public keys.
#[derive(Clone, Serialize, Deserialize)]
pub struct AppKey {
    /// Its `keyVersion`. 0 is a version.
    pub version: u32,
    /// The key.
    #[serde(with = "public_key_pem")]
    pub public: RsaPublicKey,
}

impl App {
    /// An app as it is made, not stored yet: active, without a name, a proof or a setting of its own.
    #[must_use]
    pub fn new(no: RecordId, id: AppId, dialect: Dialect, created_at: Timestamp) -> Self {
        Self {
            no,
            id,
            dialect,
            name: String::new(),
            status: AppStatus::Active,
            secrets: Vec::new(),
            keys: Vec::new(),
            addresses: Vec::new(),
            settings: AppSettings::default(),
            token_epoch: 0,
            created_at,
            revision: 0,
        }
    }

    /// The key that a request names by `keyVersion`; the latest if it names none.
    #[must_use]
    pub fn key(&self, version: Option<u32>) -> Option<&AppKey> {
        match version {
            Some(version) => self.keys.iter().find(|key| key.version == version),
            None => self.keys.iter().max_by_key(|key| key.version),
        }
    }

    /// Whether a caller at `address` is let in. IPv4 in IPv6's clothes counts as IPv4.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.is_empty() || self.addresses.iter().any(|net| net.contains(&address))
    }
}

/// Which of two behaviours to follow where the live platform differs from its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// As the page says.
    #[default]
    Page,
    /// As the live platform was seen to do.
    Observed,
}

/// How a signature's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    /// Base64, percent-encoded.
    PercentBase64,
    /// Base64 as it is.
    Base64,
    /// Unpadded base64url.
    Base64Url,
}

/// An app's settings; `None` is the dialect's default, which the method of the same name knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppSettings {
    /// How long an access token is good, in seconds.
    pub access_lifetime_s: Option<u32>,
    /// How long a refresh token is good, in seconds.
    pub refresh_lifetime_s: Option<u32>,
    /// How long a code can be exchanged, in seconds.
    pub code_lifetime_s: Option<u32>,
    /// How long the predecessor of a new access token stays good, in seconds.
    pub overlap_s: Option<u32>,
    /// Calls for an app's own token a day; 0: without end. The signed dialects have no such tokens.
    pub daily_quota: Option<u32>,
    /// Calls of any endpoint a minute; 0: without end.
    pub minute_limit: Option<u32>,
    /// Which behaviour where page and platform differ.
    pub profile: Behaviour,
    /// How far a signed request's time may be from ours, in seconds; 0: not checked.
    pub request_time_window_s: Option<u32>,
    /// How long a byte-identical signed request gets the identical answer again, in seconds; 0: never.
    pub identical_retry_s: Option<u32>,
    /// From how many seconds after its exchange a code that is shown again revokes what it bought;
    /// `u32::MAX`: never.
    pub replay_revokes_after_s: Option<u32>,
    /// How answers' signatures are written; `None`: as the request's was.
    pub signature_encoding: Option<SignatureEncoding>,
    /// The offset of the times in answers, in minutes east of UTC.
    pub time_offset_min: Option<i16>,
    /// Prefix that a proxy cuts off the path before we see it; part of the string to sign.
    pub public_path_prefix: Option<String>,
    /// Whether refresh tokens are honoured.
    pub refuses_refresh: bool,
    /// The scopes it may ask for; empty: `auth_base` and `auth_user`.
    pub scopes: Vec<Scope>,
    /// The scopes for which no page is shown; `auth_base` always is one.
    pub silent_scopes: Vec<Scope>,
    /// Where a browser may be sent back to, compared exactly but for the query; for the standard's `redirect_uri`,
    /// exactly but for a loopback host's port.
    pub redirect_urls: Vec<String>,
    /// The logo on the authorization page, a URL.
    pub logo_url: Option<String>,
}

/// A setting's value, or its dialect's default.
fn seconds(setting: Option<u32>, default_s: u32) -> Duration {
    Duration::from_secs(u64::from(setting.unwrap_or(default_s)))
}

impl App {
    /// How long an access token is good.
    ///
    /// Source: WeChat "valid for 2 hours", DingTalk "valid for 7,200 seconds (2 hours)"; a day is ours
    /// where the page names none.
    #[must_use]
    pub fn access_lifetime(&self) -> Duration {
        let default_s = if self.dialect.is_signed() { 86_400 } else { 7_200 };
        seconds(self.settings.access_lifetime_s, default_s)
    }

    /// How long a refresh token is good: 3 days, or 30 with DingTalk. Ours; no page names one.
    #[must_use]
    pub fn refresh_lifetime(&self) -> Duration {
        let default_s = if self.dialect.is_signed() { 3 * 86_400 } else { 30 * 86_400 };
        seconds(self.settings.refresh_lifetime_s, default_s)
    }

    /// How long a code can be exchanged.
    ///
    /// Source: AlipayHK, `authCode`: "only valid for 10 minutes". The others follow it.
    #[must_use]
    pub fn code_lifetime(&self) -> Duration {
        seconds(self.settings.code_lifetime_s, 600)
    }

    /// How long the predecessor of a new access token stays good.
    ///
    /// Source: WeChat, "both new and old `access_token` values are available within five minutes". The
    /// others follow it. Never more than half of a lifetime that was set short, so that a new token
    /// is not at once due for its successor.
    #[must_use]
    pub fn overlap(&self) -> Duration {
        let half = self.access_lifetime().checked_div(2).unwrap_or_default();
        seconds(self.settings.overlap_s, 300).min(half)
    }

    /// How far a signed request's time may be from ours, either way; zero: not checked.
    #[must_use]
    pub fn request_time_window(&self) -> Duration {
        seconds(self.settings.request_time_window_s, 300)
    }

    /// How long a byte-identical signed request gets the identical answer again.
    #[must_use]
    pub fn identical_retry(&self) -> Duration {
        seconds(self.settings.identical_retry_s, 60)
    }

    /// From how long after its exchange a code that is shown again revokes what it bought.
    #[must_use]
    pub fn replay_revokes_after(&self) -> Option<Duration> {
        let set = self.settings.replay_revokes_after_s;
        (set != Some(u32::MAX)).then(|| seconds(set, 60))
    }

    /// The offset of the times in answers, in minutes east of UTC. The pages' samples have +08:00.
    #[must_use]
    pub fn time_offset_min(&self) -> i16 {
        self.settings.time_offset_min.unwrap_or(480)
    }

    /// Whether the user need not be asked for `scope`.
    #[must_use]
    pub fn is_silent(&self, scope: &Scope) -> bool {
        scope.as_str() == "auth_base" || self.settings.silent_scopes.contains(scope)
    }

    /// Whether it may ask for `scope` at all.
    #[must_use]
    pub fn may_ask(&self, scope: &Scope) -> bool {
        if self.settings.scopes.is_empty() {
            matches!(scope.as_str(), "auth_base" | "auth_user")
        } else {
            self.settings.scopes.contains(scope)
        }
    }
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("not 32 bytes"))
    }
}

mod public_key_pem {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use crate::crypto::RsaPublicKey;

    pub fn serialize<S: Serializer>(key: &RsaPublicKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&key.to_pem())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RsaPublicKey, D::Error> {
        let pem = String::deserialize(deserializer)?;
        RsaPublicKey::from_pem(&pem).map_err(D::Error::custom)
    }
}
