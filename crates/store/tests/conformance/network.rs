//! The way to the database: encrypted as the URL says, over whichever host answers, and given up when frozen.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore};
use mintkeep_protocol::port::keeper_store::KeeperStore as _;
use mintkeep_protocol::token::StoreEpoch;
use mintkeep_store::{DatabaseError, PostgresOptions, PostgresStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::{ask, new_database, run};
use crate::keeper::credential;
use crate::sample::{NOW, Still, audit, grant};
use crate::server::Server;

/// Makes an authority, the server's certificate for `localhost` that it signs, and another authority of its name.
/// The server runs as `postgres` if we are root.
const CERTIFICATES: &str = "
set -eu
ec() { openssl req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 \"$@\"; }
ec -x509 -days 2 -subj /CN=authority -keyout authority.key -out authority.pem
ec -x509 -days 2 -subj /CN=authority -keyout stranger.key -out stranger.pem
ec -subj /CN=server -addext subjectAltName=DNS:localhost -keyout server.key -out server.csr
openssl x509 -req -days 2 -in server.csr -CA authority.pem -CAkey authority.key -copy_extensions copy -out server.pem
if [ $(id -u) = 0 ]; then chown postgres . server.key; fi
";

async fn opened(url: &str) -> Result<Arc<PostgresStore>, DatabaseError> {
    PostgresStore::open(url, PostgresOptions::new(Arc::new(Still(NOW)))).await
}

#[tokio::test]
async fn the_connection_is_as_safe_as_the_url_asks() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [certificate, key] = [("cert", "server.pem"), ("key", "server.key")]
        .map(|(which, name)| format!("ssl_{which}_file={}", file(name)));
    let server = Server::start(None, &["ssl=on", &certificate, &key]);
    let url = server.url("postgres");
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let [authority, stranger] = ["authority.pem", "stranger.pem"].map(file);
    let named = url.replace("127.0.0.1", "localhost");
    let [trusted, untrusted] = [authority, stranger].map(|file| format!("sslrootcert={file}"));
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE datname = current_database() AND application_name = 'mintkeep'";

    #[rustfmt::skip]
    let cases = [
        ("in the clear",             &url,   String::new(),                             Some(false)),
        ("disable",                  &url,   "?sslmode=disable".into(),                 Some(false)),
        ("require",                  &url,   "?sslmode=require".into(),                 Some(true)),
        ("require, by authority",    &url,   format!("?sslmode=require&{trusted}"),     Some(true)),
        ("require, by a stranger",   &url,   format!("?sslmode=require&{untrusted}"),   None),
        ("authority, name or not",   &url,   format!("?sslmode=verify-ca&{trusted}"),   Some(true)),
        ("signed by a stranger",     &named, format!("?sslmode=verify-ca&{untrusted}"), None),
        ("authority and name",       &named, format!("?sslmode=verify-full&{trusted}"), Some(true)),
        ("another name",             &url,   format!("?sslmode=verify-full&{trusted}"), None),
        ("name, by a stranger",      &named, format!("?sslmode=verify-full&{untrusted}"), None),
        ("not known to the system",  &named, "?sslmode=verify-full&sslrootcert=system".into(), None),
    ];
    for (case, base, parameters, expected) in cases {
        let store = opened(&format!("{base}{parameters}")).await.ok();
        let found = match &store {
            Some(_) => Some(ask::<bool>(&url, encrypted).await),
            None => None,
        };
        assert_eq!(found, expected, "{case}");
        let gone = async {
            let left = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'mintkeep'";
            if let Some(store) = store {
                store.close();
            }
            while ask::<i64>(&url, left).await > 0 {}
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_without_tls_learns_nothing_when_the_url_requires_it() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let heard = async {
        let (mut caller, _) = server.accept().await.unwrap();
        let mut request = [0; 8];
        caller.read_exact(&mut request).await.unwrap();
        caller.write_all(b"N").await.unwrap();
        let mut rest = Vec::new();
        caller.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let url = format!("postgres://mintkeep:hunter2@127.0.0.1:{port}/d?sslmode=require");
    let (refusal, heard) = tokio::join!(opened(&url), heard);
    let refusal = refusal.map(|_| ()).unwrap_err().to_string();
    assert!(refusal.contains("TLS"), "{refusal}");
    assert_eq!(heard, Vec::<u8>::new(), "nothing but the wish for TLS was sent");
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_passed_over_for_the_next() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    // Takes connections, as the kernel does for a process that is stopped, and says nothing.
    let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = crate::port::free();
    let hosts = format!("mintkeep@{},127.0.0.1:{gone},", frozen.local_addr().unwrap());
    let several = url.replace("mintkeep@", &hosts) + "?target_session_attrs=read-write";
    let store = opened(&several).await.unwrap();
    assert_eq!(store.commit_grant(grant(1, 1, "c"), audit("g")).await.unwrap(), Commit::Done);
}

/// A listener before the server of a URL, where that server is, and the URL by way of the listener.
async fn before(url: &str) -> (TcpListener, String, String) {
    let server = url.split(['@', '/']).find(|part| part.contains("127.0.0.1")).unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = url.replace(&server, &listener.local_addr().unwrap().to_string());
    (listener, server, through)
}

/// Passes bytes between a caller and the server, but for callers that came before `frozen_before` rose. Tells how many
/// came.
async fn pass(
    listener: TcpListener,
    server: String,
    (frozen_before, came): (watch::Receiver<u32>, watch::Sender<u32>),
) {
    let mut passing = JoinSet::new();
    for n in 0.. {
        let (mut caller, _) = listener.accept().await.unwrap();
        came.send_replace(n + 1);
        let (mut to_server, mut frozen_before) =
            (TcpStream::connect(&server).await.unwrap(), frozen_before.clone());
        passing.spawn(async move {
            let frozen = async { frozen_before.wait_for(|before| n < *before).await.is_ok() };
            let is_frozen = tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut caller, &mut to_server) => false,
                is_frozen = frozen => is_frozen,
            };
            if is_frozen {
                std::future::pending::<()>().await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_freezes_is_given_up_and_the_next_change_finds_another_connection() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let (listener, server, through) = before(&url).await;
    let (freeze, frozen_before) = watch::channel(0);
    let mut passing = JoinSet::new();
    passing.spawn(pass(listener, server, (frozen_before, watch::Sender::new(0))));
    let store = opened(&through).await.unwrap();
    assert_eq!(store.commit_grant(grant(1, 1, "c"), audit("g")).await.unwrap(), Commit::Done);

    freeze.send(1_000).unwrap();
    let patience = Duration::from_secs(15);
    let waited = tokio::time::timeout(patience, async {
        let late = async {
            // The first one has its turn.
            tokio::time::sleep(Duration::from_millis(100)).await;
            store.commit_grant(grant(5, 1, "c"), audit("g")).await
        };
        let (commit, late, read) = tokio::join!(
            store.commit_grant(grant(2, 1, "c"), audit("g")),
            late,
            store.grant(grant(3, 1, "c").id)
        );
        assert!(read.is_err(), "a read that is not answered is an error");
        let late = late.unwrap_err().to_string();
        assert!(late.contains("waited too long"), "it is not begun after that: {late}");
        commit
    });
    let refusal = waited.await.unwrap().unwrap_err().to_string();
    assert!(refusal.contains("did not answer in time"), "{refusal}");

    freeze.send(0).unwrap();
    let commit = tokio::time::timeout(patience, store.commit_grant(grant(4, 1, "c"), audit("g"))).await;
    assert_eq!(commit.unwrap().unwrap(), Commit::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_at_once_they_share_the_few_connections() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let (listener, server, through) = before(&url).await;
    let (_freeze, frozen_before) = watch::channel(0);
    let (came, connections) = watch::channel(0);
    let mut passing = JoinSet::new();
    passing.spawn(pass(listener, server, (frozen_before, came)));
    let store = opened(&through).await.unwrap();
    let so_far = *connections.borrow();
    run(
        &url,
        "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = 'mintkeep' \
         AND datname = current_database()",
    )
    .await;
    let ask_all = || {
        let ask = |n| {
            let store = Arc::clone(&store);
            async move { store.grant(grant(n, 1, "c").id).await.is_ok() }
        };
        (0..300).map(ask).collect::<JoinSet<_>>().join_all()
    };
    // The first ones may find out that the connections are gone.
    ask_all().await;
    assert!(ask_all().await.into_iter().all(|is_ok| is_ok));
    // docs/operations.md, "A pooler".
    let made = *connections.borrow() - so_far;
    assert!(made <= 19, "{made} connections");
}

#[tokio::test]
async fn a_database_that_takes_no_changes_says_so_until_it_does_again() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let database = url.rsplit('/').next().unwrap();
    run(&url, &format!("ALTER DATABASE {database} SET default_transaction_read_only = on")).await;
    let store = opened(&url).await.unwrap();
    let refused = store.epoch().await.unwrap_err();
    assert!(refused.to_string().contains("takes no changes"), "{refused}");
    assert!(store.commit_grant(grant(1, 1, "c"), audit("g")).await.is_err());
    let elsewhere = url.replace(database, "postgres");
    run(&elsewhere, &format!("ALTER DATABASE {database} RESET default_transaction_read_only")).await;
    // The setting is a new connection's: those that found it are not asked again.
    while store.epoch().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = async { while store.commit_grant(grant(1, 1, "c"), audit("g")).await.is_err() {} };
    assert!(tokio::time::timeout(Duration::from_secs(20), again).await.is_ok(), "nor written through");
}

#[tokio::test]
async fn a_user_without_a_right_on_any_one_table_is_told_which() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let user = format!("small_{}", url.rsplit('/').next().unwrap());
    run(&url, &format!("CREATE ROLE {user} LOGIN; GRANT SELECT ON meta TO {user}")).await;
    let tables: String = ask(&url, "SELECT string_agg(relname, ' ') FROM pg_stat_user_tables").await;
    // The least that a server works with.
    for table in tables.split(' ').filter(|table| *table != "meta") {
        let rights = match table {
            "audit" | "spent_nonce" | "slot_history" => "SELECT, INSERT, DELETE",
            "customer" | "service" | "platform_key" => "SELECT, INSERT, UPDATE",
            _ => "SELECT, INSERT, UPDATE, DELETE",
        };
        run(&url, &format!("GRANT {rights} ON {table} TO {user}")).await;
    }
    let store = opened(&url.replace("//mintkeep@", &format!("//{user}@"))).await.unwrap();
    assert_eq!(store.epoch().await.unwrap(), StoreEpoch::new(0));
    let mut lacking = vec![("INSERT", "grant_record"), ("UPDATE", "pool"), ("DELETE", "audit")];
    lacking.extend(tables.split(' ').filter(|table| *table != "meta").map(|table| ("SELECT", table)));
    for (right, table) in lacking {
        run(&url, &format!("REVOKE {right} ON {table} FROM {user}")).await;
        let refused = store.epoch().await.unwrap_err();
        assert!(refused.to_string().contains(&format!("lacks {right} on {table}: GRANT it")), "{refused}");
        run(&url, &format!("GRANT {right} ON {table} TO {user}")).await;
    }
}

/// Changes a setting of the server, and waits until a session of its own sees it.
async fn set(url: &str, standby: &str) {
    run(url, &format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'")).await;
    run(url, "SELECT pg_reload_conf()").await;
    while ask::<String>(url, "SELECT current_setting('synchronous_standby_names')").await != standby {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_wait_for_a_standby_that_is_away_take_no_more_and_more_sessions() {
    let server = tokio::task::spawn_blocking(|| Server::start(None, &[])).await.unwrap();
    let url = server.url("postgres");
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let store = opened(&url).await.unwrap();
    let write = async |no: i64| {
        let written = store.put_credential(credential(no, &format!("c{no}")), audit("added")).await;
        written.map_err(|error| error.to_string())
    };
    assert_eq!(write(1).await, Ok(Commit::Done));
    set(&url, "away").await;
    let mut told = String::new();
    for round in 1..=4 {
        let (one, other) = tokio::join!(write(2 * round), write(2 * round + 1));
        told = one.and(other).map_or_else(|error| error, |commit| format!("{commit:?}"));
    }
    assert!(told.contains("standby"), "{told}");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let waiting = ask::<i64>(&url, waiting).await;
    assert!((1..=4).contains(&waiting), "{waiting} of 8 commits wait");
    assert_eq!(store.consumers().await.unwrap().len(), 0, "who only reads is served");

    set(&url, "").await;
    let done = async { while write(99).await.is_err() {} };
    tokio::time::timeout(Duration::from_mins(1), done).await.unwrap();
}
