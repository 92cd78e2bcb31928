//! Migrations: told step by step, repeatable, one at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_store::{
    DatabaseError, Migrated, Migrating, OpenError, PostgresOptions, PostgresStore, SqliteStore,
};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::cluster::{make_serializable, new_database, run};
use crate::sample::{NOW, Still, at};

/// How many steps there are.
const STEPS: usize = 3;

/// What the first migration tells: each step in its turn, none before the one ahead of it is done.
fn all_steps() -> Vec<String> {
    (1..=STEPS).flat_map(|schema| [format!("begun {schema}"), "done".to_owned()]).collect()
}

/// What was told, without what the steps are about.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn hear(&self, migrating: Migrating) {
        let said = match migrating {
            Migrating::Waiting => "waiting".to_owned(),
            Migrating::Begun { schema, what } => {
                assert!(!what.is_empty(), "schema {schema}");
                format!("begun {schema}")
            }
            Migrating::Done => "done".to_owned(),
        };
        self.0.lock().unwrap().push(said);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test]
async fn each_step_is_told_and_a_second_migration_does_nothing() {
    let (told, url, folder) = (Told::default(), new_database().await, tempfile::tempdir().unwrap());
    let (first, again) = (Migrated { found: 0, needed: STEPS }, Migrated { found: STEPS, needed: STEPS });
    for (case, wanted, steps) in [("first", first, all_steps()), ("again", again, vec![])] {
        let of_database = PostgresStore::migrate(&url, &mut |it| told.hear(it)).await.unwrap();
        assert_eq!((of_database, told.take()), (wanted, steps.clone()), "PostgreSQL, {case}");
        let of_folder = SqliteStore::migrate(folder.path(), NOW, &mut |it| told.hear(it)).unwrap();
        assert_eq!((of_folder, told.take()), (wanted, steps), "SQLite, {case}");
    }
}

#[tokio::test]
async fn a_newer_versions_tables_are_left_alone() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    run(&url, "UPDATE meta SET value = 99 WHERE name = 'schema'").await;
    let left = PostgresStore::migrate(&url, &mut |it| unreachable!("{it:?}")).await.unwrap();
    assert!(left.is_newer() && left.found == 99, "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_migrations_of_one_database_at_once_one_makes_the_tables_and_the_others_find_them() {
    let url = new_database().await;
    // Somebody else's isolation must not make a migration miss what it waited for.
    make_serializable(&url).await;
    let mut asked = JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        asked.spawn(async move { PostgresStore::migrate(&url, &mut |_| {}).await.unwrap().found });
    }
    let mut found = asked.join_all().await;
    found.sort_unstable();
    assert_eq!(found, [[0].as_slice(), &[STEPS; 7]].concat());
}

/// Holds what it locked until it is dropped.
struct Holder {
    _client: tokio_postgres::Client,
    _connection: JoinSet<()>,
}

impl Holder {
    async fn run(url: &str, sql: &str) -> Self {
        let (client, driven) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let mut connection = JoinSet::new();
        connection.spawn(async { drop(driven.await) });
        client.batch_execute(sql).await.unwrap();
        Self { _client: client, _connection: connection }
    }
}

#[tokio::test]
async fn a_migration_waits_for_another_one_and_says_so() {
    let url = new_database().await;
    let mut other = Some(Holder::run(&url, "SELECT pg_advisory_lock(64685337)").await);
    let told = Told::default();
    let mut hear = |it| {
        told.hear(it);
        // The other one ends as soon as it is waited for.
        drop(other.take());
    };
    assert_eq!(PostgresStore::migrate(&url, &mut hear).await.unwrap().found, 0);
    assert_eq!(told.take(), [vec!["waiting".to_owned()], all_steps()].concat());
}

#[tokio::test]
async fn a_table_that_is_in_use_for_long_ends_a_migration_with_nothing_changed() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let user = Holder::run(&url, "BEGIN; LOCK TABLE meta").await;
    let refusal = PostgresStore::migrate(&url, &mut |_| {}).await.unwrap_err();
    assert!(matches!(refusal, DatabaseError::Locked), "{refusal}");
    assert!(refusal.to_string().contains("run it again"), "{refusal}");
    drop(user);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_migrated_by_one_at_a_time_and_whoever_comes_meanwhile_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().to_owned();
    let meanwhile = SqliteStore::migrate(&path, NOW, &mut |_| {
        let other = SqliteStore::migrate(&path, NOW, &mut |it| unreachable!("{it:?}"));
        assert!(matches!(other, Err(OpenError::InUse { .. })), "{other:?}");
    });
    assert_eq!(meanwhile.unwrap().found, 0);
    assert_eq!(SqliteStore::migrate(&path, NOW, &mut |_| {}).unwrap().found, STEPS);
}

#[tokio::test]
async fn a_database_that_is_restored_twice_from_one_backup_begins_two_epochs() {
    let mut begun = Vec::new();
    for minutes_later in [0, 1] {
        let url = new_database().await;
        PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
        let now = at(minutes_later * 60_000);
        let epoch = PostgresStore::mark_restored(&url, now).await.unwrap();
        let store = PostgresStore::open(&url, PostgresOptions::new(Arc::new(Still(now)))).await.unwrap();
        assert_eq!(store.epoch().await.unwrap(), epoch);
        store.close();
        begun.push(epoch);
    }
    assert!(begun[1].first().number() > begun[0].first().number() + 1_000_000, "{begun:?}");
}
