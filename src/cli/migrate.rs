//! `mintkeep migrate`: brings a store's tables up to date.

use std::path::PathBuf;

use mintkeep_store::PostgresStore;
use serde_json::json;

use super::client::Failure;
use super::report::{note, write_json, write_line};
use super::store::{Target, of_database};

/// Options of `mintkeep migrate`.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// The configuration file that names the store.
    #[arg(long, value_name = "FILE", env = "MINTKEEP_CONFIG")]
    config: PathBuf,
    /// Tells what was done as JSON, for programs.
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  mintkeep migrate --config mintkeep.toml    before the first start, and before each update

Forward only, all or nothing, and safe beside running servers of this version and of the one before.
Run twice, it does nothing the second time. An embedded store needs it not: its server does it at its start.

Exit codes: 0 done, 1 the database said no, 2 usage, 3 it could not be reached.";

/// Does it.
pub async fn run(options: Migrate) -> Result<(), Failure> {
    let url = match Target::of_configuration(&options.config)? {
        Target::Database(url) => url,
        Target::Folder(folder) => {
            return Err(Failure::Usage(format!(
                "the store in {} is an embedded one, which its server migrates at its start",
                folder.display()
            )));
        }
    };
    note("migrating; other servers of this version and of the one before may go on meanwhile");
    let (found, now) = PostgresStore::migrate(&url).await.map_err(|error| of_database(&error))?;
    if options.json {
        write_json(&json!({ "found_schema": found, "schema": now }));
    } else if found == now {
        write_line(&format!("schema {now}: up to date, nothing was changed"));
    } else {
        write_line(&format!("schema {found} became schema {now}"));
    }
    Ok(())
}
