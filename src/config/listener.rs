//! The settings that all listeners have: where, and over which TLS.

use std::net::SocketAddr;

use mintkeep_web::tls::{Tls, TlsRejected, untimely};

use super::reader::{At, Notes, Section};
use super::secret::Surroundings;

/// One listener.
pub struct ListenerSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its TLS, if it isn't plain.
    pub tls: Option<Tls>,
    /// Whether header names are written in title case.
    pub title_case_headers: bool,
    /// The line that says where it listens.
    line: usize,
}

/// Reads what all listeners have. The caller takes the rest and finishes the section.
pub fn read(section: &mut Section<'_, '_>, around: &Surroundings<'_>) -> Option<ListenerSettings> {
    let expected = "an address and a port, such as \"127.0.0.1:7600\"";
    let listen = section.parsed("listen", expected, |text| text.parse::<SocketAddr>().ok());
    let listen = section.require("listen", listen, &format!("write listen = {expected}"));
    let title_case_headers = section.flag("title_case_headers").unwrap_or(false);
    let tls_section = section.section("tls");
    let is_plain = tls_section.is_none();
    let tls = tls_section.map(|section| read_tls(section, around));
    let listen = listen?;
    if is_plain && !listen.value.ip().is_loopback() {
        let what = format!("`{}` can be reached from outside, without TLS", section.path("listen"));
        let remedy = format!(
            "write [{}] with certificate and key, or listen on 127.0.0.1 behind a proxy that has them",
            section.path("tls")
        );
        section.notes().warning(listen.line, what, remedy);
    }
    let tls = tls.map_or(Some(None), |read| read.map(Some))?;
    Some(ListenerSettings { listen: listen.value, tls, title_case_headers, line: listen.line })
}

/// Reads `[keeper]`.
pub fn read_keeper(mut section: Section<'_, '_>, around: &Surroundings<'_>) -> Option<ListenerSettings> {
    let listener = read(&mut section, around);
    section.finish();
    listener
}

/// Notes ports that two listeners want at one address, or at one and at all of this machine's.
pub fn check_addresses<'l>(
    listeners: impl IntoIterator<Item = Option<(&'static str, &'l ListenerSettings)>>,
    notes: &Notes<'_>,
) {
    let mut taken: Vec<(SocketAddr, &str)> = Vec::new();
    for (name, listener) in listeners.into_iter().flatten() {
        let wanted = listener.listen;
        if let Some((_, other)) =
            taken.iter().find(|(address, _)| covers(*address, wanted) || covers(wanted, *address))
        {
            let what = format!("`{name}.listen` takes the port of `{other}.listen`");
            notes.mistake(listener.line, what, "give each listener a port of its own");
        }
        taken.push((wanted, name));
    }
}

/// Whether whoever listens at `one` leaves nothing of `other`. `[::]` stands for every address, `0.0.0.0` for those of IPv4.
fn covers(one: SocketAddr, other: SocketAddr) -> bool {
    let is_every = one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || is_every)
}

fn read_tls(mut section: Section<'_, '_>, around: &Surroundings<'_>) -> Option<Tls> {
    let notes = section.notes();
    let certificate = section.text("certificate");
    let certificate = section.require("certificate", certificate, "write certificate = \"PATH.pem\"");
    let key = section.text("key");
    let key = section.require("key", key, "write key = \"file:PATH.key\"");
    let authority = section.text("client_authority");
    let (setting, certificate_setting) = (section.path("key"), section.path("certificate"));
    section.finish();

    let chain = certificate.as_ref().and_then(|named| around.file(named, notes));
    let key_pem = key.as_ref().and_then(|named| around.secret(&setting, named, notes));
    let authority_pem = match &authority {
        None => None,
        Some(named) => Some(around.file(named, notes)?),
    };
    let (certificate, key, chain) = (certificate?, key?, chain?);
    if let Some(untimely) = untimely(&chain, around.now) {
        let what = format!("`{certificate_setting}` {untimely}");
        let remedy = "give one that is valid today: callers that check it refuse to connect";
        notes.warning(certificate.line, what, remedy);
    }
    let tls = Tls::new(&chain, key_pem?.as_bytes(), authority_pem.as_ref().map(|pem| pem.as_slice()));
    tls.map_err(|rejected| note_rejected(&rejected, (&certificate, &key, authority.as_ref()), notes)).ok()
}

/// Notes a rejection on the line of the file that caused it.
fn note_rejected(
    rejected: &TlsRejected,
    (certificate, key, authority): (&At<String>, &At<String>, Option<&At<String>>),
    notes: &Notes<'_>,
) {
    let line = match rejected {
        TlsRejected::NoCertificate => certificate.line,
        TlsRejected::NoKey | TlsRejected::Unfit(_) => key.line,
        TlsRejected::NoClientAuthority => authority.map_or(certificate.line, |authority| authority.line),
    };
    let said = rejected.to_string();
    let (what, remedy) =
        said.split_once("; ").unwrap_or((&said, "give the key that belongs to the certificate"));
    notes.mistake(line, what, remedy);
}
