//! `mintkeep master-key`: exchanging the master key of running servers.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Subcommand;
use http::Method;
use serde_json::Value;

use super::client::{Client, Failure};
use super::report::{note, note_on, text, write_facts, write_line};

/// How often a rotation is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const ROTATION: &str = "master-key/rotation";

/// Verbs about the master key.
#[derive(Debug, Subcommand)]
pub enum MasterKeyVerb {
    /// Counts what the store's secrets are sealed under, and tells whether the older keys can be removed.
    #[command(after_help = "Example:\n  mintkeep master-key show")]
    Show,
    /// Seals everything in the store anew, under the key that is `current` in the configuration file by now.
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate,
}

const ROTATE_EXAMPLES: &str = "\
Examples:
  mintkeep key generate --master --out new
  # In the configuration file of every server on the store:
  # [master_key] current = the new key, older = [the old one]
  mintkeep master-key rotate    # asks one of them; no restart is needed
  mintkeep master-key show      # nothing left: take the old key out of `older`

It covers both roles, whatever roles the server that is asked has. Run again, it does what was left.
A backup that was made before needs the old key still.";

/// Does it.
pub async fn run(client: &Client, verb: MasterKeyVerb) -> Result<(), Failure> {
    match verb {
        MasterKeyVerb::Show => show(client).await,
        MasterKeyVerb::Rotate => rotate(client).await,
    }
}

async fn show(client: &Client) -> Result<(), Failure> {
    let answer = client.get("master-key").await?;
    client.tell(&answer, |answer| {
        write_facts(&[
            ("current", text(answer, "/current")),
            ("older", text(answer, "/older")),
            ("records", text(answer, "/seen")),
            ("not under current", text(answer, "/left")),
        ]);
        write_line(&verdict(answer));
    });
    Ok(())
}

async fn rotate(client: &Client) -> Result<(), Failure> {
    let mut answer = client.ask(Method::POST, ROTATION, None).await?;
    let is_shown = std::io::stderr().is_terminal() && !client.as_json;
    while text(&answer, "/state") == "running" {
        if is_shown {
            let [seen, resealed, left] = ["/seen", "/resealed", "/left"].map(|at| text(&answer, at));
            note_on(&format!("\r{seen} records looked at, {resealed} sealed anew, {left} left"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        answer = client.get(ROTATION).await?;
    }
    if is_shown {
        note("");
    }
    if text(&answer, "/state") == "failed" {
        return Err(Failure::Local(format!("the rotation failed: {}", text(&answer, "/trouble"))));
    }
    client.tell(&answer, |answer| {
        let resealed = text(answer, "/resealed");
        write_line(&format!("{resealed} records were sealed anew. {}", verdict(answer)));
    });
    Ok(())
}

/// Whether the older keys can be removed, and what to do if not.
fn verdict(answer: &Value) -> String {
    if answer["older_keys_removable"] == true {
        return "Everything is under the current key: no other one is needed, and `older` can be emptied."
            .to_owned();
    }
    let left = text(answer, "/left");
    match text(answer, "/missing_keys").as_str() {
        "-" => format!(
            "{left} records are under an older key still: keep it, and run `mintkeep master-key rotate`."
        ),
        missing => format!(
            "{left} records are left, some under keys that [master_key] does not name ({missing}): write those into \
             `older`, and run `mintkeep master-key rotate`."
        ),
    }
}
