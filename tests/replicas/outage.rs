//! The database frozen, then gone, then back.

use std::time::Duration;

use mintkeep_protocol::time::Clock as _;
use mintkeep_web::clock::SystemClock;
use serde_json::json;

use crate::calls::{Shop, ask, new_code, wechat_app, wechat_token};
use crate::client::{Answer, Client, post};
use crate::database::{Processes, sql};
use crate::history::Outcome;
use crate::patience::until;
use crate::server::Server;
use crate::site::{Replica, migrate, new_database_on};

/// When a request is answered at the latest, whatever the database does.
const DEADLINE_S: u64 = 4;
/// What busy cores may add to that. A database that stands still would keep a request for ever.
const SLACK: Duration = Duration::from_secs(20);

/// One process of both roles, whose keeper keeps a token of its issuer.
struct House {
    replica: Replica,
    shop: Shop,
    /// Of a WeChat app that nobody has asked for since.
    secret: String,
    bearer: String,
}

impl House {
    fn start(url: &str) -> Self {
        let replica = Replica::start_with(url, DEADLINE_S);
        let shop = Shop::open(&replica);
        let secret = wechat_app(&replica, "wx1");
        let credential = json!({
            "name": "shop", "dialect": "wechat", "app_id": "wx1", "base_url": format!("http://{}", replica.issuer),
            "proof": {"secret": secret},
        });
        replica.admin_post("/admin/v1/keeper/credentials", &credential);
        let consumer = json!({"name": "checkout", "all_credentials": true});
        let key = replica.admin_post("/admin/v1/keeper/consumers", &consumer).text("/key");
        Self { replica, shop, secret, bearer: format!("authorization: Bearer {key}\r\n") }
    }

    /// What the keeper hands out.
    fn kept(&self) -> Answer {
        let request = format!("GET /v1/tokens/shop HTTP/1.1\r\nhost: a\r\n{}\r\n", self.bearer);
        Client::connect(self.replica.keeper).unwrap().send(&request).unwrap()
    }

    /// The keeper reads on, the issuer says "later" in each dialect and in time, and readiness says why.
    fn endures(&self, what: &str, code: &str) {
        let kept = self.kept();
        assert_eq!(kept.status, 200, "{what}: the keeper reads what it has: {kept:?}");
        self.is_put_off(&format!("{what}, WeChat"), &wechat_token("wx1", &self.secret), |answer| {
            answer.json()["errcode"] == -1
        });
        self.is_put_off(&format!("{what}, Mini Program"), &self.shop.exchange(code, 1), |answer| {
            answer.text("/result/resultStatus") == "U"
        });
        self.is_put_off(&format!("{what}, DingTalk"), &dingtalk(), |answer| answer.status >= 500);
        let listed = self.replica.admin_get("/admin/v1/apps");
        assert!(listed.status >= 500, "{what}: {listed:?}");
        let told = self.readiness_until("ready, but the store does not answer\n");
        assert_eq!(told.status, 200, "{what}: it can serve what it has");
    }

    /// The issuer's answer is of the right form, and comes in time.
    fn is_put_off(&self, what: &str, request: &str, is_retryable: impl Fn(&Answer) -> bool) {
        let began = SystemClock.now();
        let answer = ask(&self.replica, request);
        let took = SystemClock.now().since(began);
        assert!(is_retryable(&answer), "{what}: {answer:?}");
        assert!(took < Duration::from_secs(DEADLINE_S) + SLACK, "{what}: {took:?}");
    }

    /// Asks until `/readyz` says `wanted`.
    fn readiness_until(&self, wanted: &str) -> Answer {
        until(wanted, || Some(self.replica.readiness()).filter(|told| told.body == wanted))
    }
}

fn dingtalk() -> String {
    let body = json!({"appKey": "ding1", "appSecret": "planted"}).to_string();
    post("/v1.0/oauth2/accessToken", "content-type: application/json\r\n", &body)
}

#[test]
fn with_its_database_frozen_or_gone_the_keeper_reads_on_and_the_issuer_says_come_back_in_time() {
    let server = Server::start(None, &[]);
    let url = new_database_on(&server);
    migrate(&url);
    let house = House::start(&url);
    let code = new_code(&house.replica);
    let first = house.kept();
    assert_eq!(first.status, 200, "{first:?}");

    let processes = Processes::of(&server);
    processes.signal("STOP");
    house.endures("frozen", &code);
    processes.signal("CONT");
    house.readiness_until("ready\n");
    // The exchange that nobody answered has happened or it has not; the identical one would find out, another can't.
    let settled = Outcome::of(Ok(ask(&house.replica, &house.shop.exchange(&code, 2))));
    assert!(matches!(settled, Outcome::Spent(_) | Outcome::Used), "{settled:?}");

    let code = new_code(&house.replica);
    Processes::of(&server).signal("QUIT");
    house.endures("gone", &code);
    drop(server);
    house.replica.stop();
}

#[test]
fn connections_that_the_server_cuts_are_made_anew() {
    let server = Server::start(None, &[]);
    let url = new_database_on(&server);
    migrate(&url);
    let replica = Replica::start(&url);
    let secret = wechat_app(&replica, "wx1");
    for _round in 0..3 {
        let cut = "SELECT count(pg_terminate_backend(pid, 20000)) FROM pg_stat_activity WHERE application_name = 'mintkeep'";
        assert_ne!(sql(&server, "postgres", cut), "0");
        // Of the requests that meet a dead connection some may be told to come back; none is told anything else.
        let answers = (0..50).map(|_| ask(&replica, &wechat_token("wx1", &secret)).json());
        let answers: Vec<_> = answers.collect();
        assert!(
            answers.iter().all(|answer| answer["access_token"].is_string() || answer["errcode"] == -1),
            "{answers:?}"
        );
        assert!(answers.last().unwrap()["access_token"].is_string(), "{answers:?}");
    }
    replica.stop();
}
