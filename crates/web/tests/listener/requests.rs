//! Requests, good and bad, and what becomes of them.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::body::{self, BodyRefused};
use mintkeep_web::limits::Limits;
use mintkeep_web::note::{AnswerNote, DropConnection};
use mintkeep_web::serve::Manners;

use tokio::io::AsyncWriteExt;

use crate::rig::{self, Rig, answer, status};

const LIMITS: Limits = Limits {
    body_bytes_max: 1024,
    header_bytes_max: 512,
    request_line_bytes_max: 256,
    read_timeout: Duration::from_millis(200),
    idle_timeout: Duration::from_millis(600),
    request_deadline: Duration::from_millis(400),
    connections_max: 2,
};

async fn length(request: Request) -> Response {
    match body::read(request.into_body(), &LIMITS).await {
        Ok(bytes) => bytes.len().to_string().into_response(),
        Err(BodyRefused::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(BodyRefused::TooSlow) => StatusCode::REQUEST_TIMEOUT.into_response(),
        Err(BodyRefused::Broken) => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn dropped() -> Response {
    let mut response = Response::new(Body::from("never seen"));
    response.extensions_mut().insert(DropConnection);
    response
}

fn router() -> Router {
    let note = AnswerNote { endpoint: "test/hello", code: "SUCCESS" };
    Router::new()
        .route("/hello", any(async move || note.on("hello".into_response())))
        .route("/length", post(length))
        .route("/peer", get(async |arrival: Arrival| arrival.peer.to_string()))
        .route("/never", get(std::future::pending::<()>))
        .route("/panic", get(async || -> &'static str { panic!("planted") }))
        .route("/drop", get(dropped))
}

async fn start() -> Rig {
    Rig::start(router(), Manners { limits: LIMITS, ..Manners::default() }).await
}

/// One request on a connection of its own; all bytes until the server closes it.
async fn one(rig: &Rig, request: &str) -> String {
    let mut stream = rig.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rig::rest_unharmed(&mut stream).await
}

fn get_with_target(bytes: usize) -> String {
    let around = "GET /hello? HTTP/1.1".len();
    format!(
        "GET /hello?{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "q".repeat(bytes.saturating_sub(around))
    )
}

fn get_with_headers(bytes: usize) -> String {
    let around = "host: a\r\nconnection: close\r\nfiller: \r\n".len();
    format!(
        "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\nfiller: {}\r\n\r\n",
        "f".repeat(bytes.saturating_sub(around))
    )
}

#[tokio::test]
async fn a_head_is_taken_up_to_its_limits_in_every_form_of_target() {
    let rig = start().await;
    #[rustfmt::skip]
    let cases = [
        ("line at its limit",     get_with_target(256),                                                "200"),
        ("line a byte longer",    get_with_target(257),                                                "414"),
        ("line far longer",       get_with_target(60_000),                                             "431"),
        ("headers at their limit", get_with_headers(512),                                              "200"),
        ("headers a byte longer", get_with_headers(513),                                               "431"),
        ("headers far longer",    get_with_headers(60_000),                                            "431"),
        ("absolute target",       "GET http://any.example/hello?a=b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".into(), "200"),
        ("asterisk target",       "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".into(),            "404"),
        ("authority target",      "CONNECT any.example:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".into(), "400"),
        ("no HTTP",               "\u{16}\u{3}\u{1}hello\r\n\r\n".into(),                              "400"),
        ("HTTP/1.0",              "GET /hello HTTP/1.0\r\n\r\n".into(),                                "200"),
    ];
    for (case, request, expected) in cases {
        let answer = one(&rig, &request).await;
        assert_eq!(status(&answer), expected, "{case}: {answer}");
    }
}

#[tokio::test]
async fn a_body_is_read_however_it_is_framed_and_refused_past_its_limit() {
    let rig = start().await;
    let framed = |length: usize| {
        format!("POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
            + &"b".repeat(length)
    };
    let chunked = |rest: &str| {
        format!(
            "POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{rest}"
        )
    };
    let chunk = "400\r\n".to_owned() + &"b".repeat(1024) + "\r\n";
    #[rustfmt::skip]
    let cases = [
        ("at the limit",              framed(1024),                        "200"),
        ("a byte longer",             framed(1025),                        "413"),
        ("chunked, at the limit",     chunked(&format!("{chunk}0\r\n\r\n")),       "200"),
        ("chunked, a byte longer",    chunked(&format!("{chunk}1\r\nb\r\n0\r\n\r\n")), "413"),
        ("chunked, malformed",        chunked("nonsense\r\n"),             "400"),
        ("nothing follows",           chunked(""),                         "408"),
    ];
    for (case, request, expected) in cases {
        let answer = one(&rig, &request).await;
        assert_eq!(status(&answer), expected, "{case}: {answer}");
    }
}

/// With patience for machines that are busy: how long a refused body is read out follows from the read timeout.
#[tokio::test]
async fn who_sends_all_of_a_body_that_is_far_too_long_still_reads_why_it_was_refused() {
    let limits = Limits { read_timeout: Duration::from_secs(20), ..LIMITS };
    let rig = Rig::start(router(), Manners { limits, ..Manners::default() }).await;
    let head = "POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 900000\r\n\r\n";
    let answer = one(&rig, &(head.to_owned() + &"b".repeat(900_000))).await;
    assert_eq!(status(&answer), "413", "{answer}");
}

#[tokio::test]
async fn a_peer_that_stalls_is_closed_and_a_handler_that_stalls_is_answered_for() {
    let rig = start().await;
    #[rustfmt::skip]
    let cases = [
        ("sends nothing",       "",                                        ""),
        ("half a head",         "GET /hello HTTP/1.1\r\nhost: a\r\nhost",             "408"),
        ("idle after one",      "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",             "200"),
        ("half of the second",  "GET /hello HTTP/1.1\r\nhost: a\r\n\r\nGET /hel",     "200"),
        ("slow handler",        "GET /never HTTP/1.1\r\nhost: a\r\n\r\n",             "503"),
    ];
    for (case, request, expected) in cases {
        let answer = one(&rig, request).await;
        assert_eq!(status(&answer), expected, "{case}: {answer}");
    }
}

#[tokio::test]
async fn a_second_head_that_stays_half_is_told_so_after_the_first_answer() {
    let rig = start().await;
    let mut stream = rig.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(status(&answer(&mut stream).await), "200");
    stream.write_all(b"GET /hel").await.unwrap();
    let told = rig::rest_unharmed(&mut stream).await;
    assert_eq!(told, "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}

#[tokio::test]
async fn a_connection_that_is_quiet_for_longer_than_a_head_may_take_is_served_all_the_same() {
    let limits = Limits { idle_timeout: Duration::from_mins(10), ..LIMITS };
    let rig = Rig::start(router(), Manners { limits, ..Manners::default() }).await;
    let mut stream = rig.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_eq!(status(&answer(&mut stream).await), "200");
        let quiet = tokio::time::timeout(LIMITS.read_timeout * 2, answer(&mut stream)).await;
        assert!(quiet.is_err(), "it said {quiet:?}");
    }
}

/// One row per way to name a host, or none.
#[tokio::test]
async fn a_request_names_its_host_unless_it_is_older_than_hosts() {
    let rig = start().await;
    #[rustfmt::skip]
    let cases = [
        ("none",                    "GET /hello HTTP/1.1\r\nconnection: close\r\n\r\n",                             "400"),
        ("none, absolute target",   "GET http://a/hello HTTP/1.1\r\nconnection: close\r\n\r\n",                     "400"),
        ("two words",               "GET /hello HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n",               "400"),
        ("a path",                  "GET /hello HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n",               "400"),
        ("somebody at a host",      "GET /hello HTTP/1.1\r\nhost: a@b\r\nconnection: close\r\n\r\n",               "400"),
        ("empty",                   "GET /hello HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n",                   "200"),
        ("a name and a port",       "GET /hello HTTP/1.1\r\nhost: a-1.example:7600\r\nconnection: close\r\n\r\n",  "200"),
        ("an IPv6 address",         "GET /hello HTTP/1.1\r\nhost: [::1]:7600\r\nconnection: close\r\n\r\n",        "200"),
        ("none, HTTP/1.0",          "GET /hello HTTP/1.0\r\n\r\n",                                                   "200"),
        ("two words, HTTP/1.0",     "GET /hello HTTP/1.0\r\nhost: a b\r\n\r\n",                                     "400"),
    ];
    for (case, request, expected) in cases {
        let answer = one(&rig, request).await;
        assert_eq!(status(&answer), expected, "{case}: {answer}");
    }
}

/// A 2xx would be the beginning of a tunnel, and what the client sends into it our next request.
#[tokio::test]
async fn no_path_is_a_tunnel_and_nothing_after_it_is_a_request() {
    let rig = start().await;
    let long = "q".repeat(300);
    for target in ["a:443", "a:7600", "/hello", "/nowhere", "*", &format!("/hello?{long}")] {
        for host in ["host: a\r\n", ""] {
            let request =
                format!("CONNECT {target} HTTP/1.1\r\n{host}\r\nGET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
            let answers = one(&rig, &request).await;
            assert_eq!(status(&answers), "400", "{target}: {answers}");
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{target}: {answers}");
        }
    }
}

/// One row per head of which a proxy before us may have read another host, or another end of the body.
#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_a_request() {
    let rig = start().await;
    let post = |headers: &str, body: &str| {
        format!(
            "POST /length HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n{body}GET /hello HTTP/1.1\r\nhost: a\r\n\r\n"
        )
    };
    #[rustfmt::skip]
    let cases = [
        ("two hosts",                post("host: a\r\nhost: b\r\ncontent-length: 0", "")),
        ("the same host twice",      post("host: a\r\ncontent-length: 0", "")),
        ("chunks in chunks",         post("transfer-encoding: chunked, chunked", "0\r\n\r\n")),
        ("chunks twice",             post("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n")),
        ("a coding within chunks",   post("transfer-encoding: gzip, chunked", "0\r\n\r\n")),
        ("two lengths",              post("content-length: 0\r\ncontent-length: 1", "")),
        ("no length but a coding",   post("transfer-encoding: gzip", "")),
        ("a name before its colon",  post("transfer-encoding : chunked", "0\r\n\r\n")),
    ];
    for (case, request) in cases {
        let answers = one(&rig, &request).await;
        assert_eq!(status(&answers), "400", "{case}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{case}: {answers}");
    }
    let good = "POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(&one(&rig, good).await), "200");
}

#[tokio::test]
async fn a_dropped_connection_ends_without_a_byte() {
    let rig = start().await;
    let mut stream = rig.connect().await;
    stream.write_all(b"GET /drop HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(rig::rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_panic_is_answered_and_harms_neither_its_connection_nor_the_server() {
    let rig = start().await;
    let mut stream = rig.connect().await;
    for (path, expected) in [("/panic", "500"), ("/hello", "200"), ("/panic", "500")] {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(status(&answer(&mut stream).await), expected, "{path}");
    }
}

#[tokio::test]
async fn a_connection_past_the_maximum_waits_for_another_to_end() {
    let rig = start().await;
    let mut open = [rig.connect().await, rig.connect().await];
    for stream in &mut open {
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_eq!(status(&answer(stream).await), "200");
    }
    let mut third = rig.connect().await;
    third.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), answer(&mut third)).await;
    assert!(early.is_err(), "served beside two others: {early:?}");
    drop(open);
    assert_eq!(status(&answer(&mut third).await), "200");
}

#[tokio::test]
async fn the_peer_is_whom_a_trusted_proxy_names_and_nobody_else() {
    let asked = "GET /peer HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 198.51.100.7\r\nconnection: close\r\n\r\n";
    assert!(one(&start().await, asked).await.ends_with("\r\n\r\n127.0.0.1"));
    let manners = Manners { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Manners::default() };
    assert!(one(&Rig::start(router(), manners).await, asked).await.ends_with("\r\n\r\n198.51.100.7"));
}

#[tokio::test]
async fn header_names_are_written_in_title_case_where_that_is_set() {
    let asked = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(one(&start().await, asked).await.contains("\r\ncontent-type: "));
    let manners = Manners { title_case_headers: true, ..Manners::default() };
    assert!(one(&Rig::start(router(), manners).await, asked).await.contains("\r\nContent-Type: "));
}

#[tokio::test]
async fn each_request_leaves_one_line_without_its_query() {
    let rig = start().await;
    for target in
        ["/hello?secret=planted-secret", "/drop?secret=planted-secret", "/nowhere?secret=planted-secret"]
    {
        one(&rig, &format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
    }
    let lines = rig.log_at_end().await;
    assert!(!lines.contains("planted-secret"), "{lines}");
    let seen: Vec<_> = lines
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            (
                line["path"].as_str().unwrap().to_owned(),
                line["status"].as_u64().unwrap(),
                line["code"].clone(),
            )
        })
        .collect();
    let expected = [
        ("/hello".to_owned(), 200, "SUCCESS".into()),
        ("/drop".to_owned(), 0, serde_json::Value::Null),
        ("/nowhere".to_owned(), 404, serde_json::Value::Null),
    ];
    assert_eq!(seen, expected);
}
