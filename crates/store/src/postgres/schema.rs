//! The tables, and how older ones become today's.

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::{GenericClient, IsolationLevel};

use super::fault::Fault;
use super::open::STATEMENT_MS_MAX;
use crate::migration::{Migrated, Migrating, Step, Tell};

/// Each step takes the schema of its position to the next. Steps are only ever added.
const STEPS: [Step; 3] = [
    Step { what: "the issuer's records", sql: include_str!("schema/001_issuer.sql") },
    Step { what: "the keeper's records", sql: include_str!("schema/002_keeper.sql") },
    Step { what: "spent nonces", sql: include_str!("schema/003_spent_nonce.sql") },
];

/// The schema that this version writes.
pub const CURRENT: usize = STEPS.len();

/// The oldest schema whose Mintkeep still works with today's tables. A step that would break the version
/// before moves this on, one release after the version that no longer needs what it breaks.
const SERVES_FROM: i64 = 1;

/// The meta value that is 1 while a store is being copied into the database.
pub const COPYING: &str = "copying";

/// Keeps two migrations from running at once: "mintkeep" in a keyboard's digits.
const MIGRATION_LOCK: i64 = 64_685_337;

/// Brings the tables up to date, all steps or none, one process at a time. Nothing is done to those of a newer
/// version.
pub async fn migrate(db: &mut ClientWrapper, tell: Tell<'_>) -> Result<Migrated, Fault> {
    // Whoever waited sees what the other one left, whatever the server's isolation is.
    let tx = db.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    wait_for_turn(&tx, tell).await?;
    tx.batch_execute("CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value bigint NOT NULL)")
        .await?;
    let found = meta(&*tx, "schema").await?.and_then(|found| usize::try_from(found).ok()).unwrap_or(0);
    let migrated = Migrated { found, needed: CURRENT };
    if found >= CURRENT {
        return Ok(migrated);
    }
    for (schema, step) in (1..).zip(&STEPS).skip(found) {
        tell(Migrating::Begun { schema, what: step.what });
        tx.batch_execute(step.sql).await?;
        tell(Migrating::Done);
    }
    set_meta(&*tx, "schema", i64::try_from(CURRENT).unwrap_or(i64::MAX)).await?;
    set_meta(&*tx, "serves_from", SERVES_FROM).await?;
    tx.commit().await?;
    Ok(migrated)
}

/// Waits until no other migration is at work, however long that takes.
async fn wait_for_turn(db: &Transaction<'_>, tell: Tell<'_>) -> Result<(), Fault> {
    let ours = db.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    if !ours.try_get::<_, bool>(0)? {
        tell(Migrating::Waiting);
        db.batch_execute("SET LOCAL lock_timeout = 0").await?;
        db.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
        db.batch_execute(&format!("SET LOCAL lock_timeout = {STATEMENT_MS_MAX}")).await?;
    }
    Ok(())
}

/// What is known of the tables that are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct SchemaThere {
    /// Their schema.
    pub found: usize,
    /// The oldest schema whose Mintkeep works with them.
    pub serves_from: usize,
    /// Whether a store is being copied into them, and not all is there yet.
    pub is_half_copied: bool,
}

/// What tables there are; `None`: none at all.
pub async fn there(db: &ClientWrapper) -> Result<Option<SchemaThere>, Fault> {
    let there = db.query_one("SELECT to_regclass('meta') IS NOT NULL", &[]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let number = |stored: Option<i64>| stored.and_then(|stored| usize::try_from(stored).ok()).unwrap_or(0);
    let (found, serves_from) = (meta(&**db, "schema").await?, meta(&**db, "serves_from").await?);
    let is_half_copied = meta(&**db, COPYING).await? == Some(1);
    Ok(Some(SchemaThere { found: number(found), serves_from: number(serves_from), is_half_copied }))
}

/// A right that a server needs and its user lacks, if there is one. Migrations need more.
const RIGHT_LACKING: &str = "SELECT needed.a_right || ' on ' || table_there FROM (VALUES \
     ('SELECT', 'meta app pool grant_record customer service platform_key audit spent_nonce \
                 credential consumer slot slot_history quota_call code_exchange'), \
     ('INSERT', 'app pool grant_record customer service platform_key audit spent_nonce \
                 credential consumer slot slot_history quota_call code_exchange'), \
     ('UPDATE', 'app pool grant_record customer service platform_key \
                 credential consumer slot quota_call code_exchange'), \
     ('DELETE', 'app pool grant_record audit spent_nonce \
                 credential consumer slot slot_history quota_call code_exchange') \
     ) AS needed (a_right, tables), regexp_split_to_table(tables, ' +') AS table_there \
     WHERE NOT has_table_privilege(to_regclass(table_there), a_right) LIMIT 1";

/// Whether what is changed on this connection would be taken.
pub async fn check_writable(db: &impl GenericClient) -> Result<(), Fault> {
    let row = db.query_one("SELECT current_setting('transaction_read_only')::bool", &[]).await?;
    if row.try_get(0)? {
        return Err(Fault::ReadOnly);
    }
    match db.query_opt(RIGHT_LACKING, &[]).await? {
        Some(row) => Err(Fault::RightLacking(row.try_get(0)?)),
        None => Ok(()),
    }
}

/// Whether a commit of ours waits for a synchronous standby, longer than one that is there takes.
pub async fn do_commits_wait(db: &ClientWrapper) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
         AND usename = current_user AND wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '1 s')";
    Ok(db.query_one(sql, &[]).await?.try_get(0)?)
}

/// One of the store's own numbers.
pub async fn meta(db: &impl GenericClient, name: &str) -> Result<Option<i64>, Fault> {
    let row = db.query_opt("SELECT value FROM meta WHERE name = $1", &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Sets one of the store's own numbers.
pub async fn set_meta(db: &impl GenericClient, name: &str, value: i64) -> Result<(), Fault> {
    let upsert = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
    db.execute(upsert, &[&name, &value]).await?;
    Ok(())
}
