//! The system's clock: the one place that asks the operating system for the date.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mintkeep_protocol::time::{Clock, Timestamp};

/// The system's clock. A date before 1970 reads as 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "its one home")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::default().after(since_epoch)
    }
}
