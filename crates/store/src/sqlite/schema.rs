//! The tables, and how older ones become today's.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::migration::{Migrated, Migrating, Step, Tell};

/// Each step takes the schema of its position to the next. Steps are only ever added.
const STEPS: [Step; 3] = [
    Step { what: "the issuer's records", sql: include_str!("schema/001_issuer.sql") },
    Step { what: "the keeper's records", sql: include_str!("schema/002_keeper.sql") },
    Step { what: "spent nonces", sql: include_str!("schema/003_spent_nonce.sql") },
];

/// The schema that this version writes.
pub const CURRENT: usize = STEPS.len();

/// Brings the tables up to date, all steps or none. Nothing is done to those of a newer version.
pub fn migrate(db: &mut Connection, tell: Tell<'_>) -> rusqlite::Result<Migrated> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
    )?;
    let found: usize = meta(&tx, "schema")?.and_then(|found| usize::try_from(found).ok()).unwrap_or(0);
    let migrated = Migrated { found, needed: CURRENT };
    if migrated.is_newer() {
        return Ok(migrated);
    }
    for (schema, step) in (1..).zip(&STEPS).skip(found) {
        tell(Migrating::Begun { schema, what: step.what });
        tx.execute_batch(step.sql)?;
        tell(Migrating::Done);
    }
    set_meta(&tx, "schema", i64::try_from(CURRENT).unwrap_or(i64::MAX))?;
    tx.commit()?;
    Ok(migrated)
}

/// One of the store's own numbers.
pub fn meta(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Sets one of the store's own numbers.
pub fn set_meta(db: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
    db.execute(upsert, rusqlite::params![name, value])?;
    Ok(())
}
