//! Exchanging the master key while everything runs.

use std::sync::Arc;

use mintkeep_protocol::crypto::{MasterKeyRing, SealBroken};
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::{Credential, SealedProof};
use mintkeep_protocol::keep::exchange::Exchange;
use mintkeep_protocol::keep::intent::Intent;
use mintkeep_protocol::keep::slot::{Slot, SlotKey};
use mintkeep_protocol::port::keeper_store::{Commit, Presented};
use mintkeep_protocol::record::AuditAction;
use tokio::sync::watch;

use crate::admin::{AdminFailure, By, drop_in_place};
use crate::keeper::{Keeper, PAGE_RECORDS};
use crate::seals::Seals;

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotationProgress {
    /// Records that were looked at.
    pub seen: u64,
    /// Of them, those that were sealed anew.
    pub resealed: u64,
    /// Records that are still under an older key because somebody else was changing them. When all have
    /// been looked at and this is zero, the older keys can be removed.
    pub left: u64,
}

impl Keeper {
    /// Seals everything anew under the current key of `ring`, which must still hold the older ones.
    ///
    /// Every replica must have the new key in its ring before any of them begins. `progress` is told of
    /// every page.
    ///
    /// # Errors
    ///
    /// [`AdminFailure::Seal`] if something is sealed under a key that is not in the ring;
    /// [`AdminFailure::Store`]. What was sealed anew stays so: begin again.
    pub async fn rotate_master_key(
        &self,
        ring: Arc<MasterKeyRing>,
        by: &By,
        progress: &watch::Sender<RotationProgress>,
    ) -> Result<RotationProgress, AdminFailure> {
        self.seals.exchange(ring);
        progress.send_replace(RotationProgress::default());
        self.reseal_credentials(by, progress).await?;
        self.reseal_consumers(by, progress).await?;
        self.reseal_slots(progress).await?;
        for exchange in self.store.open_exchanges(u32::MAX).await? {
            let done = self.reseal_exchange(exchange).await?;
            note(progress, done);
        }
        self.store.write_keeper_audit(self.audit_by(by, AuditAction::MasterKeyRotated, "keeper")).await?;
        Ok(*progress.borrow())
    }

    async fn reseal_credentials(
        &self,
        by: &By,
        progress: &watch::Sender<RotationProgress>,
    ) -> Result<(), AdminFailure> {
        let mut after = None;
        loop {
            let page = self.store.credentials(after, PAGE_RECORDS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.no);
            for mut credential in page {
                let is_changed =
                    reseal_proof(&self.seals, &mut credential).map_err(|_| AdminFailure::Seal)?;
                let done = if is_changed {
                    let audit = self.audit_by(by, AuditAction::CredentialChanged, credential.name.as_str());
                    let commit = self.store.put_credential(credential.clone(), audit).await?;
                    if commit == Commit::Done {
                        credential.revision = credential.revision.saturating_add(1);
                        self.take_in_credential(credential);
                    }
                    Resealed::of(commit)
                } else {
                    Resealed::NoNeed
                };
                note(progress, done);
            }
        }
    }

    async fn reseal_consumers(
        &self,
        by: &By,
        progress: &watch::Sender<RotationProgress>,
    ) -> Result<(), AdminFailure> {
        for mut consumer in self.store.consumers().await? {
            let place = drop_in_place(consumer.no);
            let is_changed = match &mut consumer.drop_in_keys {
                None => false,
                Some(keys) => self.seals.renew(&place, &mut keys.answers).map_err(|_| AdminFailure::Seal)?,
            };
            let done = if is_changed {
                let audit = self.audit_by(by, AuditAction::MasterKeyRotated, consumer.name.as_str());
                let commit = self.store.put_consumer(consumer.clone(), audit).await?;
                if commit == Commit::Done {
                    let revision = consumer.revision.saturating_add(1);
                    self.roster.enroll(&[Consumer { revision, ..consumer }]);
                }
                Resealed::of(commit)
            } else {
                Resealed::NoNeed
            };
            note(progress, done);
        }
        Ok(())
    }

    async fn reseal_slots(&self, progress: &watch::Sender<RotationProgress>) -> Result<(), AdminFailure> {
        let mut after: Option<SlotKey> = None;
        loop {
            let page = self.store.slots(None, after.as_ref(), PAGE_RECORDS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for slot in page {
                let done = self.reseal_slot(slot).await?;
                note(progress, done);
            }
        }
    }

    /// A slot that is being renewed is left to its renewal, and then to another look.
    async fn reseal_slot(&self, slot: Slot) -> Result<Resealed, AdminFailure> {
        let mut slot = Some(slot);
        for _ in 0..RESEAL_TRIES_MAX {
            let Some(mut found) = slot else { return Ok(Resealed::NoNeed) };
            if !reseal_tokens(&self.seals, &mut found).map_err(|_| AdminFailure::Seal)? {
                return Ok(Resealed::NoNeed);
            }
            if self.store.present(&found, None).await? == Presented::Done {
                found.revision = found.revision.saturating_add(1);
                self.shelve(&found);
                return Ok(Resealed::Done);
            }
            slot = self.store.slot(&found.key).await?;
        }
        Ok(Resealed::Left)
    }

    async fn reseal_exchange(&self, mut exchange: Exchange) -> Result<Resealed, AdminFailure> {
        let place = exchange.key.place();
        let is_changed = match &mut exchange.intent {
            None => false,
            Some(intent) => reseal_intent(&self.seals, &place, intent).map_err(|_| AdminFailure::Seal)?,
        };
        if !is_changed {
            return Ok(Resealed::NoNeed);
        }
        match self.store.present_code(&exchange, None).await? {
            Presented::Done => Ok(Resealed::Done),
            Presented::Lost | Presented::OverQuota => Ok(Resealed::Left),
        }
    }
}

/// How often a slot is sealed anew that a renewal changes at the same time.
const RESEAL_TRIES_MAX: u32 = 8;

#[derive(Debug, Clone, Copy)]
enum Resealed {
    Done,
    NoNeed,
    Left,
}

impl Resealed {
    const fn of(commit: Commit) -> Self {
        match commit {
            Commit::Done => Self::Done,
            Commit::Lost => Self::Left,
        }
    }
}

fn note(progress: &watch::Sender<RotationProgress>, done: Resealed) {
    progress.send_modify(|progress| {
        progress.seen = progress.seen.saturating_add(1);
        match done {
            Resealed::Done => progress.resealed = progress.resealed.saturating_add(1),
            Resealed::Left => progress.left = progress.left.saturating_add(1),
            Resealed::NoNeed => {}
        }
    });
}

fn reseal_proof(seals: &Seals, credential: &mut Credential) -> Result<bool, SealBroken> {
    let place = Credential::proof_place(credential.no);
    match &mut credential.proof {
        None => Ok(false),
        Some(SealedProof::Secret(sealed)) => seals.renew(&place, sealed),
        Some(SealedProof::Key { private, .. }) => seals.renew(&place, private),
    }
}

fn reseal_tokens(seals: &Seals, slot: &mut Slot) -> Result<bool, SealBroken> {
    let place = slot.key.place();
    let held = match &mut slot.held {
        None => false,
        Some(held) => seals.renew(&place, &mut held.tokens)?,
    };
    let intent = match &mut slot.intent {
        None => false,
        Some(intent) => reseal_intent(seals, &place, intent)?,
    };
    Ok(held || intent)
}

fn reseal_intent(seals: &Seals, place: &str, intent: &mut Intent) -> Result<bool, SealBroken> {
    let request = seals.renew(place, &mut intent.request)?;
    let answer = match &mut intent.answer {
        None => false,
        Some(answer) => seals.renew(place, answer)?,
    };
    Ok(request || answer)
}
