//! A database, and the replicas that share it.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::client::{Answer, Client, get, post};
use crate::process::{Server as Process, folder, mintkeep};
use crate::server::Server;

/// As the folder of every process has it.
const ADMIN: &str = "authorization: Bearer planted-admin-token-planted-admin-token\r\n";

/// For all tests that leave their server alone.
static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(None, &[]));
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// How long a request may take unless a test says otherwise: longer than any does.
const DEADLINE_S: u64 = 20;

/// A configuration of both roles over the database at `url`.
pub fn configuration(url: &str, deadline_s: u64) -> String {
    format!(
        "[issuer]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://tokens.example.com\"\n\
         [keeper]\nlisten = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"file:admin.token\"\n\
         [store]\nurl = \"{url}\"\n[master_key]\ncurrent = \"file:master.key\"\n\
         [log]\naccess = false\n[limits]\nrequest_deadline_s = {deadline_s}\nread_timeout_s = {read_s}\n[drain]\nnotice_s = 0\n",
        // Deadlines are kept to a quarter of it.
        read_s = deadline_s / 2,
    )
}

/// The URL of a new, empty database on the shared server.
pub fn new_database() -> String {
    new_database_on(&SERVER)
}

/// The URL of a new, empty database on `server`.
pub fn new_database_on(server: &Server) -> String {
    let name = format!("site{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    assert!(server.program("createdb").arg(&name).status().unwrap().success());
    server.url(&name)
}

/// Runs `mintkeep migrate`, which must succeed; gives what it said.
pub fn migrate(url: &str) -> String {
    let folder = folder(&configuration(url, DEADLINE_S));
    let file = folder.path().join("mintkeep.toml");
    let done = mintkeep(&["migrate", "--config", file.to_str().unwrap()]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// A running process.
pub struct Replica {
    pub process: Process,
    pub admin: SocketAddr,
    pub issuer: SocketAddr,
    pub keeper: SocketAddr,
}

impl Replica {
    /// Starts a process on the database at `url`, and waits until it is ready.
    pub fn start(url: &str) -> Self {
        Self::start_with(url, DEADLINE_S)
    }

    /// As [`Self::start`]; requests are answered after `deadline_s` at the latest.
    pub fn start_with(url: &str, deadline_s: u64) -> Self {
        Self::start_configured(&configuration(url, deadline_s))
    }

    /// Starts a process with this configuration.
    pub fn start_configured(text: &str) -> Self {
        Self::of(Process::start(text))
    }

    /// As [`Self::start`], its issuer and its admin listener at these addresses.
    pub fn start_at(url: &str, [issuer, admin]: [SocketAddr; 2]) -> Self {
        let text = configuration(url, DEADLINE_S);
        let text = text.replacen(
            "[issuer]\nlisten = \"127.0.0.1:0\"",
            &format!("[issuer]\nlisten = \"{issuer}\""),
            1,
        );
        let text =
            text.replacen("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{admin}\""), 1);
        Self::of(Process::start(&text))
    }

    /// Starts several at once: the first start on a new database is theirs together.
    pub fn start_all<const N: usize>(url: &str) -> [Self; N] {
        std::array::from_fn(|_| Process::start(&configuration(url, DEADLINE_S))).map(Self::of)
    }

    fn of(mut process: Process) -> Self {
        let [admin, issuer, keeper] = process.ready();
        Self { process, admin, issuer, keeper }
    }

    /// SIGTERM, and waits for the end, which must be a good one.
    pub fn stop(self) {
        self.process.signal("TERM");
        let (status, log) = self.process.end();
        assert!(status.success(), "{status}: {log:#?}");
        assert!(!log.iter().any(|line| line.contains("a panic")), "{log:#?}");
    }

    /// Reads from the admin API.
    pub fn admin_get(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{ADMIN}\r\n");
        Client::connect(self.admin).unwrap().send(&request).unwrap()
    }

    /// Posts to the admin API, which must agree.
    pub fn admin_post(&self, path: &str, body: &Value) -> Answer {
        let answer = Client::connect(self.admin).unwrap().send(&admin_post(path, body)).unwrap();
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer
    }

    /// What `/readyz` says.
    pub fn readiness(&self) -> Answer {
        Client::connect(self.admin).unwrap().send(&get("/readyz")).unwrap()
    }
}

/// A request to the admin API.
pub fn admin_post(path: &str, body: &Value) -> String {
    post(path, &format!("{ADMIN}content-type: application/json\r\n"), &body.to_string())
}
