//! A server without an issuer.

use serde_json::Value;

use crate::server::{Server, configuration, connect, exchange};

#[test]
fn a_keeper_alone_tells_its_audit_and_describes_all_that_it_answers() {
    let both = configuration("", "[drain]\nnotice_s = 0");
    let (_issuer, rest) = both.split_once("[keeper]").unwrap();
    let mut server = Server::start(&format!("[keeper]{rest}"));
    let admin = server.listening("admin");
    server.line(|line| (line["message"] == "ready").then_some(()));
    let asked = |request: &str, body: &str| {
        let bearer = "authorization: Bearer planted-admin-token-planted-admin-token";
        let length = body.len();
        let kind = "content-type: application/json";
        let head = format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{bearer}\r\n{kind}\r\n");
        let answer = exchange(connect(admin), &format!("{head}content-length: {length}\r\n\r\n{body}"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{request}: {answer}");
        serde_json::from_str::<Value>(body).unwrap()
    };
    asked("POST /admin/v1/keeper/consumers", r#"{"name":"shop","all_credentials":true}"#);
    let tail = asked("GET /admin/v1/audit", "");
    assert_eq!(tail["lines"][0]["action"], "consumer_created", "{tail}");

    let api = asked("GET /openapi.json", "");
    assert!(api["info"]["title"].as_str().is_some_and(|title| !title.is_empty()), "{api}");
    assert_eq!(api["security"][0]["admin_token"], Value::Array(vec![]), "{api}");
    for path in ["/admin/v1/audit", "/admin/v1/master-key", "/admin/v1/keeper/credentials"] {
        assert!(api["paths"].get(path).is_some(), "{path}");
    }
    assert!(api["paths"].get("/admin/v1/apps").is_none(), "there is no issuer");
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}
