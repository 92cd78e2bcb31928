//! The drop-in endpoints of WeChat and DingTalk.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use mintkeep_keeper::admin::NewConsumer;
use mintkeep_protocol::keep::consumer::{CredentialScope, Verb};
use mintkeep_protocol::keep::credential::TokenSource;
use serde_json::{Value, json};

use crate::platform::LIFE_S;
use crate::rig::{Rig, consumer, name, read};

/// The four ways to ask for an app's token, as `secret`.
async fn ask(rig: &Rig, path: &str, app: &str, secret: &str) -> (u16, Value) {
    let request = match path.trim_start_matches('/') {
        "cgi-bin/token" => {
            Request::get(format!("{path}?grant_type=client_credential&appid={app}&secret={secret}"))
                .body(Body::empty())
        }
        "gettoken" => Request::get(format!("{path}?appkey={app}&appsecret={secret}")).body(Body::empty()),
        "cgi-bin/stable_token" => {
            let body = json!({ "grant_type": "client_credential", "appid": app, "secret": secret });
            Request::post(path).body(Body::from(body.to_string()))
        }
        _ => Request::post(path).body(Body::from(json!({ "appKey": app, "appSecret": secret }).to_string())),
    };
    read(rig.send(request.unwrap()).await).await
}

/// The token in an answer.
fn token(answer: &Value) -> String {
    let token = answer.get("access_token").or_else(|| answer.get("accessToken"));
    token.and_then(Value::as_str).unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

async fn rig() -> Rig {
    let rig = Rig::new().await;
    rig.add("wx1", TokenSource::WeChatStable).await;
    rig.add("ding1", TokenSource::DingTalk).await;
    rig
}

#[tokio::test]
async fn a_client_library_gets_the_kept_token_by_its_drop_in_secret_or_its_key() {
    let rig = rig().await;
    // Without the verb `report` no asking is a complaint.
    let made = rig.consumer_with(NewConsumer { verbs: vec![Verb::Read], ..consumer("shop") }).await;
    let calls = rig.platform.calls();
    #[rustfmt::skip]
    let cases = [
        ("/cgi-bin/token",            "wx1",   "expires_in"),
        ("//cgi-bin/token",           "wx1",   "expires_in"),
        ("/cgi-bin/stable_token",     "wx1",   "expires_in"),
        ("/v1.0/oauth2/accessToken",  "ding1", "expireIn"),
        ("/gettoken",                 "ding1", "expires_in"),
    ];
    for (path, app, life) in cases {
        for secret in [made.drop_in_secret.as_str(), made.key.as_str()] {
            let (status, answer) = ask(&rig, path, app, secret).await;
            assert_eq!(status, 200, "{path}: {answer}");
            let kept = rig.admin("GET", &format!("/tokens/{app}"), None).await.1;
            assert_eq!((&token(&answer), &answer[life]), (&token(&kept), &kept["expires_in"]), "{path}");
        }
    }
    assert_eq!(rig.platform.calls(), calls, "all from what is held");
}

#[tokio::test]
async fn of_an_apps_credentials_a_consumer_gets_the_first_added_of_those_that_it_may_use() {
    let rig = Rig::new().await;
    let names = ["z", "y", "x", "w", "v", "u", "t", "s"];
    for text in names {
        rig.add_of_app(text, "wx1", TokenSource::WeChatToken).await;
    }
    for (n, first) in names.iter().enumerate() {
        let credentials = CredentialScope::Named(names.iter().skip(n).map(|text| name(text)).collect());
        let new = NewConsumer { credentials, ..consumer(&format!("from-{first}")) };
        let made = rig.consumer_with(new).await;
        let (_status, answer) = ask(&rig, "/cgi-bin/token", "wx1", made.drop_in_secret.as_str()).await;
        let kept = rig.admin("GET", &format!("/tokens/{first}"), None).await.1;
        assert_eq!(token(&answer), token(&kept), "{first}");
    }
    let all = rig.consumer("all").await;
    for (gone, next) in names.iter().zip(&names[1..]) {
        assert_eq!(rig.admin("DELETE", &format!("/credentials/{gone}"), None).await.0, 204, "{gone}");
        let (_status, answer) = ask(&rig, "/cgi-bin/token", "wx1", all.drop_in_secret.as_str()).await;
        let kept = rig.admin("GET", &format!("/tokens/{next}"), None).await.1;
        assert_eq!(token(&answer), token(&kept), "{next}, once {gone} is removed");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_dialect_and_never_asked_of_the_platform() {
    let rig = rig().await;
    let made = rig.consumer("shop").await;
    let new = NewConsumer { verbs: vec![], ..consumer("idle") };
    let idle = rig.consumer_with(new).await;
    let calls = rig.platform.calls();
    let (good, idle) = (made.drop_in_secret.as_str(), idle.drop_in_secret.as_str());
    #[rustfmt::skip]
    let cases = [
        ("/cgi-bin/token",           "wx1",   "planted", 200, "errcode", json!(40125)),
        ("/cgi-bin/stable_token",    "wx1",   "planted", 200, "errcode", json!(40125)),
        ("/cgi-bin/token",           "none",  "planted", 200, "errcode", json!(40125)),
        ("/cgi-bin/token",           "none",  good,      200, "errcode", json!(40013)),
        ("/cgi-bin/token",           "ding1", good,      200, "errcode", json!(40013)),
        ("/cgi-bin/token",           "wx1",   idle,      200, "errcode", json!(40013)),
        ("/cgi-bin/token",           "wx1",   "",        200, "errcode", json!(41004)),
        ("/v1.0/oauth2/accessToken", "ding1", "planted", 400, "code",    json!("invalidClientIdOrSecret")),
        ("/v1.0/oauth2/accessToken", "none",  good,      400, "code",    json!("invalidClientIdOrSecret")),
    ];
    for (path, app, secret, status, field, code) in cases {
        let (told, answer) = ask(&rig, path, app, secret).await;
        assert_eq!((told, &answer[field]), (status, &code), "{path} {app} {secret}: {answer}");
        assert!(!answer.to_string().contains("planted"), "{answer}");
    }
    #[rustfmt::skip]
    let cases = [
        ("GET",  "/cgi-bin/stable_token",     200, "errcode", json!(43002)),
        ("GET",  "/cgi-bin/get_api_domain_ip?access_token=planted", 200, "errcode", json!(40001)),
        ("GET",  "/cgi-bin/none",             200, "errcode", json!(40066)),
        ("GET",  "/v1.0/none",                404, "code",    json!("InvalidAction.NotFound")),
        ("GET",  "/none",                     404, "status",  json!(404)),
    ];
    for (method, path, status, field, code) in cases {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (told, answer) = read(rig.send(request).await).await;
        assert_eq!((told, &answer[field]), (status, &code), "{path}: {answer}");
    }
    assert_eq!(rig.platform.calls(), calls);
}

#[tokio::test]
async fn who_fails_again_and_again_is_told_to_slow_down_and_a_good_secret_still_gets_through() {
    let rig = rig().await;
    let made = rig.consumer("shop").await;
    for _ in 0..10 {
        assert_eq!(ask(&rig, "/cgi-bin/token", "wx1", "planted").await.1["errcode"], 40125);
    }
    assert_eq!(ask(&rig, "/cgi-bin/token", "wx1", "planted").await.1["errcode"], 45011);
    token(&ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await.1);
    rig.clock.advance_s(60);
    assert_eq!(ask(&rig, "/cgi-bin/token", "wx1", "planted").await.1["errcode"], 40125);
}

#[tokio::test]
async fn who_asks_again_for_a_dead_token_gets_another_and_the_platform_is_asked_once() {
    #[rustfmt::skip]
    let cases = [
        ("/cgi-bin/stable_token",    "wx2",   TokenSource::WeChatStable, 2),
        ("/cgi-bin/token",           "wx2",   TokenSource::WeChatToken,  3),
        ("/v1.0/oauth2/accessToken", "ding2", TokenSource::DingTalk,     2),
    ];
    for (path, app, source, times) in cases {
        let rig = Rig::new().await;
        rig.add(app, source).await;
        let made = rig.consumer("shop").await;
        rig.clock.advance_s(60);
        let first = token(&ask(&rig, path, app, &made.drop_in_secret).await.1);
        rig.platform.revoke_all();
        let calls = rig.platform.calls();
        let mut latest = first.clone();
        for _ in 1..times {
            assert_eq!(latest, first, "{path}: not before it is sure");
            latest = token(&ask(&rig, path, app, &made.drop_in_secret).await.1);
        }
        assert_ne!(latest, first, "{path}");
        for _ in 0..5 {
            assert_eq!(
                token(&ask(&rig, path, app, &made.drop_in_secret).await.1),
                latest,
                "{path}: good now"
            );
        }
        assert_eq!(rig.platform.calls(), calls + 1, "{path}: the new one is too young to be asked about");
    }
}

#[tokio::test]
async fn who_may_not_report_has_the_platform_asked_by_no_repeat() {
    for (path, app) in [("/cgi-bin/stable_token", "wx1"), ("/v1.0/oauth2/accessToken", "ding1")] {
        let rig = rig().await;
        let made = rig.consumer_with(NewConsumer { verbs: vec![Verb::Read], ..consumer("shop") }).await;
        let first = token(&ask(&rig, path, app, &made.drop_in_secret).await.1);
        rig.platform.revoke_all();
        let calls = rig.platform.calls();
        for seconds in [0, 0, 60, 0] {
            rig.clock.advance_s(seconds);
            assert_eq!(token(&ask(&rig, path, app, &made.drop_in_secret).await.1), first, "{path}");
        }
        assert_eq!(rig.platform.calls(), calls, "{path}");
    }
}

#[tokio::test]
async fn a_service_that_calls_once_a_minute_is_rid_of_each_dead_token_too() {
    #[rustfmt::skip]
    let cases = [
        ("/cgi-bin/stable_token",    "wx1"),
        ("/cgi-bin/token",           "wx1"),
        ("/v1.0/oauth2/accessToken", "ding1"),
        ("/gettoken",                "ding1"),
    ];
    for (path, app) in cases {
        let rig = rig().await;
        let made = rig.consumer("shop").await;
        let mut held = token(&ask(&rig, path, app, &made.drop_in_secret).await.1);
        for _ in 0..3 {
            rig.platform.revoke_all();
            rig.clock.advance_s(60);
            let calls = rig.platform.calls();
            let healed = token(&ask(&rig, path, app, &made.drop_in_secret).await.1);
            assert_ne!(healed, held, "{path}: its library asks once after each dead token");
            assert_eq!(rig.platform.calls(), calls + 1, "{path}");
            held = healed;
        }
    }
}

#[tokio::test]
async fn what_may_be_a_report_has_the_platform_asked_as_often_in_an_hour_as_reports_may() {
    let rig = rig().await;
    let made = rig.consumer("shop").await;
    ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await;
    let calls = rig.platform.calls();
    for _ in 0..30 {
        rig.platform.revoke_all();
        rig.clock.advance_s(60);
        ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await;
    }
    assert_eq!(rig.platform.calls(), calls + 12);
}

#[tokio::test]
async fn a_script_that_keeps_nothing_has_the_platform_asked_every_five_minutes_and_is_left_its_reports() {
    let rig = rig().await;
    let made = rig.consumer("shop").await;
    let ask_token = async || token(&ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await.1);
    let (first, calls) = (ask_token().await, rig.platform.calls());
    for _ in 0..57 {
        rig.clock.advance_s(60);
        assert_eq!(ask_token().await, first);
    }
    assert_eq!(rig.platform.calls(), calls + 12, "after a minute, and every five from then on");
    rig.platform.revoke_all();
    rig.clock.advance_s(60);
    assert_eq!(ask_token().await, first, "confirmed a moment ago");
    assert_ne!(ask_token().await, first, "asked again at once, it is a report");
}

#[tokio::test]
async fn a_library_that_asks_each_minute_within_its_margin_is_not_suspected() {
    let rig = rig().await;
    let made = rig.consumer_with(NewConsumer { margin_floor_s: 1_500, ..consumer("shop") }).await;
    ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await;
    rig.clock.advance_s(i64::try_from(LIFE_S).unwrap() - 1_560);
    let calls = rig.platform.calls();
    for _ in 0..10 {
        ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await;
        rig.clock.advance_s(60);
    }
    assert_eq!(rig.platform.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_later_waits_a_second_at_most_for_a_frozen_platform() {
    let rig = rig().await;
    let made = rig.consumer("shop").await;
    let first = token(&ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await.1);
    rig.platform.is_frozen.store(true, Ordering::SeqCst);
    rig.clock.advance_s(300);
    let asked = ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret);
    let answer = tokio::time::timeout(Duration::from_millis(1_500), asked).await;
    assert_eq!(token(&answer.unwrap().1), first);
}

#[tokio::test]
async fn our_own_trouble_is_the_dialects_temporary_code_and_a_valid_token_is_served_through_it() {
    let rig = rig().await;
    let made = rig.consumer("shop").await;
    rig.platform.is_down.store(true, Ordering::SeqCst);
    token(&ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await.1);
    rig.clock.advance_s(i64::try_from(LIFE_S).unwrap());
    #[rustfmt::skip]
    let cases = [
        ("/cgi-bin/token",           "wx1",   200, "errcode", json!(-1)),
        ("/v1.0/oauth2/accessToken", "ding1", 500, "code",    json!("unknownError")),
        ("/gettoken",                "ding1", 200, "errcode", json!(-1)),
    ];
    for (path, app, status, field, code) in cases {
        let (told, answer) = ask(&rig, path, app, &made.drop_in_secret).await;
        assert_eq!((told, &answer[field]), (status, &code), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_library_with_a_margin_is_told_of_more_than_its_margin() {
    let rig = rig().await;
    let made = rig.consumer_with(NewConsumer { margin_floor_s: 1_500, ..consumer("shop") }).await;
    let asked = json!({ "name": "widest", "all_credentials": true, "margin_floor_s": 7_140 });
    let (status, widest) = rig.admin("POST", "/consumers", Some(asked)).await;
    assert_eq!(status, 201, "{widest}");
    let plain = rig.consumer("plain").await;
    rig.clock.advance_s(6_800);
    let left =
        ask(&rig, "/cgi-bin/token", "wx1", &plain.drop_in_secret).await.1["expires_in"].as_u64().unwrap();
    let told =
        ask(&rig, "/cgi-bin/token", "wx1", &made.drop_in_secret).await.1["expires_in"].as_u64().unwrap();
    assert!((300..400).contains(&left), "{left}");
    assert_eq!(told, 1_500 + 60);
    let secret = widest["drop_in_secret"].as_str().unwrap();
    let told = ask(&rig, "/cgi-bin/token", "wx1", secret).await.1["expires_in"].as_u64().unwrap();
    assert_eq!(told, 7_200, "the most that WeChat's page lets a token live");
}
