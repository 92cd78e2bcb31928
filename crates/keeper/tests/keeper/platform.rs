//! A model of the four platforms, which also watches what keepers may never do to one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mintkeep_protocol::crypto::{RsaPrivateKey, sha256};
use mintkeep_protocol::dialect::alipay::{format_instant, text_to_sign};
use mintkeep_protocol::port::upstream::{FaultCause, Upstream, UpstreamFault};
use mintkeep_protocol::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::dice::{Dice, SimClock};
use crate::gate::{Gate, Mischief};

/// How long the model's app tokens live; short, so that a simulated hour sees many renewals.
pub const LIFE: Duration = Duration::from_mins(15);
/// How long a customer's access token lives.
const CUSTOMER_LIFE: Duration = Duration::from_mins(30);
/// How long the platform of `mini` takes an identical request again. That of `hk` never does.
pub const IDENTICAL_RETRY: Duration = Duration::from_mins(1);

/// One key pair for all of the signing, since making one takes long.
pub static KEY: LazyLock<Arc<RsaPrivateKey>> = LazyLock::new(|| Arc::new(RsaPrivateKey::generate().unwrap()));

/// What a code or a refresh token stands for.
struct Coupon {
    customer: String,
    /// By which bytes it was spent, when, and what was answered.
    spent: Option<([u8; 32], Timestamp, Value)>,
}

#[derive(Default)]
struct State {
    minted: u64,
    /// The current token of each pool, and its end.
    pools: HashMap<String, (String, Timestamp)>,
    coupons: HashMap<String, Coupon>,
    /// Calls that arrived, by app.
    arrived: BTreeMap<String, u64>,
    /// Calls that are under way, by what they are about, and which process waits for each.
    under_way: HashMap<String, Arc<Gate>>,
    /// What no keeper may ever do, and one did.
    broken: Vec<String>,
}

pub struct Platform {
    state: Mutex<State>,
    clock: Arc<SimClock>,
    dice: Arc<Dice>,
    pub mischief: watch::Sender<Mischief>,
    /// Nothing gets through.
    pub is_down: watch::Sender<bool>,
    /// What is sent is neither taken nor answered.
    pub is_silent: watch::Sender<bool>,
    /// By which code wallets refuse whatever they are asked.
    pub refuses: watch::Sender<Option<&'static str>>,
}

impl Platform {
    pub fn new(clock: Arc<SimClock>, dice: Arc<Dice>) -> Arc<Self> {
        let mischief = watch::Sender::new(Mischief::default());
        let (is_down, is_silent) = (watch::Sender::new(false), watch::Sender::new(false));
        let refuses = watch::Sender::new(None);
        Arc::new(Self { state: Mutex::default(), clock, dice, mischief, is_down, is_silent, refuses })
    }

    pub fn issue_code(&self, customer: &str) -> String {
        let mut state = self.state.lock().unwrap();
        let code = state.mint("code");
        state.coupons.insert(code.clone(), Coupon { customer: customer.to_owned(), spent: None });
        code
    }

    /// What no keeper may ever do, and one did.
    pub fn broken(&self) -> Vec<String> {
        self.state.lock().unwrap().broken.clone()
    }

    /// How many calls arrived for an app.
    pub fn arrived(&self, app: &str) -> u64 {
        self.state.lock().unwrap().arrived.get(app).copied().unwrap_or_default()
    }

    /// Has every pool's token end now, as a leak's answer does.
    pub fn revoke_all(&self) {
        self.state.lock().unwrap().pools.clear();
    }

    /// What it answers to a request that was on its way for long.
    pub fn answer_late(&self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.answer(&understand(request), request)
    }

    fn answer(&self, asked: &Asked, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let now = self.clock.truth();
        let mut state = self.state.lock().unwrap();
        let arrived = state.arrived.entry(asked.app.clone()).or_default();
        *arrived = arrived.saturating_add(1);
        match &asked.what {
            What::Legacy => {
                let token = state.mint("w");
                state.pools.insert(asked.app.clone(), (token.clone(), now.after(LIFE)));
                plain(&json!({ "access_token": token, "expires_in": LIFE.as_secs() }))
            }
            What::Stable { force } => {
                let fresh = (state.mint("s"), now.after(LIFE));
                let current = state.pools.get(&asked.app).filter(|(_, end)| end.since(now).as_secs() > 300);
                let (token, end) = current.filter(|_| !force).cloned().unwrap_or(fresh);
                state.pools.insert(asked.app.clone(), (token.clone(), end));
                plain(&json!({ "access_token": token, "expires_in": end.since(now).as_secs() }))
            }
            What::DingTalk => {
                let fresh = state.mint("d");
                let current = state.pools.get(&asked.app).filter(|(_, end)| now < *end);
                let token = current.map_or(fresh, |(token, _)| token.clone());
                state.pools.insert(asked.app.clone(), (token.clone(), now.after(LIFE)));
                plain(&json!({ "accessToken": token, "expireIn": LIFE.as_secs() }))
            }
            What::Coupon { text, is_code } => {
                let body = state.redeem(asked, text, *is_code, (now, sha256(&frozen(request))));
                signed(request, &body, now)
            }
        }
    }
}

impl State {
    fn mint(&mut self, kind: &str) -> String {
        self.minted = self.minted.saturating_add(1);
        format!("{kind}{:032}", self.minted)
    }

    fn redeem(&mut self, asked: &Asked, text: &str, is_code: bool, at: (Timestamp, [u8; 32])) -> Value {
        let (now, bytes) = at;
        let Some(coupon) = self.coupons.get(text) else {
            return result(if is_code { "INVALID_CODE" } else { "INVALID_REFRESH_TOKEN" });
        };
        if let Some((by, when, answer)) = &coupon.spent {
            let wrong = [
                (*by != bytes, "a spent coupon was presented by another request"),
                (asked.app != "mini", "a spent coupon was presented to a platform that takes nothing twice"),
                (now.since(*when) > IDENTICAL_RETRY, "a spent coupon was presented too late"),
            ];
            let answer = answer.clone();
            self.broken.extend(wrong.iter().filter(|(is_so, _)| *is_so).map(|(_, what)| (*what).to_owned()));
            return answer;
        }
        let customer = coupon.customer.clone();
        let (access, refresh) = (self.mint("a"), self.mint("r"));
        let answer = json!({
            "result": { "resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success" },
            "accessToken": access,
            "accessTokenExpiryTime": format_instant(now.after(CUSTOMER_LIFE), 480),
            "refreshToken": refresh,
            "refreshTokenExpiryTime": format_instant(now.after(Duration::from_hours(72)), 480),
            "customerId": customer,
        });
        self.coupons.insert(refresh, Coupon { customer, spent: None });
        if let Some(coupon) = self.coupons.get_mut(text) {
            coupon.spent = Some((bytes, now, answer.clone()));
        }
        answer
    }
}

/// The access token in an answer, whatever the dialect.
pub fn token_in(answer: &http::Response<Bytes>) -> Option<String> {
    let body: Value = serde_json::from_slice(answer.body()).ok()?;
    let token = body.get("access_token").or_else(|| body.get("accessToken"))?;
    token.as_str().map(str::to_owned)
}

/// A request, understood.
struct Asked {
    app: String,
    what: What,
}

enum What {
    Legacy,
    Stable { force: bool },
    DingTalk,
    Coupon { text: String, is_code: bool },
}

fn understand(request: &http::Request<Bytes>) -> Asked {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let query = request.uri().query().unwrap_or_default();
    match request.uri().path() {
        "/cgi-bin/token" => {
            let app = query.split('&').find_map(|pair| pair.strip_prefix("appid=")).unwrap();
            Asked { app: app.to_owned(), what: What::Legacy }
        }
        "/cgi-bin/stable_token" => {
            let force = body.get("force_refresh") == Some(&Value::Bool(true));
            Asked { app: field("appid").unwrap(), what: What::Stable { force } }
        }
        "/v1.0/oauth2/accessToken" => Asked { app: field("appKey").unwrap(), what: What::DingTalk },
        _apply_token => {
            let app = request.headers()["client-id"].to_str().unwrap().to_owned();
            let code = field("authCode");
            let is_code = code.is_some();
            let text = code.or_else(|| field("refreshToken")).unwrap();
            Asked { app, what: What::Coupon { text, is_code } }
        }
    }
}

fn frozen(request: &http::Request<Bytes>) -> Vec<u8> {
    format!("{} {} {:?} {:?}", request.method(), request.uri(), request.headers(), request.body())
        .into_bytes()
}

fn plain(body: &Value) -> http::Response<Bytes> {
    http::Response::new(body.to_string().into())
}

fn result(code: &str) -> Value {
    let status = if code == "UNKNOWN_EXCEPTION" { "U" } else { "F" };
    json!({ "result": { "resultCode": code, "resultStatus": status, "resultMessage": "no" } })
}

fn signed(request: &http::Request<Bytes>, body: &Value, now: Timestamp) -> http::Response<Bytes> {
    let client_id = request.headers()["client-id"].clone();
    let (time, body) = (format_instant(now, 480), body.to_string());
    let path = request.uri().path();
    let text = text_to_sign(path, client_id.as_bytes(), time.as_bytes(), body.as_bytes());
    let signature = STANDARD.encode(KEY.sign(&text).unwrap());
    http::Response::builder()
        .header("client-id", client_id)
        .header("response-time", time)
        .header("signature", format!("algorithm=RSA256,keyVersion=1,signature={signature}"))
        .body(body.into())
        .unwrap()
}

/// One process's way to the platforms.
pub struct PlatformDoor {
    pub platform: Arc<Platform>,
    pub gate: Arc<Gate>,
}

/// Counts a call as under way for as long as its process waits for it.
struct UnderWay<'p> {
    platform: &'p Platform,
    what: String,
    gate: Arc<Gate>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let under_way = &mut self.platform.state.lock().unwrap().under_way;
        if under_way.get(&self.what).is_some_and(|gate| Arc::ptr_eq(gate, &self.gate)) {
            under_way.remove(&self.what);
        }
    }
}

impl PlatformDoor {
    fn note(&self, what: &'static str, asked: &Asked) {
        let how = match &asked.what {
            What::Legacy => "legacy",
            What::Stable { force: true } => "stable, by force",
            What::Stable { force: false } => "stable",
            What::DingTalk => "dingtalk",
            What::Coupon { is_code: true, .. } => "code",
            What::Coupon { is_code: false, .. } => "refresh token",
        };
        let minted = i64::try_from(self.platform.state.lock().unwrap().minted).unwrap();
        self.gate.story.note(self.gate.who, what, how, minted);
    }

    fn depart(&self, asked: &Asked) -> UnderWay<'_> {
        let mut state = self.platform.state.lock().unwrap();
        let about = match &asked.what {
            What::Legacy | What::Stable { .. } | What::DingTalk => String::new(),
            What::Coupon { is_code: true, text } => text.clone(),
            What::Coupon { is_code: false, text } => {
                state.coupons.get(text).map(|coupon| coupon.customer.clone()).unwrap_or_default()
            }
        };
        let what = format!("{} {about}", asked.app);
        let other = state.under_way.insert(what.clone(), Arc::clone(&self.gate));
        if other.is_some_and(|other| !other.is_shut()) {
            state.broken.push(format!("two calls at once about {what}"));
        }
        drop(state);
        UnderWay { platform: &self.platform, what, gate: Arc::clone(&self.gate) }
    }

    /// A platform's own trouble, in its dialect, with nothing done.
    fn busy(&self, asked: &Asked, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let is_unsure = self.platform.dice.happens(500);
        match &asked.what {
            What::Legacy | What::Stable { .. } => {
                plain(&json!({ "errcode": if is_unsure { -1 } else { 45011 }, "errmsg": "busy" }))
            }
            What::DingTalk => {
                let mut answer = plain(&json!({ "requestid": "X", "code": "unknownError", "message": "no" }));
                *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                answer
            }
            What::Coupon { .. } => {
                let code = if is_unsure { "UNKNOWN_EXCEPTION" } else { "REQUEST_TRAFFIC_EXCEED_LIMIT" };
                signed(request, &result(code), self.platform.clock.truth())
            }
        }
    }
}

#[async_trait]
impl Upstream for PlatformDoor {
    async fn send(
        &self,
        _: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, UpstreamFault> {
        self.gate.alive().await;
        let asked = understand(&request);
        self.note("is asked", &asked);
        let _under_way = self.depart(&asked);
        if *self.platform.is_silent.borrow() {
            std::future::pending::<()>().await;
        }
        let dice = &self.platform.dice;
        let mischief = *self.platform.mischief.borrow();
        let dies = self.gate.burns_down();
        let dies_early = dice.happens(500);
        if dies && dies_early {
            self.gate.die().await;
        }
        tokio::time::sleep(dice.wait(Duration::from_millis(300))).await;
        let is_down = *self.platform.is_down.borrow();
        if is_down || dice.happens(mischief.upstream_fails) {
            let cause = FaultCause::Connect;
            match if is_down { dice.below(2) } else { dice.below(5) } {
                0 => return Err(UpstreamFault::NotSent(cause)),
                1 => return Err(UpstreamFault::Ambiguous(FaultCause::ConnectionLost)),
                2 => {
                    self.platform.answer(&asked, &request);
                    return Err(UpstreamFault::Ambiguous(FaultCause::ConnectionLost));
                }
                3 => {
                    self.platform.answer(&asked, &request);
                    tokio::time::sleep(Duration::from_mins(1)).await;
                }
                _busy => return Ok(self.busy(&asked, &request)),
            }
        }
        let refused = self.platform.refuses.borrow().filter(|_| matches!(asked.what, What::Coupon { .. }));
        if let Some(code) = refused {
            return Ok(signed(&request, &result(code), self.platform.clock.truth()));
        }
        let answer = self.platform.answer(&asked, &request);
        self.note("answers", &asked);
        if dies {
            self.gate.die().await;
        }
        tokio::time::sleep(dice.wait(Duration::from_millis(300))).await;
        self.gate.alive().await;
        Ok(answer)
    }
}
