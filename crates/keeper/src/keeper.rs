//! The keeper: its parts, its start, and what all of its rooms share.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::crypto::{KeysMissing, MasterKeys};
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::exchange::ExchangeKey;
use mintkeep_protocol::keep::history::{Cause, Ending};
use mintkeep_protocol::keep::slot::{HolderId, Slot, SlotKey, Trouble, Upkeep};
use mintkeep_protocol::keep::timetable::{Chance, start_at};
use mintkeep_protocol::port::entropy::{Entropy, draw};
use mintkeep_protocol::port::keeper_store::{CallKind, KeeperStore, QuotaAccount, StoreError, Stored};
use mintkeep_protocol::port::upstream::Upstream;
use mintkeep_protocol::record::{AuditAction, AuditEntry};
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_web::tasks::Tasks;
use tokio::sync::broadcast;

use crate::admin::{By, name_of};
use crate::breaker::Breakers;
use crate::events::{Event, between};
use crate::exchanger::ExchangeLanded;
use crate::flight::Flights;
use crate::follow;
use crate::gauges;
use crate::refresher::{self, ClockWatch, SET_BACK_MIN, Timetable};
use crate::renewal::Landed;
use crate::reporter::Budgets;
use crate::roster::{Account, Roster};
use crate::rotation::{seals_of_consumer, seals_of_credential, seals_of_slot};
use crate::seals::Seals;
use crate::settings::KeeperSettings;
use crate::shelf::{Leaf, Placed, Shelf};

/// A store that takes longer than this is not waited for with a token that is known.
pub(crate) const STORE_PATIENCE: Duration = Duration::from_secs(1);
/// How many records are loaded from the store at once.
pub(crate) const PAGE_RECORDS: u32 = 1_000;
/// How long a store that does not answer is left alone between two tries, at first and at most.
const INSIST_WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What a keeper is made of.
pub struct KeeperParts {
    /// Its records.
    pub store: Arc<dyn KeeperStore>,
    /// Its way to the platforms.
    pub upstream: Arc<dyn Upstream>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What its secrets are sealed under.
    pub master: Arc<MasterKeys>,
    /// Where it spawns.
    pub tasks: Tasks,
    /// Its limits.
    pub settings: KeeperSettings,
}

/// Why a keeper can't begin.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartFault {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It would not open what its store holds.
    #[error(transparent)]
    KeysMissing(#[from] KeysMissing),
}

/// The central control server.
pub struct Keeper {
    pub(crate) store: Arc<dyn KeeperStore>,
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) tasks: Tasks,
    pub(crate) settings: KeeperSettings,
    /// Names this process in leases.
    pub(crate) me: HolderId,
    pub(crate) seals: Seals,
    pub(crate) roster: Roster,
    pub(crate) shelf: Shelf,
    pub(crate) timetable: Timetable,
    pub(crate) flights: Flights<SlotKey, Landed>,
    pub(crate) exchanges: Flights<ExchangeKey, ExchangeLanded>,
    pub(crate) reports: Budgets,
    /// Of what looks like a report and may be none.
    pub(crate) looks: Budgets,
    pub(crate) breakers: Breakers,
    events: broadcast::Sender<Event>,
}

impl Keeper {
    /// Puts a keeper together. It does nothing before [`Self::start`].
    #[must_use]
    pub fn new(parts: KeeperParts) -> Arc<Self> {
        let (events, _) = broadcast::channel(parts.settings.events_behind_max);
        let me = HolderId(u64::from_be_bytes(draw(&*parts.entropy)));
        Arc::new(Self {
            store: parts.store,
            upstream: parts.upstream,
            clock: parts.clock,
            entropy: parts.entropy,
            tasks: parts.tasks,
            settings: parts.settings,
            me,
            seals: Seals::new(parts.master),
            roster: Roster::new(),
            shelf: Shelf::new(),
            timetable: Timetable::default(),
            flights: Flights::new(),
            exchanges: Flights::new(),
            reports: Budgets::default(),
            looks: Budgets::default(),
            breakers: Breakers::default(),
            events,
        })
    }

    /// Loads everything from the store, begins to renew what is due, and follows other replicas.
    ///
    /// No platform is asked for anything before this returns: what is held can be read at once, with the
    /// platforms down.
    ///
    /// # Errors
    ///
    /// [`StartFault`].
    pub async fn start(self: &Arc<Self>) -> Result<(), StartFault> {
        let watch = ClockWatch::new(self);
        let mark = self.store.change_mark().await?;
        let mut missing = KeysMissing::default();
        self.load_roster(&mut missing).await?;
        self.load_slots(&mut missing).await?;
        missing.into_result()?;
        for account in self.roster.accounts() {
            if let Some(key) = account.slot(None)
                && self.shelf.get(&key).is_none()
            {
                self.timetable.plan(&key, Some(self.clock.now()));
            }
        }
        self.take_up_exchanges().await?;
        self.tasks.spawn(refresher::run(Arc::clone(self), watch));
        self.tasks.spawn(gauges::run(Arc::clone(self)));
        if self.store.is_shared() {
            self.tasks.spawn(follow::run(Arc::clone(self), mark));
        }
        Ok(())
    }

    async fn load_roster(&self, missing: &mut KeysMissing) -> Stored<()> {
        let ring = self.seals.ring();
        let mut after = None;
        loop {
            let page = self.store.credentials(after, PAGE_RECORDS).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.no);
            for credential in page {
                missing.look(&ring, &seals_of_credential(&credential));
                self.roster.enter(credential);
            }
        }
        let consumers = self.store.consumers().await?;
        for consumer in &consumers {
            missing.look(&ring, &seals_of_consumer(consumer));
        }
        self.roster.enroll(&consumers);
        Ok(())
    }

    /// Puts every slot on the shelf, and spreads what is due over a while: a restart is no herd. A customer's whose
    /// request is not settled is not spread: a platform stops to take it again before that while is over.
    async fn load_slots(&self, missing: &mut KeysMissing) -> Stored<()> {
        let ring = self.seals.ring();
        let mut after: Option<SlotKey> = None;
        loop {
            let page = self.store.slots(None, after.as_ref(), PAGE_RECORDS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for slot in &page {
                if !missing.look(&ring, &seals_of_slot(slot)) {
                    continue;
                }
                let leaf = self.shelve(slot);
                let now = self.clock.now();
                let end = leaf.good(now).map(|kept| kept.expires_at);
                // One that is left by a process that is gone; if its holder lives, the lease is waited for.
                let is_leased = matches!(leaf.upkeep, Upkeep::Renewing { .. });
                // What waits for people waits on, whatever the clock says: its refresh token is not presented any more.
                let due = self.due_at(&leaf);
                let due = if is_leased || is_of_later(&leaf, now) { due.map(|_| now) } else { due };
                let spread = |due| start_at(due, now, end, self.chance());
                let is_open = slot.intent.is_some() && slot.key.customer.is_some();
                let at = if is_open { due } else { due.map(spread) };
                self.timetable.plan(&leaf.key, at);
            }
        }
    }

    /// Tells the keeper that somebody moved the clock.
    pub fn clock_moved(&self) {
        self.timetable.wake();
    }

    /// What happens from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(crate) fn chance(&self) -> Chance {
        Chance(u32::from_be_bytes(self.draw()))
    }

    pub(crate) fn draw<const N: usize>(&self) -> [u8; N] {
        draw(&*self.entropy)
    }

    /// Puts a slot on the shelf as it is stored.
    pub(crate) fn shelve(&self, slot: &Slot) -> Arc<Leaf> {
        let leaf = Leaf::open(slot, &self.seals).unwrap_or_else(|error| {
            tracing::error!(slot = %slot.key.place(), %error, "a slot's tokens can't be opened");
            Leaf::broken(slot, self.clock.now())
        });
        self.place(leaf)
    }

    /// Puts a slot on the shelf that the store does not have yet.
    pub(crate) fn shelve_provisionally(&self, slot: &Slot) -> Arc<Leaf> {
        match Leaf::open(slot, &self.seals) {
            Ok(leaf) => self.place(Leaf { is_provisional: true, ..leaf }),
            Err(_) => self.shelve(slot),
        }
    }

    fn place(&self, leaf: Leaf) -> Arc<Leaf> {
        let before = self.shelf.get(&leaf.key);
        let leaf = Arc::new(leaf.after(before.as_deref()));
        let Some(account) = self.roster.account_by_no(leaf.key.credential) else { return leaf };
        match self.shelf.put(&leaf) {
            Placed::Stale => self.shelf.get(&leaf.key).unwrap_or(leaf),
            Placed::Instead(before) => {
                self.timetable.plan(&leaf.key, self.due_at(&leaf));
                for what in between(before.as_deref(), &leaf) {
                    let credential = account.credential.name.clone();
                    self.tell(Event { credential, customer: leaf.key.customer.clone(), what });
                }
                leaf
            }
        }
    }

    /// Sees to it, after a slot's flight, that the slot has its next time: the refresher may have come for it
    /// while the flight was under way, joined it, and forgotten it.
    pub(crate) fn plan_next(&self, key: &SlotKey) {
        if let Some(due) = self.shelf.get(key).and_then(|leaf| self.due_at(&leaf)) {
            self.timetable.plan_if_none(key, due);
        }
    }

    /// Tells whoever watches.
    pub(crate) fn tell(&self, event: Event) {
        // Nobody watching is no error.
        let _ = self.events.send(event);
    }

    /// When to look at a slot next. A lease, whoever holds it, is looked at once it must have ended; a slot that
    /// waits for people, at once if an answer has come to it since.
    pub(crate) fn due_at(&self, leaf: &Leaf) -> Option<Timestamp> {
        match leaf.upkeep {
            Upkeep::Renewing { .. } => Some(self.clock.now().after(self.settings.lease_length)),
            Upkeep::Idle { .. }
            | Upkeep::Backoff { .. }
            | Upkeep::NeedsConsent { .. }
            | Upkeep::NeedsOperator { .. } => {
                // Every replica has the same time for a slot; with other replicas, the luckiest renews it.
                let spread = if self.store.is_shared() { REPLICA_SPREAD } else { Duration::ZERO };
                let unread = leaf.is_answered.then(|| self.clock.now());
                leaf.upkeep.due_at().or(unread).map(|at| at.after(self.chance().of(spread)))
            }
        }
    }

    /// When a slot that waits for its next renewal is looked at next. What is stored with it was reckoned by the clock
    /// of that day; the timetable knows better once that clock was set.
    pub(crate) fn next_look(&self, key: &SlotKey, upkeep: &Upkeep) -> Option<Timestamp> {
        upkeep.due_at().map(|stored| self.timetable.at(key).unwrap_or(stored))
    }

    /// Repeats what the store must do in the end, until it does or the process stops.
    pub(crate) async fn insist<T, F: Future<Output = Stored<T>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Option<T> {
        self.insist_until(self.tasks.stopping(), attempt).await
    }

    /// As [`Self::insist`], and a stop waits for it, as long as it waits for anything: what came from a platform may not
    /// come a second time.
    pub(crate) async fn insist_on_keeping<T, F: Future<Output = Stored<T>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Option<T> {
        self.insist_until(std::future::pending(), attempt).await
    }

    async fn insist_until<T, F: Future<Output = Stored<T>>>(
        &self,
        end: impl Future<Output = ()>,
        attempt: impl Fn() -> F,
    ) -> Option<T> {
        let mut end = pin!(end);
        let (mut wait, longest) = INSIST_WAITS;
        loop {
            match attempt().await {
                Ok(done) => return Some(done),
                Err(error) => {
                    store_trouble(&error);
                }
            }
            tokio::select! {
                biased;
                () = &mut end => return None,
                () = tokio::time::sleep(wait) => wait = wait.saturating_mul(2).min(longest),
            }
        }
    }

    /// As [`Self::insist`]; and when that takes longer than [`STORE_PATIENCE`], `meanwhile`.
    pub(crate) async fn insist_meanwhile<T, F: Future<Output = Stored<T>>>(
        &self,
        attempt: impl Fn() -> F,
        meanwhile: impl FnOnce(),
    ) -> Option<T> {
        let mut insisting = pin!(self.insist(attempt));
        match tokio::time::timeout(STORE_PATIENCE, &mut insisting).await {
            Ok(done) => done,
            Err(_slow) => {
                meanwhile();
                insisting.await
            }
        }
    }

    pub(crate) fn quota_account(&self, account: &Account, kind: CallKind) -> QuotaAccount {
        QuotaAccount {
            dialect: account.credential.source.dialect(),
            app: account.credential.app.clone(),
            kind,
            day: self.clock.now().quota_day(),
        }
    }

    pub(crate) fn audit_of(
        &self,
        action: AuditAction,
        account: &Account,
        customer: Option<&CustomerId>,
    ) -> AuditEntry {
        let by = By { actor: "keeper".to_owned(), address: None, request_id: String::new() };
        self.audit_by(&by, action, &name_of(account, customer))
    }

    pub(crate) fn count_renewal(&self, key: &SlotKey, cause: &Cause, ending: Result<Ending, Trouble>) {
        let account = self.roster.account_by_no(key.credential);
        let dialect = account.map_or("none", |account| account.credential.source.dialect().name());
        let outcome = match ending {
            Ok(Ending::Renewed) => "renewed",
            Ok(Ending::Same) => "same",
            Ok(Ending::Resolved | Ending::Forgotten) => "resolved",
            Ok(Ending::Failed { trouble: Trouble::InDoubt }) => "in_doubt",
            Ok(Ending::Failed { .. }) | Err(_) => "failed",
        };
        let labels = [("dialect", dialect), ("cause", cause.name()), ("outcome", outcome)];
        metrics::counter!("mintkeep_keeper_renewals_total", &labels).increment(1);
    }
}

/// Notes that the store did not answer: for the operator here, for callers as a trouble.
pub(crate) fn store_trouble(error: &StoreError) -> Trouble {
    metrics::counter!("mintkeep_keeper_store_errors_total").increment(1);
    tracing::error!(%error, "the keeper's store did not answer");
    Trouble::Store
}

/// Whether a token was asked for later than it is now: the clock was set back, and the token ends earlier than its times
/// say. Another replica's clock may be a little ahead.
fn is_of_later(leaf: &Leaf, now: Timestamp) -> bool {
    leaf.kept.as_ref().is_some_and(|kept| kept.obtained_at > now.after(SET_BACK_MIN))
}

/// By how much the replicas' times for one slot differ at most.
const REPLICA_SPREAD: Duration = Duration::from_secs(2);
