//! A few read-only connections, for what is not in the cache.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mintkeep_protocol::port::issuer_store::Stored;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::fault::unavailable;
use super::read::Answer;

/// How many reads run at once.
const READERS: usize = 4;

/// How long a read waits for its turn.
const READ_WAIT_MAX: Duration = Duration::from_secs(5);

/// How much of the file each reader keeps in memory, in KiB (SQLite counts them as a negative number).
const READER_CACHE_KIB: i64 = 2_048;

/// The connections that are free, and how many there are.
pub struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// Opens them.
    pub fn open(file: &Path) -> rusqlite::Result<Self> {
        let mut free = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(file, flags)?;
            db.pragma_update(None, "cache_size", READER_CACHE_KIB.saturating_neg())?;
            free.push(db);
        }
        Ok(Self { free: Arc::new(Mutex::new(free)), turns: Arc::new(Semaphore::new(READERS)) })
    }

    /// Asks a question on a thread that may block.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Answer<T> + Send + 'static,
    ) -> Stored<T> {
        let turn = tokio::time::timeout(READ_WAIT_MAX, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| unavailable("too many reads wait; the disk is too slow"))?;
        let turn = turn.map_err(|error| unavailable(&error))?;
        let free = self.free.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let reader = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = reader.ok_or_else(|| unavailable("the store is closed"))?;
            let answer = question(&reader);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            drop(turn);
            answer.map_err(Into::into)
        });
        asked.await.map_err(|error| unavailable(&error))?
    }

    /// Closes those that are free; the others close when their question is answered.
    pub fn close(&self) {
        self.turns.close();
        self.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
