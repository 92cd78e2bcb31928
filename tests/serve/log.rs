//! The log where things are bad: nobody reads it any more, or the same goes wrong again and again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::patience::until;
use crate::server::{configuration, connect, exchange, folder, mintkeep};

/// How much a pipe holds, in bytes.
const PIPE_BYTES: usize = 64 * 1024;

struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

#[test]
fn whoever_stops_reading_the_log_stops_neither_an_answer_nor_the_end() {
    let folder = folder(&configuration("", "[drain]\nnotice_s = 0"));
    let mut serve = mintkeep(&["serve", "--config"]);
    serve.arg(folder.path().join("mintkeep.toml")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = Unread(serve.spawn().unwrap());
    let mut log = BufReader::new(server.0.stderr.take().unwrap());
    let mut issuer: Option<SocketAddr> = None;
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["listener"] == "issuer" {
            issuer = line["address"].as_str().and_then(|address| address.parse().ok());
        }
        if line["message"] == "ready" {
            break;
        }
    }
    // From here on nobody reads. A request's line has more than a hundred bytes.
    let issuer = issuer.unwrap();
    let mut busy = connect(issuer);
    for _ in 0..2 * PIPE_BYTES / 100 {
        busy.write_all(b"GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = [0_u8; 4096];
        assert_ne!(busy.read(&mut answer).unwrap(), 0);
    }
    // Each of these is an event; there are more of them than threads.
    for _ in 0..2 + std::thread::available_parallelism().unwrap().get() {
        let request =
            "GET /authorize/granted?assertion=a.b.c HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = exchange(connect(issuer), request);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let pid = server.0.id().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    let ended = until("its end", || server.0.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    drop(log);
}
