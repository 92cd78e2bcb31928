//! `mintkeep store`, and the store that a verb works on without a server.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use mintkeep_protocol::time::Clock as _;
use mintkeep_store::{DatabaseError, PostgresStore};
use mintkeep_web::clock::SystemClock;
use serde_json::json;
use zeroize::Zeroizing;

use super::client::Failure;
use super::report::{note, write_json, write_line};
use super::store_copy;
use crate::config::{self, StoreSettings};

/// Verbs about a store, done without a server.
#[derive(Debug, Subcommand)]
pub enum StoreVerb {
    /// Begins a new epoch in a database that was restored from a backup, before any server starts on it.
    #[command(after_help = RESTORED_EXAMPLES)]
    MarkRestored {
        /// The configuration file that names the store.
        #[arg(long, value_name = "FILE", env = "MINTKEEP_CONFIG")]
        config: PathBuf,
        /// Tells what was done as JSON, for programs.
        #[arg(long, help_heading = "Output")]
        json: bool,
    },
    /// Copies an embedded store into an empty database, and compares every record.
    #[command(after_help = store_copy::EXAMPLES)]
    Copy(store_copy::Copy),
}

const RESTORED_EXAMPLES: &str = "\
Examples:
  pg_restore -d mintkeep backup.dump
  mintkeep store mark-restored --config mintkeep.toml    # then start the servers

Without it a token could be handed out that was handed out before, after the backup was taken. Doing it once too \
often costs nothing but codes that are not exchanged yet. An embedded store needs it not: its backups are marked.

Exit codes: 0 done, 1 it can't be done (the configuration is wrong, a server works on \
the database), 2 usage, 3 it could not be reached.";

impl StoreVerb {
    /// Whether the answer is wanted as JSON.
    pub const fn as_json(&self) -> bool {
        match self {
            Self::MarkRestored { json, .. } => *json,
            Self::Copy(options) => options.json,
        }
    }
}

/// Does it.
pub async fn run(verb: StoreVerb) -> Result<(), Failure> {
    match verb {
        StoreVerb::MarkRestored { config, json } => mark_restored(&config, json).await,
        StoreVerb::Copy(options) => store_copy::run(options).await,
    }
}

async fn mark_restored(config: &Path, json: bool) -> Result<(), Failure> {
    let Target::Database(url) = Target::of_configuration(config)? else {
        let why = "an embedded store begins a new epoch by itself when a backup is put in its place";
        return Err(Failure::Usage(why.to_owned()));
    };
    let marked = PostgresStore::mark_restored(&url, SystemClock.now()).await;
    let epoch = marked.map_err(|error| of_database(&error))?.number();
    if json {
        write_json(&json!({ "epoch": epoch }));
    } else {
        write_line(&format!("epoch {epoch} has begun; servers may start"));
    }
    Ok(())
}

/// Where a store is.
pub enum Target {
    /// An embedded one, in this folder.
    Folder(PathBuf),
    /// PostgreSQL, at a URL that may hold a password.
    Database(Zeroizing<String>),
}

impl Target {
    /// The store that a configuration file names. What the file is warned of is told beside it.
    pub fn of_configuration(file: &Path) -> Result<Self, Failure> {
        let (settings, warnings) =
            config::load(file).map_err(|rejected| Failure::Local(rejected.to_string().replace('\n', ";")))?;
        for warning in warnings {
            note(&format!("warning: {}: {warning}", file.display()));
        }
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
        DatabaseError::Url
        | DatabaseError::Tls { .. }
        | DatabaseError::Locked
        | DatabaseError::SessionShared
        | DatabaseError::Behind { .. }
        | DatabaseError::Newer { .. }
        | DatabaseError::HalfCopied
        | DatabaseError::InUse { .. } => Failure::Local(error.to_string()),
    }
}
