//! An embedded store is copied into a database.

use std::path::Path;
use std::sync::Arc;

use mintkeep_protocol::app::StoredSecret;
use mintkeep_protocol::binding::CodeBinding;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::{CustomerId, ServiceId};
use mintkeep_protocol::keep::exchange::Exchange;
use mintkeep_protocol::keep::slot::{HolderId, Slot};
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery, IssuerStore};
use mintkeep_protocol::port::keeper_store::{KeeperStore, Presented};
use mintkeep_protocol::record::{
    Customer, CustomerStatus, Grant, GrantStage, KeyPurpose, PlatformKey, Profile, Service, ServiceRole,
};
use mintkeep_protocol::request::RequestDigest;
use mintkeep_protocol::token::TokenKind;
use mintkeep_store::{
    Compared, CopyError, DatabaseError, OpenError, PostgresOptions, PostgresStore, Progress, copy,
};
use tempfile::TempDir;

use crate::cluster::{new_database, open, run};
use crate::keeper::{
    Both, account, consumer, credential, debit, ended, exchange, full_slot, intent, key, line,
    told as told_record,
};
use crate::sample::{
    NOW, Still, active, app, at, audit, grant, held, nonce, number, open_sqlite, pool, told,
};

/// More audit lines than go into two transactions of the copy.
const AUDIT_LINES: i64 = 1_200;

/// A store with something in every table.
async fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open_sqlite(folder.path());
    fill_issuer(&*store).await;
    fill_keeper(&*store).await;
    store.close();
    let db = rusqlite::Connection::open(folder.path().join("mintkeep.db")).unwrap();
    let lines = "WITH RECURSIVE line (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM line WHERE n < ?1) \
         INSERT INTO audit (at, actor, action, subject, address, request_id) \
         SELECT ?2, 'admin', 'token_minted', 'line ' || n, NULL, 'r' FROM line";
    db.execute(lines, [AUDIT_LINES, NOW.unix_ms()]).unwrap();
    folder
}

async fn fill_issuer(store: &dyn IssuerStore) {
    for (no, id) in [(1, "wx1"), (2, "wx2")] {
        store.put_app(app(no, id), audit("app")).await.unwrap();
    }
    let mut full = pool(1, TokenKind::WeChatStable);
    full.previous = Some(held(-5));
    full.forced_at = Some(at(-1));
    store.commit_access(full, None).await.unwrap();
    store.commit_access(pool(1, TokenKind::WeChatToken), None).await.unwrap();
    for (id, stage) in (1..).zip(stages()) {
        store.commit_grant(grant(id, 1, "c"), audit("code")).await.unwrap();
        store.commit_grant(Grant { stage, revision: 1, ..grant(id, 1, "c") }, audit("grant")).await.unwrap();
    }
    // In the order of their bytes, which is not every locale's.
    for id in ["b", "B", "a", "1", "_"] {
        let id = CustomerId::parse(id).unwrap();
        let profile = Profile { nick_name: Some("陳\"大文\"".into()), ..Profile::default() };
        let customer = Customer { id, status: CustomerStatus::Frozen, profile };
        store.put_customer(customer, audit("customer")).await.unwrap();
    }
    let secret = StoredSecret { mac: [1; 32], expires_at: None };
    let (id, role) = (ServiceId::parse("gateway").unwrap(), ServiceRole::ResourceServer);
    let service = Service { id, role, secret, assertion_key_pem: None };
    store.put_service(service, audit("service")).await.unwrap();
    for number in [200, 1] {
        assert_eq!(store.spend_nonce(nonce(number)).await.unwrap(), Commit::Done);
    }
    for version in [1, 2] {
        let sealed = Sealed::from_bytes(vec![8; 40]);
        let key = PlatformKey { purpose: KeyPurpose::Tokens, version, sealed };
        assert_eq!(store.add_platform_key(key).await.unwrap(), Commit::Done);
    }
}

fn stages() -> [GrantStage; 6] {
    [
        GrantStage::Issued { binding: None },
        GrantStage::Issued { binding: Some(CodeBinding([6; 16])) },
        active(None, None),
        active(Some(held(1)), Some(RequestDigest([8; 16]))),
        GrantStage::Revoked { spent_at: Some(at(30)), at: at(40) },
        GrantStage::Revoked { spent_at: None, at: at(40) },
    ]
}

async fn fill_keeper(store: &dyn KeeperStore) {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    store.put_consumer(consumer(1, "shop"), audit("added")).await.unwrap();
    let leased = Slot::empty(key(1, None), at(0)).leased(HolderId(1), at(0));
    assert_eq!(store.take_lease(&leased).await.unwrap(), Commit::Done);
    let slot = Slot { revision: 1, ..full_slot(key(1, None)) };
    assert_eq!(store.present(&slot, Some(debit(5))).await.unwrap(), Presented::Done);
    let slot = Slot { revision: 2, ..slot };
    assert_eq!(store.commit_kept(&slot, ended(4)).await.unwrap(), Commit::Done);
    for code in [200, 1] {
        let presented = Exchange { intent: Some(intent(1, Some(b"kept"))), ..exchange(1, code) };
        assert_eq!(store.take_exchange(&presented, at(-9)).await.unwrap(), Commit::Done);
    }
}

async fn copied(folder: &Path, url: &str) -> Result<Vec<Compared>, CopyError> {
    copy(folder, url, NOW, &mut |_| {}).await
}

/// The tables that differ.
fn differing(compared: &[Compared]) -> Vec<&str> {
    compared.iter().filter(|table| !table.is_same()).map(|table| table.table).collect()
}

/// All that the ports tell of a store, but for what has an equality of its own.
async fn seen(store: &Both) -> Vec<String> {
    let mut seen = Vec::new();
    for app in store.apps(None, 10).await.unwrap() {
        seen.push(format!("{:?}", told(&app)));
    }
    for id in ["b", "B", "a", "1", "_"] {
        seen.push(format!("{:?}", store.customer(&CustomerId::parse(id).unwrap()).await.unwrap().unwrap()));
    }
    let service = store.service(&ServiceId::parse("gateway").unwrap()).await.unwrap().unwrap();
    seen.push(serde_json::to_string(&*service).unwrap());
    for key in store.platform_keys().await.unwrap() {
        seen.push(format!("{:?}", (key.purpose, key.version, key.sealed.as_bytes())));
    }
    seen.push(format!("{:?}", store.audit_tail(None, 5_000).await.unwrap()));
    for credential in store.credentials(None, 10).await.unwrap() {
        seen.push(format!("{:?}", told_record(&credential, credential.revision)));
    }
    for consumer in store.consumers().await.unwrap() {
        seen.push(format!("{:?}", told_record(&consumer, consumer.revision)));
    }
    for slot in store.slots(None, None, 10).await.unwrap() {
        seen.push(format!("{:?}", told_record(&slot, slot.revision)));
    }
    assert_eq!(store.history(&key(1, None)).await.unwrap(), [line(4)]);
    for exchange in store.open_exchanges(10).await.unwrap() {
        seen.push(format!("{:?}", told_record(&exchange, exchange.revision)));
    }
    seen.push(format!("{} calls", store.calls(&account(1)).await.unwrap()));
    seen
}

/// Asserts that both stores tell the same, and that the database's goes on after what was copied.
async fn assert_same(folder: &Path, url: &str) {
    let (source, target) = (open_sqlite(folder), open(url).await);
    let (mine, theirs): (Both, Both) = (source.clone(), target.clone());
    for kind in [TokenKind::WeChatStable, TokenKind::WeChatToken] {
        let key = pool(1, kind).key;
        assert!(mine.pool(key).await.unwrap().unwrap() == theirs.pool(key).await.unwrap().unwrap());
    }
    let query = GrantQuery { app: Some(number(1)), most: 10, ..GrantQuery::default() };
    let grants = mine.grants(&query).await.unwrap();
    assert!(grants.len() == stages().len() && grants == theirs.grants(&query).await.unwrap());
    let (mine, theirs) = (seen(&mine).await, seen(&theirs).await);
    assert_eq!(mine, theirs);
    assert!(mine.len() > 15, "{mine:#?}");
    assert!(target.epoch().await.unwrap() > source.epoch().await.unwrap());
    let last = source.audit_tail(None, 1).await.unwrap()[0].0;
    target.write_audit(audit("after the copy")).await.unwrap();
    let next = target.audit_tail(None, 1).await.unwrap();
    assert_eq!((next[0].0, next[0].1.subject.as_str()), (last + 1, "after the copy"));
    assert_eq!(target.spend_nonce(nonce(200)).await.unwrap(), Commit::Lost);
    target.close();
    source.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_holds_all_that_the_embedded_store_holds() {
    let (folder, url) = (filled().await, new_database().await);
    let mut told = Vec::new();
    let compared = copy(folder.path(), &url, NOW, &mut |progress| told.push(progress)).await.unwrap();
    assert_eq!(differing(&compared), [""; 0]);
    for table in &compared {
        assert!(table.source.rows > 0, "{} was not filled", table.table);
        let done = told.iter().rev().find_map(|progress| match *progress {
            Progress::Copied { table: copied, rows, of } => (copied == table.table).then_some((rows, of)),
            Progress::Comparing => None,
        });
        assert_eq!(done, Some((table.source.rows, table.source.rows)), "{}", table.table);
    }
    assert_same(folder.path(), &url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_interrupted_anywhere_serves_nobody_and_goes_on_where_it_stopped() {
    let (folder, url) = (filled().await, new_database().await);
    let mut stopped = 0;
    // Each go may make four batches, so the audit's three are parted too.
    loop {
        let (stop, stopping) = tokio::sync::oneshot::channel();
        let (mut stop, mut batches) = (Some(stop), 0);
        let mut tell = |_| {
            batches += 1;
            if batches == 4 {
                stop.take().unwrap().send(()).unwrap();
            }
        };
        let went = tokio::select! {
            biased;
            _ = stopping => None,
            compared = copy(folder.path(), &url, NOW, &mut tell) => Some(compared),
        };
        if let Some(compared) = went {
            assert_eq!(differing(&compared.unwrap()), [""; 0]);
            break;
        }
        stopped += 1;
        assert!(stopped < 5, "it begins again each time");
        connections_ended(&url).await;
        let opened = PostgresStore::open(&url, PostgresOptions::new(Arc::new(Still(NOW)))).await;
        assert!(matches!(opened.err(), Some(DatabaseError::HalfCopied)));
        connections_ended(&url).await;
    }
    assert_eq!(stopped, 4, "fourteen tables and two batches more, four at a time");
    assert_same(folder.path(), &url).await;
}

/// Waits until the database has seen that nobody of ours is connected any more.
async fn connections_ended(url: &str) {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'mintkeep'";
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let ended = async move {
        while client.query_one(others, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
    };
    let (_closed, ()) = tokio::join!(connection, ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_changed_is_found_and_never_written_again() {
    let (folder, url) = (filled().await, new_database().await);
    copied(folder.path(), &url).await.unwrap();
    let cases = [
        ("a lost row", "DELETE FROM customer WHERE id = 'B'", vec!["customer"]),
        ("a changed row", "UPDATE pool SET used_today = used_today + 1", vec!["customer", "pool"]),
        (
            "a changed byte of a grant",
            "UPDATE grant_record SET body = set_byte(body, 20, 77) WHERE id = 2",
            vec!["customer", "pool", "grant_record"],
        ),
        (
            "a row too many",
            "INSERT INTO quota_call VALUES ('wechat', 'wx9', 'token', 1, 1)",
            vec!["customer", "pool", "grant_record", "quota_call"],
        ),
    ];
    for (case, change, found) in cases {
        run(&url, change).await;
        connections_ended(&url).await;
        assert_eq!(differing(&copied(folder.path(), &url).await.unwrap()), found, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_changed_before_its_end_serves_nobody() {
    let (folder, url) = (filled().await, new_database().await);
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let taken = "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.document := '{}'; RETURN NEW; END $$; \
         CREATE TRIGGER other BEFORE INSERT ON service FOR EACH ROW EXECUTE FUNCTION other()";
    run(&url, taken).await;
    connections_ended(&url).await;
    assert_eq!(differing(&copied(folder.path(), &url).await.unwrap()), ["service"]);
    let opened = PostgresStore::open(&url, PostgresOptions::new(Arc::new(Still(NOW)))).await;
    assert!(matches!(opened.err(), Some(DatabaseError::HalfCopied)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_somebody_else_or_in_use_and_a_folder_in_use_are_refused() {
    let (folder, other, url) = (filled().await, filled().await, new_database().await);
    let store = open_sqlite(folder.path());
    let refused = copied(folder.path(), &url).await;
    assert!(matches!(refused, Err(CopyError::Source(OpenError::InUse { .. }))), "{refused:?}");
    store.close();
    let missing = copied(&folder.path().join("nowhere"), &url).await;
    assert!(matches!(missing, Err(CopyError::Source(OpenError::Io { .. }))), "{missing:?}");

    copied(other.path(), &url).await.unwrap();
    connections_ended(&url).await;
    let refused = copied(folder.path(), &url).await;
    assert!(matches!(refused, Err(CopyError::Foreign)), "the copy of another store: {refused:?}");

    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    let refused = copied(folder.path(), &url).await;
    assert!(matches!(refused, Err(CopyError::Database(DatabaseError::InUse { .. }))), "{refused:?}");
    store.put_app(app(7, "wx7"), audit("app")).await.unwrap();
    store.close();
    connections_ended(&url).await;
    let refused = copied(folder.path(), &url).await;
    assert!(matches!(refused, Err(CopyError::Foreign)), "a store of its own: {refused:?}");

    run(&url, "UPDATE meta SET value = 1 WHERE name = 'schema'").await;
    let refused = copied(folder.path(), &url).await;
    assert!(matches!(refused, Err(CopyError::Database(DatabaseError::Behind { .. }))), "{refused:?}");
}
