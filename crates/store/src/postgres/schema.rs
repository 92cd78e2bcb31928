//! The tables, and how older ones become today's.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::GenericClient;

use super::fault::Fault;

/// Each step takes the schema of its position to the next. Steps are only ever added.
const STEPS: [&str; 3] = [
    include_str!("schema/001_issuer.sql"),
    include_str!("schema/002_keeper.sql"),
    include_str!("schema/003_spent_nonce.sql"),
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

/// Brings the tables up to date, all steps or none, one process at a time. Gives the schema that was found;
/// if that is newer than ours, nothing was done.
pub async fn migrate(db: &mut ClientWrapper) -> Result<usize, Fault> {
    let tx = db.transaction().await?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    tx.batch_execute("CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value bigint NOT NULL)")
        .await?;
    let found = meta(&*tx, "schema").await?.and_then(|found| usize::try_from(found).ok()).unwrap_or(0);
    if found >= CURRENT {
        return Ok(found);
    }
    for step in STEPS.iter().skip(found) {
        tx.batch_execute(step).await?;
    }
    set_meta(&*tx, "schema", i64::try_from(CURRENT).unwrap_or(i64::MAX)).await?;
    set_meta(&*tx, "serves_from", SERVES_FROM).await?;
    tx.commit().await?;
    Ok(found)
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
