//! Keepers, platforms and faults under one seed: whatever happens, the promises hold.
//!
//! Watched on the way: one call at a time about each token (`platform`), nothing spent is presented
//! again but byte by byte where that is taken (`platform`), versions only grow (`store`), no read fails while
//! a good token is stored, N reports cost one call at most, calls stay in their budget. And in the end: no answer
//! that was kept is lost, and everything that can recover has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mintkeep_keeper::reader::{ReadFailure, Reading};
use mintkeep_keeper::roster::Account;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::plan::Reported;
use mintkeep_protocol::keep::slot::{SlotKey, TokenDigest, Upkeep};
use mintkeep_protocol::time::{Clock, Timestamp};

use crate::gate::Mischief;
use crate::store::ModelStore;
use crate::story::Story;
use crate::world::{CREDENTIALS, CUSTOMERS, LEGACY_DAILY_LIMIT, Process, World};

/// Runs one world per seed, as many at once as there are cores, and tells the story of the one that fails.
fn run_seeds(seeds: std::ops::Range<u64>, keepers: usize) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return;
            }
            if let Err(panic) = run_world(seed, keepers) {
                next.store(seeds.end, Ordering::Relaxed);
                std::panic::resume_unwind(panic);
            }
        }
    };
    let cores = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
}

fn run_world(seed: u64, keepers: usize) -> std::thread::Result<()> {
    let runtime = runtime();
    let story = begin(&runtime);
    let told = std::panic::AssertUnwindSafe(|| runtime.block_on(live(seed, keepers, &story)));
    std::panic::catch_unwind(told)
        .inspect_err(|_| eprintln!("{story}the simulation fails with seed {seed} and {keepers} keepers"))
}

/// A world's own runtime, with paused time.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn begin(runtime: &tokio::runtime::Runtime) -> Arc<Story> {
    let _time = runtime.enter();
    Arc::new(Story::begin())
}

#[test]
fn one_keeper_keeps_its_promises_whatever_fails() {
    run_seeds(0..SEEDS, 1);
}

#[test]
fn two_keepers_on_one_store_keep_their_promises_whatever_fails() {
    run_seeds(0..SEEDS, 2);
}

/// A seed that fails is worth something only if it fails again.
#[test]
fn the_same_seed_is_the_same_story_twice() {
    for seed in 0..8 {
        for keepers in [1, 2] {
            let [first, second] = [(); 2].map(|()| {
                let runtime = runtime();
                let story = begin(&runtime);
                runtime.block_on(live(seed, keepers, &story));
                story
            });
            assert!(first.len() > 200, "a story of {} events", first.len());
            assert_eq!(first.parting(&second), None, "seed {seed}, {keepers} keepers");
        }
    }
}

/// Worlds with one keeper, and as many with two.
const SEEDS: u64 = 1_000;
/// Half an hour to an hour of a world's time.
const STEPS: u64 = 30;

async fn live(seed: u64, keepers: usize, story: &Arc<Story>) {
    let mut world = World::telling(seed, keepers, story).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..STEPS {
        let which = usize::try_from(world.dice.below(u64::try_from(keepers).unwrap())).unwrap();
        if world.processes[which].gate.is_shut() {
            world.restart(which).await;
        }
        step(&mut world, which).await;
        tokio::time::sleep(world.dice.wait(Duration::from_mins(3))).await;
        world.check().await;
    }
    calm_down(&mut world).await;
    world.check().await;
    look_back(&world).await;
}

async fn step(world: &mut World, which: usize) {
    match world.dice.below(16) {
        0..=4 => read_all(world, which),
        5..=6 => report(world, which),
        7 => exchange(world, which),
        8 => world.processes[which].gate.light_fuse(world.dice.below(12).saturating_add(1)),
        9 => world.restart(which).await,
        10 => {
            let is_down = world.dice.happens(300);
            world.platform.is_down.send_replace(is_down);
        }
        11 => {
            let mischief = Mischief { upstream_fails: world.dice.below(500), ..Mischief::default() };
            world.platform.mischief.send_replace(mischief);
        }
        12 => {
            let store_fails = if world.dice.happens(500) { world.dice.below(300) } else { 0 };
            let store_stalls = if world.dice.happens(300) { 50 } else { 0 };
            world.store.mischief.send_replace(Mischief { store_fails, store_stalls, ..Mischief::default() });
        }
        13 => {
            // An hour ahead every customer's token is over at once, and each minute costs six renewals: rarely.
            let hours = [-3_600_000, -3_600_000, 0, 0, 0, 0, 0, 3_600_000];
            let hour = hours[usize::try_from(world.dice.below(8)).unwrap()];
            world.clock.set(hour);
            world.store.story.note(0, "the clock is set", "", hour);
            if world.dice.happens(500) {
                world.processes[which].keeper.clock_moved();
            }
        }
        14 => world.platform.revoke_all(),
        _ => tokio::time::sleep(Duration::from_mins(5)).await,
    }
}

/// The slots of a world: each credential with each of its customers.
fn slots() -> Vec<(&'static str, Option<&'static str>)> {
    let of = |(credential, source): (&'static str, mintkeep_protocol::keep::credential::TokenSource)| {
        if source.dialect().is_signed() {
            CUSTOMERS.map(|customer| (credential, Some(customer))).to_vec()
        } else {
            vec![(credential, None)]
        }
    };
    CREDENTIALS.into_iter().flat_map(of).collect()
}

/// Reads every slot at once, beside what else goes on.
fn read_all(world: &mut World, which: usize) {
    for (credential, customer) in slots() {
        let process = world.processes[which].clone();
        let (store, clock) = (Arc::clone(&world.store), Arc::clone(&world.clock));
        let account = world.account(which, credential);
        let consumer = world.consumer.name.clone();
        world.spawn(async move {
            let customer = customer.map(|customer| CustomerId::parse(customer).unwrap());
            let key = SlotKey { credential: account.credential.no, customer: customer.clone() };
            let known = if store.is_shared() {
                shelved_end(&process, &account, customer.as_ref())
            } else {
                stored_end(&store, &key)
            };
            let reading =
                Reading { customer: customer.as_ref(), min_ttl: Duration::ZERO, consumer: &consumer };
            let read = process.keeper.read(&account, &reading).await;
            match read {
                Ok(leaf) => note_version(&process, &key, leaf.kept.as_ref().unwrap().version.0),
                Err(ReadFailure::NoSuchSlot) => panic!("{key:?} is gone"),
                Err(ReadFailure::Unavailable(denial)) => {
                    let end = known.filter(|end| clock.now() < *end);
                    assert!(end.is_none(), "no read of {key:?} though one is good until {end:?}: {denial:?}");
                }
            }
        });
    }
}

/// The end of the token that is stored for a slot.
fn stored_end(store: &ModelStore, key: &SlotKey) -> Option<Timestamp> {
    store.slot(key)?.held.map(|held| held.expires_at)
}

/// The end of the token that a process has on its shelf: with others beside it, it may not know what is stored.
fn shelved_end(process: &Process, account: &Account, customer: Option<&CustomerId>) -> Option<Timestamp> {
    let leaf = process.keeper.leaf(account, customer)?;
    leaf.kept.as_ref().map(|kept| kept.expires_at)
}

fn note_version(process: &Process, key: &SlotKey, version: i64) {
    let mut seen = process.seen.lock().unwrap();
    let before = seen.entry(format!("{key:?}")).or_default();
    assert!(*before <= version, "{key:?} went back from {before} to {version}");
    *before = version;
}

/// Twenty consumers find the same token dead at once.
fn report(world: &mut World, which: usize) {
    let all = slots();
    let (credential, customer) =
        all[usize::try_from(world.dice.below(u64::try_from(all.len()).unwrap())).unwrap()];
    let process = world.processes[which].clone();
    let account = world.account(which, credential);
    let customer = customer.map(|customer| CustomerId::parse(customer).unwrap());
    let Some(leaf) = process.keeper.leaf(&account, customer.as_ref()) else { return };
    let Some(kept) = leaf.kept.clone() else { return };
    let reported = if world.dice.happens(500) {
        Reported::Version(kept.version)
    } else {
        Reported::Digest(TokenDigest::of(kept.access.expose()))
    };
    let (platform, consumer) = (Arc::clone(&world.platform), world.consumer.clone());
    let is_alone = world.processes.len() == 1 && !account.is_per_customer();
    let due = leaf.upkeep.due_at().is_some_and(|due| due.since(world.clock.now()) < Duration::from_mins(1));
    world.spawn(async move {
        let before = platform.arrived(credential);
        let reports =
            (0..20).map(|_| process.keeper.report(&account, customer.as_ref(), reported, &consumer));
        let done = futures_util::future::join_all(reports).await;
        let cost = platform.arrived(credential).saturating_sub(before);
        assert!(!is_alone || due || cost <= 1, "{credential}: 20 reports cost {cost} calls");
        let tokens = done.iter().flatten().map(|(_, leaf)| leaf.kept.as_ref().unwrap().version);
        assert!(tokens.clone().min() == tokens.max(), "{credential}: reporters were told different things");
    });
}

/// A customer authorizes anew, and an impatient caller sends the code several times.
fn exchange(world: &mut World, which: usize) {
    let credential = if world.dice.happens(500) { "mini" } else { "hk" };
    let [customer] = CUSTOMERS;
    let code = world.platform.issue_code(customer);
    let process = world.processes[which].clone();
    let account = world.account(which, credential);
    let consumer = world.consumer.name.clone();
    world.spawn(async move {
        for _ in 0..4 {
            let code = mintkeep_protocol::secret::AuthCode::new(code.clone());
            let attempts =
                [code.clone(), code].map(|code| process.keeper.exchange(&account, code, &consumer));
            for exchanged in futures_util::future::join_all(attempts).await.into_iter().flatten() {
                assert_eq!(exchanged.customer.as_str(), customer);
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });
}

/// No more faults, and long enough for everything to recover.
async fn calm_down(world: &mut World) {
    world.store.mischief.send_replace(Mischief::default());
    world.platform.mischief.send_replace(Mischief::default());
    world.platform.is_down.send_replace(false);
    world.clock.set(0);
    world.store.story.note(0, "everything calms down", "", 0);
    for which in 0..world.processes.len() {
        if world.processes[which].gate.is_shut() {
            world.restart(which).await;
        }
        world.processes[which].gate.light_fuse(0);
        world.processes[which].keeper.clock_moved();
    }
    tokio::time::sleep(Duration::from_mins(25)).await;
}

async fn look_back(world: &World) {
    for (credential, customer) in slots() {
        let account = world.account(0, credential);
        let id = customer.map(|customer| CustomerId::parse(customer).unwrap());
        let leaf = world.processes[0].keeper.leaf(&account, id.as_ref());
        let leaf = leaf.unwrap_or_else(|| panic!("{credential} {customer:?} is gone"));
        let waits_for_people = match leaf.upkeep {
            Upkeep::NeedsConsent { .. } => true,
            Upkeep::NeedsOperator { retry_at, .. } => retry_at.is_none(),
            Upkeep::Idle { .. } | Upkeep::Renewing { .. } | Upkeep::Backoff { .. } => false,
        };
        let is_one_time = customer.is_some();
        let is_read = world.read(0, credential, customer).await.is_some();
        let is_spent = credential == "legacy" && world.store.debited(credential) >= LEGACY_DAILY_LIMIT;
        let (debited, arrived) = (world.store.debited(credential), world.platform.arrived(credential));
        assert!(
            u64::from(debited) >= arrived,
            "{credential}: {arrived} calls arrived, {debited} were debited"
        );
        assert!(
            is_read || (is_one_time && waits_for_people) || is_spent,
            "{credential} {customer:?} has not recovered: {:?}",
            leaf.upkeep,
        );
    }
    let seen = world.store.seen.lock().unwrap();
    let is_lost = |(digest, _): &(&[u8; 16], &String)| !seen.committed.contains(*digest);
    let lost: Vec<_> = seen.answered.iter().filter(is_lost).map(|(_, what)| what).collect();
    assert!(lost.is_empty(), "answers that were kept and never used: {lost:?}");
    let legacy = world.platform.arrived("legacy");
    assert!(legacy <= u64::from(LEGACY_DAILY_LIMIT), "{legacy} calls of legacy");
}
