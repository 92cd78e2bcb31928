//! Secrets by reference: `file:` or `env:`, never inline.

use std::path::{Path, PathBuf};

use mintkeep_protocol::time::Timestamp;
use zeroize::Zeroizing;

use super::reader::{At, Notes};

/// Longest file of a secret, a key or a certificate chain, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What some editors begin a text with, and nobody means to be of it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What the configuration may look at beside its own text.
pub struct Surroundings<'e> {
    /// Where its relative paths begin: the folder of the configuration file.
    pub folder: PathBuf,
    /// The environment.
    pub variable: &'e dyn Fn(&str) -> Option<String>,
    /// The clock's reading.
    pub now: Timestamp,
    /// Whether all of it was read before.
    pub reading: Reading,
}

/// Whether a server starts on what it reads, or runs already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It starts.
    First,
    /// It runs. A pipe, such as a shell's `<(…)`, was read to its end at the start: whoever reads it again may wait for ever.
    Again,
}

impl Reading {
    /// Whether `path` may be read.
    pub fn allows(self, path: &Path) -> std::io::Result<()> {
        if self == Self::Again && !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other(
                "it is no plain file and was read to its end at the start; restart the server to have it read again",
            ));
        }
        Ok(())
    }
}

impl Surroundings<'_> {
    /// A path as the configuration means it.
    pub fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    /// Reads a file that a setting names, and notes if it can't be read.
    pub fn file(&self, named: &At<String>, notes: &Notes<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.path(&named.value);
        match self.reading.allows(&path).and_then(|()| read(&path)) {
            Ok(bytes) => Some(Zeroizing::new(bytes)),
            Err(error) => {
                let what = format!("{} can't be read ({error})", path.display());
                notes.mistake(named.line, what, "give the path of a file that this user may read");
                None
            }
        }
    }

    /// The secret that a setting refers to, without white space around it.
    ///
    /// A text that is no reference is taken for the secret itself: refused, and not repeated.
    pub fn secret(&self, setting: &str, named: &At<String>, notes: &Notes<'_>) -> Option<Zeroizing<String>> {
        let secret = if let Some(path) = named.value.strip_prefix("file:") {
            self.secret_file(&named.with(path.to_owned()), notes)?
        } else if let Some(variable) = named.value.strip_prefix("env:") {
            let Some(secret) = (self.variable)(variable) else {
                let what = format!("`{setting}` refers to the variable {variable:?}, which is not set");
                notes.mistake(named.line, what, "set it in the server's environment");
                return None;
            };
            Zeroizing::new(secret)
        } else {
            let remedy = format!(
                "put it into a file that only the server's user may read and write `{setting}` as \"file:PATH\", \
                 or as \"env:VARIABLE\""
            );
            notes.mistake(named.line, format!("`{setting}` must not be the secret itself"), remedy);
            return None;
        };
        let trimmed = Zeroizing::new(secret.trim().to_owned());
        if trimmed.is_empty() {
            notes.mistake(named.line, format!("`{setting}` refers to an empty secret"), "write it there");
            return None;
        }
        Some(trimmed)
    }

    fn secret_file(&self, named: &At<String>, notes: &Notes<'_>) -> Option<Zeroizing<String>> {
        let bytes = self.file(named, notes)?;
        warn_if_open(&self.path(&named.value), named.line, notes);
        let Ok(text) = std::str::from_utf8(&bytes) else {
            let what = format!("{} is not UTF-8 text", self.path(&named.value).display());
            notes.mistake(named.line, what, "name the file that holds the secret");
            return None;
        };
        Some(Zeroizing::new(text.to_owned()))
    }
}

/// Warns of a secret's file that every user of the machine may read.
fn warn_if_open(path: &Path, line: usize, notes: &Notes<'_>) {
    use std::os::unix::fs::PermissionsExt as _;
    let is_open = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0);
    if is_open {
        let what = format!("{} can be read by every user of this machine", path.display());
        notes.warning(line, what, format!("run chmod 600 {}", path.display()));
    }
}

/// Reads a file of a bounded length.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(std::io::Error::other("it is longer than 256 KiB"));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}
