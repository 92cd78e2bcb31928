//! What `mintkeep dev` seeds for the keeper: four credentials at the issuer beside it, and a consumer.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mintkeep_issuer::issuer::Issuer;
use mintkeep_keeper::Keeper;
use mintkeep_keeper::admin::{By, NewConsumer, NewCredential, NewProof};
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::ident::{AppId, ConsumerName, CredentialName, Dialect};
use mintkeep_protocol::keep::consumer::{CredentialScope, Verb};
use mintkeep_protocol::keep::credential::{CredentialSettings, TokenSource};
use mintkeep_protocol::secret::ClientSecret;

use crate::folder::write_secret;
use crate::sandbox::{APPS, SandboxApp};
use crate::sandbox_keys;

/// How long the issuer beside it takes the byte-identical signed request again, in seconds: its apps' default.
const IDENTICAL_RETRY_S: u32 = 60;

/// Seeds what is not there yet, and points the credentials at where the issuer listens this time.
pub async fn seed(keeper: &Arc<Keeper>, issuer: &Issuer, data: &Path) -> Result<()> {
    let by = By { actor: "sandbox".to_owned(), address: None, request_id: "-".to_owned() };
    for app in &APPS {
        let name = CredentialName::parse(&format!("{}-sandbox", app.dialect))?;
        match keeper.account(&name) {
            None => {
                let new = new_credential(app, name, issuer, data)?;
                keeper.add_credential(new, &by).await?;
            }
            Some(account) if account.credential.base_url != issuer.public_url => {
                keeper.move_credential(&name, &issuer.public_url, &by).await?;
            }
            Some(_) => {}
        }
    }
    seed_consumer(keeper, data, &by).await
}

fn new_credential(
    app: &SandboxApp,
    name: CredentialName,
    issuer: &Issuer,
    data: &Path,
) -> Result<NewCredential> {
    let proof = if let Some(secret) = app.secret {
        NewProof::Secret(ClientSecret::new(secret.to_owned()))
    } else {
        let platform = issuer.signer.latest(app.dialect).context("the platform has no key")?;
        let public = platform.private.public().clone();
        NewProof::Key {
            private: sandbox_keys::read(&sandbox_keys::app_private(data, app.dialect))?,
            version: 1,
            platform: AppKey { version: platform.version, public },
        }
    };
    Ok(NewCredential {
        name,
        source: match app.dialect {
            Dialect::WeChat => TokenSource::WeChatStable,
            Dialect::DingTalk => TokenSource::DingTalk,
            Dialect::MiniProgram => TokenSource::MiniProgram,
            Dialect::AlipayHk => TokenSource::AlipayHk,
        },
        app: AppId::parse(app.keeper_id)?,
        base_url: issuer.public_url.clone(),
        proof,
        settings: CredentialSettings {
            identical_retry_s: app.dialect.is_signed().then_some(IDENTICAL_RETRY_S),
            ..CredentialSettings::default()
        },
    })
}

/// The consumer that may use all four. For the drop-in endpoints of the signed dialects it signs with the
/// sandbox apps' own keys.
async fn seed_consumer(keeper: &Arc<Keeper>, data: &Path, by: &By) -> Result<()> {
    let name = ConsumerName::parse("sandbox")?;
    let folder = data.join("sandbox");
    if keeper.consumers().iter().any(|consumer| consumer.name == name) {
        if folder.join("consumer.key").exists() {
            return Ok(());
        }
        // A start that ended too early made it and told its key to nobody.
        keeper.revoke_consumer(&name, by).await?;
    }
    let mut drop_in_keys = Vec::new();
    for app in APPS.iter().filter(|app| app.dialect.is_signed()) {
        let private = sandbox_keys::read(&sandbox_keys::app_private(data, app.dialect))?;
        drop_in_keys.push(AppKey { version: 1, public: private.public().clone() });
    }
    let new = NewConsumer {
        name,
        credentials: CredentialScope::All,
        verbs: Verb::ALL.to_vec(),
        margin_floor_s: 0,
        drop_in_keys,
    };
    let made = keeper.create_consumer(new, by).await?;
    if let Some(pem) = made.answers_public_pem {
        fs::write(folder.join("drop_in_public.pem"), pem)?;
    }
    write_secret(&folder.join("consumer.secret"), &format!("{}\n", *made.drop_in_secret))?;
    // The last, so that whoever finds it finds all.
    write_secret(&folder.join("consumer.key"), &format!("{}\n", *made.key))
}
