//! The store that is copied: read in the order of its keys, by nobody else meanwhile.

use std::fs::File;
use std::path::Path;

use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::StoreEpoch;
use rusqlite::{Rows, Statement};

use super::Sum;
use super::tables::{Flat, Table};
use crate::sqlite::OpenError;
use crate::sqlite::open::{FILE_NAME, Opened, open};

/// An embedded store whose folder is ours.
pub struct Source(Opened);

impl Source {
    /// Opens the store in `folder`, which must be there.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self, OpenError> {
        let file = folder.join(FILE_NAME);
        if let Err(cause) = File::open(&file) {
            return Err(OpenError::Io { path: file, cause });
        }
        open(folder, now, &mut |_| {}).map(Self)
    }

    /// The epoch that the store is in.
    pub const fn epoch(&self) -> StoreEpoch {
        self.0.epoch
    }

    /// A random number that tells this store from all others; made at its first copy.
    pub fn identity(&self) -> Result<i64, OpenError> {
        let make = "INSERT INTO meta (name, value) VALUES ('identity', random()) ON CONFLICT DO NOTHING";
        self.said(self.0.db.execute(make, []))?;
        let read = "SELECT value FROM meta WHERE name = 'identity'";
        self.said(self.0.db.query_row(read, [], |row| row.get(0)))
    }

    /// How many rows `table` has.
    pub fn count(&self, table: &Table) -> Result<i64, OpenError> {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        self.said(self.0.db.query_row(&sql, [], |row| row.get(0)))
    }

    /// The question for the rows of `table` from a place on.
    pub fn prepare(&self, table: &Table) -> Result<Statement<'_>, OpenError> {
        self.said(self.0.db.prepare(&table.source_sql()))
    }

    /// All rows but the first `skipped`.
    pub fn rows_after<'s>(
        &self,
        statement: &'s mut Statement<'_>,
        skipped: i64,
    ) -> Result<Rows<'s>, OpenError> {
        self.said(statement.query([skipped]))
    }

    /// Up to `most` rows more; none: there are no more.
    pub fn next_batch(
        &self,
        rows: &mut Rows<'_>,
        table: &Table,
        most: usize,
    ) -> Result<Vec<Box<dyn Flat>>, OpenError> {
        let mut batch = Vec::with_capacity(most);
        while batch.len() < most {
            let Some(row) = self.said(rows.next())? else { break };
            batch.push(self.said((table.read_source)(row))?);
        }
        Ok(batch)
    }

    /// All of `table`.
    pub fn sum(&self, table: &Table) -> Result<Sum, OpenError> {
        let mut sum = Sum::default();
        let mut statement = self.prepare(table)?;
        let mut rows = self.rows_after(&mut statement, 0)?;
        while let Some(row) = self.said(rows.next())? {
            sum.add(&self.said((table.read_source)(row))?.canonical());
        }
        Ok(sum)
    }

    fn said<T>(&self, answer: rusqlite::Result<T>) -> Result<T, OpenError> {
        answer.map_err(|cause| OpenError::Sqlite { file: self.0.file.clone(), cause })
    }
}
