//! What can go wrong between a statement and its record, what is worth another try, and how the operator
//! hears of it.

use std::error::Error as _;
use std::io;

use mintkeep_protocol::port::issuer_store::StoreError;
use tokio_postgres::error::SqlState;

use crate::flat::Damaged;

/// A connection, a statement or a row failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The engine said no, or the connection to it broke.
    #[error("{}", told(.0))]
    Engine(#[from] tokio_postgres::Error),
    /// No connection could be had in time.
    #[error("no connection: {0}")]
    Connection(String),
    /// The server was asked and said nothing: it is frozen, or the way to it is.
    #[error("the database did not answer in time")]
    Silent,
    /// It lets nobody change anything.
    #[error("the database takes no changes: it was made read-only, or is a standby")]
    ReadOnly,
    /// It lets others do something that we have to do.
    #[error("the database's user lacks {0}: GRANT it")]
    RightLacking(String),
    /// A row can't be read back as a record.
    #[error(transparent)]
    Row(#[from] Damaged),
}

impl Fault {
    /// Whether the engine undid everything because of somebody else's transaction, so that it can simply be
    /// done again.
    pub fn is_conflict(&self) -> bool {
        self.state().is_some_and(|state| {
            *state == SqlState::T_R_SERIALIZATION_FAILURE || *state == SqlState::T_R_DEADLOCK_DETECTED
        })
    }

    /// Whether a lock was waited for as long as one may.
    pub fn is_lock_wait(&self) -> bool {
        self.state() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether a unique index refused the row.
    pub fn is_taken(&self) -> bool {
        self.state() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether it is the doing of one row, and another row's statement would go through.
    pub fn is_a_rows(&self) -> bool {
        // Data exceptions, integrity constraints, and what a trigger raises.
        let of_rows = ["22", "23", "P0"];
        let damaged = matches!(self, Self::Row(_));
        damaged
            || self.state().is_some_and(|state| of_rows.iter().any(|class| state.code().starts_with(class)))
    }

    /// Whether the connection is of no more use: broken, silent, to a server that ends, or to one that became
    /// a standby.
    pub fn ends_connection(&self) -> bool {
        match self {
            Self::Engine(error) => error.code().is_none_or(|state| {
                *state == SqlState::READ_ONLY_SQL_TRANSACTION
                    || *state == SqlState::ADMIN_SHUTDOWN
                    || *state == SqlState::CRASH_SHUTDOWN
            }),
            Self::Silent | Self::ReadOnly => true,
            Self::Connection(_) | Self::RightLacking(_) | Self::Row(_) => false,
        }
    }

    fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Engine(error) => error.code(),
            Self::Connection(_) | Self::Silent | Self::ReadOnly | Self::RightLacking(_) | Self::Row(_) => {
                None
            }
        }
    }
}

impl From<deadpool_postgres::PoolError> for Fault {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => Self::Engine(error),
            deadpool_postgres::PoolError::Timeout(_) => {
                Self::Connection("too many statements wait; the database is too slow or down".into())
            }
            other @ (deadpool_postgres::PoolError::Closed
            | deadpool_postgres::PoolError::NoRuntimeSpecified
            | deadpool_postgres::PoolError::PostCreateHook(_)) => Self::Connection(other.to_string()),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        unavailable(&fault)
    }
}

/// The error for the operator.
pub fn unavailable(cause: &(impl ToString + ?Sized)) -> StoreError {
    StoreError { room: "PostgreSQL", cause: cause.to_string() }
}

/// What the engine said, by its code and message; its detail may quote values and is left out.
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        None => match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::NoTls;

    use super::*;

    #[tokio::test]
    async fn who_can_not_be_reached_is_told_with_what_the_operating_system_said() {
        let connected = tokio_postgres::connect("host=127.0.0.1 port=1 user=a", NoTls).await;
        let Err(error) = connected else { panic!("somebody is there") };
        assert!(Fault::Engine(error).to_string().contains("refused"));
    }
}
