//! Records as plain columns and back: what every SQL store writes and reads, whatever its engine.
//!
//! Times are milliseconds since the Unix epoch. Columns of one record have the same names and the same
//! order in every engine.

pub mod keeper;

use std::array::TryFromSliceError;
use std::net::IpAddr;

use mintkeep_protocol::app::App;
use mintkeep_protocol::binding::CodeBinding;
use mintkeep_protocol::ident::{CustomerId, RecordId, Scope};
use mintkeep_protocol::record::{
    ActiveTokens, AuditAction, AuditEntry, Grant, GrantStage, Held, KeyPurpose, PlatformKey, Pool, PoolKey,
};
use mintkeep_protocol::request::RequestDigest;
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::{Generation, Salt, TokenKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row holds what no version of Mintkeep writes: the file was damaged or changed by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a damaged {0} row; restore a backup")]
pub struct Damaged(pub &'static str);

/// An app: what is looked up or guarded has a column, the rest is one JSON document.
#[derive(Serialize)]
pub struct AppRow {
    pub no: i64,
    pub id: String,
    pub revision: i64,
    pub document: String,
}

impl AppRow {
    /// The row of `app`.
    pub fn of(app: &App) -> Result<Self, Damaged> {
        let document = to_document("app", app)?;
        Ok(Self { no: app.no.number(), id: app.id.as_str().to_owned(), revision: app.revision, document })
    }

    /// The app of this row.
    pub fn into_app(self) -> Result<App, Damaged> {
        let mut app: App = from_document("app", &self.document)?;
        app.revision = self.revision;
        Ok(app)
    }
}

/// The columns of one [`Held`]; all or none.
pub type HeldColumns = (Option<i64>, Option<i64>, Option<i64>);

fn held_columns(held: Option<Held>) -> HeldColumns {
    (
        held.map(|held| held.generation.number()),
        held.map(|held| held.issued_at.unix_ms()),
        held.map(|held| held.expires_at.unix_ms()),
    )
}

fn held((generation, issued_at, expires_at): HeldColumns) -> Option<Held> {
    Some(Held {
        generation: Generation::from_number(generation?),
        issued_at: Timestamp::from_unix_ms(issued_at?),
        expires_at: Timestamp::from_unix_ms(expires_at?),
    })
}

/// A pool.
#[derive(Serialize)]
pub struct PoolRow {
    pub app: i64,
    pub kind: i16,
    pub salt: Vec<u8>,
    pub current: HeldColumns,
    pub previous: HeldColumns,
    pub token_epoch: i64,
    pub quota_day: i64,
    pub used_today: i64,
    pub forced_today: i64,
    pub forced_at: Option<i64>,
    pub revision: i64,
}

impl PoolRow {
    /// The row of `pool`.
    pub fn of(pool: &Pool) -> Self {
        Self {
            app: pool.key.app.number(),
            kind: i16::from(pool.key.kind.number()),
            salt: pool.salt.0.to_vec(),
            current: held_columns(Some(pool.current)),
            previous: held_columns(pool.previous),
            token_epoch: i64::from(pool.token_epoch),
            quota_day: pool.quota_day,
            used_today: i64::from(pool.used_today),
            forced_today: i64::from(pool.forced_today),
            forced_at: pool.forced_at.map(Timestamp::unix_ms),
            revision: pool.revision,
        }
    }

    /// The pool of this row.
    pub fn into_pool(self) -> Result<Pool, Damaged> {
        let damaged = Damaged("pool");
        let kind = u8::try_from(self.kind).ok().and_then(TokenKind::from_number).ok_or(damaged)?;
        Ok(Pool {
            key: PoolKey { app: RecordId::from_number(self.app), kind },
            salt: Salt(self.salt.try_into().map_err(|_| damaged)?),
            current: held(self.current).ok_or(damaged)?,
            previous: held(self.previous),
            token_epoch: u32::try_from(self.token_epoch).map_err(|_| damaged)?,
            quota_day: self.quota_day,
            used_today: u32::try_from(self.used_today).map_err(|_| damaged)?,
            forced_today: u32::try_from(self.forced_today).map_err(|_| damaged)?,
            forced_at: self.forced_at.map(Timestamp::from_unix_ms),
            revision: self.revision,
        })
    }
}

/// [`GrantStage::Issued`] as a number.
pub const STAGE_ISSUED: i16 = 0;
/// [`GrantStage::Active`] as a number.
pub const STAGE_ACTIVE: i16 = 1;
/// [`GrantStage::Revoked`] as a number.
pub const STAGE_REVOKED: i16 = 2;

/// A grant.
#[derive(Serialize)]
pub struct GrantRow {
    pub id: i64,
    pub app: i64,
    pub customer: String,
    /// One space between two.
    pub scopes: String,
    pub salt: Vec<u8>,
    pub stage: i16,
    pub code_expires_at: i64,
    pub spent_at: Option<i64>,
    /// [`GrantStage::Revoked`] only.
    pub revoked_at: Option<i64>,
    /// [`GrantStage::Active`] only, as the next two.
    pub access: HeldColumns,
    pub refresh_expires_at: Option<i64>,
    pub previous: HeldColumns,
    /// What an exchange is held against: of [`GrantStage::Issued`] its binding, of
    /// [`GrantStage::Active`] the digest of the request that made the tokens.
    pub made_by: Option<Vec<u8>>,
    pub token_epoch: i64,
    pub revision: i64,
}

impl GrantRow {
    /// The row of `grant`.
    pub fn of(grant: &Grant) -> Self {
        let (stage, spent_at, revoked_at, tokens) = match grant.stage {
            GrantStage::Issued { .. } => (STAGE_ISSUED, None, None, None),
            GrantStage::Active { spent_at, tokens } => (STAGE_ACTIVE, Some(spent_at), None, Some(tokens)),
            GrantStage::Revoked { spent_at, at } => (STAGE_REVOKED, spent_at, Some(at), None),
        };
        let digest = match grant.stage {
            GrantStage::Issued { binding } => binding.map(|digest| digest.0),
            GrantStage::Active { tokens, .. } => tokens.made_by.map(|digest| digest.0),
            GrantStage::Revoked { .. } => None,
        };
        let scopes: Vec<&str> = grant.scopes.iter().map(Scope::as_str).collect();
        Self {
            id: grant.id.number(),
            app: grant.app.number(),
            customer: grant.customer.as_str().to_owned(),
            scopes: scopes.join(" "),
            salt: grant.salt.0.to_vec(),
            stage,
            code_expires_at: grant.code_expires_at.unix_ms(),
            spent_at: spent_at.map(Timestamp::unix_ms),
            revoked_at: revoked_at.map(Timestamp::unix_ms),
            access: held_columns(tokens.map(|tokens| tokens.access)),
            refresh_expires_at: tokens.map(|tokens| tokens.refresh_expires_at.unix_ms()),
            previous: held_columns(tokens.and_then(|tokens| tokens.previous)),
            made_by: digest.map(|digest| digest.to_vec()),
            token_epoch: i64::from(grant.token_epoch),
            revision: grant.revision,
        }
    }

    /// The grant of this row.
    pub fn into_grant(self) -> Result<Grant, Damaged> {
        let damaged = Damaged("grant");
        let scopes = self.scopes.split_terminator(' ').map(Scope::parse).collect::<Result<_, _>>();
        Ok(Grant {
            id: RecordId::from_number(self.id),
            app: RecordId::from_number(self.app),
            customer: CustomerId::parse(&self.customer).map_err(|_| damaged)?,
            scopes: scopes.map_err(|_| damaged)?,
            stage: self.stage().ok_or(damaged)?,
            token_epoch: u32::try_from(self.token_epoch).map_err(|_| damaged)?,
            salt: Salt(self.salt.try_into().map_err(|_| damaged)?),
            code_expires_at: Timestamp::from_unix_ms(self.code_expires_at),
            revision: self.revision,
        })
    }

    fn stage(&self) -> Option<GrantStage> {
        let spent_at = self.spent_at.map(Timestamp::from_unix_ms);
        match self.stage {
            STAGE_ISSUED => Some(GrantStage::Issued { binding: self.digest().ok()?.map(CodeBinding) }),
            STAGE_ACTIVE => Some(GrantStage::Active { spent_at: spent_at?, tokens: self.tokens()? }),
            STAGE_REVOKED => {
                Some(GrantStage::Revoked { spent_at, at: Timestamp::from_unix_ms(self.revoked_at?) })
            }
            _ => None,
        }
    }

    fn tokens(&self) -> Option<ActiveTokens> {
        Some(ActiveTokens {
            access: held(self.access)?,
            refresh_expires_at: Timestamp::from_unix_ms(self.refresh_expires_at?),
            previous: held(self.previous),
            made_by: self.digest().ok()?.map(RequestDigest),
        })
    }

    fn digest(&self) -> Result<Option<[u8; 16]>, TryFromSliceError> {
        self.made_by.as_deref().map(<[u8; 16]>::try_from).transpose()
    }
}

/// A platform key.
#[derive(Serialize)]
pub struct PlatformKeyRow {
    pub purpose: String,
    pub version: i64,
    pub sealed: Vec<u8>,
}

impl PlatformKeyRow {
    /// The row of `key`.
    pub fn of(key: &PlatformKey) -> Self {
        Self {
            purpose: key.purpose.name().to_owned(),
            version: i64::from(key.version),
            sealed: key.sealed.as_bytes().to_vec(),
        }
    }

    /// The key of this row.
    pub fn into_key(self) -> Result<PlatformKey, Damaged> {
        let damaged = Damaged("platform key");
        Ok(PlatformKey {
            purpose: KeyPurpose::from_name(&self.purpose).ok_or(damaged)?,
            version: u32::try_from(self.version).map_err(|_| damaged)?,
            sealed: mintkeep_protocol::crypto::Sealed::from_bytes(self.sealed),
        })
    }
}

/// A line of the audit.
#[derive(Serialize)]
pub struct AuditRow {
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub address: Option<String>,
    pub request_id: String,
}

impl AuditRow {
    /// The row of `entry`.
    pub fn of(entry: &AuditEntry) -> Result<Self, Damaged> {
        Ok(Self {
            at: entry.at.unix_ms(),
            actor: entry.actor.clone(),
            action: to_document("audit", &entry.action)?.trim_matches('"').to_owned(),
            subject: entry.subject.clone(),
            address: entry.address.map(|address| address.to_string()),
            request_id: entry.request_id.clone(),
        })
    }

    /// The entry of this row.
    pub fn into_entry(self) -> Result<AuditEntry, Damaged> {
        let damaged = Damaged("audit");
        let address = self.address.map(|text| text.parse::<IpAddr>()).transpose();
        let action: AuditAction =
            serde_json::from_value(serde_json::Value::String(self.action)).map_err(|_| damaged)?;
        Ok(AuditEntry {
            at: Timestamp::from_unix_ms(self.at),
            actor: self.actor,
            action,
            subject: self.subject,
            address: address.map_err(|_| damaged)?,
            request_id: self.request_id,
        })
    }
}

/// A record that is only ever looked up by its id, as one JSON document.
pub fn to_document<T: Serialize>(what: &'static str, record: &T) -> Result<String, Damaged> {
    serde_json::to_string(record).map_err(|_| Damaged(what))
}

/// The record of a document that [`to_document`] made.
pub fn from_document<T: DeserializeOwned>(what: &'static str, document: &str) -> Result<T, Damaged> {
    serde_json::from_str(document).map_err(|_| Damaged(what))
}
