//! Exchanging codes: once per code whatever crashes, and the same answer for a caller that asks again.

mod attempt;

use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::ident::{ConsumerName, CustomerId};
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey, ExchangeStage};
use mintkeep_protocol::keep::slot::{LeaseFence, Trouble};
use mintkeep_protocol::port::keeper_store::{Commit, Stored};
use mintkeep_protocol::secret::AuthCode;
use tokio::time::Instant;

use self::attempt::Attempt;
use crate::flight::{Boarding, Pilot};
use crate::keeper::{Keeper, store_trouble};
use crate::lease::{self, Lease};
use crate::roster::Account;

/// How long the end of an exchange is remembered: far longer than any code lives.
const REMEMBERED: Duration = Duration::from_hours(24);
/// How many exchanges that were left open are taken up at once.
const TAKEN_UP_MAX: u32 = 10_000;
/// How often one exchange is presented under one lease, and how often its lease is tried for.
const TRIES_MAX: u32 = 8;

/// What an exchange bought.
#[derive(Debug, Clone)]
pub struct Exchanged {
    /// Whose tokens these are now.
    pub customer: CustomerId,
    by: ConsumerName,
}

/// Why an exchange bought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeFailure {
    /// It never will: the customer must authorize anew.
    Ended {
        /// Why.
        because: Trouble,
        /// The platform's own code.
        code: Option<String>,
    },
    /// Another consumer presented this code.
    NotYours,
    /// Not now; the same code may be tried again.
    Later(Trouble),
    /// The credential has no customers.
    NoCustomers,
}

pub(crate) type ExchangeLanded = Result<Exchanged, ExchangeFailure>;

impl Keeper {
    /// Exchanges a code, or gives what its exchange gave before.
    ///
    /// # Errors
    ///
    /// [`ExchangeFailure`].
    pub async fn exchange(
        self: &Arc<Self>,
        account: &Arc<Account>,
        code: AuthCode,
        consumer: &ConsumerName,
    ) -> Result<Exchanged, ExchangeFailure> {
        if !account.is_per_customer() {
            return Err(ExchangeFailure::NoCustomers);
        }
        let key = ExchangeKey::of(account.credential.no, &code);
        let ticket = match self.exchanges.board(&key) {
            Boarding::Joined(ticket) => ticket,
            Boarding::First(pilot, ticket) => {
                let (keeper, account) = (Arc::clone(self), Arc::clone(account));
                let asked = Asked { key, code: Some(code), by: Some(consumer.clone()) };
                self.tasks.spawn(async move { run_to_end(&keeper, &account, asked, &pilot).await });
                ticket
            }
        };
        let landed = tokio::time::timeout(self.settings.caller_wait_max, ticket.landed()).await;
        let exchanged = landed.ok().flatten().unwrap_or(Err(ExchangeFailure::Later(Trouble::Ambiguous)))?;
        if exchanged.by == *consumer { Ok(exchanged) } else { Err(ExchangeFailure::NotYours) }
    }

    /// Takes up what was presented and is still open: the process that was at it may have ended. If it has not,
    /// its lease is waited for like any other's.
    pub(crate) async fn take_up_exchanges(self: &Arc<Self>) -> Stored<()> {
        for exchange in self.store.open_exchanges(TAKEN_UP_MAX).await? {
            let key = exchange.key;
            if let Some(account) = self.roster.account_by_no(key.credential)
                && let Boarding::First(pilot, _) = self.exchanges.board(&key)
            {
                let keeper = Arc::clone(self);
                let asked = Asked { key, code: None, by: None };
                self.tasks.spawn(async move { run_to_end(&keeper, &account, asked, &pilot).await });
            }
        }
        Ok(())
    }
}

/// What is to be exchanged; without the code only what was presented before can be settled.
struct Asked {
    key: ExchangeKey,
    code: Option<AuthCode>,
    by: Option<ConsumerName>,
}

/// How long what was presented, and could not be settled, is left alone.
const SETTLE_EVERY: Duration = Duration::from_secs(5);

/// Tells the result, and then goes on until nothing that was presented is left open: its answer may be
/// there, and nobody may ever ask again. What was put off is over at once, for whoever has the code to try it again.
async fn run_to_end(
    keeper: &Arc<Keeper>,
    account: &Arc<Account>,
    asked: Asked,
    pilot: &Pilot<ExchangeKey, ExchangeLanded>,
) {
    let key = asked.key;
    let mut landed = run(keeper, account, asked).await;
    pilot.land(landed.clone());
    while matches!(landed, Err(ExchangeFailure::Later(_))) {
        let found = keeper.insist(|| keeper.store.exchange(&key)).await.flatten();
        if found.is_none_or(|found| found.intent.is_none()) {
            return;
        }
        tokio::select! {
            biased;
            () = keeper.tasks.stopping() => return,
            () = tokio::time::sleep(SETTLE_EVERY) => {}
        }
        landed = run(keeper, account, Asked { key, code: None, by: None }).await;
        pilot.land(landed.clone());
    }
}

enum Taken {
    Mine(Exchange, Lease),
    Over(ExchangeLanded),
}

async fn run(keeper: &Arc<Keeper>, account: &Arc<Account>, asked: Asked) -> ExchangeLanded {
    let landed = match take(keeper, &asked).await {
        Err(trouble) => Err(ExchangeFailure::Later(trouble)),
        Ok(Taken::Over(landed)) => landed,
        Ok(Taken::Mine(exchange, lease)) => {
            let account = Arc::clone(account);
            Attempt { keeper, account, exchange, lease, code: asked.code, debited: None }.go().await
        }
    };
    let outcome = match &landed {
        Ok(_) => "done",
        Err(ExchangeFailure::Ended { because: Trouble::InDoubt, .. }) => "in_doubt",
        Err(ExchangeFailure::Ended { .. } | ExchangeFailure::NotYours | ExchangeFailure::NoCustomers) => {
            "refused"
        }
        Err(ExchangeFailure::Later(_)) => "later",
    };
    metrics::counter!("mintkeep_keeper_exchanges_total", "outcome" => outcome).increment(1);
    landed
}

async fn take(keeper: &Keeper, asked: &Asked) -> Result<Taken, Trouble> {
    for _ in 0..TRIES_MAX {
        let found = keeper.store.exchange(&asked.key).await;
        let mut exchange = match found.map_err(|error| store_trouble(&error))? {
            Some(found) => {
                if let Some(landed) = ended(&found) {
                    return Ok(Taken::Over(landed));
                }
                if asked.by.as_ref().is_some_and(|by| *by != found.consumer) {
                    return Ok(Taken::Over(Err(ExchangeFailure::NotYours)));
                }
                if asked.code.is_none() && found.intent.is_none() {
                    // It was put off meanwhile: it is for whoever has the code.
                    return Err(Trouble::Forgotten);
                }
                if is_held_elsewhere(keeper, &found) && !is_outwaited(keeper, &found).await {
                    continue;
                }
                found
            }
            None => fresh(keeper, asked).ok_or(Trouble::Forgotten)?,
        };
        let (lease, now) = (Lease::ask(), keeper.clock.now());
        if exchange.intent.is_none() {
            // One that was put off begins again: its end is remembered from now on.
            exchange.begun_at = now;
        }
        exchange.fence = exchange.fence.next();
        exchange.stage = ExchangeStage::Open { by: Some(keeper.me) };
        let taken = keeper.store.take_exchange(&exchange, now.before(REMEMBERED)).await;
        if taken.map_err(|error| store_trouble(&error))? == Commit::Done {
            exchange.revision = exchange.revision.saturating_add(1);
            return Ok(Taken::Mine(exchange, lease));
        }
    }
    Err(Trouble::Store)
}

fn fresh(keeper: &Keeper, asked: &Asked) -> Option<Exchange> {
    Some(Exchange {
        key: asked.key,
        consumer: asked.by.clone()?,
        begun_at: keeper.clock.now(),
        stage: ExchangeStage::Open { by: None },
        fence: LeaseFence(0),
        intent: None,
        revision: 0,
    })
}

/// What an exchange that has ended answers for ever.
fn ended(exchange: &Exchange) -> Option<ExchangeLanded> {
    match &exchange.stage {
        ExchangeStage::Open { .. } => None,
        ExchangeStage::Done { customer, .. } => {
            Some(Ok(Exchanged { customer: customer.clone(), by: exchange.consumer.clone() }))
        }
        ExchangeStage::Failed { trouble, code } => {
            Some(Err(ExchangeFailure::Ended { because: *trouble, code: code.clone() }))
        }
    }
}

fn is_held_elsewhere(keeper: &Keeper, exchange: &Exchange) -> bool {
    let held = matches!(exchange.stage, ExchangeStage::Open { by: Some(by) } if by != keeper.me);
    held && keeper.store.is_shared()
}

async fn is_outwaited(keeper: &Keeper, held: &Exchange) -> bool {
    let is_held = || async {
        let found = keeper.store.exchange(&held.key).await.map_err(|error| store_trouble(&error))?;
        Ok(found.is_some_and(|found| found.fence == held.fence && found.stage == held.stage))
    };
    lease::is_outwaited(keeper, Instant::now(), is_held).await
}

const fn later(trouble: Trouble) -> ExchangeLanded {
    Err(ExchangeFailure::Later(trouble))
}
