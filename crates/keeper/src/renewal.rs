//! One renewal: lease, intent, request, answer, commit. The one door for first fetches, the timetable
//! and reports.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::history::{Cause, Ending, HistoryEntry};
use mintkeep_protocol::keep::renew::{
    Moment, Step, Verdict, begin, complete, next_step, present_again, trouble_of,
};
use mintkeep_protocol::keep::slot::{Slot, SlotKey, Trouble};
use mintkeep_protocol::keep::timetable::{Urgency, ceiling, wait_after};
use mintkeep_protocol::port::keeper_store::{CallKind, Commit, Ended, Presented, QuotaAccount, QuotaDebit};
use mintkeep_protocol::port::upstream::UpstreamFault;
use mintkeep_protocol::record::AuditAction;
use tokio::sync::OwnedSemaphorePermit;

use crate::flight::{Boarding, Pilot, Ticket};
use crate::keeper::{Keeper, STORE_PATIENCE};
use crate::lease::{self, Lease, Seen, Taken};
use crate::roster::Account;
use crate::shelf::Leaf;
use crate::wire::{Asking, Reading};

/// How many renewals may follow one another under one lease: an answer that was left by somebody else
/// is read, and then perhaps a request is made.
const STEPS_MAX: u32 = 3;

/// Why a renewal is begun.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    pub(crate) cause: Cause,
    /// Whether the token must be another one than it is now, even where the platform thinks it good.
    pub(crate) force: bool,
}

impl Errand {
    pub(crate) const fn new(cause: Cause) -> Self {
        Self { cause, force: false }
    }
}

/// What came of a renewal.
#[derive(Clone)]
pub(crate) struct Landed {
    /// How it ended.
    pub(crate) ending: Result<Ending, Trouble>,
    /// Whether the token had to be another one.
    pub(crate) is_forced: bool,
    /// The slot after it.
    pub(crate) leaf: Option<Arc<Leaf>>,
}

impl Keeper {
    /// Joins the slot's renewal, or begins one beside the caller.
    pub(crate) fn fly(
        self: &Arc<Self>,
        key: &SlotKey,
        errand: Errand,
        place: Option<OwnedSemaphorePermit>,
    ) -> Ticket<Landed> {
        match self.flights.board(key) {
            Boarding::Joined(ticket) => ticket,
            Boarding::First(pilot, ticket) => {
                let (keeper, key) = (Arc::clone(self), key.clone());
                self.tasks.spawn(async move {
                    renew(&keeper, &key, &errand, &pilot).await;
                    drop((pilot, place));
                    keeper.plan_next(&key);
                });
                ticket
            }
        }
    }
}

async fn renew(keeper: &Arc<Keeper>, key: &SlotKey, errand: &Errand, pilot: &Pilot<SlotKey, Landed>) {
    let ending = match keeper.roster.account_by_no(key.credential) {
        // The credential was removed while this was on its way, or while the slot was put on the shelf.
        None => return keeper.shelf.drop_credential(key.credential),
        Some(account) => run(keeper, &account, (key, errand, pilot)).await,
    };
    if let Err(trouble) = ending {
        // Nothing was stored, so nothing else plans the slot's next time.
        let wait = wait_after(trouble, STORE_TROUBLE_STEP, keeper.chance());
        keeper.timetable.plan_if_none(key, keeper.clock.now().after(wait));
        keeper.count_renewal(key, &errand.cause, ending);
    }
    if !pilot.has_landed() {
        pilot.land(Landed { ending, is_forced: errand.force, leaf: keeper.shelf.get(key) });
    }
}

/// After a trouble with the store itself, the wait is the fourth of its kind: four to eight seconds.
const STORE_TROUBLE_STEP: u32 = 4;

async fn run(
    keeper: &Arc<Keeper>,
    account: &Arc<Account>,
    (key, errand, pilot): (&SlotKey, &Errand, &Pilot<SlotKey, Landed>),
) -> Result<Ending, Trouble> {
    let seen = Seen::of(keeper.shelf.get(key).as_ref());
    match lease::take(keeper, key, errand, &seen).await? {
        Taken::Elsewhere(slot) => {
            keeper.shelve(&slot);
            Ok(Ending::Renewed)
        }
        Taken::Mine(slot, lease) => {
            let account = Arc::clone(account);
            Renewal { keeper, account, slot, lease, errand, pilot, debited: None, code: None }.go().await
        }
    }
}

/// A renewal under our lease.
struct Renewal<'k> {
    keeper: &'k Arc<Keeper>,
    account: Arc<Account>,
    slot: Slot,
    lease: Lease,
    errand: &'k Errand,
    pilot: &'k Pilot<SlotKey, Landed>,
    /// The call that was counted for the request that is about to go out.
    debited: Option<QuotaAccount>,
    /// The platform's own code, for the story.
    code: Option<String>,
}

impl Renewal<'_> {
    async fn go(mut self) -> Result<Ending, Trouble> {
        for _ in 0..STEPS_MAX {
            let now = self.keeper.clock.now();
            let step = next_step(&self.slot, &self.account.terms, now);
            let verdict = match step {
                Step::LeaveInDoubt => Verdict::NotSent(Trouble::InDoubt),
                Step::ReadAnswer => self.read_kept_answer().await,
                Step::AskForToken => self.present(Presenting::AppToken).await?,
                Step::PresentRefresh => self.present(Presenting::Refresh).await?,
                Step::Repeat => self.present(Presenting::Again).await?,
            };
            if step == Step::ReadAnswer
                && !matches!(verdict, Verdict::Granted(_))
                && !self.account.terms.is_one_time()
            {
                // An answer that somebody else left, and no token in it: now ask for ourselves.
                self.slot.intent = None;
                continue;
            }
            return self.commit(verdict).await;
        }
        Err(Trouble::Ambiguous)
    }

    fn moment(&self) -> Moment {
        Moment { now: self.keeper.clock.now(), chance: self.keeper.chance() }
    }

    /// Makes the intent durable, sends the request, makes the answer durable, and only then reads it.
    async fn present(&mut self, what: Presenting) -> Result<Verdict, Trouble> {
        let place = self.slot.key.place();
        if matches!(what, Presenting::Again) {
            // From here on it counts as presented twice, so that no failure before the wire takes it back.
            self.slot.intent = self.slot.intent.take().map(present_again);
        }
        let request = match self.request(what).await {
            Ok(request) => request,
            Err(trouble) => return Ok(Verdict::NotSent(trouble)),
        };
        let now = self.keeper.clock.now();
        let with_intent = match what {
            Presenting::Again => self.slot.clone(),
            Presenting::AppToken | Presenting::Refresh => {
                let Ok(sealed) = self.keeper.seals.seal_request(&place, &request) else {
                    return Ok(Verdict::NotSent(Trouble::SealBroken));
                };
                begin(self.slot.clone(), sealed, now)
            }
        };
        let debit = self.debit();
        match self.make_durable(&with_intent, debit.clone()).await? {
            Presented::Lost => return Err(Trouble::Store),
            Presented::OverQuota => return Ok(Verdict::NotSent(Trouble::QuotaExhausted)),
            Presented::Done => {}
        }
        self.slot = with_intent;
        self.slot.revision = self.slot.revision.saturating_add(1);
        self.debited = Some(debit.account);
        if !self.lease.covers_a_request(self.keeper) {
            // We were held up for so long that somebody else may be at it.
            return Ok(Verdict::NotSent(Trouble::NotSent));
        }
        match self.keeper.send(&self.account.credential.base_url, request.clone()).await {
            Err(UpstreamFault::NotSent(cause)) => {
                let (credential, customer) = self.whose();
                tracing::info!(credential, customer, %cause, "a renewal was not sent");
                Ok(Verdict::NotSent(Trouble::NotSent))
            }
            Err(UpstreamFault::Ambiguous(cause)) => {
                let (credential, customer) = self.whose();
                tracing::warn!(credential, customer, %cause, "a renewal's answer is lost");
                self.debited = None;
                Ok(Verdict::Unknown(Trouble::Ambiguous))
            }
            Ok(answer) => {
                self.debited = None;
                let verdict = self.take_in(&request, &answer).await;
                self.tell(&verdict);
                Ok(verdict)
            }
        }
    }

    /// Whose tokens they are, in the words that an operator uses.
    fn whose(&self) -> (&str, Option<&str>) {
        let customer = self.slot.key.customer.as_ref().map(CustomerId::as_str);
        (self.account.credential.name.as_str(), customer)
    }

    /// Tells the log of an answer that brought no token.
    fn tell(&self, verdict: &Verdict) {
        let trouble = match verdict {
            Verdict::Granted(_) | Verdict::NotSent(_) => return,
            Verdict::Refused(refusal) => trouble_of(*refusal),
            Verdict::Unknown(trouble) | Verdict::NotRead(trouble) => *trouble,
        };
        let (credential, customer) = self.whose();
        let code = self.code.as_deref();
        tracing::warn!(credential, customer, code, %trouble, "a renewal brought no token");
    }

    /// Stores the intent, and asks until the store says whether it did: nothing was sent yet, and an intent that nobody
    /// follows up would leave a one-time token in doubt for nothing.
    ///
    /// A commit that was given up may still be on its way, and nobody sees it before it is done. So it is not looked
    /// for, but tried again: then the store settles which of the two it was.
    async fn make_durable(&self, slot: &Slot, debit: QuotaDebit) -> Result<Presented, Trouble> {
        let present = || self.keeper.store.present(slot, Some(debit.clone()));
        let presented = self.keeper.insist(present).await.ok_or(Trouble::Store)?;
        if presented != Presented::Lost {
            return Ok(presented);
        }
        let found = self.reload().await.ok_or(Trouble::Store)?;
        let name = |slot: &Slot| slot.intent.as_ref().map(|intent| (intent.fence, intent.times));
        let is_stored = found.fence == slot.fence
            && found.revision == slot.revision.saturating_add(1)
            && name(&found) == name(slot);
        Ok(if is_stored { Presented::Done } else { Presented::Lost })
    }

    async fn request(&self, what: Presenting) -> Result<http::Request<Bytes>, Trouble> {
        let asking = match what {
            Presenting::Again => {
                let intent = self.slot.intent.as_ref().ok_or(Trouble::Store)?;
                let opened = self.keeper.seals.open_request(&self.slot.key.place(), &intent.request);
                return opened.map_err(|_| Trouble::SealBroken);
            }
            Presenting::AppToken => Asking::AppToken { force: self.errand.force },
            Presenting::Refresh => {
                let held = self.slot.held.as_ref().ok_or(Trouble::Forgotten)?;
                let tokens = self.keeper.seals.open_tokens(&self.slot.key, &held.tokens);
                let refresh = tokens.map_err(|_| Trouble::SealBroken)?.refresh;
                Asking::Refresh(refresh.ok_or(Trouble::RefreshRefused)?)
            }
        };
        self.keeper.encode(&self.account, asking).await
    }

    fn debit(&self) -> QuotaDebit {
        let is_empty = self.slot.good(self.keeper.clock.now()).is_none();
        let is_urgent = is_empty || self.errand.cause == Cause::Operator;
        let urgency = if is_urgent { Urgency::Emergency } else { Urgency::Ordinary };
        let kind = self.kind();
        let ceiling = ceiling(&self.account.terms, kind, urgency);
        QuotaDebit { account: self.keeper.quota_account(&self.account, kind), ceiling }
    }

    fn kind(&self) -> CallKind {
        let kind = self.account.terms.semantics.kind;
        if self.errand.force && kind == CallKind::StableToken { CallKind::ForcedStableToken } else { kind }
    }

    /// Stores the answer, then reads it. While the store does not answer, what came is served all the
    /// same: a token that is known is good, stored or not.
    async fn take_in(&mut self, request: &http::Request<Bytes>, answer: &http::Response<Bytes>) -> Verdict {
        let (keeper, key) = (Arc::clone(self.keeper), self.slot.key.clone());
        let intent = self.slot.intent.as_ref().map(|intent| intent.fence);
        let (Some(intent), Ok(sealed)) = (intent, keeper.seals.seal_answer(&key.place(), answer)) else {
            return self.verdict(request, answer).await;
        };
        let keep = || keeper.store.keep_answer(&key, intent, sealed.clone());
        let mut keeping = pin!(keeper.insist_on_keeping(keep));
        let kept = match tokio::time::timeout(STORE_PATIENCE, &mut keeping).await {
            Ok(kept) => kept,
            Err(_slow) => {
                if let granted @ Verdict::Granted(_) = self.verdict(request, answer).await {
                    let (slot, ending) = self.decided(granted);
                    self.publish(&slot, ending);
                }
                keeping.await
            }
        };
        if kept == Some(Commit::Done) {
            self.slot.revision = self.slot.revision.saturating_add(1);
            if let Some(intent) = &mut self.slot.intent {
                intent.answer = Some(sealed.clone());
            }
        }
        self.verdict(request, answer).await
    }

    async fn read_kept_answer(&mut self) -> Verdict {
        let place = self.slot.key.place();
        let Some(intent) = &self.slot.intent else { return Verdict::Unknown(Trouble::Store) };
        let Some(sealed) = &intent.answer else { return Verdict::Unknown(Trouble::Store) };
        let request = self.keeper.seals.open_request(&place, &intent.request);
        let answer = self.keeper.seals.open_answer(&place, sealed);
        match (request, answer) {
            (Ok(request), Ok(answer)) => self.verdict(&request, &answer).await,
            _broken => Verdict::NotRead(Trouble::SealBroken),
        }
    }

    async fn verdict(&mut self, request: &http::Request<Bytes>, answer: &http::Response<Bytes>) -> Verdict {
        let asked_at =
            self.slot.intent.as_ref().map_or_else(|| self.keeper.clock.now(), |intent| intent.presented_at);
        match self.keeper.read_answer(&self.account, request, answer, asked_at).await {
            Err(trouble) => Verdict::NotRead(trouble),
            Ok(Reading::Refused { refusal, code }) => {
                self.code = Some(code);
                Verdict::Refused(refusal)
            }
            Ok(Reading::Unknown { trouble, code }) => {
                self.code = code;
                Verdict::Unknown(trouble)
            }
            Ok(Reading::Tokens(brought)) => match self.keeper.obtained(&self.slot, brought) {
                Ok(obtained) => Verdict::Granted(obtained),
                Err(trouble) => Verdict::NotRead(trouble),
            },
        }
    }

    fn decided(&self, verdict: Verdict) -> (Slot, Ending) {
        complete(self.slot.clone(), &self.account.terms, verdict, self.moment())
    }

    /// Puts a token on the shelf that the store does not have yet, and lets everybody go who waits for it.
    fn publish(&self, slot: &Slot, ending: Ending) {
        let leaf = self.keeper.shelve_provisionally(slot);
        self.pilot.land(Landed { ending: Ok(ending), is_forced: self.errand.force, leaf: Some(leaf) });
    }

    /// Ends the lease with what was decided.
    async fn commit(mut self, mut verdict: Verdict) -> Result<Ending, Trouble> {
        let keeper = Arc::clone(self.keeper);
        loop {
            let (mut slot, ending) = self.decided(verdict.clone());
            let ended = self.ended(&slot, ending);
            let commit = || keeper.store.commit_kept(&slot, ended.clone());
            let publish = || {
                if matches!(verdict, Verdict::Granted(_)) {
                    self.publish(&slot, ending);
                }
            };
            let stored = keeper.insist_meanwhile(commit, publish).await;
            match stored {
                None => return Err(Trouble::Store),
                Some(Commit::Done) => {
                    slot.revision = slot.revision.saturating_add(1);
                    keeper.shelve(&slot);
                    keeper.count_renewal(&slot.key, &self.errand.cause, Ok(ending));
                    return Ok(ending);
                }
                Some(Commit::Lost) => {}
            }
            let Some(found) = self.reload().await else { return Err(Trouble::Store) };
            if found.fence != self.slot.fence || found.upkeep != self.slot.upkeep {
                // Somebody else holds the lease by now, or our own commit arrived although we were not told.
                keeper.shelve(&found);
                return Ok(Ending::Renewed);
            }
            verdict = self.decide_anew(found, verdict).await;
        }
    }

    /// The lease is ours, and the slot has changed: it was sealed anew, or the answer came to whoever held
    /// the lease before. That answer is not lost: without tokens of our own it decides.
    async fn decide_anew(&mut self, found: Slot, verdict: Verdict) -> Verdict {
        let has_come = found.is_answered() && !self.slot.is_answered();
        self.slot = found;
        if has_come && !matches!(verdict, Verdict::Granted(_)) {
            return self.read_kept_answer().await;
        }
        verdict
    }

    /// The slot as it is stored; `None`: it is gone, or the process stops.
    async fn reload(&self) -> Option<Slot> {
        self.keeper.insist(|| self.keeper.store.slot(&self.slot.key)).await.flatten()
    }

    fn ended(&self, slot: &Slot, ending: Ending) -> Ended {
        let failed = matches!(ending, Ending::Failed { .. });
        Ended {
            history: HistoryEntry {
                at: self.keeper.clock.now(),
                cause: self.errand.cause.clone(),
                ending,
                version: slot.held.as_ref().map(|held| held.version),
                code: self.code.clone(),
            },
            audit: self.audit(slot, ending),
            refund: self.debited.clone().filter(|_| failed),
        }
    }

    fn audit(&self, slot: &Slot, ending: Ending) -> Option<mintkeep_protocol::record::AuditEntry> {
        let action = match ending {
            Ending::Renewed => AuditAction::TokenObtained,
            Ending::Failed { .. } if slot.upkeep.due_at().is_none() => AuditAction::RenewalFailed,
            Ending::Failed { .. } | Ending::Same | Ending::Resolved | Ending::Forgotten => return None,
        };
        Some(self.keeper.audit_of(action, &self.account, slot.key.customer.as_ref()))
    }
}

/// What is presented.
#[derive(Debug, Clone, Copy)]
enum Presenting {
    AppToken,
    Refresh,
    Again,
}
