//! A change whose answer is cut off: it is made, whoever asked for it hears that this is unknown, and it is not made again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore};
use mintkeep_store::PostgresStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::cluster::{ask, new_database, open};
use crate::sample::{audit, grant};

/// What the request has in it whose answer is cut off.
const MARK: &str = "cut off";

/// The same database behind a door that closes on the answer to the first request with [`MARK`] in it; it stands as
/// long as its task.
async fn behind_a_door(url: &str) -> (String, JoinSet<()>) {
    let address = url.split(['@', '/']).find(|part| part.starts_with("127.0.0.1:")).unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = listener.local_addr().unwrap().to_string();
    let url = url.replace(&address, &door);
    let was_cut = Arc::new(AtomicBool::new(false));
    let mut standing = JoinSet::new();
    standing.spawn(async move {
        let mut passing = JoinSet::new();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&address).await.unwrap();
            passing.spawn(pass(client, server, was_cut.clone()));
        }
    });
    (url, standing)
}

/// Passes on what either side says, until one of them ends or an answer is to be cut off.
async fn pass(mut client: TcpStream, mut server: TcpStream, was_cut: Arc<AtomicBool>) {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut is_to_be_cut = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let is_marked = asked[..length].windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes());
                is_to_be_cut |= is_marked && !was_cut.swap(true, Ordering::SeqCst);
                server.write_all(&asked[..length]).await.unwrap();
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if is_to_be_cut || client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_cut_off_is_unknown_and_is_not_made_again() {
    let url = new_database().await;
    PostgresStore::migrate(&url, &mut |_| {}).await.unwrap();
    let (door, _standing) = behind_a_door(&url).await;
    let store = open(&door).await;
    assert_eq!(store.commit_grant(grant(1, 1, "c"), audit("made")).await.unwrap(), Commit::Done);

    let mut next = grant(1, 1, "c");
    next.revision = 1;
    let told = store.commit_grant(next, audit(MARK)).await;
    assert!(
        told.is_err(),
        "{told:?}: a second try would find the first one's change, and call it somebody else's"
    );
    assert_eq!(ask::<i64>(&url, "SELECT revision::bigint FROM grant_record").await, 2);
    assert_eq!(ask::<i64>(&url, "SELECT count(*) FROM audit").await, 2);

    let mut after = grant(1, 1, "c");
    after.revision = 2;
    assert_eq!(
        store.commit_grant(after, audit("after")).await.unwrap(),
        Commit::Done,
        "by another connection"
    );
}
