//! Tables for the steps of a renewal.

use super::super::credential::{CredentialSettings, TokenSource};
use super::super::semantics::Terms;
use super::super::slot::{HolderId, SlotKey};
use super::*;
use crate::ident::RecordId;

const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);
const MOMENT: Moment = Moment { now: NOW, chance: Chance(0) };
/// When what is presented at `NOW` with a window of 60 s can't be repeated any more: 50 s later.
const WINDOW_END_MS: i64 = 50_000;

fn in_ms(wait: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW.unix_ms().saturating_add(wait))
}

fn terms(source: TokenSource, identical_retry_s: u32) -> Terms {
    let identical_retry_s = Some(identical_retry_s);
    Terms::of(source, &CredentialSettings { identical_retry_s, ..CredentialSettings::default() })
}

fn sealed<T>() -> Sealed<T> {
    Sealed::from_bytes(vec![1])
}

fn held(digest: &str, refresh_ms: Option<i64>) -> Held {
    Held {
        version: TokenVersion(3),
        digest: TokenDigest::of(digest),
        tokens: sealed(),
        obtained_at: in_ms(-1_000),
        expires_at: in_ms(1_000),
        refresh_expires_at: refresh_ms.map(in_ms),
    }
}

/// A slot under lease 5 that holds token `old`, version 3.
fn leased(intent: Option<Intent>) -> Slot {
    let key = SlotKey { credential: RecordId::from_number(1), customer: None };
    let mut slot = Slot::empty(key, NOW).with_held(held("old", Some(1)));
    slot.fence = LeaseFence(4);
    slot.intent = intent;
    slot.leased(HolderId(1), NOW)
}

fn intent(presented_ms: i64, times: u32, answered: bool) -> Intent {
    Intent {
        fence: LeaseFence(4),
        presented_at: in_ms(presented_ms),
        times,
        request: sealed(),
        answer: answered.then(sealed),
    }
}

fn obtained(digest: &str) -> Obtained {
    Obtained {
        digest: TokenDigest::of(digest),
        tokens: sealed(),
        expires_at: in_ms(7_200_000),
        refresh_expires_at: None,
    }
}

#[test]
fn a_fresh_lease_goes_on_where_the_last_one_stopped() {
    use TokenSource::{DingTalk, MiniProgram};
    let in_doubt = Step::LeaveInDoubt;
    #[rustfmt::skip]
    let cases = [
        ("nothing left, app",              DingTalk,    60, None,                                  1, Step::AskForToken),
        ("unanswered, but repeatable",     DingTalk,     0, Some(intent(0, 1, false)),             1, Step::AskForToken),
        ("answered, app",                  DingTalk,     0, Some(intent(0, 1, true)),              1, Step::ReadAnswer),
        ("nothing left, customer",         MiniProgram, 60, None,                                  1, Step::PresentRefresh),
        ("refresh token over, by us",      MiniProgram, 60, None,                                  0, Step::PresentRefresh),
        ("answered, however late",         MiniProgram,  0, Some(intent(-9_999_999, 1, true)),     0, Step::ReadAnswer),
        ("unanswered, last millisecond",   MiniProgram, 60, Some(intent(1 - WINDOW_END_MS, 1, false)), 1, Step::Repeat),
        ("unanswered, window over",        MiniProgram, 60, Some(intent(-WINDOW_END_MS, 1, false)),    1, in_doubt),
        ("unanswered, clock set back",     MiniProgram, 60, Some(intent(1, 1, false)),             1, in_doubt),
        ("unanswered, no window",          MiniProgram,  0, Some(intent(0, 1, false)),             1, in_doubt),
    ];
    for (case, source, window_s, intent, refresh_ms, step) in cases {
        let mut slot = leased(intent);
        slot.held = Some(held("old", Some(refresh_ms)));
        assert_eq!(next_step(&slot, &terms(source, window_s), NOW), step, "{case}");
    }
}

#[test]
fn a_new_token_has_the_lease_for_its_version_and_the_same_token_keeps_its_own() {
    let dingtalk = terms(TokenSource::DingTalk, 0);
    let (slot, ending) =
        complete(leased(Some(intent(-7, 1, true))), &dingtalk, Verdict::Granted(obtained("new")), MOMENT);
    let held = slot.held.as_ref().unwrap();
    assert_eq!((ending, held.version, held.obtained_at), (Ending::Renewed, TokenVersion(5), in_ms(-7)));
    assert_eq!(slot.past.iter().map(|past| past.version).collect::<Vec<_>>(), [TokenVersion(3)]);
    assert!(slot.intent.is_none() && matches!(slot.upkeep, Upkeep::Idle { .. }));

    let (slot, ending) = complete(leased(None), &dingtalk, Verdict::Granted(obtained("old")), MOMENT);
    let held = slot.held.as_ref().unwrap();
    assert_eq!((ending, held.version), (Ending::Same, TokenVersion(3)));
    assert_eq!(held.expires_at, in_ms(7_200_000), "extended");
    assert!(slot.past.is_empty());
}

#[derive(Debug, PartialEq)]
enum Became {
    Backoff(Trouble),
    Consent(Trouble),
    Operator(Trouble, Retries),
}

#[derive(Debug, PartialEq)]
enum Retries {
    ByItself,
    Never,
}

fn became(slot: &Slot) -> Became {
    match slot.upkeep {
        Upkeep::Backoff { because, until } => {
            assert!(NOW < until);
            Became::Backoff(because)
        }
        Upkeep::NeedsConsent { because, .. } => Became::Consent(because),
        Upkeep::NeedsOperator { because, retry_at, .. } => {
            Became::Operator(because, if retry_at.is_some() { Retries::ByItself } else { Retries::Never })
        }
        Upkeep::Idle { .. } | Upkeep::Renewing { .. } => panic!("a failure ends idle"),
    }
}

#[test]
fn a_one_time_token_is_never_presented_again_unless_it_was_not_sent_or_the_platform_takes_it() {
    use Became::{Backoff, Consent, Operator};
    use Retries::{ByItself, Never};
    let not_sent = || Verdict::NotSent(Trouble::NotSent);
    let unknown = || Verdict::Unknown(Trouble::Ambiguous);
    let (refused, not_read) = (Verdict::Refused, Verdict::NotRead);
    let (signed, app) = (TokenSource::MiniProgram, TokenSource::WeChatToken);
    #[rustfmt::skip]
    let cases = [
        // What, source, window, presented, times, verdict → what it became, is the intent kept
        ("app, not sent",               app,     0, 0, 1, not_sent(),                      Backoff(Trouble::NotSent),                    false),
        ("app, unknown",                app,     0, 0, 1, unknown(),                       Backoff(Trouble::Ambiguous),                  false),
        ("app, bad secret",             app,     0, 0, 1, refused(Refusal::ProofInvalid),  Operator(Trouble::CredentialRefused, ByItself), false),
        ("app, limited",                app,     0, 0, 1, refused(Refusal::RateLimited),   Backoff(Trouble::RateLimited),                false),
        ("not sent",                    signed, 60, 0, 1, not_sent(),                      Backoff(Trouble::NotSent),                    false),
        ("unknown",                     signed, 60, 0, 1, unknown(),                       Backoff(Trouble::Ambiguous),                  true),
        ("unknown, no repeats",         signed,  0, 0, 1, unknown(),                       Operator(Trouble::InDoubt, Never),            true),
        ("repeat not sent",             signed, 60, 0, 2, not_sent(),                      Backoff(Trouble::NotSent),                    true),
        ("repeat not sent, too late",   signed, 60, 1 - WINDOW_END_MS, 2, not_sent(),      Operator(Trouble::InDoubt, Never),            true),
        ("repeat limited",              signed, 60, 0, 2, refused(Refusal::RateLimited),   Backoff(Trouble::RateLimited),                true),
        ("refused",                     signed, 60, 0, 1, refused(Refusal::RefreshUsed),   Consent(Trouble::RefreshRefused),             false),
        ("repeat refused",              signed, 60, 0, 2, refused(Refusal::RefreshUsed),   Consent(Trouble::InDoubt),                    true),
        ("not read",                    signed,  0, 0, 1, not_read(Trouble::AnswerUnreadable), Backoff(Trouble::AnswerUnreadable),       true),
        ("not read for want of a key",  signed,  0, 0, 2, not_read(Trouble::SealBroken),   Operator(Trouble::SealBroken, ByItself),      true),
        ("customer frozen",             signed, 60, 0, 1, refused(Refusal::CustomerFrozen), Operator(Trouble::Refused, ByItself),        false),
    ];
    for (case, source, window_s, presented_ms, times, verdict, expected, keeps_intent) in cases {
        let slot = leased(Some(intent(presented_ms, times, false)));
        let (slot, ending) = complete(slot, &terms(source, window_s), verdict, MOMENT);
        assert_eq!(became(&slot), expected, "{case}");
        assert_eq!(slot.intent.is_some(), keeps_intent, "{case}: intent");
        assert!(matches!(ending, Ending::Failed { .. }), "{case}");
        assert_eq!(
            slot.held.as_ref().map(|held| held.version),
            Some(TokenVersion(3)),
            "{case}: still served"
        );
        assert_eq!(slot.failures, 1, "{case}");
    }
}

#[test]
fn an_answer_that_could_not_be_read_stays_until_it_can_be() {
    let signed = terms(TokenSource::AlipayHk, 0);
    let slot = leased(Some(intent(0, 1, true)));
    let (slot, _) = complete(slot, &signed, Verdict::NotRead(Trouble::SealBroken), MOMENT);
    assert!(slot.is_answered());
    assert_eq!(next_step(&slot.leased(HolderId(1), NOW), &signed, NOW), Step::ReadAnswer);
}

#[test]
fn a_token_given_up_in_doubt_still_has_a_place_for_its_answer() {
    let signed = terms(TokenSource::AlipayHk, 0);
    let (slot, _) = fail(leased(Some(intent(0, 1, false))), &signed, Trouble::InDoubt, MOMENT);
    assert_eq!(became(&slot), Became::Operator(Trouble::InDoubt, Retries::Never));
    assert_eq!(slot.intent.map(|intent| intent.fence), Some(LeaseFence(4)));
}

#[test]
fn a_slot_without_calls_left_is_tried_again_at_its_tokens_end_when_it_may_use_the_reserve() {
    let legacy = terms(TokenSource::WeChatToken, 0);
    let over = || Verdict::NotSent(Trouble::QuotaExhausted);
    let until = |slot: Slot| complete(slot, &legacy, over(), MOMENT).0.upkeep.due_at().unwrap();
    assert_eq!(until(leased(None)), in_ms(1_000), "at the token's end");
    let mut empty = leased(None);
    empty.held = None;
    assert_eq!(until(empty), in_ms(150_000), "after the usual wait");
}

#[test]
fn an_operator_resolves_only_what_waits_for_one() {
    let signed = terms(TokenSource::AlipayHk, 0);
    let (in_doubt, _) =
        complete(leased(Some(intent(0, 1, false))), &signed, Verdict::Unknown(Trouble::Ambiguous), MOMENT);
    let again = resolve(in_doubt.clone(), Resolution::PresentAgain, NOW).unwrap();
    assert_eq!(next_step(&again, &signed, NOW), Step::PresentRefresh);
    assert!(in_doubt.fence < again.fence);
    let given_up = resolve(in_doubt, Resolution::AskConsent, NOW).unwrap();
    assert_eq!(became(&given_up), Became::Consent(Trouble::InDoubt));
    assert!(resolve(given_up, Resolution::PresentAgain, NOW).is_none());

    // What is tried again by itself once the platform takes the app needs nobody; an app's own token least of all.
    let refused = Verdict::Refused(Refusal::ProofInvalid);
    for source in [TokenSource::WeChatStable, TokenSource::AlipayHk] {
        let (refused, _) =
            complete(leased(Some(intent(0, 1, false))), &terms(source, 0), refused.clone(), MOMENT);
        assert_eq!(became(&refused), Became::Operator(Trouble::CredentialRefused, Retries::ByItself));
        for resolution in [Resolution::AskConsent, Resolution::PresentAgain] {
            assert!(resolve(refused.clone(), resolution, NOW).is_none(), "{source:?} {resolution:?}");
        }
    }
}

#[test]
fn a_new_authorization_ends_every_doubt_and_overtakes_a_renewal() {
    let signed = terms(TokenSource::MiniProgram, 0);
    let renewing = leased(Some(intent(0, 1, false)));
    let slot = authorized(renewing.clone(), &signed, obtained("new"), in_ms(-3), MOMENT);
    assert!(renewing.fence < slot.fence && slot.intent.is_none());
    let held = slot.held.as_ref().unwrap();
    assert_eq!((held.version, held.obtained_at), (TokenVersion(6), in_ms(-3)));

    let gone = forgotten(slot, NOW).unwrap();
    assert!(gone.held.is_none());
    assert_eq!(gone.fence, LeaseFence(7), "its versions go on growing");
    assert_eq!(became(&gone), Became::Consent(Trouble::Forgotten));
    assert!(forgotten(gone, NOW).is_none(), "once");
}

#[test]
fn of_a_long_story_the_last_tokens_are_remembered() {
    let mut slot = leased(None);
    for version in 6..30 {
        slot = slot.with_held(Held { version: TokenVersion(version), ..held("x", None) });
    }
    assert_eq!(slot.past.len(), Slot::PAST_MAX);
    assert_eq!(slot.past[0].version, TokenVersion(28));
}
