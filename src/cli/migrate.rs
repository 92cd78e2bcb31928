//! `mintkeep migrate`: brings a store's tables up to date.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use mintkeep_protocol::time::Clock as _;
use mintkeep_store::{Migrated, Migrating, PostgresStore, SqliteStore};
use mintkeep_web::clock::SystemClock;
use mintkeep_web::stopwatch::Stopwatch;
use serde_json::{Value, json};

use super::client::Failure;
use super::report::{note, note_on, write_json, write_line};
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
  mintkeep migrate --config mintkeep.toml    # before the first start and each update

Tells of each step as it goes: which schema it leads to, what it makes or changes, how long it took.

Forward only, all steps or none. A database may be migrated beside running servers of this version and of the one \
before; a table that is in use for more than 5 s ends it, with nothing changed. Run twice, it does nothing the second \
time; of two that run at once, one waits for the other. An embedded store's server must not run: it does the same by \
itself at its start.

Exit codes: 0 done, 1 it can't be done (the configuration is wrong, the store said no), 2 usage, \
3 the database could not be reached.";

/// Does it.
pub async fn run(options: Migrate) -> Result<(), Failure> {
    let target = Target::of_configuration(&options.config)?;
    let mut steps = Steps { done: Vec::new(), begun: None, is_terminal: std::io::stderr().is_terminal() };
    let mut tell = |migrating| steps.tell(migrating);
    let migrated = match target {
        Target::Database(url) => {
            note("migrating; servers of this version and of the one before may go on meanwhile");
            PostgresStore::migrate(&url, &mut tell).await.map_err(|error| of_database(&error))
        }
        Target::Folder(folder) => {
            note(&format!("migrating the store in {}", folder.display()));
            SqliteStore::migrate(&folder, SystemClock.now(), &mut tell)
                .map_err(|error| Failure::Local(error.to_string()))
        }
    };
    let migrated = migrated.inspect_err(|_| steps.break_off())?;
    if options.json {
        let Migrated { found, needed } = migrated;
        let steps: Vec<_> = steps.done.iter().map(Step::as_json).collect();
        write_json(&json!({ "found_schema": found, "schema": found.max(needed), "steps": steps }));
    } else {
        write_line(&verdict(migrated));
    }
    Ok(())
}

/// What came of it, in a line.
fn verdict(migrated: Migrated) -> String {
    let Migrated { found, needed } = migrated;
    if migrated.is_newer() {
        format!("schema {found} is a newer Mintkeep's, this one's is {needed}: nothing was changed")
    } else if found == needed {
        format!("schema {found} is up to date: nothing was changed")
    } else {
        format!("schema {found} became schema {needed}: servers of this version may start")
    }
}

/// A step of a migration.
struct Step {
    schema: usize,
    what: &'static str,
    took: Duration,
}

impl Step {
    fn as_json(&self) -> Value {
        let took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        json!({ "schema": self.schema, "what": self.what, "took_ms": took_ms })
    }
}

/// The steps so far, each told in a line. On a terminal the line is there when the step begins.
struct Steps {
    done: Vec<Step>,
    begun: Option<(usize, &'static str, Stopwatch)>,
    is_terminal: bool,
}

impl Steps {
    fn tell(&mut self, migrating: Migrating) {
        match migrating {
            Migrating::Waiting => note("another migration is at work; waiting for its end"),
            Migrating::Begun { schema, what } => {
                self.begun = Some((schema, what, Stopwatch::start()));
                if self.is_terminal {
                    note_on(&format!("schema {schema}: {what} …"));
                }
            }
            Migrating::Done => {
                let Some((schema, what, watch)) = self.begun.take() else { return };
                let took = watch.elapsed();
                if self.is_terminal {
                    note(&format!(" {} ms", took.as_millis()));
                } else {
                    note(&format!("schema {schema}: {what}: {} ms", took.as_millis()));
                }
                self.done.push(Step { schema, what, took });
            }
        }
    }

    /// Ends the line of a step that failed.
    fn break_off(&self) {
        if self.begun.is_some() {
            note(if self.is_terminal { " failed" } else { "the step that had begun failed" });
        }
    }
}
