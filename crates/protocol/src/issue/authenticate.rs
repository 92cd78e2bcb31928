//! Who a caller is: the one way to an [`AuthenticClient`].

use std::net::IpAddr;
use std::sync::Arc;

use crate::app::{App, AppStatus, StoredSecret};
use crate::crypto::{MacKey, same_bytes};
use crate::ident::{RecordId, ServiceId};
use crate::outcome::Refusal;
use crate::request::{ClientProof, RequestSignature};
use crate::secret::ClientSecret;
use crate::time::Timestamp;

/// An app that has proved itself. Only [`authenticate`] makes one, so "forgot to check" does not compile.
#[derive(Clone)]
pub struct AuthenticClient(Arc<App>);

impl AuthenticClient {
    /// The app.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.0
    }
}

/// Whose secret it is.
#[derive(Clone, Copy)]
pub enum SecretOwner<'a> {
    /// An app, by its number.
    App(RecordId),
    /// A resource server or a wallet, by its name.
    Service(&'a ServiceId),
}

/// What a secret is stored as: bound to its owner, so that equal secrets don't look equal in a dump.
#[must_use]
pub fn secret_mac(key: &MacKey, owner: SecretOwner<'_>, secret: &ClientSecret) -> [u8; 32] {
    let secret = secret.expose().as_bytes();
    match owner {
        SecretOwner::App(number) => key.mac(&[b"a", &number.number().to_be_bytes(), secret]),
        // No name has a NUL in it, so where the name ends is beyond doubt.
        SecretOwner::Service(id) => key.mac(&[b"s", id.as_str().as_bytes(), b"\0", secret]),
    }
}

/// Whether `secret` is one of `stored`, each compared in constant time.
#[must_use]
pub fn secret_holds(
    key: &MacKey,
    owner: SecretOwner<'_>,
    stored: &[StoredSecret],
    secret: &ClientSecret,
    now: Timestamp,
) -> bool {
    let mac = secret_mac(key, owner, secret);
    stored
        .iter()
        .filter(|stored| stored.expires_at.is_none_or(|end| now < end))
        .any(|stored| same_bytes(&stored.mac, &mac))
}

/// Decides whether a caller at `address` that shows `proof` is `app`.
///
/// # Errors
///
/// In this order. Shared secret: [`Refusal::ProofInvalid`], then [`Refusal::ClientDisabled`],
/// [`Refusal::SecretFrozen`]: only who knows the secret learns of the app's state. Signature:
/// [`Refusal::ClientDisabled`], [`Refusal::KeyUnknown`], [`Refusal::ProofInvalid`],
/// [`Refusal::RequestTimeIllegal`], the order of the Mini Program pages. An unusable proof has its own
/// refusal in the place of [`Refusal::ProofInvalid`]. Last for all, [`Refusal::AddressNotAllowed`].
pub fn authenticate(
    app: &Arc<App>,
    proof: &ClientProof,
    address: IpAddr,
    secret_key: &MacKey,
    now: Timestamp,
) -> Result<AuthenticClient, Refusal> {
    match proof {
        ClientProof::Secret(secret) => {
            if !secret_holds(secret_key, SecretOwner::App(app.no), &app.secrets, secret, now) {
                return Err(Refusal::ProofInvalid);
            }
            match app.status {
                AppStatus::Active => {}
                AppStatus::Disabled => return Err(Refusal::ClientDisabled),
                AppStatus::SecretFrozen => return Err(Refusal::SecretFrozen),
            }
        }
        ClientProof::Signature(signature) => check_signature(app, signature, now)?,
        ClientProof::Unusable(_) if app.dialect.is_signed() && app.status != AppStatus::Active => {
            return Err(Refusal::ClientDisabled);
        }
        ClientProof::Unusable(refusal) => return Err(*refusal),
    }
    if !app.allows(address) {
        return Err(Refusal::AddressNotAllowed(address));
    }
    Ok(AuthenticClient(Arc::clone(app)))
}

fn check_signature(app: &App, signature: &RequestSignature, now: Timestamp) -> Result<(), Refusal> {
    if app.status != AppStatus::Active {
        return Err(Refusal::ClientDisabled);
    }
    let key = app.key(signature.key_version).ok_or(Refusal::KeyUnknown)?;
    if !key.public.verify(&signature.signed_text, &signature.signature) {
        return Err(Refusal::ProofInvalid);
    }
    let request_time = signature.request_time.ok_or(Refusal::RequestTimeIllegal)?;
    let window = app.request_time_window();
    let distance = now.since(request_time).max(request_time.since(now));
    if !window.is_zero() && distance > window {
        return Err(Refusal::RequestTimeIllegal);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::app::AppKey;
    use crate::crypto::RsaPrivateKey;
    use crate::ident::{AppId, Dialect};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn app(status: AppStatus) -> App {
        let id = AppId::parse("wx1").unwrap();
        App { status, ..App::new(RecordId::from_number(9), id, Dialect::WeChat, NOW) }
    }

    fn refusal(app: &App, proof: &ClientProof, address: IpAddr) -> Option<Refusal> {
        authenticate(&Arc::new(app.clone()), proof, address, &MacKey::new(b"k"), NOW).err()
    }

    #[test]
    fn a_secret_is_good_for_its_app_until_its_end_and_only_then_is_the_apps_state_told() {
        use AppStatus::{Active, Disabled, SecretFrozen};
        let key = MacKey::new(b"k");
        let mac = |text: &str| {
            secret_mac(&key, SecretOwner::App(RecordId::from_number(9)), &ClientSecret::new(text.into()))
        };
        let with = |status, end: Option<Timestamp>| {
            let mut app = app(status);
            let rotated = StoredSecret { mac: mac("old"), expires_at: end };
            app.secrets = vec![StoredSecret { mac: mac("new"), expires_at: None }, rotated];
            app
        };
        let later = Some(Timestamp::from_unix_ms(NOW.unix_ms() + 1));
        #[rustfmt::skip]
        let cases = [
            ("the current secret",         Active,       None,      "new",  None),
            ("the old one in its overlap", Active,       later,     "old",  None),
            ("the old one at its end",     Active,       Some(NOW), "old",  Some(Refusal::ProofInvalid)),
            ("a wrong one",                Active,       None,      "else", Some(Refusal::ProofInvalid)),
            ("frozen",                     SecretFrozen, None,      "new",  Some(Refusal::SecretFrozen)),
            ("frozen, a wrong one",        SecretFrozen, None,      "else", Some(Refusal::ProofInvalid)),
            ("disabled",                   Disabled,     None,      "new",  Some(Refusal::ClientDisabled)),
            ("disabled, a wrong one",      Disabled,     None,      "else", Some(Refusal::ProofInvalid)),
        ];
        for (case, status, end, secret, expected) in cases {
            let proof = ClientProof::Secret(ClientSecret::new(secret.into()));
            assert_eq!(refusal(&with(status, end), &proof, HERE), expected, "{case}");
        }
    }

    /// Reckoned by a script of its own.
    #[test]
    fn a_stored_secret_is_the_same_in_every_version() {
        let gateway = ServiceId::parse("gateway").unwrap();
        #[rustfmt::skip]
        let cases = [
            (SecretOwner::App(RecordId::from_number(9)), "pfbBQtABp5PvED0hbko11ggGlZBlkdGn1H88S03+a4s="),
            (SecretOwner::Service(&gateway),             "7WxEbnmlWVDa1wI6Pq4fliqK0wa39fubauhk9945Q8M="),
        ];
        for (owner, stored) in cases {
            let mac = secret_mac(&MacKey::new(b"key"), owner, &ClientSecret::new("a-secret".into()));
            assert_eq!(STANDARD.encode(mac), stored);
        }
    }

    #[test]
    fn an_address_must_be_on_the_list_once_there_is_one() {
        let mut app = app(AppStatus::Active);
        let key = MacKey::new(b"k");
        let secret = || ClientSecret::new("s".into());
        app.secrets = vec![StoredSecret {
            mac: secret_mac(&key, SecretOwner::App(app.no), &secret()),
            expires_at: None,
        }];
        let proof = ClientProof::Secret(secret());
        app.addresses = vec!["10.0.0.0/8".parse().unwrap()];
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        assert_eq!(refusal(&app, &proof, mapped), None, "IPv4 in IPv6's clothes");
        assert_eq!(refusal(&app, &proof, HERE), Some(Refusal::AddressNotAllowed(HERE)));
    }

    #[test]
    fn a_signature_needs_its_key_its_bytes_and_its_time() {
        use Refusal::{ClientDisabled, KeyUnknown, ProofInvalid, RequestTimeIllegal};
        let private = RsaPrivateKey::generate().unwrap();
        let mut app = app(AppStatus::Active);
        app.keys = vec![AppKey { version: 0, public: private.public().clone() }];
        let mut disabled = app.clone();
        disabled.status = AppStatus::Disabled;
        let mut timeless = app.clone();
        timeless.settings.request_time_window_s = Some(0);
        let proof = |key_version, text: &str, offset_ms: i64| {
            ClientProof::Signature(RequestSignature {
                key_version,
                signed_text: text.as_bytes().to_vec(),
                signature: private.sign(b"text").unwrap(),
                request_time: Some(Timestamp::from_unix_ms(NOW.unix_ms() + offset_ms)),
            })
        };
        #[rustfmt::skip]
        let cases = [
            ("the latest key",           &app,      proof(None, "text", 0),           None),
            ("version 0 is a version",   &app,      proof(Some(0), "text", 0),        None),
            ("no such version",          &app,      proof(Some(1), "text", 0),        Some(KeyUnknown)),
            ("other bytes",              &app,      proof(None, "test", 0),           Some(ProofInvalid)),
            ("other bytes, late",        &app,      proof(None, "test", -300_001),    Some(ProofInvalid)),
            ("five minutes late",        &app,      proof(None, "text", -300_000),    None),
            ("a millisecond later",      &app,      proof(None, "text", -300_001),    Some(RequestTimeIllegal)),
            ("five minutes early",       &app,      proof(None, "text", 300_000),     None),
            ("a millisecond earlier",    &app,      proof(None, "text", 300_001),     Some(RequestTimeIllegal)),
            ("window off",               &timeless, proof(None, "text", -99_999_999), None),
            ("disabled, whatever else",  &disabled, proof(Some(1), "test", 0),        Some(ClientDisabled)),
        ];
        for (case, app, proof, expected) in cases {
            assert_eq!(refusal(app, &proof, HERE), expected, "{case}");
        }
    }

    #[test]
    fn an_unusable_proof_is_told_where_a_wrong_one_would_be() {
        use AppStatus::{Active, Disabled};
        use Refusal::{ClientDisabled, ProofInvalid, SecretMissing};
        let signed = |status| App { dialect: Dialect::MiniProgram, ..app(status) };

        #[rustfmt::skip]
        let cases = [
            ("no secret",              app(Active),      SecretMissing, SecretMissing),
            ("no secret, disabled",    app(Disabled),    SecretMissing, SecretMissing),
            ("no signature",           signed(Active),   ProofInvalid,  ProofInvalid),
            ("no signature, disabled", signed(Disabled), ProofInvalid,  ClientDisabled),
        ];
        for (case, app, unusable, expected) in cases {
            assert_eq!(refusal(&app, &ClientProof::Unusable(unusable), HERE), Some(expected), "{case}");
        }
    }

    #[test]
    fn a_time_that_cant_be_read_is_out_of_every_window() {
        let private = RsaPrivateKey::generate().unwrap();
        let mut app = app(AppStatus::Active);
        app.keys = vec![AppKey { version: 0, public: private.public().clone() }];
        app.settings.request_time_window_s = Some(0);
        let proof = ClientProof::Signature(RequestSignature {
            key_version: None,
            signed_text: b"text".to_vec(),
            signature: private.sign(b"text").unwrap(),
            request_time: None,
        });
        assert_eq!(refusal(&app, &proof, HERE), Some(Refusal::RequestTimeIllegal));
    }
}
