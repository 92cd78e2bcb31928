//! The model of a store behind each process's door; here it is also watched that the keeper keeps its promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use mintkeep_protocol::crypto::{MasterKeys, Sealed};
use mintkeep_protocol::dialect::answer::read_back;
use mintkeep_protocol::ident::{CredentialName, RecordId};
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::intent::FrozenAnswer;
use mintkeep_protocol::keep::slot::{LeaseFence, Slot, SlotKey, TokenDigest};
use mintkeep_protocol::port::keeper_store::{
    Change, ChangeMark, Commit, Ended, KeeperStore, Presented, QuotaAccount, QuotaDebit, StoreError, Stored,
};
use mintkeep_protocol::record::AuditEntry;
use mintkeep_protocol::time::Timestamp;
use mintkeep_store::MemoryStore;
use mintkeep_web::tasks::Tasks;
use tokio::sync::watch;

use crate::gate::{Fate, Gate, Mischief};
use crate::platform::token_in;
use crate::story::Story;

/// What was seen at the doors.
#[derive(Default)]
pub struct Seen {
    /// Which process took which lease last.
    leases: BTreeMap<SlotKey, (LeaseFence, u64)>,
    exchanges: BTreeSet<ExchangeKey>,
    accounts: BTreeSet<QuotaAccount>,
    /// Tokens in answers that were kept, with their place, and all tokens that were ever committed.
    pub answered: BTreeMap<[u8; 16], String>,
    pub committed: BTreeSet<[u8; 16]>,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

/// What is durable: it outlives every process.
pub struct ModelStore {
    model: MemoryStore,
    pub seen: Mutex<Seen>,
    pub mischief: watch::Sender<Mischief>,
    /// The method whose next call is done, and its answer lost.
    pub loses_answer_of: Mutex<Option<&'static str>>,
    /// The method whose next call is done at once, and answered only after so long.
    pub answers_late: Mutex<Option<(&'static str, Duration)>>,
    /// The method whose next call fails, and is done all the same after so long: its commit waits for a standby.
    pub holds_up: Mutex<Option<(&'static str, Duration)>>,
    /// Held by a commit that waits: nobody sees it, and whoever changes the same record waits as well.
    record: Arc<tokio::sync::Mutex<()>>,
    tasks: Tasks,
    /// A credential that somebody is about to commit, and the mark before its own: until then nobody is given it.
    pub uncommitted: Mutex<Option<(ChangeMark, CredentialName)>>,
    pub story: Arc<Story>,
    /// Opens answers, to watch what becomes of them.
    ring: Arc<MasterKeys>,
}

impl ModelStore {
    pub fn new(is_shared: bool, ring: Arc<MasterKeys>, story: Arc<Story>) -> Arc<Self> {
        Arc::new(Self {
            model: if is_shared { MemoryStore::shared() } else { MemoryStore::new() },
            seen: Mutex::default(),
            mischief: watch::Sender::new(Mischief::default()),
            loses_answer_of: Mutex::default(),
            answers_late: Mutex::default(),
            holds_up: Mutex::default(),
            record: Arc::default(),
            tasks: Tasks::single_threaded(),
            uncommitted: Mutex::default(),
            story,
            ring,
        })
    }

    /// Whether other processes use it.
    pub fn is_shared(&self) -> bool {
        self.model.is_shared()
    }

    /// A slot as it is stored.
    pub fn slot(&self, key: &SlotKey) -> Option<Slot> {
        at_once(self.model.slot(key))
    }

    /// All slots as they are stored.
    pub fn slots(&self) -> Vec<Slot> {
        at_once(self.model.slots(None, None, u32::MAX))
    }

    /// Stores a slot, past all doors.
    pub fn put(&self, slot: &Slot) {
        assert_eq!(at_once(self.model.take_lease(slot)), Commit::Done);
    }

    /// Has the credential that is put next look like one whose transaction is still under way.
    pub fn hold_back(&self, credential: &CredentialName) {
        *self.uncommitted.lock().unwrap() = Some((at_once(self.model.change_mark()), credential.clone()));
    }

    /// How many calls were debited to an app.
    pub fn debited(&self, app: &str) -> u32 {
        let accounts = self.seen.lock().unwrap().accounts.clone();
        let its_own = accounts.iter().filter(|account| account.app.as_str() == app);
        its_own.map(|account| at_once(self.model.calls(account))).sum()
    }

    /// Everything, as text.
    pub fn dump(&self) -> String {
        let exchanges = self.seen.lock().unwrap().exchanges.clone();
        let exchanges: Vec<_> = exchanges.iter().map(|key| at_once(self.model.exchange(key))).collect();
        [
            serde_json::to_string(&at_once(self.model.credentials(None, u32::MAX))),
            serde_json::to_string(&at_once(self.model.consumers())),
            serde_json::to_string(&self.slots()),
            serde_json::to_string(&exchanges),
        ]
        .map(Result::unwrap)
        .concat()
    }

    fn note_answer(&self, place: &str, answer: &Sealed<FrozenAnswer>) {
        // Sealed under another master key than the world began with: nothing to be seen.
        let Ok(raw) = self.ring.open(place, answer) else { return };
        if let Some(token) = token_in(&read_back(&raw).unwrap()) {
            let what = format!("{token} at {place}");
            self.seen.lock().unwrap().answered.insert(TokenDigest::of(&token).0, what);
        }
    }
}

impl Seen {
    /// Versions only grow.
    fn note_slot(&mut self, before: Option<&Slot>, after: &Slot) {
        if let Some(held) = &after.held {
            let before = before.and_then(|before| before.held.as_ref()).map(|held| held.version);
            if Some(held.version) < before {
                self.broken.push(format!("a version went back from {before:?} to {:?}", held.version));
            }
            self.committed.insert(held.digest.0);
        }
        self.committed.extend(after.past.iter().map(|past| past.digest.0));
    }
}

/// What the model says. It never waits, and never fails.
fn at_once<T>(asked: impl Future<Output = Stored<T>>) -> T {
    asked.now_or_never().unwrap().unwrap()
}

/// One process's door to the store.
pub struct StoreDoor {
    pub store: Arc<ModelStore>,
    pub gate: Arc<Gate>,
}

impl StoreDoor {
    async fn through<T: Send>(
        &self,
        what: &'static str,
        asked: impl Future<Output = Stored<T>> + Send,
    ) -> Stored<T> {
        self.gate.alive().await;
        let mischief = *self.store.mischief.borrow();
        let failed = || StoreError { room: "model", cause: "played".to_owned() };
        let is_lost = self.store.loses_answer_of.lock().unwrap().take_if(|lost| *lost == what).is_some();
        let fate = if is_lost { Fate::FailAfter } else { self.gate.fate(mischief) };
        self.note(what, fate.name());
        match fate {
            Fate::FailBefore => return Err(failed()),
            Fate::DieBefore => self.gate.die().await,
            Fate::Fine | Fate::FailAfter | Fate::DieAfter => {}
        }
        let done = at_once(asked);
        match fate {
            Fate::FailAfter => return Err(failed()),
            Fate::DieAfter => self.gate.die().await,
            Fate::Fine | Fate::FailBefore | Fate::DieBefore => {}
        }
        let late = self.store.answers_late.lock().unwrap().take_if(|(late, _)| *late == what);
        let stall = late.map_or_else(|| self.gate.stall(mischief), |(_, wait)| wait);
        if !stall.is_zero() {
            tokio::time::sleep(stall).await;
        }
        self.gate.alive().await;
        Ok(done)
    }

    /// Fails if the commit of this change is held up; waits for one that is.
    async fn unless_held_up<T: Send>(
        &self,
        what: &'static str,
        change: impl Future<Output = Stored<T>> + Send + 'static,
    ) -> Stored<()> {
        let record = Arc::clone(&self.store.record).lock_owned().await;
        let held_up = self.store.holds_up.lock().unwrap().take_if(|(held_up, _)| *held_up == what);
        let Some((_, wait)) = held_up else { return Ok(()) };
        self.note(what, "is held up");
        drop(self.store.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            drop(change.await);
            drop(record);
        }));
        Err(StoreError { room: "model", cause: "held up".to_owned() })
    }

    /// A change of a slot, and what it left.
    async fn changed<T>(&self, key: &SlotKey, change: impl Future<Output = Stored<T>>) -> Stored<T> {
        let before = self.store.slot(key);
        let done = change.await?;
        if let Some(after) = self.store.slot(key) {
            self.store.seen.lock().unwrap().note_slot(before.as_ref(), &after);
        }
        Ok(done)
    }

    /// An answer that is to be kept, noted if it was.
    async fn kept(
        &self,
        place: &str,
        answer: &Sealed<FrozenAnswer>,
        keeping: impl Future<Output = Stored<Commit>>,
    ) -> Stored<Commit> {
        let kept = keeping.await?;
        if kept == Commit::Done {
            self.store.note_answer(place, answer);
        }
        Ok(kept)
    }

    fn note(&self, what: &'static str, how: &'static str) {
        let ChangeMark(changes) = at_once(self.store.model.change_mark());
        self.gate.story.note(self.gate.who, what, how, changes);
    }

    fn note_account(&self, debit: Option<&QuotaDebit>) {
        let account = debit.map(|debit| debit.account.clone());
        self.store.seen.lock().unwrap().accounts.extend(account);
    }
}

#[async_trait]
impl KeeperStore for StoreDoor {
    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn credentials(&self, after: Option<RecordId>, most: u32) -> Stored<Vec<Credential>> {
        self.through("credentials", self.store.model.credentials(after, most)).await
    }

    async fn put_credential(&self, credential: Credential, audit: AuditEntry) -> Stored<Commit> {
        self.through("put_credential", self.store.model.put_credential(credential, audit)).await
    }

    async fn remove_credential(&self, credential: Credential, audit: AuditEntry) -> Stored<Commit> {
        self.through("remove_credential", self.store.model.remove_credential(credential, audit)).await
    }

    async fn consumers(&self) -> Stored<Vec<Consumer>> {
        self.through("consumers", self.store.model.consumers()).await
    }

    async fn put_consumer(&self, consumer: Consumer, audit: AuditEntry) -> Stored<Commit> {
        self.through("put_consumer", self.store.model.put_consumer(consumer, audit)).await
    }

    async fn slot(&self, key: &SlotKey) -> Stored<Option<Slot>> {
        self.through("slot", self.store.model.slot(key)).await
    }

    async fn slots(&self, of: Option<RecordId>, after: Option<&SlotKey>, most: u32) -> Stored<Vec<Slot>> {
        self.through("slots", self.store.model.slots(of, after, most)).await
    }

    async fn take_lease(&self, leased: &Slot) -> Stored<Commit> {
        let taking = async {
            let taken = self.changed(&leased.key, self.store.model.take_lease(leased)).await?;
            if taken == Commit::Done {
                let holder = (leased.fence, self.gate.who);
                self.store.seen.lock().unwrap().leases.insert(leased.key.clone(), holder);
            }
            Ok(taken)
        };
        self.through("take_lease", taking).await
    }

    async fn present(&self, slot: &Slot, debit: Option<QuotaDebit>) -> Stored<Presented> {
        self.note_account(debit.as_ref());
        let (store, late) = (Arc::clone(&self.store), (slot.clone(), debit.clone()));
        self.unless_held_up("present", async move { store.model.present(&late.0, late.1).await }).await?;
        self.through("present", self.changed(&slot.key, self.store.model.present(slot, debit))).await
    }

    async fn keep_answer(
        &self,
        key: &SlotKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit> {
        let (store, late) = (Arc::clone(&self.store), (key.clone(), answer.clone()));
        let late = async move { store.model.keep_answer(&late.0, intent, late.1).await };
        self.unless_held_up("keep_answer", late).await?;
        let keeping = self.store.model.keep_answer(key, intent, answer.clone());
        self.through("keep_answer", self.kept(&key.place(), &answer, keeping)).await
    }

    async fn commit_kept(&self, slot: &Slot, ended: Ended) -> Stored<Commit> {
        let (store, late) = (Arc::clone(&self.store), (slot.clone(), ended.clone()));
        let late = async move { store.model.commit_kept(&late.0, late.1).await };
        self.unless_held_up("commit_kept", late).await?;
        let committing = async {
            let done = self.changed(&slot.key, self.store.model.commit_kept(slot, ended)).await?;
            let mut seen = self.store.seen.lock().unwrap();
            // Operators and new authorizations take the next fence; whoever commits under this one held it.
            let holder = seen.leases.get(&slot.key).filter(|(fence, _)| *fence == slot.fence);
            if done == Commit::Done && holder.is_some_and(|(_, who)| *who != self.gate.who) {
                seen.broken.push(format!("a commit under the lease of another, {:?}", slot.fence));
            }
            Ok(done)
        };
        self.through("commit_kept", committing).await
    }

    async fn history(&self, key: &SlotKey) -> Stored<Vec<HistoryEntry>> {
        self.through("history", self.store.model.history(key)).await
    }

    async fn calls(&self, account: &QuotaAccount) -> Stored<u32> {
        self.through("calls", self.store.model.calls(account)).await
    }

    async fn exchange(&self, key: &ExchangeKey) -> Stored<Option<Exchange>> {
        self.through("exchange", self.store.model.exchange(key)).await
    }

    async fn open_exchanges(&self, most: u32) -> Stored<Vec<Exchange>> {
        self.through("open_exchanges", self.store.model.open_exchanges(most)).await
    }

    async fn take_exchange(&self, exchange: &Exchange, forget_before: Timestamp) -> Stored<Commit> {
        self.store.seen.lock().unwrap().exchanges.insert(exchange.key);
        self.through("take_exchange", self.store.model.take_exchange(exchange, forget_before)).await
    }

    async fn present_code(&self, exchange: &Exchange, debit: Option<QuotaDebit>) -> Stored<Presented> {
        self.note_account(debit.as_ref());
        let (store, late) = (Arc::clone(&self.store), (exchange.clone(), debit.clone()));
        let presenting = async move { store.model.present_code(&late.0, late.1).await };
        self.unless_held_up("present_code", presenting).await?;
        self.through("present_code", self.store.model.present_code(exchange, debit)).await
    }

    async fn keep_code_answer(
        &self,
        key: &ExchangeKey,
        intent: LeaseFence,
        answer: Sealed<FrozenAnswer>,
    ) -> Stored<Commit> {
        let keeping = self.store.model.keep_code_answer(key, intent, answer.clone());
        self.through("keep_code_answer", self.kept(&key.place(), &answer, keeping)).await
    }

    async fn put_off_exchange(
        &self,
        exchange: &Exchange,
        refund: Option<QuotaAccount>,
        audit: Option<AuditEntry>,
    ) -> Stored<Commit> {
        self.through("put_off_exchange", self.store.model.put_off_exchange(exchange, refund, audit)).await
    }

    async fn commit_exchange(&self, exchange: &Exchange, slot: &Slot, ended: Ended) -> Stored<Commit> {
        let committing = self.store.model.commit_exchange(exchange, slot, ended);
        self.through("commit_exchange", self.changed(&slot.key, committing)).await
    }

    async fn changes_since(&self, mark: ChangeMark, most: u32) -> Stored<(ChangeMark, Vec<Change>)> {
        let (last, mut changes) =
            self.through("changes_since", self.store.model.changes_since(mark, most)).await?;
        if let Some((_, late)) = &*self.store.uncommitted.lock().unwrap() {
            changes.retain(|change| !matches!(change, Change::Credential(other) if other.name == *late));
        }
        Ok((last, changes))
    }

    async fn write_keeper_audit(&self, audit: AuditEntry) -> Stored<()> {
        self.through("write_keeper_audit", self.store.model.write_keeper_audit(audit)).await
    }

    async fn change_mark(&self) -> Stored<ChangeMark> {
        let mark = self.through("change_mark", self.store.model.change_mark()).await?;
        let uncommitted = self.store.uncommitted.lock().unwrap();
        Ok(uncommitted.as_ref().map_or(mark, |(before, _)| mark.min(*before)))
    }
}
