//! A database is restored from a backup.

use std::collections::HashSet;
use std::process::Output;

use crate::calls::{Shop, ask, new_code, state};
use crate::process::{folder, mintkeep};
use crate::server::Server;
use crate::site::{Replica, configuration, migrate, new_database_on};

fn mark_restored(url: &str) -> Output {
    let folder = folder(&configuration(url, 20));
    let file = folder.path().join("mintkeep.toml");
    mintkeep(&["store", "mark-restored", "--config", file.to_str().unwrap()]).output().unwrap()
}

#[test]
fn a_restored_database_knows_what_was_before_its_backup_and_hands_out_nothing_a_second_time() {
    let server = Server::start(None, &[]);
    let (url, restored) = (new_database_on(&server), new_database_on(&server));
    assert!(migrate(&url).starts_with("schema 0 became schema "));
    assert!(migrate(&url).contains("up to date"));
    let replica = Replica::start(&url);
    let shop = Shop::open(&replica);
    let code = new_code(&replica);
    let unspent = new_code(&replica);
    let before = ask(&replica, &shop.exchange(&code, 0)).text("/refreshToken");

    let (from, to) = (url.rsplit('/').next().unwrap(), restored.rsplit('/').next().unwrap());
    let dump = tempfile::tempdir().unwrap();
    let file = dump.path().join("backup.dump");
    let dumped =
        server.program("pg_dump").args(["-Fc", "-f"]).arg(&file).args(["-d", from]).status().unwrap();
    assert!(dumped.success());
    let mut after = HashSet::new();
    let mut refresh = before.clone();
    for tag in 1..4 {
        let answer = ask(&replica, &shop.refresh(&refresh, tag));
        refresh = answer.text("/refreshToken");
        after.extend([answer.text("/accessToken"), refresh.clone()]);
    }
    let lost = ask(&replica, &shop.exchange(&unspent, 0));
    after.extend([lost.text("/accessToken"), lost.text("/refreshToken")]);

    let refused = mark_restored(&url);
    assert_eq!(refused.status.code(), Some(1), "a server works on it: {refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop all of them first"), "{refused:?}");
    replica.stop();

    assert!(server.program("pg_restore").args(["-d", to]).arg(&file).status().unwrap().success());
    let marked = mark_restored(&restored);
    assert!(marked.status.success(), "{marked:?}");
    let replica = Replica::start(&restored);
    for token in &after {
        assert_ne!(state(&replica, token), "good", "it was handed out after the backup");
    }
    assert_eq!(state(&replica, &code), "used");
    let again = ask(&replica, &shop.exchange(&unspent, 9));
    assert_ne!(again.text("/result/resultCode"), "SUCCESS", "it was spent after the backup");
    let mut refresh = before;
    for tag in 11..15 {
        let answer = ask(&replica, &shop.refresh(&refresh, tag));
        assert_eq!(answer.text("/result/resultCode"), "SUCCESS");
        refresh = answer.text("/refreshToken");
        assert!(
            !after.contains(&refresh) && !after.contains(&answer.text("/accessToken")),
            "handed out twice"
        );
    }
    replica.stop();
}
