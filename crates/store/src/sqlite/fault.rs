//! What can go wrong between a statement and its record, and how the operator hears of it.

use mintkeep_protocol::port::issuer_store::StoreError;

use crate::flat::Damaged;

/// A statement or a row failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The engine said no: disk full, an IO error, a damaged file.
    #[error(transparent)]
    Engine(#[from] rusqlite::Error),
    /// What would be written now nobody would find again.
    #[error(
        "the database was deleted or replaced while it was in use: stop the server, and put the database or a backup in its place"
    )]
    Displaced,
    /// A row can't be read back as a record.
    #[error(transparent)]
    Row(#[from] Damaged),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        unavailable(&fault)
    }
}

/// The error for the operator. What SQLite says names tables and codes, never a value.
pub fn unavailable(cause: &(impl ToString + ?Sized)) -> StoreError {
    StoreError { room: "SQLite", cause: cause.to_string() }
}
