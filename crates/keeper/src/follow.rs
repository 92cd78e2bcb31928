//! Following other replicas: what they change in the store comes to our memory, and what one leaves open when it
//! ends is taken up.

use std::sync::Arc;

use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::slot::Slot;
use mintkeep_protocol::port::keeper_store::{Change, ChangeMark, Stored};
use tokio::time::Instant;

use crate::keeper::{Keeper, PAGE_RECORDS, store_trouble};

/// Runs until the process stops.
pub(crate) async fn run(keeper: Arc<Keeper>, mut mark: ChangeMark) {
    let mut looked_at = Instant::now();
    loop {
        match catch_up(&keeper, mark).await {
            Ok(next) => mark = next,
            Err(error) => {
                store_trouble(&error);
            }
        }
        // Half a lease later at most, and a lease's wait: sooner than a platform stops to take a code's request again.
        if looked_at.elapsed().saturating_mul(2) >= keeper.settings.lease_length {
            looked_at = Instant::now();
            if let Err(error) = keeper.take_up_exchanges().await {
                store_trouble(&error);
            }
        }
        tokio::select! {
            biased;
            () = keeper.tasks.stopping() => return,
            () = tokio::time::sleep(keeper.settings.follow_every) => {}
        }
    }
}

/// Takes in all that changed after `mark`, and tells the mark to go on from: what somebody is still about to commit comes
/// after that one, but maybe before what is here already.
async fn catch_up(keeper: &Arc<Keeper>, mut mark: ChangeMark) -> Stored<ChangeMark> {
    let settled = keeper.store.change_mark().await?;
    loop {
        let (last, changes) = keeper.store.changes_since(mark, PAGE_RECORDS).await?;
        if changes.is_empty() {
            return Ok(settled);
        }
        for change in &changes {
            keeper.take_in_change(change).await?;
        }
        mark = last;
    }
}

impl Keeper {
    async fn take_in_change(&self, change: &Change) -> Stored<()> {
        match change {
            Change::Slot(slot) => {
                self.shelve(slot);
            }
            Change::Credential(credential) if credential.removed_at.is_some() => {
                self.forget_credential(credential);
            }
            Change::Credential(credential) => {
                // What changed of its customers before it did itself came when it was unknown.
                let is_new = self.roster.account_by_no(credential.no).is_none();
                let slots = if is_new { self.slots_of(credential.no).await? } else { vec![] };
                self.take_in_credential(credential.clone());
                for slot in &slots {
                    self.shelve(slot);
                }
            }
            Change::Consumer(consumer) => self.roster.enroll(std::slice::from_ref(consumer)),
        }
        Ok(())
    }

    async fn slots_of(&self, credential: RecordId) -> Stored<Vec<Slot>> {
        let mut slots: Vec<Slot> = vec![];
        loop {
            let after = slots.last().map(|slot| &slot.key);
            let page = self.store.slots(Some(credential), after, PAGE_RECORDS).await?;
            if page.is_empty() {
                return Ok(slots);
            }
            slots.extend(page);
        }
    }
}
