//! WeChat through the routes: each endpoint's success, its refusals, and the life of its tokens.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use mintkeep_protocol::app::{App, AppStatus};
use mintkeep_protocol::ident::AppId;
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::record::PoolKey;
use mintkeep_protocol::token::TokenKind;
use serde_json::json;

use super::rig::{ACTIVE, DINGTALK, MINI, Rig, SECRET, WECHAT, wechat_target};

const JUST_UNDER_5_MINUTES: Duration = Duration::from_millis(299_999);
const MILLISECOND: Duration = Duration::from_millis(1);

/// `errcode` of a consuming endpoint's answer; 0 when it has none.
async fn consumed(rig: &Rig, token: &str) -> i64 {
    let answer = rig.get(&format!("/cgi-bin/get_api_domain_ip?access_token={token}")).await.json();
    answer["errcode"].as_i64().unwrap_or(0)
}

/// How an app is changed first.
type Change<'a> = &'a dyn Fn(&mut App);

#[tokio::test]
async fn a_token_is_answered_as_the_page_says() {
    let rig = Rig::new().await;
    let answer = rig.get(&wechat_target()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json; encoding=utf-8"));
    let token = answer.text("/access_token");
    assert_eq!(answer.body, format!(r#"{{"access_token":"{token}","expires_in":7200}}"#));
    assert!(token.len() > 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
    assert_eq!(consumed(&rig, &token).await, 0);
}

#[tokio::test]
async fn the_predecessor_lives_five_minutes_older_ones_die_at_once_and_the_latest_expires() {
    let rig = Rig::new().await;
    let first = rig.wechat_token().await;
    rig.pass(Duration::from_secs(1_000));
    let second = rig.wechat_token().await;
    rig.pass(JUST_UNDER_5_MINUTES);
    assert_eq!((consumed(&rig, &first).await, consumed(&rig, &second).await), (0, 0));
    rig.pass(MILLISECOND);
    assert_eq!((consumed(&rig, &first).await, consumed(&rig, &second).await), (40001, 0));

    let third = rig.wechat_token().await;
    let fourth = rig.wechat_token().await;
    assert_eq!((consumed(&rig, &second).await, consumed(&rig, &third).await), (40001, 0));
    rig.pass(Duration::from_millis(7_199_999));
    assert_eq!(consumed(&rig, &fourth).await, 0);
    rig.pass(MILLISECOND);
    assert_eq!(consumed(&rig, &fourth).await, 42001, "the latest, past its time");
}

#[tokio::test]
async fn stable_token_is_the_same_with_its_remaining_seconds_and_no_other_pool_touches_it() {
    let rig = Rig::new().await;
    let first = rig.stable_token(false).await;
    assert_eq!(first.text("/expires_in"), "7200");
    let token = first.text("/access_token");
    rig.pass(Duration::from_secs(1_000));
    let legacy = rig.wechat_token().await;
    let _newer = rig.wechat_token().await;
    let again = rig.stable_token(false).await;
    assert_eq!((again.text("/access_token"), again.text("/expires_in")), (token.clone(), "6200".into()));

    rig.pass(Duration::from_secs(5_900));
    assert_eq!(rig.stable_token(false).await.text("/expires_in"), "300", "still the same");
    rig.pass(MILLISECOND);
    let next = rig.stable_token(false).await;
    assert_ne!(next.text("/access_token"), token);
    assert_eq!(next.text("/expires_in"), "7200");
    assert_eq!((consumed(&rig, &token).await, consumed(&rig, &legacy).await), (0, 40001));
    rig.pass(JUST_UNDER_5_MINUTES);
    assert_eq!(consumed(&rig, &token).await, 40001, "its own end came first");
}

#[tokio::test]
async fn two_forced_refreshes_half_a_minute_apart_end_a_leaked_token_and_twenty_are_all() {
    let rig = Rig::new().await;
    let leaked = rig.stable_token(false).await.text("/access_token");
    let once = rig.stable_token(true).await.text("/access_token");
    assert_ne!(once, leaked);
    assert_eq!(rig.stable_token(true).await.text("/access_token"), once, "within half a minute");
    assert_eq!(consumed(&rig, &leaked).await, 0, "it still overlaps");
    rig.pass(Duration::from_secs(30));
    let twice = rig.stable_token(true).await.text("/access_token");
    assert_eq!((consumed(&rig, &leaked).await, consumed(&rig, &twice).await), (40001, 0));
    for _ in 2..20 {
        rig.pass(Duration::from_secs(30));
        assert_eq!(rig.stable_token(true).await.text("/expires_in"), "7200");
    }
    rig.pass(Duration::from_secs(30));
    assert_eq!(rig.stable_token(true).await.text("/errcode"), "45009");
    assert_eq!(rig.stable_token(false).await.status, 200);
}

#[tokio::test]
async fn each_refusal_of_the_token_endpoint_has_its_errcode() {
    fn state(status: AppStatus) -> impl Fn(&mut App) {
        move |app| app.status = status
    }
    let target = |id: &str, secret: &str| {
        format!("/cgi-bin/token?grant_type=client_credential&appid={id}&secret={secret}")
    };
    let whole = wechat_target();
    let as_is = |_: &mut App| {};
    let elsewhere = |app: &mut App| app.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    let frozen = state(AppStatus::SecretFrozen);
    let disabled = state(AppStatus::Disabled);
    #[rustfmt::skip]
    let cases: [(&str, Change<'_>, String, i64); 15] = [
        ("good",                        &as_is,     whole.clone(),                  0),
        ("a doubled slash",             &as_is,     format!("/{whole}"),            0),
        ("unknown app",                 &as_is,     target("wx9", SECRET),          40013),
        ("an app of another dialect",   &as_is,     target(DINGTALK, SECRET),       40013),
        ("abnormal characters",         &as_is,     target("wx%00", SECRET),        40013),
        ("no app",                      &as_is,     "/cgi-bin/token?grant_type=client_credential".into(), 41002),
        ("no secret",                   &as_is,     format!("/cgi-bin/token?grant_type=client_credential&appid={WECHAT}"), 41004),
        ("wrong secret",                &as_is,     target(WECHAT, "wrong"),        40001),
        ("wrong grant type",            &as_is,     whole.replace("client_credential", "password"), 40002),
        ("a parameter twice",           &as_is,     format!("{whole}&appid={WECHAT}"), 40097),
        ("no such path",                &as_is,     "/cgi-bin/nothing".into(),      40066),
        ("not on the list",             &elsewhere, whole.clone(),                  40164),
        ("secret frozen",               &frozen,    whole.clone(),                  40243),
        ("disabled",                    &disabled,  whole.clone(),                  50002),
        ("disabled, and a wrong secret", &disabled, target(WECHAT, "wrong"),        40001),
    ];
    for (case, change, target, errcode) in cases {
        let rig = Rig::new().await;
        rig.change_app(WECHAT, change).await;
        let answer = rig.get(&target).await;
        assert_eq!(answer.status, 200, "{case}");
        assert_eq!(answer.json()["errcode"].as_i64().unwrap_or(0), errcode, "{case}");
    }
}

/// As weixin-popular (Maven) and wechat-minapp (crates.io) ask for one.
#[tokio::test]
async fn a_token_is_given_to_who_posts_the_pages_fields_too() {
    let rig = Rig::new().await;
    let target = wechat_target();
    let (path, form) = target.split_once('?').unwrap();
    let json = format!(r#"{{"grant_type":"client_credential","appid":"{WECHAT}","secret":"{SECRET}"}}"#);
    for (case, target, body) in
        [("a form", path, form), ("JSON", path, json.as_str()), ("the page's URL", target.as_str(), "")]
    {
        let answer = rig.post(target, body.to_owned()).await;
        assert_eq!(consumed(&rig, &answer.text("/access_token")).await, 0, "{case}");
    }
    assert_eq!(rig.post(&target, form.to_owned()).await.text("/errcode"), "40097", "fields given twice");
}

#[tokio::test]
async fn a_failure_is_told_with_the_name_of_the_request_and_says_nothing_of_the_secret() {
    let rig = Rig::new().await;
    let target = "/cgi-bin/token?grant_type=client_credential&appid=wx9&secret=planted-wrong";
    let answer = rig.get(target).await;
    let message = answer.text("/errmsg");
    assert!(message.starts_with("invalid appid rid: "), "{message}");
    let blocks: Vec<usize> = message["invalid appid rid: ".len()..].split('-').map(str::len).collect();
    assert_eq!(blocks, [8, 8, 8]);
    assert!(!message.contains("planted"));
}

#[tokio::test]
async fn daily_and_minute_limits_are_the_apps_and_end_with_their_day_and_minute() {
    let rig = Rig::new().await;
    rig.change_app(WECHAT, |app| app.settings.daily_quota = Some(2)).await;
    let (_one, two) = (rig.wechat_token().await, rig.wechat_token().await);
    assert_eq!(rig.get(&wechat_target()).await.text("/errcode"), "45009");
    assert_eq!(consumed(&rig, &two).await, 0, "the last token stays good");
    rig.pass(Duration::from_hours(8));
    assert_eq!(rig.get(&wechat_target()).await.text("/expires_in"), "7200");

    rig.change_app(WECHAT, |app| {
        app.settings.daily_quota = None;
        app.settings.minute_limit = Some(1);
    })
    .await;
    assert_eq!(rig.get(&wechat_target()).await.text("/expires_in"), "7200");
    assert_eq!(rig.get(&wechat_target()).await.text("/errcode"), "45011");
    rig.pass(Duration::from_mins(1));
    assert_eq!(rig.get(&wechat_target()).await.text("/expires_in"), "7200");
}

/// What mints nothing writes nothing, and counts all the same.
#[tokio::test]
async fn every_call_of_stable_token_counts_for_its_day_and_is_told_by_quota_get() {
    let rig = Rig::new().await;
    let token = rig.stable_token(false).await.text("/access_token");
    let quota = async || {
        let body = json!({"cgi_path": "/cgi-bin/stable_token"}).to_string();
        rig.post(&format!("/cgi-bin/openapi/quota/get?access_token={token}"), body).await
    };
    let _minted = rig.store.asked();
    for _ in 0..10 {
        assert_eq!(rig.stable_token(false).await.text("/access_token"), token);
    }
    assert_eq!(rig.store.asked().1, 0, "no write for a call that mints nothing");
    assert_eq!(quota().await.json()["quota"], json!({"daily_limit": 500_000, "used": 11, "remain": 499_989}));
    let _newer = rig.wechat_token().await;
    assert_eq!(quota().await.text("/quota/used"), "11", "the other endpoint has a limit of its own");

    rig.change_app(WECHAT, |app| app.settings.daily_quota = Some(13)).await;
    let call = || rig.stable_token(false);
    let answers = <[_; 5]>::from(tokio::join!(call(), call(), call(), call(), call()));
    let granted = answers.iter().filter(|answer| answer.json()["access_token"] == token).count();
    let refused = answers.iter().filter(|answer| answer.json()["errcode"] == 45009).count();
    assert_eq!((granted, refused), (2, 3));
    assert_eq!(quota().await.text("/quota/used"), "13");
    assert_eq!(consumed(&rig, &token).await, 0, "the token stays good");

    let clear = format!("/cgi-bin/clear_quota?access_token={token}");
    assert_eq!(rig.post(&clear, json!({"appid": WECHAT}).to_string()).await.text("/errcode"), "0");
    assert_eq!(quota().await.text("/quota/used"), "0");
    rig.change_app(WECHAT, |app| app.settings.daily_quota = None).await;
    assert_eq!(rig.stable_token(false).await.text("/access_token"), token);
    assert_eq!(quota().await.text("/quota/used"), "1");
    rig.pass(Duration::from_hours(24));
    let next = rig.stable_token(false).await.text("/access_token");
    assert_ne!(next, token, "another day, another token");
    let body = json!({"cgi_path": "/cgi-bin/stable_token"}).to_string();
    let target = format!("/cgi-bin/openapi/quota/get?access_token={next}");
    let told = rig.post(&target, body).await;
    assert_eq!(told.text("/quota/used"), "1");
    let without_quota = json!({"cgi_path": "/cgi-bin/menu/get"}).to_string();
    assert_eq!(rig.post(&target, without_quota).await.text("/errcode"), "40097");
}

/// A restart forgets what was counted in memory alone: at most a five-hundredth of the limit.
#[tokio::test]
async fn what_a_restart_forgets_of_a_days_calls_is_a_five_hundredth_of_the_limit() {
    let rig = Rig::new().await;
    for (limit, calls, remembered) in [(499, 5, 5), (1_000, 5, 4)] {
        rig.change_app(WECHAT, |app| app.settings.daily_quota = Some(limit)).await;
        let token = rig.stable_token(false).await.text("/access_token");
        for _ in 1..calls {
            rig.stable_token(false).await;
        }
        let app = rig.store.app(&AppId::parse(WECHAT).unwrap()).await.unwrap().unwrap();
        let key = PoolKey { app: app.no, kind: TokenKind::WeChatStable };
        assert_eq!(rig.store.pool(key).await.unwrap().unwrap().used_today, remembered, "of {limit}");
        let clear = format!("/cgi-bin/clear_quota?access_token={token}");
        assert_eq!(rig.post(&clear, json!({"appid": WECHAT}).to_string()).await.text("/errcode"), "0");
        rig.change_app(WECHAT, |app| app.token_epoch += 1).await;
    }
}

#[tokio::test]
async fn stable_token_refuses_what_is_no_post_of_json() {
    let rig = Rig::new().await;
    assert_eq!(rig.get("/cgi-bin/stable_token").await.text("/errcode"), "43002");
    let twice = format!(r#"{{"appid":"{WECHAT}","appid":"{WECHAT}"}}"#);
    for (body, errcode) in [("", "44002"), ("{", "47001"), (twice.as_str(), "47001"), ("[]", "47001")] {
        let answer = rig.post("/cgi-bin/stable_token", body.to_owned()).await;
        assert_eq!(answer.text("/errcode"), errcode, "{body}");
    }
}

#[tokio::test]
async fn a_tokens_consumers_answer_its_holder_and_tell_a_bad_token_before_a_bad_body() {
    let rig = Rig::new().await;
    let token = rig.wechat_token().await;
    for path in ["get_api_domain_ip", "getcallbackip"] {
        let answer = rig.get(&format!("/cgi-bin/{path}?access_token={token}")).await;
        assert_eq!(answer.json(), json!({"ip_list": ["127.0.0.1"]}), "{path}");
        assert_eq!(rig.get(&format!("/cgi-bin/{path}")).await.text("/errcode"), "41001", "{path}");
    }
    let quota_target = |token: &str| format!("/cgi-bin/openapi/quota/get?access_token={token}");
    let clear_target = |token: &str| format!("/cgi-bin/clear_quota?access_token={token}");
    let token_path = json!({"cgi_path": "/cgi-bin/token"}).to_string();
    let quota = rig.post(&quota_target(&token), token_path.clone()).await;
    assert_eq!(quota.json()["quota"], json!({"daily_limit": 2000, "used": 1, "remain": 1999}));
    let cleared = rig.post(&clear_target(&token), json!({"appid": WECHAT}).to_string()).await;
    assert_eq!(cleared.body, r#"{"errcode":0,"errmsg":"ok"}"#);
    let quota = rig.post(&quota_target(&token), token_path).await;
    assert_eq!(quota.text("/quota/used"), "0");
    let other = rig.post(&clear_target(&token), json!({"appid": "wx9"}).to_string()).await;
    assert_eq!(other.text("/errcode"), "40097", "another app's quota");

    for target in [quota_target("bad"), clear_target("bad")] {
        assert_eq!(rig.post(&target, "{").await.text("/errcode"), "40001", "{target}");
    }
    for target in [quota_target(&token), clear_target(&token)] {
        assert_eq!(rig.post(&target, "{").await.text("/errcode"), "47001", "{target}");
    }
}

#[tokio::test]
async fn a_token_of_another_dialect_or_of_a_grant_opens_nothing_here() {
    let rig = Rig::new().await;
    let dingtalk = rig.dingtalk_token().await.text("/accessToken");
    let code = rig.code(MINI, ACTIVE).await;
    let granted = rig.exchange(MINI, &code).await.text("/accessToken");
    for (case, token) in [("DingTalk's", dingtalk), ("a grant's", granted), ("a code", code)] {
        assert!(consumed(&rig, &token).await == 40001, "{case}");
    }
}

#[tokio::test]
async fn revoking_all_of_an_apps_tokens_ends_both_pools_at_once() {
    let rig = Rig::new().await;
    let (legacy, stable) = (rig.wechat_token().await, rig.stable_token(false).await.text("/access_token"));
    rig.change_app(WECHAT, |app| app.token_epoch += 1).await;
    assert_eq!((consumed(&rig, &legacy).await, consumed(&rig, &stable).await), (40001, 40001));
    let next = rig.stable_token(false).await.text("/access_token");
    assert_ne!(next, stable);
    assert_eq!((consumed(&rig, &next).await, consumed(&rig, &stable).await), (0, 40001));
}

#[tokio::test]
async fn a_head_request_mints_nothing() {
    let rig = Rig::new().await;
    let request = Request::head(wechat_target()).body(Body::empty()).unwrap();
    assert_eq!(rig.send(request).await.status, 200);
    assert_eq!(rig.store.asked().1, 0);
}
