//! The embedded store's data folder: one owner, kept over restarts, backed up while it runs.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::binding::CodeBinding;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore};
use mintkeep_protocol::record::GrantStage;
use mintkeep_protocol::request::RequestDigest;
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::{StoreEpoch, TokenKind};
use mintkeep_store::{OpenError, SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

use crate::sample::{
    Still, Store, active, app, at, audit, audited, grant, held, nonce, number, open_sqlite, pool, told,
};

#[tokio::test]
async fn a_store_that_is_opened_again_has_everything_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let stages = [
        GrantStage::Issued { binding: None },
        GrantStage::Issued { binding: Some(CodeBinding([6; 16])) },
        active(None, None),
        active(Some(held(1)), Some(RequestDigest([8; 16]))),
        GrantStage::Revoked { spent_at: Some(at(30)), at: at(40) },
        GrantStage::Revoked { spent_at: None, at: at(40) },
    ];
    let mut full = pool(1, TokenKind::WeChatStable);
    full.previous = Some(held(-5));
    full.forced_at = Some(at(-1));

    let store = open_sqlite(folder.path());
    store.put_app(app(1, "wx1"), audit("app")).await.unwrap();
    store.commit_access(full.clone(), None).await.unwrap();
    store.commit_access(pool(1, TokenKind::WeChatToken), None).await.unwrap();
    for (id, stage) in (1..).zip(stages) {
        store.commit_grant(grant(id, 1, "c"), audit("code")).await.unwrap();
        let changed = mintkeep_protocol::record::Grant { stage, revision: 1, ..grant(id, 1, "c") };
        store.commit_grant(changed, audit("grant")).await.unwrap();
    }
    assert_eq!(store.spend_nonce(nonce(1)).await.unwrap(), Commit::Done);
    let audited_before = store.audit_tail(None, 100).await.unwrap();
    drop(store);

    let store = open_sqlite(folder.path());
    let mut put = app(1, "wx1");
    put.revision = 1;
    assert_eq!(told(&store.app(&put.id).await.unwrap().unwrap()), told(&put));
    assert_eq!(told(&store.app_by_no(put.no).await.unwrap().unwrap()), told(&put));
    for mut pool in [full, pool(1, TokenKind::WeChatToken)] {
        pool.revision = 1;
        assert!(*store.pool(pool.key).await.unwrap().unwrap() == pool);
    }
    for (id, stage) in (1..).zip(stages) {
        let kept = mintkeep_protocol::record::Grant { stage, revision: 2, ..grant(id, 1, "c") };
        assert!(*store.grant(number(id)).await.unwrap().unwrap() == kept, "{stage:?}");
    }
    assert_eq!(store.spend_nonce(nonce(1)).await.unwrap(), Commit::Lost, "it stays spent");
    assert_eq!(store.audit_tail(None, 100).await.unwrap(), audited_before);
    assert_eq!(store.epoch().await.unwrap(), StoreEpoch::new(0), "an ordinary start is no restore");
}

#[tokio::test]
async fn a_second_owner_is_refused_until_the_first_has_closed() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_sqlite(folder.path());
    for _ in 0..2 {
        let refusal = SqliteStore::open(folder.path(), options()).map(|_| ()).unwrap_err();
        assert!(matches!(refusal, OpenError::InUse { .. }));
        assert!(refusal.to_string().contains("stop it, or give this one another data folder"), "{refusal}");
        // Whoever tidies up takes it for a leftover.
        fs::remove_file(folder.path().join("mintkeep.lock")).unwrap();
    }
    first.close();
    let second: Store = open_sqlite(folder.path());
    assert_eq!(audited(&second).await, Vec::<String>::new());
}

#[tokio::test]
async fn closing_makes_durable_what_was_asked_for_and_refuses_what_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_sqlite(folder.path());
    let mut asked = JoinSet::new();
    for id in 0..100 {
        let store = store.clone();
        asked.spawn(async move { (id, store.commit_grant(grant(id, 1, "c"), audit("g")).await) });
    }
    tokio::task::yield_now().await;
    store.close();
    let mut done = Vec::new();
    while let Some(answered) = asked.join_next().await {
        match answered.unwrap() {
            (id, Ok(commit)) => {
                assert_eq!(commit, Commit::Done);
                done.push(id);
            }
            (_, Err(error)) => assert!(error.to_string().contains("closed"), "{error}"),
        }
    }
    assert!(store.commit_grant(grant(999, 1, "c"), audit("late")).await.is_err());
    assert!(store.grant(number(999)).await.is_err(), "what is not in memory can't be read any more");
    let store = open_sqlite(folder.path());
    for id in done {
        assert!(store.grant(number(id)).await.unwrap().is_some(), "{id}");
    }
}

#[tokio::test]
async fn a_newer_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open_sqlite(folder.path()).close();
    let db = rusqlite::Connection::open(folder.path().join("mintkeep.db")).unwrap();
    db.execute("UPDATE meta SET value = 9999 WHERE name = 'schema'", []).unwrap();
    drop(db);
    let refusal = SqliteStore::open(folder.path(), options()).map(|_| ()).unwrap_err();
    assert!(matches!(refusal, OpenError::Newer { found: 9999, .. }), "{refusal}");
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mintkeep.db");
    std::fs::write(&file, "not a database, but somebody's notes".repeat(99)).unwrap();
    let refusal = SqliteStore::open(folder.path(), options()).map(|_| ()).unwrap_err();
    assert!(matches!(refusal, OpenError::Sqlite { .. }), "{refusal}");
    assert!(std::error::Error::source(&refusal).is_none(), "its text has said why");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("not a database"));
}

#[tokio::test]
async fn a_store_that_somebody_emptied_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("mintkeep.db"), folder.path().join("mintkeep.db-wal"));
    std::fs::write(&file, "").unwrap();
    std::fs::write(&log, "what was changed last").unwrap();
    let refusal = SqliteStore::open(folder.path(), options()).map(|_| ()).unwrap_err();
    assert!(matches!(refusal, OpenError::Empty { .. }), "{refusal}");
    assert!(refusal.to_string().contains("put a backup in its place, or remove it"), "{refusal}");
    assert_eq!(std::fs::read(&file).unwrap().len(), 0);
    assert!(log.exists());
}

#[tokio::test]
async fn a_first_start_that_was_killed_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mintkeep.db.unfinished", "mintkeep.db.unfinished-journal"] {
        std::fs::write(folder.path().join(name), "half a store".repeat(99)).unwrap();
    }
    let store: Store = open_sqlite(folder.path());
    store.put_app(app(1, "wx1"), audit("app")).await.unwrap();
    assert!(!folder.path().join("mintkeep.db.unfinished").exists());
}

#[tokio::test]
async fn a_store_that_is_begun_anew_has_nothing_of_the_log_that_the_one_before_left() {
    let [folder, anew] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let store = open_sqlite(folder.path());
    store.put_app(app(1, "wx1"), audit("app")).await.unwrap();
    // As after a crash, and after somebody removed the database alone.
    std::fs::copy(folder.path().join("mintkeep.db-wal"), anew.path().join("mintkeep.db-wal")).unwrap();
    let begun: Store = open_sqlite(anew.path());
    assert!(begun.app(&app(1, "wx1").id).await.unwrap().is_none());
    assert!(audited(&begun).await.is_empty());
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_behind() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("mintkeep.db"), "not a database".repeat(99)).unwrap();
    SqliteStore::backup_of(folder.path(), &copies.path().join("copy.db")).unwrap_err();
    assert_eq!(std::fs::read_dir(copies.path()).unwrap().count(), 0, "it may be all the room that is left");
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_under_a_name_that_sqlite_can_not_write_is_refused() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_sqlite(folder.path());
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"monday\xff.db");
    store.backup(&copies.path().join(name)).await.unwrap_err();
    assert_eq!(std::fs::read_dir(copies.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_store_that_can_write_nothing_says_so_until_it_can_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_sqlite(folder.path());
    let other = rusqlite::Connection::open(folder.path().join("mintkeep.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(store.epoch().await.is_ok());
    store.commit_grant(grant(1, 1, "c"), audit("g")).await.unwrap_err();
    assert!(store.epoch().await.is_err());
    other.execute_batch("ROLLBACK").unwrap();
    // Nobody asks it for a change; it tries by itself.
    while store.epoch().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.commit_grant(grant(1, 1, "c"), audit("g")).await.unwrap(), Commit::Done);
}

#[tokio::test]
async fn a_store_whose_database_was_deleted_under_it_acknowledges_nothing_until_it_is_back() {
    for is_replaced in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = open_sqlite(folder.path());
        store.commit_grant(grant(1, 1, "c"), audit("g")).await.unwrap();
        let [file, away, copy] = ["mintkeep.db", "away", "copy.db"].map(|name| folder.path().join(name));
        store.backup(&copy).await.unwrap();
        std::fs::rename(&file, &away).unwrap();
        if is_replaced {
            std::fs::rename(&copy, &file).unwrap();
        }
        refuses_changes(&store).await;
        assert!(store.grant(number(1)).await.unwrap().is_some(), "what is known is told");

        std::fs::rename(&away, &file).unwrap();
        while store.epoch().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(store.commit_grant(grant(2, 1, "c"), audit("g")).await.unwrap(), Commit::Done);
    }
}

#[tokio::test]
async fn a_backup_that_was_copied_over_the_database_in_use_is_whole_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let [file, copy] = ["mintkeep.db", "copy.db"].map(|name| folder.path().join(name));
    let store = open_sqlite(folder.path());
    store.commit_grant(grant(1, 1, "c"), audit("g")).await.unwrap();
    store.backup(&copy).await.unwrap();
    store.commit_grant(grant(2, 1, "c"), audit("g")).await.unwrap();
    std::fs::copy(&copy, &file).unwrap();
    refuses_changes(&store).await;
    drop(store);

    let store = open_sqlite(folder.path());
    assert!(store.epoch().await.unwrap() > StoreEpoch::new(0), "it knows that it was restored");
    assert!(store.grant(number(1)).await.unwrap().is_some());
    assert!(store.grant(number(2)).await.unwrap().is_none(), "of after the backup");
}

/// Waits until a store whose database is gone has noticed.
async fn refuses_changes(store: &SqliteStore) {
    // Nobody asks it for a change; it looks by itself.
    let noticed = async {
        while store.epoch().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), noticed).await.expect("it is noticed");
    let refused = store.commit_grant(grant(9, 1, "c"), audit("g")).await.unwrap_err();
    assert!(refused.to_string().contains("deleted or replaced"), "{refused}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_store_and_its_backup() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = open_sqlite(folder.path());
    store.backup(&folder.path().join("copy.db")).await.unwrap();
    for name in ["mintkeep.db", "mintkeep.db-wal", "copy.db"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[tokio::test]
async fn a_backup_is_taken_while_the_store_works_and_begins_a_new_epoch_each_time_it_is_restored() {
    let [folder, restored, again] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let copy = folder.path().join("copy.db");
    let store = open_sqlite(folder.path());
    store.commit_grant(grant(1, 1, "c"), audit("before")).await.unwrap();
    store.backup(&copy).await.unwrap();
    store.commit_grant(grant(2, 1, "c"), audit("after")).await.unwrap();
    assert!(store.backup(&copy).await.is_err(), "a backup is never overwritten");
    drop(store);

    // Restored once at noon, and once more a minute later: no epoch is used twice, and nothing is handed out twice.
    let noon = restore(&copy, restored.path(), 0).await;
    let later = restore(&copy, again.path(), 1).await;
    assert!(StoreEpoch::new(0) < noon && noon < later, "{noon:?} {later:?}");
    assert!(later.first().number() > noon.first().number() + 1_000_000, "what was minted in that minute");

    // An ordinary restart keeps the epoch, and what was committed in it.
    let store = open_sqlite(restored.path());
    assert_eq!(store.epoch().await.unwrap(), noon);
    assert!(store.grant(number(3)).await.unwrap().is_some());

    // A backup of a restored store goes on from its epoch.
    let second = folder.path().join("second.db");
    store.backup(&second).await.unwrap();
    drop(store);
    let mut before = noon;
    for minutes_later in [0, 1, 300] {
        std::fs::remove_file(again.path().join("mintkeep.db")).unwrap();
        let epoch = restore(&second, again.path(), minutes_later).await;
        assert!(epoch > before && epoch.number() > noon.number(), "{epoch:?} {before:?}");
        before = epoch;
    }
}

#[tokio::test]
async fn a_backup_put_beside_the_log_of_the_store_before_it_is_not_mixed_with_it() {
    let [folder, crashed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let copy = folder.path().join("copy.db");
    let store = open_sqlite(folder.path());
    store.commit_grant(grant(1, 1, "c"), audit("before")).await.unwrap();
    store.backup(&copy).await.unwrap();
    store.commit_grant(grant(2, 1, "c"), audit("after")).await.unwrap();
    // As after a crash: the log is still there.
    for name in ["mintkeep.db", "mintkeep.db-wal"] {
        std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    restore(&copy, crashed.path(), 0).await;
    let store = open_sqlite(crashed.path());
    assert!(store.grant(number(1)).await.unwrap().is_some());
    assert!(store.grant(number(2)).await.unwrap().is_none(), "it came after the backup");
}

#[tokio::test]
async fn a_grant_takes_at_most_250_bytes_on_disk_with_its_index() {
    const GRANTS: i64 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open_sqlite(folder.path());
    let mut committed = JoinSet::new();
    // Codes are issued and exchanged in turn, as in life, and each grant is refreshed twice.
    for lane in 0..64 {
        let store = store.clone();
        committed.spawn(async move {
            for id in (lane..GRANTS).step_by(64) {
                let made_at = Timestamp::from_unix_ms(1_800_000_000_000 + id);
                let id_in_time = mintkeep_protocol::ident::RecordId::new(made_at, 7).number();
                let scattered = id.wrapping_mul(7_919).rem_euclid(GRANTS);
                let mut grant = grant(id_in_time, 1, &format!("21600000{scattered:08}"));
                grant.scopes.truncate(1);
                for stage in [
                    GrantStage::Issued { binding: None },
                    active(None, Some(RequestDigest([1; 16]))),
                    active(Some(held(1)), Some(RequestDigest([2; 16]))),
                    active(Some(held(2)), Some(RequestDigest([3; 16]))),
                ] {
                    grant.stage = stage;
                    assert_eq!(store.commit_grant(grant.clone(), audit("g")).await.unwrap(), Commit::Done);
                    grant.revision += 1;
                }
            }
        });
    }
    while let Some(done) = committed.join_next().await {
        done.unwrap();
    }
    store.close();
    let db = rusqlite::Connection::open(folder.path().join("mintkeep.db")).unwrap();
    let sql = "SELECT sum(pgsize) FROM dbstat WHERE name IN ('grant_record', 'grant_record_by_app')";
    let bytes: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    assert!(bytes / GRANTS <= 250, "{} bytes per grant", bytes / GRANTS);
}

fn options() -> SqliteOptions {
    SqliteOptions { clock: Arc::new(Still(at(0))), audit_retention: Duration::from_hours(1) }
}

#[tokio::test]
async fn a_restored_store_whose_first_start_was_killed_half_way_still_begins_a_new_epoch() {
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = folder.path().join("copy.db");
    open_sqlite(folder.path()).backup(&copy).await.unwrap();

    // The first start has the mark off in the file, and the journal that undoes it not deleted yet.
    let db = rusqlite::Connection::open(&copy).unwrap();
    db.execute_batch(
        "PRAGMA cache_size = 1; BEGIN; PRAGMA user_version = 0; CREATE TABLE half (a); INSERT INTO half VALUES (zeroblob(1000000))",
    )
    .unwrap();
    let mut file = std::fs::read(&copy).unwrap();
    file[60..64].fill(0);
    let journal = std::fs::read(copy.with_extension("db-journal")).unwrap();
    std::fs::write(restored.path().join("mintkeep.db"), file).unwrap();
    std::fs::write(restored.path().join("mintkeep.db-journal"), journal).unwrap();

    assert_ne!(open_sqlite(restored.path()).epoch().await.unwrap(), StoreEpoch::new(0));
}

/// Puts a backup into a folder and starts on it; the epoch it begins.
async fn restore(copy: &Path, folder: &Path, minutes_later: i64) -> StoreEpoch {
    std::fs::copy(copy, folder.join("mintkeep.db")).unwrap();
    let clock = Arc::new(Still(at(minutes_later * 60_000)));
    let store = SqliteStore::open(folder, SqliteOptions::new(clock)).unwrap();
    assert!(store.grant(number(1)).await.unwrap().is_some());
    assert!(store.customer(&CustomerId::parse("c").unwrap()).await.unwrap().is_none());
    store.commit_grant(grant(3, 1, "c"), audit("restored")).await.unwrap();
    store.epoch().await.unwrap()
}
