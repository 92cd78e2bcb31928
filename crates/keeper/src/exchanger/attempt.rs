//! One attempt at an exchange, under its lease: intent, request, answer, commit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeStage};
use mintkeep_protocol::keep::history::{Cause, Ending, HistoryEntry};
use mintkeep_protocol::keep::renew::{
    Moment, Verdict, authorized, complete, may_repeat, new_intent, present_again, trouble_of,
};
use mintkeep_protocol::keep::slot::{Slot, SlotKey, Trouble};
use mintkeep_protocol::keep::timetable::{Urgency, ceiling, wait_after};
use mintkeep_protocol::port::keeper_store::{Commit, Ended, Presented, QuotaAccount, QuotaDebit};
use mintkeep_protocol::port::upstream::UpstreamFault;
use mintkeep_protocol::record::AuditAction;
use mintkeep_protocol::secret::AuthCode;
use mintkeep_protocol::time::Timestamp;

use super::{ExchangeFailure, ExchangeLanded, Exchanged, TRIES_MAX, ended, later};
use crate::events::{Event, What};
use crate::keeper::Keeper;
use crate::lease::Lease;
use crate::roster::Account;
use crate::wire::{Asking, Brought, Reading};

/// How many other changes of the customer's slot the end of an exchange gives way to. Each has succeeded, as other codes
/// of the customer's that were exchanged at once.
const GIVES_WAY_MAX: u32 = 100;

/// An exchange under our lease.
pub(super) struct Attempt<'k> {
    pub(super) keeper: &'k Arc<Keeper>,
    pub(super) account: Arc<Account>,
    pub(super) exchange: Exchange,
    pub(super) lease: Lease,
    /// Without it only what was presented before can be settled.
    pub(super) code: Option<AuthCode>,
    /// The call that was counted for the request that is about to go out.
    pub(super) debited: Option<QuotaAccount>,
}

/// What a step of an exchange came to.
enum Came {
    Tokens(Brought, Timestamp),
    Refused(Trouble, String),
    /// It may have happened.
    Unknown(Trouble),
    /// The answer is here, and could not be read for a reason of our own.
    NotRead(Trouble),
    /// It did not.
    NotSent(Trouble),
}

impl Attempt<'_> {
    pub(super) async fn go(mut self) -> ExchangeLanded {
        for failures in 1..=TRIES_MAX {
            let came = match self.step().await {
                Ok(came) => came,
                Err(landed) => return landed,
            };
            let was_doubtful = self.exchange.intent.as_ref().is_some_and(|intent| intent.times > 1);
            let trouble = match came {
                Came::Tokens(brought, asked_at) => return self.finish(brought, asked_at).await,
                // It is durable, and whoever takes the exchange up next reads it.
                Came::NotRead(trouble) => return later(trouble),
                Came::Refused(trouble @ (Trouble::RateLimited | Trouble::CredentialRefused), _)
                | Came::NotSent(trouble)
                    if !was_doubtful =>
                {
                    return self.put_off(trouble).await;
                }
                Came::Refused(Trouble::RefreshRefused, code) if was_doubtful => {
                    return self.end(Trouble::InDoubt, Some(code)).await;
                }
                Came::Refused(trouble, code) if !was_doubtful => return self.end(trouble, Some(code)).await,
                Came::Refused(trouble, _) | Came::NotSent(trouble) | Came::Unknown(trouble) => trouble,
            };
            if let Some(intent) = &mut self.exchange.intent {
                intent.answer = None;
            }
            let wait = wait_after(trouble, failures, self.keeper.chance());
            if !self.can_repeat_after(wait) {
                return self.end(Trouble::InDoubt, None).await;
            }
            tokio::time::sleep(wait).await;
        }
        self.end(Trouble::InDoubt, None).await
    }

    fn can_repeat_after(&self, wait: Duration) -> bool {
        let at = self.keeper.clock.now().after(wait);
        let intent = self.exchange.intent.as_ref();
        intent.is_some_and(|intent| may_repeat(intent, &self.account.terms, at))
    }

    /// Reads an answer that is there, or presents the code, for the first time or byte by byte again.
    async fn step(&mut self) -> Result<Came, ExchangeLanded> {
        let place = self.exchange.key.place();
        let seals = &self.keeper.seals;
        if let Some(came) = self.read_kept().await {
            return Ok(came);
        }
        let request = if let Some(intent) = self.exchange.intent.take() {
            let request =
                seals.open_request(&place, &intent.request).map_err(|_| later(Trouble::SealBroken))?;
            let is_in_time = may_repeat(&intent, &self.account.terms, self.keeper.clock.now());
            self.exchange.intent = Some(present_again(intent));
            if !is_in_time {
                return Ok(Came::Unknown(Trouble::InDoubt));
            }
            if !self.lease.covers_a_request(self.keeper) {
                // It is presented again under a new lease, which `run_to_end` takes.
                return Err(later(Trouble::Ambiguous));
            }
            request
        } else {
            // Whoever asked is gone and nothing was presented: it stays open for whoever asks next.
            let Some(code) = self.code.clone() else { return Err(later(Trouble::Forgotten)) };
            let request = match self.keeper.encode(&self.account, Asking::Code(code)).await {
                Ok(request) => request,
                Err(trouble) => return Ok(Came::NotSent(trouble)),
            };
            let sealed = seals.seal_request(&place, &request).map_err(|_| later(Trouble::SealBroken))?;
            self.exchange.intent = Some(new_intent(self.exchange.fence, sealed, self.keeper.clock.now()));
            request
        };
        self.present(request).await
    }

    /// What the answer says that is durable with the intent; `None`: there is none.
    async fn read_kept(&self) -> Option<Came> {
        let (place, intent) = (self.exchange.key.place(), self.exchange.intent.as_ref()?);
        let answer = self.keeper.seals.open_answer(&place, intent.answer.as_ref()?);
        let request = self.keeper.seals.open_request(&place, &intent.request);
        match (request, answer) {
            (Ok(request), Ok(answer)) => Some(self.read(&request, &answer).await),
            _broken => Some(Came::NotRead(Trouble::SealBroken)),
        }
    }

    async fn present(&mut self, request: http::Request<Bytes>) -> Result<Came, ExchangeLanded> {
        let debit = self.debit();
        match self.make_durable(debit.clone()).await.map_err(later)? {
            Presented::Lost => return Err(later(Trouble::Store)),
            Presented::OverQuota => return Ok(Came::NotSent(Trouble::QuotaExhausted)),
            Presented::Done => self.exchange.revision = self.exchange.revision.saturating_add(1),
        }
        self.debited = Some(debit.account);
        if !self.lease.covers_a_request(self.keeper) {
            return Ok(Came::NotSent(Trouble::NotSent));
        }
        match self.keeper.send(&self.account.credential.base_url, request.clone()).await {
            Err(UpstreamFault::NotSent(_)) => Ok(Came::NotSent(Trouble::NotSent)),
            Err(UpstreamFault::Ambiguous(cause)) => {
                tracing::warn!(credential = %self.account.credential.name, %cause, "an exchange's answer is lost");
                self.debited = None;
                Ok(Came::Unknown(Trouble::Ambiguous))
            }
            Ok(answer) => {
                self.debited = None;
                self.keep(&answer).await;
                Ok(self.read(&request, &answer).await)
            }
        }
    }

    /// Stores the intent, and asks until the store says whether it did, as a renewal does.
    async fn make_durable(&self, debit: QuotaDebit) -> Result<Presented, Trouble> {
        let mine = &self.exchange;
        let present = || self.keeper.store.present_code(mine, Some(debit.clone()));
        let presented = self.keeper.insist(present).await.ok_or(Trouble::Store)?;
        if presented != Presented::Lost {
            return Ok(presented);
        }
        let found = self.reload().await.ok_or(Trouble::Store)?;
        let name =
            |exchange: &Exchange| exchange.intent.as_ref().map(|intent| (intent.fence, intent.presented_at));
        let is_stored = found.fence == mine.fence
            && found.revision == mine.revision.saturating_add(1)
            && name(&found) == name(mine);
        Ok(if is_stored { Presented::Done } else { Presented::Lost })
    }

    /// Makes the answer durable before anybody reads it.
    async fn keep(&mut self, answer: &http::Response<Bytes>) {
        let Some(intent) = &self.exchange.intent else { return };
        let Ok(sealed) = self.keeper.seals.seal_answer(&self.exchange.key.place(), answer) else { return };
        let (key, fence) = (self.exchange.key, intent.fence);
        let keep = || self.keeper.store.keep_code_answer(&key, fence, sealed.clone());
        match self.keeper.insist_on_keeping(keep).await {
            Some(Commit::Done) => self.exchange.revision = self.exchange.revision.saturating_add(1),
            Some(Commit::Lost) => {
                self.catch_up().await;
            }
            None => {}
        }
    }

    /// The exchange as it is stored; `None`: it is gone, or the process stops.
    async fn reload(&self) -> Option<Exchange> {
        self.keeper.insist(|| self.keeper.store.exchange(&self.exchange.key)).await.flatten()
    }

    /// The record was changed, by an answer that we were not told of or by another seal: as long as the lease is
    /// ours, what we decide goes over it. If it has ended, by what: our own commit may have arrived although we were
    /// not told.
    async fn catch_up(&mut self) -> Option<ExchangeLanded> {
        let found = self.reload().await?;
        if found.fence == self.exchange.fence {
            self.exchange.revision = found.revision;
        }
        ended(&found)
    }

    async fn read(&self, request: &http::Request<Bytes>, answer: &http::Response<Bytes>) -> Came {
        let intent = self.exchange.intent.as_ref();
        let asked_at = intent.map_or_else(|| self.keeper.clock.now(), |intent| intent.presented_at);
        match self.keeper.read_answer(&self.account, request, answer, asked_at).await {
            Ok(Reading::Tokens(brought)) => Came::Tokens(brought, asked_at),
            Ok(Reading::Refused { refusal, code }) => Came::Refused(trouble_of(refusal), code),
            Ok(Reading::Unknown { trouble, .. }) => Came::Unknown(trouble),
            Err(trouble) => Came::NotRead(trouble),
        }
    }

    fn debit(&self) -> QuotaDebit {
        let kind = self.account.terms.semantics.kind;
        let ceiling = ceiling(&self.account.terms, kind, Urgency::Emergency);
        QuotaDebit { account: self.keeper.quota_account(&self.account, kind), ceiling }
    }

    /// Puts the tokens into the customer's slot, and ends the exchange, both or neither.
    async fn finish(mut self, brought: Brought, asked_at: Timestamp) -> ExchangeLanded {
        let Some(customer) = brought.customer.clone() else {
            return self.fail(Trouble::AnswerUnreadable, None).await.unwrap_or(later(Trouble::Store));
        };
        let key = SlotKey { credential: self.account.credential.no, customer: Some(customer.clone()) };
        let empty = Slot::empty(key.clone(), self.keeper.clock.now());
        let obtained = self.keeper.obtained(&empty, brought).map_err(ExchangeFailure::Later)?;
        self.exchange.intent = None;
        for _ in 0..GIVES_WAY_MAX {
            let found = self.keeper.insist(|| self.keeper.store.slot(&key)).await;
            let Some(found) = found else { return later(Trouble::Store) };
            let moment = Moment { now: self.keeper.clock.now(), chance: self.keeper.chance() };
            let slot = self.settled(found.unwrap_or_else(|| empty.clone()), moment).await;
            let mut slot = authorized(slot, &self.account.terms, obtained.clone(), asked_at, moment);
            let version = slot.held.as_ref().map(|held| held.version).unwrap_or_default();
            self.exchange.stage = ExchangeStage::Done { customer: customer.clone(), version };
            let ended = self.ended(&slot);
            let commit = || self.keeper.store.commit_exchange(&self.exchange, &slot, ended.clone());
            let publish = || {
                self.keeper.shelve_provisionally(&slot);
            };
            let committed = self.keeper.insist_meanwhile(commit, publish).await;
            match committed {
                None => return later(Trouble::Store),
                Some(Commit::Lost) => {
                    if let Some(landed) = self.catch_up().await {
                        if let Some(found) =
                            self.keeper.insist(|| self.keeper.store.slot(&key)).await.flatten()
                        {
                            self.keeper.shelve(&found);
                        }
                        return landed;
                    }
                }
                Some(Commit::Done) => {
                    slot.revision = slot.revision.saturating_add(1);
                    self.keeper.shelve(&slot);
                    return Ok(Exchanged { customer, by: self.exchange.consumer });
                }
            }
        }
        later(Trouble::Store)
    }

    /// The slot with the tokens of an answer that a renewal left there unread: the new authorization's take their
    /// place at once, but whoever was given them, and reports them, is known to have had them here.
    async fn settled(&self, slot: Slot, moment: Moment) -> Slot {
        match self.keeper.left_tokens(&self.account, &slot).await {
            Some(left) => complete(slot, &self.account.terms, Verdict::Granted(left), moment).0,
            None => slot,
        }
    }

    fn ended(&self, slot: &Slot) -> Ended {
        let consumer = self.exchange.consumer.clone();
        let customer = slot.key.customer.as_ref();
        Ended {
            history: HistoryEntry {
                at: self.keeper.clock.now(),
                cause: Cause::Exchange { consumer },
                ending: Ending::Renewed,
                version: slot.held.as_ref().map(|held| held.version),
                code: None,
            },
            audit: Some(self.keeper.audit_of(AuditAction::TokenObtained, &self.account, customer)),
            refund: None,
        }
    }

    /// Ends the exchange for good, with nothing; unless its answer has come in the meantime, by way of whoever
    /// held the lease before and was held up with it.
    async fn end(mut self, because: Trouble, code: Option<String>) -> ExchangeLanded {
        for _ in 0..TRIES_MAX {
            if let Some(landed) = self.fail(because, code.clone()).await {
                return landed;
            }
            let Some(found) = self.reload().await else { return later(Trouble::Store) };
            if let Some(landed) = ended(&found) {
                return landed;
            }
            if found.fence != self.exchange.fence {
                return later(Trouble::Store);
            }
            self.exchange = found;
            match self.read_kept().await {
                Some(Came::Tokens(brought, asked_at)) => return self.finish(brought, asked_at).await,
                Some(Came::NotRead(trouble)) => return later(trouble),
                Some(Came::Refused(..) | Came::Unknown(_) | Came::NotSent(_)) | None => {}
            }
        }
        later(Trouble::Store)
    }

    /// `None`: the record has changed, and nothing was stored.
    async fn fail(&mut self, because: Trouble, code: Option<String>) -> Option<ExchangeLanded> {
        let stage = ExchangeStage::Failed { trouble: because, code: code.clone() };
        let failed = Exchange { intent: None, stage, ..self.exchange.clone() };
        let audit = self.keeper.audit_of(AuditAction::RenewalFailed, &self.account, None);
        let put = || self.keeper.store.put_off_exchange(&failed, self.debited.clone(), Some(audit.clone()));
        match self.keeper.insist(put).await {
            None => return Some(later(Trouble::Store)),
            Some(Commit::Lost) => return None,
            Some(Commit::Done) => {}
        }
        if because == Trouble::InDoubt {
            let what = What::ReauthorizationNeeded { because };
            let credential = self.account.credential.name.clone();
            self.keeper.tell(Event { credential, customer: None, what });
        }
        Some(Err(ExchangeFailure::Ended { because, code }))
    }

    /// Leaves the exchange open, with nothing presented: the same code may be tried again.
    async fn put_off(mut self, because: Trouble) -> ExchangeLanded {
        self.exchange.intent = None;
        self.exchange.stage = ExchangeStage::Open { by: None };
        for _ in 0..TRIES_MAX {
            let put = || self.keeper.store.put_off_exchange(&self.exchange, self.debited.clone(), None);
            if self.keeper.insist(put).await != Some(Commit::Lost) {
                break;
            }
            let is_ours =
                |found: &Exchange| found.fence == self.exchange.fence && found.stage != self.exchange.stage;
            let Some(found) = self.reload().await.filter(is_ours) else { break };
            self.exchange.revision = found.revision;
        }
        later(because)
    }
}
