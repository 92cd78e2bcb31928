//! TLS: who is let in, and what can't be used.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::limits::Limits;
use mintkeep_web::serve::Manners;
use mintkeep_web::tls::{Tls, TlsRejected, Untimely, untimely};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

use crate::rig::{PATIENCE, Rig, rest, status};

const AUTHORITY: &[u8] = include_bytes!("certificates/authority.pem");
const SERVER: (&[u8], &[u8]) =
    (include_bytes!("certificates/server.pem"), include_bytes!("certificates/server.key"));
const CLIENT: (&[u8], &[u8]) =
    (include_bytes!("certificates/client.pem"), include_bytes!("certificates/client.key"));
const STRANGER: (&[u8], &[u8]) =
    (include_bytes!("certificates/stranger.pem"), include_bytes!("certificates/stranger.key"));

type Identity = Option<(&'static [u8], &'static [u8])>;

/// The status that a client gets, or `None` if the handshake fails.
async fn ask(rig: &Rig, identity: Identity, version: &'static SupportedProtocolVersion) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(chain).unwrap()],
                PrivateKeyDer::from_pem_slice(key).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, rig.connect().await).await;
    let mut stream = stream.ok()?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "of what the client speaks");
    // With TLS 1.3 a client learns only from its first read that its certificate was refused.
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.ok()?;
    let answer = rest(&mut stream).await;
    (!answer.is_empty()).then(|| status(&answer).to_owned())
}

async fn start(client_authority: Option<&[u8]>) -> Rig {
    let tls = Tls::new(SERVER.0, SERVER.1, client_authority).unwrap();
    let router = Router::new().route("/hello", get(async || "hello"));
    Rig::start_with(router, Manners::default(), Some(tls)).await
}

#[tokio::test]
async fn clients_are_let_in_by_the_certificates_that_are_asked_of_them() {
    let (open, mutual) = (start(None).await, start(Some(AUTHORITY)).await);
    let (v12, v13) = (&rustls::version::TLS12, &rustls::version::TLS13);
    #[rustfmt::skip]
    let cases = [
        ("TLS 1.2",                    &open,   None,           v12, Some("200")),
        ("TLS 1.3",                    &open,   None,           v13, Some("200")),
        ("none where one is needed",   &mutual, None,           v12, None),
        ("none, TLS 1.3",              &mutual, None,           v13, None),
        ("the right one",              &mutual, Some(CLIENT),   v12, Some("200")),
        ("the right one, TLS 1.3",     &mutual, Some(CLIENT),   v13, Some("200")),
        ("a stranger's",               &mutual, Some(STRANGER), v12, None),
        ("a stranger's, TLS 1.3",      &mutual, Some(STRANGER), v13, None),
    ];
    for (case, rig, identity, version, expected) in cases {
        assert_eq!(ask(rig, identity, version).await.as_deref(), expected, "{case}");
    }
}

#[tokio::test]
async fn a_plain_request_to_a_tls_listener_harms_nobody() {
    let rig = start(None).await;
    let mut plain = rig.connect().await;
    plain.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(!rest_is_http(&mut plain).await);
    assert_eq!(ask(&rig, None, &rustls::version::TLS13).await.as_deref(), Some("200"));
}

async fn rest_is_http(stream: &mut tokio::net::TcpStream) -> bool {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    let _reset = stream.read_to_end(&mut bytes).await;
    bytes.starts_with(b"HTTP/")
}

#[tokio::test]
async fn a_handshake_that_hangs_does_not_hold_up_the_stop() {
    let tls = Tls::new(SERVER.0, SERVER.1, None).unwrap();
    let limits = Limits { read_timeout: PATIENCE * 10, ..Limits::default() };
    let rig = Rig::start_with(Router::new(), Manners { limits, ..Manners::default() }, Some(tls)).await;
    let mut half = rig.connect().await;
    half.write_all(b"\x16\x03\x01").await.unwrap();
    let _silent = rig.connect().await;
    assert_eq!(rig.tasks.shutdown(PATIENCE).await, Ok(()));
}

#[test]
fn what_can_not_be_used_is_refused_with_a_reason() {
    let refusal = |chain: &[u8], key: &[u8], authority: Option<&[u8]>| Tls::new(chain, key, authority).err();
    assert_eq!(refusal(b"", SERVER.1, None), Some(TlsRejected::NoCertificate));
    assert_eq!(refusal(SERVER.1, SERVER.1, None), Some(TlsRejected::NoCertificate));
    assert_eq!(refusal(SERVER.0, SERVER.0, None), Some(TlsRejected::NoKey));
    assert_eq!(refusal(SERVER.0, SERVER.1, Some(b"")), Some(TlsRejected::NoClientAuthority));
    assert!(matches!(refusal(SERVER.0, STRANGER.1, None), Some(TlsRejected::Unfit(_))));
}

#[test]
fn a_certificate_is_told_to_be_out_of_its_time() {
    let year_ms = |year: i64| (year - 1970) * 365 * 86_400_000;
    let cases = [(1971, Some(Untimely::NotYet)), (2030, None), (2999, Some(Untimely::Expired))];
    for (year, told) in cases {
        assert_eq!(untimely(SERVER.0, Timestamp::from_unix_ms(year_ms(year))), told, "{year}");
    }
    assert_eq!(untimely(b"", Timestamp::from_unix_ms(0)), None, "that is another mistake");
}
