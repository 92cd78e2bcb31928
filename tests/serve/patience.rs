//! Waiting for what must come, and failing if it does not.

use std::thread::park_timeout;
use std::time::Duration;

use mintkeep_protocol::time::Clock as _;
use mintkeep_web::clock::SystemClock;

/// Longer than a lease and a platform's window for identical requests together.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long it rests between two looks: what is waited for needs the processor too.
const REST: Duration = Duration::from_millis(10);

/// Looks again and again until there is something to see.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = SystemClock.now().after(PATIENCE);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(SystemClock.now() < end, "waited in vain for {what}");
        park_timeout(REST);
    }
}
