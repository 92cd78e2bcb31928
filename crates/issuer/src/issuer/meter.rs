//! Calls a minute, for the apps that have a limit.

use std::sync::{Mutex, PoisonError};

use ahash::HashMap;
use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::time::Timestamp;

/// Counts in fixed minutes, per process. A restart forgets at most a minute.
#[derive(Default)]
pub struct Meter(Mutex<HashMap<RecordId, Minute>>);

#[derive(Clone, Copy)]
struct Minute {
    number: i64,
    calls: u32,
}

impl Meter {
    /// Counts a call.
    ///
    /// # Errors
    ///
    /// [`Refusal::RateLimited`] over [`mintkeep_protocol::app::AppSettings::minute_limit`].
    pub fn count(&self, app: &App, now: Timestamp) -> Result<(), Refusal> {
        let Some(limit) = app.settings.minute_limit.filter(|limit| *limit > 0) else {
            return Ok(());
        };
        let number = now.unix_s().div_euclid(60);
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = minutes.entry(app.no).or_insert(Minute { number, calls: 0 });
        if minute.number != number {
            *minute = Minute { number, calls: 0 };
        }
        minute.calls = minute.calls.saturating_add(1);
        if minute.calls > limit { Err(Refusal::RateLimited) } else { Ok(()) }
    }
}
