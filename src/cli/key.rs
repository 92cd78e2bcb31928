//! `mintkeep key`: keys, made without a server.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use mintkeep_protocol::crypto::{MasterKey, RsaPrivateKey};
use mintkeep_protocol::port::entropy::{SystemEntropy, draw};
use serde_json::{Value, json};

use super::client::Failure;
use super::files::SecretFile;
use super::report::{write_facts, write_json};
use crate::folder::make_folder;

/// Verbs about keys.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Makes an RSA pair of 2,048 bits for a signed dialect, or a master key. No file is overwritten.
    #[command(after_help = EXAMPLES)]
    Generate {
        /// The folder to write to, made if need be: `app_private.pem` (0600) and `app_public.pem`, or `master.key` (0600).
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// A master key, which seals a server's secrets, instead of a pair.
        #[arg(long)]
        master: bool,
        /// Tells the files' names as JSON, for programs.
        #[arg(long, help_heading = "Output")]
        json: bool,
    },
}

const EXAMPLES: &str = "\
Examples:
  mintkeep key generate --out keys    # keys/app_private.pem, keys/app_public.pem
  mintkeep key generate --master      # ./master.key";

impl KeyVerb {
    /// Whether the answer is wanted as JSON.
    pub const fn as_json(&self) -> bool {
        let Self::Generate { json, .. } = self;
        *json
    }
}

/// Does it.
pub fn run(verb: &KeyVerb) -> Result<(), Failure> {
    let KeyVerb::Generate { out, master, json } = verb;
    make_folder(out).map_err(|error| Failure::Local(format!("{error:#}")))?;
    let made = if *master { master_key(out)? } else { pair(out)? };
    if *json {
        let fields = made.iter().map(|(name, file)| ((*name).to_owned(), Value::from(file.as_str())));
        write_json(&json!(fields.collect::<serde_json::Map<_, _>>()));
    } else {
        write_facts(&made);
    }
    Ok(())
}

type Made = Vec<(&'static str, String)>;

fn master_key(folder: &Path) -> Result<Made, Failure> {
    let path = folder.join("master.key");
    let file = SecretFile::create(&path)?;
    file.write(&format!("{}\n", *MasterKey::encode(&draw(&SystemEntropy))))?;
    Ok(vec![("master_key_file", path.display().to_string())])
}

fn pair(folder: &Path) -> Result<Made, Failure> {
    let (private_path, public_path) = (folder.join("app_private.pem"), folder.join("app_public.pem"));
    let private_file = SecretFile::create(&private_path)?;
    let public_file = SecretFile::create_public(&public_path)?;
    let private = RsaPrivateKey::generate()
        .map_err(|_| Failure::Local("a key could not be drawn; try again".to_owned()))?;
    private_file.write(&private.to_pem())?;
    public_file.write(&private.public().to_pem())?;
    Ok(vec![
        ("private_key_file", private_path.display().to_string()),
        ("public_key_file", public_path.display().to_string()),
    ])
}
