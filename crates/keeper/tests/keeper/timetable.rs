//! What is looked at without anybody asking for it: every slot at its time, and an answer as soon as it is there.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_keeper::admin::NewProof;
use mintkeep_keeper::shelf::Leaf;
use mintkeep_protocol::crypto::{RsaPrivateKey, Sealed};
use mintkeep_protocol::dialect::answer::write_down;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::credential::TokenSource;
use mintkeep_protocol::keep::intent::{FrozenAnswer, RequestBytes};
use mintkeep_protocol::keep::plan::Reported;
use mintkeep_protocol::keep::renew::Resolution;
use mintkeep_protocol::keep::slot::{SlotKey, Trouble, Upkeep};
use mintkeep_protocol::port::keeper_store::{Commit, KeeperStore as _};
use mintkeep_protocol::secret::{AuthCode, ClientSecret};
use mintkeep_protocol::time::Clock as _;

use crate::platform::{LIFE, token_in};
use crate::store::StoreDoor;
use crate::world::{CREDENTIALS, CUSTOMERS, World, by, name, new_credential};

fn leaf(world: &World, which: usize, credential: &str, customer: Option<&str>) -> Arc<Leaf> {
    let customer = customer.map(|customer| CustomerId::parse(customer).unwrap());
    let account = world.account(which, credential);
    world.processes[which].keeper.leaf(&account, customer.as_ref()).unwrap()
}

/// Every slot of a world, and when its token was asked for.
fn asked_at(world: &World) -> Vec<(&'static str, i64)> {
    let asked = |(credential, source): (&'static str, TokenSource)| {
        let customer = source.dialect().is_signed().then_some(CUSTOMERS[0]);
        let kept = leaf(world, 0, credential, customer).kept.clone().unwrap();
        (credential, kept.obtained_at.unix_ms())
    };
    CREDENTIALS.map(asked).to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_looked_at_before_its_time_is_looked_at_again_at_its_time() {
    let world = World::new(1, 1).await;
    // The tokens are older than the step back, so their times still hold.
    tokio::time::sleep(Duration::from_mins(5)).await;
    let before = asked_at(&world);
    world.clock.set(-60_000);
    world.processes[0].keeper.clock_moved();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(asked_at(&world), before, "none was due");

    // Nobody reads: the timetable alone.
    tokio::time::sleep(LIFE * 2).await;
    for ((credential, after), (_, before)) in asked_at(&world).into_iter().zip(before) {
        assert!(after > before, "{credential} is not renewed any more");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_later_than_it_is_now_is_renewed_at_a_start() {
    let mut world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.clock.set(-3_600_000);
    world.restart(0).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    let now = world.clock.now().unix_ms();
    for (credential, asked_at) in asked_at(&world) {
        assert!(asked_at <= now, "{credential} is served by times of another clock");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_was_given_up_is_not_presented_at_a_start_whatever_the_clock_says() {
    let mut world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (account, customer) = (world.account(0, "hk"), CustomerId::parse(CUSTOMERS[0]).unwrap());
    let keeper = Arc::clone(&world.processes[0].keeper);
    // Of a platform that is down some requests are not sent, and some may have been.
    world.platform.is_down.send_replace(true);
    while !matches!(leaf(&world, 0, "hk", Some(CUSTOMERS[0])).upkeep, Upkeep::NeedsOperator { .. }) {
        assert!(keeper.refresh(&account, Some(&customer)).await.is_err());
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    world.platform.is_down.send_replace(false);
    keeper.resolve(&account, Some(&customer), (Resolution::AskConsent, &by())).await.unwrap();
    let arrived = world.platform.arrived("hk");
    world.clock.set(-3_600_000);
    world.restart(0).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(world.platform.arrived("hk"), arrived);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_changed_during_a_renewal_is_tried_as_soon_as_that_has_ended() {
    let world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "legacy"));
    let before = world.platform.arrived("legacy");
    let (proof, named, by) =
        (NewProof::Secret(ClientSecret::new("another".to_owned())), name("legacy"), by());
    let changed = keeper.change_proof(&named, &proof, &by);
    let (renewed, changed) = tokio::join!(keeper.refresh(&account, None), changed);
    assert!(renewed.is_ok() && changed.is_ok());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.platform.arrived("legacy"), before.saturating_add(2), "one with each");
}

#[tokio::test(start_paused = true)]
async fn customers_who_were_refused_for_a_wrong_key_are_renewed_as_soon_as_it_is_right() {
    let world = World::new(1, 1).await;
    world.exchange(0, "mini", &world.platform.issue_code("c2")).await.unwrap();
    world.platform.refuses.send_replace(Some("INVALID_SIGNATURE"));
    // Until their tokens have ended, and each of them waits for long.
    tokio::time::sleep(Duration::from_hours(3)).await;
    world.platform.refuses.send_replace(None);
    for customer in ["c1", "c2"] {
        assert_eq!(world.read(0, "mini", Some(customer)).await, None, "{customer}");
    }
    let proof = new_credential("mini", TokenSource::MiniProgram).proof;
    world.processes[0].keeper.change_proof(&name("mini"), &proof, &by()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    for customer in ["c1", "c2"] {
        assert!(world.read(0, "mini", Some(customer)).await.is_some(), "{customer}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_bears_an_unknown_key_is_read_as_soon_as_that_key_is_known() {
    let world = World::new(1, 1).await;
    let keeper = &world.processes[0].keeper;
    let right = new_credential("hk", TokenSource::AlipayHk).proof;
    let NewProof::Key { private, version, mut platform } = new_credential("hk", TokenSource::AlipayHk).proof
    else {
        panic!("a key");
    };
    platform.public = RsaPrivateKey::generate().unwrap().public().clone();
    let wrong = NewProof::Key { private, version, platform };
    keeper.change_proof(&name("hk"), &wrong, &by()).await.unwrap();

    let before = world.platform.arrived("hk");
    let (account, customer) = (world.account(0, "hk"), CustomerId::parse("c1").unwrap());
    drop(keeper.refresh(&account, Some(&customer)).await);
    let doubtful = leaf(&world, 0, "hk", Some("c1"));
    let is_in_doubt =
        matches!(doubtful.upkeep, Upkeep::NeedsOperator { because: Trouble::InDoubt, retry_at: Some(_), .. });
    assert!(is_in_doubt, "{:?}", doubtful.upkeep);

    keeper.change_proof(&name("hk"), &right, &by()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (old, new) = (doubtful.kept.as_ref().unwrap(), leaf(&world, 0, "hk", Some("c1")));
    assert!(old.version < new.kept.as_ref().unwrap().version, "{:?}", new.upkeep);
    assert_eq!(world.platform.arrived("hk"), before + 1, "the platform was asked once");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_still_wrong_is_not_tried_for_every_customer() {
    let world = World::new(1, 1).await;
    for customer in 0..32 {
        world.exchange(0, "mini", &world.platform.issue_code(&format!("d{customer}"))).await.unwrap();
    }
    world.platform.refuses.send_replace(Some("INVALID_SIGNATURE"));
    tokio::time::sleep(Duration::from_hours(3)).await;
    let before = world.store.debited("mini");
    let proof = new_credential("mini", TokenSource::MiniProgram).proof;
    world.processes[0].keeper.change_proof(&name("mini"), &proof, &by()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let tried = world.store.debited("mini").saturating_sub(before);
    assert!(tried < 16, "{tried}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_by_an_operator_is_by_force_although_a_new_secret_is_tried_at_the_same_time() {
    let world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "stable"));
    let leaked = leaf(&world, 0, "stable", None).kept.clone().unwrap().version;
    let report = keeper.report(&account, None, Reported::Version(leaked), &world.consumer);
    let operator = async {
        let proof = NewProof::Secret(ClientSecret::new("another".to_owned()));
        keeper.change_proof(&name("stable"), &proof, &by()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        keeper.refresh(&account, None).await
    };
    let (reported, refreshed) = tokio::join!(report, operator);
    assert!(reported.is_ok());
    let version = refreshed.unwrap().kept.clone().unwrap().version;
    assert!(version > leaked, "the leaked one is held still");
}

#[tokio::test(start_paused = true)]
async fn two_refreshes_at_once_cost_one_forced_call() {
    let world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "stable"));
    let before = world.platform.arrived("stable");
    let (first, second) = tokio::join!(keeper.refresh(&account, None), keeper.refresh(&account, None));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(world.platform.arrived("stable"), before.saturating_add(1));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_by_an_operator_brings_another_token_although_it_meets_a_renewal() {
    let world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "stable"));
    let leaked = leaf(&world, 0, "stable", None).kept.clone().unwrap().version;
    let report = keeper.report(&account, None, Reported::Version(leaked), &world.consumer);
    let (reported, refreshed) = tokio::join!(report, keeper.refresh(&account, None));
    assert!(reported.is_ok());
    let version = refreshed.unwrap().kept.clone().unwrap().version;
    assert!(version > leaked, "the leaked one is held still");
}

/// Has the first keeper die with a customer's refresh on its way, after so many doors of the store and the platform,
/// and waits. Whether no answer to it is kept.
async fn leaves_a_refresh_unanswered(world: &mut World, doors: u64, wait: Duration) -> bool {
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (dying, account) = (Arc::clone(&world.processes[0].keeper), world.account(0, "mini"));
    let customer = CustomerId::parse(CUSTOMERS[0]).unwrap();
    let key = SlotKey { credential: account.credential.no, customer: Some(customer.clone()) };
    world.processes[0].gate.light_fuse(doors);
    world.spawn(async move { drop(dying.refresh(&account, Some(&customer)).await) });
    tokio::time::sleep(wait).await;
    world.store.slot(&key).unwrap().intent.is_some_and(|intent| intent.answer.is_none())
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_a_dead_keeper_left_unanswered_is_repeated_while_the_platform_takes_it() {
    let (customer, mut was_unanswered) = (CUSTOMERS[0], 0);
    for seed in 0..32 {
        let mut world = World::new(seed, 1).await;
        was_unanswered +=
            u32::from(leaves_a_refresh_unanswered(&mut world, 3 + seed % 3, Duration::from_secs(5)).await);
        world.restart(0).await;
        // Nobody reads or asks: the timetable alone.
        tokio::time::sleep(Duration::from_mins(2)).await;
        let upkeep = leaf(&world, 0, "mini", Some(customer)).upkeep;
        assert!(matches!(upkeep, Upkeep::Idle { .. }), "seed {seed}: {upkeep:?}");
        world.check().await;
    }
    assert!(was_unanswered > 8, "{was_unanswered} were left unanswered");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_a_dead_keeper_left_is_repeated_in_time_after_its_database_or_itself_was_away() {
    const AWAY: Duration = Duration::from_secs(15);
    for restarts in [false, true] {
        let (customer, mut was_unanswered) = (CUSTOMERS[0], 0);
        for seed in 0..16 {
            let mut world = World::new(seed, 2).await;
            // Until the other one has heard of it.
            let heard = Duration::from_secs(10);
            was_unanswered += u32::from(leaves_a_refresh_unanswered(&mut world, 3 + seed % 3, heard).await);
            if restarts {
                world.processes[1].gate.shut();
                tokio::time::sleep(AWAY).await;
                world.restart(1).await;
            } else {
                tokio::time::sleep(Duration::from_secs(5)).await;
                world.store.mischief.send_modify(|mischief| mischief.store_fails = 1_000);
                tokio::time::sleep(AWAY).await;
                world.store.mischief.send_modify(|mischief| mischief.store_fails = 0);
            }
            // Nobody reads or asks: the timetable alone.
            tokio::time::sleep(Duration::from_mins(2)).await;
            let upkeep = leaf(&world, 1, "mini", Some(customer)).upkeep;
            assert!(matches!(upkeep, Upkeep::Idle { .. }), "restarts {restarts}, seed {seed}: {upkeep:?}");
            world.check().await;
        }
        assert!(was_unanswered > 4, "{was_unanswered} were left unanswered");
    }
}

/// The exchanges that were presented and are still open, and how many answers were kept and never used.
async fn left_open(world: &World) -> (usize, usize) {
    let store = StoreDoor { store: Arc::clone(&world.store), gate: Arc::clone(&world.processes[1].gate) };
    let open = store.open_exchanges(10).await.unwrap();
    let seen = world.store.seen.lock().unwrap();
    let unused = seen.answered.keys().filter(|digest| !seen.committed.contains(*digest)).count();
    (open.len(), unused)
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_a_dead_keeper_left_is_settled_by_another_that_nobody_asks() {
    let (mut was_open, mut was_unused) = (0, 0);
    for doors in 1..=8 {
        let mut world = World::new(doors, 2).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (code, account) = (world.platform.issue_code(CUSTOMERS[0]), world.account(0, "mini"));
        let (dying, consumer) = (Arc::clone(&world.processes[0].keeper), world.consumer.name.clone());
        world.processes[0].gate.light_fuse(doors);
        world.spawn(async move { drop(dying.exchange(&account, AuthCode::new(code), &consumer).await) });
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (open, unused) = left_open(&world).await;
        (was_open, was_unused) = (was_open + open, was_unused + unused);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(left_open(&world).await, (0, 0), "it died at door {doors}");
        world.check().await;
    }
    assert!(was_open > 1 && was_unused > 0, "{was_open} open, {was_unused} answers unread");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_its_renewal_was_given_up_is_read_at_once() {
    let (customer, world) = (CUSTOMERS[0], World::new(1, 2).await);
    let account = world.account(0, "hk");
    let key =
        SlotKey { credential: account.credential.no, customer: Some(CustomerId::parse(customer).unwrap()) };
    let store = StoreDoor { store: Arc::clone(&world.store), gate: Arc::clone(&world.processes[0].gate) };
    let needs_operator =
        || matches!(leaf(&world, 0, "hk", Some(customer)).upkeep, Upkeep::NeedsOperator { .. });

    // Of a platform that is down some requests are not sent, and some may have been.
    world.platform.is_down.send_replace(true);
    while !needs_operator() {
        let renewed = world.processes[0].keeper.refresh(&account, key.customer.as_ref()).await;
        assert!(renewed.is_err());
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    world.platform.is_down.send_replace(false);
    let before = leaf(&world, 0, "hk", Some(customer)).kept.clone().unwrap().version;

    // The answer was held up with a process that has lost its lease, and is kept all the same.
    let intent = store.slot(&key).await.unwrap().unwrap().intent.unwrap();
    let request = RequestBytes::thaw(&world.ring.open(&key.place(), &intent.request).unwrap()).unwrap();
    let answer = world.platform.answer_late(&request);
    let sealed: Sealed<FrozenAnswer> = world.ring.seal(&key.place(), &write_down(&answer)).unwrap();
    assert_eq!(store.keep_answer(&key, intent.fence, sealed).await.unwrap(), Commit::Done);
    tokio::time::sleep(Duration::from_mins(1)).await;
    for which in [0, 1] {
        let kept = leaf(&world, which, "hk", Some(customer)).kept.clone().unwrap();
        assert!(kept.version > before, "keeper {which} serves the token before");
        assert_eq!(Some(kept.access.expose().to_owned()), token_in(&answer), "keeper {which}");
    }
}

#[tokio::test(start_paused = true)]
async fn readers_of_a_token_that_is_due_leave_a_store_that_fails_alone_between_two_tries() {
    const READS: usize = 1_000;
    let world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.store.mischief.send_modify(|mischief| mischief.store_fails = 1_000);
    tokio::time::sleep(LIFE * 4 / 5).await;
    let before = world.store.story.len();
    for _ in 0..READS {
        assert!(world.read(0, "legacy", None).await.is_some());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let told = world.store.story.len() - before;
    assert!(told < READS / 10, "{told} times in a second");

    // Once it answers again, the timetable needs no reader.
    let held = asked_at(&world);
    world.store.mischief.send_modify(|mischief| mischief.store_fails = 0);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(asked_at(&world)[0].1 > held[0].1, "it is renewed");
}
