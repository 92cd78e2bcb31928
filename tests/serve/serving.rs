//! A server from its start to its end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::patience::until;
use crate::server::{Server, TLS, configuration, connect, exchange, folder, get};

#[test]
fn a_request_in_flight_at_sigterm_is_answered_and_then_the_server_ends_well() {
    // The body waits for all that is looked at meanwhile.
    let patient = "[drain]\nnotice_s = 4\n[limits]\nread_timeout_s = 60";
    let mut server = Server::start(&configuration("", patient));
    let [admin, issuer, _keeper] = server.ready();
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(admin, "/livez").starts_with("HTTP/1.1 200"));

    let body = r#"{"appKey":"nobody","appSecret":"planted-secret"}"#;
    let (sent, rest) = body.split_at(10);
    let mut in_flight = connect(issuer);
    let head = format!(
        "POST /v1.0/oauth2/accessToken HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    in_flight.write_all((head + sent).as_bytes()).unwrap();
    assert!(get(issuer, "/.well-known/oauth-authorization-server").starts_with("HTTP/1.1 200"));

    server.signal("TERM");
    until("the readiness to go", || (!get(admin, "/readyz").starts_with("HTTP/1.1 200")).then_some(()));
    assert!(get(admin, "/livez").starts_with("HTTP/1.1 200"), "it lives on during the notice");
    until("the listener to close", || TcpStream::connect(issuer).err());

    let answer = exchange(&mut in_flight, rest);
    assert!(answer.contains("invalidClientIdOrSecret"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    drop(in_flight);
    let (status, lines) = server.end();
    assert_eq!(status.code(), Some(0), "{lines:#?}");
}

#[test]
fn what_the_admin_listener_does_not_have_is_a_problem_that_says_where_to_look() {
    let mut server = Server::start(&configuration("", "[drain]\nnotice_s = 0"));
    let [admin, _issuer, _keeper] = server.ready();
    #[rustfmt::skip]
    let cases = [
        ("GET",    "/nothing",             "404", "urn:mintkeep:problem:not-found"),
        ("GET",    "/admin/v1/nothing",    "404", "urn:mintkeep:problem:not-found"),
        ("PUT",    "/admin/v1/customers/", "404", "urn:mintkeep:problem:not-found"),
        ("POST",   "/livez",               "405", "urn:mintkeep:problem:wrong-method"),
        ("DELETE", "/metrics",             "405", "urn:mintkeep:problem:wrong-method"),
    ];
    for (method, path, status, kind) in cases {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = exchange(connect(admin), &head);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains(kind),
            "{method} {path}: {answer}"
        );
    }
    server.signal("INT");
    server.end();
}

#[test]
fn every_line_of_the_log_is_json_and_none_holds_a_secret() {
    let mut server = Server::start(&configuration("", "[drain]\nnotice_s = 0"));
    let [_admin, issuer, _keeper] = server.ready();
    get(issuer, "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=planted-secret");
    get(issuer, "/planted-secret-that-is-long-enough-to-be-one");
    exchange(
        connect(issuer),
        "GET /authz HTTP/1.1\r\nhost: a\r\nauthorization: Bearer planted-secret\r\nconnection: close\r\n\r\n",
    );
    exchange(connect(issuer), "no HTTP, planted-secret\r\n\r\n");
    server.signal("INT");
    let (status, lines) = server.end();
    assert_eq!(status.code(), Some(0));
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            assert!(!line.contains("planted"), "{line}");
            serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))
        })
        .collect();
    let asked: Vec<_> = lines.iter().filter(|line| line["target"] == "access").collect();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().any(|line| line["path"] == "/cgi-bin/token" && line["endpoint"] == "wechat"));
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
}

#[test]
fn metrics_count_requests_by_listener_endpoint_and_code_and_each_says_what_it_is() {
    let mut server = Server::start(&configuration("", "[drain]\nnotice_s = 0"));
    let [admin, issuer, keeper] = server.ready();
    for _ in 0..2 {
        get(issuer, "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=planted-secret");
    }
    get(keeper, "/v1/tokens/of-nobody");
    let metrics = get(admin, "/metrics");
    let counted = metrics.lines().find(|line| {
        line.starts_with(
            "mintkeep_http_requests_total{listener=\"issuer\",endpoint=\"wechat\",status=\"200\"",
        )
    });
    assert!(counted.is_some_and(|line| line.ends_with(" 2")), "{metrics}");
    assert!(
        metrics.contains("mintkeep_http_request_seconds_bucket{listener=\"issuer\",le=\"0.001\"}"),
        "{metrics}"
    );
    assert!(metrics.contains("mintkeep_build_info{version="), "{metrics}");
    assert!(metrics.contains("mintkeep_keeper_refused_total{kind="), "{metrics}");
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _type) = line.split_once(' ').unwrap();
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name}");
    }
    assert!(!metrics.contains("planted"), "{metrics}");
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

const METADATA: &str =
    "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// A client that trusts only the tests' authority.
fn tls_client(address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(Path::new(TLS).join("authority.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), connect(address))
}

#[test]
fn sighup_shows_the_files_new_certificate_and_a_file_with_a_mistake_changes_nothing() {
    let mut server = Server::start(&configuration(ISSUER_TLS, "[drain]\nnotice_s = 0"));
    let [_admin, issuer, _keeper] = server.ready();
    let is_trusted = || {
        let mut client = tls_client(issuer);
        let (connection, stream) = (&mut client.conn, &mut client.sock);
        connection.complete_io(stream).is_ok()
    };
    assert!(is_trusted());

    server.put("tls/server.pem", "no certificate");
    server.signal("HUP");
    server.line(|line| line["message"].as_str()?.contains("stay as they are").then_some(()));
    assert!(is_trusted(), "the old one is still shown");

    for name in ["pem", "key"] {
        let stranger = std::fs::read_to_string(Path::new(TLS).join(format!("stranger.{name}"))).unwrap();
        server.put(&format!("tls/server.{name}"), &stranger);
    }
    server.signal("HUP");
    server.line(|line| line["message"].as_str()?.contains("new connections").then_some(()));
    assert!(!is_trusted(), "a certificate of somebody else's authority");
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn sighup_warns_of_what_the_configuration_check_warns_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Arc::new(folder(&configuration(ISSUER_TLS, "[drain]\nnotice_s = 0")));
    let mut server = Server::start_in(&folder);
    let _addresses = server.ready();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.path().join("tls/server.key"), open).unwrap();
    server.signal("HUP");
    server.line(|line| line["what"].as_str()?.contains("can be read by every user").then_some(()));
    server.line(|line| line["message"].as_str()?.contains("new connections").then_some(()));
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

const ISSUER_TLS: &str = "[issuer.tls]\ncertificate = \"tls/server.pem\"\nkey = \"file:tls/server.key\"";

#[test]
fn a_listener_with_a_certificate_speaks_tls_and_nothing_else() {
    let mut server = Server::start(&configuration(ISSUER_TLS, "[drain]\nnotice_s = 0"));
    let [_admin, issuer, _keeper] = server.ready();

    let answer = exchange(tls_client(issuer), METADATA);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("https://tokens.example.com"), "{answer}");

    let mut plain = connect(issuer);
    plain.write_all(METADATA.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let _reset = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP/"));
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn each_role_answers_on_its_own_listener_and_the_sandbox_on_none() {
    let mut server = Server::start(&configuration("", "[drain]\nnotice_s = 0"));
    let [admin, issuer, keeper] = server.ready();
    let token = "authorization: Bearer planted-admin-token-planted-admin-token\r\nconnection: close\r\n\r\n";
    let asked = |path: &str| exchange(connect(admin), &format!("GET {path} HTTP/1.1\r\nhost: a\r\n{token}"));
    assert!(get(keeper, "/v1/tokens/wechat-sandbox").starts_with("HTTP/1.1 401"));
    assert!(get(issuer, "/authz").starts_with("HTTP/1.1 401"));
    assert!(get(admin, "/admin/v1/apps").starts_with("HTTP/1.1 401"));
    assert!(asked("/admin/v1/apps").starts_with("HTTP/1.1 200"));
    for path in ["/admin/v1/sandbox/clock", "/admin/v1/sandbox/faults"] {
        assert!(asked(path).starts_with("HTTP/1.1 404"), "{path}");
    }
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn a_head_over_the_limits_is_refused_in_the_callers_dialect() {
    let mut server = Server::start(&configuration("", "[drain]\nnotice_s = 0"));
    let [_admin, issuer, _keeper] = server.ready();
    let (long, large) =
        ("q".repeat(9000), format!("filler: {}\r\nconnection: close\r\n\r\n", "f".repeat(17_000)));
    let wechat = get(issuer, &format!("/cgi-bin/token?{long}"));
    assert!(wechat.contains("\"errcode\":") && wechat.contains("\"errmsg\":"), "{wechat}");
    let dingtalk =
        exchange(connect(issuer), &format!("POST /v1.0/oauth2/accessToken HTTP/1.1\r\nhost: a\r\n{large}"));
    assert!(dingtalk.contains("\"code\":") && dingtalk.contains("\"requestid\":"), "{dingtalk}");
    let signed = exchange(
        connect(issuer),
        &format!("POST /v1/authorizations/applyToken HTTP/1.1\r\nhost: a\r\n{large}"),
    );
    assert!(signed.contains("\"resultStatus\":\"F\"") && signed.contains("\r\nsignature: "), "{signed}");
    let plain = exchange(connect(issuer), &format!("POST /oauth2/introspect HTTP/1.1\r\nhost: a\r\n{large}"));
    assert!(
        plain.starts_with("HTTP/1.1 431") && plain.contains("urn:mintkeep:problem:headers-too-large"),
        "{plain}"
    );
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn a_body_over_the_limit_is_refused_by_every_listener() {
    let mut server =
        Server::start(&configuration("", "[limits]\nbody_bytes_max = 1024\n[drain]\nnotice_s = 0"));
    let [admin, issuer, keeper] = server.ready();
    let asked = |at: SocketAddr, (path, bearer): (&str, &str), body: &str| {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {bearer}\r\n"
        );
        let json = format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        exchange(connect(at), &(head + &json))
    };
    let operator = "planted-admin-token-planted-admin-token";
    let credential = r#"{"name":"a","dialect":"wechat","app_id":"wx1","proof":{"secret":"s"},"base_url":"http://127.0.0.1:9"}"#;
    let consumer = r#"{"name":"shop","all_credentials":true,"verbs":["read","report","exchange"]}"#;
    let made = asked(admin, ("/admin/v1/keeper/credentials", operator), credential);
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let made = asked(admin, ("/admin/v1/keeper/consumers", operator), consumer);
    let key =
        made.split("\"key\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect(&made).to_owned();

    let long = format!(r#"{{"version":1,"auth_code":"{}"}}"#, "a".repeat(2_000));
    #[rustfmt::skip]
    let cases = [
        (issuer, "/cgi-bin/stable_token",        "",        "\"errcode\":45002"),
        (keeper, "/cgi-bin/stable_token",        "",        "\"errcode\":45002"),
        (keeper, "/v1/tokens/a/report",          key.as_str(), "HTTP/1.1 413"),
        (keeper, "/v1/exchanges/a",              &key,      "HTTP/1.1 413"),
        (admin,  "/admin/v1/keeper/credentials", operator,  "HTTP/1.1 413"),
        (admin,  "/admin/v1/apps",               operator,  "HTTP/1.1 413"),
    ];
    for (at, path, bearer, expected) in cases {
        let answer = asked(at, (path, bearer), &long);
        assert!(answer.contains(expected), "{path}: {answer}");
    }
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn a_server_that_is_starting_is_not_ended_by_sighup() {
    // A database that takes the connection and says nothing holds the start up, for a few seconds.
    let database = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("url = \"postgres://a@{}/a\"", database.local_addr().unwrap());
    let server = Server::start(&configuration("", "").replacen("path = \"data\"", &url, 1));
    let held = database.accept().unwrap();
    server.signal("HUP");
    let (status, lines) = server.end();
    assert_eq!(status.code(), Some(1), "{status}: {lines:#?}");
    assert!(lines.iter().any(|line| line.contains("the database can't be used")), "{lines:#?}");
    drop(held);
}

#[test]
fn a_server_that_is_told_to_stop_while_it_starts_ends_well() {
    let database = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("url = \"postgres://a@{}/a\"", database.local_addr().unwrap());
    let server = Server::start(&configuration("", "").replacen("path = \"data\"", &url, 1));
    let held = database.accept().unwrap();
    server.signal("TERM");
    let (status, lines) = server.end();
    assert_eq!(status.code(), Some(0), "{status}: {lines:#?}");
    drop(held);
}

#[test]
fn a_file_that_may_not_grow_ends_no_server() {
    let mut server = Server::start(&configuration("", "[drain]\nnotice_s = 0"));
    let [admin, ..] = server.ready();
    server.signal("XFSZ");
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200"));
    server.signal("TERM");
    let (status, lines) = server.end();
    assert_eq!(status.code(), Some(0), "{status}: {lines:#?}");
}

#[test]
fn what_came_through_a_pipe_is_not_waited_for_again() {
    for name in ["mintkeep.toml", "admin.token"] {
        let folder = Arc::new(folder(&configuration("", "[drain]\nnotice_s = 0")));
        let file = folder.path().join(name);
        let text = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        let mut server = Server::start_in(&folder);
        std::fs::write(file, text).unwrap();
        server.ready();
        server.signal("HUP");
        server.line(|line| line["error"].as_str()?.contains("no plain file").then_some(()));
        server.signal("TERM");
        let (status, lines) = server.end();
        assert_eq!(status.code(), Some(0), "{name}: {lines:#?}");
    }
}
