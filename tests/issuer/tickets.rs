//! Tickets for a page's JSAPI and cards: drawn with an app's own token, and good for two hours from then.

use std::time::Duration;

use mintkeep_issuer::faults::{FaultAction, FaultRule};
use mintkeep_issuer::issuer::TokenState;
use mintkeep_protocol::ident::Dialect;
use serde_json::json;

use super::rig::{ACTIVE, Answer, DINGTALK, MINI, Rig, WECHAT};

async fn of_wechat(rig: &Rig, token: &str, kind: &str) -> Answer {
    rig.get(&format!("/cgi-bin/ticket/getticket?access_token={token}&type={kind}")).await
}

async fn of_dingtalk(rig: &Rig, token: &str) -> Answer {
    rig.get(&format!("/get_jsapi_ticket?access_token={token}")).await
}

async fn state(rig: &Rig, ticket: &str) -> TokenState {
    rig.issuer.inspect(ticket).await.unwrap_or_else(|failure| panic!("{failure}")).state
}

/// The rig's time begins as a ticket's turn does.
#[tokio::test]
async fn wechats_tickets_are_one_of_each_type_and_good_for_two_hours_whatever_becomes_of_the_token() {
    let rig = Rig::new().await;
    for is_stable in [false, true] {
        let stable = async || rig.stable_token(false).await.text("/access_token");
        let token = if is_stable { stable().await } else { rig.wechat_token().await };
        rig.pass(Duration::from_secs(100));
        let drawn = of_wechat(&rig, &token, "jsapi").await;
        let ticket = drawn.text("/ticket");
        let body = json!({"errcode": 0, "errmsg": "ok", "ticket": ticket, "expires_in": 7200});
        assert_eq!((drawn.status, drawn.json()), (200, body.clone()));
        let card = of_wechat(&rig, &token, "wx_card").await.text("/ticket");
        assert!(card != ticket && ticket != token && card != token);
        assert!(!rig.is_active(&ticket).await && !rig.is_active(&card).await, "a ticket is no access token");

        rig.pass(Duration::from_millis(7_099_999));
        assert_eq!(of_wechat(&rig, &token, "jsapi").await.json(), body, "the token's last millisecond");
        rig.pass(Duration::from_millis(1));
        assert_eq!(of_wechat(&rig, &token, "jsapi").await.text("/errcode"), "42001");
        for ticket in [&ticket, &card] {
            assert_eq!(state(&rig, ticket).await, TokenState::Good, "it was drawn a millisecond ago");
        }
        rig.pass(Duration::from_millis(7_199_999));
        assert_eq!(state(&rig, &ticket).await, TokenState::Good);
        rig.pass(Duration::from_millis(1));
        assert_eq!(state(&rig, &ticket).await, TokenState::Expired);
    }
}

#[tokio::test]
async fn a_ticket_outlives_the_token_that_drew_it_but_not_the_apps_mass_revocation() {
    let rig = Rig::new().await;
    let first = rig.wechat_token().await;
    let ticket = of_wechat(&rig, &first, "jsapi").await.text("/ticket");
    let (_second, third) = (rig.wechat_token().await, rig.wechat_token().await);
    assert_eq!(of_wechat(&rig, &first, "jsapi").await.text("/errcode"), "40001");
    assert_eq!(of_wechat(&rig, &third, "jsapi").await.text("/ticket"), ticket, "whichever token draws it");
    assert_eq!(state(&rig, &ticket).await, TokenState::Good);
    rig.change_app(WECHAT, |app| app.token_epoch += 1).await;
    assert_eq!(state(&rig, &ticket).await, TokenState::Revoked);
    let token = rig.wechat_token().await;
    assert_ne!(of_wechat(&rig, &token, "jsapi").await.text("/ticket"), ticket);
}

#[tokio::test]
async fn dingtalks_older_endpoint_draws_the_ticket_of_the_newer_one() {
    let rig = Rig::new().await;
    let token = rig.dingtalk_token().await.text("/accessToken");
    rig.pass(Duration::from_secs(200));
    let drawn = of_dingtalk(&rig, &token).await;
    let ticket = drawn.text("/ticket");
    let body = json!({"errcode": 0, "errmsg": "ok", "ticket": ticket, "expires_in": 7200});
    assert_eq!((drawn.status, drawn.json()), (200, body));
    let newer = http::Request::post("/v1.0/oauth2/jsapiTickets")
        .header("x-acs-dingtalk-access-token", &token)
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(rig.send(newer).await.json(), json!({"jsapiTicket": ticket, "expireIn": 7200}));
    assert_eq!(rig.dingtalk_token().await.text("/expireIn"), "7200", "the token is extended");
    rig.pass(Duration::from_secs(7_199));
    let next = of_dingtalk(&rig, &token).await;
    assert_eq!(next.text("/expires_in"), "7200");
    assert_ne!(next.text("/ticket"), ticket, "the next one's turn has come");
    assert_eq!(state(&rig, &ticket).await, TokenState::Good, "the one before is good for a while");
    rig.pass(Duration::from_secs(1));
    assert_eq!(of_dingtalk(&rig, &token).await.text("/errcode"), "42001");
}

/// One row per way to hold no good token of the dialect, or to ask wrongly with one.
#[tokio::test]
async fn a_ticket_is_refused_in_the_words_of_its_endpoint() {
    let rig = Rig::new().await;
    let (wechat, dingtalk) = (rig.wechat_token().await, rig.dingtalk_token().await.text("/accessToken"));
    let ticket = of_wechat(&rig, &wechat, "jsapi").await.text("/ticket");
    let granted = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await.text("/accessToken");
    let getticket = "/cgi-bin/ticket/getticket";
    #[rustfmt::skip]
    let cases = [
        ("garbage",                format!("{getticket}?access_token=abc&type=jsapi"),                "40001"),
        ("another dialect's",      format!("{getticket}?access_token={dingtalk}&type=jsapi"),         "40001"),
        ("a grant's",              format!("{getticket}?access_token={granted}&type=jsapi"),          "40001"),
        ("a ticket",               format!("{getticket}?access_token={ticket}&type=jsapi"),           "40001"),
        ("garbage for any type",   format!("{getticket}?access_token=abc&type=x"),                    "40001"),
        ("no token",               format!("{getticket}?type=jsapi"),                                 "41001"),
        ("no type",                format!("{getticket}?access_token={wechat}"),                      "40097"),
        ("another type",           format!("{getticket}?access_token={wechat}&type=sdk"),             "40097"),
        ("a type twice",           format!("{getticket}?access_token={wechat}&type=jsapi&type=jsapi"), "40097"),
        ("garbage, oapi",          "/get_jsapi_ticket?access_token=abc".into(),                       "40014"),
        ("another dialect's, oapi", format!("/get_jsapi_ticket?access_token={wechat}"),               "40014"),
        ("no token, oapi",         "/get_jsapi_ticket?type=jsapi".into(),                             "41001"),
        ("another type, oapi",     format!("/get_jsapi_ticket?access_token={dingtalk}&type=wx_card"), "40035"),
        ("a token twice, oapi",    format!("/get_jsapi_ticket?access_token={dingtalk}&access_token={dingtalk}"), "40035"),
    ];
    for (case, target, errcode) in cases {
        let answer = rig.get(&target).await;
        assert_eq!((answer.status, answer.text("/errcode").as_str()), (200, errcode), "{case}");
    }
    for (target, errcode) in [(getticket, "43001"), ("/get_jsapi_ticket", "22")] {
        assert_eq!(rig.post(target, "").await.text("/errcode"), errcode, "POST for GET");
    }
}

#[tokio::test]
async fn tickets_count_as_calls_of_the_minute_and_fault_rules_reach_them() {
    let rig = Rig::new().await;
    let (wechat, dingtalk) = (rig.wechat_token().await, rig.dingtalk_token().await.text("/accessToken"));
    for (dialect, endpoint, code) in [
        (Dialect::WeChat, "/cgi-bin/ticket/getticket", "42001"),
        (Dialect::DingTalk, "/get_jsapi_ticket", "90018"),
    ] {
        let (action, endpoint, code) = (FaultAction::Answer, Some(endpoint.into()), Some(code.into()));
        let rule =
            FaultRule { dialect, endpoint, action, delay_ms: None, code, probability: 1.0, count: Some(1) };
        rig.faults.add(rule).unwrap();
    }
    let errcodes = async || {
        let (of_wechat, of_dingtalk) =
            (of_wechat(&rig, &wechat, "jsapi").await, of_dingtalk(&rig, &dingtalk).await);
        (of_wechat.text("/errcode"), of_dingtalk.text("/errcode"))
    };
    assert_eq!(errcodes().await, ("42001".into(), "90018".into()), "as the rules say");
    assert_eq!(errcodes().await, ("0".into(), "0".into()), "the rules are used up");
    for id in [WECHAT, DINGTALK] {
        rig.change_app(id, |app| app.settings.minute_limit = Some(1)).await;
    }
    assert_eq!(errcodes().await, ("0".into(), "0".into()));
    assert_eq!(errcodes().await, ("45011".into(), "90018".into()), "the second of the minute");
}
