//! `mintkeep backup` beside a running process, and what is started on its copy.

use std::fs;
use std::process::Command;

use super::sandbox::{Folder, WECHAT, is_active, wechat_token};

#[test]
fn a_backup_of_a_running_process_restores_what_was_and_never_what_came_after() {
    let (folder, other) = (Folder::new(), Folder::new());
    let server = folder.start();
    let before = server.ask(&wechat_token(WECHAT)).text("/access_token");
    // A relative name that SQLite would take for a URI.
    let at = folder.data().parent().unwrap().to_owned();
    let file = at.join("file:copy.db");
    let backup = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mintkeep"));
        let command = command.current_dir(&at).arg("backup").arg("--data").arg(folder.data());
        command.arg("--to").arg("file:copy.db").output().unwrap()
    };
    let made = backup();
    assert!(made.status.success(), "{made:?}");
    let again = backup();
    assert_eq!(again.status.code(), Some(1), "a backup is never replaced: {again:?}");
    let after: Vec<_> = (0..3).map(|_| server.ask(&wechat_token(WECHAT)).text("/access_token")).collect();
    server.stop();

    fs::create_dir_all(other.data()).unwrap();
    for name in ["master.key", "admin.token"] {
        fs::copy(folder.data().join(name), other.data().join(name)).unwrap();
    }
    fs::copy(&file, other.data().join("mintkeep.db")).unwrap();
    let restored = other.start();
    let mut client = restored.client();
    assert!(is_active(&mut client, &before), "it was handed out before the backup");
    for _ in 0..3 {
        let next = restored.ask(&wechat_token(WECHAT)).text("/access_token");
        assert!(!after.contains(&next), "handed out twice");
    }
    for token in &after {
        assert!(!is_active(&mut client, token), "it was handed out after the backup");
    }
    restored.stop();
}
