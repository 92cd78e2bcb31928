//! Moving a small installation up: all that an embedded store holds goes into an empty database, batch by
//! batch, and is compared there record by record.

mod source;
mod tables;
mod target;

use std::path::Path;

use deadpool_postgres::ClientWrapper;
use mintkeep_protocol::time::Timestamp;

use crate::epoch::after_restore;
use crate::postgres::{DatabaseError, Fault};
use crate::sqlite::OpenError;
use source::Source;
use tables::{TABLES, Table};
use target::Begun;

/// How many rows are written in one transaction. What is interrupted loses no more than these.
const BATCH_ROWS: usize = 500;

/// Why a store was not copied. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The embedded store can't be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The database can't be written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database holds what did not come from this store.
    #[error("the database holds something else than a copy of this store: give an empty database")]
    Foreign,
}

impl From<Fault> for CopyError {
    fn from(fault: Fault) -> Self {
        Self::Database(fault.into())
    }
}

/// How far a copy is.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// Rows of a table were copied.
    Copied {
        /// Its name.
        table: &'static str,
        /// How many of its rows are in the database.
        rows: i64,
        /// How many there are to copy.
        of: i64,
    },
    /// All tables are copied; every record is read again on both sides, which takes about as long.
    Comparing,
}

/// A table's rows, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// How many there are.
    pub rows: i64,
    /// SHA-256 of the digest up to the row before, and the row in the form that is the same for every engine; zeros
    /// without rows.
    pub digest: [u8; 32],
}

impl Sum {
    /// With one more row.
    fn add(&mut self, row: &[u8]) {
        self.rows = self.rows.saturating_add(1);
        self.digest = mintkeep_protocol::crypto::sha256(&[&self.digest, row].concat());
    }
}

/// What both stores hold of one table.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    /// Its name.
    pub table: &'static str,
    /// In the embedded store.
    pub source: Sum,
    /// In the database.
    pub target: Sum,
}

impl Compared {
    /// Whether the database holds the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.source == self.target
    }
}

/// Copies the embedded store in `folder` into the database at `url`, and tells of each batch.
///
/// The folder is ours meanwhile, and nothing in it changes but for what its server would do at its start too. A
/// copy that was interrupted goes on where it stopped. Until both are found the same no server starts on the
/// database; from then on it is only compared again, since its servers may have changed it. It begins an epoch
/// after the source's, so that nothing is handed out twice if the source is started again.
///
/// # Errors
///
/// [`CopyError`], which says what to do. Stores that differ are no error: see [`Compared::is_same`].
pub async fn copy(
    folder: &Path,
    url: &str,
    now: Timestamp,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Compared>, CopyError> {
    let source = Source::open(folder, now)?;
    let mut db = target::connect(url).await?;
    let epoch = after_restore(source.epoch(), now);
    let begun = target::begin(&mut db, source.identity()?, epoch).await?;
    if begun == Begun::Unfinished {
        for table in &TABLES {
            copy_table(&source, &mut db, table, tell).await?;
        }
    }
    tell(Progress::Comparing);
    let mut compared = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        let sums = (source.sum(table)?, target::sum(&mut db, table).await?);
        compared.push(Compared { table: table.name, source: sums.0, target: sums.1 });
    }
    if begun == Begun::Unfinished && compared.iter().all(Compared::is_same) {
        target::finish(&mut db).await?;
    }
    Ok(compared)
}

async fn copy_table(
    source: &Source,
    db: &mut ClientWrapper,
    table: &'static Table,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), CopyError> {
    let of = source.count(table)?;
    let mut rows = target::copied(db, table).await?;
    let mut statement = source.prepare(table)?;
    let mut left = source.rows_after(&mut statement, rows)?;
    loop {
        let batch = source.next_batch(&mut left, table, BATCH_ROWS)?;
        if batch.is_empty() {
            return Ok(());
        }
        rows = rows.saturating_add(i64::try_from(batch.len()).unwrap_or(i64::MAX));
        target::put(db, table, &batch, rows).await?;
        tell(Progress::Copied { table: table.name, rows, of });
    }
}
