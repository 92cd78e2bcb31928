//! Two keepers in two processes on one PostgreSQL.

use std::thread::scope;

use serde_json::{Value, json};

use crate::keeper::{Keeper, configuration, fault, refresh};
use crate::patience::until;
use crate::process::mintkeep;
use crate::sandbox::{ACTIVE, Folder, is_active};
use crate::server::Server;

fn migrate(section: &str) {
    let folder = crate::process::folder(&configuration(section));
    let file = folder.path().join("mintkeep.toml");
    let done = mintkeep(&["migrate", "--config", file.to_str().unwrap()]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_keeper_stopped_past_its_lease_commits_nothing_and_the_other_one_repeats_its_request() {
    let (folder, database) = (Folder::new(), Server::start(None, &[]));
    assert!(database.program("createdb").arg("keepers").status().unwrap().success());
    let section = format!("url = \"{}\"", database.url("keepers"));
    migrate(&section);
    let platform = folder.start();
    let (one, other) = (Keeper::start(&section), Keeper::start(&section));
    let key = one.furnish(&platform, &folder);
    one.authorize(&platform, &key);
    let before = until("the other to hear of it", || {
        let path = format!("/v1/tokens/mini/{ACTIVE}");
        let answer = other.ask(&key, ("GET", &path), &Value::Null);
        (answer.status == 200).then(|| answer.text("/access_token"))
    });

    fault(
        &platform,
        &folder,
        &json!({"dialect": "miniprogram", "action": "delay", "delay_ms": 7_000, "count": 1}),
    );
    let fresh = scope(|scope| {
        // It gets its answer long after, or none.
        let admin = one.admin;
        let held_up = scope.spawn(move || refresh(admin));
        until("the lease", || (other.story()["token"]["state"] == "renewing").then_some(()));
        one.process.signal("STOP");
        let fresh = until("the lease's end, and the repetition", || {
            assert!(!other.token(&key).is_empty(), "read while it lasts");
            (other.refresh().status == 200).then(|| other.token(&key))
        });
        one.process.signal("CONT");
        drop(held_up.join().unwrap());
        fresh
    });
    assert!(fresh != before && is_active(&mut platform.client(), &fresh));
    until("the first to follow", || (one.token(&key) == fresh).then_some(()));
    let story = other.story();
    let lines: Vec<_> =
        story["history"].as_array().unwrap().iter().map(|line| &line["ending"]["outcome"]).collect();
    assert_eq!(
        lines.iter().filter(|outcome| **outcome == "renewed").count(),
        2,
        "the exchange and one renewal: {story}"
    );
    assert_eq!(one.refresh().status, 200, "and the first renews again");
}
