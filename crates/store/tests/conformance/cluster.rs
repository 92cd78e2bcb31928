//! A PostgreSQL server for the whole run, and databases on it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use mintkeep_store::{PostgresOptions, PostgresStore};

use crate::sample::{NOW, Still};
use crate::server::Server;

/// It tidies nothing up by itself: what its own `ANALYZE` reads meanwhile it keeps old versions of, in tables whose size
/// a test measures.
static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(None, &["autovacuum=off"]));
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty store in a database of its own.
pub async fn open_postgres() -> Arc<PostgresStore> {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    open(&url).await
}

/// As [`open_postgres`], where the engine undoes whatever could not have happened one after the other: as an engine
/// that is distributed does, and PostgreSQL if it is told to.
pub async fn open_serializable() -> Arc<PostgresStore> {
    let url = new_database().await;
    make_serializable(&url).await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    open(&url).await
}

/// Makes every transaction in the database serializable that does not say otherwise.
pub async fn make_serializable(url: &str) {
    let database = url.rsplit('/').next().unwrap();
    run(url, &format!("ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")).await;
}

/// Another process's view of the same database.
pub async fn open(url: &str) -> Arc<PostgresStore> {
    let options = PostgresOptions { connections_max: 8, ..PostgresOptions::new(Arc::new(Still(NOW))) };
    PostgresStore::open(url, options).await.unwrap()
}

/// The URL of a new, empty database.
pub async fn new_database() -> String {
    let server = tokio::task::spawn_blocking(|| &*SERVER).await.unwrap();
    let name = format!("test{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    assert!(server.program("createdb").arg(&name).status().unwrap().success());
    server.url(&name)
}

/// The one value that a query by somebody else gives.
pub async fn ask<T: tokio_postgres::types::FromSqlOwned>(url: &str, sql: &str) -> T {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let (_, row) = tokio::join!(connection, async move { client.query_one(sql, &[]).await });
    row.unwrap().get(0)
}

/// Runs one statement as somebody else.
pub async fn run(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let (_, done) = tokio::join!(connection, async move { client.batch_execute(sql).await });
    done.unwrap();
}
