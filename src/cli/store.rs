//! The store that a verb works on, without a server.

use std::path::{Path, PathBuf};

use mintkeep_store::DatabaseError;
use zeroize::Zeroizing;

use super::client::Failure;
use crate::config::{self, StoreSettings};

/// Where a store is.
pub enum Target {
    /// An embedded one, in this folder.
    Folder(PathBuf),
    /// PostgreSQL, at a URL that may hold a password.
    Database(Zeroizing<String>),
}

impl Target {
    /// The store that a configuration file names.
    pub fn of_configuration(file: &Path) -> Result<Self, Failure> {
        let (settings, _warnings) =
            config::load(file).map_err(|rejected| Failure::Usage(rejected.to_string().replace('\n', ";")))?;
        Ok(match settings.store {
            StoreSettings::Embedded(folder) => Self::Folder(folder),
            StoreSettings::Postgres(url) => Self::Database(url),
        })
    }
}

/// What a database's refusal means for a verb.
pub fn of_database(error: &DatabaseError) -> Failure {
    match error {
        DatabaseError::Unusable { .. } => Failure::Unreachable(error.to_string()),
        DatabaseError::Url | DatabaseError::Tls { .. } => Failure::Usage(error.to_string()),
        DatabaseError::Behind { .. } | DatabaseError::Newer { .. } => Failure::Local(error.to_string()),
    }
}
