//! One change of an app's pool at a time, shared by all who wait for it.
//!
//! If each of many concurrent callers minted a token of its own, all but the last two would be dead on
//! arrival. So who comes while a change is under way waits for the next one, and all who wait get the same
//! new token: newer than each of their requests, and good when it is handed out. On the disk that is one
//! write, not many.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use mintkeep_protocol::issue::access::{AccessAsk, PoolChange, access, empty_pool};
use mintkeep_protocol::issue::authenticate::AuthenticClient;
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::{AuditAction, Pool, PoolKey};
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::TokenKind;
use mintkeep_web::arrival::Arrival;
use tokio::sync::oneshot;

use super::{COMMIT_TRIES, Extensions, Failure, Issuer};

/// How many callers may wait for one pool's next change. More are told to come back.
const WAITING_MAX: usize = 4_096;

/// The lines of callers, one for each pool and way to ask.
#[derive(Default)]
pub struct Desk(Mutex<HashMap<LineKey, Vec<Waiter>>>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct LineKey {
    pool: PoolKey,
    force: bool,
    /// Of the app that a caller was let in on. All who share a token share its guard, which is the app's revision.
    app_revision: i64,
}

struct Waiter {
    client: AuthenticClient,
    arrival: Arrival,
    answer: oneshot::Sender<Result<Settled, Failure>>,
}

/// A pool whose current token may be handed out.
#[derive(Clone)]
pub(super) struct Settled {
    /// The pool.
    pub pool: Arc<Pool>,
    /// The clock's reading that it was decided on: lifetimes are told from then.
    pub at: Timestamp,
}

impl Issuer {
    /// The pool with the token that `client` may be given.
    pub(super) async fn app_token_pool(
        self: &Arc<Self>,
        client: &AuthenticClient,
        (kind, force): (TokenKind, bool),
        arrival: &Arrival,
    ) -> Result<Settled, Failure> {
        let key = PoolKey { app: client.app().no, kind };
        // A call that always mints is counted in its turn alone.
        if kind != TokenKind::WeChatToken
            && let Some(stored) = self.store.pool(key).await?
            && let Some(settled) = self.settled_without_write(client, &stored, (kind, force))?
        {
            return Ok(settled);
        }
        let (answer, answered) = oneshot::channel();
        let waiter = Waiter { client: client.clone(), arrival: *arrival, answer };
        let line = LineKey { pool: key, force, app_revision: client.app().revision };
        self.join_line(line, waiter)?;
        answered.await.unwrap_or(Err(Failure::Busy))
    }

    /// What one caller gets if nothing has to be stored for it. Its call is counted in memory, before it is
    /// decided on, so that calls at the same time see each other.
    fn settled_without_write(
        &self,
        client: &AuthenticClient,
        stored: &Pool,
        (kind, force): (TokenKind, bool),
    ) -> Result<Option<Settled>, Refusal> {
        let key = stored.key;
        let mut ask = self.access_ask(kind, force, 1);
        ask.unsaved = self.tally.add(key, ask.now, 1);
        let decided = access(client, &self.extensions.exact(stored), &ask);
        if let Ok(decision) = &decided {
            let promised = decision.pool.current.expires_at;
            let is_stored = match decision.change {
                PoolChange::Unchanged => true,
                PoolChange::Extended => Extensions::stored_end(promised) == stored.current.expires_at,
                PoolChange::Counted | PoolChange::Minted => false,
            };
            if is_stored {
                if decision.change == PoolChange::Extended {
                    self.extensions.promise(key, promised);
                }
                return Ok(Some(Settled { pool: Arc::new(decision.pool.clone()), at: ask.now }));
            }
        }
        self.tally.take_back(key, ask.now);
        decided.map(|_needs_a_write| None)
    }

    /// Puts a caller into line; the first one starts the task that serves it.
    ///
    /// The task does not belong to any caller: one that goes away takes nothing with it.
    fn join_line(self: &Arc<Self>, key: LineKey, waiter: Waiter) -> Result<(), Failure> {
        let mut lines = self.desk.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(&key) {
            if line.len() >= WAITING_MAX {
                return Err(Failure::Busy);
            }
            line.push(waiter);
            return Ok(());
        }
        lines.insert(key, vec![waiter]);
        let issuer = Arc::clone(self);
        self.tasks.spawn(async move {
            while let Some(waiters) = issuer.next_in_line(key) {
                // Whoever waited is told to come back if it panics. The line goes on: nobody else serves whoever joins it.
                let _panicked = AssertUnwindSafe(issuer.serve(key, waiters)).catch_unwind().await;
            }
        });
        Ok(())
    }

    /// Everyone who waits by now; `None`, and the line is gone, when nobody does.
    fn next_in_line(&self, key: LineKey) -> Option<Vec<Waiter>> {
        let mut lines = self.desk.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiters = std::mem::take(lines.get_mut(&key)?);
        if waiters.is_empty() {
            lines.remove(&key);
            return None;
        }
        Some(waiters)
    }

    async fn serve(&self, key: LineKey, waiters: Vec<Waiter>) {
        let Some(first) = waiters.first() else { return };
        let callers = u32::try_from(waiters.len()).unwrap_or(u32::MAX);
        match self.change_pool(key, (&first.client, &first.arrival), callers).await {
            Ok((settled, granted)) => {
                let granted = usize::try_from(granted).unwrap_or(usize::MAX);
                for (place, waiter) in waiters.into_iter().enumerate() {
                    let answer = if place < granted {
                        Ok(settled.clone())
                    } else {
                        Err(Refusal::QuotaExhausted.into())
                    };
                    // Whoever went away meanwhile is not waited for.
                    let _gone = waiter.answer.send(answer);
                }
            }
            Err(failure) => {
                for waiter in waiters {
                    let _gone = waiter.answer.send(Err(failure.clone()));
                }
            }
        }
    }

    /// Load, decide, commit: for as many callers as wait.
    async fn change_pool(
        &self,
        key: LineKey,
        (client, arrival): (&AuthenticClient, &Arrival),
        callers: u32,
    ) -> Result<(Settled, u32), Failure> {
        for _try in 0..COMMIT_TRIES {
            let current = match self.store.pool(key.pool).await? {
                Some(stored) => self.extensions.exact(&stored),
                None => empty_pool(client.app(), key.pool.kind, self.salt()),
            };
            let mut ask = self.access_ask(key.pool.kind, key.force, callers);
            let taken = self.tally.take(key.pool, ask.now);
            ask.unsaved = taken.calls();
            let decision = access(client, &current, &ask)?;
            let promised = decision.pool.current.expires_at;
            let settled = |pool| Ok((Settled { pool: Arc::new(pool), at: ask.now }, decision.granted));
            let mut pool = decision.pool;
            let audit = match decision.change {
                PoolChange::Unchanged => {
                    self.tally.add(key.pool, ask.now, decision.granted);
                    return settled(pool);
                }
                PoolChange::Counted => None,
                PoolChange::Extended => {
                    pool.current.expires_at = Extensions::stored_end(promised);
                    None
                }
                PoolChange::Minted => {
                    if key.pool.kind == TokenKind::DingTalkToken {
                        pool.current.expires_at = Extensions::stored_end(promised);
                    }
                    let id = &client.app().id;
                    Some(self.audit(format_args!("app {id}"), AuditAction::TokenMinted, id, arrival))
                }
            };
            if self.store.commit_access_for(client.app(), pool.clone(), audit).await? == Commit::Done {
                if key.pool.kind == TokenKind::DingTalkToken {
                    self.extensions.promise(key.pool, promised);
                    pool.current.expires_at = promised;
                }
                taken.stored();
                return settled(pool);
            }
            self.still_lets_in(client).await?;
        }
        Err(Failure::Busy)
    }

    fn access_ask(&self, kind: TokenKind, force: bool, callers: u32) -> AccessAsk {
        AccessAsk { kind, force, callers, unsaved: 0, epoch: self.epoch, now: self.clock.now() }
    }
}
