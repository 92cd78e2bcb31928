//! `mintkeep store copy`: moves an embedded store into PostgreSQL.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use mintkeep_protocol::crypto::hexadecimal;
use mintkeep_protocol::time::Clock as _;
use mintkeep_store::{Compared, CopyError, Progress, Sum};
use mintkeep_web::clock::SystemClock;
use serde_json::{Value, json};

use super::client::Failure;
use super::report::{note, note_on, write_json, write_table};
use super::store::of_database;
use crate::config::database_url;

/// How many digits of a digest the table has; the JSON has all.
const DIGEST_DIGITS: usize = 16;

/// Options of `mintkeep store copy`.
#[derive(Debug, clap::Args)]
pub struct Copy {
    /// The embedded store's folder. Its server must not run.
    #[arg(long, value_name = "sqlite:DIR", value_parser = embedded_folder)]
    from: PathBuf,
    /// The database's URL; with a password, the file or the variable that holds the URL.
    #[arg(long, value_name = "postgres://…|file:PATH|env:VARIABLE")]
    to: String,
    /// Tells what was compared as JSON, for programs.
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  mintkeep store copy --from sqlite:/var/lib/mintkeep \\
      --to postgres://mintkeep@db/mintkeep
  mintkeep store copy --from sqlite:mintkeep-data \\
      --to file:database.url    # the URL has a password

Stop the embedded store's server first, and leave it stopped. The database must be empty, or hold a part of this \
store's copy: run again after an interruption, it goes on where it stopped. At the end every record is compared, and \
only if all are the same will servers start on the database. They need the same master key.

Exit codes: 0 done and the same, 1 it can't be done or something differs, 2 usage, 3 it could not be reached.";

fn embedded_folder(text: &str) -> Result<PathBuf, String> {
    let folder = text.strip_prefix("sqlite:").filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from).ok_or_else(|| "write sqlite: and the store's folder".to_owned())
}

/// Does it.
pub async fn run(options: Copy) -> Result<(), Failure> {
    let (url, warnings) = database_url("--to", &options.to).map_err(Failure::Usage)?;
    for warning in warnings {
        note(&format!("warning: {warning}"));
    }
    note("copying; don't start the embedded store's server again");
    let mut line = Line { is_terminal: std::io::stderr().is_terminal(), is_open: false };
    let copied =
        mintkeep_store::copy(&options.from, &url, SystemClock.now(), &mut |progress| line.tell(progress))
            .await;
    line.end();
    let compared = copied.map_err(|error| match &error {
        CopyError::Database(database) => of_database(database),
        CopyError::Source(_) | CopyError::Foreign => Failure::Local(error.to_string()),
    })?;
    if options.json {
        write_json(&json!({ "tables": compared.iter().map(as_json).collect::<Vec<_>>() }));
    } else {
        let rows: Vec<_> = compared.iter().map(as_row).collect();
        write_table(["table", "rows", "copied", "digest", "digest of the copy", ""], &rows, "no tables");
    }
    if compared.iter().all(Compared::is_same) {
        return Ok(());
    }
    let remedy = "the copy differs from the store: one of them was changed since the copy began. Give an empty \
         database and copy again, unless servers work on the copy already";
    Err(Failure::Local(remedy.to_owned()))
}

/// How far it is: on a terminal a line for each table that changes as its rows are copied, else one when it is done.
struct Line {
    is_terminal: bool,
    /// Whether more of the line is to come.
    is_open: bool,
}

impl Line {
    fn tell(&mut self, progress: Progress) {
        match progress {
            Progress::Copied { table, rows, of } if self.is_terminal => {
                note_on(&format!("\r{table}: {rows} of {of}"));
                self.is_open = true;
                if rows >= of {
                    self.end();
                }
            }
            Progress::Copied { table, rows, of } if rows >= of => note(&format!("{table}: {rows}")),
            Progress::Copied { .. } => {}
            Progress::Comparing => {
                self.end();
                note("comparing every record");
            }
        }
    }

    /// Ends a line that more was to come of.
    fn end(&mut self) {
        if self.is_open {
            note("");
            self.is_open = false;
        }
    }
}

fn as_json(compared: &Compared) -> Value {
    let sum = |sum: &Sum| json!({ "rows": sum.rows, "digest": hexadecimal(&sum.digest) });
    json!({
        "table": compared.table,
        "is_same": compared.is_same(),
        "source": sum(&compared.source),
        "target": sum(&compared.target),
    })
}

fn as_row(Compared { table, source, target }: &Compared) -> [String; 6] {
    let digest = |sum: &Sum| hexadecimal(&sum.digest).chars().take(DIGEST_DIGITS).collect();
    let verdict = if source == target { "same" } else { "DIFFERS" };
    [
        (*table).to_owned(),
        source.rows.to_string(),
        target.rows.to_string(),
        digest(source),
        digest(target),
        verdict.to_owned(),
    ]
}
