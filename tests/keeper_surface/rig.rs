//! A keeper over a store in memory and stand-in platforms, asked over its routers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use mintkeep_keeper::admin::{By, MadeConsumer, NewConsumer, NewCredential, NewProof};
use mintkeep_keeper::admin_routes;
use mintkeep_keeper::dropin::DropIn;
use mintkeep_keeper::routes::ListenerParts;
use mintkeep_keeper::settings::KeeperSettings;
use mintkeep_keeper::{Keeper, KeeperParts, routes};
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing, MasterKeys, RsaPrivateKey};
use mintkeep_protocol::ident::{AppId, ConsumerName, CredentialName};
use mintkeep_protocol::keep::consumer::{CredentialScope, Verb};
use mintkeep_protocol::keep::credential::{CredentialSettings, TokenSource};
use mintkeep_protocol::port::entropy::SystemEntropy;
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_store::MemoryStore;
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::console::{self, ConsoleParts, Place};
use mintkeep_web::limits::Limits;
use mintkeep_web::tasks::Tasks;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::platform::{KEY, Platform};

/// Planted, so that a test can look for it where it must not be.
pub const APP_SECRET: &str = "planted-app-secret-0123456789";
/// The admin token of every rig.
pub const ADMIN: &str = "planted-admin-token-0123456789abcdef";

/// A clock that the test moves.
pub struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}

impl HandClock {
    pub fn advance_s(&self, seconds: i64) {
        self.0.fetch_add(seconds.saturating_mul(1_000), Ordering::SeqCst);
    }
}

pub struct Rig {
    pub keeper: Arc<Keeper>,
    pub platform: Arc<Platform>,
    pub clock: Arc<HandClock>,
    pub tasks: Tasks,
    router: Router,
    pub store: Arc<MemoryStore>,
}

pub fn by() -> By {
    By { actor: "test".to_owned(), address: None, request_id: "-".to_owned() }
}

pub fn name(text: &str) -> CredentialName {
    CredentialName::parse(text).unwrap()
}

/// A consumer of all credentials with all verbs, yet to be made.
pub fn consumer(text: &str) -> NewConsumer {
    NewConsumer {
        name: ConsumerName::parse(text).unwrap(),
        credentials: CredentialScope::All,
        verbs: Verb::ALL.to_vec(),
        margin_floor_s: 0,
        drop_in_keys: vec![],
    }
}

impl Rig {
    pub async fn new() -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000_000)));
        let platform = Arc::new(Platform::new(Arc::clone(&clock)));
        let tasks = Tasks::new(2);
        let store = Arc::new(MemoryStore::new());
        let keeper = Keeper::new(KeeperParts {
            store: store.clone(),
            upstream: platform.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            master: Arc::new(MasterKeys::new(MasterKeyRing::new(MasterKey::new(&[7; 32]), vec![]))),
            tasks: tasks.clone(),
            settings: KeeperSettings { events_behind_max: 8, ..KeeperSettings::default() },
        });
        keeper.start().await.unwrap();
        let token = AdminToken::new(&ClientSecret::new(ADMIN.to_owned()));
        let (admin, _) = admin_routes::router(Arc::clone(&keeper), token);
        let drop_in = DropIn::new(Arc::clone(&keeper));
        let parts = ListenerParts {
            drop_in,
            onward: platform.clone(),
            tasks: tasks.clone(),
            watch_beat_every: Duration::from_millis(20),
        };
        let router = routes::router(Arc::clone(&keeper), parts).merge(admin);
        Self { keeper, platform, clock, tasks, router, store }
    }

    /// The console with the keeper's rooms alone.
    pub fn console(&self) -> Router {
        let parts = ConsoleParts {
            token: AdminToken::new(&ClientSecret::new(ADMIN.to_owned())),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy),
            store: self.store.clone(),
            place: Place { has_tls: true, public_url: None },
            limits: Limits::default(),
        };
        console::router(parts, vec![mintkeep_keeper::console::rooms(Arc::clone(&self.keeper))])
    }

    /// Adds a credential of a shared secret, named as its app is, and waits for its token.
    pub async fn add(&self, text: &str, source: TokenSource) {
        self.add_of_app(text, text, source).await;
    }

    /// The same of an app of another name.
    pub async fn add_of_app(&self, text: &str, app: &str, source: TokenSource) {
        let new = NewCredential {
            name: name(text),
            source,
            app: AppId::parse(app).unwrap(),
            base_url: "https://platform.example".to_owned(),
            proof: NewProof::Secret(ClientSecret::new(APP_SECRET.to_owned())),
            settings: CredentialSettings::default(),
        };
        let account = self.keeper.add_credential(new, &by()).await.unwrap();
        self.keeper.refresh(&account, None).await.unwrap();
        // Records of one millisecond have no order.
        self.clock.advance_s(1);
    }

    /// Adds a credential of the wallet, named as its app is.
    pub async fn add_wallet(&self, text: &str) {
        self.add_wallet_of(text, TokenSource::MiniProgram, CredentialSettings::default()).await;
    }

    /// The same of either wallet.
    pub async fn add_wallet_of(&self, text: &str, source: TokenSource, settings: CredentialSettings) {
        let proof = NewProof::Key {
            private: RsaPrivateKey::from_der(KEY.to_der()).unwrap(),
            version: 1,
            platform: AppKey { version: 1, public: KEY.public().clone() },
        };
        let new = NewCredential {
            name: name(text),
            source,
            app: AppId::parse(text).unwrap(),
            base_url: "https://wallet.example".to_owned(),
            proof,
            settings,
        };
        self.keeper.add_credential(new, &by()).await.unwrap();
    }

    /// A consumer of all credentials with all verbs.
    pub async fn consumer(&self, text: &str) -> MadeConsumer {
        self.consumer_with(consumer(text)).await
    }

    pub async fn consumer_with(&self, new: NewConsumer) -> MadeConsumer {
        self.keeper.create_consumer(new, &by()).await.unwrap()
    }

    /// Asks by GET, with a consumer key if there is one.
    pub async fn get(&self, path: &str, key: Option<&str>) -> Response<Body> {
        let mut request = Request::get(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Asks the admin API; the status and the JSON that came back, `Null` for no body.
    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/admin/v1/keeper{path}"))
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        read(self.send(request).await).await
    }
}

/// The status and the JSON of an answer, `Null` for no body.
pub async fn read(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    if bytes.is_empty() { (status, Value::Null) } else { (status, serde_json::from_slice(&bytes).unwrap()) }
}
