//! `mintkeep consumer`: who may take tokens from the keeper.

use std::path::PathBuf;

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::client::{Client, Failure, segment};
use super::files;
use super::report::{entries, instant, note, text, write_facts, write_line, write_table};

/// Verbs about consumers.
#[derive(Debug, Subcommand)]
pub enum ConsumerVerb {
    /// Makes a consumer. Its key and its drop-in secret are shown once.
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// Lists consumers.
    #[command(after_help = "Example:\n  mintkeep consumer list")]
    List,
    /// Ends a consumer's rights at once.
    #[command(after_help = "Example:\n  mintkeep consumer revoke order-service")]
    Revoke {
        /// The consumer's name.
        name: String,
    },
}

const CREATE_EXAMPLES: &str = "\
Examples:
  mintkeep consumer create order-service --credential wechat-shop --verb read,report
  mintkeep consumer create small-team --all-credentials
  mintkeep consumer create legacy-java --credential wechat-shop --margin-floor 300";

/// A new consumer.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// What it is called.
    name: String,
    /// A credential that it may use, added or not; may be given more than once, or with commas between.
    #[arg(
        long = "credential",
        value_name = "NAME",
        value_delimiter = ',',
        required_unless_present = "all_credentials"
    )]
    credentials: Vec<String>,
    /// It may use all credentials, those of the future too.
    #[arg(long, conflicts_with = "credentials")]
    all_credentials: bool,
    /// What it may do; left out: read and report.
    #[arg(long = "verb", value_name = "VERB", value_delimiter = ',', value_parser = ["read", "report", "exchange", "forget", "proxy"])]
    verbs: Vec<String>,
    /// How many seconds of life its client library must be told of, at least.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    margin_floor: u32,
    /// Its public key for the drop-in endpoints of the signed dialects, a PEM file; `keyVersion` 1.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

/// Does it.
pub async fn run(client: &Client, verb: ConsumerVerb) -> Result<(), Failure> {
    match verb {
        ConsumerVerb::Create(asked) => create(client, asked).await,
        ConsumerVerb::List => {
            let answer = client.get("keeper/consumers").await?;
            client.tell(&answer, tell_all);
            Ok(())
        }
        ConsumerVerb::Revoke { name } => {
            let path = format!("keeper/consumers/{}", segment(&name));
            let answer = client.ask(Method::DELETE, &path, None).await?;
            client.tell(&answer, |_| write_line(&format!("{name} is revoked")));
            Ok(())
        }
    }
}

async fn create(client: &Client, asked: Create) -> Result<(), Failure> {
    let mut drop_in_keys = Vec::new();
    if let Some(file) = &asked.public_key {
        drop_in_keys.push(json!({ "version": 1, "public_key_pem": *files::read(file)? }));
    }
    let mut body = json!({
        "name": asked.name,
        "credentials": &asked.credentials,
        "all_credentials": asked.all_credentials,
        "margin_floor_s": asked.margin_floor,
        "drop_in_keys": drop_in_keys,
    });
    if let (false, Some(fields)) = (asked.verbs.is_empty(), body.as_object_mut()) {
        fields.insert("verbs".to_owned(), asked.verbs.into());
    }
    let answer = client.post("keeper/consumers", body).await?;
    client.tell(&answer, |answer| {
        write_facts(&[
            ("consumer", text(answer, "/consumer/name")),
            ("key", text(answer, "/key")),
            ("drop-in secret", text(answer, "/drop_in_secret")),
        ]);
        if let Some(pem) = answer.get("answers_public_key_pem").and_then(Value::as_str) {
            write_line(&format!("its answers are signed with the key of\n{}", pem.trim_end()));
        }
        note("Key and secret are shown once.");
    });
    for credential in &asked.credentials {
        note_if_unknown(client, credential).await;
    }
    Ok(())
}

/// A credential may be added after the consumers that use it; one whose name is written wrong looks the same.
async fn note_if_unknown(client: &Client, credential: &str) {
    let found = client.get(&format!("keeper/credentials/{}", segment(credential))).await;
    if let Err(Failure::Refused(problem)) = found
        && problem.get("status") == Some(&json!(404))
    {
        note(&format!("There is no credential {credential} yet: look at `mintkeep credential list`."));
    }
}

fn tell_all(answer: &Value) {
    let row = |consumer: &Value| {
        let all = consumer.get("credentials").is_none_or(Value::is_null);
        [
            text(consumer, "/name"),
            if all { "(all)".to_owned() } else { text(consumer, "/credentials") },
            text(consumer, "/verbs"),
            instant(consumer, "/created_at"),
        ]
    };
    let rows: Vec<_> = entries(answer, "consumers").iter().map(row).collect();
    let empty = "no consumers; `mintkeep consumer create` makes one";
    write_table(["name", "credentials", "verbs", "created"], &rows, empty);
}
