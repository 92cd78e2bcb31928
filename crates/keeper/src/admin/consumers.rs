//! Making and revoking consumers.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::ident::{ConsumerName, RecordId};
use mintkeep_protocol::keep::consumer::{Consumer, CredentialScope, DropInKeys, KeyDigest, Verb};
use mintkeep_protocol::port::keeper_store::Commit;
use mintkeep_protocol::record::{AuditAction, AuditEntry};
use zeroize::Zeroizing;

use super::{AdminFailure, By, TRIES_MAX};
use crate::keeper::Keeper;

/// A consumer to be made.
pub struct NewConsumer {
    /// What it is called.
    pub name: ConsumerName,
    /// Which credentials it may use.
    pub credentials: CredentialScope,
    /// What it may do.
    pub verbs: Vec<Verb>,
    /// How many seconds of life its client library must be told of, at least.
    pub margin_floor_s: u32,
    /// Its public keys, for the drop-in endpoints of the signed dialects.
    pub drop_in_keys: Vec<AppKey>,
}

/// A consumer that was just made. Its keys are shown this once.
pub struct MadeConsumer {
    /// The consumer.
    pub consumer: Consumer,
    /// Its bearer key.
    pub key: Zeroizing<String>,
    /// Its secret for the drop-in endpoints.
    pub drop_in_secret: Zeroizing<String>,
    /// The public key that answers of the signed drop-in endpoints are checked with.
    pub answers_public_pem: Option<String>,
}

impl Keeper {
    /// Makes a consumer, and its keys.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn create_consumer(
        self: &Arc<Self>,
        new: NewConsumer,
        by: &By,
    ) -> Result<MadeConsumer, AdminFailure> {
        let (key, drop_in_secret) = (self.new_key(), self.new_key());
        let no = self.new_record();
        let (drop_in_keys, answers_public_pem) = if new.drop_in_keys.is_empty() {
            (None, None)
        } else {
            let drawn = self.tasks.spawn_blocking(RsaPrivateKey::generate).await;
            let answers = drawn.map_err(|_busy| AdminFailure::Contended)??;
            let place = drop_in_place(no);
            let sealed = self.seals.seal(&place, answers.to_der()).map_err(|_| AdminFailure::Seal)?;
            (
                Some(DropInKeys { consumer: new.drop_in_keys, answers: sealed }),
                Some(answers.public().to_pem()),
            )
        };
        let consumer = Consumer {
            no,
            name: new.name,
            key: KeyDigest::of(&key),
            drop_in_secret: Some(KeyDigest::of(&drop_in_secret)),
            drop_in_keys,
            credentials: new.credentials,
            verbs: new.verbs,
            margin_floor_s: new.margin_floor_s,
            created_at: self.clock.now(),
            revoked_at: None,
            revision: 0,
        };
        let audit = self.audit_by(by, AuditAction::ConsumerCreated, consumer.name.as_str());
        let consumer = self.put_new_consumer(consumer, audit).await?.ok_or(AdminFailure::NameTaken)?;
        Ok(MadeConsumer { consumer, key, drop_in_secret, answers_public_pem })
    }

    /// Opens the key that a consumer's signed drop-in answers are signed with.
    #[must_use]
    pub fn drop_in_answer_key(&self, consumer: &Consumer) -> Option<RsaPrivateKey> {
        let keys = consumer.drop_in_keys.as_ref()?;
        let der = self.seals.open(&drop_in_place(consumer.no), &keys.answers).ok()?;
        RsaPrivateKey::from_der(&der).ok()
    }

    /// Ends a consumer's rights. Of several who do so at once, all find it done.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn revoke_consumer(self: &Arc<Self>, name: &ConsumerName, by: &By) -> Result<(), AdminFailure> {
        let known = self.roster.consumer_by_name(name).ok_or(AdminFailure::NotFound)?;
        let audit = self.audit_by(by, AuditAction::ConsumerRevoked, name.as_str());
        let keeper = Arc::clone(self);
        self.to_its_end(async move {
            let mut consumer = (*known).clone();
            for _ in 0..TRIES_MAX {
                consumer.revoked_at = Some(keeper.clock.now());
                let put = keeper.store.put_consumer(consumer.clone(), audit.clone()).await?;
                if let Commit::Lost = put
                    && let Some(other) =
                        keeper.store.consumers().await?.into_iter().find(|c| c.no == known.no)
                {
                    consumer = other;
                    continue;
                }
                consumer.revision = consumer.revision.saturating_add(1);
                keeper.roster.enroll(std::slice::from_ref(&consumer));
                return Ok(());
            }
            Err(AdminFailure::Contended)
        })
        .await
    }

    /// The consumer as it is stored now; `None`: the name is taken.
    async fn put_new_consumer(
        self: &Arc<Self>,
        consumer: Consumer,
        audit: AuditEntry,
    ) -> Result<Option<Consumer>, AdminFailure> {
        let keeper = Arc::clone(self);
        self.to_its_end(async move {
            if keeper.store.put_consumer(consumer.clone(), audit).await? == Commit::Lost {
                return Ok(None);
            }
            let revision = consumer.revision.saturating_add(1);
            let stored = Consumer { revision, ..consumer };
            keeper.roster.enroll(std::slice::from_ref(&stored));
            Ok(Some(stored))
        })
        .await
    }

    /// 256 random bits, in characters that fit a header and a query.
    fn new_key(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(self.draw::<32>());
        Zeroizing::new(format!("mk_{}", URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }
}

pub(crate) fn drop_in_place(no: RecordId) -> String {
    format!("consumer/{no}/answers")
}
