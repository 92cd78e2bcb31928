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
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    if to.exists() {
        return Err(at(to)(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name")));
    }
    remove(&unfinished).and_then(|()| create_private(&unfinished)).map_err(at(&unfinished))?;
    let finished = finish((file, &unfinished), to);
    if finished.is_err() {
        // What is left of it may be all the room that the store's own disk had.
        let _gone = remove(&unfinished);
    }
    finished
}

/// Copies the store and gives the copy its name.
fn finish((file, unfinished): (&Path, &Path), to: &Path) -> Result<(), OpenError> {
    copy(file, unfinished).map_err(|cause| OpenError::Sqlite { file: unfinished.to_owned(), cause })?;
    let synced = File::open(unfinished).and_then(|copy| copy.sync_all());
    synced.and_then(|()| std::fs::rename(unfinished, to)).map_err(at(unfinished))?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// Removes an unfinished copy, and the journal that SQLite would take for the next one's.
fn remove(unfinished: &Path) -> io::Result<()> {
    let mut journal = unfinished.as_os_str().to_owned();
    journal.push("-journal");
    for left in [unfinished, Path::new(&journal)] {
        match std::fs::remove_file(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// What the operating system said of `path`.
fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |cause| OpenError::Io { path, cause }
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
