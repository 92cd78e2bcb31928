//! A PostgreSQL of our own: made once for the whole run in a temporary folder, gone when the run ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mintkeep_store::{PostgresOptions, PostgresStore};
use tokio::sync::OnceCell;

use crate::sample::{NOW, Still};

const MISSING: &str = "PostgreSQL is missing: apt-get install postgresql";

/// Starts the server as the user `postgres` if we are root, which it refuses to run as; ends it and deletes
/// its folder when its input ends, as it does when the test run ends, however that happens.
const RUN: &str = r#"
set -eu
bin=$1 folder=$2 port=$3
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; else "$@"; fi; }
if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
cd "$folder"
as "$bin/initdb" -D "$folder/data" -U mintkeep -A trust -E UTF8 --no-sync >"$folder/initdb.log" 2>&1
as "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c max_connections=300 >"$folder/server.log" 2>&1 </dev/null &
cat >/dev/null
kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")" || true
wait || true
rm -rf "$folder"
"#;

static PORT: OnceCell<u16> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty store in a database of its own.
pub async fn open_postgres() -> Arc<PostgresStore> {
    let url = new_database().await;
    PostgresStore::migrate(&url).await.unwrap();
    open(&url).await
}

/// Another process's view of the same database.
pub async fn open(url: &str) -> Arc<PostgresStore> {
    let options = PostgresOptions { connections_max: 8, ..PostgresOptions::new(Arc::new(Still(NOW))) };
    PostgresStore::open(url, options).await.unwrap()
}

/// The URL of a new, empty database.
pub async fn new_database() -> String {
    let port = *PORT.get_or_init(start).await;
    let name = format!("test{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    run(&url(port, "postgres"), &format!("CREATE DATABASE {name}")).await;
    url(port, &name)
}

/// Runs one statement as somebody else.
pub async fn run(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let (_, done) = tokio::join!(connection, async move { client.batch_execute(sql).await });
    done.unwrap();
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://mintkeep@127.0.0.1:{port}/{database}")
}

async fn start() -> u16 {
    let bin = newest_server();
    let folder = tempfile::tempdir().unwrap().keep();
    // Nobody else takes the port between here and the server's start, unless by bad luck.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut shell = Command::new("sh");
    shell.args(["-c", RUN, "sh"]).arg(&bin).arg(&folder).arg(port.to_string());
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = shell.spawn().unwrap();
    // The pipe to it stays open until this process ends.
    std::mem::forget(server);
    wait_until_it_answers(port, &folder).await;
    port
}

/// Debian keeps each version's programs in a folder of its own.
fn newest_server() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect(MISSING);
    let bins = versions.map(|version| version.unwrap().path().join("bin"));
    bins.filter(|bin| bin.join("postgres").exists()).max().expect(MISSING)
}

async fn wait_until_it_answers(port: u16, folder: &Path) {
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..600 {
        pause.tick().await;
        if tokio_postgres::connect(&url(port, "postgres"), tokio_postgres::NoTls).await.is_ok() {
            return;
        }
    }
    let log = ["initdb.log", "server.log"].map(|name| std::fs::read_to_string(folder.join(name)));
    panic!("PostgreSQL did not start: {log:?}");
}
