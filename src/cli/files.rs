//! Files that verbs read and write.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::client::Failure;

/// Longest file that is read, in bytes: a key of 8,192 bits with its chain of comments.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads a file as text, its ends trimmed; `-` is standard input.
pub fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let mut take = |reader: &mut dyn std::io::Read| reader.take(FILE_BYTES_MAX).read_to_string(&mut text);
    let read = if path == Path::new("-") {
        take(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| take(&mut file))
    };
    match read {
        Ok(_) => Ok(Zeroizing::new(text.trim().to_owned())),
        Err(error) => Err(Failure::Usage(format!("{} can't be read: {error}", path.display()))),
    }
}

/// A file that is there, empty, before its secret is made: what could not be written is not asked for.
pub struct SecretFile {
    path: PathBuf,
    file: Option<std::fs::File>,
}

impl SecretFile {
    /// Makes a file that only its owner may read (0600). One that is there already is left alone.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        Self::create_with_mode(path, 0o600)
    }

    /// Makes a file that everybody may read.
    pub fn create_public(path: &Path) -> Result<Self, Failure> {
        Self::create_with_mode(path, 0o644)
    }

    fn create_with_mode(path: &Path, mode: u32) -> Result<Self, Failure> {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|error| {
                Failure::Local(format!(
                    "{} can't be made: {error}; move what is there away, or choose another name",
                    path.display()
                ))
            })?;
        Ok(Self { path: path.to_owned(), file: Some(file) })
    }

    /// Writes it, to the disk; what can't be written whole is not left there.
    pub fn write(mut self, text: &str) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| Failure::Local(format!("{} can't be written: {error}", self.path.display())))?;
        self.file = None;
        Ok(())
    }
}

/// A file that was never written whole is no use to anybody.
impl Drop for SecretFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_file_is_its_owners_alone_and_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        SecretFile::create(&path).unwrap().write("secret").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(SecretFile::create(&path), Err(Failure::Local(_))));
    }

    #[test]
    fn a_file_whose_secret_was_never_made_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        drop(SecretFile::create(&path).unwrap());
        assert!(!path.exists());
    }
}
