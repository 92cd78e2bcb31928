//! DingTalk through the routes: each endpoint's success, its refusals, and the life of its tokens.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use mintkeep_protocol::app::{App, AppStatus};
use serde_json::json;

use super::rig::{ACTIVE, Answer, DINGTALK, Rig, SECRET, WECHAT};

const PATH: &str = "/v1.0/oauth2/accessToken";

async fn ticket(rig: &Rig, token: Option<&str>, body: &str) -> Answer {
    let mut request = Request::post("/v1.0/oauth2/jsapiTickets");
    if let Some(token) = token {
        request = request.header("x-acs-dingtalk-access-token", token);
    }
    rig.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

/// How an app is changed first.
type Change<'a> = &'a dyn Fn(&mut App);

#[tokio::test]
async fn a_token_is_answered_as_the_page_says_and_its_repeats_extend_it() {
    let rig = Rig::new().await;
    let first = rig.dingtalk_token().await;
    let told = (first.status, first.header("content-type"));
    assert_eq!(told, (200, "application/json;charset=utf-8"));
    let token = first.text("/accessToken");
    assert_eq!(first.body, format!(r#"{{"accessToken":"{token}","expireIn":7200}}"#));
    rig.pass(Duration::from_millis(7_199_999));
    let again = rig.dingtalk_token().await;
    assert_eq!(again.body, first.body, "the same, for the full 7,200 s again");
    rig.pass(Duration::from_millis(7_199_999));
    assert!(rig.is_active(&token).await);
    rig.pass(Duration::from_millis(1));
    assert!(!rig.is_active(&token).await);
    let next = rig.dingtalk_token().await.text("/accessToken");
    assert!(next != token && rig.is_active(&next).await && !rig.is_active(&token).await);
}

#[tokio::test]
async fn what_a_replica_promised_is_kept_by_one_that_promised_less_in_the_same_second() {
    let rig = Rig::shared().await;
    let other = rig.beside().await;
    rig.pass(Duration::from_millis(100));
    let token = rig.dingtalk_token().await.text("/accessToken");
    rig.pass(Duration::from_millis(800));
    let again = other.dingtalk_token().await;
    assert_eq!((again.text("/accessToken"), again.text("/expireIn")), (token.clone(), "7200".into()));
    rig.pass(Duration::from_millis(7_199_999));
    assert!(rig.is_active(&token).await && other.is_active(&token).await);
    assert_eq!(rig.dingtalk_token().await.text("/accessToken"), token, "it is not replaced either");
}

#[tokio::test]
async fn all_three_endpoints_hand_out_one_token() {
    let rig = Rig::new().await;
    let token = rig.dingtalk_token().await.text("/accessToken");
    for names in ["appkey={id}&appsecret={secret}", "corpid={id}&corpsecret={secret}"] {
        let query = names.replace("{id}", DINGTALK).replace("{secret}", SECRET);
        let answer = rig.get(&format!("/gettoken?{query}")).await;
        let body = json!({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200});
        assert_eq!((answer.status, answer.json()), (200, body), "{names}");
    }
    let body = json!({"client_id": DINGTALK, "client_secret": SECRET, "grant_type": "client_credentials"});
    let corp = rig.post("/v1.0/oauth2/dingcorp1/token", body.to_string()).await;
    assert_eq!(corp.json(), json!({"access_token": token, "expires_in": 7200}));
}

#[tokio::test]
async fn each_refusal_of_the_token_endpoint_has_its_status_and_code() {
    const BAD: &str = "invalidClientIdOrSecret";
    let pair = |id: &str, secret: &str| json!({"appKey": id, "appSecret": secret}).to_string();
    let as_is = |_: &mut App| {};
    let elsewhere = |app: &mut App| app.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    let frozen = |app: &mut App| app.status = AppStatus::SecretFrozen;
    let disabled = |app: &mut App| app.status = AppStatus::Disabled;
    let limited = |app: &mut App| app.settings.minute_limit = Some(1);
    #[rustfmt::skip]
    let cases: [(&str, Change<'_>, String, u16, &str); 13] = [
        ("unknown app",            &as_is,     pair("dingnone", SECRET),               400, BAD),
        ("another dialect's",      &as_is,     pair(WECHAT, SECRET),                   400, BAD),
        ("wrong secret",           &as_is,     pair(DINGTALK, "wrong"),                400, BAD),
        ("secret frozen",          &frozen,    pair(DINGTALK, SECRET),                 400, BAD),
        ("no body",                &as_is,     String::new(),                          400, "Missingbody"),
        ("no key",                 &as_is,     json!({"appSecret": SECRET}).to_string(), 400, "MissingappKey"),
        ("an empty secret",        &as_is,     pair(DINGTALK, ""),                     400, "MissingappSecret"),
        ("not JSON",               &as_is,     "appKey=1".into(),                      400, "InvalidParameter.Format"),
        ("a wrong type",           &as_is,     json!({"appKey": 1, "appSecret": SECRET}).to_string(), 400, "InvalidParameter.Format"),
        ("a key twice",            &as_is,     format!(r#"{{"appKey":"{DINGTALK}","appKey":"{DINGTALK}"}}"#), 400, "InvalidParameter.Format"),
        ("not on the list",        &elsewhere, pair(DINGTALK, SECRET),                 403, "Forbidden.AccessDenied.IpNotInWhiteList"),
        ("disabled",               &disabled,  pair(DINGTALK, SECRET),                 403, "Forbidden.AccessDenied.AppDisabled"),
        ("too often",              &limited,   pair(DINGTALK, SECRET),                 403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
    ];
    for (case, change, body, status, code) in cases {
        let rig = Rig::new().await;
        rig.change_app(DINGTALK, change).await;
        if case == "too often" {
            assert_eq!(rig.dingtalk_token().await.status, 200);
        }
        let answer = rig.post(PATH, body).await;
        assert_eq!((answer.status, answer.text("/code").as_str()), (status, code), "{case}");
        assert_eq!(answer.text("/requestid").len(), 36, "{case}");
    }
    let rig = Rig::new().await;
    assert_eq!(rig.get(PATH).await.text("/code"), "InvalidAction.NotFound", "GET for POST");
    assert_eq!(rig.get("/gettoken?appkey=a&appsecret=b").await.text("/errcode"), "40096");
    assert_eq!(rig.get("/gettoken?appkey=a").await.text("/errcode"), "40035");
}

#[tokio::test]
async fn a_users_token_is_bought_with_a_code_once_and_then_with_refresh_tokens() {
    let rig = Rig::new().await;
    let ask = async |fields: serde_json::Value| {
        let mut body = json!({"clientId": DINGTALK, "clientSecret": SECRET});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        rig.post("/v1.0/oauth2/userAccessToken", body.to_string()).await
    };
    let by_code = |code: &str| json!({"grantType": "authorization_code", "code": code});
    let by_refresh = |token: &str| json!({"grantType": "refresh_token", "refreshToken": token});

    let code = rig.code(DINGTALK, ACTIVE).await;
    rig.let_time_pass();
    let first = ask(by_code(&code)).await;
    assert_eq!((first.status, first.text("/expireIn")), (200, "7200".into()), "its full life");
    assert!(rig.is_active(&first.text("/accessToken")).await);
    let used = ask(by_code(&code)).await;
    assert_eq!((used.status, used.text("/code").as_str()), (400, "invalidParameter.authCode.notFound"));

    let second = ask(by_refresh(&first.text("/refreshToken"))).await;
    assert!(rig.is_active(&second.text("/accessToken")).await);
    assert_eq!(ask(by_refresh(&first.text("/refreshToken"))).await.text("/code"), "invalidRefreshToken");
    assert_eq!(ask(by_code("garbage")).await.text("/code"), "invalidParameter.authCode.notFound");

    let code = rig.code(DINGTALK, ACTIVE).await;
    rig.pass(Duration::from_mins(10));
    assert_eq!(ask(by_code(&code)).await.text("/code"), "invalidParameter.authCode.notFound");
    let code = rig.code(DINGTALK, ACTIVE).await;
    rig.put_customer(ACTIVE, mintkeep_protocol::record::CustomerStatus::Frozen).await;
    assert_eq!(ask(by_code(&code)).await.text("/code"), "Forbidden.AccessDenied.UserFrozen");
}

#[tokio::test]
async fn a_ticket_is_drawn_with_a_token_in_its_header_and_nowhere_else() {
    let rig = Rig::new().await;
    let token = rig.dingtalk_token().await.text("/accessToken");
    rig.pass(Duration::from_secs(200));
    let drawn = ticket(&rig, Some(&token), "").await;
    assert_eq!((drawn.status, drawn.text("/expireIn")), (200, "7200".into()));
    assert_ne!(drawn.text("/jsapiTicket"), token);
    assert!(!rig.is_active(&drawn.text("/jsapiTicket")).await, "a ticket is no access token");

    let wechat = rig.wechat_token().await;
    for (case, token) in
        [("garbage", "abc"), ("another dialect's", &wechat), ("a ticket", &drawn.text("/jsapiTicket"))]
    {
        let answer = ticket(&rig, Some(token), "").await;
        assert_eq!((answer.status, answer.text("/code").as_str()), (400, "InvalidAuthentication"), "{case}");
    }
    assert_eq!(ticket(&rig, None, "").await.text("/code"), "AuthenticationFailed.MissingParameter");
    rig.pass(Duration::from_secs(7_000));
    assert_eq!(ticket(&rig, Some(&token), "").await.text("/code"), "InvalidAuthentication", "expired");
}
