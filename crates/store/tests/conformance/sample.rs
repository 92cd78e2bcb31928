//! Records to put into stores.

use std::path::Path;
use std::sync::Arc;

use mintkeep_protocol::app::{App, AppSettings, AppStatus, StoredSecret};
use mintkeep_protocol::ident::{AppId, CustomerId, Dialect, RecordId, Scope};
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::record::{
    ActiveTokens, AuditAction, AuditEntry, Grant, GrantStage, Held, Pool, PoolKey, SpentNonce,
};
use mintkeep_protocol::request::RequestDigest;
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_protocol::token::{Generation, Salt, TokenKind};
use mintkeep_store::{SqliteOptions, SqliteStore};

/// Any store.
pub type Store = Arc<dyn IssuerStore>;

/// A moment in 2027.
pub const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// A clock that stands still.
pub struct Still(pub Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

pub fn open_sqlite(folder: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(folder, SqliteOptions::new(Arc::new(Still(NOW)))).unwrap()
}

pub fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW.unix_ms() + offset_ms)
}

pub fn number(n: i64) -> RecordId {
    RecordId::from_number(n)
}

pub fn app(no: i64, id: &str) -> App {
    App {
        no: number(no),
        id: AppId::parse(id).unwrap(),
        dialect: Dialect::WeChat,
        name: "Åpp <script>".into(),
        status: AppStatus::Active,
        secrets: vec![StoredSecret { mac: [7; 32], expires_at: Some(at(5)) }],
        keys: vec![],
        addresses: vec!["192.0.2.0/24".parse().unwrap()],
        settings: AppSettings { daily_quota: Some(2_000), ..AppSettings::default() },
        token_epoch: 3,
        created_at: NOW,
        revision: 0,
    }
}

/// An app has no equality of its own; its document and revision tell it whole.
pub fn told(app: &App) -> (String, i64) {
    (serde_json::to_string(app).unwrap(), app.revision)
}

pub fn held(n: i64) -> Held {
    Held { generation: Generation::from_number(n), issued_at: at(n), expires_at: at(n + 7_200_000) }
}

pub fn pool(app: i64, kind: TokenKind) -> Pool {
    Pool {
        key: PoolKey { app: number(app), kind },
        salt: Salt([9; 16]),
        current: held(1),
        previous: None,
        token_epoch: 2,
        quota_day: 20_833,
        used_today: 17,
        forced_today: 0,
        forced_at: None,
        revision: 0,
    }
}

pub fn grant(id: i64, app: i64, customer: &str) -> Grant {
    Grant {
        id: number(id),
        app: number(app),
        customer: CustomerId::parse(customer).unwrap(),
        scopes: vec![Scope::parse("auth_base").unwrap(), Scope::parse("auth_user").unwrap()],
        salt: Salt([4; 16]),
        stage: GrantStage::Issued { binding: None },
        token_epoch: u32::MAX,
        code_expires_at: at(600_000),
        revision: 0,
    }
}

/// Ends a minute from now.
pub fn nonce(number: u8) -> SpentNonce {
    SpentNonce { digest: [number; 32], expires_at: at(60_000) }
}

pub fn active(previous: Option<Held>, made_by: Option<RequestDigest>) -> GrantStage {
    let tokens = ActiveTokens { access: held(2), refresh_expires_at: at(99_000_000), previous, made_by };
    GrantStage::Active { spent_at: at(30), tokens }
}

pub fn audit(subject: &str) -> AuditEntry {
    AuditEntry {
        at: NOW,
        actor: "admin".into(),
        action: AuditAction::TokenMinted,
        subject: subject.into(),
        address: Some("2001:db8::1".parse().unwrap()),
        request_id: "6aac005a-01bfdbee-79769285".into(),
    }
}

/// The subjects of the whole audit, oldest first.
pub async fn audited(store: &Store) -> Vec<String> {
    let lines = store.audit_tail(None, 10_000).await.unwrap();
    lines.into_iter().map(|(_, line)| line.subject).collect()
}
