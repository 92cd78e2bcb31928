//! What the keeper waits for and how much it does at once.

use std::time::Duration;

use mintkeep_web::limits::Limits;

/// The keeper's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeeperSettings {
    /// How long one request to a platform may take, from the connection to the end of the answer.
    pub request_deadline: Duration,
    /// How long a lease lasts that its holder does not end. Longer than the deadline by all that a holder
    /// does before and after its request; shorter than the minute for which our issuer takes an identical
    /// request again, so that whoever takes over can still repeat it.
    pub lease_length: Duration,
    /// How long a reader without a good token, or a reporter, waits for a renewal.
    pub caller_wait_max: Duration,
    /// How many renewals of the timetable are under way at once.
    pub renewals_at_once_max: usize,
    /// How often the store is asked for other replicas' changes, when there can be any.
    pub follow_every: Duration,
    /// How often it is counted how the tokens are doing, for the metrics.
    pub gauges_every: Duration,
    /// How many events a watcher may be behind before it loses some.
    pub events_behind_max: usize,
    /// Longest answer of a platform that is read, in bytes.
    pub answer_bytes_max: usize,
    /// What is taken of a caller's body, and how long it may take. The proxy's bodies have bounds of their own.
    pub limits: Limits,
}

impl Default for KeeperSettings {
    fn default() -> Self {
        Self {
            request_deadline: Duration::from_secs(8),
            lease_length: Duration::from_secs(20),
            caller_wait_max: Duration::from_secs(10),
            renewals_at_once_max: 64,
            follow_every: Duration::from_millis(500),
            gauges_every: Duration::from_secs(15),
            events_behind_max: 1024,
            answer_bytes_max: 64 * 1024,
            limits: Limits::default(),
        }
    }
}
