//! The issuer's records: what is stored instead of tokens.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::binding::CodeBinding;
use crate::crypto::Sealed;
use crate::ident::{CustomerId, Dialect, RecordId, Scope, ServiceId};
use crate::request::RequestDigest;
use crate::time::Timestamp;
use crate::token::{Generation, Salt, TokenKind};

/// Which of an app's pools of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolKey {
    /// The app's record.
    pub app: RecordId,
    /// [`TokenKind::WeChatToken`], [`TokenKind::WeChatStable`] or [`TokenKind::DingTalkToken`].
    pub kind: TokenKind,
}

/// An app's own tokens of one kind: the current one, its predecessor, and what was counted.
#[derive(Clone, PartialEq, Eq)]
pub struct Pool {
    /// Whose it is.
    pub key: PoolKey,
    /// What its tokens are derived from.
    pub salt: Salt,
    /// The current token.
    pub current: Held,
    /// The token before it, as long as it overlaps.
    pub previous: Option<Held>,
    /// The app's token epoch that `current` was minted in.
    pub token_epoch: u32,
    /// The day of `used_today` and `forced_today`: [`Timestamp::quota_day`].
    pub quota_day: i64,
    /// Calls counted on that day.
    pub used_today: u32,
    /// Forced refreshes on that day.
    pub forced_today: u32,
    /// The last forced refresh.
    pub forced_at: Option<Timestamp>,
    /// Counts changes; the guard of every change. 0: not stored yet.
    pub revision: i64,
}

/// One generation of a token and its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub generation: Generation,
    /// When it was minted.
    pub issued_at: Timestamp,
    /// Good while `now < expires_at`.
    pub expires_at: Timestamp,
}

/// A code, and the grant that it becomes: `Issued → Active → Revoked`.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The record's number, part of the code and of every token.
    pub id: RecordId,
    /// The app it was issued to.
    pub app: RecordId,
    /// Whom it is about.
    pub customer: CustomerId,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// What its code and tokens are derived from.
    pub salt: Salt,
    /// Where it is in its life.
    pub stage: GrantStage,
    /// The app's token epoch that it was made in; its tokens hold in no other.
    pub token_epoch: u32,
    /// Until when the code can be exchanged.
    pub code_expires_at: Timestamp,
    /// Counts changes; the guard of every change. 0: not stored yet.
    pub revision: i64,
}

/// Where a grant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantStage {
    /// The code was issued and not exchanged.
    Issued {
        /// What it is bound to, if it is: a redirect URI, or that and a challenge.
        binding: Option<CodeBinding>,
    },
    /// The code was exchanged at `spent_at`.
    Active {
        /// When.
        spent_at: Timestamp,
        /// The current pair of tokens.
        tokens: ActiveTokens,
    },
    /// Ended by the customer, the app, an operator, or a replayed code.
    Revoked {
        /// When the code was exchanged, if it was.
        spent_at: Option<Timestamp>,
        /// When it ended.
        at: Timestamp,
    },
}

/// The current pair of tokens of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveTokens {
    /// The current access token; the refresh token is of the same generation.
    pub access: Held,
    /// Until when the refresh token is good.
    pub refresh_expires_at: Timestamp,
    /// The access token before it, as long as it overlaps.
    pub previous: Option<Held>,
    /// The signed request that made this pair.
    pub made_by: Option<RequestDigest>,
}

/// A person who grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// What the platform calls them.
    pub id: CustomerId,
    /// Whether grants about them are good.
    pub status: CustomerStatus,
    /// What `inquiryUserInfo` tells.
    #[serde(default)]
    pub profile: Profile,
}

/// Whether a customer may grant and be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomerStatus {
    /// They may.
    Active,
    /// They may not for now (AlipayHK `USER_STATUS_ABNORMAL`).
    Frozen,
    /// They are gone (AlipayHK `USER_NOT_EXIST`).
    Deleted,
}

/// What an app may learn of a customer under `auth_user`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// The name they chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nick_name: Option<String>,
    /// A picture's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// `m`, `f`, or what the platform has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    /// ISO 3166 country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nationality: Option<String>,
}

/// A caller of the issuer that is no app: a resource server, or a wallet's backend.
#[derive(Clone, Serialize, Deserialize)]
pub struct Service {
    /// Its name in Basic authentication.
    pub id: ServiceId,
    /// What it may do.
    pub role: ServiceRole,
    /// Its secret, as a MAC.
    pub secret: crate::app::StoredSecret,
    /// For a wallet: the key of its assertions, a `PUBLIC KEY` PEM block.
    #[serde(default)]
    pub assertion_key_pem: Option<String>,
}

/// What a service may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceRole {
    /// Introspect tokens (RFC 7662).
    ResourceServer,
    /// Ask for codes, and vouch for customers.
    Wallet,
}

/// What was good once and was used: a wallet's assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpentNonce {
    /// SHA-256 of what names it among all of all wallets.
    pub digest: [u8; 32],
    /// When it would have ended, used or not. A store may forget it a while after.
    pub expires_at: Timestamp,
}

/// A key of the platform's own, sealed under the master key, so that the master key can be rotated by
/// sealing these anew.
#[derive(Clone)]
pub struct PlatformKey {
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its `keyVersion`.
    pub version: u32,
    /// The key, sealed for the place `platform_key/{purpose}/{version}`.
    pub sealed: Sealed<PlatformKey>,
}

/// What a platform key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPurpose {
    /// 32 bytes that tokens and the MACs of clients' secrets are derived from.
    Tokens,
    /// PKCS#8: signs a dialect's answers, and opens the symmetric keys of its requests.
    Answers(Dialect),
}

impl KeyPurpose {
    /// The name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Answers(dialect) => dialect.name(),
        }
    }

    /// The purpose of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "tokens" { Some(Self::Tokens) } else { name.parse().ok().map(Self::Answers) }
    }
}

/// One line of the audit: who did what, to what, from where. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: `app wx…`, `admin`, `wallet …`, `customer …`.
    pub actor: String,
    /// What.
    pub action: AuditAction,
    /// To what: an app, a grant, a customer, a credential.
    pub subject: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// Which request, as in the access log.
    pub request_id: String,
}

/// What an audit line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each name says it")]
pub enum AuditAction {
    TokenMinted,
    TokenExtended,
    CodeIssued,
    CodeExchanged,
    CodeReplayed,
    TokenRefreshed,
    TokenCancelled,
    GrantRevoked,
    AppTokensRevoked,
    QuotaCleared,
    TokenRevoked,
    AppCreated,
    AppChanged,
    AppDeleted,
    SecretRotated,
    KeyAdded,
    CustomerPut,
    ServicePut,
    ClockMoved,
    FaultAdded,
    FaultCleared,
    CredentialAdded,
    CredentialChanged,
    CredentialRemoved,
    ConsumerCreated,
    ConsumerRevoked,
    TokenObtained,
    RenewalFailed,
    InDoubtResolved,
    MasterKeyRotated,
}
