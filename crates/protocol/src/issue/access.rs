//! An app's own tokens: rotation (WeChat), the same again (`stable_token`), extension (DingTalk).

use std::time::Duration;

use super::authenticate::AuthenticClient;
use crate::app::App;
use crate::outcome::Refusal;
use crate::record::{Held, Pool, PoolKey};
use crate::time::Timestamp;
use crate::token::{Generation, Salt, StoreEpoch, TokenKind};

/// Forced refreshes of `stable_token` a day.
///
/// Source: `protocols/wechat.md`, "Force mode mints at once; at most 20 a day (then 45009)".
pub const FORCED_A_DAY_MAX: u32 = 20;

/// How far apart two forced refreshes are; a second one before that returns the current token.
pub const FORCED_APART: Duration = Duration::from_secs(30);

/// The shortest remaining life with which `stable_token` still returns the current token, if it lives for long enough.
///
/// Source: `protocols/wechat.md`, "within the last 300 s it mints the next one …, so `expires_in >= 300` always".
pub const STABLE_REMAINING_MIN: Duration = Duration::from_mins(5);

/// Which part of a day's limit may be counted in memory alone: a five-hundredth, so that a call that mints
/// nothing costs no write, and a crash forgets at most that part, or nothing of a limit under 500.
const UNSAVED_PART: u32 = 500;

/// Calls of the token endpoint a day, where the app has no setting of its own.
#[must_use]
pub const fn default_daily_quota(kind: TokenKind) -> Option<u32> {
    match kind {
        TokenKind::WeChatToken => Some(2_000),
        TokenKind::WeChatStable => Some(500_000),
        TokenKind::DingTalkToken
        | TokenKind::Code
        | TokenKind::ChallengedCode
        | TokenKind::GrantAccess
        | TokenKind::GrantRefresh
        | TokenKind::Ticket
        | TokenKind::CardTicket => None,
    }
}

/// An app's calls a day for one of its pools; `None`: without end.
#[must_use]
pub fn daily_quota(app: &App, kind: TokenKind) -> Option<u32> {
    match app.settings.daily_quota {
        Some(0) => None,
        Some(limit) => Some(limit),
        None => default_daily_quota(kind),
    }
}

/// What comes in besides the pool: the request, and what only the outside knows.
#[derive(Clone, Copy)]
pub struct AccessAsk {
    /// Which pool.
    pub kind: TokenKind,
    /// `force_refresh`.
    pub force: bool,
    /// How many callers wait for this one answer. They came before it was decided, so each of them
    /// gets a token that is newer than its request, and none a token that a neighbour superseded.
    pub callers: u32,
    /// Calls of today that were granted and that the pool does not know of yet.
    pub unsaved: u32,
    /// The store's epoch.
    pub epoch: StoreEpoch,
    /// The clock's reading.
    pub now: Timestamp,
}

/// What was decided.
pub struct AccessDecision {
    /// The pool with the token to hand out in `current`; its `revision` is that of the pool it was
    /// decided on.
    pub pool: Pool,
    /// Whether the store must take it before the token is handed out.
    pub change: PoolChange,
    /// How many of the callers may have it; the rest are over the daily quota. The pool has counted them.
    pub granted: u32,
}

/// What became of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolChange {
    /// Nothing; the token that was there is good. The calls may be counted in memory.
    Unchanged,
    /// The token that was there is good, and so many calls were counted in memory that they are to be stored.
    Counted,
    /// The same token, good for longer.
    Extended,
    /// A new token.
    Minted,
}

/// Decides which token an app gets.
///
/// # Errors
///
/// [`Refusal::QuotaExhausted`] if not one of the callers may have it; [`Refusal::AccessDenied`] for a
/// kind of token that no app has of its own.
///
/// Source: WeChat, "both new and old `access_token` values are available within five minutes";
/// DingTalk, "Repeated requests within the validity period return the same result and automatically
/// extend the validity. After expiration, a new access token is returned."
pub fn access(caller: &AuthenticClient, current: &Pool, ask: &AccessAsk) -> Result<AccessDecision, Refusal> {
    let app = caller.app();
    let mut pool = current.clone();
    if pool.quota_day != ask.now.quota_day() {
        pool.quota_day = ask.now.quota_day();
        pool.used_today = 0;
        pool.forced_today = 0;
    }
    pool.used_today = pool.used_today.saturating_add(ask.unsaved);
    // A token of before a mass revocation is dead whatever its times say.
    let live =
        (ask.now < pool.current.expires_at && pool.token_epoch == app.token_epoch).then_some(pool.current);

    match (ask.kind, live) {
        (TokenKind::DingTalkToken, Some(_)) => extended(app, pool, ask),
        (TokenKind::WeChatStable, Some(held)) if keeps(app, &pool, &held, ask) => kept(app, pool, ask),
        (TokenKind::WeChatToken | TokenKind::WeChatStable | TokenKind::DingTalkToken, _) => {
            minted(app, pool, live, ask)
        }
        (
            TokenKind::Code
            | TokenKind::ChallengedCode
            | TokenKind::GrantAccess
            | TokenKind::GrantRefresh
            | TokenKind::Ticket
            | TokenKind::CardTicket,
            _,
        ) => Err(Refusal::AccessDenied),
    }
}

/// Whether `stable_token` returns the current token: in the first half of a life that was set short, or each call
/// would mint, and end the token before last.
fn keeps(app: &App, pool: &Pool, held: &Held, ask: &AccessAsk) -> bool {
    if ask.force {
        return pool.forced_at.is_some_and(|at| at <= ask.now && ask.now < at.after(FORCED_APART));
    }
    if held.issued_at.since(ask.now) > app.access_lifetime() {
        // By a clock that was set back since: it would be the same token for as long as that clock was ahead.
        return false;
    }
    let half = app.access_lifetime().checked_div(2).unwrap_or_default();
    held.expires_at.since(ask.now) >= STABLE_REMAINING_MIN.min(half)
}

/// Counts the callers who may have the token; how many those are comes back.
fn counted(app: &App, pool: &mut Pool, ask: &AccessAsk) -> Result<u32, Refusal> {
    let granted = match daily_quota(app, ask.kind) {
        Some(limit) => ask.callers.min(limit.saturating_sub(pool.used_today)),
        None => ask.callers,
    };
    if granted == 0 {
        return Err(Refusal::QuotaExhausted);
    }
    pool.used_today = pool.used_today.saturating_add(granted);
    Ok(granted)
}

fn kept(app: &App, mut pool: Pool, ask: &AccessAsk) -> Result<AccessDecision, Refusal> {
    let granted = counted(app, &mut pool, ask)?;
    let unsaved = ask.unsaved.saturating_add(granted);
    let is_much = daily_quota(app, ask.kind).is_some_and(|limit| unsaved > limit / UNSAVED_PART);
    let change = if is_much { PoolChange::Counted } else { PoolChange::Unchanged };
    Ok(AccessDecision { pool, change, granted })
}

fn extended(app: &App, mut pool: Pool, ask: &AccessAsk) -> Result<AccessDecision, Refusal> {
    let granted = counted(app, &mut pool, ask)?;
    pool.current.expires_at = ask.now.after(app.access_lifetime());
    Ok(AccessDecision { pool, change: PoolChange::Extended, granted })
}

fn minted(app: &App, mut pool: Pool, live: Option<Held>, ask: &AccessAsk) -> Result<AccessDecision, Refusal> {
    let granted = counted(app, &mut pool, ask)?;
    let is_forced = ask.force && ask.kind == TokenKind::WeChatStable;
    if is_forced && pool.forced_today >= FORCED_A_DAY_MAX {
        return Err(Refusal::QuotaExhausted);
    }
    if is_forced {
        pool.forced_today = pool.forced_today.saturating_add(1);
        pool.forced_at = Some(ask.now);
    }
    pool.previous =
        live.map(|held| Held { expires_at: held.expires_at.min(ask.now.after(app.overlap())), ..held });
    pool.current = Held {
        generation: pool.current.generation.next(ask.epoch),
        issued_at: ask.now,
        expires_at: ask.now.after(app.access_lifetime()),
    };
    pool.token_epoch = app.token_epoch;
    Ok(AccessDecision { pool, change: PoolChange::Minted, granted })
}

/// The pool of an app that never had a token of this kind. The store does not know it yet.
#[must_use]
pub fn empty_pool(app: &App, kind: TokenKind, salt: Salt) -> Pool {
    let never = Timestamp::from_unix_ms(i64::MIN);
    Pool {
        key: PoolKey { app: app.no, kind },
        salt,
        current: Held { generation: Generation::default(), issued_at: never, expires_at: never },
        previous: None,
        token_epoch: app.token_epoch,
        quota_day: never.quota_day(),
        used_today: 0,
        forced_today: 0,
        forced_at: None,
        revision: 0,
    }
}

/// How much longer the current token is good, in whole seconds; never more than its lifetime, also when
/// the clock was set back since it was minted.
#[must_use]
pub fn remaining(app: &App, held: &Held, now: Timestamp) -> Duration {
    let left = held.expires_at.since(now).min(app.access_lifetime());
    Duration::from_secs(left.as_secs())
}

#[cfg(test)]
mod tests;
