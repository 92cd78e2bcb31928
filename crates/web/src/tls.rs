//! TLS for listeners: version 1.2 or later, certificates from PEM, client certificates if asked for.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use mintkeep_protocol::time::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{CertificateError, Error, RootCertStore};
use tokio_rustls::TlsAcceptor;

/// What a listener shows, and asks of its callers. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<ArcSwap<ServerConfig>>);

/// Why certificates and keys can't be used. Says what to do, and nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsRejected {
    /// The file of the certificate chain has none.
    #[error("no certificate found; give a PEM file with the server's certificate first, then its issuers'")]
    NoCertificate,
    /// The file of the key has none.
    #[error("no private key found; give a PEM file with one unencrypted key (PKCS#8, PKCS#1 or SEC1)")]
    NoKey,
    /// The key is of another certificate, or of a kind that is not supported.
    #[error("certificate and key do not go together: {0}")]
    Unfit(String),
    /// The file of the clients' authority has no certificate that can sign.
    #[error("no usable authority for client certificates found; give a PEM file with its certificate")]
    NoClientAuthority,
}

/// Why whoever checks a certificate refuses it today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untimely {
    /// Its last day is over.
    #[error("has expired")]
    Expired,
    /// Its first day is to come.
    #[error("is not valid yet")]
    NotYet,
}

/// Whether the server's certificate, the first of the chain, is out of its time at `now`.
#[must_use]
pub fn untimely(chain_pem: &[u8], now: Timestamp) -> Option<Untimely> {
    let chain = certificates(chain_pem)?;
    let (server, issuers) = chain.split_first()?;
    // Whether it is trusted, and for which name, is not asked. Its time is looked at before anything else.
    let mut roots = RootCertStore::empty();
    roots.add(server.clone()).ok()?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
    let now = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now.unix_ms()).unwrap_or(0)));
    let Err(Error::InvalidCertificate(fault)) = verifier.verify_server_cert(server, issuers, &name, &[], now)
    else {
        return None;
    };
    if matches!(fault, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        Some(Untimely::Expired)
    } else if matches!(fault, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) {
        Some(Untimely::NotYet)
    } else {
        None
    }
}

impl Tls {
    /// Takes the chain and key of the server, and the authority that signs clients' certificates, which
    /// makes them required.
    ///
    /// # Errors
    ///
    /// [`TlsRejected`].
    pub fn new(
        chain_pem: &[u8],
        key_pem: &[u8],
        client_authority_pem: Option<&[u8]>,
    ) -> Result<Self, TlsRejected> {
        let chain = certificates(chain_pem).ok_or(TlsRejected::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_unread| TlsRejected::NoKey)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsRejected::Unfit(error.to_string()))?;
        let builder = match client_authority_pem {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(pem).ok_or(TlsRejected::NoClientAuthority)? {
                    roots.add(authority).map_err(|_unfit| TlsRejected::NoClientAuthority)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|_unfit| TlsRejected::NoClientAuthority)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| TlsRejected::Unfit(error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(ArcSwap::from_pointee(config))))
    }

    /// Shows and asks what `fresh` does, from the next connection on.
    pub fn take_over(&self, fresh: &Self) {
        self.0.store(fresh.0.load_full());
    }

    /// What shakes hands.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }
}

/// All certificates of a PEM file; `None` if there is none or one can't be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}
