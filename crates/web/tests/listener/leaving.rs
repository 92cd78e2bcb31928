//! The end of a listener.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use mintkeep_web::serve::Manners;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::rig::{PATIENCE, Rig, answer, rest, status};

/// A server whose `/gated` says that it began, then waits for the gate.
struct Gated {
    rig: Rig,
    began: Arc<Semaphore>,
    gate: Arc<Semaphore>,
}

async fn start() -> Gated {
    let (began, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (says, waits) = (Arc::clone(&began), Arc::clone(&gate));
    let gated = async move || {
        says.add_permits(1);
        waits.acquire().await.unwrap().forget();
        "gated"
    };
    let router = Router::new().route("/gated", get(gated)).route("/hello", get(async || "hello"));
    Gated { rig: Rig::start(router, Manners::default()).await, began, gate }
}

async fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
}

#[tokio::test]
async fn what_is_in_flight_finishes_and_what_is_idle_is_closed() {
    let Gated { rig, began, gate } = start().await;
    let (mut busy, mut idle) = (rig.connect().await, rig.connect().await);
    ask(&mut idle, "/hello").await;
    assert_eq!(status(&answer(&mut idle).await), "200");
    ask(&mut busy, "/gated").await;
    began.acquire().await.unwrap().forget();

    let tasks = rig.tasks.clone();
    let stopping = rig.tasks.spawn(async move { tasks.stopping().await });
    assert!(rig.tasks.shutdown(Duration::ZERO).await.is_err(), "it does not wait for the busy one");
    stopping.await.unwrap();
    assert_eq!(rest(&mut idle).await, "", "the idle one ends");
    assert!(TcpStream::connect(rig.address).await.is_err(), "nothing new is accepted");

    gate.add_permits(1);
    let last = rest(&mut busy).await;
    assert!(last.ends_with("gated"), "{last}");
    drop((busy, idle));
    assert_eq!(rig.tasks.shutdown(PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn who_ends_its_own_side_after_asking_is_still_answered() {
    let Gated { rig, began, gate } = start().await;
    let (mut half_closed, mut other) = (rig.connect().await, rig.connect().await);
    ask(&mut half_closed, "/gated").await;
    began.acquire().await.unwrap().forget();
    half_closed.shutdown().await.unwrap();
    // By the time another is answered, the server has been told of the end.
    ask(&mut other, "/hello").await;
    assert_eq!(status(&answer(&mut other).await), "200");

    gate.add_permits(1);
    let last = rest(&mut half_closed).await;
    assert!(last.ends_with("gated"), "{last:?}");
}

#[tokio::test]
async fn a_request_that_crosses_the_stop_on_the_wire_is_still_answered() {
    let Gated { rig, .. } = start().await;
    let mut idle = rig.connect().await;
    ask(&mut idle, "/hello").await;
    answer(&mut idle).await;
    let mut fresh = rig.connect().await;

    rig.readiness.leave();
    assert!(rig.tasks.shutdown(Duration::ZERO).await.is_err());
    for stream in [&mut idle, &mut fresh] {
        ask(stream, "/hello").await;
        let last = rest(stream).await;
        assert!(last.ends_with("hello") && last.contains("\r\nconnection: close\r\n"), "{last:?}");
    }
    drop((idle, fresh));
    assert_eq!(rig.tasks.shutdown(PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn answers_close_their_connections_once_the_process_is_leaving() {
    let Gated { rig, .. } = start().await;
    rig.readiness.started();
    let mut stream = rig.connect().await;
    ask(&mut stream, "/hello").await;
    assert!(!answer(&mut stream).await.contains("connection: close"));
    assert!(rig.readiness.is_ready());

    rig.readiness.leave();
    assert!(!rig.readiness.is_ready());
    ask(&mut stream, "/hello").await;
    assert!(rest(&mut stream).await.contains("\r\nconnection: close\r\n"));
}

#[tokio::test]
async fn a_handler_that_does_not_end_is_left_behind_at_the_deadline_and_counted() {
    let Gated { rig, began, .. } = start().await;
    let mut busy = rig.connect().await;
    ask(&mut busy, "/gated").await;
    began.acquire().await.unwrap().forget();
    let left = rig.tasks.shutdown(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(left.tasks, 1);
}
