//! `mintkeep app`: the issuer's clients.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::client::{Client, Failure, segment};
use super::files::{self, SecretFile};
use super::report::{entries, instant, note, text, write_facts, write_line, write_table};
use super::span;
use super::{DIALECTS, at_least_one};

/// Verbs about apps.
#[derive(Debug, Subcommand)]
pub enum AppVerb {
    /// Makes an app. Its secret, or the private key that is drawn for it, is shown once.
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// Lists apps.
    #[command(after_help = "Example:\n  mintkeep app list")]
    List {
        /// How many at most.
        #[arg(long, value_name = "N", value_parser = at_least_one(), default_value_t = u64::MAX, hide_default_value = true)]
        most: u64,
    },
    /// Shows an app.
    #[command(after_help = "Example:\n  mintkeep app show wx0000000000000001")]
    Show(Id),
    /// Changes what an app is called, where it may call from, and its settings.
    #[command(after_help = SET_EXAMPLES)]
    Set(Set),
    /// Gives an app a new secret, shown once; the old one stays good for a while.
    #[command(
        after_help = "Examples:\n  mintkeep app rotate-secret wx0000000000000001\n  mintkeep app rotate-secret wx0000000000000001 --overlap 0s    # after a leak"
    )]
    RotateSecret {
        #[command(flatten)]
        app: Id,
        /// How long the old secret stays good, at most 30d.
        #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = span::seconds)]
        overlap: u64,
    },
    /// Adds a public key to an app of a signed dialect; without one a pair is drawn.
    #[command(
        after_help = "Examples:\n  mintkeep app add-key MINI0000000000000001 --public-key next.pem\n  mintkeep app add-key MINI0000000000000001 --version 7 --private-key-out next.pem"
    )]
    AddKey {
        #[command(flatten)]
        app: Id,
        /// The key's `keyVersion`; left out: one more than the latest.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        #[command(flatten)]
        key: KeyFiles,
    },
    /// Ends all of an app's tokens at once: the answer to a leak.
    #[command(after_help = "Example:\n  mintkeep app revoke-tokens wx0000000000000001")]
    RevokeTokens(Id),
    /// Disables an app: it may not act, and none of its tokens is good until it is enabled.
    #[command(after_help = "Example:\n  mintkeep app disable wx0000000000000001")]
    Disable(Id),
    /// Enables an app again.
    #[command(after_help = "Example:\n  mintkeep app enable wx0000000000000001")]
    Enable(Id),
    /// Deletes an app with its tokens and grants. Asks first on a terminal, and never in a script.
    #[command(after_help = "Example:\n  mintkeep app delete wx0000000000000009 --yes")]
    Delete {
        #[command(flatten)]
        app: Id,
        /// Does not ask on a terminal.
        #[arg(long)]
        yes: bool,
    },
}

const CREATE_EXAMPLES: &str = "\
Examples:
  mintkeep app create --dialect wechat --name 'Corner shop'
  mintkeep app create --dialect dingtalk --name Bot \\
      --address 192.0.2.0/24 --setting access_lifetime_s=3600
  mintkeep app create --dialect miniprogram --name Shop --public-key app_public.pem
  mintkeep app create --dialect alipayhk --name Shop --private-key-out app_private.pem";

const SET_EXAMPLES: &str = "\
Examples:
  mintkeep app set wx0000000000000001 --setting access_lifetime_s=3600
  mintkeep app set wx0000000000000001 --setting access_lifetime_s=null \\
      --setting daily_quota=null    # the dialect's defaults again
  mintkeep app set wx0000000000000001 --address 192.0.2.0/24
  mintkeep app set wx0000000000000001 --any-address";

/// Which app.
#[derive(Debug, clap::Args)]
pub struct Id {
    /// The app's id.
    id: String,
}

impl Id {
    fn path(&self, rest: &str) -> String {
        format!("apps/{}{rest}", segment(&self.id))
    }
}

/// Where a key comes from, or goes to.
#[derive(Debug, clap::Args)]
pub struct KeyFiles {
    /// Its public key, a PEM file; left out: a pair is drawn.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Where to write the private key of a pair that is drawn (0600); left out: it is printed.
    #[arg(long, value_name = "FILE", conflicts_with = "public_key")]
    private_key_out: Option<PathBuf>,
}

impl KeyFiles {
    fn public_pem(&self) -> Result<Option<String>, Failure> {
        self.public_key.as_ref().map(|file| Ok(files::read(file)?.to_string())).transpose()
    }

    fn private_file(&self) -> Result<Option<SecretFile>, Failure> {
        self.private_key_out.as_deref().map(SecretFile::create).transpose()
    }

    /// Puts the answer's private key where it is wanted: into the file, and out of the answer. What can't be written
    /// stays in the answer, which is to be told all the same: the server has made it, and shows it once.
    fn keep_private(&self, file: Option<SecretFile>, answer: &mut Value) -> Result<(), Failure> {
        let (Some(file), Some(path)) = (file, &self.private_key_out) else { return Ok(()) };
        let Some(pem) = answer.get("private_key_pem").and_then(Value::as_str) else { return Ok(()) };
        file.write(pem)?;
        if let Some(fields) = answer.as_object_mut() {
            fields.remove("private_key_pem");
            fields.insert("private_key_file".to_owned(), path.display().to_string().into());
        }
        Ok(())
    }
}

/// A new app.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Which protocol it speaks.
    #[arg(long, value_parser = DIALECTS)]
    dialect: String,
    /// What people call it.
    #[arg(long)]
    name: String,
    /// What the platform calls it; left out: drawn in the dialect's style.
    #[arg(long)]
    id: Option<String>,
    /// Where it may call from, such as 192.0.2.0/24; may be given more than once. Left out: from anywhere.
    #[arg(long = "address", value_name = "NETWORK")]
    addresses: Vec<String>,
    /// What differs from the dialect's defaults; may be given more than once. Lists are written as JSON.
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, Value)>,
    /// The public key's `keyVersion`; left out: 1.
    #[arg(long, value_name = "N")]
    key_version: Option<u32>,
    #[command(flatten)]
    key: KeyFiles,
}

/// What changes; the rest stays as it is.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub struct Set {
    #[command(flatten)]
    app: Id,
    /// What people call it.
    #[arg(long, group = "change")]
    name: Option<String>,
    /// Where it may call from, in place of what was allowed; may be given more than once.
    #[arg(long = "address", value_name = "NETWORK", group = "change")]
    addresses: Vec<String>,
    /// It may call from anywhere.
    #[arg(long, conflicts_with = "addresses", group = "change")]
    any_address: bool,
    /// A setting; `null` is the dialect's default again. May be given more than once.
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = setting, group = "change")]
    settings: Vec<(String, Value)>,
}

/// `name=value`; the value is JSON if it can be read as that, else text.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as access_lifetime_s=3600")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// Does it.
pub async fn run(client: &Client, verb: AppVerb) -> Result<(), Failure> {
    match verb {
        AppVerb::Create(asked) => create(client, asked).await,
        AppVerb::List { most } => list(client, most).await,
        AppVerb::Show(app) => {
            let answer = client.get(&app.path("")).await?;
            client.tell(&answer, tell_app);
            Ok(())
        }
        AppVerb::Set(asked) => set(client, asked).await,
        AppVerb::RotateSecret { app, overlap } => rotate_secret(client, &app, overlap).await,
        AppVerb::AddKey { app, version, key } => add_key(client, &app, (version, &key)).await,
        AppVerb::RevokeTokens(app) => change(client, &app, "revoke-tokens").await,
        AppVerb::Disable(app) => change(client, &app, "disable").await,
        AppVerb::Enable(app) => change(client, &app, "enable").await,
        AppVerb::Delete { app, yes } => delete(client, &app, yes).await,
    }
}

async fn create(client: &Client, asked: Create) -> Result<(), Failure> {
    let private_file = asked.key.private_file()?;
    let mut body = json!({
        "dialect": asked.dialect,
        "name": asked.name,
        "addresses": asked.addresses,
        "settings": asked.settings.into_iter().collect::<Map<_, _>>(),
    });
    if let Some(fields) = body.as_object_mut() {
        let given = [
            ("id", asked.id.map(Value::from)),
            ("key_version", asked.key_version.map(Value::from)),
            ("public_key_pem", asked.key.public_pem()?.map(Value::from)),
        ];
        fields.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    let mut answer = client.post("apps", body).await?;
    let kept = asked.key.keep_private(private_file, &mut answer);
    client.tell(&answer, |answer| {
        if let Some(app) = answer.get("app") {
            tell_app(app);
        }
        tell_once(answer);
    });
    kept
}

/// What is shown once.
fn tell_once(answer: &Value) {
    for (name, label) in [
        ("secret", "secret (shown once)"),
        ("private_key_file", "private key in"),
        ("private_key_pem", "private key (shown once)\n"),
        ("platform_public_key_pem", "the platform's public key\n"),
    ] {
        if let Some(value) = answer.get(name).and_then(Value::as_str) {
            write_line(&format!("{label}  {}", value.trim_end()).replace("\n  ", "\n"));
        }
    }
}

async fn list(client: &Client, most: u64) -> Result<(), Failure> {
    let answer = client.all_pages("apps", "apps", most).await?;
    client.tell(&answer, |answer| {
        let row = |app: &Value| {
            [
                text(app, "/id"),
                text(app, "/dialect"),
                text(app, "/status"),
                instant(app, "/created_at"),
                text(app, "/name"),
            ]
        };
        let rows: Vec<_> = entries(answer, "apps").iter().map(row).collect();
        write_table(
            ["id", "dialect", "status", "created", "name"],
            &rows,
            "no apps; `mintkeep app create` makes one",
        );
    });
    Ok(())
}

async fn set(client: &Client, asked: Set) -> Result<(), Failure> {
    let mut body = Map::new();
    body.insert("settings".to_owned(), asked.settings.into_iter().collect::<Map<_, _>>().into());
    if let Some(name) = asked.name {
        body.insert("name".to_owned(), name.into());
    }
    if asked.any_address || !asked.addresses.is_empty() {
        body.insert("addresses".to_owned(), asked.addresses.into());
    }
    let answer = client.ask(Method::PATCH, &asked.app.path(""), Some(Value::Object(body))).await?;
    client.tell(&answer, tell_app);
    Ok(())
}

async fn rotate_secret(client: &Client, app: &Id, overlap_s: u64) -> Result<(), Failure> {
    let answer = client.post(&app.path("/rotate-secret"), json!({ "overlap_s": overlap_s })).await?;
    client.tell(&answer, |answer| {
        write_line(&text(answer, "/secret"));
        match answer.get("previous_expires_at").and_then(Value::as_i64) {
            Some(_) => note(&format!(
                "Shown once. The old secret is good until {}.",
                instant(answer, "/previous_expires_at")
            )),
            None => note("Shown once. The old secret is not good any more."),
        }
    });
    Ok(())
}

async fn add_key(client: &Client, app: &Id, (version, key): (Option<u32>, &KeyFiles)) -> Result<(), Failure> {
    let private_file = key.private_file()?;
    let mut body = Map::new();
    if let Some(version) = version {
        body.insert("version".to_owned(), version.into());
    }
    if let Some(pem) = key.public_pem()? {
        body.insert("public_key_pem".to_owned(), pem.into());
    }
    let mut answer = client.post(&app.path("/keys"), Value::Object(body)).await?;
    let kept = key.keep_private(private_file, &mut answer);
    client.tell(&answer, |answer| {
        write_line(&format!("key version {} added", text(answer, "/version")));
        tell_once(answer);
    });
    kept
}

async fn change(client: &Client, app: &Id, verb: &str) -> Result<(), Failure> {
    let answer = client.ask(Method::POST, &app.path(&format!("/{verb}")), None).await?;
    client.tell(&answer, tell_app);
    Ok(())
}

async fn delete(client: &Client, app: &Id, yes: bool) -> Result<(), Failure> {
    if !yes && std::io::stdin().is_terminal() {
        note(&format!("Delete {} with all of its tokens and grants? Write its id to do it:", app.id));
        let mut line = String::new();
        let _read = std::io::stdin().lock().read_line(&mut line);
        if line.trim() != app.id {
            return Err(Failure::Usage("nothing was deleted".to_owned()));
        }
    }
    let answer = client.ask(Method::DELETE, &app.path(""), None).await?;
    client.tell(&answer, |_| write_line(&format!("{} is deleted", app.id)));
    Ok(())
}

fn tell_app(app: &Value) {
    let ends = entries(app, "secrets").iter().map(|secret| match secret.get("expires_at") {
        Some(Value::Null) | None => "no end".to_owned(),
        Some(_) => format!("until {}", instant(secret, "/expires_at")),
    });
    let versions = entries(app, "keys").iter().map(|key| text(key, "/version"));
    let joined = |mut words: Vec<String>| {
        if words.is_empty() {
            words.push("-".to_owned());
        }
        words.join(", ")
    };
    write_facts(&[
        ("id", text(app, "/id")),
        ("dialect", text(app, "/dialect")),
        ("name", text(app, "/name")),
        ("status", text(app, "/status")),
        ("secrets", joined(ends.collect())),
        ("key versions", joined(versions.collect())),
        ("addresses", text(app, "/addresses")),
        ("settings", text(app, "/settings")),
        ("times all tokens were revoked", text(app, "/token_epoch")),
        ("created", instant(app, "/created_at")),
    ]);
}
