//! The store that a configuration names, open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use mintkeep_protocol::crypto::MasterKeys;
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::time::Clock;
use mintkeep_store::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use mintkeep_web::tasks::Tasks;

use crate::config::StoreSettings;
use crate::wiring::Records;

/// How often the store is asked whether it is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A store that takes longer than this to answer counts as away.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(2);

/// An open store. Both roles of a process use the same one; each engine tidies up by itself.
pub enum Engine {
    /// In a folder that this process alone uses.
    Embedded(Arc<SqliteStore>),
    /// In a database that other processes use too.
    Postgres(Arc<PostgresStore>),
}

impl Engine {
    /// Opens the store. A failure says what to do, and never shows the database's URL.
    pub async fn open(settings: &StoreSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        match settings {
            StoreSettings::Embedded(folder) => {
                Ok(Self::Embedded(SqliteStore::open(folder, SqliteOptions::new(clock))?))
            }
            StoreSettings::Postgres(url) => {
                Ok(Self::Postgres(PostgresStore::open(url, PostgresOptions::new(clock)).await?))
            }
        }
    }

    /// What the roles keep in it, with what that is sealed under.
    pub fn records(&self, master: Arc<MasterKeys>) -> Records {
        match self {
            Self::Embedded(store) => Records { issuer: store.clone(), keeper: store.clone(), master },
            Self::Postgres(store) => Records { issuer: store.clone(), keeper: store.clone(), master },
        }
    }

    /// Looks whether the store answers, until the process stops: for the metrics, the log and `/readyz`.
    pub fn watch(&self, tasks: &Tasks) -> StoreHealth {
        let health = StoreHealth(Arc::new(AtomicBool::new(true)));
        metrics::describe_gauge!("mintkeep_store_up", "1 while the store answers, 0 while it does not.");
        let store: Arc<dyn IssuerStore> = match self {
            Self::Embedded(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        };
        let (told, of_task) = (health.clone(), tasks.clone());
        tasks.spawn(async move {
            while tokio::time::timeout(LOOK_EVERY, of_task.stopping()).await.is_err() {
                told.note(match tokio::time::timeout(ANSWER_WAIT_MAX, store.epoch()).await {
                    Ok(answered) => answered.map(drop).map_err(|error| error.to_string()),
                    Err(_late) => Err(format!("it said nothing for {} s", ANSWER_WAIT_MAX.as_secs())),
                });
            }
        });
        health
    }

    /// Makes everything durable that was asked for, and gives the store free.
    pub fn close(&self) {
        match self {
            Self::Embedded(store) => store.close(),
            Self::Postgres(store) => store.close(),
        }
    }
}

/// Whether the store answered when it was asked last. Clones share the same state.
#[derive(Clone)]
pub struct StoreHealth(Arc<AtomicBool>);

impl StoreHealth {
    /// Of a store that is part of the process.
    pub fn good() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether it answered.
    pub fn is_good(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, answered: Result<(), String>) {
        let is_good = answered.is_ok();
        metrics::gauge!("mintkeep_store_up").set(i32::from(is_good));
        let was_good = self.0.swap(is_good, Ordering::Relaxed);
        match (was_good, answered) {
            (true, Err(error)) => tracing::error!(
                error,
                "the store does not answer; held tokens are served on, changes are answered as retryable"
            ),
            (false, Ok(())) => tracing::info!("the store answers again"),
            (true, Ok(())) | (false, Err(_)) => {}
        }
    }
}
