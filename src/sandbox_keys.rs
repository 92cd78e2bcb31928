//! The sandbox's key pairs, each in a file of its own, made at the first start.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::ident::Dialect;
use mintkeep_web::tasks::Tasks;

use crate::folder::{make_folder, read_text, write_secret};

/// Where a signed dialect's keys are.
pub fn folder(data: &Path, dialect: Dialect) -> PathBuf {
    data.join("sandbox").join(dialect.name())
}

/// The private key of the apps of a signed dialect.
pub fn app_private(data: &Path, dialect: Dialect) -> PathBuf {
    folder(data, dialect).join("app_private.pem")
}

/// The private key that the sandbox's wallet signs its assertions with.
pub fn wallet_private(data: &Path) -> PathBuf {
    data.join("sandbox").join("wallet").join("assertion_private.pem")
}

/// Makes what is not there yet, side by side: drawing a key takes a core for a tenth of a second or more.
pub async fn make(data: &Path, tasks: &Tasks) -> Result<()> {
    tokio::try_join!(
        make_one(app_private(data, Dialect::MiniProgram), tasks),
        make_one(app_private(data, Dialect::AlipayHk), tasks),
        make_one(wallet_private(data), tasks),
    )?;
    Ok(())
}

async fn make_one(file: PathBuf, tasks: &Tasks) -> Result<()> {
    if let Some(folder) = file.parent() {
        make_folder(folder)?;
    }
    if !file.exists() {
        let made = tasks.spawn_blocking(RsaPrivateKey::generate).await??;
        write_secret(&file, &made.to_pem())?;
    }
    Ok(())
}

/// Reads a key that [`make`] made, or that somebody put into its place.
pub fn read(file: &Path) -> Result<RsaPrivateKey> {
    let pem = read_text(file)?.with_context(|| format!("{} is gone", file.display()))?;
    RsaPrivateKey::from_pem(&pem).with_context(|| {
        format!("{}: put back what was there, or start with another --data folder", file.display())
    })
}
