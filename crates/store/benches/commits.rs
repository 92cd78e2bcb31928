//! How many durable commits a second the embedded store takes: `cargo bench -p mintkeep-store`.
//!
//! Each task does as the issuer does: it issues a code, exchanges it, and refreshes what it got, one audit
//! line each; every fourth task renews its app's pool instead. The folder is the system's temporary one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that fails may stop")]
#![expect(clippy::arithmetic_side_effects, reason = "rounds and commits are small numbers")]
#![expect(clippy::print_stdout, reason = "a measurement prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the stopwatch")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mintkeep_protocol::ident::{CustomerId, RecordId, Scope};
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::record::{
    ActiveTokens, AuditAction, AuditEntry, Grant, GrantStage, Held, Pool, PoolKey,
};
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_protocol::token::{Generation, Salt, TokenKind};
use mintkeep_store::{SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

const MEASURED_FOR_S: u32 = 4;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    for tasks in [1, 16, 64, 256] {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), SqliteOptions::new(Arc::new(Still))).unwrap();
        measure(store, tasks).await;
    }
}

async fn measure(store: Arc<SqliteStore>, tasks: u32) {
    let until = Instant::now() + Duration::from_secs(MEASURED_FOR_S.into());
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let store = store.clone();
        running.spawn(async move {
            let mut waits = Vec::new();
            let mut round = 0;
            while Instant::now() < until {
                if task % 4 == 3 {
                    renew(&*store, task, round, &mut waits).await;
                } else {
                    live(&*store, task, round, &mut waits).await;
                }
                round += 1;
            }
            waits
        });
    }
    let mut waits: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
    waits.sort_unstable();
    let a_second = waits.len() / usize::try_from(MEASURED_FOR_S).unwrap();
    let at = |percent: usize| waits[waits.len() * percent / 100];
    println!("{tasks:>4} tasks: {a_second:>7} commits/s, p50 {:?}, p99 {:?}", at(50), at(99));
}

async fn live(store: &dyn IssuerStore, task: u32, round: i64, waits: &mut Vec<Duration>) {
    let tokens =
        ActiveTokens { access: held(1), refresh_expires_at: Still.now(), previous: None, made_by: None };
    let refreshed = ActiveTokens { access: held(2), previous: Some(held(1)), ..tokens };
    let made_at = Timestamp::from_unix_ms(Still.now().unix_ms() + round);
    let mut grant = Grant {
        id: RecordId::new(made_at, task),
        app: RecordId::from_number(1),
        customer: CustomerId::parse(&format!(
            "2160{:012}",
            (round * 256 + i64::from(task)) * 7919 % 1_000_003
        ))
        .unwrap(),
        scopes: vec![Scope::parse("auth_user").unwrap()],
        salt: Salt([5; 16]),
        stage: GrantStage::Issued { binding: None },
        token_epoch: 0,
        code_expires_at: Still.now(),
        revision: 0,
    };
    let stages = [GrantStage::Issued { binding: None }, active(tokens), active(refreshed)];
    for (revision, stage) in (0..).zip(stages) {
        grant.stage = stage;
        grant.revision = revision;
        let asked = Instant::now();
        store.commit_grant(grant.clone(), line(AuditAction::CodeExchanged)).await.unwrap();
        waits.push(asked.elapsed());
    }
}

async fn renew(store: &dyn IssuerStore, task: u32, round: i64, waits: &mut Vec<Duration>) {
    let pool = Pool {
        key: PoolKey { app: RecordId::from_number(i64::from(task)), kind: TokenKind::WeChatToken },
        salt: Salt([5; 16]),
        current: held(round + 1),
        previous: Some(held(round)),
        token_epoch: 0,
        quota_day: 20_833,
        used_today: 1,
        forced_today: 0,
        forced_at: None,
        revision: round,
    };
    let asked = Instant::now();
    store.commit_access(pool, Some(line(AuditAction::TokenMinted))).await.unwrap();
    waits.push(asked.elapsed());
}

fn active(tokens: ActiveTokens) -> GrantStage {
    GrantStage::Active { spent_at: Still.now(), tokens }
}

fn held(n: i64) -> Held {
    Held { generation: Generation::from_number(n), issued_at: Still.now(), expires_at: Still.now() }
}

fn line(action: AuditAction) -> AuditEntry {
    AuditEntry {
        at: Still.now(),
        actor: "app wx0000000000000001".into(),
        action,
        subject: "grant 140512345678901".into(),
        address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        request_id: "6aac005a-01bfdbee-79769285".into(),
    }
}
