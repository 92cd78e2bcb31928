//! Opening the data folder: one owner, today's tables, and what to do about a restored backup.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::StoreEpoch;
use rusqlite::Connection;

use super::backup::{at, make_unfinished, put_in_place, unfinished};
use super::schema;
use crate::epoch::{self, after_restore, from_stored};
use crate::migration::{Migrated, Tell};

/// The database's name in the data folder.
pub const FILE_NAME: &str = "mintkeep.db";

/// The name of the file that the owner of the data folder keeps locked.
const LOCK_NAME: &str = "mintkeep.lock";

/// How long the writer waits for another program's lock on the database (a `sqlite3` shell, say).
const BUSY_WAIT_MAX: Duration = Duration::from_secs(2);

/// How much of the file the writer keeps in memory, in KiB.
const WRITER_CACHE_KIB: i64 = 16_384;

/// How many pages of 4 KiB the log may have before they are copied into the database.
const LOG_PAGES: i64 = 4_000;

/// How long the log stays, in bytes, once it was copied. A backup keeps what is written beside it from being copied, so
/// that the log grows by all of that.
const LOG_BYTES_KEPT: i64 = 32 << 20;

/// Marks a backup, in the file's `user_version`: "MKBK".
pub const BACKUP_MARK: i32 = 0x4d4b_424b;

/// The store can't be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another Mintkeep uses {}: stop it, or give this one another data folder", folder.display())]
    InUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// A newer version wrote it.
    #[error("{} was written by a newer Mintkeep (schema {found}, this one knows {known}): run that or a newer one", file.display())]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its schema.
        found: usize,
        /// The schema of this version.
        known: usize,
    },
    /// Somebody emptied it: a store has its tables before it has its name.
    #[error("{} is empty, which no store is: put a backup in its place, or remove it to begin with a new store", file.display())]
    Empty {
        /// The database.
        file: PathBuf,
    },
    /// The operating system said no.
    #[error("{}: {cause}: check that it exists, is ours to write, and has room", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
    /// SQLite said no.
    #[error("{}: {cause}: if it is damaged, restore a backup", file.display())]
    Sqlite {
        /// The database.
        file: PathBuf,
        /// What it said.
        cause: rusqlite::Error,
    },
}

/// The data folder is ours until this is dropped: the lock's file, and the folder itself.
pub struct FolderLock([File; 2]);

impl Drop for FolderLock {
    /// Closing the file would do, but for a child process of ours that began a moment ago: it has what we had open
    /// until it becomes another program.
    fn drop(&mut self) {
        for file in &self.0 {
            let _closing_does_it_too = file.unlock();
        }
    }
}

/// What is open once it is open.
pub struct Opened {
    /// The writer's connection.
    pub db: Connection,
    /// The database.
    pub file: PathBuf,
    /// How often it was restored.
    pub epoch: StoreEpoch,
    /// What its tables were.
    pub migrated: Migrated,
    /// Held as long as the store is ours, so dropped last.
    pub lock: FolderLock,
}

/// Opens or makes the store in `folder`, and brings its tables up to date.
pub fn open(folder: &Path, now: Timestamp, tell: Tell<'_>) -> Result<Opened, OpenError> {
    std::fs::create_dir_all(folder).map_err(|cause| OpenError::Io { path: folder.to_owned(), cause })?;
    let lock = lock(folder)?;
    let file = folder.join(FILE_NAME);
    let made = if file.exists() { None } else { Some(make(&file, tell)?) };
    let io = |cause| OpenError::Io { path: file.clone(), cause };
    if std::fs::metadata(&file).map_err(io)?.len() == 0 {
        return Err(OpenError::Empty { file });
    }
    if is_fresh_backup(&file).map_err(io)? {
        // What the store before it left, and SQLite would take for its own. Not the journal, which may be of a start on
        // this very backup that was killed.
        remove(&file, &["-wal", "-shm"]).map_err(io)?;
    }

    let sqlite = |cause| OpenError::Sqlite { file: file.clone(), cause };
    let mut db = Connection::open(&file).map_err(sqlite)?;
    configure(&db).map_err(sqlite)?;
    let found = schema::migrate(&mut db, tell).map_err(sqlite)?;
    let migrated = made.unwrap_or(found);
    if migrated.is_newer() {
        return Err(OpenError::Newer { file, found: migrated.found, known: migrated.needed });
    }
    let restored = is_marked(&db).map_err(sqlite)?;
    let epoch = if restored { begin_epoch(&mut db, now) } else { stored_epoch(&db) }.map_err(sqlite)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(sqlite)?;
    Ok(Opened { db, file, epoch, migrated, lock })
}

/// Makes the folder ours.
fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    let path = folder.join(LOCK_NAME);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|cause| OpenError::Io { path: path.clone(), cause })?;
    // Somebody may delete the lock's file; whoever comes then makes another, which nobody has locked. Where a file system
    // can't lock folders, that file is all there is.
    let itself = File::open(folder).map_err(|cause| OpenError::Io { path: folder.to_owned(), cause })?;
    match (file.try_lock(), itself.try_lock()) {
        (Err(TryLockError::WouldBlock), _) | (_, Err(TryLockError::WouldBlock)) => {
            Err(OpenError::InUse { folder: folder.to_owned() })
        }
        (Err(TryLockError::Error(cause)), _) => Err(OpenError::Io { path, cause }),
        (Ok(()), Ok(()) | Err(TryLockError::Error(_))) => Ok(FolderLock([file, itself])),
    }
}

/// Makes a store with its tables under another name, so that none is ever empty under its own.
fn make(file: &Path, tell: Tell<'_>) -> Result<Migrated, OpenError> {
    let unfinished = unfinished(file);
    make_unfinished(&unfinished)?;
    let sqlite = |cause| OpenError::Sqlite { file: unfinished.clone(), cause };
    let mut db = Connection::open(&unfinished).map_err(sqlite)?;
    let migrated = schema::migrate(&mut db, tell).map_err(sqlite)?;
    db.close().map_err(|(_, cause)| sqlite(cause))?;
    // What a store before it left, and SQLite would take for its own.
    remove(file, &["-wal", "-shm", "-journal"]).map_err(at(file))?;
    put_in_place(&unfinished, file)?;
    Ok(migrated)
}

/// Deletes the files whose names are this one's with these endings, those of them that are there.
pub fn remove(file: &Path, endings: &[&str]) -> io::Result<()> {
    for ending in endings {
        let mut path = file.as_os_str().to_owned();
        path.push(ending);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens a file that only its owner may read, and makes it if it isn't there.
pub fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether the file is a backup that was not opened as a store yet.
///
/// Read from the header, before SQLite looks for a log. Only a file without a log of its own counts: the
/// mark is taken off before the store begins to write one.
fn is_fresh_backup(file: &Path) -> io::Result<bool> {
    const WRITE_VERSION_AT: usize = 18;
    const WITHOUT_LOG: u8 = 1;
    const USER_VERSION_AT: usize = 60;
    let mut header = Vec::with_capacity(100);
    File::open(file)?.take(100).read_to_end(&mut header)?;
    let mark = header.get(USER_VERSION_AT..).and_then(<[u8]>::first_chunk::<4>);
    Ok(header.get(WRITE_VERSION_AT) == Some(&WITHOUT_LOG)
        && mark.is_some_and(|bytes| i32::from_be_bytes(*bytes) == BACKUP_MARK))
}

/// The writer's manners. `synchronous=FULL`: a commit is on the disk before anyone is told of it.
fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_WAIT_MAX)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    db.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    db.pragma_update(None, "cache_size", WRITER_CACHE_KIB.saturating_neg())?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn stored_epoch(db: &Connection) -> rusqlite::Result<StoreEpoch> {
    Ok(from_stored(schema::meta(db, epoch::NUMBER)?, schema::meta(db, epoch::FIRST)?))
}

/// Whether it is a backup that has not begun its epoch.
///
/// Asked of SQLite rather than read from the header: a start that was killed while it took the mark off is undone when
/// the file is opened, and then the mark is there again.
fn is_marked(db: &Connection) -> rusqlite::Result<bool> {
    db.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0)).map(|mark| mark == BACKUP_MARK)
}

/// Begins the epoch of a restored backup, and takes the mark off, both or neither.
fn begin_epoch(db: &mut Connection, now: Timestamp) -> rusqlite::Result<StoreEpoch> {
    let tx = db.transaction()?;
    let begun = after_restore(stored_epoch(&tx)?, now);
    schema::set_meta(&tx, epoch::NUMBER, i64::from(begun.number()))?;
    schema::set_meta(&tx, epoch::FIRST, begun.first().number())?;
    tx.pragma_update(None, "user_version", 0)?;
    tx.commit()?;
    Ok(begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_at_once_though_a_child_process_still_has_its_lock_open() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        // As a child process has it between its beginning and its becoming another program.
        let inherited = held.0.each_ref().map(|file| file.try_clone().unwrap());
        assert!(matches!(lock(folder.path()), Err(OpenError::InUse { .. })));
        drop(held);
        assert!(lock(folder.path()).is_ok());
        drop(inherited);
    }

    #[test]
    fn the_disk_has_a_commit_before_the_writer_goes_on() {
        const FULL: i64 = 2;
        let folder = tempfile::tempdir().unwrap();
        let opened = open(folder.path(), Timestamp::from_unix_ms(1_800_000_000_000), &mut |_| {}).unwrap();
        let ask = |pragma| opened.db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(
            ask("synchronous"),
            FULL,
            "a log that is flushed now and then loses its end with the power"
        );
    }
}
