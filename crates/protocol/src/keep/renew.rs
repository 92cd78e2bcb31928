//! One renewal, step by step: what to do under a fresh lease, and what an answer makes of the slot.

use crate::outcome::Refusal;
use crate::time::Timestamp;

use super::history::Ending;
use super::intent::{FrozenRequest, Intent};
use super::semantics::{Holder, Terms};
use super::slot::{Held, LeaseFence, Slot, TokenDigest, TokenVersion, Tokens, Trouble, Upkeep};
use super::timetable::{Chance, renew_at, wait_after};
use crate::crypto::Sealed;

/// What the holder of a slot's lease has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask the platform for the app's token.
    AskForToken,
    /// Present the refresh token.
    PresentRefresh,
    /// Present the very bytes that were presented before: the intent's.
    Repeat,
    /// Read the answer that is durable with the intent.
    ReadAnswer,
    /// Present nothing: whether the one-time token was spent, nobody knows.
    LeaveInDoubt,
}

/// What to do with a slot whose lease was just taken.
///
/// Whoever held the lease before may have stopped anywhere; what it left in the slot decides.
#[must_use]
pub fn next_step(slot: &Slot, terms: &Terms, now: Timestamp) -> Step {
    if let Some(intent) = &slot.intent {
        if intent.answer.is_some() {
            return Step::ReadAnswer;
        }
        if terms.is_one_time() {
            return if may_repeat(intent, terms, now) { Step::Repeat } else { Step::LeaveInDoubt };
        }
    }
    match terms.semantics.holder {
        Holder::App => Step::AskForToken,
        // Also one that is over by our clock. Whether it is, the platform knows; a clock that is wrong for a moment must
        // not cost the customer's consent.
        Holder::AppAndCustomer => Step::PresentRefresh,
    }
}

/// Whether the platform still takes the intent's request, byte by byte the same, for the same request.
///
/// Ends a sixth of its window early: the platform's window ran from the first arrival, and the repeat has a
/// way to go. A clock that was set back says nothing of how long ago that was, so then it does not.
#[must_use]
pub fn may_repeat(intent: &Intent, terms: &Terms, now: Timestamp) -> bool {
    let margin = terms.identical_retry.checked_div(6).unwrap_or_default();
    let last = intent.presented_at.after(terms.identical_retry.saturating_sub(margin));
    intent.presented_at <= now && now < last
}

/// The slot with a new intent in it, to be made durable before the request goes out.
#[must_use]
pub fn begin(mut slot: Slot, request: Sealed<FrozenRequest>, now: Timestamp) -> Slot {
    slot.intent = Some(new_intent(slot.fence, request, now));
    slot
}

/// An intent that was never presented.
#[must_use]
pub const fn new_intent(fence: LeaseFence, request: Sealed<FrozenRequest>, now: Timestamp) -> Intent {
    Intent { fence, presented_at: now, times: 1, request, answer: None }
}

/// The same intent, to be presented once more. It keeps its name, so that a late answer to the first
/// presentation still finds it.
#[must_use]
pub fn present_again(mut intent: Intent) -> Intent {
    intent.times = intent.times.saturating_add(1);
    intent.answer = None;
    intent
}

/// What a platform granted, ready to be kept.
#[derive(Clone)]
pub struct Obtained {
    /// To know the access token again.
    pub digest: TokenDigest,
    /// Both tokens under seal.
    pub tokens: Sealed<Tokens>,
    /// The access token is good while `now < expires_at`.
    pub expires_at: Timestamp,
    /// Until when the refresh token can be traded.
    pub refresh_expires_at: Option<Timestamp>,
}

/// What came of a presentation.
#[derive(Clone)]
pub enum Verdict {
    /// Tokens.
    Granted(Obtained),
    /// The platform says no: it did not happen.
    Refused(Refusal),
    /// It may have happened.
    Unknown(Trouble),
    /// The answer is here, and could not be read for a reason of our own: it is kept until it can be.
    NotRead(Trouble),
    /// It did not happen: nothing was sent.
    NotSent(Trouble),
}

/// When and by what luck a verdict is taken in.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The clock's reading.
    pub now: Timestamp,
    /// For the times that are chosen by chance.
    pub chance: Chance,
}

/// What a verdict makes of the slot: its lease has ended, and this is what is kept.
#[must_use]
pub fn complete(slot: Slot, terms: &Terms, verdict: Verdict, moment: Moment) -> (Slot, Ending) {
    match verdict {
        Verdict::Granted(obtained) => keep(slot, terms, obtained, moment),
        Verdict::Refused(refusal) => {
            let trouble = trouble_of(refusal);
            fail(slot, terms, trouble, moment)
        }
        Verdict::Unknown(trouble) => doubt(slot, terms, trouble, moment),
        Verdict::NotRead(trouble) => {
            let intent = slot.intent.clone();
            let (slot, ending) = fail(Slot { intent: None, ..slot }, terms, trouble, moment);
            (Slot { intent, ..slot }, ending)
        }
        Verdict::NotSent(trouble) => fail(slot, terms, trouble, moment),
    }
}

fn keep(mut slot: Slot, terms: &Terms, obtained: Obtained, moment: Moment) -> (Slot, Ending) {
    let obtained_at = slot.intent.take().map_or(moment.now, |intent| intent.presented_at);
    let same = slot.held.as_ref().filter(|held| held.digest == obtained.digest);
    let ending = if same.is_some() { Ending::Same } else { Ending::Renewed };
    let held = Held {
        version: same.map_or(TokenVersion(slot.fence.0), |held| held.version),
        digest: obtained.digest,
        tokens: obtained.tokens,
        obtained_at,
        expires_at: obtained.expires_at,
        refresh_expires_at: obtained.refresh_expires_at,
    };
    slot.upkeep = Upkeep::Idle { renew_at: renew_at(terms, moment.now, held.expires_at, moment.chance) };
    slot.failures = 0;
    (slot.with_held(held), ending)
}

/// Ends a renewal that brought nothing.
///
/// It leaves nothing open either, but where a one-time token is in doubt: there the intent stays, so that an answer
/// which still comes, from whoever was held up with it, finds its place and is read.
#[must_use]
pub fn fail(mut slot: Slot, terms: &Terms, trouble: Trouble, moment: Moment) -> (Slot, Ending) {
    let was_doubtful = slot.intent.as_ref().is_some_and(|intent| intent.times > 1);
    if terms.is_one_time() && was_doubtful && trouble != Trouble::RefreshRefused {
        // This speaks of the repeat alone: the first presentation may have arrived.
        return doubt(slot, terms, trouble, moment);
    }
    slot.intent = slot.intent.take().filter(|_| was_doubtful || trouble == Trouble::InDoubt).map(unanswered);
    slot.failures = slot.failures.saturating_add(1);
    let Moment { now, chance } = moment;
    let wait = wait_after(trouble, slot.failures, chance);
    slot.upkeep = match trouble {
        Trouble::RefreshRefused | Trouble::Forgotten => {
            let because = if was_doubtful { Trouble::InDoubt } else { trouble };
            Upkeep::NeedsConsent { since: now, because }
        }
        Trouble::InDoubt => Upkeep::NeedsOperator { since: now, because: trouble, retry_at: None },
        Trouble::CredentialRefused | Trouble::Refused | Trouble::SealBroken => {
            Upkeep::NeedsOperator { since: now, because: trouble, retry_at: Some(now.after(wait)) }
        }
        Trouble::QuotaExhausted => {
            // What is left is for emergencies, and the token's end is one.
            let end = slot.good(now).map_or(now.after(wait), |held| held.expires_at);
            Upkeep::Backoff { until: now.after(wait).min(end), because: trouble }
        }
        Trouble::NotSent
        | Trouble::Ambiguous
        | Trouble::RateLimited
        | Trouble::AnswerUnreadable
        | Trouble::Store => Upkeep::Backoff { until: now.after(wait), because: trouble },
    };
    let ended = slot.upkeep.trouble().unwrap_or(trouble);
    (slot, Ending::Failed { trouble: ended })
}

/// Nobody knows whether it happened. What can be used once stays in doubt, everything else is asked anew.
fn doubt(mut slot: Slot, terms: &Terms, trouble: Trouble, moment: Moment) -> (Slot, Ending) {
    if !terms.is_one_time() {
        return fail(slot, terms, trouble, moment);
    }
    let Moment { now, chance } = moment;
    slot.failures = slot.failures.saturating_add(1);
    let until = now.after(wait_after(trouble, slot.failures, chance));
    if slot.intent.as_ref().is_some_and(|intent| may_repeat(intent, terms, until)) {
        slot.intent = slot.intent.take().map(unanswered);
        slot.upkeep = Upkeep::Backoff { until, because: trouble };
        return (slot, Ending::Failed { trouble });
    }
    // One that bears no key that we know stays, unless another may still come in its place: the key may be corrected
    // yet, and then it is read.
    let is_kept = trouble == Trouble::AnswerUnreadable
        && slot.intent.as_ref().is_some_and(|intent| intent.answer.is_some() && intent.times == 1);
    if !is_kept {
        slot.intent = slot.intent.take().map(unanswered);
    }
    let because = Trouble::InDoubt;
    let retry_at = is_kept.then(|| now.after(wait_after(because, slot.failures, chance)));
    slot.upkeep = Upkeep::NeedsOperator { since: now, because, retry_at };
    (slot, Ending::Failed { trouble: because })
}

/// The same intent without an answer that was read and decided nothing.
fn unanswered(intent: Intent) -> Intent {
    Intent { answer: None, ..intent }
}

/// What an operator decides of a slot in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Present the refresh token anew, at the risk that it was spent.
    PresentAgain,
    /// Give it up: the customer must authorize anew.
    AskConsent,
}

/// The slot as the operator decided; `None`: it is not in doubt. What waits for an operator for another reason is tried
/// again by itself.
#[must_use]
pub fn resolve(mut slot: Slot, resolution: Resolution, now: Timestamp) -> Option<Slot> {
    let Upkeep::NeedsOperator { because: because @ Trouble::InDoubt, .. } = slot.upkeep else { return None };
    slot.intent = None;
    slot.failures = 0;
    slot.fence = slot.fence.next();
    slot.upkeep = match resolution {
        Resolution::PresentAgain => Upkeep::Idle { renew_at: now },
        Resolution::AskConsent => Upkeep::NeedsConsent { since: now, because },
    };
    Some(slot)
}

/// The slot of a customer who just authorized anew. Whoever was renewing it has lost its lease.
#[must_use]
pub fn authorized(
    mut slot: Slot,
    terms: &Terms,
    obtained: Obtained,
    asked_at: Timestamp,
    moment: Moment,
) -> Slot {
    slot.fence = slot.fence.next();
    slot.intent = None;
    let (mut slot, _) = keep(slot, terms, obtained, moment);
    if let Some(held) = &mut slot.held {
        held.obtained_at = asked_at;
    }
    slot
}

/// The slot without its tokens; `None`: it is without them already. It stays as a record, so that its versions go on
/// growing.
#[must_use]
pub fn forgotten(mut slot: Slot, now: Timestamp) -> Option<Slot> {
    if matches!(slot.upkeep, Upkeep::NeedsConsent { because: Trouble::Forgotten, .. }) {
        return None;
    }
    slot.fence = slot.fence.next();
    slot.held = None;
    slot.intent = None;
    slot.failures = 0;
    slot.upkeep = Upkeep::NeedsConsent { since: now, because: Trouble::Forgotten };
    Some(slot)
}

/// What a platform's refusal means for a renewal. No `_` arm: a new refusal must be thought of here.
#[must_use]
pub const fn trouble_of(refusal: Refusal) -> Trouble {
    match refusal {
        Refusal::ClientMissing
        | Refusal::SecretMissing
        | Refusal::ClientUnknown
        | Refusal::ClientDisabled
        | Refusal::SecretFrozen
        | Refusal::ProofInvalid
        | Refusal::KeyUnknown
        | Refusal::EncryptionInvalid
        | Refusal::RequestTimeIllegal
        | Refusal::AddressNotAllowed(_)
        | Refusal::AccessDenied
        | Refusal::GrantTypeUnsupported => Trouble::CredentialRefused,
        Refusal::CodeInvalid
        | Refusal::CodeMalformed
        | Refusal::CodeUsed
        | Refusal::CodeExpired
        | Refusal::RefreshInvalid
        | Refusal::RefreshUsed
        | Refusal::RefreshExpired
        | Refusal::CustomerUnknown => Trouble::RefreshRefused,
        Refusal::QuotaExhausted | Refusal::RateLimited => Trouble::RateLimited,
        Refusal::ApiUnknown
        | Refusal::MethodWrong
        | Refusal::BodyMissing
        | Refusal::BodyMalformed
        | Refusal::TooLarge
        | Refusal::TooSlow
        | Refusal::FieldMissing
        | Refusal::FieldIllegal
        | Refusal::AccessMissing
        | Refusal::AccessInvalid
        | Refusal::AccessExpired
        | Refusal::CustomerFrozen => Trouble::Refused,
    }
}

#[cfg(test)]
#[path = "renew_tests.rs"]
mod tests;
