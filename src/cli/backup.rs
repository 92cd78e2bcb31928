//! `mintkeep backup`: copies an embedded store while its server runs.

use std::path::PathBuf;

use mintkeep_store::SqliteStore;
use serde_json::json;

use super::client::Failure;
use super::report::{note, write_json, write_line};
use super::store::Target;

/// Options of `mintkeep backup`.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The configuration file that names the store.
    #[arg(long, value_name = "FILE", env = "MINTKEEP_CONFIG", required_unless_present = "data")]
    config: Option<PathBuf>,
    /// The store's folder instead, such as that of `mintkeep dev`.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// The file to write. One that is there is not replaced.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Tells what was done as JSON, for programs.
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  mintkeep backup --config mintkeep.toml --to /backups/monday.db
  mintkeep backup --data mintkeep-data --to monday.db

The store's server may run on.

To restore: stop the server, put the file in its folder's place of mintkeep.db, start the server. It begins a new \
epoch by itself, so that nothing is handed out that was handed out after the backup. The master key is not in the \
backup and is needed with it. For PostgreSQL use pg_dump or pg_basebackup, then `mintkeep store mark-restored`.

Exit codes: 0 done, 1 it can't be done, 2 usage.";

/// Does it.
pub async fn run(options: Backup) -> Result<(), Failure> {
    let folder = match (options.data, options.config) {
        (Some(folder), _) => folder,
        (None, Some(config)) => match Target::of_configuration(&config)? {
            Target::Folder(folder) => folder,
            Target::Database(_) => {
                let instead = "this store is PostgreSQL: use pg_dump or pg_basebackup, and after a restore \
                     `mintkeep store mark-restored`";
                return Err(Failure::Usage(instead.to_owned()));
            }
        },
        (None, None) => return Err(Failure::Usage("give --config FILE or --data DIR".to_owned())),
    };
    note("copying; the server may go on meanwhile");
    let to = options.to.clone();
    let copied = tokio::task::spawn_blocking(move || SqliteStore::backup_of(&folder, &to)).await;
    let failed = |error: &dyn std::fmt::Display| Failure::Local(error.to_string());
    copied.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let bytes = std::fs::metadata(&options.to).map(|file| file.len()).map_err(|error| failed(&error))?;
    if options.json {
        write_json(&json!({ "file": options.to, "bytes": bytes }));
    } else {
        write_line(&format!("{}: {bytes} bytes", options.to.display()));
    }
    Ok(())
}
