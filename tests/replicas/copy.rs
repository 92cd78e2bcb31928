//! An installation on one machine moves into a database.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::Value;

use crate::calls::{Shop, ask, new_code, state, wechat_app, wechat_token};
use crate::process::{folder, mintkeep};
use crate::site::{Replica, configuration, new_database};

fn copy(from: &str, to: &str) -> Output {
    let from = format!("sqlite:{from}");
    mintkeep(&["store", "copy", "--from", &from, "--to", to, "--json"]).output().unwrap()
}

#[test]
fn servers_on_a_copy_know_every_token_and_hand_out_none_a_second_time() {
    let url = new_database();
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let embedded =
        configuration(&url, 20).replace(&format!("url = \"{url}\""), &format!("path = \"{path}\""));
    let server = Replica::start_configured(&embedded);
    let shop = Shop::open(&server);
    let refresh = ask(&server, &shop.exchange(&new_code(&server), 0)).text("/refreshToken");
    let secret = wechat_app(&server, "wx1");
    let token = ask(&server, &wechat_token("wx1", &secret)).text("/access_token");

    let refused = copy(path, &url);
    assert_eq!(refused.status.code(), Some(1), "its server runs: {refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another Mintkeep uses"), "{refused:?}");
    server.stop();
    let reference = folder("");
    let file = reference.path().join("database.url");
    std::fs::write(&file, &url).unwrap();
    let to = format!("file:{}", file.display());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
    let copied = copy(path, &to);
    assert!(copied.status.success(), "{copied:?}");
    let told = String::from_utf8_lossy(&copied.stderr).into_owned();
    let open = format!(
        "warning: {0} can be read by every user of this machine; run chmod 600 {0}\n",
        file.display()
    );
    assert!(told.starts_with(&open), "{told}");
    assert!(
        told.contains("\ngrant_record: 1\n")
            && told.ends_with("\ncomparing every record\n")
            && !told.contains('\r'),
        "a line a table where it is no terminal: {told}"
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let again = copy(path, &to);
    assert!(!String::from_utf8_lossy(&again.stderr).contains("warning"), "{again:?}");
    let told: Value = serde_json::from_slice(&copied.stdout).unwrap();
    let tables = told.pointer("/tables").and_then(Value::as_array).unwrap();
    assert!(tables.iter().all(|table| table["is_same"] == true), "{told}");
    assert!(
        tables.iter().any(|table| table["table"] == "grant_record" && table["source"]["rows"] == 1),
        "{told}"
    );

    let before = Replica::start_configured(&embedded);
    let later = ask(&before, &wechat_token("wx1", &secret)).text("/access_token");
    before.stop();
    let replica = Replica::start(&url);
    assert_eq!(state(&replica, &token), "good");
    assert_eq!(state(&replica, &refresh), "good");
    let next = ask(&replica, &wechat_token("wx1", &secret)).text("/access_token");
    assert!(next != later && next != token, "handed out twice");
    let renewed = ask(&replica, &shop.refresh(&refresh, 1));
    assert_eq!(renewed.text("/result/resultCode"), "SUCCESS", "{renewed:?}");
    replica.stop();
}

#[test]
fn what_can_not_be_copied_is_told_by_the_exit_code() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let cases = [
        ("a password on the command line", "postgres://m:planted-secret@127.0.0.1/m", 2),
        ("no database", "mysql://127.0.0.1/m", 2),
        ("a variable that is not set", "env:MINTKEEP_NOT_SET", 2),
        ("no store in the folder", "postgres://m@127.0.0.1/m", 1),
    ];
    for (case, to, code) in cases {
        let ran = copy(path, to);
        assert_eq!(ran.status.code(), Some(code), "{case}: {ran:?}");
        assert!(!String::from_utf8_lossy(&ran.stderr).contains("planted-secret"), "{case}: {ran:?}");
    }
    let folder =
        mintkeep(&["store", "copy", "--from", path, "--to", "postgres://m@127.0.0.1/m"]).output().unwrap();
    assert_eq!(folder.status.code(), Some(2), "a folder without sqlite: {folder:?}");
}
