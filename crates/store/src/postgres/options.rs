//! What a store in PostgreSQL is told besides its URL.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::time::Clock;

/// What a store needs to know besides its URL.
pub struct PostgresOptions {
    /// Asked which records are long dead.
    pub clock: Arc<dyn Clock>,
    /// How long audit lines are kept.
    pub audit_retention: Duration,
    /// Most connections to the database, besides the one that listens to the other replicas.
    pub connections_max: usize,
    /// How old a cached record may be: another replica's change is seen after this time at the latest, even
    /// if its notification is lost.
    pub record_age_max: Duration,
}

impl PostgresOptions {
    /// How long audit lines are kept unless something else is said.
    pub const AUDIT_RETENTION: Duration = Duration::from_hours(30 * 24);
    /// Most connections to the database unless something else is said.
    pub const CONNECTIONS_MAX: usize = 16;

    /// How old a cached record may be unless something else is said.
    pub const RECORD_AGE_MAX: Duration = Duration::from_secs(1);

    /// The defaults.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            audit_retention: Self::AUDIT_RETENTION,
            connections_max: Self::CONNECTIONS_MAX,
            record_age_max: Self::RECORD_AGE_MAX,
        }
    }
}
