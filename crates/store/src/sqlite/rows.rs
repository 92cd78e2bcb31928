//! SQLite's rows as flat records. Column lists and readers of one record stand together.

use rusqlite::Row;

use crate::flat::{AppRow, AuditRow, GrantRow, PlatformKeyRow, PoolRow};

/// The columns that [`app`] reads.
pub const APP: &str = "no, id, revision, document";

pub fn app(row: &Row<'_>) -> rusqlite::Result<AppRow> {
    Ok(AppRow { no: row.get(0)?, id: row.get(1)?, revision: row.get(2)?, document: row.get(3)? })
}

/// The columns that [`pool`] reads.
pub const POOL: &str = "app, kind, salt, generation, issued_at, expires_at, \
     previous_generation, previous_issued_at, previous_expires_at, \
     token_epoch, quota_day, used_today, forced_today, forced_at, revision";

pub fn pool(row: &Row<'_>) -> rusqlite::Result<PoolRow> {
    Ok(PoolRow {
        app: row.get(0)?,
        kind: row.get(1)?,
        salt: row.get(2)?,
        current: (row.get(3)?, row.get(4)?, row.get(5)?),
        previous: (row.get(6)?, row.get(7)?, row.get(8)?),
        token_epoch: row.get(9)?,
        quota_day: row.get(10)?,
        used_today: row.get(11)?,
        forced_today: row.get(12)?,
        forced_at: row.get(13)?,
        revision: row.get(14)?,
    })
}

/// The columns that [`grant`] reads.
pub const GRANT: &str = "id, app, customer, scopes, salt, stage, code_expires_at, spent_at, revoked_at, \
     generation, issued_at, expires_at, refresh_expires_at, \
     previous_generation, previous_issued_at, previous_expires_at, made_by, token_epoch, revision";

pub fn grant(row: &Row<'_>) -> rusqlite::Result<GrantRow> {
    Ok(GrantRow {
        id: row.get(0)?,
        app: row.get(1)?,
        customer: row.get(2)?,
        scopes: row.get(3)?,
        salt: row.get(4)?,
        stage: row.get(5)?,
        code_expires_at: row.get(6)?,
        spent_at: row.get(7)?,
        revoked_at: row.get(8)?,
        access: (row.get(9)?, row.get(10)?, row.get(11)?),
        refresh_expires_at: row.get(12)?,
        previous: (row.get(13)?, row.get(14)?, row.get(15)?),
        made_by: row.get(16)?,
        token_epoch: row.get(17)?,
        revision: row.get(18)?,
    })
}

/// The columns that [`platform_key`] reads.
pub const PLATFORM_KEY: &str = "purpose, version, sealed";

pub fn platform_key(row: &Row<'_>) -> rusqlite::Result<PlatformKeyRow> {
    Ok(PlatformKeyRow { purpose: row.get(0)?, version: row.get(1)?, sealed: row.get(2)? })
}

/// The columns that [`audit`] reads.
pub const AUDIT: &str = "n, at, actor, action, subject, address, request_id";

pub fn audit(row: &Row<'_>) -> rusqlite::Result<(i64, AuditRow)> {
    let line = AuditRow {
        at: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        address: row.get(5)?,
        request_id: row.get(6)?,
    };
    Ok((row.get(0)?, line))
}
