//! An app, its proof of itself, and instants, for the tables of the rules in this room.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::authenticate::{AuthenticClient, SecretOwner, authenticate, secret_mac};
use crate::app::{App, StoredSecret};
use crate::crypto::{MacKey, MasterKey};
use crate::ident::{AppId, CustomerId, Dialect, RecordId, Scope};
use crate::record::{Grant, GrantStage, Held};
use crate::request::ClientProof;
use crate::secret::ClientSecret;
use crate::time::Timestamp;
use crate::token::{Generation, Salt, TokenClaim, TokenKeys, TokenKind, TokenPlace};

/// 16:00 in China on a day in 2027: eight hours from either end of a quota's day.
pub const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// The instant `offset_ms` after [`NOW`].
pub fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW.unix_ms().saturating_add(offset_ms))
}

/// An app with no setting of its own.
pub fn app(dialect: Dialect) -> App {
    App::new(RecordId::from_number(9), AppId::parse("app-1").unwrap(), dialect, NOW)
}

/// `app`, after it has shown a secret.
pub fn client(app: &App) -> AuthenticClient {
    let (key, secret) = (MacKey::new(b"k"), ClientSecret::new("s".into()));
    let mac = secret_mac(&key, SecretOwner::App(app.no), &secret);
    let app = App { secrets: vec![StoredSecret { mac, expires_at: None }], ..app.clone() };
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    authenticate(&Arc::new(app), &ClientProof::Secret(secret), here, &key, NOW).unwrap()
}

/// A server's keys.
pub fn keys() -> TokenKeys {
    TokenKeys::new(&MasterKey::new(&[1; 32]))
}

/// The salt of every record here.
pub const SALT: Salt = Salt([4; 16]);

/// A token of the record `record`, minted and read again.
pub fn claim(kind: TokenKind, record: RecordId, generation: Generation, token_epoch: u32) -> TokenClaim {
    let place = TokenPlace { kind, record, salt: &SALT, token_epoch };
    keys().parse(&keys().mint(&place, generation)).unwrap()
}

/// The number of the one grant here.
pub const GRANT: RecordId = RecordId::from_number(77);

/// A grant of `app` whose code was issued at [`NOW`].
pub fn grant(app: &App, stage: GrantStage) -> Grant {
    Grant {
        id: GRANT,
        app: app.no,
        customer: CustomerId::parse("2160000000000001").unwrap(),
        scopes: vec![Scope::parse("auth_user").unwrap()],
        salt: SALT,
        stage,
        token_epoch: app.token_epoch,
        code_expires_at: NOW.after(app.code_lifetime()),
        revision: 3,
    }
}

/// A token of this generation, good from `from_ms` to `until_ms` after [`NOW`].
pub fn held(generation: i64, from_ms: i64, until_ms: i64) -> Held {
    Held { generation: Generation::from_number(generation), issued_at: at(from_ms), expires_at: at(until_ms) }
}
