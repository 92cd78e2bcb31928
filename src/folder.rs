//! The data folder's files. Secrets are for their owner's eyes only.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Makes a folder that only its owner may enter, unless it is there.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("{} can't be made; give another folder", path.display()))
}

/// Writes a file that only its owner may read (0600), in one step: it is there whole or not at all.
pub fn write_secret(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("{} can't be written", path.display()))
}

/// Reads a file; `None` if it isn't there.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} can't be read", path.display())),
    }
}

/// Reads a secret, or makes it the first time.
pub fn secret_or_new(path: &Path, new: impl FnOnce() -> String) -> Result<String> {
    if let Some(text) = read_text(path)? {
        return Ok(text.trim().to_owned());
    }
    let text = new();
    write_secret(path, &format!("{text}\n"))?;
    Ok(text)
}
