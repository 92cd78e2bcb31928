//! The database that is copied into.

use deadpool_postgres::{ClientWrapper, Object};
use mintkeep_protocol::token::StoreEpoch;
use tokio_postgres::types::ToSql;

use super::tables::{Flat, TABLES, Table};
use super::{CopyError, Sum};
use crate::postgres::schema::{self, COPYING, meta, set_meta};
use crate::postgres::{DatabaseError, Fault, open, restored};

/// The meta value that tells which store the database is a copy of.
const COPY_OF: &str = "copy_of";

/// How many rows are fetched at a time to be compared.
const FETCHED_ROWS: i32 = 500;

/// How far the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Rows may be missing.
    Unfinished,
    /// All was found to be the same once.
    Finished,
}

/// Connects, and makes the tables if there are none.
pub async fn connect(url: &str) -> Result<Object, CopyError> {
    let connections = open::pool(open::migration_address(url)?, 1)?;
    let mut db = connections.get().await.map_err(Fault::from)?;
    if schema::there(&db).await?.is_none() {
        schema::migrate(&mut db, &mut |_| {}).await?;
    }
    open::check_schema(schema::there(&db).await?)?;
    Ok(db)
}

/// Begins a copy of the store `identity`, or goes on with one. The database must be empty, or a copy of it.
pub async fn begin(db: &mut ClientWrapper, identity: i64, epoch: StoreEpoch) -> Result<Begun, CopyError> {
    let tx = db.transaction().await.map_err(Fault::from)?;
    let connections = restored::others(&tx).await?;
    if connections > 0 {
        return Err(DatabaseError::InUse { connections }.into());
    }
    match meta(&*tx, COPY_OF).await? {
        Some(other) if other != identity => return Err(CopyError::Foreign),
        Some(_) => {
            let is_unfinished = meta(&*tx, COPYING).await? == Some(1);
            return Ok(if is_unfinished { Begun::Unfinished } else { Begun::Finished });
        }
        None => {}
    }
    let any = TABLES.each_ref().map(|table| format!("EXISTS (SELECT FROM {})", table.name)).join(" OR ");
    let row = tx.query_one(&format!("SELECT {any}"), &[]).await.map_err(Fault::from)?;
    if row.try_get(0).map_err(Fault::from)? {
        return Err(CopyError::Foreign);
    }
    set_meta(&*tx, COPY_OF, identity).await?;
    set_meta(&*tx, COPYING, 1).await?;
    restored::set_epoch(&*tx, epoch).await?;
    tx.commit().await.map_err(Fault::from)?;
    Ok(Begun::Unfinished)
}

/// How many rows of `table` were put already.
pub async fn copied(db: &ClientWrapper, table: &Table) -> Result<i64, Fault> {
    Ok(meta(&**db, &copied_name(table)).await?.unwrap_or(0))
}

/// Puts rows of `table`, and notes that it has `rows` of them now, both or neither.
pub async fn put(
    db: &mut ClientWrapper,
    table: &Table,
    batch: &[Box<dyn Flat>],
    rows: i64,
) -> Result<(), Fault> {
    let values: Vec<&(dyn ToSql + Sync)> = batch.iter().flat_map(|row| row.values()).collect();
    let tx = db.transaction().await?;
    let statement = tx.prepare_cached(&table.target_insert(batch.len())).await?;
    tx.execute(&statement, &values).await?;
    set_meta(&*tx, &copied_name(table), rows).await?;
    Ok(tx.commit().await?)
}

/// All of `table`, as the database gives it back.
pub async fn sum(db: &mut ClientWrapper, table: &Table) -> Result<Sum, Fault> {
    let mut sum = Sum::default();
    let tx = db.transaction().await?;
    let portal = tx.bind(&table.target_sql(), &[]).await?;
    loop {
        let rows = tx.query_portal(&portal, FETCHED_ROWS).await?;
        if rows.is_empty() {
            return Ok(sum);
        }
        for row in &rows {
            sum.add(&(table.read_target)(row)?);
        }
    }
}

/// Lets servers start on the database. New audit lines come after those that were copied.
pub async fn finish(db: &mut ClientWrapper) -> Result<(), Fault> {
    let tx = db.transaction().await?;
    let after = "SELECT setval(pg_get_serial_sequence('audit', 'n'), (SELECT max(n) FROM audit))";
    tx.execute(after, &[]).await?;
    for table in &TABLES {
        tx.execute("DELETE FROM meta WHERE name = $1", &[&copied_name(table)]).await?;
    }
    set_meta(&*tx, COPYING, 0).await?;
    Ok(tx.commit().await?)
}

fn copied_name(table: &Table) -> String {
    format!("copied_{}", table.name)
}
