//! An issuer with its admin API and its own routes, and the ways to ask them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use mintkeep_issuer::admin::{self, MovableClock, Sandbox};
use mintkeep_issuer::faults::Faults;
use mintkeep_issuer::issuer::{Issuer, IssuerParts};
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing, MasterKeys};
use mintkeep_protocol::port::entropy::SystemEntropy;
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::record::PlatformKey;
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_store::MemoryStore;
use mintkeep_web::admin_api;
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::console::{self, ConsoleParts, Place};
use mintkeep_web::limits::Limits;
use mintkeep_web::tasks::Tasks;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use utoipa::openapi::OpenApi;

/// The token that these tests give themselves.
pub const TOKEN: &str = "planted-admin-token";
/// When every test begins, in milliseconds since the Unix epoch.
pub const START_MS: i64 = 1_800_000_000_000;

/// The platform's keys, drawn by the first test to need them: drawing RSA keys is most of a test's time.
static PLATFORM_KEYS: OnceLock<Vec<PlatformKey>> = OnceLock::new();

/// A clock that only moves when it is told to.
#[derive(Default)]
pub struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(START_MS).after(self.offset())
    }
}

impl MovableClock for TestClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn reset(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    fn offset(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

fn parts(token: &str, store: Arc<dyn IssuerStore>, clock: Arc<TestClock>, place: Place) -> ConsoleParts {
    ConsoleParts {
        token: AdminToken::new(&ClientSecret::new(token.to_owned())),
        clock,
        entropy: Arc::new(SystemEntropy),
        store,
        place,
        limits: Limits::default(),
    }
}

/// Everything that a test asks.
pub struct Desk {
    pub admin: Router,
    pub dialects: Router,
    /// The console with the issuer's rooms alone.
    pub console: Router,
    pub api: OpenApi,
    pub clock: Arc<TestClock>,
    issuer: Arc<Issuer>,
}

/// An answer: its status and its JSON, `null` if it has none.
pub type Answer = (u16, Value);

impl Desk {
    pub async fn sandbox() -> Self {
        Self::open(true).await
    }

    pub async fn production() -> Self {
        Self::open(false).await
    }

    async fn open(is_sandbox: bool) -> Self {
        let clock = Arc::new(TestClock::default());
        let store = Arc::new(MemoryStore::new());
        for key in PLATFORM_KEYS.get().into_iter().flatten() {
            store.add_platform_key(key.clone()).await.unwrap();
        }
        let issuer = Issuer::open(IssuerParts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            tasks: Tasks::new(2),
            master: Arc::new(MasterKeys::new(MasterKeyRing::new(MasterKey::new(&[7; 32]), vec![]))),
            limits: Limits::default(),
            public_url: "http://127.0.0.1".to_owned(),
        });
        let issuer = issuer.await.unwrap();
        let drawn = store.platform_keys().await.unwrap();
        PLATFORM_KEYS.get_or_init(|| drawn);
        let faults = Arc::new(Faults::new(Arc::new(SystemEntropy)));
        let sandbox = is_sandbox.then(|| Sandbox { clock: clock.clone(), faults: faults.clone() });
        let token = AdminToken::new(&ClientSecret::new(TOKEN.to_owned()));
        let rooms = mintkeep_issuer::console::rooms(issuer.clone(), sandbox.clone());
        let parts = parts(TOKEN, store.clone(), clock.clone(), Place::default());
        let console = console::router(parts, vec![rooms]);
        let (everybodys, mut api) = admin_api::router(store, token);
        let (admin, issuers) = admin::router(issuer.clone(), sandbox, token);
        api.merge(issuers);
        let admin = everybodys.merge(admin);
        let dialects = mintkeep_issuer::routes::router(issuer.clone(), is_sandbox.then_some(faults));
        Self { admin, dialects, console, api, clock, issuer }
    }

    /// A console that knows nothing of the first but its store: another replica's.
    pub fn another_console(&self, token: &str, place: Place) -> Router {
        let rooms = mintkeep_issuer::console::rooms(self.issuer.clone(), None);
        let store = self.issuer.store.clone();
        console::router(parts(token, store, self.clock.clone(), place), vec![rooms])
    }

    /// A console without rooms over another store.
    pub fn console_over(&self, store: Arc<dyn IssuerStore>) -> Router {
        console::router(parts(TOKEN, store, self.clock.clone(), Place::default()), vec![])
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        answer_of(&self.admin, request.body(body).unwrap()).await
    }

    /// Asks as the app `id` for its own token over WeChat's wire.
    pub async fn wechat_token(&self, id: &str, secret: &str) -> Value {
        let path = format!("/cgi-bin/token?grant_type=client_credential&appid={id}&secret={secret}");
        answer_of(&self.dialects, Request::get(path).body(Body::empty()).unwrap()).await.1
    }

    /// Whether a resource server of this secret is let in to introspect.
    pub async fn introspects(&self, id: &str, secret: &str) -> bool {
        let basic = STANDARD.encode(format!("{id}:{secret}"));
        let request = Request::post("/oauth2/introspect")
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded");
        answer_of(&self.dialects, request.body(Body::from("token=x")).unwrap()).await.0 == 200
    }

    /// A WeChat app, and its secret.
    pub async fn wechat_app(&self, id: &str) -> String {
        let (status, created) =
            self.post("/admin/v1/apps", json!({"id": id, "dialect": "wechat", "name": "Shop"})).await;
        assert_eq!(status, 201, "{created}");
        created["secret"].as_str().unwrap().to_owned()
    }

    /// A signed app and an active customer.
    pub async fn miniprogram_app_and_customer(&self) {
        let app = json!({"id": "MINI1", "dialect": "miniprogram", "name": "Shop"});
        assert_eq!(self.post("/admin/v1/apps", app).await.0, 201);
        let put = self.ask(Method::PUT, "/admin/v1/customers/C1", Some(json!({}))).await;
        assert_eq!(put.0, 200, "{}", put.1);
    }

    pub async fn code(&self) -> String {
        let asked = json!({"client_id": "MINI1", "customer_id": "C1", "scopes": ["auth_user"]});
        let (status, issued) = self.post("/admin/v1/codes", asked).await;
        assert_eq!(status, 201, "{issued}");
        issued["auth_code"].as_str().unwrap().to_owned()
    }

    pub async fn state_of(&self, token: &str) -> String {
        let (status, told) = self.post("/admin/v1/inspect", json!({"token": token})).await;
        assert_eq!(status, 200);
        assert!(!told.to_string().contains(token), "the token is never repeated");
        told["state"].as_str().unwrap().to_owned()
    }
}

pub async fn answer_of(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let status: StatusCode = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
}

/// The short name of a problem.
pub fn kind(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|name| name.strip_prefix("urn:mintkeep:problem:")).unwrap_or("-")
}
