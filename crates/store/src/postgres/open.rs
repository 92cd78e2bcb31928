//! Connecting: a bounded pool, deadlines for everything, and the right tables.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::{Config, NoTls};

use super::fault::Fault;
use super::schema::{self, SchemaThere};

/// How long it may take to connect.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long a caller waits for one of the pool's connections.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(3);

/// How long one statement may take, and a transaction may wait for its next one. In milliseconds, as the
/// engine counts them.
const STATEMENT_MS_MAX: u32 = 5_000;

/// Every plan goes by an index, row by row, and is made once. A plan that was made for an empty table is then
/// good for a full one, and rows are locked in the order of their keys.
const PLANS: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off \
     -c plan_cache_mode=force_generic_plan";

/// How long sent data may stay unacknowledged before the connection counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The store can't be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL can't be read. It is not shown, because it may hold a password.
    #[error("the store's url is no PostgreSQL url: write postgres://user@host:5432/database")]
    Url,
    /// The server can't be reached, or doesn't let us in.
    #[error("the database can't be used: {cause}: check that it runs, its address, user and password")]
    Unusable {
        /// What was said.
        cause: String,
    },
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
        Self::Unusable { cause: fault.to_string() }
    }
}

/// The settings of a store's connections.
pub fn config(url: &str) -> Result<Config, DatabaseError> {
    let limits = format!(
        "-c statement_timeout={STATEMENT_MS_MAX} -c idle_in_transaction_session_timeout={STATEMENT_MS_MAX}"
    );
    config_with(url, &format!("{limits} {PLANS}"))
}

/// The settings of a migration's connection: its statements take as long as the tables are large, but none
/// keeps others from a table for long while it waits for it.
pub fn migration_config(url: &str) -> Result<Config, DatabaseError> {
    config_with(url, &format!("-c lock_timeout={STATEMENT_MS_MAX}"))
}

fn config_with(url: &str, settings: &str) -> Result<Config, DatabaseError> {
    let mut config: Config = url.parse().map_err(|_| DatabaseError::Url)?;
    let own = config.get_options().unwrap_or_default();
    config
        .options(format!("{own} {settings}"))
        .connect_timeout(CONNECT_MAX)
        .tcp_user_timeout(SILENCE_MAX)
        .keepalives(true);
    if config.get_application_name().is_none() {
        config.application_name("mintkeep");
    }
    Ok(config)
}

/// A pool of at most `connections_max` connections.
pub fn pool(config: Config, connections_max: usize) -> Result<Pool, DatabaseError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let timeouts =
        Timeouts { wait: Some(CONNECTION_WAIT_MAX), create: Some(CONNECT_MAX), recycle: Some(CONNECT_MAX) };
    Pool::builder(Manager::from_config(config, NoTls, recycling))
        .max_size(connections_max)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| DatabaseError::Unusable { cause: error.to_string() })
}

/// Whether the tables are ones that this version can work with.
pub fn check_schema(there: Option<SchemaThere>) -> Result<(), DatabaseError> {
    let SchemaThere { found, serves_from } = there.unwrap_or_default();
    if found < schema::CURRENT {
        return Err(DatabaseError::Behind { found, needed: schema::CURRENT });
    }
    if serves_from > schema::CURRENT {
        return Err(DatabaseError::Newer { found, known: schema::CURRENT });
    }
    Ok(())
}
