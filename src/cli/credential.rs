//! `mintkeep credential`: what the keeper proves an app by, at its platform.

use std::path::PathBuf;

use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::client::{Client, Failure, segment};
use super::files;
use super::report::{entries, instant, note_if_more, text, write_facts, write_line, write_table};
use super::{DIALECTS, at_least_one};

/// Verbs about credentials.
#[derive(Debug, Subcommand)]
pub enum CredentialVerb {
    /// Adds a credential. Its secret or private key is sealed at once and never shown.
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Lists credentials.
    #[command(after_help = "Example:\n  mintkeep credential list")]
    List {
        /// How many at most.
        #[arg(long, value_name = "N", value_parser = at_least_one(), default_value_t = u64::MAX, hide_default_value = true)]
        most: u64,
    },
    /// Shows a credential, without what it proves its app by.
    #[command(after_help = "Example:\n  mintkeep credential show wechat-sandbox")]
    Show {
        /// The credential's name.
        name: String,
    },
    /// Removes a credential with all that is held for it.
    #[command(after_help = "Example:\n  mintkeep credential remove wechat-shop")]
    Remove {
        /// The credential's name.
        name: String,
    },
}

const ADD_EXAMPLES: &str = "\
Examples:
  mintkeep credential add wechat-shop --dialect wechat \\
      --app wx5f1c9a7e2b3d4c60 --secret-file secret.txt
  mintkeep credential add wallet-shop --dialect miniprogram \\
      --app MINI0000000000000009 --base-url https://wallet.example \\
      --private-key app_private.pem --platform-key platform_public.pem";

/// A new credential.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// What the keeper's callers call it.
    name: String,
    /// Which protocol its platform speaks.
    #[arg(long, value_parser = DIALECTS)]
    dialect: String,
    /// For wechat: tokens from /cgi-bin/token rather than from /cgi-bin/stable_token.
    #[arg(long)]
    legacy: bool,
    /// What the platform calls the app.
    #[arg(long, value_name = "ID")]
    app: String,
    /// Where the platform is: https, or http to this machine. Left out: where the platform's page says.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The file with the app's secret; `-` reads it from standard input.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "private_key",
        conflicts_with = "private_key"
    )]
    secret_file: Option<PathBuf>,
    /// The app's private key, a PEM file (PKCS#8).
    #[arg(long, value_name = "FILE", requires = "platform_key")]
    private_key: Option<PathBuf>,
    /// The private key's `keyVersion` at the platform.
    #[arg(long, value_name = "N", requires = "private_key")]
    key_version: Option<u32>,
    /// The platform's public key, a PEM file.
    #[arg(long, value_name = "FILE", requires = "private_key")]
    platform_key: Option<PathBuf>,
    /// The platform key's `keyVersion`.
    #[arg(long, value_name = "N", default_value_t = 1)]
    platform_key_version: u32,
    /// What differs from the defaults, such as `daily_limit=1000`; may be given more than once.
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, Value)>,
}

/// `name=value`; the settings of credentials are numbers and flags.
fn setting(text: &str) -> Result<(String, Value), String> {
    let wanted = "write NAME=VALUE, the value a number, true or false";
    let (name, value) = text.split_once('=').ok_or(wanted)?;
    let value = serde_json::from_str(value).map_err(|_| wanted)?;
    Ok((name.to_owned(), value))
}

impl Add {
    fn proof(&self) -> Result<Value, Failure> {
        if let Some(file) = &self.secret_file {
            return Ok(json!({ "secret": *files::read(file)? }));
        }
        let (Some(private), Some(platform)) = (&self.private_key, &self.platform_key) else {
            return Err(Failure::Usage(
                "give --secret-file, or --private-key with --platform-key".to_owned(),
            ));
        };
        Ok(json!({
            "private_key_pem": *files::read(private)?,
            "key_version": self.key_version.unwrap_or(1),
            "platform_public_key_pem": *files::read(platform)?,
            "platform_key_version": self.platform_key_version,
        }))
    }
}

/// Does it.
pub async fn run(client: &Client, verb: CredentialVerb) -> Result<(), Failure> {
    let path = |name: &str| format!("keeper/credentials/{}", segment(name));
    match verb {
        CredentialVerb::Add(asked) => {
            let proof = asked.proof()?;
            let body = json!({
                "name": asked.name,
                "dialect": asked.dialect,
                "legacy": asked.legacy,
                "app_id": asked.app,
                "base_url": asked.base_url,
                "proof": proof,
                "settings": asked.settings.into_iter().collect::<Map<_, _>>(),
            });
            let answer = client.post("keeper/credentials", body).await?;
            client.tell(&answer, tell);
        }
        CredentialVerb::List { most } => {
            let answer = client.all_pages("keeper/credentials", "credentials", most).await?;
            client.tell(&answer, tell_all);
        }
        CredentialVerb::Show { name } => {
            let answer = client.get(&path(&name)).await?;
            client.tell(&answer, tell);
        }
        CredentialVerb::Remove { name } => {
            let answer = client.ask(Method::DELETE, &path(&name), None).await?;
            client.tell(&answer, |_| write_line(&format!("{name} is removed")));
        }
    }
    Ok(())
}

fn tell_all(answer: &Value) {
    let row = |credential: &Value| {
        [
            text(credential, "/name"),
            text(credential, "/dialect"),
            text(credential, "/app_id"),
            text(credential, "/base_url"),
            text(credential, "/token/state"),
            instant(credential, "/token/expires_at"),
        ]
    };
    let rows: Vec<_> = entries(answer, "credentials").iter().map(row).collect();
    let empty = "no credentials; `mintkeep credential add` adds one";
    write_table(["name", "dialect", "app", "platform", "state", "good until"], &rows, empty);
    note_if_more(answer);
}

fn tell(credential: &Value) {
    write_facts(&[
        ("name", text(credential, "/name")),
        ("dialect", text(credential, "/dialect")),
        ("source", text(credential, "/source")),
        ("app", text(credential, "/app_id")),
        ("platform", text(credential, "/base_url")),
        ("settings", text(credential, "/settings")),
        ("created", instant(credential, "/created_at")),
        ("its own token", text(credential, "/token/state")),
        ("good until", instant(credential, "/token/expires_at")),
    ]);
}
