//! One row per edge of a code's exchange, a millisecond or a name apart.

use super::*;
use crate::app::AppSettings;
use crate::ident::Dialect;
use crate::issue::sample::{GRANT, NOW, SALT, app, at, claim, client, grant, held, keys};
use crate::token::TokenKind;

const DAY_MS: i64 = 86_400_000;
const DEADLINE_MS: i64 = 600_000;

/// What became of an exchange, without what it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Came {
    First,
    Again,
    Replayed,
    Refused(Refusal),
}

fn came(decided: &Result<Exchange, Refusal>) -> Came {
    match decided {
        Ok(Exchange::First(_)) => Came::First,
        Ok(Exchange::Again(_)) => Came::Again,
        Ok(Exchange::Replayed(_)) => Came::Replayed,
        Err(refusal) => Came::Refused(*refusal),
    }
}

const ONE: Option<RequestDigest> = Some(RequestDigest([1; 16]));
const OTHER: Option<RequestDigest> = Some(RequestDigest([2; 16]));

/// The stage of a code that the request `made_by` exchanged at [`NOW`].
fn spent(made_by: Option<RequestDigest>) -> GrantStage {
    let tokens = ActiveTokens {
        access: held(1, 0, DAY_MS),
        refresh_expires_at: at(3 * DAY_MS),
        previous: None,
        made_by,
    };
    GrantStage::Active { spent_at: NOW, tokens }
}

fn exchange(
    app: &App,
    grant: &Grant,
    request: Option<RequestDigest>,
    now_ms: i64,
) -> Result<Exchange, Refusal> {
    let caller = client(app);
    let ask = ExchangeAsk { caller: &caller, request, epoch: StoreEpoch::new(0), now: at(now_ms) };
    exchange_code(
        &keys(),
        &claim(TokenKind::Code, GRANT, Generation::default(), 0),
        grant,
        &ask,
        ShownBinding::NotAsked,
    )
}

#[test]
fn a_code_is_good_once_for_its_own_app_until_its_deadline() {
    use Refusal::{CodeExpired, CodeInvalid, CodeUsed};
    let owner = app(Dialect::MiniProgram);
    let stranger = App { no: RecordId::from_number(10), ..owner.clone() };
    let revoked_app = App { token_epoch: 1, ..owner.clone() };
    let fresh = GrantStage::Issued { binding: None };
    let ended_unused = GrantStage::Revoked { spent_at: None, at: NOW };
    let ended_used = GrantStage::Revoked { spent_at: Some(NOW), at: NOW };

    #[rustfmt::skip]
    let cases = [
        ("at once",                     &owner,       fresh,        0,               Came::First),
        ("last good millisecond",       &owner,       fresh,        DEADLINE_MS - 1, Came::First),
        ("at the deadline",             &owner,       fresh,        DEADLINE_MS,     Came::Refused(CodeExpired)),
        ("second time",                 &owner,       spent(OTHER), 0,               Came::Refused(CodeUsed)),
        ("somebody else's",             &stranger,    fresh,        0,               Came::Refused(CodeInvalid)),
        ("somebody else's, late",       &stranger,    fresh,        DEADLINE_MS,     Came::Refused(CodeInvalid)),
        ("somebody else's, spent",      &stranger,    spent(ONE),   0,               Came::Refused(CodeInvalid)),
        ("somebody else's, spent long", &stranger,    spent(ONE),   60_000,          Came::Refused(CodeInvalid)),
        ("all of the app's ended",      &revoked_app, fresh,        0,               Came::Refused(CodeInvalid)),
        ("ended unused",                &owner,       ended_unused, 0,               Came::Refused(CodeInvalid)),
        ("ended after its exchange",    &owner,       ended_used,   0,               Came::Refused(CodeUsed)),
        ("the same, late",              &owner,       ended_used,   DEADLINE_MS,     Came::Refused(CodeUsed)),
    ];
    for (case, caller, stage, now_ms, expected) in cases {
        let grant = grant(&owner, stage);
        assert_eq!(came(&exchange(caller, &grant, ONE, now_ms)), expected, "{case}");
    }
}

#[test]
fn the_identical_signed_request_is_answered_again_for_a_minute_and_any_other_is_told_used() {
    let used = Came::Refused(Refusal::CodeUsed);
    let by_default = AppSettings::default;
    let never_again = AppSettings { identical_retry_s: Some(0), ..by_default() };
    let never_revokes = AppSettings { replay_revokes_after_s: Some(u32::MAX), ..by_default() };
    let revokes_at_once = AppSettings { replay_revokes_after_s: Some(0), ..by_default() };

    #[rustfmt::skip]
    let cases = [
        ("identical, at once",                by_default(),            ONE,   ONE,   0,      Came::Again),
        ("identical, in the last millisecond", by_default(),           ONE,   ONE,   59_999, Came::Again),
        ("identical, after a minute",         by_default(),            ONE,   ONE,   60_000, used),
        ("another, at once",                  by_default(),            ONE,   OTHER, 0,      used),
        ("another, just under a minute",      by_default(),            ONE,   OTHER, 59_999, used),
        ("another, after a minute",           by_default(),            ONE,   OTHER, 60_000, Came::Replayed),
        ("unsigned both times",               by_default(),            None,  None,  0,      used),
        ("unsigned, then signed",             by_default(),            None,  ONE,   0,      used),
        ("identical, the setting off",        never_again,             ONE,   ONE,   0,      used),
        ("late, revoking off",                never_revokes,           ONE,   OTHER, 60_000, used),
        ("revoking at once, another",         revokes_at_once.clone(), ONE,   OTHER, 0,      Came::Replayed),
        ("revoking at once, identical",       revokes_at_once,         ONE,   ONE,   0,      Came::Again),
    ];
    for (case, settings, made_by, request, now_ms, expected) in cases {
        let app = App { settings, ..app(Dialect::MiniProgram) };
        let grant = grant(&app, spent(made_by));
        assert_eq!(came(&exchange(&app, &grant, request, now_ms)), expected, "{case}");
    }
}

/// Source: RFC 6749, section 4.1.3, `redirect_uri`.
#[test]
fn a_code_comes_with_the_redirect_uri_that_it_was_sent_to_or_with_none_if_it_was_sent_nowhere() {
    use ShownBinding::{NotAsked, Shown};
    let there = |uri| CodeBinding::of(Some(uri), None);
    let sent = there("https://shop.example/back?cart=7");
    let refused = Came::Refused(Refusal::CodeInvalid);
    let app = app(Dialect::DingTalk);
    let caller = client(&app);

    #[rustfmt::skip]
    let cases = [
        ("the same",                         sent, Shown(sent),                                       0,           Came::First),
        ("another query",                    sent, Shown(there("https://shop.example/back?cart=8")),  0,           refused),
        ("a letter less",                    sent, Shown(there("https://shop.example/back?cart=")),   0,           refused),
        ("other letters for the same place", sent, Shown(there("https://shop.example/back?c%61rt=7")), 0,          refused),
        ("left out",                         sent, Shown(None),                                       0,           refused),
        ("another, too late",                sent, Shown(None),                                       DEADLINE_MS, refused),
        ("by a dialect's own exchange",      sent, NotAsked,                                          0,           Came::First),
        ("sent nowhere, none shown",         None, Shown(None),                                       0,           Came::First),
        ("sent nowhere, one shown",          None, Shown(sent),                                       0,           refused),
    ];
    for (case, binding, shown, now_ms, expected) in cases {
        let ask = ExchangeAsk { caller: &caller, request: None, epoch: StoreEpoch::new(0), now: at(now_ms) };
        let code = claim(TokenKind::Code, GRANT, Generation::default(), 0);
        let grant = grant(&app, GrantStage::Issued { binding });
        assert_eq!(came(&exchange_code(&keys(), &code, &grant, &ask, shown)), expected, "{case}");
    }
}

/// Source: RFC 7636, section 4.6; RFC 9700, section 4.8.2.
#[test]
fn a_code_with_a_challenge_comes_with_the_verifier_that_meets_it_and_one_without_comes_with_none() {
    use ShownBinding::{NotAsked, Shown};
    use TokenKind::{ChallengedCode, Code};
    const URI: Option<&str> = Some("https://shop.example/back");
    let of = |byte: &str| Challenge::met_by(&byte.repeat(43));
    let (met, other) = (of("a"), of("b"));
    let (plain, bound) = (CodeBinding::of(URI, None), CodeBinding::of(URI, met));
    let refused = Came::Refused(Refusal::CodeInvalid);
    let app = app(Dialect::DingTalk);
    let caller = client(&app);

    #[rustfmt::skip]
    let cases = [
        ("the verifier",                ChallengedCode, bound, Shown(bound),                                0, Came::First),
        ("in the last millisecond",     ChallengedCode, bound, Shown(bound),                  DEADLINE_MS - 1, Came::First),
        ("another verifier",            ChallengedCode, bound, Shown(CodeBinding::of(URI, other)),          0, refused),
        ("another, too late",           ChallengedCode, bound, Shown(CodeBinding::of(URI, other)), DEADLINE_MS, refused),
        ("no verifier",                 ChallengedCode, bound, Shown(plain),                                0, refused),
        ("nothing",                     ChallengedCode, bound, Shown(None),                                 0, refused),
        ("the verifier, no URI",        ChallengedCode, bound, Shown(CodeBinding::of(None, met)),           0, refused),
        ("by a dialect's own exchange", ChallengedCode, bound, NotAsked,                                    0, refused),
        ("a verifier for nothing",      Code,           plain, Shown(bound),                                0, refused),
        ("one, and sent nowhere",       Code,           None,  Shown(CodeBinding::of(None, met)),           0, refused),
    ];
    for (case, kind, binding, shown, now_ms, expected) in cases {
        let ask = ExchangeAsk { caller: &caller, request: None, epoch: StoreEpoch::new(0), now: at(now_ms) };
        let code = claim(kind, GRANT, Generation::default(), 0);
        let grant = grant(&app, GrantStage::Issued { binding });
        assert_eq!(came(&exchange_code(&keys(), &code, &grant, &ask, shown)), expected, "{case}");
    }
}

#[test]
fn a_first_exchange_makes_a_pair_of_its_dialects_lives() {
    for (dialect, access_ms, refresh_ms) in [
        (Dialect::MiniProgram, DAY_MS, 3 * DAY_MS),
        (Dialect::AlipayHk, DAY_MS, 3 * DAY_MS),
        (Dialect::DingTalk, 7_200_000, 30 * DAY_MS),
    ] {
        let app = app(dialect);
        let Ok(Exchange::First(next)) =
            exchange(&app, &grant(&app, GrantStage::Issued { binding: None }), ONE, 5)
        else {
            panic!("{dialect}: the code was good");
        };
        let tokens = ActiveTokens {
            access: held(1, 5, 5 + access_ms),
            refresh_expires_at: at(5 + refresh_ms),
            previous: None,
            made_by: ONE,
        };
        assert_eq!(next.stage, GrantStage::Active { spent_at: at(5), tokens }, "{dialect}");
        assert_eq!((next.id, next.revision), (GRANT, 3), "{dialect}: its guard is what was loaded");
    }
}

#[test]
fn a_replay_ends_the_grant_and_keeps_in_mind_that_its_code_was_spent() {
    let app = app(Dialect::MiniProgram);
    let Ok(Exchange::Replayed(ended)) = exchange(&app, &grant(&app, spent(ONE)), OTHER, 60_000) else {
        panic!("the replay was late");
    };
    assert_eq!(ended.stage, GrantStage::Revoked { spent_at: Some(NOW), at: at(60_000) });
    assert_eq!(ended.revision, 3);
}

#[test]
fn a_code_of_before_a_restored_backup_is_expired_for_it_may_have_been_spent_since() {
    let app = app(Dialect::MiniProgram);
    let caller = client(&app);
    let cases = [
        ("issued and shown in the first life", 0, 0, Came::First),
        ("issued before the restore", 0, 1, Came::Refused(Refusal::CodeExpired)),
        ("issued since the restore", 1, 1, Came::First),
        ("issued between two restores", 1, 2, Came::Refused(Refusal::CodeExpired)),
    ];
    for (case, issued_in, shown_in, expected) in cases {
        let code = claim(TokenKind::Code, GRANT, Generation::of_codes_in(StoreEpoch::new(issued_in)), 0);
        let ask = ExchangeAsk { caller: &caller, request: ONE, epoch: StoreEpoch::new(shown_in), now: NOW };
        let grant = grant(&app, GrantStage::Issued { binding: None });
        assert_eq!(
            came(&exchange_code(&keys(), &code, &grant, &ask, ShownBinding::NotAsked)),
            expected,
            "{case}"
        );
    }
}

#[test]
fn a_codes_record_lives_ten_minutes_or_as_the_app_says() {
    let consent = Consent {
        customer: CustomerId::parse("2160000000000001").unwrap(),
        scopes: vec![Scope::parse("auth_base").unwrap()],
        redirect_uri: Some("https://shop.example/back".into()),
        challenge: None,
    };
    for (set_s, life_ms) in [(None, DEADLINE_MS), (Some(30), 30_000)] {
        let mut app = App { token_epoch: 4, ..app(Dialect::AlipayHk) };
        app.settings.code_lifetime_s = set_s;
        let issued = issue_code(&app, consent.clone(), (GRANT, SALT), NOW);
        let stage = GrantStage::Issued { binding: CodeBinding::of(consent.redirect_uri.as_deref(), None) };
        assert_eq!((issued.stage, issued.code_expires_at), (stage, at(life_ms)));
        assert_eq!((issued.app, issued.token_epoch, issued.revision), (app.no, 4, 0));
    }
}
