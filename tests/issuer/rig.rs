//! An issuer with one app of each dialect, and the ways to call it.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use mintkeep_issuer::faults::Faults;
use mintkeep_issuer::issuer::{Issuer, IssuerParts};
use mintkeep_issuer::routes::router;
use mintkeep_protocol::app::{App, AppKey, StoredSecret};
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing, MasterKeys, RsaPrivateKey};
use mintkeep_protocol::ident::{AppId, CustomerId, Dialect, RecordId, Scope, ServiceId};
use mintkeep_protocol::issue::authenticate::{SecretOwner, secret_mac};
use mintkeep_protocol::issue::code::Consent;
use mintkeep_protocol::port::entropy::SystemEntropy;
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::record::{
    AuditAction, AuditEntry, Customer, CustomerStatus, PlatformKey, Profile, Service, ServiceRole,
};
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::limits::Limits;
use mintkeep_web::tasks::Tasks;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::ledger::Ledger;

pub const WECHAT: &str = "wx0000000000000001";
pub const DINGTALK: &str = "dingsandbox0000001";
pub const MINI: &str = "MINI0000000000000001";
pub const HK: &str = "ALHK0000000000000001";
pub const ACTIVE: &str = "2160000000000001";
pub const FROZEN: &str = "2160000000000002";
pub const SECRET: &str = "planted-app-secret";
pub const GATEWAY: (&str, &str) = ("gateway", "planted-gateway-secret");
pub const WALLET: (&str, &str) = ("wallet", "planted-wallet-secret");

/// 2027-01-15 16:00 in China.
const NOW_MS: i64 = 1_800_000_000_000;

/// The apps' key pair. Drawing one takes long, so there is one for all tests; nobody changes it.
static APP_KEY: LazyLock<RsaPrivateKey> = LazyLock::new(|| RsaPrivateKey::generate().unwrap());

/// The platform's keys likewise, once the first issuer has drawn them.
static PLATFORM_KEYS: tokio::sync::OnceCell<Vec<PlatformKey>> = tokio::sync::OnceCell::const_new();

/// Stands still until it is moved, or walks by so many milliseconds with every reading.
pub struct HandClock {
    now_ms: AtomicI64,
    step_ms: AtomicI64,
}

impl HandClock {
    fn new() -> Self {
        Self { now_ms: AtomicI64::new(NOW_MS), step_ms: AtomicI64::new(0) }
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now_ms.fetch_add(self.step_ms.load(SeqCst), SeqCst))
    }
}

pub struct Rig {
    pub issuer: Arc<Issuer>,
    pub store: Arc<Ledger>,
    pub faults: Arc<Faults>,
    pub clock: Arc<HandClock>,
    router: Router,
}

/// An answer, read whole.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the connection is to be closed without an answer.
    pub is_dropped: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// A field's text; of a nested one by a JSON pointer.
    pub fn text(&self, pointer: &str) -> String {
        let json = self.json();
        let value = json.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {json}"));
        value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
    }

    pub fn code(&self) -> String {
        self.text("/result/resultCode")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn master() -> Arc<MasterKeys> {
    Arc::new(MasterKeys::new(MasterKeyRing::new(MasterKey::new(&[3; 32]), vec![])))
}

impl Rig {
    pub async fn new() -> Self {
        Self::over(Ledger::new()).await
    }

    /// One of several replicas; [`Self::beside`] makes the others.
    pub async fn shared() -> Self {
        Self::over(Ledger::shared()).await
    }

    /// Another replica over the same store.
    pub async fn beside(&self) -> Self {
        Self::opened(self.store.clone(), self.clock.clone()).await
    }

    async fn over(store: Ledger) -> Self {
        let keys = PLATFORM_KEYS.get_or_init(|| async {
            let (store, clock) = (Arc::new(Ledger::new()), Arc::new(HandClock::new()));
            let _issuer = open(store.clone(), clock).await;
            store.platform_keys().await.unwrap()
        });
        for key in keys.await {
            store.add_platform_key(key.clone()).await.unwrap();
        }
        let rig = Self::opened(Arc::new(store), Arc::new(HandClock::new())).await;
        rig.seed().await;
        let _seeding = rig.store.asked();
        rig
    }

    async fn opened(store: Arc<Ledger>, clock: Arc<HandClock>) -> Self {
        let issuer = open(store.clone(), clock.clone()).await;
        let faults = Arc::new(Faults::new(Arc::new(SystemEntropy)));
        let router = router(issuer.clone(), Some(faults.clone()));
        Self { issuer, store, faults, clock, router }
    }

    async fn seed(&self) {
        let ids = [WECHAT, DINGTALK, MINI, HK];
        for (number, (dialect, id)) in (1..).zip(Dialect::ALL.into_iter().zip(ids)) {
            let no = RecordId::from_number(number);
            let mac =
                secret_mac(&self.issuer.secret_key, SecretOwner::App(no), &ClientSecret::new(SECRET.into()));
            let key = AppKey { version: 1, public: APP_KEY.public().clone() };
            let app = App {
                secrets: vec![StoredSecret { mac, expires_at: None }],
                keys: if dialect.is_signed() { vec![key] } else { vec![] },
                ..App::new(no, AppId::parse(id).unwrap(), dialect, self.clock.now())
            };
            self.store.put_app(app, self.audit()).await.unwrap();
        }
        for (id, status) in [(ACTIVE, CustomerStatus::Active), (FROZEN, CustomerStatus::Frozen)] {
            self.put_customer(id, status).await;
        }
        for ((id, secret), role) in [(GATEWAY, ServiceRole::ResourceServer), (WALLET, ServiceRole::Wallet)] {
            let id = ServiceId::parse(id).unwrap();
            let mac = self.issuer.service_secret_mac(&id, &ClientSecret::new(secret.into()));
            let secret = StoredSecret { mac, expires_at: None };
            let service = Service { id, role, secret, assertion_key_pem: None };
            self.store.put_service(service, self.audit()).await.unwrap();
        }
    }

    pub async fn put_customer(&self, id: &str, status: CustomerStatus) {
        let profile = Profile { nick_name: Some("Tai Man".into()), ..Profile::default() };
        let customer = Customer { id: CustomerId::parse(id).unwrap(), status, profile };
        self.store.put_customer(customer, self.audit()).await.unwrap();
    }

    pub fn audit(&self) -> AuditEntry {
        self.issuer.audit("test", AuditAction::AppChanged, "test", &Arrival::UNKNOWN)
    }

    pub fn pass(&self, time: Duration) {
        self.clock.now_ms.fetch_add(i64::try_from(time.as_millis()).unwrap(), SeqCst);
    }

    /// From now on a millisecond passes whenever the time is read, as if each step took that long.
    pub fn let_time_pass(&self) {
        self.clock.step_ms.store(1, SeqCst);
    }

    /// Changes an app as the admin API does.
    pub async fn change_app(&self, id: &str, change: impl FnOnce(&mut App)) {
        let id = AppId::parse(id).unwrap();
        let mut app = App::clone(&*self.store.app(&id).await.unwrap().unwrap());
        change(&mut app);
        self.store.put_app(app, self.audit()).await.unwrap();
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let is_dropped = head.extensions.get::<mintkeep_web::note::DropConnection>().is_some();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, body, is_dropped }
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send(Request::get(target).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, target: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(target).header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// A form with Basic authentication.
    pub async fn form(&self, target: &str, (id, secret): (&str, &str), body: &str) -> Answer {
        let request = Request::post(target)
            .header("authorization", basic((id, secret)))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub async fn wechat_token(&self) -> String {
        self.get(&wechat_target()).await.text("/access_token")
    }

    pub async fn stable_token(&self, force: bool) -> Answer {
        let body = json!({"grant_type": "client_credential", "appid": WECHAT, "secret": SECRET, "force_refresh": force});
        self.post("/cgi-bin/stable_token", body.to_string()).await
    }

    pub async fn dingtalk_token(&self) -> Answer {
        let body = json!({"appKey": DINGTALK, "appSecret": SECRET}).to_string();
        self.post("/v1.0/oauth2/accessToken", body).await
    }

    /// Whether a token introspects as active.
    pub async fn is_active(&self, token: &str) -> bool {
        let answer = self.form("/oauth2/introspect", GATEWAY, &format!("token={token}")).await;
        assert_eq!(answer.status, 200);
        answer.json()["active"] == true
    }

    pub async fn code(&self, app: &str, customer: &str) -> String {
        self.code_for(app, customer, &["auth_user"]).await
    }

    pub async fn code_for(&self, app: &str, customer: &str, scopes: &[&str]) -> String {
        let (app, customer) = (AppId::parse(app).unwrap(), CustomerId::parse(customer).unwrap());
        let scopes = scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect();
        let consent = Consent { customer, scopes, redirect_uri: None, challenge: None };
        let issued = self.issuer.issue_code("test", &app, &consent, &Arrival::UNKNOWN).await;
        issued.unwrap_or_else(|failure| panic!("{failure}")).code.expose().to_owned()
    }

    /// A signed request of this app, at this clock's time.
    pub fn signed(&self, id: &str, path: &str, body: &str) -> Request<Body> {
        signed_at(id, path, body, self.clock.now())
    }

    pub async fn call(&self, id: &str, path: &str, body: &Value) -> Answer {
        self.send(self.signed(id, path, &body.to_string())).await
    }

    pub async fn exchange(&self, id: &str, code: &str) -> Answer {
        self.call(id, apply_path(id), &json!({"grantType": "AUTHORIZATION_CODE", "authCode": code})).await
    }

    pub async fn refresh(&self, id: &str, token: &str) -> Answer {
        self.call(id, apply_path(id), &json!({"grantType": "REFRESH_TOKEN", "refreshToken": token})).await
    }
}

/// An issuer over `store`, as one of several replicas.
pub async fn open(store: Arc<Ledger>, clock: Arc<HandClock>) -> Arc<Issuer> {
    let parts = IssuerParts {
        store,
        clock,
        entropy: Arc::new(SystemEntropy),
        tasks: Tasks::new(2),
        master: master(),
        limits: Limits::default(),
        public_url: "https://issuer.example".into(),
    };
    Issuer::open(parts).await.unwrap_or_else(|fault| panic!("{fault}"))
}

pub fn wechat_target() -> String {
    format!("/cgi-bin/token?grant_type=client_credential&appid={WECHAT}&secret={SECRET}")
}

pub fn basic((id, secret): (&str, &str)) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

pub fn apply_path(id: &str) -> &'static str {
    if id == HK { "/api/open/v1/alipayhk/merchant/applyToken" } else { "/v1/authorizations/applyToken" }
}

/// A request signed by the apps' key, `Request-Time` in milliseconds.
pub fn signed_at(id: &str, path: &str, body: &str, at: Timestamp) -> Request<Body> {
    let time = at.unix_ms();
    let text = format!("POST {path}\n{id}.{time}.{body}");
    let signature = STANDARD.encode(APP_KEY.sign(text.as_bytes()).unwrap());
    Request::post(path)
        .header("client-id", id)
        .header("request-time", time)
        .header("content-type", "application/json; charset=UTF-8")
        .header("signature", format!("algorithm=RSA256, keyVersion=1, signature={signature}"))
        .body(Body::from(body.to_owned()))
        .unwrap()
}
