//! The sandbox's movable clock: the system's, and how far it was moved.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use mintkeep_issuer::admin::MovableClock;
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_web::clock::SystemClock;

use crate::folder::{read_text, write_secret};

/// What is called after the clock was moved.
type Hook = Box<dyn Fn() + Send + Sync>;

/// A clock that can be moved ahead. How far is kept in a file, because the state that was made under it is
/// kept too.
pub struct SandboxClock {
    offset_ms: AtomicI64,
    file: PathBuf,
    moved: Mutex<Vec<Hook>>,
}

impl SandboxClock {
    /// Opens the clock as it was left.
    pub fn open(file: PathBuf) -> Result<Self> {
        let offset_ms = match read_text(&file)? {
            Some(text) => text.trim().parse().with_context(|| {
                format!("{} is not a number of milliseconds; remove it to reset the clock", file.display())
            })?,
            None => 0,
        };
        Ok(Self { offset_ms: AtomicI64::new(offset_ms), file, moved: Mutex::default() })
    }

    /// Calls `hook` whenever the clock is moved: timers that wait for an instant must look again.
    pub fn on_move(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    fn tell(&self) {
        let offset_ms = self.offset_ms.load(Ordering::SeqCst);
        if let Err(error) = write_secret(&self.file, &format!("{offset_ms}\n")) {
            tracing::warn!(%error, "the sandbox clock will be back at the system's time after a restart");
        }
        for hook in &*self.moved.lock().unwrap_or_else(PoisonError::into_inner) {
            hook();
        }
    }
}

impl MovableClock for SandboxClock {
    fn offset(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.offset_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }

    fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let add = |offset: i64| Some(offset.saturating_add(by_ms));
        let (Ok(_) | Err(_)) = self.offset_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        self.tell();
    }

    fn reset(&self) {
        self.offset_ms.store(0, Ordering::SeqCst);
        self.tell();
    }
}

impl Clock for SandboxClock {
    fn now(&self) -> Timestamp {
        let now_ms = SystemClock.now().unix_ms();
        Timestamp::from_unix_ms(now_ms.saturating_add(self.offset_ms.load(Ordering::SeqCst)))
    }
}
