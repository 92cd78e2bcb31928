//! One row per edge of the rules about apps' own tokens, a millisecond or a call apart.

use super::*;
use crate::ident::{Dialect, RecordId};
use crate::issue::sample::{NOW, SALT, app, at, client, held};
use crate::token::TokenKind::{DingTalkToken, WeChatStable, WeChatToken};

const LIFE_MS: i64 = 7_200_000;

/// Who asks at `now`, alone, in a store that was never restored.
fn asked(kind: TokenKind, now: Timestamp) -> AccessAsk {
    AccessAsk { kind, force: false, callers: 1, unsaved: 0, epoch: StoreEpoch::new(0), now }
}

fn decide(app: &App, pool: Option<&Pool>, ask: &AccessAsk) -> Result<AccessDecision, Refusal> {
    let fresh = empty_pool(app, ask.kind, SALT);
    access(&client(app), pool.unwrap_or(&fresh), ask)
}

/// A pool whose first token was minted at [`NOW`].
fn pool(kind: TokenKind) -> Pool {
    Pool {
        key: PoolKey { app: RecordId::from_number(9), kind },
        salt: Salt([7; 16]),
        current: held(1, 0, LIFE_MS),
        previous: None,
        token_epoch: 0,
        quota_day: NOW.quota_day(),
        used_today: 1,
        forced_today: 0,
        forced_at: None,
        revision: 5,
    }
}

fn dialect_of(kind: TokenKind) -> Dialect {
    if kind == DingTalkToken { Dialect::DingTalk } else { Dialect::WeChat }
}

#[test]
fn an_app_without_a_pool_gets_its_first_token_for_two_hours() {
    for kind in [WeChatToken, WeChatStable, DingTalkToken] {
        let decision = decide(&app(dialect_of(kind)), None, &asked(kind, NOW)).unwrap();
        assert_eq!((decision.change, decision.granted), (PoolChange::Minted, 1), "{kind:?}");
        assert_eq!(decision.pool.current, held(1, 0, LIFE_MS), "{kind:?}");
        assert!(decision.pool.salt == SALT && decision.pool.previous.is_none(), "{kind:?}");
        assert_eq!((decision.pool.used_today, decision.pool.revision), (1, 0), "{kind:?}");
    }
}

#[test]
fn a_new_wechat_token_leaves_its_predecessor_five_minutes_and_never_past_its_own_end() {
    #[rustfmt::skip]
    let cases = [
        ("minted in the same millisecond",   0,                 Some(300_000)),
        ("more than five minutes left",      LIFE_MS - 300_001, Some(300_000)),
        ("five minutes left",                LIFE_MS - 300_000, Some(300_000)),
        ("a millisecond less",               LIFE_MS - 299_999, Some(299_999)),
        ("its last millisecond",             LIFE_MS - 1,       Some(1)),
        ("at its end",                       LIFE_MS,           None),
    ];
    for (case, age_ms, overlap_ms) in cases {
        let decision =
            decide(&app(Dialect::WeChat), Some(&pool(WeChatToken)), &asked(WeChatToken, at(age_ms)));
        let minted = decision.unwrap().pool;
        assert_eq!(minted.current, held(2, age_ms, age_ms + LIFE_MS), "{case}");
        assert_eq!(minted.previous, overlap_ms.map(|ms| held(1, 0, age_ms + ms)), "{case}");
        assert!(minted.salt == Salt([7; 16]) && minted.revision == 5, "{case}");
    }
}

#[test]
fn the_overlap_is_the_apps_setting_but_at_most_half_of_a_short_life() {
    #[rustfmt::skip]
    let cases = [
        ("the default",            None,      None,      300_000),
        ("set",                    None,      Some(10),  10_000),
        ("none",                   None,      Some(0),   0),
        ("half of a short life",   Some(100), None,      50_000),
        ("just short enough",      Some(599), None,      299_500),
        ("just long enough",       Some(600), None,      300_000),
    ];
    for (case, access_lifetime_s, overlap_s, overlap_ms) in cases {
        let mut app = app(Dialect::WeChat);
        app.settings.access_lifetime_s = access_lifetime_s;
        app.settings.overlap_s = overlap_s;
        let minted = decide(&app, Some(&pool(WeChatToken)), &asked(WeChatToken, NOW)).unwrap().pool;
        assert_eq!(minted.previous, Some(held(1, 0, overlap_ms)), "{case}");
    }
}

#[test]
fn what_is_older_than_the_predecessor_is_gone_at_once() {
    let app = app(Dialect::WeChat);
    let second = decide(&app, Some(&pool(WeChatToken)), &asked(WeChatToken, NOW)).unwrap().pool;
    let third = decide(&app, Some(&second), &asked(WeChatToken, NOW)).unwrap().pool;
    let kept = [Some(third.current), third.previous].map(|held| held.unwrap().generation.number());
    assert_eq!(kept, [3, 2]);
}

#[test]
fn calls_are_counted_a_day_for_each_pool_and_those_who_wait_together_one_by_one() {
    use Refusal::QuotaExhausted;
    #[rustfmt::skip]
    let cases = [
        ("the last call",             WeChatToken,   None,    1_999,     1, Ok(1)),
        ("one more",                  WeChatToken,   None,    2_000,     1, Err(QuotaExhausted)),
        ("three, with room for two",  WeChatToken,   None,    1_998,     3, Ok(2)),
        ("three, with room for none", WeChatToken,   None,    2_000,     3, Err(QuotaExhausted)),
        ("a setting's last call",     WeChatToken,   Some(5), 4,         1, Ok(1)),
        ("a setting's one more",      WeChatToken,   Some(5), 5,         1, Err(QuotaExhausted)),
        ("no limit by setting",       WeChatToken,   Some(0), 9_999_999, 1, Ok(1)),
        ("stable's last call",        WeChatStable,  None,    499_999,   2, Ok(1)),
        ("stable's one more",         WeChatStable,  None,    500_000,   1, Err(QuotaExhausted)),
        ("no limit by default",       DingTalkToken, None,    9_999_999, 2, Ok(2)),
    ];
    for (case, kind, daily_quota, used_today, callers, granted) in cases {
        let mut app = app(dialect_of(kind));
        app.settings.daily_quota = daily_quota;
        let pool = Pool { used_today, current: held(1, -LIFE_MS, 0), ..pool(kind) };
        let ask = AccessAsk { callers, ..asked(kind, NOW) };
        let decided = decide(&app, Some(&pool), &ask);
        let counted = decided.as_ref().map(|decision| decision.pool.used_today - used_today).ok();
        assert_eq!(decided.map(|decision| decision.granted), granted, "{case}");
        assert_eq!(counted, granted.ok(), "{case}");
    }
}

/// What mints nothing counts as well: `stable_token`'s repeats and DingTalk's.
#[test]
fn a_call_that_mints_nothing_counts_and_is_stored_when_a_five_hundredth_of_the_limit_is_not() {
    use PoolChange::{Counted, Extended, Minted, Unchanged};
    use Refusal::QuotaExhausted;
    #[rustfmt::skip]
    let cases = [
        ("the first repeat",            WeChatStable,  None,        1,       0,     1, Ok((Unchanged, 1, 2))),
        ("a thousand, with this one",   WeChatStable,  None,        1,       999,   1, Ok((Unchanged, 1, 1_001))),
        ("one more than a thousand",    WeChatStable,  None,        1,       1_000, 1, Ok((Counted, 1, 1_002))),
        ("the day's last",              WeChatStable,  None,        499_000, 999,   1, Ok((Unchanged, 1, 500_000))),
        ("one more",                    WeChatStable,  None,        499_000, 1_000, 1, Err(QuotaExhausted)),
        ("three, with room for two",    WeChatStable,  None,        499_998, 0,     3, Ok((Unchanged, 2, 500_000))),
        ("of a small limit",            WeChatStable,  Some(499),   1,       0,     1, Ok((Counted, 1, 2))),
        ("without a limit",             WeChatStable,  Some(0),     1,       9_999, 1, Ok((Unchanged, 1, 10_001))),
        ("minted beside unsaved ones",  WeChatToken,   None,        1,       5,     1, Ok((Minted, 1, 7))),
        ("no mint for unsaved ones",    WeChatToken,   None,        1_990,   10,    1, Err(QuotaExhausted)),
        ("DingTalk's last",             DingTalkToken, Some(5),     3,       1,     1, Ok((Extended, 1, 5))),
        ("DingTalk's one more",         DingTalkToken, Some(5),     3,       2,     1, Err(QuotaExhausted)),
    ];
    for (case, kind, daily_quota, used_today, unsaved, callers, expected) in cases {
        let mut app = app(dialect_of(kind));
        app.settings.daily_quota = daily_quota;
        let ask = AccessAsk { callers, unsaved, ..asked(kind, at(1)) };
        let decided = decide(&app, Some(&Pool { used_today, ..pool(kind) }), &ask);
        let told = decided.map(|decided| (decided.change, decided.granted, decided.pool.used_today));
        assert_eq!(told, expected, "{case}");
    }
}

#[test]
fn the_days_counts_start_anew_at_midnight_in_china() {
    const MIDNIGHT_MS: i64 = 8 * 3_600_000;
    let spent = Pool { used_today: 2_000, forced_today: 20, ..pool(WeChatToken) };
    let before = decide(&app(Dialect::WeChat), Some(&spent), &asked(WeChatToken, at(MIDNIGHT_MS - 1)));
    assert_eq!(before.err(), Some(Refusal::QuotaExhausted));
    let after = decide(&app(Dialect::WeChat), Some(&spent), &asked(WeChatToken, at(MIDNIGHT_MS))).unwrap();
    let counts = (after.pool.quota_day, after.pool.used_today, after.pool.forced_today);
    assert_eq!(counts, (NOW.quota_day() + 1, 1, 0));
}

#[test]
fn stable_token_is_the_same_until_its_last_five_minutes() {
    use PoolChange::{Minted, Unchanged};
    #[rustfmt::skip]
    let cases = [
        ("at once",                  0,                 Unchanged, None),
        ("five minutes left",        LIFE_MS - 300_000, Unchanged, None),
        ("a millisecond less",       LIFE_MS - 299_999, Minted,    Some(held(1, 0, LIFE_MS))),
        ("its last millisecond",     LIFE_MS - 1,       Minted,    Some(held(1, 0, LIFE_MS))),
        ("at its end",               LIFE_MS,           Minted,    None),
        ("the clock was set back by its life", -LIFE_MS,     Unchanged, None),
        ("the clock was set back by more",     -LIFE_MS - 1, Minted,    Some(held(1, 0, 300_000 - LIFE_MS - 1))),
    ];
    for (case, age_ms, change, previous) in cases {
        let decision =
            decide(&app(Dialect::WeChat), Some(&pool(WeChatStable)), &asked(WeChatStable, at(age_ms)));
        let decision = decision.unwrap();
        assert_eq!(decision.change, change, "{case}");
        assert_eq!(decision.pool.previous, previous, "{case}");
        let expires_in = remaining(&app(Dialect::WeChat), &decision.pool.current, at(age_ms));
        assert!(expires_in >= STABLE_REMAINING_MIN, "{case}: {expires_in:?}");
    }
}

#[test]
fn a_stable_token_whose_life_was_set_short_is_the_same_for_half_of_it() {
    use PoolChange::{Minted, Unchanged};
    #[rustfmt::skip]
    let cases = [
        ("at once",               100, 0,       Unchanged),
        ("half of it left",       100, 50_000,  Unchanged),
        ("a millisecond less",    100, 50_001,  Minted),
        ("five minutes are half", 600, 300_000, Unchanged),
        ("a millisecond less",    600, 300_001, Minted),
    ];
    for (case, life_s, age_ms, change) in cases {
        let mut app = app(Dialect::WeChat);
        app.settings.access_lifetime_s = Some(life_s);
        let held = Pool { current: held(1, 0, i64::from(life_s) * 1_000), ..pool(WeChatStable) };
        let decision = decide(&app, Some(&held), &asked(WeChatStable, at(age_ms))).unwrap();
        assert_eq!(decision.change, change, "{case} of {life_s} s");
    }
}

#[test]
fn a_forced_refresh_mints_half_a_minute_after_the_last_and_twenty_times_a_day() {
    use PoolChange::{Minted, Unchanged};
    use Refusal::QuotaExhausted;
    #[rustfmt::skip]
    let cases = [
        ("the first",                        None,          0,  Ok(Minted)),
        ("the same millisecond",             Some(0),       1,  Ok(Unchanged)),
        ("just under half a minute",         Some(-29_999), 1,  Ok(Unchanged)),
        ("half a minute",                    Some(-30_000), 1,  Ok(Minted)),
        ("the clock was set back since",     Some(1),       1,  Ok(Minted)),
        ("the day's last",                   Some(-30_000), 19, Ok(Minted)),
        ("one more",                         Some(-30_000), 20, Err(QuotaExhausted)),
        ("one more, but soon after",         Some(-29_999), 20, Ok(Unchanged)),
    ];
    for (case, forced_ms, forced_today, expected) in cases {
        let pool = Pool { forced_at: forced_ms.map(at), forced_today, ..pool(WeChatStable) };
        let ask = AccessAsk { force: true, callers: 3, ..asked(WeChatStable, NOW) };
        let decided = decide(&app(Dialect::WeChat), Some(&pool), &ask);
        if let Ok(decision) = &decided {
            let is_minted = decision.change == Minted;
            let forced = (decision.pool.forced_today, decision.pool.forced_at);
            let counted = (forced_today + 1, Some(NOW));
            assert_eq!(forced, if is_minted { counted } else { (forced_today, pool.forced_at) }, "{case}");
        }
        assert_eq!(decided.map(|decision| decision.change), expected, "{case}");
    }
}

#[test]
fn an_ordinary_refresh_is_not_held_up_by_forced_ones() {
    let forced = Pool { forced_at: Some(NOW), forced_today: 20, ..pool(WeChatStable) };
    let ask = asked(WeChatStable, at(LIFE_MS - 299_999));
    let decision = decide(&app(Dialect::WeChat), Some(&forced), &ask).unwrap();
    assert_eq!((decision.change, decision.pool.forced_today), (PoolChange::Minted, 20));
}

#[test]
fn two_forced_refreshes_end_a_leaked_token() {
    let app = app(Dialect::WeChat);
    let force = |pool: &Pool, now| {
        let ask = AccessAsk { force: true, ..asked(WeChatStable, now) };
        decide(&app, Some(pool), &ask).unwrap().pool
    };
    let leaked = pool(WeChatStable);
    let once = force(&leaked, NOW);
    assert_eq!(once.previous, Some(held(1, 0, 300_000)), "the leaked one still overlaps");
    let twice = force(&once, at(30_000));
    assert_eq!(twice.previous.map(|held| held.generation.number()), Some(2), "the leaked one is dead");
}

#[test]
fn a_dingtalk_token_is_the_same_extended_to_its_full_life_until_it_expires() {
    use PoolChange::{Extended, Minted};
    #[rustfmt::skip]
    let cases = [
        ("the same millisecond", 0,           Extended, held(1, 0, LIFE_MS)),
        ("a millisecond later",  1,           Extended, held(1, 0, LIFE_MS + 1)),
        ("its last millisecond", LIFE_MS - 1, Extended, held(1, 0, 2 * LIFE_MS - 1)),
        ("at its end",           LIFE_MS,     Minted,   held(2, LIFE_MS, 2 * LIFE_MS)),
    ];
    for (case, age_ms, change, current) in cases {
        let ask = AccessAsk { callers: 7, ..asked(DingTalkToken, at(age_ms)) };
        let decision = decide(&app(Dialect::DingTalk), Some(&pool(DingTalkToken)), &ask).unwrap();
        assert_eq!((decision.change, decision.granted), (change, 7), "{case}");
        assert_eq!((decision.pool.current, decision.pool.previous), (current, None), "{case}");
    }
}

#[test]
fn a_mass_revocation_ends_a_token_whatever_its_times_say() {
    for kind in [WeChatToken, WeChatStable, DingTalkToken] {
        let revoked = App { token_epoch: 1, ..app(dialect_of(kind)) };
        let decision = decide(&revoked, Some(&pool(kind)), &asked(kind, at(1))).unwrap();
        assert_eq!(decision.change, PoolChange::Minted, "{kind:?}");
        assert_eq!(decision.pool.current.generation.number(), 2, "{kind:?}");
        assert_eq!((decision.pool.previous, decision.pool.token_epoch), (None, 1), "{kind:?}");
    }
}

#[test]
fn a_restored_store_never_mints_a_generation_that_it_may_have_forgotten() {
    let first_of_1 = StoreEpoch::new(1).first().number();
    #[rustfmt::skip]
    let cases = [
        ("never restored",                0, 1,              2),
        ("restored, not minted since",    1, 1,              first_of_1),
        ("restored, just minted",         1, first_of_1,     first_of_1 + 1),
        ("restored twice",                2, first_of_1 + 1, 2 * first_of_1),
    ];
    for (case, epoch, current, next) in cases {
        let pool = Pool { current: held(current, 0, LIFE_MS), ..pool(WeChatToken) };
        let ask = AccessAsk { epoch: StoreEpoch::new(epoch), ..asked(WeChatToken, NOW) };
        let minted = decide(&app(Dialect::WeChat), Some(&pool), &ask).unwrap().pool;
        assert_eq!(minted.current.generation.number(), next, "{case}");
    }
}

#[test]
fn no_app_has_a_pool_of_what_belongs_to_a_grant() {
    for kind in [
        TokenKind::Code,
        TokenKind::ChallengedCode,
        TokenKind::GrantAccess,
        TokenKind::GrantRefresh,
        TokenKind::Ticket,
        TokenKind::CardTicket,
    ] {
        let decided = decide(&app(Dialect::WeChat), None, &asked(kind, NOW));
        assert_eq!(decided.err(), Some(Refusal::AccessDenied), "{kind:?}");
    }
}

#[test]
fn what_is_left_of_a_token_is_told_in_whole_seconds_and_never_more_than_its_life() {
    #[rustfmt::skip]
    let cases = [
        ("all of it",              0,           7_200),
        ("a millisecond gone",     1,           7_199),
        ("a second gone",          1_000,       7_199),
        ("a millisecond left",     LIFE_MS - 1, 0),
        ("gone",                   LIFE_MS + 1, 0),
        ("the clock was set back", -5_000,      7_200),
    ];
    for (case, now_ms, left_s) in cases {
        let left = remaining(&app(Dialect::WeChat), &held(1, 0, LIFE_MS), at(now_ms));
        assert_eq!(left.as_secs(), left_s, "{case}");
    }
}
