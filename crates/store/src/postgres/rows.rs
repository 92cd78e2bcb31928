//! PostgreSQL's rows as flat records. Column lists and readers of one record stand together.

use tokio_postgres::Row;

use super::fault::Fault;
use super::packed::unpack;
use crate::flat::{AppRow, AuditRow, Damaged, GrantRow, PlatformKeyRow, PoolRow};

/// What reading a row gives.
pub type Read<T> = Result<T, Fault>;

/// The columns that [`app`] reads.
pub const APP: &str = "no, id, revision, document";

pub fn app(row: &Row) -> Read<AppRow> {
    Ok(AppRow {
        no: row.try_get(0)?,
        id: row.try_get(1)?,
        revision: row.try_get(2)?,
        document: row.try_get(3)?,
    })
}

/// The columns that [`pool`] reads.
pub const POOL: &str = "app, kind, salt, generation, issued_at, expires_at, \
     previous_generation, previous_issued_at, previous_expires_at, \
     token_epoch, quota_day, used_today, forced_today, forced_at, revision";

pub fn pool(row: &Row) -> Read<PoolRow> {
    Ok(PoolRow {
        app: row.try_get(0)?,
        kind: row.try_get(1)?,
        salt: row.try_get(2)?,
        current: (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?),
        previous: (row.try_get(6)?, row.try_get(7)?, row.try_get(8)?),
        token_epoch: row.try_get(9)?,
        quota_day: row.try_get(10)?,
        used_today: row.try_get(11)?,
        forced_today: row.try_get(12)?,
        forced_at: row.try_get(13)?,
        revision: row.try_get(14)?,
    })
}

/// The columns that [`grant`] reads, and that are written.
pub const GRANT: &str = "id, app, gone_at, revision, customer, body";

pub fn grant(row: &Row) -> Read<GrantRow> {
    let columns = (row.try_get(0)?, row.try_get(1)?, i64::from(row.try_get::<_, i32>(3)?));
    Ok(unpack(columns, row.try_get(4)?, row.try_get(5)?).ok_or(Damaged("grant"))?)
}

/// The columns that [`platform_key`] reads.
pub const PLATFORM_KEY: &str = "purpose, version, sealed";

pub fn platform_key(row: &Row) -> Read<PlatformKeyRow> {
    Ok(PlatformKeyRow { purpose: row.try_get(0)?, version: row.try_get(1)?, sealed: row.try_get(2)? })
}

/// The columns that [`audit`] reads.
pub const AUDIT: &str = "n, at, actor, action, subject, address, request_id";

pub fn audit(row: &Row) -> Read<(i64, AuditRow)> {
    let line = AuditRow {
        at: row.try_get(1)?,
        actor: row.try_get(2)?,
        action: row.try_get(3)?,
        subject: row.try_get(4)?,
        address: row.try_get(5)?,
        request_id: row.try_get(6)?,
    };
    Ok((row.try_get(0)?, line))
}
