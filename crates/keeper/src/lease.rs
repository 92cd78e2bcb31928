//! Leases: of any number of keepers, one at a time renews a slot.

use std::sync::Arc;

use mintkeep_protocol::keep::history::Cause;
use mintkeep_protocol::keep::slot::{Slot, SlotKey, TokenVersion, Trouble, Upkeep};
use mintkeep_protocol::keep::timetable::is_due;
use mintkeep_protocol::port::keeper_store::Commit;
use mintkeep_protocol::time::Timestamp;
use tokio::time::Instant;

use crate::keeper::{Keeper, store_trouble};
use crate::renewal::Errand;
use crate::shelf::Leaf;

/// How often a lease is tried for that others win all the time.
const TRIES_MAX: u32 = 8;
/// How often a lease that another keeper holds is looked at, within its length.
const LOOKS_PER_LEASE: u32 = 20;

/// Who renews.
pub(crate) enum Taken {
    /// We do.
    Mine(Slot, Lease),
    /// Somebody else just did.
    Elsewhere(Slot),
}

/// A lease of ours, and since when we are sure of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    asked_at: Instant,
}

impl Lease {
    /// A lease that is asked for now.
    pub(crate) fn ask() -> Self {
        Self { asked_at: Instant::now() }
    }

    /// Whether a request that is sent now ends, at its deadline, before anybody else can take the lease.
    pub(crate) fn covers_a_request(&self, keeper: &Keeper) -> bool {
        let ends = self.asked_at.elapsed().saturating_add(keeper.settings.request_deadline);
        ends < keeper.settings.lease_length
    }
}

/// What the errand's sender knew of the slot: somebody who renewed it since then did the errand.
pub(crate) struct Seen {
    version: Option<TokenVersion>,
    obtained_at: Option<Timestamp>,
}

impl Seen {
    pub(crate) fn of(leaf: Option<&Arc<Leaf>>) -> Self {
        let kept = leaf.and_then(|leaf| leaf.kept.as_ref());
        Self { version: kept.map(|kept| kept.version), obtained_at: kept.map(|kept| kept.obtained_at) }
    }

    fn is_outdated_by(&self, slot: &Slot, now: Timestamp) -> bool {
        slot.good(now).is_some_and(|held| {
            Some(held.version) > self.version || Some(held.obtained_at) > self.obtained_at
        })
    }
}

/// Takes the lease of a slot.
///
/// A lease that another keeper holds is waited for: it is ours to take only once we have known the same
/// fence for its whole length by our own monotonic clock, from when we heard of it. No wall clock has a say, so none that
/// jumps can make two keepers renew at once.
pub(crate) async fn take(
    keeper: &Keeper,
    key: &SlotKey,
    errand: &Errand,
    seen: &Seen,
) -> Result<Taken, Trouble> {
    for _ in 0..TRIES_MAX {
        let slot = load(keeper, key).await?;
        let now = keeper.clock.now();
        if !errand.force && (seen.is_outdated_by(&slot, now) || is_done(&slot, errand, now)) {
            return Ok(Taken::Elsewhere(slot));
        }
        if let Upkeep::Renewing { by, .. } = slot.upkeep
            && by != keeper.me
            && keeper.store.is_shared()
            && !is_slot_outwaited(keeper, &slot).await
        {
            continue;
        }
        let lease = Lease::ask();
        let mut leased = slot.leased(keeper.me, keeper.clock.now());
        match keeper.store.take_lease(&leased).await.map_err(|error| store_trouble(&error))? {
            Commit::Lost => {}
            Commit::Done => {
                leased.revision = leased.revision.saturating_add(1);
                return Ok(Taken::Mine(leased, lease));
            }
        }
    }
    Err(Trouble::Store)
}

async fn load(keeper: &Keeper, key: &SlotKey) -> Result<Slot, Trouble> {
    let found = keeper.store.slot(key).await.map_err(|error| store_trouble(&error))?;
    match found {
        Some(slot) => Ok(slot),
        None if key.customer.is_none() => Ok(Slot::empty(key.clone(), keeper.clock.now())),
        // A customer's slot begins with the exchange of a code.
        None => Err(Trouble::RefreshRefused),
    }
}

/// Whether the timetable's errand was run by another keeper: what it found due is not due any more.
fn is_done(slot: &Slot, errand: &Errand, now: Timestamp) -> bool {
    let is_left = matches!(slot.upkeep, Upkeep::Renewing { .. });
    let is_unread = slot.is_answered() && slot.upkeep.due_at().is_none();
    // Obtained later than now: the clock was set back, and the times of the token say nothing.
    let is_of_another_time = slot.held.as_ref().is_some_and(|held| now < held.obtained_at);
    errand.cause == Cause::Timetable
        && !is_left
        && !is_unread
        && !is_of_another_time
        && !is_due(&slot.upkeep, now)
}

async fn is_slot_outwaited(keeper: &Keeper, held: &Slot) -> bool {
    let known = keeper.shelf.get(&held.key).and_then(|leaf| leaf.known_since(held.fence));
    let is_held = || async {
        let slot = load(keeper, &held.key).await?;
        Ok(slot.fence == held.fence && slot.upkeep == held.upkeep)
    };
    is_outwaited(keeper, known.unwrap_or_else(Instant::now), is_held).await
}

/// Waits until the holder of a lease ends it, or is overdue: for its whole length, `since` it is known, `is_held` said
/// nothing else than that it is there, unchanged. `true`: it is overdue.
///
/// A store that does not answer meanwhile says nothing; that the lease was there all the time is what its taking is
/// guarded by.
pub(crate) async fn is_outwaited<F: Future<Output = Result<bool, Trouble>>>(
    keeper: &Keeper,
    since: Instant,
    is_held: impl Fn() -> F,
) -> bool {
    let length = keeper.settings.lease_length;
    let look = length.checked_div(LOOKS_PER_LEASE).unwrap_or(length);
    while since.elapsed() < length {
        tokio::time::sleep(look).await;
        if is_held().await == Ok(false) {
            return false;
        }
    }
    true
}
