//! Connecting: a bounded pool, deadlines for everything, and the right tables.

use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::Config;

use super::address::{Address, Connected, Setting};
use super::fault::Fault;
use super::schema::{self, SchemaThere};

/// How long a caller waits for one of the pool's connections.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(3);

/// How long one statement may take, and a transaction may wait for its next one. In milliseconds, as the
/// engine counts them.
pub const STATEMENT_MS_MAX: u32 = 5_000;

/// Every plan goes by an index, row by row, and is made once. A plan that was made for an empty table is then
/// good for a full one, and rows are locked in the order of their keys.
const PLANS: [Setting; 4] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// The store can't be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL can't be read. It is not shown, because it may hold a password.
    #[error("the store's url is no PostgreSQL url: write postgres://user@host:5432/database")]
    Url,
    /// The certificates that the URL asks for can't be had.
    #[error("the store's url asks for TLS that can't be had: {cause}")]
    Tls {
        /// What is wrong.
        cause: String,
    },
    /// The server can't be reached, or doesn't let us in.
    #[error(
        "the database can't be used: {cause}: check that it runs, its address, user and password; with TLS also that its \
         certificate is for that host, says CA:FALSE, and is of an authority that sslrootcert names"
    )]
    Unusable {
        /// What was said.
        cause: String,
    },
    /// A pooler stands before it that gives sessions to others in between.
    #[error(
        "a pooler gives our sessions of the database to others between two transactions: set PgBouncer's pool_mode to \
         session for this database, or name PostgreSQL itself in the url"
    )]
    SessionShared,
    /// Servers work on it, which would not hear of what is to be changed.
    #[error("servers are connected to the database, {connections} times: stop all of them first")]
    InUse {
        /// How many connections there are.
        connections: i64,
    },
    /// A table that a migration is to change was in use all the time that it may wait for one.
    #[error("a table was in use for {} s, so nothing was changed: run it again", STATEMENT_MS_MAX / 1_000)]
    Locked,
    /// Its tables are of an older version, or not there.
    #[error(
        "the database has schema {found}, this Mintkeep needs {needed}: run `mintkeep migrate --config FILE`"
    )]
    Behind {
        /// The schema that was found; 0: none.
        found: usize,
        /// The schema of this version.
        needed: usize,
    },
    /// A copy into it was interrupted, or did not turn out the same.
    #[error(
        "the database holds half a copy of another store: finish it with `mintkeep store copy`, which can be repeated"
    )]
    HalfCopied,
    /// Its tables are of a version that this one can't work beside.
    #[error(
        "the database has schema {found}, this Mintkeep knows {known}: run the newer Mintkeep that migrated it"
    )]
    Newer {
        /// The schema that was found.
        found: usize,
        /// The schema of this version.
        known: usize,
    },
}

impl From<Fault> for DatabaseError {
    fn from(fault: Fault) -> Self {
        if fault.is_lock_wait() { Self::Locked } else { Self::Unusable { cause: fault.to_string() } }
    }
}

/// Where a store's connections go to.
pub fn address(url: &str) -> Result<Address, DatabaseError> {
    let longest = STATEMENT_MS_MAX.to_string();
    let limits: [Setting; 2] =
        [("statement_timeout", &longest), ("idle_in_transaction_session_timeout", &longest)];
    Address::parse(url, &[&limits[..], &PLANS[..]].concat())
}

/// Where a migration's connection goes to: its statements take as long as the tables are large, but none
/// keeps others from a table for long while it waits for it.
pub fn migration_address(url: &str) -> Result<Address, DatabaseError> {
    Address::parse(url, &[("lock_timeout", &STATEMENT_MS_MAX.to_string())])
}

/// A pool of at most `connections_max` connections.
pub fn pool(address: Address, connections_max: usize) -> Result<Pool, DatabaseError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let timeouts = Timeouts {
        wait: Some(CONNECTION_WAIT_MAX),
        create: Some(address.connect_max()),
        recycle: Some(CONNECTION_WAIT_MAX),
    };
    Pool::builder(Manager::from_connect(Config::new(), Dial(address), recycling))
        .max_size(connections_max)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| DatabaseError::Unusable { cause: error.to_string() })
}

/// Makes the pool's connections.
struct Dial(Address);

impl Connect for Dial {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        Box::pin(self.0.connect(None))
    }
}

/// Whether the tables are ones that this version can work with.
pub fn check_schema(there: Option<SchemaThere>) -> Result<(), DatabaseError> {
    let SchemaThere { found, serves_from, .. } = there.unwrap_or_default();
    if found < schema::CURRENT {
        return Err(DatabaseError::Behind { found, needed: schema::CURRENT });
    }
    if serves_from > schema::CURRENT {
        return Err(DatabaseError::Newer { found, known: schema::CURRENT });
    }
    Ok(())
}

/// Whether sessions are ours as long as their connections are.
pub fn check_sessions(is_shared: bool) -> Result<(), DatabaseError> {
    if is_shared { Err(DatabaseError::SessionShared) } else { Ok(()) }
}

/// Whether all is in the tables that belongs there.
pub fn check_whole(there: Option<SchemaThere>) -> Result<(), DatabaseError> {
    if there.unwrap_or_default().is_half_copied { Err(DatabaseError::HalfCopied) } else { Ok(()) }
}
