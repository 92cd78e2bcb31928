//! What a keeper's records have sealed, and sealing it anew under another master key while everything runs.

use mintkeep_protocol::crypto::reseal::Walk;
use mintkeep_protocol::crypto::{MasterKeyId, MasterKeys, SealBroken, Sealed};
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::{Credential, SealedProof};
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeStage};
use mintkeep_protocol::keep::intent::Intent;
use mintkeep_protocol::keep::slot::{Slot, SlotKey, Upkeep};
use mintkeep_protocol::port::keeper_store::{Commit, KeeperStore, Presented, StoreError};

use crate::admin::drop_in_place;
use crate::keeper::{Keeper, PAGE_RECORDS};

/// Why a walk over the keeper's records ended before its end. What was sealed anew stays so.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RotationFault {
    /// A record is damaged.
    #[error("{0} can't be opened though its master key is here: it is damaged")]
    Damaged(String),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes `walk` over all that the keepers of a store have sealed. `keeper`: the one in this process, where there is
/// one; it takes in what is changed.
///
/// # Errors
///
/// [`RotationFault`].
pub async fn walk_keepers_records(
    store: &dyn KeeperStore,
    keeper: Option<&Keeper>,
    walk: &mut Walk<'_>,
) -> Result<(), RotationFault> {
    let mut way = Way { store, keeper, walk };
    way.credentials().await?;
    way.consumers().await?;
    way.slots().await?;
    way.exchanges().await
}

struct Way<'a, 'w> {
    store: &'a dyn KeeperStore,
    keeper: Option<&'a Keeper>,
    walk: &'a mut Walk<'w>,
}

impl Way<'_, '_> {
    async fn credentials(&mut self) -> Result<(), RotationFault> {
        let mut after = None;
        loop {
            let page = self.store.credentials(after, PAGE_RECORDS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.no);
            for credential in page {
                if self.walk.meets(&seals_of_credential(&credential)) {
                    self.reseal_credential(credential).await?;
                }
            }
        }
    }

    async fn reseal_credential(&mut self, mut credential: Credential) -> Result<(), RotationFault> {
        let place = Credential::proof_place(credential.no);
        let resealed = match &mut credential.proof {
            None => Ok(()),
            Some(SealedProof::Secret(sealed)) => self.walk.keys.renew(&place, sealed),
            Some(SealedProof::Key { private, .. }) => self.walk.keys.renew(&place, private),
        };
        resealed.map_err(|_| RotationFault::Damaged(place))?;
        let audit = self.walk.audit(credential.name.as_str());
        let is_done = self.store.put_credential(credential.clone(), audit).await? == Commit::Done;
        if let (true, Some(keeper)) = (is_done, self.keeper) {
            credential.revision = credential.revision.saturating_add(1);
            keeper.take_in_credential(credential);
        }
        self.walk.did(is_done);
        Ok(())
    }

    async fn consumers(&mut self) -> Result<(), RotationFault> {
        for mut consumer in self.store.consumers().await? {
            if !self.walk.meets(&seals_of_consumer(&consumer)) {
                continue;
            }
            let place = drop_in_place(consumer.no);
            if let Some(keys) = &mut consumer.drop_in_keys {
                let resealed = self.walk.keys.renew(&place, &mut keys.answers);
                resealed.map_err(|_| RotationFault::Damaged(place))?;
            }
            let audit = self.walk.audit(consumer.name.as_str());
            let is_done = self.store.put_consumer(consumer.clone(), audit).await? == Commit::Done;
            if let (true, Some(keeper)) = (is_done, self.keeper) {
                let revision = consumer.revision.saturating_add(1);
                keeper.roster.enroll(&[Consumer { revision, ..consumer }]);
            }
            self.walk.did(is_done);
        }
        Ok(())
    }

    async fn slots(&mut self) -> Result<(), RotationFault> {
        let mut after: Option<SlotKey> = None;
        loop {
            let page = self.store.slots(None, after.as_ref(), PAGE_RECORDS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for slot in page {
                if self.walk.meets(&seals_of_slot(&slot)) {
                    self.reseal_slot(slot).await?;
                }
            }
        }
    }

    /// A slot that is being renewed is left to its renewal, which a changed record would end, and to another look.
    async fn reseal_slot(&mut self, mut slot: Slot) -> Result<(), RotationFault> {
        if matches!(slot.upkeep, Upkeep::Renewing { .. }) {
            self.walk.did(false);
            return Ok(());
        }
        let place = slot.key.place();
        let damaged = |_| RotationFault::Damaged(slot.key.place());
        if let Some(held) = &mut slot.held {
            self.walk.keys.renew(&place, &mut held.tokens).map_err(damaged)?;
        }
        if let Some(intent) = &mut slot.intent {
            renew_intent(self.walk.keys, &place, intent).map_err(damaged)?;
        }
        self.walk.did(self.store.present(&slot, None).await? == Presented::Done);
        Ok(())
    }

    /// As for slots: one that somebody is at is left to them.
    async fn exchanges(&mut self) -> Result<(), RotationFault> {
        for mut exchange in self.store.open_exchanges(u32::MAX).await? {
            if !self.walk.meets(&seals_of_exchange(&exchange)) {
                continue;
            }
            if matches!(exchange.stage, ExchangeStage::Open { by: Some(_) }) {
                self.walk.did(false);
                continue;
            }
            let place = exchange.key.place();
            if let Some(intent) = &mut exchange.intent {
                renew_intent(self.walk.keys, &place, intent).map_err(|_| RotationFault::Damaged(place))?;
            }
            let presented = self.store.present_code(&exchange, None).await?;
            self.walk.did(presented == Presented::Done);
        }
        Ok(())
    }
}

fn renew_intent(keys: &MasterKeys, place: &str, intent: &mut Intent) -> Result<(), SealBroken> {
    keys.renew(place, &mut intent.request)?;
    match &mut intent.answer {
        None => Ok(()),
        Some(answer) => keys.renew(place, answer),
    }
}

/// The master keys that a credential's proof is sealed under.
pub(crate) fn seals_of_credential(credential: &Credential) -> Vec<MasterKeyId> {
    let seal = match &credential.proof {
        None => None,
        Some(SealedProof::Secret(sealed)) => sealed.master_key_id(),
        Some(SealedProof::Key { private, .. }) => private.master_key_id(),
    };
    seal.into_iter().collect()
}

/// The master keys that a consumer's keys are sealed under.
pub(crate) fn seals_of_consumer(consumer: &Consumer) -> Vec<MasterKeyId> {
    consumer.drop_in_keys.iter().filter_map(|keys| keys.answers.master_key_id()).collect()
}

/// The master keys that a slot's tokens, and what is under way for it, are sealed under.
pub(crate) fn seals_of_slot(slot: &Slot) -> Vec<MasterKeyId> {
    let held = slot.held.iter().filter_map(|held| held.tokens.master_key_id());
    held.chain(slot.intent.iter().flat_map(seals_of_intent)).collect()
}

fn seals_of_exchange(exchange: &Exchange) -> Vec<MasterKeyId> {
    exchange.intent.iter().flat_map(seals_of_intent).collect()
}

fn seals_of_intent(intent: &Intent) -> impl Iterator<Item = MasterKeyId> {
    let answer = intent.answer.as_ref().and_then(Sealed::master_key_id);
    intent.request.master_key_id().into_iter().chain(answer)
}
