//! A copy of the store while it runs.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::open::{BACKUP_MARK, OpenError, create_private};

/// Copies the database `file` to `to`, as of one moment, and marks it as a backup.
///
/// A store that is opened on the copy finds the mark and begins a new epoch, so that it never hands out
/// a token that was handed out after the copy was made. Nobody can forget that.
pub fn backup(file: &Path, to: &Path) -> Result<(), OpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    if to.exists() {
        return Err(at(to)(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name")));
    }
    create_private(&unfinished).and_then(|file| file.set_len(0)).map_err(at(&unfinished))?;
    copy(file, &unfinished).map_err(|source| OpenError::Sqlite { file: unfinished.clone(), source })?;
    let synced = File::open(&unfinished).and_then(|copy| copy.sync_all());
    synced.and_then(|()| std::fs::rename(&unfinished, to)).map_err(at(&unfinished))?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn copy(from: &Path, to: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(from, flags)?;
    store.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    let copy = Connection::open(to)?;
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    copy.pragma_update(None, "user_version", BACKUP_MARK)?;
    copy.close().map_err(|(_, error)| error)
}
