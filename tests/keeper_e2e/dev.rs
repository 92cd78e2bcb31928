//! Both roles in one process with a clock that can be moved: `mintkeep dev`.

use std::thread::scope;

use serde_json::{Value, json};

use crate::client::{Client, get, post};
use crate::keeper::manage;
use crate::patience::until;
use crate::sandbox::{ACTIVE, Folder, Mintkeep, code, is_active};

/// Connections that report at once, and how many reports each has under way.
const REPORTERS: usize = 100;
const REPORTS_EACH: usize = 100;

struct Bench {
    platform: Mintkeep,
    admin: String,
    consumer: String,
}

impl Bench {
    fn start(folder: &Folder) -> Self {
        let platform = folder.start();
        let bearer = |file: &str| format!("authorization: Bearer {}\r\n", folder.secret(file));
        Self { platform, admin: bearer("admin.token"), consumer: bearer("sandbox/consumer.key") }
    }

    fn manage(&self, method: &str, path: &str, body: &Value) {
        let answer = manage(self.platform.admin, &self.admin, (method, path), body);
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    }

    fn token(&self, credential: &str) -> String {
        let path = format!("/v1/tokens/{credential}");
        let answer = manage(self.platform.keeper, &self.consumer, ("GET", &path), &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("/access_token")
    }

    /// The token that a new code of the active customer is traded for.
    fn exchange(&self, dialect: &str, app: &str) -> String {
        let code = self.platform.ask(&code(app, ACTIVE)).text("/auth_code");
        let path = format!("/v1/exchanges/{dialect}-sandbox");
        let told = manage(self.platform.keeper, &self.consumer, ("POST", &path), &json!({"auth_code": code}));
        assert_eq!(told.status, 200, "{told:?}");
        told.text("/access_token")
    }

    fn is_active(&self, token: &str) -> bool {
        is_active(&mut self.platform.client(), token)
    }

    /// How many requests of a dialect arrived at the issuer.
    fn arrived(&self, dialect: &str) -> u64 {
        let metrics = Client::connect(self.platform.admin).unwrap().send(&get("/metrics")).unwrap().body;
        let is_it = |line: &&str| {
            line.starts_with("mintkeep_http_requests_total{")
                && line.contains("listener=\"issuer\"")
                && line.contains(&format!("endpoint=\"{dialect}\""))
        };
        let counts = metrics.lines().filter(is_it).map(|line| line.rsplit(' ').next().unwrap());
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    }
}

#[test]
fn ten_thousand_reports_of_one_dead_token_are_one_call_at_the_issuer() {
    let folder = Folder::new();
    let bench = Bench::start(&folder);
    let dead = bench.token("wechat-sandbox");
    bench.manage("POST", "/admin/v1/apps/wx0000000000000002/revoke-tokens", &Value::Null);
    assert!(!bench.is_active(&dead));
    // A token that was obtained a moment ago is not asked about.
    bench.manage("POST", "/admin/v1/sandbox/clock", &json!({"advance_s": 10}));
    let before = bench.arrived("wechat");
    assert!(before > 0, "the first fetch is counted under this name");

    let body = json!({"access_token": dead}).to_string();
    let headers = format!("{}content-type: application/json\r\n", bench.consumer);
    let report = post("/v1/tokens/wechat-sandbox/report", &headers, &body);
    let told: Vec<_> = scope(|scope| {
        let reporters: Vec<_> = (0..REPORTERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(bench.platform.keeper).unwrap();
                    client.write(report.repeat(REPORTS_EACH).as_bytes()).unwrap();
                    (0..REPORTS_EACH).map(|_| client.read().unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        reporters.into_iter().flat_map(|reporter| reporter.join().unwrap()).collect()
    });

    assert_eq!(told.len(), REPORTERS * REPORTS_EACH);
    let fresh = bench.token("wechat-sandbox");
    assert!(fresh != dead && bench.is_active(&fresh));
    for answer in &told {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text("/access_token"), fresh);
        let action = answer.text("/action");
        assert!(["renewed", "already_newer"].contains(&action.as_str()), "{action}");
    }
    assert_eq!(bench.arrived("wechat") - before, 1);
}

#[test]
fn many_codes_of_one_customer_that_are_exchanged_at_once_all_buy_a_token() {
    let folder = Folder::new();
    let bench = Bench::start(&folder);
    let fresh_code = |_| bench.platform.ask(&code("MINI0000000000000002", ACTIVE)).text("/auth_code");
    let codes: Vec<String> = (0..40).map(fresh_code).collect();
    let exchange = |code: &String| {
        let to = ("POST", "/v1/exchanges/miniprogram-sandbox");
        manage(bench.platform.keeper, &bench.consumer, to, &json!({"auth_code": code}))
    };
    let told: Vec<_> = scope(|scope| {
        let exchanges: Vec<_> = codes.iter().map(|code| scope.spawn(|| exchange(code))).collect();
        exchanges.into_iter().map(|exchange| exchange.join().unwrap()).collect()
    });
    for answer in told {
        assert_eq!((answer.status, answer.text("/customer_id").as_str()), (200, ACTIVE), "{answer:?}");
    }
}

#[test]
fn a_clock_that_jumps_an_hour_either_way_costs_no_reader_its_token() {
    let folder = Folder::new();
    let bench = Bench::start(&folder);
    let hour = json!({"advance_s": 3_600});
    for (jump, method, body) in [
        ("none", "GET", &Value::Null),
        ("ahead", "POST", &hour),
        ("ahead again", "POST", &hour),
        ("back", "DELETE", &Value::Null),
    ] {
        bench.manage(method, "/admin/v1/sandbox/clock", body);
        for credential in ["wechat-sandbox", "dingtalk-sandbox"] {
            let token = bench.token(credential);
            assert!(bench.is_active(&token), "{credential} after a jump: {jump}");
        }
    }
}

#[test]
fn a_call_through_the_proxy_is_answered_by_the_issuers_api_and_outlives_a_dead_token() {
    let folder = Folder::new();
    let bench = Bench::start(&folder);
    let proxied = |credential: &str, path: &str| {
        let path = format!("/proxy/{credential}/{ACTIVE}{path}");
        let answer = manage(bench.platform.keeper, &bench.consumer, ("POST", &path), &json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    };
    let first = bench.exchange("miniprogram", "MINI0000000000000002");
    bench.exchange("alipayhk", "ALHK0000000000000002");
    // A token that was obtained a moment ago is not asked about.
    bench.manage("POST", "/admin/v1/sandbox/clock", &json!({"advance_s": 10}));

    let names = ["/v1/customers/user/inquiryUserInfoByAccessToken", "/v1/users/inquiryUserInfo"];
    for path in names {
        assert_eq!(proxied("miniprogram-sandbox", path).text("/userInfo/userId"), ACTIVE);
    }
    let dies_once = json!({"dialect": "miniprogram", "endpoint": names[1], "action": "answer",
        "code": "INVALID_ACCESS_TOKEN", "count": 1});
    bench.manage("POST", "/admin/v1/sandbox/faults", &dies_once);
    let before = bench.arrived("miniprogram");
    assert_eq!(proxied("miniprogram-sandbox", names[1]).text("/userInfo/userId"), ACTIVE);
    assert_eq!(bench.arrived("miniprogram") - before, 3, "refused, renewed, repeated");
    let second = bench.token(&format!("miniprogram-sandbox/{ACTIVE}"));
    assert!(second != first && bench.is_active(&second));

    // AlipayHK has no API here that takes a customer's token; that it has none is said under its signature.
    let answer = proxied("alipayhk-sandbox", "/api/open/v1/alipayhk/merchant/inquire");
    assert_eq!(answer.text("/result/resultCode"), "PARAM_ILLEGAL");
}

/// As nginx calls that was not told of a version. The sandbox takes at most 64 KiB, so its refusal shows that the body came.
#[test]
fn an_upload_of_an_http_1_0_caller_reaches_the_platform() {
    let folder = Folder::new();
    let bench = Bench::start(&folder);
    let upload = post("/proxy/wechat-sandbox/cgi-bin/clear_quota", &bench.consumer, &"a".repeat(100_000));
    let upload = upload.replacen("HTTP/1.1", "HTTP/1.0", 1);
    let answer = Client::connect(bench.platform.keeper).unwrap().send(&upload).unwrap();
    assert_eq!(answer.text("/errcode"), "45002", "{answer:?}");
}

/// The platform hears nothing of it, so the refusal is the keeper's.
#[test]
fn an_upload_that_says_it_is_too_long_is_refused_at_its_head() {
    let folder = Folder::new();
    let bench = Bench::start(&folder);
    let (begun, before) = ("a".repeat(100_000), bench.arrived("wechat"));
    let upload = post("/proxy/wechat-sandbox/cgi-bin/clear_quota", &bench.consumer, &begun);
    let upload = upload.replacen("content-length: 100000", "content-length: 67108865", 1);
    let answer = Client::connect(bench.platform.keeper).unwrap().send(&upload).unwrap();
    assert_eq!((answer.status, bench.arrived("wechat") - before), (400, 0), "{answer:?}");
    assert_eq!(answer.text("/type"), "urn:mintkeep:problem:body-refused");
}

#[test]
fn a_lost_answer_costs_no_customer_of_the_sandbox_an_authorization() {
    let folder = Folder::new();
    let bench = Bench::start(&folder);
    for (dialect, app) in [("miniprogram", "MINI0000000000000002"), ("alipayhk", "ALHK0000000000000002")] {
        let first = bench.exchange(dialect, app);
        let lost = json!({"dialect": dialect, "action": "drop_after", "count": 1});
        bench.manage("POST", "/admin/v1/sandbox/faults", &lost);
        let path = format!("/admin/v1/keeper/tokens/{dialect}-sandbox/{ACTIVE}/refresh");
        let refreshed = manage(bench.platform.admin, &bench.admin, ("POST", &path), &Value::Null);
        assert_ne!(refreshed.status, 200, "its answer is lost: {refreshed:?}");
        let read =
            || Some(bench.token(&format!("{dialect}-sandbox/{ACTIVE}"))).filter(|token| *token != first);
        assert!(bench.is_active(&until("the identical request's answer", read)), "{dialect}");
    }
}

/// What is left of a first start that was killed once its consumer was made and before its key was written down.
#[test]
fn the_sandboxs_consumer_has_a_key_however_its_first_start_ended() {
    let folder = Folder::new();
    folder.start().stop();
    std::fs::remove_file(folder.data().join("sandbox").join("consumer.key")).unwrap();
    let bench = Bench::start(&folder);
    assert!(bench.is_active(&bench.token("wechat-sandbox")));
    bench.platform.stop();
}
