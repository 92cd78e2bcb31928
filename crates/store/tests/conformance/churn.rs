//! Minting again and again for the same records: no row more, and no byte more once each record has been
//! changed a few times.

use std::time::Duration;

use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::Grant;
use mintkeep_protocol::token::TokenKind;
use mintkeep_store::PostgresStore;
use tokio::task::JoinSet;

use crate::cluster::{ask, new_database, open, run};
use crate::sample::{Store, active, audit, grant, held, open_sqlite, pool};

/// How many pools and how many grants there are.
const RECORDS: i64 = 1_000;

/// How many callers come at once, each with records of its own.
const CALLERS: i64 = 50;

/// After so many changes of each record the tables are as large as they get: each page has room for its rows'
/// next versions.
const WARM: i64 = 10;

/// As many changes again, four times over. Were their old versions kept, the tables would be several times as large.
const ROUNDS: i64 = 5 * WARM;

/// How many of the changes touch no index at least, of either table: the next version finds room on the row's own page.
const IN_PLACE_MIN: f64 = 0.9;

/// How often what is measured may go wrong. A connection that the machine keeps waiting in the middle of a statement keeps
/// all old versions for as long, and a table that has grown stays so.
const TRIES: usize = 3;

/// Fails if each of the tries gives a complaint.
async fn once_of_several(attempt: impl AsyncFn() -> Result<(), String>) {
    let mut complaints = Vec::new();
    while complaints.len() < TRIES {
        match attempt().await {
            Ok(()) => return,
            Err(complaint) => complaints.push(complaint),
        }
    }
    panic!("{complaints:#?}");
}

/// One of the grants, as a wallet has them.
fn nth(n: i64) -> Grant {
    grant(n, n % 16, CustomerId::parse(&format!("2160{n:012}")).unwrap().as_str())
}

/// Gives every record the changes of `rounds`, the first of which makes it.
async fn mint(store: &Store, rounds: std::ops::Range<i64>) {
    let mut asked = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, rounds) = (store.clone(), rounds.clone());
        asked.spawn(async move {
            for revision in rounds {
                for n in (caller..RECORDS).step_by(usize::try_from(CALLERS).unwrap()) {
                    let (mut pool, mut grant) = (pool(n, TokenKind::WeChatToken), nth(n));
                    (pool.revision, grant.revision) = (revision, revision);
                    (pool.current, pool.previous) = (held(revision + 1), Some(held(revision)));
                    grant.stage = active(Some(held(revision)), None);
                    let (minted, refreshed) =
                        tokio::join!(store.commit_access(pool, None), store.commit_grant(grant, audit("g")));
                    assert_eq!((minted.unwrap(), refreshed.unwrap()), (Commit::Done, Commit::Done));
                }
            }
        });
    }
    asked.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minting_again_and_again_leaves_the_tables_of_postgresql_as_large_as_they_were() {
    once_of_several(minted_again_and_again).await;
}

async fn minted_again_and_again() -> Result<(), String> {
    const BYTES: &str = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class \
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'audit'";
    const ROWS: &str = "SELECT (SELECT count(*) FROM pool) + (SELECT count(*) FROM grant_record)";
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    let issuer: Store = store.clone();
    mint(&issuer, 0..WARM).await;
    // What the server does by itself, a minute later.
    run(&url, "VACUUM pool, grant_record").await;
    let warm: i64 = ask(&url, BYTES).await;
    mint(&issuer, WARM..ROUNDS).await;
    let bytes: i64 = ask(&url, BYTES).await;
    // A busy page sends a version elsewhere now and then; an eighth more has been seen.
    if bytes > warm + warm / 2 {
        return Err(format!("{warm} bytes after {WARM} changes of each record, {bytes} after {ROUNDS}"));
    }
    assert_eq!(ask::<i64>(&url, ROWS).await, 2 * RECORDS);

    store.close();
    for table in ["pool", "grant_record"] {
        is_in_place(&url, table, RECORDS * (ROUNDS - 1)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apps_first_change_finds_room_on_its_own_page() {
    once_of_several(changed_once).await;
}

async fn changed_once() -> Result<(), String> {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    let issuer: Store = store.clone();
    mint(&issuer, 0..2).await;
    store.close();
    // Without that room 0.3 to 0.5 have been seen.
    is_in_place(&url, "pool", RECORDS).await
}

/// Complains if too many of a table's changes touched an index. A connection tells what it changed at its end at the
/// latest: all `changes` are waited for.
async fn is_in_place(url: &str, table: &str, changes: i64) -> Result<(), String> {
    let of_table = format!("FROM pg_stat_user_tables WHERE relname = '{table}'");
    let told = format!("SELECT n_tup_upd {of_table}");
    let all_told = async { while ask::<i64>(url, &told).await < changes {} };
    tokio::time::timeout(Duration::from_mins(1), all_told).await.unwrap();
    let share: f64 = ask(url, &format!("SELECT n_tup_hot_upd::float8 / n_tup_upd {of_table}")).await;
    let is_enough = share >= IN_PLACE_MIN;
    is_enough.then_some(()).ok_or_else(|| format!("{table}: {share:.3} of the changes touched no index"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minting_again_and_again_leaves_the_embedded_file_as_large_as_it_was() {
    const PAGES: &str = "SELECT count(*) FROM dbstat WHERE name NOT LIKE '%audit%'";
    const ROWS: &str = "SELECT (SELECT count(*) FROM pool) + (SELECT count(*) FROM grant_record)";
    let folder = tempfile::tempdir().unwrap();
    let store: Store = open_sqlite(folder.path());
    let db = rusqlite::Connection::open(folder.path().join("mintkeep.db")).unwrap();
    let ask = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    mint(&store, 0..WARM).await;
    let warm = ask(PAGES);
    mint(&store, WARM..ROUNDS).await;
    assert_eq!(ask(PAGES), warm, "pages after {ROUNDS} changes of each record, and after {WARM}");
    assert_eq!(ask(ROWS), 2 * RECORDS);
}
