//! How many files the process may have open, each connection being one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::server::{configuration, connect, exchange, folder};

const FILES_MAX: usize = 128;

/// A server under a limit of the shell's.
struct Limited {
    child: Child,
    log: Option<BufReader<ChildStderr>>,
    issuer: SocketAddr,
    _folder: TempDir,
}

impl Limited {
    /// Starts one after `ulimit` with this flag, and waits until it is ready.
    fn start(flag: &str) -> Self {
        let folder = folder(&configuration("", "[drain]\nnotice_s = 0"));
        let serve = format!("ulimit {flag} -n {FILES_MAX}; exec \"$0\" serve --config mintkeep.toml");
        let mut shell = Command::new("sh");
        shell.args(["-c", &serve, env!("CARGO_BIN_EXE_mintkeep")]).current_dir(folder.path());
        let mut child = shell.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = log.by_ref().lines().map(Result::unwrap);
        let issuer = lines
            .find_map(|line| {
                let line: Value = serde_json::from_str(&line).unwrap();
                (line["listener"] == "issuer").then(|| line["address"].as_str().unwrap().parse().unwrap())
            })
            .unwrap();
        assert!(lines.any(|line| line.contains("\"ready\"")));
        Self { child, log: Some(log), issuer, _folder: folder }
    }

    /// As many connections as there may be files, and a few more than fit beside the server's own.
    fn fill(&self) -> Vec<TcpStream> {
        (0..FILES_MAX).map(|_| connect(self.issuer)).collect()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // It has ended already, if the test ended it.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

const LAST_REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[test]
fn that_there_are_no_files_left_to_open_is_said_once() {
    let mut server = Limited::start("");
    let mut log = server.log.take().unwrap().lines().map(Result::unwrap);
    let held = server.fill();
    let is_it = |line: &String| line.contains("can't accept; raise the hard limit of open files");
    assert!(log.any(|line| is_it(&line)));
    // It tries again ten times a second, and this one waits to be let in.
    let mut last = connect(server.issuer);
    last.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    last.read(&mut [0]).unwrap_err();
    drop(held);
    let answer = exchange(connect(server.issuer), LAST_REQUEST);
    assert!(answer.starts_with("HTTP/1.1 404"), "it goes on: {answer}");
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let again: Vec<_> = log.filter(is_it).collect();
    assert!(again.is_empty(), "{again:#?}");
}

/// The limit that a program begins with is for those that can't count further; the one that it may have is higher.
#[test]
fn a_server_takes_all_the_files_that_it_may_have() {
    let server = Limited::start("-S");
    let mut held = server.fill();
    for stream in &mut held {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer, while all are held");
        assert_eq!(&answer, b"HTTP/1.1 404");
    }
}
