//! `mintkeep dev --ephemeral`, and what it leaves behind.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::sandbox::BINARY;

/// Starts it with its folder in `temporary`. `hangup`: what SIGHUP is to it, whatever it is to us.
fn start(temporary: &Path, hangup: &str) -> Child {
    let any_port = "127.0.0.1:0";
    Command::new("env")
        .args([hangup, BINARY, "dev", "--ephemeral"])
        .args(["--issuer", any_port, "--keeper", any_port, "--admin", any_port])
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn wait_for_the_table(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.trim_start().starts_with("admin")).unwrap();
    // Whoever reads no further must not make its output fail.
    std::thread::spawn(move || lines.for_each(drop));
}

/// Ends it by a signal; it says that all is well, and leaves nothing behind in `folder`.
fn stop_cleanly(mut server: Child, by: &str, folder: &Path) {
    signal(&server, by);
    let status = server.wait().unwrap();
    assert_eq!((status.code(), left_in(folder)), (Some(0), 0), "{status}");
}

#[test]
fn nothing_is_left_behind_when_the_terminal_is_closed() {
    let temporary = tempfile::tempdir().unwrap();
    let mut server = start(temporary.path(), "--default-signal=HUP");
    wait_for_the_table(&mut server);
    assert_eq!(left_in(temporary.path()), 1);
    stop_cleanly(server, "-HUP", temporary.path());
}

#[test]
fn nothing_is_left_behind_when_it_is_stopped_while_it_starts() {
    let temporary = tempfile::tempdir().unwrap();
    let mut server = start(temporary.path(), "--default-signal=HUP");
    while left_in(temporary.path()) == 0 {
        assert!(server.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    stop_cleanly(server, "-INT", temporary.path());
}

#[test]
fn under_nohup_it_lives_on_when_the_terminal_is_closed() {
    let temporary = tempfile::tempdir().unwrap();
    let mut server = start(temporary.path(), "--ignore-signal=HUP");
    wait_for_the_table(&mut server);
    let told = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let ignored = told.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    assert_eq!(u64::from_str_radix(ignored.trim(), 16).unwrap() & 1, 1, "SIGHUP is ignored still");
    signal(&server, "-TERM");
    assert_eq!(server.wait().unwrap().code(), Some(0));
}
