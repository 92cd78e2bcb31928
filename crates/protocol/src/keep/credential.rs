//! Credentials: what the keeper proves an app by, at the platform.

use serde::{Deserialize, Serialize};

use crate::app::AppKey;
use crate::crypto::Sealed;
use crate::ident::{AppId, CredentialName, Dialect, RecordId};
use crate::secret::ClientSecret;
use crate::time::Timestamp;

/// Which of a platform's endpoints a credential's tokens come from. One column of the semantics table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// WeChat `/cgi-bin/token`.
    WeChatToken,
    /// WeChat `/cgi-bin/stable_token`, the default for WeChat.
    WeChatStable,
    /// DingTalk `/v1.0/oauth2/accessToken`.
    DingTalk,
    /// Mini Program `applyToken`.
    MiniProgram,
    /// AlipayHK `applyToken`.
    AlipayHk,
}

impl TokenSource {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::WeChatToken, Self::WeChatStable, Self::DingTalk, Self::MiniProgram, Self::AlipayHk];

    /// The dialect that it is spoken to in.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::WeChatToken | Self::WeChatStable => Dialect::WeChat,
            Self::DingTalk => Dialect::DingTalk,
            Self::MiniProgram => Dialect::MiniProgram,
            Self::AlipayHk => Dialect::AlipayHk,
        }
    }

    /// What a credential of `dialect` uses unless it says otherwise.
    #[must_use]
    pub const fn default_of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::WeChat => Self::WeChatStable,
            Dialect::DingTalk => Self::DingTalk,
            Dialect::MiniProgram => Self::MiniProgram,
            Dialect::AlipayHk => Self::AlipayHk,
        }
    }
}

/// One app's credentials at one platform.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credential {
    /// The record's number. A credential made anew under an old name has another one.
    pub no: RecordId,
    /// What our callers call it. Unique among those that are not removed.
    pub name: CredentialName,
    /// What the platform calls the app.
    pub app: AppId,
    /// Where its tokens come from.
    pub source: TokenSource,
    /// Scheme, host, port and, where the platform is behind one, a path prefix; no trailing slash.
    pub base_url: String,
    /// What it proves the app by; `None` once it is removed.
    pub proof: Option<SealedProof>,
    /// What differs from the defaults.
    #[serde(default)]
    pub settings: CredentialSettings,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was removed; the record stays for a while, so that every replica hears of it.
    #[serde(default)]
    pub removed_at: Option<Timestamp>,
    /// Counts changes; the guard of every change. 0: not stored yet.
    #[serde(skip)]
    pub revision: i64,
}

/// A PKCS#8 document under seal.
pub enum Pkcs8 {}

/// What a credential proves its app by, as the store keeps it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SealedProof {
    /// A shared secret (WeChat, DingTalk).
    Secret(Sealed<ClientSecret>),
    /// A key pair (the Alipay family).
    Key {
        /// Our private key.
        private: Sealed<Pkcs8>,
        /// Its `keyVersion` at the platform.
        version: u32,
        /// The platform's keys, by one of which its answers must be signed; at least one.
        platform: Vec<AppKey>,
    },
}

impl Credential {
    /// The place that its secret or private key is sealed for.
    #[must_use]
    pub fn proof_place(no: RecordId) -> String {
        format!("credential/{no}/proof")
    }
}

/// A credential's settings; `None` is the default of its column in [`super::semantics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialSettings {
    /// How long the platform takes a byte-identical signed request again, in seconds; 0: never.
    pub identical_retry_s: Option<u32>,
    /// How long before its end a token is renewed, in seconds.
    pub renew_ahead_s: Option<u32>,
    /// Calls of the token endpoint a day; 0: without end.
    pub daily_limit: Option<u32>,
    /// How many of them only an emergency may use: no valid token, or an operator.
    pub daily_reserve: Option<u32>,
    /// Whether messages are encrypted (AlipayHK `RSA_AES`).
    pub encrypts: bool,
}
