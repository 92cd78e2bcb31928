//! `kill -9`, and answers that are lost: a customer's one-time refresh token survives both.

use std::thread::scope;

use mintkeep_protocol::port::entropy::{SystemEntropy, draw};
use serde_json::json;

use crate::keeper::{Keeper, fault, refresh};
use crate::patience::until;
use crate::sandbox::{Folder, is_active};

/// How often the keeper is killed during a renewal.
const KILLS: usize = 8;

fn store(folder: &tempfile::TempDir) -> String {
    format!("path = \"{}\"", folder.path().join("keeper").display())
}

#[test]
fn a_keeper_killed_at_any_moment_of_a_renewal_goes_on_and_serves_with_the_platform_gone() {
    let (folder, records) = (Folder::new(), tempfile::tempdir().unwrap());
    let platform = folder.start();
    let mut keeper = Keeper::start(&store(&records));
    let key = keeper.furnish(&platform, &folder);
    keeper.authorize(&platform, &key);
    for round in 0..KILLS {
        // Every other time the answer is on its way when the process ends.
        if round % 2 == 1 {
            fault(
                &platform,
                &folder,
                &json!({"dialect": "miniprogram", "action": "delay", "delay_ms": 300, "count": 1}),
            );
        }
        let reads = u16::from_be_bytes(draw(&SystemEntropy)) % 256;
        scope(|scope| {
            let admin = keeper.admin;
            // Its answer is lost, or not.
            let renewing = scope.spawn(move || refresh(admin));
            for _ in 0..reads {
                keeper.token(&key);
            }
            keeper.process.signal("KILL");
            drop(renewing.join().unwrap());
        });
        keeper.kill();
        keeper = Keeper::start(&store(&records));
        let token = keeper.token(&key);
        assert!(is_active(&mut platform.client(), &token), "round {round}: {reads} reads before the end");
        // If what was presented had been lost, or presented by another request, this could never be.
        until("a renewal after the restart", || (keeper.refresh().status == 200).then_some(()));
    }

    let token = keeper.token(&key);
    keeper.kill();
    platform.kill();
    let keeper = Keeper::start(&store(&records));
    assert_eq!(keeper.token(&key), token, "with the platform gone");
}

#[test]
fn a_one_time_refresh_whose_answer_is_dropped_is_repeated_byte_by_byte_and_ends_in_a_good_token() {
    let (folder, records) = (Folder::new(), tempfile::tempdir().unwrap());
    let platform = folder.start();
    let keeper = Keeper::start(&store(&records));
    let key = keeper.furnish(&platform, &folder);
    keeper.authorize(&platform, &key);
    let before = keeper.token(&key);
    fault(&platform, &folder, &json!({"dialect": "miniprogram", "action": "drop_after", "count": 2}));
    assert_ne!(keeper.refresh().status, 200, "its answer is lost");
    assert_eq!(keeper.token(&key), before, "served meanwhile");

    let after = until("the repetition", || Some(keeper.token(&key)).filter(|token| *token != before));
    assert!(keeper.metric("mintkeep_keeper_stale_serves_total{credential=\"mini\"}") >= 1.0);
    // The platform takes a spent refresh token from the identical request alone.
    let story = keeper.story();
    let outcomes: Vec<_> = (0..3).map(|line| story["history"][line]["ending"].clone()).collect();
    assert_eq!(outcomes[0]["outcome"], "renewed", "{story}");
    assert_eq!(
        (&outcomes[1]["outcome"], &outcomes[1]["trouble"]),
        (&json!("failed"), &json!("ambiguous")),
        "{story}"
    );
    assert!(is_active(&mut platform.client(), &after));
    assert_eq!(keeper.refresh().status, 200, "the refresh token that came is good");
    let left = "mintkeep_keeper_seconds_to_expiry{credential=\"mini\"}";
    assert!(until("the next count", || Some(keeper.metric(left)).filter(|left| *left > 0.0)) > 600.0);
}
