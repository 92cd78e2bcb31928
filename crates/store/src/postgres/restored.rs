//! A database that was restored from a backup begins a new epoch.

use deadpool_postgres::{ClientWrapper, Transaction};
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::StoreEpoch;
use tokio_postgres::GenericClient;

use super::fault::Fault;
use super::schema;
use crate::epoch::{self, after_restore, from_stored};

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
    let begun = after_restore(epoch(&*tx).await?, now);
    set_epoch(&*tx, begun).await?;
    tx.commit().await?;
    Ok(Marked::Begun(begun))
}

/// The epoch that the database is in.
pub async fn epoch(db: &impl GenericClient) -> Result<StoreEpoch, Fault> {
    let (number, first) = (schema::meta(db, epoch::NUMBER).await?, schema::meta(db, epoch::FIRST).await?);
    Ok(from_stored(number, first))
}

/// Puts the database into an epoch.
pub async fn set_epoch(db: &impl GenericClient, epoch: StoreEpoch) -> Result<(), Fault> {
    schema::set_meta(db, epoch::NUMBER, i64::from(epoch.number())).await?;
    schema::set_meta(db, epoch::FIRST, epoch.first().number()).await
}

/// How many other connections of Mintkeep there are to the database.
pub async fn others(db: &Transaction<'_>) -> Result<i64, Fault> {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()";
    Ok(db.query_one(others, &[]).await?.try_get(0)?)
}
