//! How much disk a grant takes in PostgreSQL.

use std::sync::Arc;

use mintkeep_protocol::ident::{CustomerId, RecordId, Scope};
use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore};
use mintkeep_protocol::record::Grant;
use mintkeep_protocol::request::RequestDigest;
use mintkeep_store::PostgresStore;
use tokio::task::JoinSet;

use crate::cluster::{ask, new_database, open, run};
use crate::sample::{active, at, audit, grant, open_sqlite};

/// The goal for a grant with its share of the indexes.
const GRANT_BYTES_MAX: f64 = 250.0;

/// The `n`th grant of a wallet's app, made `n` quarters of a millisecond after the first.
fn nth(n: i64) -> Grant {
    let number = u32::try_from(n).unwrap().wrapping_mul(0x9e37_79b9);
    Grant {
        id: RecordId::new(at(n / 4), number),
        customer: CustomerId::parse(&format!("216000{number:010}")).unwrap(),
        scopes: vec![Scope::parse("auth_user").unwrap()],
        ..grant(0, n % 16, "c")
    }
}

/// How many customers come at once.
const CUSTOMERS: usize = 16;

/// Issues codes, and exchanges each as soon as it is there, as signed requests do.
async fn live(store: &Arc<PostgresStore>, numbers: std::ops::Range<i64>) {
    let mut asked = JoinSet::new();
    for first in numbers.clone().take(CUSTOMERS) {
        let (store, mine) = (store.clone(), (first..numbers.end).step_by(CUSTOMERS));
        asked.spawn(async move {
            for n in mine {
                let mut grant = nth(n);
                assert_eq!(store.commit_grant(grant.clone(), audit("code")).await.unwrap(), Commit::Done);
                grant.revision = 1;
                grant.stage = active(None, Some(RequestDigest([7; 16])));
                assert_eq!(store.commit_grant(grant, audit("grant")).await.unwrap(), Commit::Done);
            }
        });
    }
    asked.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_takes_no_more_bytes_than_its_goal() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = open(&url).await;
    for round in 0..16 {
        live(&store, round * 1_500..(round + 1) * 1_500).await;
        // What the server does by itself every minute.
        run(&url, "VACUUM ANALYZE grant_record").await;
    }
    let bytes: f64 =
        ask(&url, "SELECT pg_total_relation_size('grant_record')::float8 / count(*) FROM grant_record").await;
    assert!(bytes <= GRANT_BYTES_MAX, "{bytes:.0} bytes a grant");
}

#[tokio::test]
async fn the_log_of_an_embedded_store_is_short_again_after_a_long_backup() {
    const WRITTEN_BYTES: u64 = 48 << 20;
    const LOG_BYTES_MAX: u64 = 33 << 20;
    let folder = tempfile::tempdir().unwrap();
    let store = open_sqlite(folder.path());
    let [reader, writer] =
        [(); 2].map(|()| rusqlite::Connection::open(folder.path().join("mintkeep.db")).unwrap());
    let log_bytes = || std::fs::metadata(folder.path().join("mintkeep.db-wal")).unwrap().len();
    // As a backup does it: one snapshot for as long as it reads.
    reader.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
    writer.execute_batch("CREATE TABLE much (bytes BLOB)").unwrap();
    writer.execute("INSERT INTO much VALUES (zeroblob(?1))", [WRITTEN_BYTES]).unwrap();
    assert!(log_bytes() > WRITTEN_BYTES);
    reader.execute_batch("COMMIT").unwrap();
    for id in 1..=8 {
        store.commit_grant(grant(id, 1, "c"), audit("g")).await.unwrap();
    }
    assert!(log_bytes() < LOG_BYTES_MAX, "{}", log_bytes());
}
