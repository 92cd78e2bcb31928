//! What operators do: credentials, consumers, and the slots that need a hand.

mod consumers;
mod credentials;

pub(crate) use consumers::drop_in_place;
pub use consumers::{MadeConsumer, NewConsumer};
pub use credentials::{NewCredential, NewProof};

use std::net::IpAddr;
use std::sync::Arc;

use mintkeep_protocol::crypto::RsaKeyRejected;
use mintkeep_protocol::ident::{ConsumerName, CredentialName, CustomerId, RecordId};
use mintkeep_protocol::keep::consumer::{Consumer, KeyDigest};
use mintkeep_protocol::keep::history::{Cause, Ending, HistoryEntry};
use mintkeep_protocol::keep::renew::{Resolution, forgotten, resolve};
use mintkeep_protocol::keep::slot::{Slot, SlotKey, TokenDigest, Trouble};
use mintkeep_protocol::keep::timetable::{Urgency, ceiling};
use mintkeep_protocol::port::keeper_store::{CallKind, Commit, Ended, StoreError};
use mintkeep_protocol::record::{AuditAction, AuditEntry};
use mintkeep_protocol::secret::AccessToken;
use mintkeep_web::arrival::Arrival;

use crate::keeper::Keeper;
use crate::renewal::Errand;
use crate::roster::Account;
use crate::shelf::Leaf;

/// How often a change is tried whose record somebody else changes at the same time.
const TRIES_MAX: u32 = 8;

/// Who does it, for the audit.
#[derive(Debug, Clone)]
pub struct By {
    /// `admin`, or whoever.
    pub actor: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// Which request, as in the access log.
    pub request_id: String,
}

impl By {
    /// A consumer, by a call of its own.
    pub(crate) fn consumer(consumer: &Consumer, arrival: &Arrival) -> Self {
        Self {
            actor: format!("consumer {}", consumer.name),
            address: Some(arrival.peer),
            request_id: arrival.id.to_string(),
        }
    }
}

/// Why an operator's wish was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdminFailure {
    /// The name is taken.
    #[error("the name is taken: remove what has it, or choose another")]
    NameTaken,
    /// There is none.
    #[error("there is none by this name")]
    NotFound,
    /// The base URL is no good.
    #[error("base_url must be https://host[:port][/path], or http:// to this machine")]
    BaseUrlIllegal,
    /// The proof is not what the dialect asks for.
    #[error("this dialect needs {0}")]
    ProofUnfit(&'static str),
    /// A key can't be read.
    #[error(transparent)]
    Key(#[from] RsaKeyRejected),
    /// It is not in doubt.
    #[error("it is not in doubt")]
    NothingToResolve,
    /// Somebody else changes it all the time.
    #[error("somebody else is changing it: try again")]
    Contended,
    /// The master key is missing.
    #[error("the master key does not open or seal: check the configuration")]
    Seal,
    /// The renewal failed.
    #[error("the renewal failed: {0}")]
    Renewal(Trouble),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The story of a slot.
pub struct Explanation {
    /// The slot as it is served.
    pub leaf: Option<Arc<Leaf>>,
    /// What happened to it, the latest first.
    pub history: Vec<HistoryEntry>,
    /// Today's calls of its app, by kind, and the limit that its own kind has.
    pub calls: Vec<(CallKind, u32)>,
    /// How many calls a day its own kind may have.
    pub daily_limit: Option<u32>,
}

impl Keeper {
    /// The credential of this name.
    #[must_use]
    pub fn account(&self, name: &CredentialName) -> Option<Arc<Account>> {
        self.roster.account(name)
    }

    /// All credentials, by name.
    #[must_use]
    pub fn credentials(&self) -> Vec<Arc<Account>> {
        self.roster.accounts()
    }

    /// All consumers, by name.
    #[must_use]
    pub fn consumers(&self) -> Vec<Arc<Consumer>> {
        self.roster.consumers()
    }

    /// The consumer whose bearer key this is.
    #[must_use]
    pub fn consumer_of_key(&self, key: &str) -> Option<Arc<Consumer>> {
        self.roster.consumer(&KeyDigest::of(key))
    }

    /// The consumer whose drop-in secret this is.
    #[must_use]
    pub fn consumer_of_drop_in(&self, secret: &str) -> Option<Arc<Consumer>> {
        self.roster.consumer_by_drop_in(&KeyDigest::of(secret))
    }

    /// The credential whose app's own token this is, or was until its last renewal.
    pub(crate) fn account_of_token(&self, token: &AccessToken) -> Option<Arc<Account>> {
        self.roster.account_by_no(self.shelf.owner(&TokenDigest::of(token.expose()))?)
    }

    /// The token of a slot as it is on the shelf, good or not.
    #[must_use]
    pub fn leaf(&self, account: &Account, customer: Option<&CustomerId>) -> Option<Arc<Leaf>> {
        self.shelf.get(&account.slot(customer)?)
    }

    /// The story of a slot: who caused which renewal, when, with what answer.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn explain(
        &self,
        account: &Account,
        customer: Option<&CustomerId>,
    ) -> Result<Explanation, AdminFailure> {
        let key = account.slot(customer).ok_or(AdminFailure::NotFound)?;
        let mut calls = Vec::new();
        for kind in CallKind::ALL {
            let count = self.store.calls(&self.quota_account(account, kind)).await?;
            if count > 0 {
                calls.push((kind, count));
            }
        }
        Ok(Explanation {
            leaf: self.shelf.get(&key),
            history: self.store.history(&key).await?,
            calls,
            daily_limit: account.terms.daily_limit,
        })
    }

    /// Renews a slot now, to another token where the platform can do that.
    ///
    /// # Errors
    ///
    /// [`AdminFailure::Renewal`], [`AdminFailure::NotFound`].
    pub async fn refresh(
        self: &Arc<Self>,
        account: &Account,
        customer: Option<&CustomerId>,
    ) -> Result<Arc<Leaf>, AdminFailure> {
        let key = account.slot(customer).ok_or(AdminFailure::NotFound)?;
        let forced = CallKind::ForcedStableToken;
        let has_force = account.terms.semantics.kind == CallKind::StableToken;
        if has_force {
            // Here, and not under a lease: the slot's ordinary renewals have calls of their own.
            let called = self.store.calls(&self.quota_account(account, forced)).await?;
            if called >= ceiling(&account.terms, forced, Urgency::Emergency) {
                return Err(AdminFailure::Renewal(Trouble::QuotaExhausted));
            }
        }
        let renewing = async {
            loop {
                let errand = Errand { cause: Cause::Operator, force: true };
                let landed = self.fly(&key, errand, None).landed().await?;
                if landed.is_forced || !has_force {
                    return Some(landed);
                }
                // It was under way, and not asked by force: it may have brought the very token that must go.
                self.flights.ended(&key).await;
            }
        };
        let landed = tokio::time::timeout(self.settings.caller_wait_max, renewing).await.ok().flatten();
        match landed.map(|landed| (landed.ending, landed.leaf)) {
            Some((Ok(Ending::Renewed | Ending::Same), Some(leaf))) => Ok(leaf),
            Some((Err(trouble) | Ok(Ending::Failed { trouble }), _)) => Err(AdminFailure::Renewal(trouble)),
            Some((Ok(_), _)) | None => Err(AdminFailure::Renewal(Trouble::Ambiguous)),
        }
    }

    /// Decides of a slot that waits for an operator.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn resolve(
        self: &Arc<Self>,
        account: &Account,
        customer: Option<&CustomerId>,
        (resolution, by): (Resolution, &By),
    ) -> Result<(), AdminFailure> {
        let now = self.clock.now();
        let key = account.slot(customer).ok_or(AdminFailure::NotFound)?;
        let decide =
            move |slot: Slot| resolve(slot, resolution, now).map(Some).ok_or(AdminFailure::NothingToResolve);
        self.rewrite(
            key,
            decide,
            (Cause::Operator, Ending::Resolved),
            self.audit_by(by, AuditAction::InDoubtResolved, &name_of(account, customer)),
        )
        .await
    }

    /// Forgets a customer's tokens, as a consumer asks. They are not cancelled at the platform: another system may use them.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn forget(
        self: &Arc<Self>,
        account: &Account,
        customer: &CustomerId,
        (consumer, by): (&ConsumerName, &By),
    ) -> Result<(), AdminFailure> {
        let now = self.clock.now();
        let key = account.slot(Some(customer)).ok_or(AdminFailure::NotFound)?;
        let audit = self.audit_by(by, AuditAction::CredentialChanged, &name_of(account, Some(customer)));
        let decide = move |slot: Slot| Ok(forgotten(slot, now));
        let cause = Cause::Report { consumer: consumer.clone() };
        self.rewrite(key, decide, (cause, Ending::Forgotten), audit).await
    }

    /// Changes a slot as `decide` says; `None`: it is so already.
    async fn rewrite(
        self: &Arc<Self>,
        key: SlotKey,
        decide: impl Fn(Slot) -> Result<Option<Slot>, AdminFailure> + Send + 'static,
        (cause, ending): (Cause, Ending),
        audit: AuditEntry,
    ) -> Result<(), AdminFailure> {
        let keeper = Arc::clone(self);
        self.to_its_end(async move {
            for _ in 0..TRIES_MAX {
                let slot = keeper.store.slot(&key).await?.ok_or(AdminFailure::NotFound)?;
                let Some(mut decided) = decide(slot.clone())? else {
                    keeper.shelve(&slot);
                    return Ok(());
                };
                let history = HistoryEntry {
                    at: keeper.clock.now(),
                    cause: cause.clone(),
                    ending,
                    version: decided.held.as_ref().map(|held| held.version),
                    code: None,
                };
                let ended = Ended { history, audit: Some(audit.clone()), refund: None };
                if keeper.store.commit_kept(&decided, ended).await? == Commit::Done {
                    decided.revision = decided.revision.saturating_add(1);
                    keeper.shelve(&decided);
                    return Ok(());
                }
            }
            Err(AdminFailure::Contended)
        })
        .await
    }

    /// Sees a change to its end, also when whoever asked for it has gone: what is stored counts in memory from then on.
    async fn to_its_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, AdminFailure>> + Send + 'static,
    ) -> Result<T, AdminFailure> {
        let ended = self.tasks.spawn(change).await;
        ended.unwrap_or_else(|error| Err(StoreError { room: "keeper", cause: error.to_string() }.into()))
    }

    pub(crate) fn audit_by(&self, by: &By, action: AuditAction, subject: &str) -> AuditEntry {
        AuditEntry {
            at: self.clock.now(),
            actor: by.actor.clone(),
            action,
            subject: subject.to_owned(),
            address: by.address,
            request_id: by.request_id.clone(),
        }
    }

    fn new_record(&self) -> RecordId {
        RecordId::new(self.clock.now(), u32::from_be_bytes(self.draw()))
    }
}

/// A slot as the audit names it.
pub(crate) fn name_of(account: &Account, customer: Option<&CustomerId>) -> String {
    let name = &account.credential.name;
    customer.map_or_else(|| name.to_string(), |customer| format!("{name}/{customer}"))
}
