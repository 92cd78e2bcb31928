//! `mintkeep audit`: who did what, when, from where.

use std::time::Duration;

use clap::Subcommand;
use serde_json::Value;

use super::client::{Client, Failure};
use super::report::{entries, instant, text, write_line};

/// How often a follower asks for what is new, once it has told all there is.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// How many new lines a follower takes at once. As long as there are so many, it asks for the next without a wait.
const FOLLOW_LINES_MAX: usize = 1_000;

/// Verbs about the audit.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Tells the latest lines, the oldest of them first.
    #[command(
        after_help = "Examples:\n  mintkeep audit tail\n  mintkeep audit tail --follow --json | jq .subject"
    )]
    Tail {
        /// How many lines, 1 to 1000.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000), default_value_t = 20)]
        most: u32,
        /// Goes on with what comes next, until it is interrupted.
        #[arg(long, short)]
        follow: bool,
    },
}

/// Does it. As JSON it is one line for each, so that a follower's output can be read as it comes.
pub async fn run(client: &Client, verb: AuditVerb) -> Result<(), Failure> {
    let AuditVerb::Tail { most, follow } = verb;
    let mut answer = client.get(&format!("audit?most={most}")).await?;
    loop {
        for line in entries(&answer, "lines") {
            if client.as_json { write_line(&line.to_string()) } else { tell(line) }
        }
        if !follow {
            return Ok(());
        }
        if entries(&answer, "lines").len() < FOLLOW_LINES_MAX {
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
        let last = answer.get("last").and_then(Value::as_i64).unwrap_or(0);
        answer = client.get(&format!("audit?after={last}&most={FOLLOW_LINES_MAX}")).await?;
    }
}

fn tell(line: &Value) {
    write_line(&format!(
        "{:>6}  {}  {:<20}  {:<28}  {}  {}  {}",
        text(line, "/n"),
        instant(line, "/at"),
        text(line, "/action"),
        text(line, "/actor"),
        text(line, "/subject"),
        text(line, "/address"),
        text(line, "/request_id"),
    ));
}
