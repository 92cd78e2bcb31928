//! A platform with one app and one wallet, and a browser that keeps cookies and fills in forms.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use mintkeep_issuer::consent::{self, ConsentSettings, assertion};
use mintkeep_issuer::issuer::{Issuer, IssuerParts};
use mintkeep_issuer::routes::router;
use mintkeep_protocol::app::{App, AppSettings, StoredSecret};
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing, MasterKeys, RsaPrivateKey};
use mintkeep_protocol::ident::{AppId, CustomerId, Dialect, RecordId, Scope, ServiceId};
use mintkeep_protocol::issue::authenticate::{SecretOwner, secret_mac};
use mintkeep_protocol::port::entropy::SystemEntropy;
use mintkeep_protocol::port::issuer_store::{GrantQuery, IssuerStore as _};
use mintkeep_protocol::record::{
    AuditAction, Customer, CustomerStatus, Grant, Profile, Service, ServiceRole,
};
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_store::MemoryStore;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::limits::Limits;
use mintkeep_web::tasks::Tasks;
use tower::ServiceExt as _;

/// Where the issuer is found.
pub const PUBLIC_URL: &str = "https://id.example";
/// What the app registered.
pub const REDIRECT: &str = "https://shop.example/back";
/// A customer who may grant.
pub const CUSTOMER: &str = "2160000000000001";
/// What `DING1` proves itself by.
pub const SECRET: &str = "s-1";
/// A customer who may not.
pub const FROZEN: &str = "2160000000000002";

static WALLET_KEY: LazyLock<RsaPrivateKey> = LazyLock::new(|| RsaPrivateKey::generate().unwrap());

/// A clock that stands still until it is moved.
pub struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}

/// The platform under test.
pub struct Platform {
    pub issuer: Arc<Issuer>,
    pub store: Arc<MemoryStore>,
    pub router: Router,
    clock: Arc<HandClock>,
    nonces: AtomicU32,
}

impl Platform {
    /// With an app `MINI1` and an app `DING1`, whose secret is [`SECRET`], that may ask for `auth_base` and
    /// `auth_user`.
    pub async fn open(settings: ConsentSettings) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000_000)));
        let store = Arc::new(MemoryStore::new());
        let master = MasterKey::parse(&MasterKey::encode(&[7; 32])).unwrap();
        let issuer = Issuer::open(IssuerParts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            tasks: Tasks::new(1),
            master: Arc::new(MasterKeys::new(MasterKeyRing::new(master, vec![]))),
            limits: Limits::default(),
            public_url: PUBLIC_URL.into(),
        });
        let issuer = issuer.await.unwrap_or_else(|_| panic!("the issuer opens"));
        let router = consent::router(Arc::clone(&issuer), settings).merge(router(Arc::clone(&issuer), None));
        let platform = Self { issuer, store, router, clock, nonces: AtomicU32::new(0) };
        platform.seed().await;
        platform
    }

    async fn seed(&self) {
        let audit = |action| self.issuer.audit("test", action, "seed", &Arrival::UNKNOWN);
        let settings = AppSettings { redirect_urls: vec![REDIRECT.into()], ..AppSettings::default() };
        let id = AppId::parse("MINI1").unwrap();
        let app = App {
            name: "<script>alert(1)</script>".into(),
            settings,
            ..App::new(RecordId::from_number(1), id, Dialect::MiniProgram, self.clock.now())
        };
        let no = RecordId::from_number(2);
        let secret = ClientSecret::new(SECRET.into());
        let mac = secret_mac(&self.issuer.secret_key, SecretOwner::App(no), &secret);
        let secrets = vec![StoredSecret { mac, expires_at: None }];
        let id = AppId::parse("DING1").unwrap();
        let with_secret = App { no, id, dialect: Dialect::DingTalk, secrets, ..app.clone() };
        for app in [app, with_secret] {
            self.store.put_app(app, audit(AuditAction::AppCreated)).await.unwrap();
        }
        for (id, status) in [(CUSTOMER, CustomerStatus::Active), (FROZEN, CustomerStatus::Frozen)] {
            let id = CustomerId::parse(id).unwrap();
            let customer = Customer { id, status, profile: Profile::default() };
            self.store.put_customer(customer, audit(AuditAction::CustomerPut)).await.unwrap();
        }
        let wallet = Service {
            id: ServiceId::parse("wallet").unwrap(),
            role: ServiceRole::Wallet,
            secret: StoredSecret { mac: [0; 32], expires_at: None },
            assertion_key_pem: Some(WALLET_KEY.public().to_pem()),
        };
        self.store.put_service(wallet, audit(AuditAction::ServicePut)).await.unwrap();
    }

    /// Changes the app `MINI1` as the admin API does.
    pub async fn change_app(&self, change: impl FnOnce(&mut App)) {
        let mut app = App::clone(&*self.issuer.app(&AppId::parse("MINI1").unwrap()).await.unwrap());
        change(&mut app);
        let audit = self.issuer.audit("test", AuditAction::AppChanged, "MINI1", &Arrival::UNKNOWN);
        self.store.put_app(app, audit).await.unwrap();
    }

    /// Moves the clock.
    pub fn pass(&self, time: Duration) {
        self.clock.0.store(self.clock.now().after(time).unix_ms(), Ordering::SeqCst);
    }

    /// A fresh assertion of the wallet, good for a minute.
    pub fn assertion(&self, customer: &str) -> String {
        let nonce = format!("nonce-{:08}", self.nonces.fetch_add(1, Ordering::SeqCst));
        let ends = self.clock.now().unix_s() + 60;
        assertion::sign(&WALLET_KEY, ("wallet", customer), PUBLIC_URL, (ends, &nonce)).unwrap()
    }

    /// A browser that knows nobody.
    pub fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookie: None, language: "en" }
    }

    /// The same browser, at a replica over the same store that remembers nothing of the first.
    pub fn on_another_replica(&self, browser: &Browser) -> Browser {
        let router = consent::router(Arc::clone(&self.issuer), ConsentSettings::default());
        Browser { router, ..browser.clone() }
    }

    /// A browser at which the wallet signed `customer` in.
    pub async fn signed_in(&self, customer: &str) -> Browser {
        let mut browser = self.browser();
        let assertion = self.assertion(customer);
        let answer = browser.get(&format!("{}&assertion={assertion}", ask("auth_user"))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser
    }

    /// All grants.
    pub async fn grants(&self) -> Vec<Arc<Grant>> {
        self.store.grants(&GrantQuery { most: 1_000, ..GrantQuery::default() }).await.unwrap()
    }

    /// The grant that a code in a URL belongs to.
    pub async fn grant_of_code(&self, url: &str) -> Arc<Grant> {
        let code = parameter(url, "authCode").unwrap();
        let claim = self.issuer.tokens.parse(&code).unwrap();
        self.store.grant(claim.record).await.unwrap().unwrap()
    }
}

/// A question of the app's, by redirect.
pub fn ask(scopes: &str) -> String {
    format!("/authorize?client_id=MINI1&scopes={scopes}&redirect_url={REDIRECT}%3Fcart%3D7&state=s1")
}

/// The scopes of a grant.
pub fn scopes(grant: &Grant) -> Vec<&str> {
    grant.scopes.iter().map(Scope::as_str).collect()
}

/// A parameter of a URL's query.
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pair = query.split('&').find(|pair| pair.split('=').next() == Some(name))?;
    pair.split_once('=').map(|(_, value)| value.to_owned())
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// Where it sends the browser.
    pub fn location(&self) -> &str {
        let location = self.headers.get(LOCATION);
        location.unwrap_or_else(|| panic!("no redirect but {}: {}", self.status, self.body)).to_str().unwrap()
    }

    /// One of its headers.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The hidden fields of its form, encoded for sending, with the pressed button's.
    pub fn form(&self, button: &str) -> String {
        let mut pairs = vec![button.to_owned()];
        for input in self.body.split("<input type=\"hidden\" name=\"").skip(1) {
            let (name, rest) = input.split_once("\" value=\"").unwrap();
            let value = rest.split('"').next().unwrap().replace("&#38;", "&");
            let mut pair = format!("{name}=");
            for byte in value.bytes() {
                write!(pair, "%{byte:02X}").unwrap();
            }
            pairs.push(pair);
        }
        pairs.join("&")
    }
}

/// What a browser says of where a form comes from.
pub type Origins<'o> = &'o [(&'o str, &'o str)];

/// A browser.
#[derive(Clone)]
pub struct Browser {
    router: Router,
    pub cookie: Option<String>,
    pub language: &'static str,
}

impl Browser {
    /// Asks for a page and keeps the cookie that comes with it.
    pub async fn get(&mut self, url: &str) -> Answer {
        let answer = self.send(self.request(Method::GET, url).body(Body::empty()).unwrap()).await;
        if let Some(cookie) = answer.headers.get(SET_COOKIE) {
            self.cookie = cookie.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        answer
    }

    /// Sends a form from our own page.
    pub async fn post(&self, url: &str, form: &str) -> Answer {
        self.post_from(url, form, &[("sec-fetch-site", "same-origin"), ("origin", PUBLIC_URL)]).await
    }

    /// Sends a form from wherever `headers` say.
    pub async fn post_from(&self, url: &str, form: &str, headers: Origins<'_>) -> Answer {
        let mut request =
            self.request(Method::POST, url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    /// Sends JSON, as an app's backend would.
    pub async fn post_json(&self, url: &str, body: &serde_json::Value) -> Answer {
        let request = self.request(Method::POST, url).header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    fn request(&self, method: Method, url: &str) -> http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("accept-language", self.language)
            .header("host", "id.example");
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}
