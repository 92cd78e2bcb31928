//! What one replica did a moment ago, asked of another that has not heard of it yet.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mintkeep_keeper::reader::{ReadFailure, Reading};
use mintkeep_keeper::reporter::Action;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::credential::TokenSource;
use mintkeep_protocol::keep::plan::{Denial, Reported};
use mintkeep_protocol::keep::slot::Trouble;

use crate::gate::Mischief;
use crate::world::{World, by, name, new_credential};

#[tokio::test(start_paused = true)]
async fn what_one_replica_got_for_a_code_can_be_read_at_another_at_once() {
    let world = World::new(1, 2).await;
    let code = world.platform.issue_code("c2");
    let arrived = world.platform.arrived("mini");
    let customer = world.exchange(0, "mini", &code).await.unwrap();
    let token = world.read(0, "mini", Some("c2")).await;
    assert!(token.is_some());
    assert_eq!(world.read(1, "mini", Some("c2")).await, token);
    assert_eq!(world.exchange(1, "mini", &code).await, Ok(customer), "asked again, at the other");
    assert_eq!(world.read(1, "mini", Some("nobody")).await, None);
    assert_eq!(world.platform.arrived("mini"), arrived + 1, "the platform is asked once");
}

#[tokio::test(start_paused = true)]
async fn customers_who_are_heard_of_before_their_credential_are_renewed_all_the_same() {
    let world = World::new(1, 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let keeper = &world.processes[0].keeper;
    keeper.add_credential(new_credential("late", TokenSource::MiniProgram), &by()).await.unwrap();
    let customer = world.exchange(0, "late", &world.platform.issue_code("c2")).await.unwrap();
    // So that the credential is the later of the two changes.
    keeper.move_credential(&name("late"), "https://moved.example", &by()).await.unwrap();
    assert!(world.processes[1].keeper.account(&name("late")).is_none(), "nothing was heard of so far");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let leaf = world.processes[1].keeper.leaf(&world.account(1, "late"), Some(&customer));
    assert!(leaf.is_some_and(|leaf| leaf.kept.is_some()));
}

#[tokio::test(start_paused = true)]
async fn that_a_customer_is_unknown_is_not_said_on_a_guess() {
    let world = World::new(1, 2).await;
    let (account, customer) = (world.account(1, "mini"), CustomerId::parse("c2").unwrap());
    let consumer = &world.consumer.name;
    let reading = Reading { customer: Some(&customer), min_ttl: Duration::ZERO, consumer };
    let read = async || world.processes[1].keeper.read(&account, &reading).await.err();
    assert_eq!(read().await, Some(ReadFailure::NoSuchSlot));
    world.store.mischief.send_replace(Mischief { store_fails: 1_000, ..Mischief::default() });
    let told = read().await;
    assert!(
        matches!(told, Some(ReadFailure::Unavailable(Denial { because: Trouble::Store, retry_at: Some(_) }))),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_one_replica_commits_after_a_later_change_is_heard_of_by_another_all_the_same() {
    let world = World::new(1, 2).await;
    let knows = |credential| world.processes[1].keeper.account(&name(credential)).is_some();
    let add = async |credential| {
        let new = new_credential(credential, TokenSource::DingTalk);
        world.processes[0].keeper.add_credential(new, &by()).await.unwrap();
    };
    world.store.hold_back(&name("slow"));
    add("slow").await;
    add("quick").await;
    until("the later one is known", || knows("quick")).await;
    assert!(!knows("slow"), "nobody was told of it");
    world.store.uncommitted.lock().unwrap().take();
    until("the earlier one is known", || knows("slow")).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_served_before_it_is_stored_is_not_taken_back_by_a_step_of_its_own_renewal() {
    // Longer than it takes to hear of a change.
    const HELD_UP: Duration = Duration::from_secs(15);
    let mut world = World::new(1, 2).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    // Another one would take the lease over meanwhile.
    world.processes[1].gate.shut();
    let (keeper, account) = (Arc::clone(&world.processes[0].keeper), world.account(0, "ding"));
    let version = || keeper.leaf(&account, None).unwrap().kept.as_ref().unwrap().version;
    let hold_up = |method| *world.store.holds_up.lock().unwrap() = Some((method, HELD_UP));
    let before = version();
    world.platform.revoke_all();
    hold_up("keep_answer");
    let (renewing, whose) = (Arc::clone(&keeper), Arc::clone(&account));
    let renewed = async move { drop(renewing.refresh(&whose, None).await) };
    let watched = async {
        until("it is served", || version() > before).await;
        let served = version();
        hold_up("commit_kept");
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(version(), served);
        }
    };
    tokio::join!(renewed, watched);
    assert_eq!(*world.store.holds_up.lock().unwrap(), None, "both were held up");
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_one_took_without_being_told_is_not_waited_for_by_itself() {
    let world = World::new(1, 2).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "stable"));
    *world.store.loses_answer_of.lock().unwrap() = Some("take_lease");
    assert!(keeper.refresh(&account, None).await.is_err());
    let began = tokio::time::Instant::now();
    assert!(keeper.refresh(&account, None).await.is_ok());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_report_to_one_replica_that_another_has_just_taken_in_asks_the_platform_no_more() {
    let world = World::new(1, 2).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let arrived = world.platform.arrived("stable");
    let reported = async |which: usize| {
        let (keeper, account) = (&world.processes[which].keeper, world.account(which, "stable"));
        let version = keeper.leaf(&account, None).unwrap().kept.as_ref().unwrap().version;
        keeper.report(&account, None, Reported::Version(version), &world.consumer).await.map(|told| told.0)
    };
    assert_eq!(reported(0).await, Ok(Action::StillGood));
    assert_eq!(reported(1).await, Ok(Action::StillGood));
    assert_eq!(world.platform.arrived("stable"), arrived + 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_anothers_exchange_has_its_end_as_soon_as_there_is_one() {
    let world = World::new(1, 2).await;
    let code = world.platform.issue_code("c2");
    let (one, other) = tokio::join!(world.exchange(0, "mini", &code), world.exchange(1, "mini", &code));
    assert!(one.is_ok() && one == other, "{one:?} {other:?}");
}

async fn until(case: &str, holds: impl Fn() -> bool) {
    let seen = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(1), seen).await.is_ok(), "{case}");
}

#[tokio::test(start_paused = true)]
async fn whoever_deletes_what_others_delete_just_then_finds_it_done() {
    let world = World::new(1, 2).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.store.mischief.send_replace(Mischief { store_stalls: 500, ..Mischief::default() });
    let (customer, by, ding) = (CustomerId::parse("c1").unwrap(), by(), name("ding"));
    let times = 0..20;

    let forget = async |time: usize| {
        let keeper = &world.processes[time % 2].keeper;
        keeper.forget(&world.account(time % 2, "mini"), &customer, (&world.consumer.name, &by)).await
    };
    for forgotten in join_all(times.clone().map(forget)).await {
        assert!(forgotten.is_ok(), "{forgotten:?}");
    }
    let remove = async |time: usize| world.processes[time % 2].keeper.remove_credential(&ding, &by).await;
    for removed in join_all(times.clone().map(remove)).await {
        assert!(removed.is_ok(), "{removed:?}");
    }
    let revoke =
        async |time: usize| world.processes[time % 2].keeper.revoke_consumer(&world.consumer.name, &by).await;
    for revoked in join_all(times.map(revoke)).await {
        assert!(revoked.is_ok(), "{revoked:?}");
    }

    for process in &world.processes {
        let account = process.keeper.account(&name("mini")).unwrap();
        assert!(process.keeper.leaf(&account, Some(&customer)).unwrap().kept.is_none(), "it is forgotten");
        assert!(process.keeper.account(&ding).is_none() && process.keeper.consumers().is_empty());
    }
}
