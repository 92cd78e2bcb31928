//! Reading a token: from the shelf, at once, whenever one is good.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::ident::{ConsumerName, CustomerId};
use mintkeep_protocol::keep::history::{Cause, Ending};
use mintkeep_protocol::keep::plan::{Denial, Outlook, ReadPlan, plan_read};
use mintkeep_protocol::keep::slot::{SlotKey, Trouble, Upkeep};
use mintkeep_protocol::time::Timestamp;

use crate::keeper::{Keeper, STORE_PATIENCE, store_trouble};
use crate::renewal::{Errand, Landed};
use crate::roster::Account;
use crate::shelf::Leaf;

/// Why a reader gets no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFailure {
    /// There is no good token.
    Unavailable(Denial),
    /// The customer never authorized, or their tokens were forgotten; or the credential has no customers.
    NoSuchSlot,
}

/// What a reader asks for.
#[derive(Debug, Clone)]
pub struct Reading<'r> {
    /// Whose token.
    pub customer: Option<&'r CustomerId>,
    /// How long it must live at least, if that can be had.
    pub min_ttl: Duration,
    /// Who asks.
    pub consumer: &'r ConsumerName,
}

impl Keeper {
    /// A good token.
    ///
    /// While there is one, it is given at once: no store, no platform, no wait (but see `min_ttl`, and
    /// [`Self::begun_elsewhere`]).
    ///
    /// # Errors
    ///
    /// [`ReadFailure`].
    pub async fn read(
        self: &Arc<Self>,
        account: &Account,
        reading: &Reading<'_>,
    ) -> Result<Arc<Leaf>, ReadFailure> {
        let key = account.slot(reading.customer).ok_or(ReadFailure::NoSuchSlot)?;
        let mut leaf = self.shelf.get(&key);
        if leaf.is_none() && account.is_per_customer() {
            // Boxed, as below.
            leaf = Some(Box::pin(self.begun_elsewhere(&key)).await?);
        }
        let now = self.clock.now();
        let nothing =
            Outlook { expires_at: None, life: Duration::ZERO, upkeep: Upkeep::Idle { renew_at: now } };
        let outlook = leaf.as_ref().map_or(nothing, |leaf| leaf.outlook());
        match (plan_read(&outlook, &account.terms, reading.min_ttl, now), leaf) {
            (ReadPlan::Serve, Some(leaf)) => {
                count_if_stale(account, &leaf);
                Ok(leaf)
            }
            (ReadPlan::ServeAndRenew, Some(leaf)) => {
                count_if_stale(account, &leaf);
                // After a try that the store let down, the timetable has the next one's time: each read would be one.
                if self.timetable.at(&key).is_none_or(|at| at <= now) {
                    drop(self.fly(&key, Errand::new(Cause::Timetable), None));
                }
                Ok(leaf)
            }
            (ReadPlan::Deny(denial), _) => Err(ReadFailure::Unavailable(denial)),
            (ReadPlan::AwaitFlight | ReadPlan::Serve | ReadPlan::ServeAndRenew, _) => {
                // Boxed, so that those who get their token at once carry nothing of it.
                Box::pin(self.await_flight(&key, reading.consumer)).await
            }
        }
    }

    /// A customer's slot that is not known here: another replica on the store may have begun it a moment ago, and who was
    /// told of it there may be sent here next.
    pub(crate) async fn begun_elsewhere(&self, key: &SlotKey) -> Result<Arc<Leaf>, ReadFailure> {
        if !self.store.is_shared() {
            return Err(ReadFailure::NoSuchSlot);
        }
        match tokio::time::timeout(STORE_PATIENCE, self.store.slot(key)).await {
            Ok(Ok(Some(slot))) => return Ok(self.shelve(&slot)),
            Ok(Ok(None)) => return Err(ReadFailure::NoSuchSlot),
            Ok(Err(error)) => drop(store_trouble(&error)),
            Err(_slow) => {}
        }
        let retry_at = Some(self.clock.now().after(STILL_UNDER_WAY));
        Err(ReadFailure::Unavailable(Denial { because: Trouble::Store, retry_at }))
    }

    async fn await_flight(
        self: &Arc<Self>,
        key: &SlotKey,
        consumer: &ConsumerName,
    ) -> Result<Arc<Leaf>, ReadFailure> {
        let cause = Cause::Read { consumer: Some(consumer.clone()) };
        let landed = self.fly_and_wait(key, Errand::new(cause)).await;
        let now = self.clock.now();
        match self.shelf.get(key) {
            Some(leaf) if leaf.good(now).is_some() => Ok(leaf),
            leaf => Err(ReadFailure::Unavailable(denial_after(landed.as_ref(), leaf.as_deref(), now))),
        }
    }

    /// Joins or begins a renewal and waits for it, but not for ever: it goes on by itself.
    pub(crate) async fn fly_and_wait(self: &Arc<Self>, key: &SlotKey, errand: Errand) -> Option<Landed> {
        let ticket = self.fly(key, errand, None);
        tokio::time::timeout(self.settings.caller_wait_max, ticket.landed()).await.ok().flatten()
    }
}

/// Counts what is served although its renewal failed last time: good still, but not for ever.
fn count_if_stale(account: &Account, leaf: &Leaf) {
    if leaf.upkeep.trouble().is_some() {
        let name = account.credential.name.to_string();
        metrics::counter!("mintkeep_keeper_stale_serves_total", "credential" => name).increment(1);
    }
}

/// When a renewal is still under way that one has waited for in vain, it may end any second; and a store that did not
/// answer may be back.
const STILL_UNDER_WAY: Duration = Duration::from_secs(1);

/// Why there is no token after a renewal.
fn denial_after(landed: Option<&Landed>, leaf: Option<&Leaf>, now: Timestamp) -> Denial {
    let soon = Some(now.after(STILL_UNDER_WAY));
    if let Some(leaf) = leaf
        && let Some(because) = leaf.upkeep.trouble()
    {
        return Denial { because, retry_at: leaf.upkeep.due_at() };
    }
    let because = match landed.map(|landed| landed.ending) {
        Some(Err(trouble) | Ok(Ending::Failed { trouble })) => trouble,
        Some(Ok(Ending::Renewed | Ending::Same | Ending::Resolved | Ending::Forgotten)) | None => {
            Trouble::Ambiguous
        }
    };
    Denial { because, retry_at: soon }
}
