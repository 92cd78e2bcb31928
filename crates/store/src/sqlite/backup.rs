//! A copy of the store while it runs.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::open::{BACKUP_MARK, OpenError, create_private, remove};

/// Copies the database `file` to `to`, as of one moment, and marks it as a backup.
///
/// A store that is opened on the copy finds the mark and begins a new epoch, so that it never hands out
/// a token that was handed out after the copy was made. Nobody can forget that.
pub fn backup(file: &Path, to: &Path) -> Result<(), OpenError> {
    // SQLite would take a name that begins with "file:" for a URI.
    let to = &Path::new(".").join(to);
    let unfinished = unfinished(to);
    if to.exists() {
        return Err(at(to)(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name")));
    }
    make_unfinished(&unfinished)?;
    let finished = finish((file, &unfinished), to);
    if finished.is_err() {
        // What is left of it may be all the room that the store's own disk had.
        let _gone = remove(&unfinished, &UNFINISHED);
    }
    finished
}

/// Copies the store and gives the copy its name.
fn finish((file, unfinished): (&Path, &Path), to: &Path) -> Result<(), OpenError> {
    copy(file, unfinished).map_err(|cause| OpenError::Sqlite { file: unfinished.to_owned(), cause })?;
    put_in_place(unfinished, to)
}

/// What a database is called until it is whole.
pub fn unfinished(to: &Path) -> PathBuf {
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".unfinished");
    PathBuf::from(unfinished)
}

/// An unfinished database, and the journal that SQLite would take for the next one's.
const UNFINISHED: [&str; 2] = ["", "-journal"];

/// Makes an empty file for a database, in the place of what is left of one that was never finished.
pub fn make_unfinished(path: &Path) -> Result<(), OpenError> {
    remove(path, &UNFINISHED).and_then(|()| create_private(path)).map_err(at(path)).map(drop)
}

/// Gives a database that is whole its name, both on the disk.
pub fn put_in_place(unfinished: &Path, to: &Path) -> Result<(), OpenError> {
    let synced = File::open(unfinished).and_then(|whole| whole.sync_all());
    synced.and_then(|()| std::fs::rename(unfinished, to)).map_err(at(unfinished))?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// What the operating system said of `path`.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |cause| OpenError::Io { path, cause }
}

fn copy(from: &Path, to: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(from, flags)?;
    let name = to.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(to.to_owned()))?;
    store.execute("VACUUM INTO ?1", [name])?;
    let copy = Connection::open(to)?;
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    copy.pragma_update(None, "user_version", BACKUP_MARK)?;
    copy.close().map_err(|(_, error)| error)
}
