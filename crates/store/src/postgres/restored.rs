//! A database that was restored from a backup begins a new epoch.

use deadpool_postgres::{ClientWrapper, Transaction};
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::StoreEpoch;

use super::fault::Fault;
use super::schema;
use crate::epoch::after_restore;

/// What became of it.
pub enum Marked {
    /// The epoch that has begun.
    Begun(StoreEpoch),
    /// So many connections of servers are open. They would go on in the old epoch.
    InUse(i64),
}

/// Begins a new epoch, unless a server works on the database: it would not hear of it.
pub async fn mark(db: &mut ClientWrapper, now: Timestamp) -> Result<Marked, Fault> {
    let tx = db.transaction().await?;
    let others = others(&tx).await?;
    if others > 0 {
        return Ok(Marked::InUse(others));
    }
    let stored = schema::meta(&*tx, "epoch").await?.and_then(|epoch| u16::try_from(epoch).ok());
    let epoch = after_restore(StoreEpoch(stored.unwrap_or(0)), now);
    schema::set_meta(&*tx, "epoch", i64::from(epoch.0)).await?;
    tx.commit().await?;
    Ok(Marked::Begun(epoch))
}

/// How many other connections of Mintkeep there are to the database.
pub async fn others(db: &Transaction<'_>) -> Result<i64, Fault> {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()";
    Ok(db.query_one(others, &[]).await?.try_get(0)?)
}
