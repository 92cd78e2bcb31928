//! How many durable changes a second a store makes: what `mintkeep serve` does with it, without HTTP.

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use mintkeep_bench::{Stopwatch, percentile, tell};
use mintkeep_protocol::ident::{CustomerId, RecordId, Scope};
use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore};
use mintkeep_protocol::record::{
    ActiveTokens, AuditAction, AuditEntry, Grant, GrantStage, Held, Pool, PoolKey,
};
use mintkeep_protocol::request::RequestDigest;
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_protocol::token::{Generation, Salt, TokenKind};
use mintkeep_store::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

/// Makes changes for a while, and prints how many it made.
#[derive(Parser)]
struct Arguments {
    /// The URL of a PostgreSQL database, or the folder of an embedded store; its tables are made if they are not there.
    place: String,
    /// What is measured.
    #[arg(value_enum)]
    work: Work,
    /// How many ask at once, each waiting for its answer before it asks again.
    clients: NonZeroU32,
    /// For how long, in seconds; of `fill`, how many thousand grants; of `churn`, how many thousand changes.
    amount: u32,
    /// Of `fill`, how often as many were filled before: their numbers are taken. Of `churn`, how many thousand
    /// changes there were before: the first ones make the grants.
    #[arg(default_value_t = 0)]
    before: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// A new token of an app's pool, with its audit line: each client has an app of its own.
    Mint,
    /// A code becomes a grant, with its audit line. The codes are issued beforehand.
    Exchange,
    /// Codes are issued, and each becomes a grant at once.
    Fill,
    /// Ten thousand grants get new tokens again and again, in turn. Audit lines are kept for [`CHURN_AUDIT_KEPT`].
    Churn,
}

/// How many grants `churn` goes over.
const CHURNED_GRANTS: u32 = 10_000;

/// How long `churn` keeps audit lines, so that it lasts many times as long as they do, as a server does.
const CHURN_AUDIT_KEPT: Duration = Duration::from_secs(10);

/// A moment in 2027. The records' times are not what is measured.
const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// Goes on from [`NOW`].
struct Running(Stopwatch);

impl Clock for Running {
    fn now(&self) -> Timestamp {
        NOW.after(self.0.elapsed())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let clock = Arc::new(Running(Stopwatch::start()));
    let store = open(&arguments, clock.clone()).await?;
    let wanted = Duration::from_secs(arguments.amount.into());
    let grants_each = match arguments.work {
        Work::Mint | Work::Fill | Work::Churn => 0,
        // More than any client exchanges in that time.
        Work::Exchange => arguments.amount.saturating_mul(40_000) / arguments.clients,
    };
    let issued = at_once(&arguments, |client| issue(store.clone(), client, 0..grants_each)).await?;
    let watch = Stopwatch::start();
    let mut waits = match arguments.work {
        Work::Mint => at_once(&arguments, |client| mint(store.clone(), client, wanted)).await?,
        Work::Exchange => {
            at_once(&arguments, |client| exchange(store.clone(), client, 0..grants_each, wanted)).await?
        }
        Work::Fill => {
            let grants = arguments.amount.saturating_mul(1_000) / arguments.clients;
            let first = grants.saturating_mul(arguments.before);
            at_once(&arguments, |client| fill(store.clone(), client, first..first.saturating_add(grants)))
                .await?
        }
        Work::Churn => {
            let rounds = |thousands: u32| thousands.saturating_mul(1_000) / CHURNED_GRANTS;
            let first = rounds(arguments.before);
            let rounds = first..first.saturating_add(rounds(arguments.amount));
            let grants = CHURNED_GRANTS / arguments.clients;
            at_once(&arguments, |client| {
                churn((store.clone(), clock.clone()), client, grants, rounds.clone())
            })
            .await?
        }
    };
    let took = watch.elapsed();
    waits.sort_unstable();
    let changes = u32::try_from(waits.len())?;
    tell(&serde_json::json!({
        "changes": changes,
        "codes": issued.len(),
        "changes_per_s": f64::from(changes) / took.as_secs_f64(),
        "p50_ms": percentile(&waits, 50).as_secs_f64() * 1_000.0,
        "p99_ms": percentile(&waits, 99).as_secs_f64() * 1_000.0,
    }));
    Ok(())
}

async fn open(arguments: &Arguments, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn IssuerStore>> {
    let place = &arguments.place;
    let audit_retention = match arguments.work {
        Work::Churn => CHURN_AUDIT_KEPT,
        Work::Mint | Work::Exchange | Work::Fill => PostgresOptions::AUDIT_RETENTION,
    };
    if !place.starts_with("postgres") {
        return Ok(SqliteStore::open(Path::new(place), SqliteOptions { clock, audit_retention })?);
    }
    PostgresStore::migrate(place, &mut |_| {}).await?;
    let options = PostgresOptions { audit_retention, ..PostgresOptions::new(clock) };
    Ok(PostgresStore::open(place, options).await?)
}

/// Runs one task for each client; all that they waited.
async fn at_once<F: Future<Output = anyhow::Result<Vec<Duration>>> + Send + 'static>(
    arguments: &Arguments,
    work: impl Fn(u32) -> F,
) -> anyhow::Result<Vec<Duration>> {
    let mut clients = JoinSet::new();
    for client in 0..arguments.clients.get() {
        clients.spawn(work(client));
    }
    let mut waits = Vec::new();
    while let Some(client) = clients.join_next().await {
        waits.extend(client??);
    }
    Ok(waits)
}

async fn mint(store: Arc<dyn IssuerStore>, client: u32, wanted: Duration) -> anyhow::Result<Vec<Duration>> {
    let key = PoolKey { app: RecordId::from_number(client.into()), kind: TokenKind::WeChatToken };
    let found = store.pool(key).await?.map_or(0, |pool| pool.revision);
    let mut pool = Pool {
        key,
        salt: Salt([5; 16]),
        current: held(1),
        previous: None,
        token_epoch: 0,
        quota_day: 20_833,
        used_today: 1,
        forced_today: 0,
        forced_at: None,
        revision: found,
    };
    let watch = Stopwatch::start();
    let mut waits = Vec::new();
    while watch.elapsed() < wanted {
        pool.previous = Some(pool.current);
        pool.current = held(pool.revision.saturating_add(2));
        let asked = Stopwatch::start();
        let done = store.commit_access(pool.clone(), Some(line(AuditAction::TokenMinted))).await?;
        ensure!(done == Commit::Done, "nobody else mints for this app");
        waits.push(asked.elapsed());
        pool.revision = pool.revision.saturating_add(1);
    }
    Ok(waits)
}

/// Issues codes, numbered as if each had been made a millisecond after the one before.
async fn issue(
    store: Arc<dyn IssuerStore>,
    client: u32,
    rounds: Range<u32>,
) -> anyhow::Result<Vec<Duration>> {
    let mut waits = Vec::new();
    for round in rounds {
        let asked = Stopwatch::start();
        let done = store.commit_grant(code(client, round)?, line(AuditAction::CodeIssued)).await?;
        ensure!(done == Commit::Done, "give each run a database of its own");
        waits.push(asked.elapsed());
    }
    Ok(waits)
}

async fn exchange(
    store: Arc<dyn IssuerStore>,
    client: u32,
    rounds: Range<u32>,
    wanted: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let tokens = ActiveTokens {
        access: held(1),
        refresh_expires_at: NOW.after(Duration::from_hours(24 * 30)),
        previous: None,
        made_by: Some(RequestDigest([6; 16])),
    };
    let watch = Stopwatch::start();
    let mut waits = Vec::new();
    for round in rounds {
        if watch.elapsed() >= wanted {
            break;
        }
        let mut grant = code(client, round)?;
        grant.stage = GrantStage::Active { spent_at: NOW, tokens };
        grant.revision = 1;
        let asked = Stopwatch::start();
        let done = store.commit_grant(grant, line(AuditAction::CodeExchanged)).await?;
        ensure!(done == Commit::Done, "nobody else exchanges this code");
        waits.push(asked.elapsed());
    }
    Ok(waits)
}

async fn fill(store: Arc<dyn IssuerStore>, client: u32, rounds: Range<u32>) -> anyhow::Result<Vec<Duration>> {
    let mut waits = Vec::new();
    for round in rounds {
        let this = round..round.saturating_add(1);
        waits.extend(issue(store.clone(), client, this.clone()).await?);
        waits.extend(exchange(store.clone(), client, this, Duration::MAX).await?);
    }
    Ok(waits)
}

/// Each change is the one after a round: the first issues the code, the second exchanges it, the others refresh.
async fn churn(
    (store, clock): (Arc<dyn IssuerStore>, Arc<dyn Clock>),
    client: u32,
    grants: u32,
    rounds: Range<u32>,
) -> anyhow::Result<Vec<Duration>> {
    let mut waits = Vec::new();
    for round in rounds {
        for number in 0..grants {
            let mut grant = code(client, number)?;
            grant.revision = round.into();
            let action = if round == 0 {
                AuditAction::CodeIssued
            } else {
                let tokens = ActiveTokens {
                    access: held(round.into()),
                    refresh_expires_at: NOW.after(Duration::from_hours(24 * 30)),
                    previous: Some(held(i64::from(round).saturating_sub(1))),
                    made_by: Some(RequestDigest([6; 16])),
                };
                grant.stage = GrantStage::Active { spent_at: NOW, tokens };
                AuditAction::TokenRefreshed
            };
            let asked = Stopwatch::start();
            let done = store.commit_grant(grant, AuditEntry { at: clock.now(), ..line(action) }).await?;
            ensure!(done == Commit::Done, "nobody else changes this grant");
            waits.push(asked.elapsed());
        }
    }
    Ok(waits)
}

fn code(client: u32, round: u32) -> anyhow::Result<Grant> {
    let made_at = NOW.after(Duration::from_millis(round.into()));
    let number =
        u64::from(round).wrapping_mul(4_096).wrapping_add(client.into()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Ok(Grant {
        id: RecordId::new(made_at, client),
        app: RecordId::from_number(i64::from(client % 16)),
        customer: CustomerId::parse(&format!("2160{:012}", number % 1_000_000_000_000))?,
        scopes: vec![Scope::parse("auth_user").context("a scope")?],
        salt: Salt([5; 16]),
        stage: GrantStage::Issued { binding: None },
        token_epoch: 0,
        code_expires_at: made_at.after(Duration::from_mins(10)),
        revision: 0,
    })
}

fn held(generation: i64) -> Held {
    let expires_at = NOW.after(Duration::from_hours(2));
    Held { generation: Generation::from_number(generation), issued_at: NOW, expires_at }
}

fn line(action: AuditAction) -> AuditEntry {
    AuditEntry {
        at: NOW,
        actor: "app wx0000000000000001".into(),
        action,
        subject: "grant 140512345678901".into(),
        address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        request_id: "6aac005a-01bfdbee-79769285".into(),
    }
}
