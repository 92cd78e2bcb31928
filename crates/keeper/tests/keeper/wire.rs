//! The real way out, against a server that misbehaves: what was sent for sure, and what perhaps.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use mintkeep_keeper::settings::KeeperSettings;
use mintkeep_keeper::upstream::HyperUpstream;
use mintkeep_protocol::port::upstream::{FaultCause, Upstream, UpstreamFault};
use mintkeep_web::tasks::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Longer than any of these servers takes to do what it does.
const PATIENCE: Duration = Duration::from_secs(20);
/// For one that does nothing.
const SHORT: Duration = Duration::from_millis(400);

/// What a server does with each connection, once it has read a request.
#[derive(Debug, Clone, Copy)]
enum Manners {
    Answers(&'static str),
    Hangs,
    HangsUp,
    HangsUpHalfway,
    /// Answers, and closes the connection that the client keeps.
    AnswersOnce,
}

async fn server(tasks: &Tasks, manners: Manners) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ours = tasks.clone();
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            ours.spawn(async move {
                let mut buffer = [0; 4096];
                while socket.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    let answer: &str = match manners {
                        Manners::Answers(answer) => answer,
                        Manners::AnswersOnce => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
                        Manners::HangsUpHalfway => "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{",
                        Manners::Hangs => std::future::pending().await,
                        Manners::HangsUp => return,
                    };
                    socket.write_all(answer.as_bytes()).await.unwrap();
                    if matches!(manners, Manners::AnswersOnce | Manners::HangsUpHalfway) {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn upstream(request_deadline: Duration) -> HyperUpstream {
    HyperUpstream::new(&KeeperSettings {
        request_deadline,
        answer_bytes_max: 100,
        ..KeeperSettings::default()
    })
}

fn request() -> http::Request<Bytes> {
    http::Request::post("/cgi-bin/token?a=b").body(Bytes::from_static(b"{}")).unwrap()
}

#[tokio::test]
async fn what_was_sent_for_sure_is_told_from_what_was_not() {
    let tasks = Tasks::new(1);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let long = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n65\r\n\
                0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789!\r\n0\r\n\r\n";
    let not_sent = UpstreamFault::NotSent;
    let ambiguous = UpstreamFault::Ambiguous;
    let cases = [
        ("nobody listens", format!("http://{closed}"), not_sent(FaultCause::Connect)),
        ("no URL", "nonsense url".to_owned(), not_sent(FaultCause::RequestIllegal)),
        (
            "no TLS",
            server(&tasks, Manners::HangsUp).await.replace("http:", "https:"),
            not_sent(FaultCause::Connect),
        ),
        (
            "no TLS but HTTP",
            server(&tasks, Manners::Answers("HTTP/1.1 400 Bad Request\r\n\r\n"))
                .await
                .replace("http:", "https:"),
            not_sent(FaultCause::Tls),
        ),
        ("hangs", server(&tasks, Manners::Hangs).await, ambiguous(FaultCause::Deadline)),
        ("hangs up", server(&tasks, Manners::HangsUp).await, ambiguous(FaultCause::ConnectionLost)),
        (
            "hangs up halfway",
            server(&tasks, Manners::HangsUpHalfway).await,
            ambiguous(FaultCause::ConnectionLost),
        ),
        ("too long", server(&tasks, Manners::Answers(long)).await, ambiguous(FaultCause::AnswerTooLarge)),
    ];
    for (case, url, fault) in cases {
        let deadline = if fault == ambiguous(FaultCause::Deadline) { SHORT } else { PATIENCE };
        assert_eq!(upstream(deadline).send(&url, request()).await.map(|_| ()), Err(fault), "{case}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_a_kept_connection_that_was_closed_is_no_fault() {
    let tasks = Tasks::new(1);
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let url = server(&tasks, Manners::Answers(moved)).await;
    assert_eq!(upstream(PATIENCE).send(&url, request()).await.unwrap().status(), 302);

    let url = server(&tasks, Manners::AnswersOnce).await;
    let upstream = upstream(PATIENCE);
    for _ in 0..20 {
        let answer = upstream.send(&url, request()).await;
        // A connection that closes while the request is on its way is in doubt, and says so.
        assert!(
            matches!(answer, Ok(_) | Err(UpstreamFault::Ambiguous(FaultCause::ConnectionLost))),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_met_a_closed_connection_is_sent_by_another() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ((close, told), (tell, closed)) = (channel(), channel());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map(Result::unwrap) {
            let mut head = [0; 4096];
            let _read = socket.read(&mut head).unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
            told.recv().unwrap();
            drop(socket);
            tell.send(()).unwrap();
        }
    });
    let upstream = upstream(PATIENCE);
    for _ in 0..2 {
        let answer = upstream.send(&url, request()).await;
        assert!(!matches!(answer, Err(UpstreamFault::NotSent(_))), "{answer:?}");
        close.send(()).unwrap();
        // This thread is the client's only one: while it waits here, nobody hears of the end. Afterwards the next request
        // is there as soon as the end is heard of.
        closed.recv().unwrap();
        tokio::task::yield_now().await;
    }
}
