//! What PostgreSQL adds: other processes on the same records, and tables that are migrated apart.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::Exchange;
use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore};
use mintkeep_protocol::port::keeper_store::{Change, ChangeMark, KeeperStore};
use mintkeep_protocol::record::{AuditAction, AuditEntry, Customer, CustomerStatus, GrantStage, Profile};
use mintkeep_protocol::token::TokenKind;
use mintkeep_store::{DatabaseError, PostgresOptions, PostgresStore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{ask, new_database, open, run};
use crate::keeper::{credential, ended, exchange, full_slot, key};
use crate::sample::{NOW, Still, Store, app, at, audit, audited, grant, nonce, number, pool};

fn customer_id() -> CustomerId {
    CustomerId::parse("2160000000000001").unwrap()
}

async fn open_later(url: &str, hours: i64) -> Arc<PostgresStore> {
    let clock = Arc::new(Still(at(hours * 3_600_000)));
    PostgresStore::open(url, PostgresOptions::new(clock)).await.unwrap()
}

/// One go of the tidying, once the clock is believed.
async fn tidy(store: &PostgresStore) {
    tidy_after(store, Duration::from_hours(1)).await;
}

/// One go of the tidying, as if it were the first since the start that comes after so long.
async fn tidy_after(store: &PostgresStore, passed: Duration) {
    let begun = Instant::now();
    store.tidy(begun).await.unwrap();
    store.tidy(begun + passed).await.unwrap();
}

#[tokio::test]
async fn another_replica_sees_a_change_within_a_second_and_never_commits_over_it() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let (one, other) = (open(&url).await, open(&url).await);
    one.put_app(app(1, "wx1"), audit("made")).await.unwrap();
    let id = app(1, "wx1").id;
    assert_eq!(other.app(&id).await.unwrap().unwrap().revision, 1);
    let mut changed = app(1, "wx1");
    changed.revision = 1;
    assert_eq!(one.put_app(changed.clone(), audit("changed")).await.unwrap(), Commit::Done);
    assert_eq!(other.put_app(changed, audit("late")).await.unwrap(), Commit::Lost);
    until("it is seen", async || other.app(&id).await.unwrap().unwrap().revision == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_that_was_spent_at_one_replica_is_spent_at_each_and_after_a_restart() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let (one, other) = (open(&url).await, open(&url).await);
    for number in 0..20 {
        let (first, second) = tokio::join!(one.spend_nonce(nonce(number)), other.spend_nonce(nonce(number)));
        let done = [first.unwrap(), second.unwrap()].into_iter().filter(|commit| *commit == Commit::Done);
        assert_eq!(done.count(), 1);
    }
    one.close();
    other.close();
    assert_eq!(open(&url).await.spend_nonce(nonce(7)).await.unwrap(), Commit::Lost);
}

/// A replica that never reads a record again by itself.
async fn open_trusting(url: &str) -> Store {
    let record_age_max = Duration::from_hours(1);
    let options = PostgresOptions { record_age_max, ..PostgresOptions::new(Arc::new(Still(NOW))) };
    PostgresStore::open(url, options).await.unwrap()
}

/// Asks until the answer is as it should be.
async fn until(case: &str, mut holds: impl AsyncFnMut() -> bool) {
    let seen = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), seen).await.is_ok(), "{case}");
}

/// Waits until so many replicas listen: when one begins to, it forgets what it remembers.
async fn until_listening(url: &str, replicas: i64) {
    let listening = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND query = 'LISTEN mintkeep' AND state = 'idle'";
    until("all listen", async || ask::<i64>(url, listening).await == replicas).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_by_an_operator_or_revoked_is_told_to_the_other_replicas() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let (one, other): (Store, _) = (open(&url).await, open_trusting(&url).await);
    until_listening(&url, 2).await;

    let id = app(1, "wx1").id;
    let customer = |status| Customer { id: customer_id(), status, profile: Profile::default() };
    let mut changed = (app(1, "wx1"), grant(1, 1, "c"), pool(1, TokenKind::WeChatToken));
    one.put_app(changed.0.clone(), audit("app")).await.unwrap();
    one.commit_grant(changed.1.clone(), audit("grant")).await.unwrap();
    one.commit_access(changed.2.clone(), Some(audit("pool"))).await.unwrap();
    one.put_customer(customer(CustomerStatus::Active), audit("customer")).await.unwrap();
    (changed.0.revision, changed.1.revision, changed.2.revision) = (1, 1, 1);
    until("all are read once", async || {
        other.app(&id).await.unwrap().is_some()
            && other.grant(changed.1.id).await.unwrap().is_some()
            && other.pool(changed.2.key).await.unwrap().is_some()
            && other.customer(&customer_id()).await.unwrap().is_some()
    })
    .await;

    changed.1.stage = GrantStage::Revoked { spent_at: None, at: NOW };
    let revoked = AuditEntry { action: AuditAction::TokenRevoked, ..audit("pool") };
    one.put_app(changed.0.clone(), audit("app")).await.unwrap();
    one.commit_grant(changed.1.clone(), audit("grant")).await.unwrap();
    one.commit_access(changed.2.clone(), Some(revoked)).await.unwrap();
    one.put_customer(customer(CustomerStatus::Frozen), audit("customer")).await.unwrap();
    until("the app", async || other.app(&id).await.unwrap().unwrap().revision == 2).await;
    until("the grant", async || other.grant(changed.1.id).await.unwrap().unwrap().revision == 2).await;
    until("the pool", async || other.pool(changed.2.key).await.unwrap().unwrap().revision == 2).await;
    until("the customer", async || {
        other.customer(&customer_id()).await.unwrap().unwrap().status == CustomerStatus::Frozen
    })
    .await;

    changed.0.revision = 2;
    one.delete_app(&changed.0, audit("gone")).await.unwrap();
    until("the app is gone", async || other.app(&id).await.unwrap().is_none()).await;
    until("its grants too", async || other.grant(changed.1.id).await.unwrap().is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_did_not_hear_for_a_while_forgets_what_it_remembers() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let other = open_trusting(&url).await;
    let listener = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND query = 'LISTEN mintkeep'";
    until_listening(&url, 1).await;
    // A new grant is no news: no replica forgets it for having made it.
    other.commit_grant(grant(1, 1, "c"), audit("grant")).await.unwrap();
    assert_eq!(ask::<i64>(&url, listener).await, 1);
    // Nobody notifies of this one.
    run(&url, "UPDATE grant_record SET revision = 7").await;
    until("it is read anew", async || other.grant(number(1)).await.unwrap().unwrap().revision == 7).await;
}

#[tokio::test]
async fn a_change_of_which_nothing_is_heard_is_seen_within_a_second() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    until_listening(&url, 1).await;
    // A new grant is no news: no replica forgets it for having made it.
    store.commit_grant(grant(1, 1, "c"), audit("grant")).await.unwrap();
    assert_eq!(store.grant(number(1)).await.unwrap().unwrap().revision, 1);
    run(&url, "UPDATE grant_record SET revision = 7").await;
    until("it is seen", async || store.grant(number(1)).await.unwrap().unwrap().revision == 7).await;
    // A record's age is measured in `cache.rs`, to the millisecond.
    assert_eq!(PostgresOptions::RECORD_AGE_MAX, Duration::from_secs(1));
}

#[tokio::test]
async fn a_replica_that_heard_nothing_of_a_change_learns_of_it_by_its_own_write() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open_trusting(&url).await;
    store.put_app(app(1, "wx1"), audit("app")).await.unwrap();
    until_listening(&url, 1).await;
    let id = app(1, "wx1").id;
    for (case, revision) in [("a token", 7), ("a code", 8)] {
        let known = store.app(&id).await.unwrap().unwrap();
        // Nobody notifies of this one.
        run(&url, &format!("UPDATE app SET revision = {revision}")).await;
        let commit = match revision {
            7 => store.commit_access_for(&known, pool(1, TokenKind::WeChatToken), None).await,
            _ => store.commit_grant_for(&known, grant(1, 1, "c"), audit("code")).await,
        };
        assert_eq!(commit.unwrap(), Commit::Lost, "{case}");
        assert_eq!(store.app(&id).await.unwrap().unwrap().revision, revision, "{case}: it is read anew");
    }
}

#[tokio::test]
async fn a_database_that_is_behind_or_too_new_is_refused_and_says_what_to_do() {
    let url = new_database().await;
    let options = || PostgresOptions::new(Arc::new(Still(NOW)));
    let refusal = PostgresStore::open(&url, options()).await.map(|_| ()).unwrap_err();
    assert!(matches!(refusal, DatabaseError::Behind { found: 0, .. }), "{refusal}");
    assert!(refusal.to_string().contains("mintkeep migrate"), "{refusal}");

    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    run(&url, "UPDATE meta SET value = 4 WHERE name = 'schema'").await;
    assert!(PostgresStore::open(&url, options()).await.is_ok(), "the next version's tables still serve us");
    run(&url, "UPDATE meta SET value = 4 WHERE name = 'serves_from'").await;
    let refusal = PostgresStore::open(&url, options()).await.map(|_| ()).unwrap_err();
    assert!(matches!(refusal, DatabaseError::Newer { found: 4, .. }), "{refusal}");
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
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    let mut dying = grant(1, 1, "c");
    dying.code_expires_at = at(-3_600_000);
    store.commit_grant(dying, audit("code")).await.unwrap();
    store.commit_grant(grant(2, 1, "c"), audit("code")).await.unwrap();
    assert_eq!(store.spend_nonce(nonce(1)).await.unwrap(), Commit::Done);
    tidy(&store).await;
    assert!(store.grant(number(1)).await.unwrap().is_some(), "an hour is not a day");
    store.close();

    // A minute after now it ends, and ten minutes later it goes.
    for (after_ms, nonces) in [(659_999, 1_i64), (660_000, 0)] {
        let options = PostgresOptions::new(Arc::new(Still(at(after_ms))));
        let store = PostgresStore::open(&url, options).await.unwrap();
        tidy(&store).await;
        assert_eq!(ask::<i64>(&url, "SELECT count(*) FROM spent_nonce").await, nonces, "{after_ms} ms");
        store.close();
    }

    let store = open_later(&url, 23).await;
    tidy_after(&store, Duration::from_mins(59)).await;
    assert!(store.grant(number(1)).await.unwrap().is_some(), "the clock is not believed yet");
    tidy(&store).await;
    assert!(store.grant(number(1)).await.unwrap().is_none());
    assert!(store.grant(number(2)).await.unwrap().is_some(), "its code expired later");
    let issuer: Store = store.clone();
    assert_eq!(audited(&issuer).await, ["code", "code"]);
    store.close();

    let store = open_later(&url, 31 * 24).await;
    tidy(&store).await;
    let issuer: Store = store;
    assert!(audited(&issuer).await.is_empty());
}

#[tokio::test]
async fn a_line_of_the_audit_that_is_committed_after_the_next_one_is_heard_all_the_same() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    store.write_audit(audit("first")).await.unwrap();
    let insert = "INSERT INTO audit (at, actor, action, subject, address, request_id) \
         SELECT at, actor, action, 'slow', address, request_id FROM audit";
    let (slow, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let mut driven = JoinSet::new();
    driven.spawn(connection);
    slow.batch_execute(&format!("BEGIN; {insert} WHERE n = 1")).await.unwrap();
    store.write_audit(audit("last")).await.unwrap();

    assert_eq!(heard(&store, 0).await, [(1, "first".to_owned())], "what comes next may be missing");
    slow.batch_execute("COMMIT").await.unwrap();
    assert_eq!(heard(&store, 1).await, [(2, "slow".to_owned()), (3, "last".to_owned())]);

    // A number that nobody uses is waited for no longer than a change may take.
    run(&url, "DELETE FROM audit WHERE n = 2").await;
    assert_eq!(heard(&store, 1).await, []);
    let later = open_later(&url, 1).await;
    assert_eq!(heard(&later, 1).await, [(3, "last".to_owned())]);
}

/// The audit lines after a number: each one's own, and its subject.
async fn heard(store: &PostgresStore, after: i64) -> Vec<(i64, String)> {
    let lines = store.audit_tail(Some(after), 9).await.unwrap();
    lines.into_iter().map(|(n, line)| (n, line.subject)).collect()
}

#[tokio::test]
async fn what_another_server_numbered_before_its_dump_was_restored_here_is_not_told_again_and_again() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    let mark = store.change_mark().await.unwrap();
    store.put_credential(credential(1, "old"), audit("added")).await.unwrap();
    // Its transactions had far higher numbers than this server's have.
    run(&url, "UPDATE credential SET mark = mark + 1000000000").await;
    let (mark, changes) = store.changes_since(mark, 9).await.unwrap();
    assert!(changes.is_empty(), "it is nobody's change since");
    store.put_credential(credential(2, "new"), audit("added")).await.unwrap();
    let (_, changes) = store.changes_since(mark, 9).await.unwrap();
    assert!(matches!(&changes[..], [Change::Credential(new)] if new.name.as_str() == "new"));
}

/// A connection of somebody else's with a transaction that is under way.
async fn begin(url: &str, sql: &str) -> (tokio_postgres::Client, JoinSet<Result<(), tokio_postgres::Error>>) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let mut driven = JoinSet::new();
    driven.spawn(connection);
    client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
    (client, driven)
}

#[tokio::test]
async fn all_that_changed_is_given_page_by_page_while_somebodys_transaction_is_under_way() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    store.put_credential(credential(1, "slow"), audit("added")).await.unwrap();
    let slow = "UPDATE credential SET mark = pg_current_xact_id()::text::bigint";
    let (slow, _driven) = begin(&url, slow).await;
    for no in 2..=4 {
        store.put_credential(credential(no, &format!("c{no}")), audit("added")).await.unwrap();
    }
    let settled = store.change_mark().await.unwrap();
    let (mut mark, mut seen) = (ChangeMark::default(), Vec::new());
    for _page in 0..5 {
        let (last, changes) = store.changes_since(mark, 1).await.unwrap();
        seen.extend(changes.iter().map(name_of));
        mark = last;
    }
    assert_eq!(seen, ["slow", "c2", "c3", "c4"], "each once, though an older transaction is under way");
    slow.batch_execute("COMMIT").await.unwrap();
    let (_, changes) = store.changes_since(settled, 1).await.unwrap();
    assert_eq!(
        changes.iter().map(name_of).collect::<Vec<_>>(),
        ["slow"],
        "from the mark of then it is found"
    );
}

fn name_of(change: &Change) -> String {
    let Change::Credential(credential) = change else { panic!("there are only credentials") };
    credential.name.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_code_bought_is_not_kept_for_a_credential_that_is_just_being_removed() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    assert_eq!(store.take_exchange(&exchange(1, 1), at(-1)).await.unwrap(), Commit::Done);
    // As a removal does it, statement by statement.
    let (removal, _driven) =
        begin(&url, "UPDATE credential SET removed_at = 1; DELETE FROM slot WHERE credential = 1").await;
    let mut commit = JoinSet::new();
    let committing = store.clone();
    commit.spawn(async move {
        let bought = Exchange { revision: 1, ..exchange(1, 1) };
        committing.commit_exchange(&bought, &full_slot(key(1, Some("c"))), ended(1)).await
    });
    let waits = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut committed = None;
    until("it waits for the removal, or goes past it", async || {
        committed = commit.try_join_next();
        committed.is_some() || ask::<i64>(&url, waits).await > 0
    })
    .await;
    removal.batch_execute("DELETE FROM code_exchange WHERE credential = 1; COMMIT").await.unwrap();
    while commit.join_next().await.is_some() {}
    assert!(store.slot(&key(1, Some("c"))).await.unwrap().is_none(), "tokens that nobody deletes any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_finds_what_was_stored_while_it_waited_whatever_the_isolation() {
    for isolation in ["read committed", "repeatable read"] {
        let url = new_database().await;
        let database = url.rsplit('/').next().unwrap();
        let set = format!("ALTER DATABASE {database} SET default_transaction_isolation = '{isolation}'");
        run(&url, &set).await;
        PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
        let store = open(&url).await;
        store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
        // As a lease does it that is taken for the first time.
        let lease = "SELECT FROM credential WHERE no = 1 FOR SHARE; \
             INSERT INTO slot (credential, customer, revision, mark, document) VALUES (1, 'c', 1, 1, '')";
        let (lease, _driven) = begin(&url, lease).await;
        let mut removal = JoinSet::new();
        let removing = store.clone();
        removal.spawn(async move {
            let removed = Credential { revision: 1, removed_at: Some(NOW), ..credential(1, "mine") };
            removing.remove_credential(removed, audit("removed")).await
        });
        let waits = "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until("it waits for the lease", async || ask::<i64>(&url, waits).await > 0).await;
        lease.batch_execute("COMMIT").await.unwrap();
        assert_eq!(removal.join_next().await.unwrap().unwrap().unwrap(), Commit::Done);
        assert_eq!(ask::<i64>(&url, "SELECT count(*) FROM slot").await, 0, "at {isolation}");
    }
}
