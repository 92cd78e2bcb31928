//! What PostgreSQL adds: other processes on the same records, and tables that are migrated apart.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore};
use mintkeep_store::{DatabaseError, PostgresOptions, PostgresStore};

use crate::cluster::{new_database, open, run};
use crate::sample::{NOW, Still, Store, app, at, audit, audited, grant, number};

async fn open_later(url: &str, hours: i64) -> Arc<PostgresStore> {
    let clock = Arc::new(Still(at(hours * 3_600_000)));
    PostgresStore::open(url, PostgresOptions::new(clock)).await.unwrap()
}

#[tokio::test]
async fn another_replica_sees_a_change_within_a_second_and_never_commits_over_it() {
    let url = new_database().await;
    PostgresStore::migrate(&url).await.unwrap();
    let (one, other) = (open(&url).await, open(&url).await);
    one.put_app(app(1, "wx1"), audit("made")).await.unwrap();
    let id = app(1, "wx1").id;
    assert_eq!(other.app(&id).await.unwrap().unwrap().revision, 1);
    let mut changed = app(1, "wx1");
    changed.revision = 1;
    assert_eq!(one.put_app(changed.clone(), audit("changed")).await.unwrap(), Commit::Done);
    assert_eq!(other.put_app(changed, audit("late")).await.unwrap(), Commit::Lost);
    let seen = async {
        while other.app(&id).await.unwrap().unwrap().revision != 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_millis(1_500), seen).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_behind_or_too_new_is_refused_and_says_what_to_do() {
    let url = new_database().await;
    let options = || PostgresOptions::new(Arc::new(Still(NOW)));
    let refusal = PostgresStore::open(&url, options()).await.map(|_| ()).unwrap_err();
    assert!(matches!(refusal, DatabaseError::Behind { found: 0, .. }), "{refusal}");
    assert!(refusal.to_string().contains("mintkeep migrate"), "{refusal}");

    assert_eq!(PostgresStore::migrate(&url).await.unwrap(), (0, 2));
    assert_eq!(PostgresStore::migrate(&url).await.unwrap(), (2, 2), "a second migration changes nothing");
    run(&url, "UPDATE meta SET value = 3 WHERE name = 'schema'").await;
    assert!(PostgresStore::open(&url, options()).await.is_ok(), "the next version's tables still serve us");
    run(&url, "UPDATE meta SET value = 3 WHERE name = 'serves_from'").await;
    let refusal = PostgresStore::open(&url, options()).await.map(|_| ()).unwrap_err();
    assert!(matches!(refusal, DatabaseError::Newer { found: 3, .. }), "{refusal}");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_being_repeated() {
    let options = PostgresOptions::new(Arc::new(Still(NOW)));
    let refusal = PostgresStore::open("postgres//mintkeep:hunter2@nowhere", options).await.map(|_| ());
    let told = refusal.unwrap_err().to_string();
    assert!(told.contains("postgres://user@host") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn what_is_dead_for_its_time_is_deleted_and_the_rest_is_not() {
    let url = new_database().await;
    PostgresStore::migrate(&url).await.unwrap();
    let store = open(&url).await;
    let mut dying = grant(1, 1, "c");
    dying.code_expires_at = at(-3_600_000);
    store.commit_grant(dying, audit("code")).await.unwrap();
    store.commit_grant(grant(2, 1, "c"), audit("code")).await.unwrap();
    store.tidy().await.unwrap();
    assert!(store.grant(number(1)).await.unwrap().is_some(), "an hour is not a day");
    store.close();

    let store = open_later(&url, 23).await;
    store.tidy().await.unwrap();
    assert!(store.grant(number(1)).await.unwrap().is_none());
    assert!(store.grant(number(2)).await.unwrap().is_some(), "its code expired later");
    let issuer: Store = store.clone();
    assert_eq!(audited(&issuer).await, ["code", "code"]);
    store.close();

    let store = open_later(&url, 31 * 24).await;
    store.tidy().await.unwrap();
    let issuer: Store = store;
    assert!(audited(&issuer).await.is_empty());
}
