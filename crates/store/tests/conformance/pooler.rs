//! A pooler between the store and the server, as Debian has it.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore};
use mintkeep_store::{DatabaseError, PostgresOptions, PostgresStore};
use tempfile::TempDir;

use crate::cluster::{ask, new_database};
use crate::sample::{NOW, Still, app, audit};

const MISSING: &str = "PgBouncer is missing: apt-get install pgbouncer";

/// Started as the user `postgres` if we are root, which it refuses to run as.
const RUN: &str = r#"
PATH=$PATH:/usr/sbin
command -v pgbouncer >/dev/null || exit 9
if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=postgres --regid=postgres --clear-groups -- pgbouncer -q "$1"; fi
exec pgbouncer -q "$1"
"#;

/// A pooler, until it is dropped.
struct Pooler {
    process: Child,
    _folder: TempDir,
    /// The database's, by way of the pooler.
    url: String,
}

impl Pooler {
    /// Puts a pooler before the database at `url`, and waits until it lets us in.
    async fn before(url: &str, mode: &str) -> Self {
        let port = crate::port::free();
        let (address, database) = url.rsplit_once('/').unwrap();
        let server_port = address.rsplit(':').next().unwrap();
        let folder = tempfile::Builder::new().permissions(open_to_all()).tempdir().unwrap();
        let file = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{database} = host=127.0.0.1 port={server_port} user=mintkeep\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", RUN, "sh"]).arg(&file).stdin(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let url = format!("postgres://mintkeep@127.0.0.1:{port}/{database}");
        let is_up = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                assert_ne!(process.try_wait().unwrap().and_then(|ended| ended.code()), Some(9), "{MISSING}");
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), is_up).await.expect("PgBouncer did not start");
        Self { process, _folder: folder, url }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn open_to_all() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}

async fn opened(url: &str) -> Result<Arc<PostgresStore>, DatabaseError> {
    PostgresStore::open(url, PostgresOptions::new(Arc::new(Still(NOW)))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_gives_sessions_to_others_is_refused_and_one_that_does_not_is_worked_through() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let shared = Pooler::before(&url, "transaction").await;
    for round in 0..3 {
        let refusal = opened(&shared.url).await.map(|_| ()).unwrap_err();
        assert!(matches!(refusal, DatabaseError::SessionShared), "{round}: {refusal}");
        assert!(refusal.to_string().contains("pool_mode to session"), "{refusal}");
    }
    let ours = Pooler::before(&url, "session").await;
    PostgresStore::migrate(&ours.url, &mut |_| {}).await.unwrap();
    let store = opened(&ours.url).await.unwrap();
    assert_eq!(store.put_app(app(1, "wx1"), audit("app")).await.unwrap(), Commit::Done);
    assert_eq!(store.app(&app(1, "wx1").id).await.unwrap().unwrap().revision, 1);
    let listens = "SELECT EXISTS (SELECT FROM pg_stat_activity \
         WHERE datname = current_database() AND query = 'LISTEN mintkeep')";
    let heard = async { while !ask::<bool>(&url, listens).await {} };
    tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
}
