//! A running `mintkeep dev`, and the ways to run verbs against it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

pub const BINARY: &str = env!("CARGO_BIN_EXE_mintkeep");

/// A running `mintkeep dev` on free ports.
pub struct Sandbox {
    server: Child,
    pub folder: tempfile::TempDir,
    pub admin_url: String,
    pub issuer_url: String,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ended = self.server.kill();
        let _reaped = self.server.wait();
    }
}

impl Sandbox {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let any_port = "127.0.0.1:0";
        let mut server = Command::new(BINARY)
            .arg("dev")
            .arg("--data")
            .arg(folder.path().join("data"))
            .args(["--issuer", any_port, "--keeper", any_port, "--admin", any_port])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut url = |name: &str| {
            let line = lines.find(|line| line.trim_start().starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        let (issuer_url, admin_url) = (url("issuer"), url("admin"));
        // Whoever reads no further must not make the server's output fail.
        std::thread::spawn(move || lines.for_each(drop));
        Self { server, folder, admin_url, issuer_url }
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = alone(args);
        command
            .current_dir(self.folder.path())
            .env("MINTKEEP_ADMIN_URL", &self.admin_url)
            .arg("--admin-token-file")
            .arg(self.data("admin.token"));
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(args, &self.command(args).output().unwrap())
    }

    /// The answer of a verb that must be done, as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(&[args, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
    }
}

/// The binary without a server, and with nothing of our own environment that it would heed.
pub fn alone(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).env_remove("MINTKEEP_ADMIN_URL").env_remove("MINTKEEP_ADMIN_TOKEN");
    command
}

#[derive(Debug)]
pub struct Ran {
    #[expect(dead_code, reason = "it is told when an assertion fails")]
    args: Vec<String>,
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(args: &[&str], output: &Output) -> Self {
        Self {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn alone(args: &[&str]) -> Self {
        Self::of(args, &alone(args).output().unwrap())
    }
}

/// What `GET path` of the issuer answers, by a bare socket.
pub fn issuer_says(sandbox: &Sandbox, path: &str) -> String {
    let address = sandbox.issuer_url.strip_prefix("http://").unwrap();
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
