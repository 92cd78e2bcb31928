//! A server of a configuration of its own, and the few words of HTTP that the tests speak.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The certificates and keys that the tests of `crates/web` hold.
pub const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/web/tests/listener/certificates");

/// 256 zero bits, as `MasterKey` reads them.
const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub struct Server {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    folder: Arc<TempDir>,
}

/// A folder with `text` as `mintkeep.toml` and the files it refers to.
pub fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    put("mintkeep.toml", text);
    put("admin.token", "planted-admin-token-planted-admin-token");
    put("master.key", MASTER_KEY);
    fs::create_dir(folder.path().join("tls")).unwrap();
    for name in ["server.pem", "server.key"] {
        put(&format!("tls/{name}"), &fs::read_to_string(Path::new(TLS).join(name)).unwrap());
    }
    folder
}

/// A configuration on free ports, with `more` at its end and `issuer` in its issuer's section.
pub fn configuration(issuer: &str, more: &str) -> String {
    format!(
        "[issuer]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://tokens.example.com\"\n{issuer}\n\
         [keeper]\nlisten = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"file:admin.token\"\n\
         [store]\npath = \"data\"\n[master_key]\ncurrent = \"file:master.key\"\n{more}\n"
    )
}

pub fn mintkeep(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mintkeep"));
    command.args(arguments).env_remove("MINTKEEP_CONFIG").stdin(Stdio::null());
    command
}

impl Server {
    pub fn start(text: &str) -> Self {
        Self::start_in(&Arc::new(folder(text)))
    }

    /// Starts on the configuration in a folder of [`folder`].
    pub fn start_in(folder: &Arc<TempDir>) -> Self {
        let folder = Arc::clone(folder);
        let file = folder.path().join("mintkeep.toml");
        let mut child = mintkeep(&["serve", "--config", file.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, lines) = channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self { child, lines, seen: Vec::new(), folder }
    }

    /// The next line of the log that `wanted` says something of.
    pub fn line<T>(&mut self, wanted: impl Fn(&Value) -> Option<T>) -> T {
        loop {
            let seen = &self.seen;
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_end| panic!("only said {seen:#?}"));
            let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            self.seen.push(line);
            if let Some(found) = wanted(&value) {
                return found;
            }
        }
    }

    /// Waits until it is ready; gives the addresses of the admin listener, the issuer and the keeper.
    pub fn ready(&mut self) -> [SocketAddr; 3] {
        let addresses = ["admin", "issuer", "keeper"].map(|name| self.listening(name));
        self.line(|line| (line["message"] == "ready").then_some(()));
        addresses
    }

    /// Waits until a listener of this name is there.
    pub fn listening(&mut self, name: &str) -> SocketAddr {
        self.line(|line| {
            (line["message"] == "listening" && line["listener"] == name)
                .then(|| line["address"].as_str().unwrap().parse().unwrap())
        })
    }

    /// Writes over a file that the configuration refers to.
    pub fn put(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its end; gives how it ended and every line of its log.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        (self.child.wait().unwrap(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `request` and gives all that comes until the other side closes.
pub fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub fn get(address: SocketAddr, target: &str) -> String {
    exchange(connect(address), &format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
}
