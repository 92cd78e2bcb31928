//! A world: a store, platforms, and keepers that come and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mintkeep_keeper::admin::{By, NewConsumer, NewCredential, NewProof};
use mintkeep_keeper::reader::Reading;
use mintkeep_keeper::roster::Account;
use mintkeep_keeper::settings::KeeperSettings;
use mintkeep_keeper::{Keeper, KeeperParts};
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing, MasterKeys, RsaPrivateKey};
use mintkeep_protocol::ident::{AppId, ConsumerName, CredentialName, CustomerId};
use mintkeep_protocol::keep::consumer::{Consumer, CredentialScope, Verb};
use mintkeep_protocol::keep::credential::{CredentialSettings, TokenSource};
use mintkeep_protocol::secret::{AuthCode, ClientSecret};
use mintkeep_web::tasks::{StillRunning, Tasks};
use tokio::task::JoinHandle;

use crate::dice::{Dice, SimClock};
use crate::gate::Gate;
use crate::platform::{IDENTICAL_RETRY, KEY, Platform, PlatformDoor};
use crate::store::{ModelStore, StoreDoor};
use crate::story::Story;

/// Calls a day that `legacy` may make.
pub const LEGACY_DAILY_LIMIT: u32 = 40;
/// The credentials of every world, named as their apps are.
pub const CREDENTIALS: [(&str, TokenSource); 5] = [
    ("legacy", TokenSource::WeChatToken),
    ("stable", TokenSource::WeChatStable),
    ("ding", TokenSource::DingTalk),
    ("mini", TokenSource::MiniProgram),
    ("hk", TokenSource::AlipayHk),
];
/// The customers of the credentials that have some.
pub const CUSTOMERS: [&str; 1] = ["c1"];

pub struct World {
    pub dice: Arc<Dice>,
    pub clock: Arc<SimClock>,
    pub store: Arc<ModelStore>,
    pub platform: Arc<Platform>,
    pub ring: Arc<MasterKeys>,
    pub consumer: Consumer,
    pub consumer_key: String,
    pub processes: Vec<Process>,
    /// What goes on beside the steps.
    running: Vec<JoinHandle<()>>,
    tasks: Tasks,
}

/// One keeper's process.
#[derive(Clone)]
pub struct Process {
    pub keeper: Arc<Keeper>,
    pub gate: Arc<Gate>,
    tasks: Tasks,
    /// The versions that its readers were given.
    pub seen: Arc<std::sync::Mutex<HashMap<String, i64>>>,
}

pub fn by() -> By {
    By { actor: "test".to_owned(), address: None, request_id: String::new() }
}

pub fn name(text: &str) -> CredentialName {
    CredentialName::parse(text).unwrap()
}

/// A process that was started with the key of byte `first`. Its file has the next key by now, and that one as an older.
pub fn ring(first: u8) -> Arc<MasterKeys> {
    let key = |byte: u8| MasterKey::new(&[byte; 32]);
    let file = move || Ok(MasterKeyRing::new(key(first.wrapping_add(1)), vec![key(first)]));
    Arc::new(MasterKeys::followed(MasterKeyRing::new(key(first), vec![]), Box::new(file)))
}

impl World {
    /// A world with all credentials, customers who have authorized, and one consumer.
    pub async fn new(seed: u64, keepers: usize) -> Self {
        Self::telling(seed, keepers, &Arc::new(Story::begin())).await
    }

    /// The same, and what happens in it is told.
    pub async fn telling(seed: u64, keepers: usize, story: &Arc<Story>) -> Self {
        let dice = Arc::new(Dice::new(seed));
        let clock = Arc::new(SimClock::start());
        let ring = ring(7);
        let records = ModelStore::new(keepers > 1, Arc::clone(&ring), Arc::clone(story));
        let platform = Platform::new(Arc::clone(&clock), Arc::clone(&dice));
        let first = Process::start(&dice, &clock, (&records, &platform, &ring)).await;
        let made = first.keeper.create_consumer(new_consumer("shop"), &by()).await.unwrap();
        for (credential, source) in CREDENTIALS {
            first.keeper.add_credential(new_credential(credential, source), &by()).await.unwrap();
        }
        let mut world = Self {
            dice,
            clock,
            store: records,
            platform,
            ring,
            consumer: made.consumer,
            consumer_key: made.key.to_string(),
            processes: vec![first],
            running: Vec::new(),
            tasks: Tasks::single_threaded(),
        };
        for credential in ["mini", "hk"] {
            for customer in CUSTOMERS {
                let code = world.platform.issue_code(customer);
                world.exchange(0, credential, &code).await.unwrap();
            }
        }
        for _ in 1..keepers {
            let another = world.another().await;
            world.processes.push(another);
        }
        world
    }

    pub async fn another(&self) -> Process {
        Process::start(&self.dice, &self.clock, (&self.store, &self.platform, &self.ring)).await
    }

    /// Kills a process, if it is not dead already, and starts another in its place.
    pub async fn restart(&mut self, which: usize) {
        self.processes[which].gate.shut();
        // Behind its gate nothing can be done any more; what only waits for the next look at a clock ends.
        let _waiting_for_ever = self.processes[which].tasks.shutdown(Duration::ZERO).await;
        self.processes[which] = self.another().await;
    }

    /// Tells a process to stop, and waits for its end.
    pub async fn stop(&self, which: usize, patience: Duration) -> Result<(), StillRunning> {
        self.processes[which].tasks.shutdown(patience).await
    }

    pub fn account(&self, which: usize, credential: &str) -> Arc<Account> {
        self.processes[which].keeper.account(&name(credential)).unwrap()
    }

    pub async fn exchange(&self, which: usize, credential: &str, code: &str) -> Result<CustomerId, String> {
        let account = self.account(which, credential);
        let keeper = &self.processes[which].keeper;
        let code = AuthCode::new(code.to_owned());
        let exchanged = keeper.exchange(&account, code, &self.consumer.name).await;
        exchanged.map(|exchanged| exchanged.customer).map_err(|failure| format!("{failure:?}"))
    }

    /// The token that a reader is given.
    pub async fn read(&self, which: usize, credential: &str, customer: Option<&str>) -> Option<String> {
        let account = self.account(which, credential);
        let customer = customer.map(|customer| CustomerId::parse(customer).unwrap());
        let consumer = &self.consumer.name;
        let reading = Reading { customer: customer.as_ref(), min_ttl: Duration::ZERO, consumer };
        let leaf = self.processes[which].keeper.read(&account, &reading).await.ok()?;
        Some(leaf.kept.as_ref()?.access.expose().to_owned())
    }

    /// Has something go on beside the steps; its panic is one of the world's.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.running.push(self.tasks.spawn(future));
    }

    /// Looks whether a promise was broken so far.
    pub async fn check(&mut self) {
        for running in std::mem::take(&mut self.running) {
            // What waits for a dead process never ends.
            if running.is_finished() {
                running.await.unwrap();
            } else {
                self.running.push(running);
            }
        }
        let broken = [self.platform.broken(), self.store.seen.lock().unwrap().broken.clone()].concat();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

impl Process {
    pub async fn start(
        dice: &Arc<Dice>,
        clock: &Arc<SimClock>,
        (store, platform, ring): (&Arc<ModelStore>, &Arc<Platform>, &Arc<MasterKeys>),
    ) -> Self {
        loop {
            let process = Self::new(dice, clock, (store, platform, ring));
            if process.keeper.start().await.is_ok() {
                return process;
            }
            // A process whose store does not answer ends, and is started again.
            process.gate.shut();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// One that has not begun.
    pub fn new(
        dice: &Arc<Dice>,
        clock: &Arc<SimClock>,
        (store, platform, ring): (&Arc<ModelStore>, &Arc<Platform>, &Arc<MasterKeys>),
    ) -> Self {
        let gate = Gate::new(Arc::clone(dice), Arc::clone(&store.story));
        let tasks = Tasks::single_threaded();
        // What is done all the time is done less often here: it is most of what a world's hour costs.
        let settings = KeeperSettings {
            follow_every: Duration::from_secs(10),
            gauges_every: Duration::from_mins(2),
            ..KeeperSettings::default()
        };
        let keeper = Keeper::new(KeeperParts {
            store: Arc::new(StoreDoor { store: Arc::clone(store), gate: Arc::clone(&gate) }),
            upstream: Arc::new(PlatformDoor { platform: Arc::clone(platform), gate: Arc::clone(&gate) }),
            clock: clock.clone(),
            entropy: dice.clone(),
            master: Arc::clone(ring),
            tasks: tasks.clone(),
            settings,
        });
        Self { keeper, gate, tasks, seen: Arc::default() }
    }
}

pub fn new_consumer(text: &str) -> NewConsumer {
    NewConsumer {
        name: ConsumerName::parse(text).unwrap(),
        credentials: CredentialScope::All,
        verbs: Verb::ALL.to_vec(),
        margin_floor_s: 0,
        drop_in_keys: vec![],
    }
}

pub fn new_credential(credential: &str, source: TokenSource) -> NewCredential {
    let proof = if source.dialect().is_signed() {
        let private = RsaPrivateKey::from_der(KEY.to_der()).unwrap();
        let platform = AppKey { version: 1, public: KEY.public().clone() };
        NewProof::Key { private, version: 1, platform }
    } else {
        NewProof::Secret(ClientSecret::new(SECRET.to_owned()))
    };
    let identical_retry_s = u32::try_from(IDENTICAL_RETRY.as_secs()).unwrap();
    NewCredential {
        name: name(credential),
        source,
        app: AppId::parse(credential).unwrap(),
        base_url: format!("https://{credential}.example"),
        proof,
        settings: CredentialSettings {
            identical_retry_s: (credential == "mini").then_some(identical_retry_s),
            daily_limit: (credential == "legacy").then_some(LEGACY_DAILY_LIMIT),
            ..CredentialSettings::default()
        },
    }
}

/// Planted, so that a test can look for it where it must not be.
pub const SECRET: &str = "planted-app-secret-0123456789";
