//! PostgreSQL servers of our own: each in a temporary folder on a free port, gone when the test run ends,
//! however it ends. Used by the tests of the store and by those of the whole binary.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const MISSING: &str = "PostgreSQL is missing: apt-get install postgresql";

/// Makes a cluster, or a standby of the server on port `$4`, and starts it as the user `postgres` if we are
/// root, which it refuses to run as. Ends it and deletes its folder when its input ends, as it does when the
/// test run ends.
const RUN: &str = r#"
set -eu
bin=$1 folder=$2 port=$3 primary=$4
shift 4
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; else "$@"; fi; }
if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
cd "$folder"
if [ "$primary" = 0 ]; then
    as "$bin/initdb" -D "$folder/data" -U mintkeep -A trust -E UTF8 --no-sync >"$folder/made.log" 2>&1
else
    as "$bin/pg_basebackup" -d "host=127.0.0.1 port=$primary user=mintkeep application_name=standby" \
        -D "$folder/data" -R -c fast --no-sync >"$folder/made.log" 2>&1
fi
as "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c max_connections=300 "$@" >"$folder/server.log" 2>&1 </dev/null &
until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do
    kill -0 $!
    sleep 0.05
done
echo ready
cat >/dev/null
for signal in QUIT CONT; do kill -$signal "$(head -n 1 "$folder/data/postmaster.pid")" || true; done
wait || true
rm -rf "$folder"
"#;

/// A server, from its start until it is dropped.
pub struct Server {
    /// On 127.0.0.1.
    pub port: u16,
    bin: PathBuf,
    /// Ends the server when it is dropped, for its input ends then.
    guard: Child,
}

impl Server {
    /// Makes a cluster, or a standby of `primary`, and starts it with `settings`, each as `name=value`.
    pub fn start(primary: Option<&Self>, settings: &[&str]) -> Self {
        let primary = primary.map_or(0, |primary| primary.port);
        let bin = newest_server();
        let folder = tempfile::tempdir().unwrap().keep();
        let port = crate::port::free();
        let mut shell = Command::new("sh");
        shell.args(["-c", RUN, "sh"]).arg(&bin).arg(&folder).arg(port.to_string()).arg(primary.to_string());
        for setting in settings {
            shell.args(["-c", setting]);
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = shell.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let log = ["made.log", "server.log"].map(|name| std::fs::read_to_string(folder.join(name)));
        assert_eq!(said, "ready\n", "PostgreSQL did not start: {log:?}");
        Self { port, bin, guard }
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://mintkeep@127.0.0.1:{}/{database}", self.port)
    }

    /// One of PostgreSQL's programs, told which server to ask.
    pub fn program(&self, name: &str) -> Command {
        let mut program = Command::new(self.bin.join(name));
        program
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "mintkeep"])
            .stdin(Stdio::null());
        program
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ended = self.guard.wait();
    }
}

/// Debian keeps each version's programs in a folder of its own.
fn newest_server() -> PathBuf {
    let versions = std::fs::read_dir(Path::new("/usr/lib/postgresql")).expect(MISSING);
    let bins = versions.map(|version| version.unwrap().path().join("bin"));
    bins.filter(|bin| bin.join("postgres").exists()).max().expect(MISSING)
}
