//! What gathering many changes into one statement must not change: each stands and falls alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore, Stored};
use mintkeep_protocol::token::TokenKind;
use mintkeep_store::PostgresStore;
use tokio::task::JoinSet;

use crate::cluster::{new_database, open, run};
use crate::sample::{Store, audit, audited, grant, number, pool};

/// Ends every connection to this database but the one that says so.
const END_CONNECTIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

async fn two_replicas(setting: &str) -> (String, [Arc<PostgresStore>; 2]) {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    run(&url, setting).await;
    let stores = [open(&url).await, open(&url).await];
    (url, stores)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_fails_alone_spoils_no_other() {
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'refused'; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON audit FOR EACH ROW WHEN (new.subject = 'refused') \
         EXECUTE FUNCTION refuse()";
    let (_, [store, _]) = two_replicas(refuse).await;
    let mut asked = JoinSet::new();
    for id in 0..100 {
        let store = store.clone();
        let subject = if id == 50 { "refused" } else { "made" };
        asked.spawn(async move { (id, store.commit_grant(grant(id, 1, "c"), audit(subject)).await) });
    }
    while let Some(answered) = asked.join_next().await {
        let (id, answer) = answered.unwrap();
        match (id, answer) {
            (50, Err(error)) => assert!(error.to_string().contains("refused"), "{error}"),
            (50, Ok(commit)) => panic!("{commit:?} although its audit line can't be written"),
            (_, answer) => assert_eq!(answer.unwrap(), Commit::Done, "grant {id}"),
        }
        assert_eq!(store.grant(number(id)).await.unwrap().is_some(), id != 50);
    }
    let issuer: Store = store;
    assert_eq!(audited(&issuer).await.len(), 99);
}

/// Changes one grant again and again. An error leaves it unknown whether the change was made, so the grant is
/// loaded again; the answer `Lost` would be false, because nobody else changes it.
async fn change_often(store: Arc<PostgresStore>, id: i64, rounds: u32) -> u32 {
    let mut mine = grant(id, 1, "c");
    let mut unknown = 0;
    for _ in 0..rounds {
        match store.commit_grant(mine.clone(), audit("g")).await {
            Ok(Commit::Done) => mine.revision += 1,
            Ok(Commit::Lost) => panic!("grant {id} was lost at revision {} to nobody", mine.revision),
            Err(_) => {
                unknown += 1;
                let stored = loop {
                    if let Ok(stored) = store.grant(mine.id).await {
                        break stored.map_or(0, |stored| stored.revision);
                    }
                };
                assert!((mine.revision..=mine.revision + 1).contains(&stored), "one change at most");
                mine.revision = stored;
            }
        }
    }
    unknown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_loses_the_connection_hears_that_it_is_unknown_and_never_that_somebody_else_won() {
    let (url, [store, _]) = two_replicas("SELECT 1").await;
    let mut asked = JoinSet::new();
    for id in 0..32 {
        asked.spawn(change_often(store.clone(), id, 60));
    }
    let done = Arc::new(AtomicBool::new(false));
    let cut = {
        let done = done.clone();
        async move {
            let mut turn = tokio::time::interval(Duration::from_millis(20));
            while !done.load(Ordering::SeqCst) {
                turn.tick().await;
                run(&url, END_CONNECTIONS).await;
            }
        }
    };
    let work = async {
        let mut unknown = 0;
        while let Some(answered) = asked.join_next().await {
            unknown += answered.unwrap();
        }
        done.store(true, Ordering::SeqCst);
        unknown
    };
    let ((), unknown) = tokio::join!(cut, work);
    assert!(unknown > 0, "no connection was cut");
    assert!(change_often(store, 99, 20).await <= 1, "the last connection that was cut is soon replaced");
}

/// Both replicas change all grants, one from the first on, the other from the last.
async fn race(stores: &[Arc<PostgresStore>; 2]) -> Vec<(i64, Stored<Commit>)> {
    let mut asked = JoinSet::new();
    for n in 0..100 {
        for (store, id) in stores.iter().zip([n, 99 - n]) {
            let store = store.clone();
            let mut mine = grant(id, 1, "c");
            mine.revision = 1;
            asked.spawn(async move { (id, store.commit_grant(mine, audit("g")).await) });
        }
    }
    asked.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_two_replicas_each_change_has_one_winner_whatever_the_isolation() {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let setting = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = \
             {isolation:?}', current_database()); END $$"
        )
        .replace('"', "''");
        let (_, stores) = two_replicas(&setting).await;
        for id in 0..100 {
            stores[0].commit_grant(grant(id, 1, "c"), audit("made")).await.unwrap();
        }
        let mut winners = vec![0; 100];
        for (id, answer) in race(&stores).await {
            if answer.unwrap() == Commit::Done {
                winners[usize::try_from(id).unwrap()] += 1;
            }
        }
        assert_eq!(winners, [1; 100], "{isolation}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_changes_than_one_statement_takes_are_all_made() {
    let (_, [store, _]) = two_replicas("SELECT 1").await;
    let mut asked = JoinSet::new();
    for n in 0..2_000 {
        let store = store.clone();
        asked.spawn(async move {
            let (mut pool, mut grant) = (pool(n, TokenKind::WeChatToken), grant(n, 1, "c"));
            for revision in 0..2 {
                (pool.revision, grant.revision) = (revision, revision);
                let (minted, granted) = tokio::join!(
                    store.commit_access(pool.clone(), None),
                    store.commit_grant(grant.clone(), audit("g"))
                );
                assert_eq!((minted.unwrap(), granted.unwrap()), (Commit::Done, Commit::Done));
            }
        });
    }
    asked.join_all().await;
    let issuer: Store = store;
    assert_eq!(audited(&issuer).await.len(), 4_000);
}
