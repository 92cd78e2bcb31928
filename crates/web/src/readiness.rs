//! Whether this process should be sent requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// From starting over ready to leaving. Clones share the same state.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<State>);

#[derive(Debug, Default)]
struct State {
    started: AtomicBool,
    is_leaving: AtomicBool,
}

impl Readiness {
    /// All that is needed to serve has been loaded.
    pub fn started(&self) {
        self.0.started.store(true, Relaxed);
    }

    /// The process is about to stop: balancers shall send nothing new, answers close their connections.
    pub fn leave(&self) {
        self.0.is_leaving.store(true, Relaxed);
    }

    /// Whether the process has started and isn't leaving.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.started.load(Relaxed) && !self.is_leaving()
    }

    /// Whether the process is about to stop.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.is_leaving.load(Relaxed)
    }
}
