//! The only room that knows SQL: memory, SQLite and PostgreSQL behind the protocol's ports.
//!
//! [`MemoryStore`] is the model: plain maps under a lock, so simple that it is right by reading. The others
//! must do as it does, and one conformance suite (`tests/conformance`) runs over all of them.

mod cache;
mod change;
mod copy;
mod epoch;
mod flat;
pub mod memory;
mod migration;
pub mod postgres;
mod settling;
pub mod sqlite;

pub use copy::{Compared, CopyError, Progress, Sum, copy};
pub use memory::MemoryStore;
pub use migration::{Migrated, Migrating};
pub use postgres::{DatabaseError, PostgresOptions, PostgresStore};
pub use sqlite::{OpenError, SqliteOptions, SqliteStore};
