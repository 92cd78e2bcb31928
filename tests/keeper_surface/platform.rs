//! A stand-in for the platforms: it grants what is asked, counts the calls, and can be down.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use mintkeep_keeper::proxy::{Onward, OnwardFault};
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::crypto::{RsaPrivateKey, WireKey};
use mintkeep_protocol::dialect::AnswerContext;
use mintkeep_protocol::dialect::alipay::{self, Echo, Gateway, SignedBody};
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::outcome::{Granted, Outcome, Refusal, TokenSet};
use mintkeep_protocol::port::upstream::{FaultCause, Upstream, UpstreamFault};
use mintkeep_protocol::request::{Ask, RequestId};
use mintkeep_protocol::secret::{AccessToken, RefreshToken};
use mintkeep_protocol::time::Clock;
use serde_json::{Value, json};

use crate::rig::HandClock;

/// How long the stand-in's app tokens live, in seconds.
pub const LIFE_S: u64 = 7_200;
/// How long a customer's access token lives, in seconds.
pub const CUSTOMER_LIFE_S: u64 = 259_200;
/// Of every token that the stand-in grants.
pub const PLANTED: &str = "planted-token-";
/// Of every refresh token that it grants.
pub const PLANTED_REFRESH: &str = "planted-refresh-";

/// The wallet's call that tells who a customer is.
pub const USER_INFO: &str = "/v1/users/inquiryUserInfo";
/// The wallet's call that ends a customer's tokens.
pub const CANCEL: &str = "/v1/authorizations/cancelToken";

/// The one key pair of the wallet and of the app at it: making one takes long.
pub static KEY: LazyLock<Arc<RsaPrivateKey>> = LazyLock::new(|| Arc::new(RsaPrivateKey::generate().unwrap()));

#[derive(Default)]
struct State {
    calls: usize,
    minted: usize,
    legacy: Option<String>,
    stable: Option<String>,
    dingtalk: Option<String>,
    customers: Option<String>,
    spent: HashSet<String>,
    forwarded: Vec<http::Request<Bytes>>,
}

pub struct Platform {
    state: Mutex<State>,
    clock: Arc<HandClock>,
    pub is_down: AtomicBool,
    /// Whether it takes requests and never answers.
    pub is_frozen: AtomicBool,
    /// Whether it does what is asked for and its answers are lost.
    pub loses_answers: AtomicBool,
    /// Whether somebody else answers the wallet's calls.
    pub is_forged: AtomicBool,
}

impl Platform {
    pub fn new(clock: Arc<HandClock>) -> Self {
        Self {
            state: Mutex::default(),
            clock,
            is_down: AtomicBool::default(),
            is_frozen: AtomicBool::default(),
            loses_answers: AtomicBool::default(),
            is_forged: AtomicBool::default(),
        }
    }

    /// How many requests for tokens arrived.
    pub fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    /// What came through the proxy, in order.
    pub fn forwarded(&self) -> Vec<http::Request<Bytes>> {
        self.state.lock().unwrap().forwarded.clone()
    }

    /// Ends all tokens, as a platform does after a leak.
    pub fn revoke_all(&self) {
        let mut state = self.state.lock().unwrap();
        (state.legacy, state.stable, state.dingtalk, state.customers) = (None, None, None, None);
    }

    fn is_down(&self) -> bool {
        self.is_down.load(Ordering::SeqCst)
    }

    /// `applyToken`: any code is good once, and is its customer's name.
    fn apply_token(&self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let is_hk = request.uri().path().contains("alipayhk");
        let gateway = if is_hk { Gateway::AlipayHk } else { Gateway::MiniProgram };
        let (ask, wire_key) = opened(gateway, request);
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let (spent, customer) = match &ask {
            Ask::ExchangeCode(code) => (code.expose().to_owned(), code.expose()),
            Ask::Refresh(token) => (token.expose().to_owned(), "c1"),
            Ask::AppToken { .. }
            | Ask::CancelToken(_)
            | Ask::UserInfo(_)
            | Ask::PlatformAddresses
            | Ask::ClearQuota(_)
            | Ask::QuotaOf { .. }
            | Ask::Ticket { .. } => panic!("the stand-in grants for codes and refresh tokens"),
        };
        let outcome = if state.spent.insert(spent) {
            let minted = state.mint();
            state.customers = Some(minted.clone());
            let life = std::time::Duration::from_secs(CUSTOMER_LIFE_S);
            Outcome::Granted(Granted::TokenSet(TokenSet {
                access_expires_at: now.after(life),
                expires_in: life,
                refresh: RefreshToken::new(minted.replace(PLANTED, PLANTED_REFRESH)),
                refresh_expires_at: now.after(life),
                access: AccessToken::new(minted),
                customer: CustomerId::parse(customer).unwrap(),
                scopes: vec![],
            }))
        } else {
            Outcome::Refused(Refusal::CodeUsed)
        };
        self.answer_signed(gateway, request, (&outcome, wire_key))
    }

    /// `inquiryUserInfo` and `cancelToken`, of either wallet.
    fn serve_customer(&self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let (ask, wire_key) = opened(Gateway::MiniProgram, request);
        let (Ask::UserInfo(shown) | Ask::CancelToken(shown)) = &ask else {
            panic!("the stand-in tells who somebody is, or cancels a token")
        };
        let mut state = self.state.lock().unwrap();
        let is_good = state.customers.as_deref() == Some(shown.expose());
        let outcome = if is_good && matches!(ask, Ask::CancelToken(_)) {
            state.customers = None;
            Outcome::Granted(Granted::Cancelled)
        } else if is_good {
            let customer = CustomerId::parse("c1").unwrap();
            Outcome::Granted(Granted::UserInfo { customer, profile: None })
        } else {
            Outcome::Refused(Refusal::AccessInvalid)
        };
        self.answer_signed(Gateway::MiniProgram, request, (&outcome, wire_key))
    }

    fn answer_signed(
        &self,
        gateway: Gateway,
        request: &http::Request<Bytes>,
        (outcome, wire_key): (&Outcome, Option<WireKey>),
    ) -> http::Response<Bytes> {
        let now = self.clock.now();
        let context = AnswerContext {
            path: request.uri().path(),
            now,
            request_id: RequestId::new(now, 0),
            app: None,
            profile: None,
        };
        let mut answer = alipay::answer(gateway, &Echo::of(request), outcome, &context);
        if let Some(key) = wire_key {
            let app_key = AppKey { version: 1, public: KEY.public().clone() };
            answer = answer.encrypted(&key, &app_key).unwrap();
        }
        let mut text = answer.text_to_sign();
        if self.is_forged.load(Ordering::SeqCst) {
            text.push(b'!');
        }
        let signature = KEY.sign(&text).unwrap();
        answer.signed(1, &signature)
    }
}

/// What a signed request asks for, and the key of its encryption. Its signature must hold.
fn opened(gateway: Gateway, request: &http::Request<Bytes>) -> (Ask, Option<WireKey>) {
    let call = alipay::decode_head(gateway, request).unwrap();
    let proof = call.signature(None).unwrap();
    assert!(KEY.public().verify(&proof.signed_text, &proof.signature), "signed with the credential's key");
    match call.body().unwrap() {
        SignedBody::Plain(body) => (call.ask(body).unwrap(), None),
        SignedBody::Encrypted(body) => {
            let opened = body.open(&KEY, [0; 32]).unwrap();
            (call.ask(&opened.plaintext).unwrap(), Some(opened.key))
        }
    }
}

impl State {
    fn mint(&mut self) -> String {
        self.minted = self.minted.saturating_add(1);
        format!("{PLANTED}{:032}", self.minted)
    }

    fn answer(&mut self, request: &http::Request<Bytes>) -> Value {
        let minted = self.mint();
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        match request.uri().path() {
            "/cgi-bin/token" => {
                self.legacy = Some(minted.clone());
                json!({ "access_token": minted, "expires_in": LIFE_S })
            }
            "/cgi-bin/stable_token" => {
                let is_forced = body["force_refresh"] == true;
                let current = self.stable.take().filter(|_| !is_forced).unwrap_or(minted);
                self.stable = Some(current.clone());
                json!({ "access_token": current, "expires_in": LIFE_S })
            }
            "/v1.0/oauth2/accessToken" => {
                let current = self.dingtalk.take().unwrap_or(minted);
                self.dingtalk = Some(current.clone());
                json!({ "accessToken": current, "expireIn": LIFE_S })
            }
            path => panic!("the stand-in has no {path}"),
        }
    }

    /// What an API of the platform answers, in the form of the token that came along.
    fn serve(&self, request: &http::Request<Bytes>) -> http::Response<Body> {
        let is_good = |shown: &str, held: &Option<String>| held.as_deref() == Some(shown);
        let answer = |status: u16, body: Value| {
            http::Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
        };
        if let Some(shown) = request.headers().get("x-acs-dingtalk-access-token") {
            if is_good(shown.to_str().unwrap(), &self.dingtalk) {
                return answer(200, json!({ "result": "done" }));
            }
            return answer(400, json!({ "code": "InvalidAuthentication", "message": "no" }));
        }
        let query = request.uri().query().unwrap_or_default();
        let shown = query.split('&').find_map(|pair| pair.strip_prefix("access_token=")).unwrap_or_default();
        if !is_good(shown, &self.stable) && !is_good(shown, &self.legacy) {
            return answer(200, json!({ "errcode": 40001, "errmsg": "invalid credential" }));
        }
        if request.uri().path() == "/file" {
            let body = Body::from(vec![b'f'; 1_000_000]);
            return http::Response::builder()
                .header("connection", "x-hop")
                .header("x-hop", "1")
                .body(body)
                .unwrap();
        }
        if request.uri().path() == "/upgrade" {
            return answer(101, json!({}));
        }
        answer(200, json!({ "errcode": 0, "errmsg": "ok" }))
    }
}

#[async_trait]
impl Upstream for Platform {
    async fn send(
        &self,
        _base_url: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, UpstreamFault> {
        if self.is_down() {
            return Err(UpstreamFault::NotSent(FaultCause::Connect));
        }
        {
            let mut state = self.state.lock().unwrap();
            state.calls = state.calls.saturating_add(1);
        }
        if self.is_frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let answer = if request.uri().path().ends_with("/applyToken") {
            self.apply_token(&request)
        } else {
            let answer = self.state.lock().unwrap().answer(&request);
            http::Response::new(serde_json::to_vec(&answer).unwrap().into())
        };
        if self.loses_answers.load(Ordering::SeqCst) {
            return Err(UpstreamFault::Ambiguous(FaultCause::ConnectionLost));
        }
        Ok(answer)
    }
}

#[async_trait]
impl Onward for Platform {
    async fn forward(&self, request: http::Request<Body>) -> Result<http::Response<Body>, OnwardFault> {
        if self.is_down() {
            return Err(OnwardFault::NotSent);
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_broken| OnwardFault::Ambiguous)?.to_bytes();
        let request = http::Request::from_parts(head, body);
        self.state.lock().unwrap().forwarded.push(request.clone());
        if [USER_INFO, CANCEL].contains(&request.uri().path()) {
            return Ok(self.serve_customer(&request).map(Body::from));
        }
        Ok(self.state.lock().unwrap().serve(&request))
    }
}
