//! Requests that go past the router.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::any;
use http::{Method, Uri};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::limits::Limits;
use mintkeep_web::note::{AnswerNote, Noted};
use mintkeep_web::serve::Manners;
use mintkeep_web::shortcut::{Answering, Request, Shortcut};
use tokio::io::AsyncWriteExt;

use crate::rig::{Rig, answer, status};

/// Takes everything under `/short/`.
struct Short;

impl Shortcut for Short {
    fn takes(&self, method: &Method, uri: &Uri) -> bool {
        method == Method::GET && uri.path().starts_with("/short/")
    }

    fn answer(&self, request: Request, arrival: Arrival) -> Answering {
        Box::pin(async move {
            match request.uri().path() {
                "/short/panic" => panic!("planted"),
                "/short/never" => std::future::pending().await,
                _ => {
                    let note = AnswerNote { endpoint: "test/short", code: "SUCCESS" };
                    let response = format!("short, {}", arrival.peer).into_response();
                    Noted { response, note: Some(note) }
                }
            }
        })
    }
}

#[tokio::test]
async fn a_shortcut_answers_what_it_takes_and_is_held_to_all_that_a_router_is() {
    let limits = Limits {
        read_timeout: Duration::from_millis(200),
        request_deadline: Duration::from_millis(400),
        ..Limits::default()
    };
    let router = Router::new().fallback(any(async || "router"));
    let manners = Manners { limits, ..Manners::default() };
    let rig = Rig::start_listener((router, Some(Arc::new(Short))), manners, None).await;
    let mut stream = rig.connect().await;

    #[rustfmt::skip]
    let cases = [
        ("taken",          "GET /short/a",      "200", "short, 127.0.0.1"),
        ("another method", "POST /short/a",     "200", "router"),
        ("another path",   "GET /shorter",      "200", "router"),
        ("it panics",      "GET /short/panic",  "500", "internal-error"),
        ("it is late",     "GET /short/never",  "503", "deadline-passed"),
        ("after all that", "GET /short/b",      "200", "short, 127.0.0.1"),
    ];
    for (case, line, expected, body) in cases {
        let request = format!("{line} HTTP/1.1\r\nhost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert_eq!(status(&text), expected, "{case}: {text}");
        assert!(text.contains(body), "{case}: {text}");
    }
    drop(stream);
    let log = rig.log_at_end().await;
    assert_eq!(log.lines().count(), cases.len(), "one line each:\n{log}");
    assert_eq!(log.matches(r#""endpoint":"test/short""#).count(), 2, "{log}");
}
