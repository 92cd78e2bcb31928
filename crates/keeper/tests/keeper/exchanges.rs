//! Codes: a store that does not say what it did, and somebody who presents another's.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_keeper::events::What;
use mintkeep_keeper::exchanger::ExchangeFailure;
use mintkeep_protocol::ident::{ConsumerName, CustomerId};
use mintkeep_protocol::keep::slot::Trouble;
use mintkeep_protocol::secret::AuthCode;

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_code_whose_intent_was_stored_is_presented_though_the_store_did_not_say_so() {
    let world = World::new(1, 1).await;
    let code = world.platform.issue_code("c2");
    let arrived = world.platform.arrived("mini");
    *world.store.loses_answer_of.lock().unwrap() = Some("present_code");
    assert_eq!(bought(&world, &code).await, Ok("c2".to_owned()));
    assert_eq!(*world.store.loses_answer_of.lock().unwrap(), None, "it was lost");
    assert_eq!(world.platform.arrived("mini"), arrived + 1);
}

#[tokio::test(start_paused = true)]
async fn an_intent_whose_commit_is_held_up_leaves_nothing_in_doubt() {
    // Within the lease, and longer than it.
    for held_up in [Duration::from_secs(7), Duration::from_secs(30)] {
        for keepers in [1, 2] {
            let world = World::new(1, keepers).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
            let hold_up = |method| *world.store.holds_up.lock().unwrap() = Some((method, held_up));
            let calls = || (u64::from(world.store.debited("hk")), world.platform.arrived("hk"));
            assert_eq!(calls(), (1, 1));

            hold_up("present_code");
            let code = world.platform.issue_code("c2");
            drop(world.exchange(0, "hk", &code).await);
            tokio::time::sleep(Duration::from_mins(1)).await;
            let bought = world.exchange(0, "hk", &code).await.map(|customer| customer.as_str().to_owned());
            assert_eq!(bought, Ok("c2".to_owned()), "{held_up:?}, {keepers} keepers");
            assert_eq!(calls(), (2, 2), "{held_up:?}, {keepers} keepers");

            hold_up("present");
            let (keeper, account) = (&world.processes[0].keeper, world.account(0, "hk"));
            let customer = CustomerId::parse("c2").unwrap();
            let version = || keeper.leaf(&account, Some(&customer)).unwrap().kept.as_ref().unwrap().version;
            let before = version();
            drop(keeper.refresh(&account, Some(&customer)).await);
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(*world.store.holds_up.lock().unwrap(), None);
            assert!(version() > before, "{held_up:?}, {keepers} keepers");
            assert_eq!(calls(), (3, 3), "{held_up:?}, {keepers} keepers");
        }
    }
}

/// A code of `c2` whose exchange was put off while the platform was down. It is up again.
async fn put_off(world: &World) -> String {
    world.platform.is_down.send_replace(true);
    let mut code = world.platform.issue_code("c2");
    // Of some requests the platform's trouble leaves unsure whether they arrived: those are another story.
    while bought(world, &code).await != Err("Later(NotSent)".to_owned()) {
        code = world.platform.issue_code("c2");
    }
    world.platform.is_down.send_replace(false);
    code
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_put_off_is_carried_on_for_nobody_but_who_began_it() {
    let world = World::new(1, 1).await;
    let code = put_off(&world).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    let arrived = world.platform.arrived("mini");

    let (keeper, account) = (Arc::clone(&world.processes[0].keeper), world.account(0, "mini"));
    let other = ConsumerName::parse("other").unwrap();
    let refused = keeper.exchange(&account, AuthCode::new(code.clone()), &other).await;
    assert_eq!(refused.err(), Some(ExchangeFailure::NotYours));
    assert_eq!(world.platform.arrived("mini"), arrived, "nothing was presented for it");
    assert_eq!(bought(&world, &code).await, Ok("c2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_was_put_off_can_be_tried_again_as_soon_as_its_caller_was_told_to() {
    let mut was_put_off = 0;
    for seed in 0..8 {
        let world = World::new(seed, 1).await;
        let code = world.platform.issue_code("c2");
        world.platform.is_down.send_replace(true);
        let at_first = bought(&world, &code).await;
        world.platform.is_down.send_replace(false);
        // Of some requests the platform's trouble leaves unsure whether they arrived: those are another story.
        if at_first != Err("Later(NotSent)".to_owned()) {
            continue;
        }
        was_put_off += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(bought(&world, &code).await, Ok("c2".to_owned()), "seed {seed}");
    }
    assert!(was_put_off > 0);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_was_put_off_is_exchanged_and_remembered_a_day_later() {
    let world = World::new(1, 1).await;
    let code = put_off(&world).await;
    tokio::time::sleep(Duration::from_hours(25)).await;
    assert_eq!(bought(&world, &code).await, Ok("c2".to_owned()));

    assert_eq!(bought(&world, &world.platform.issue_code("c3")).await, Ok("c3".to_owned()));
    let arrived = world.platform.arrived("mini");
    assert_eq!(bought(&world, &code).await, Ok("c2".to_owned()));
    assert_eq!(world.platform.arrived("mini"), arrived, "the platform is not asked again");
}

#[tokio::test(start_paused = true)]
async fn a_code_is_repeated_for_as_long_as_the_platform_takes_it_and_longer_than_a_lease() {
    for keepers in [1, 2] {
        let world = World::new(1, keepers).await;
        let (code, debited) = (world.platform.issue_code("c2"), world.store.debited("mini"));
        world.platform.is_silent.send_replace(true);
        let talk = async {
            tokio::time::sleep(Duration::from_secs(16)).await;
            world.platform.is_silent.send_replace(false);
            tokio::time::sleep(Duration::from_secs(14)).await;
        };
        let (at_first, ()) = tokio::join!(bought(&world, &code), talk);
        assert_eq!(at_first, Err("Later(Ambiguous)".to_owned()), "nobody waits for so long");
        assert_eq!(bought(&world, &code).await, Ok("c2".to_owned()), "{keepers} keepers");
        assert_eq!(world.store.debited("mini"), debited.saturating_add(3), "what was sent, and no more");
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_overtaken_takes_nothing_back_of_what_a_code_bought_meanwhile() {
    let mut world = World::new(1, 2).await;
    let code = world.platform.issue_code("c2");
    let arrived = world.platform.arrived("mini");
    // It hears that its intent is durable when its lease is over, so it has presented nothing.
    *world.store.answers_late.lock().unwrap() = Some(("present_code", Duration::from_secs(45)));
    assert_eq!(bought(&world, &code).await, Err("Later(Ambiguous)".to_owned()));
    drop(world.exchange(1, "mini", &code).await);
    tokio::time::sleep(Duration::from_secs(25)).await;
    for _ in 0..2 {
        assert_eq!(world.exchange(1, "mini", &code).await, Ok(CustomerId::parse("c2").unwrap()));
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    assert_eq!(world.platform.arrived("mini"), arrived + 1);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_refused_when_it_is_repeated_is_in_doubt_and_not_presented_again() {
    let world = World::new(1, 1).await;
    let arrived = world.platform.arrived("mini");
    world.platform.is_silent.send_replace(true);
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "mini"));
    let exchange = || keeper.exchange(&account, AuthCode::new("nonsense".to_owned()), &world.consumer.name);
    drop(tokio::time::timeout(Duration::from_secs(1), exchange()).await);
    world.platform.is_silent.send_replace(false);
    tokio::time::sleep(Duration::from_mins(2)).await;
    let code = Some("INVALID_CODE".to_owned());
    let because = Trouble::InDoubt;
    assert_eq!(exchange().await.err(), Some(ExchangeFailure::Ended { because, code }));
    assert_eq!(world.platform.arrived("mini"), arrived + 1);
}

#[tokio::test(start_paused = true)]
async fn watchers_are_told_of_a_code_and_of_a_refresh_whose_answer_is_lost_for_good() {
    let world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "hk"));
    let mut events = keeper.watch();
    world.platform.is_silent.send_replace(true);
    drop(world.exchange(0, "hk", &world.platform.issue_code("c2")).await);
    let customer = CustomerId::parse("c1").unwrap();
    drop(keeper.refresh(&account, Some(&customer)).await);
    let what = What::ReauthorizationNeeded { because: Trouble::InDoubt };
    for whose in [None, Some(customer)] {
        let event = events.try_recv().unwrap();
        assert_eq!((event.credential.as_str(), event.customer, event.what), ("hk", whose, what));
    }
}

/// Whose tokens the world's consumer gets for a code.
async fn bought(world: &World, code: &str) -> Result<String, String> {
    world.exchange(0, "mini", code).await.map(|customer| customer.as_str().to_owned())
}
