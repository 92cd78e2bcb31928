//! The movable clock and the fault rules, and that production has neither.

use http::Method;
use serde_json::{Value, json};

use super::desk::{Desk, START_MS, kind};

#[tokio::test]
async fn production_has_neither_clock_nor_faults() {
    let desk = Desk::production().await;
    let advance = json!({"advance_s": 1});
    let fault = json!({"dialect": "wechat", "action": "drop_before"});
    #[rustfmt::skip]
    let cases = [
        (Method::GET,    "/admin/v1/sandbox/clock",    None),
        (Method::POST,   "/admin/v1/sandbox/clock",    Some(advance)),
        (Method::DELETE, "/admin/v1/sandbox/clock",    None),
        (Method::GET,    "/admin/v1/sandbox/faults",   None),
        (Method::POST,   "/admin/v1/sandbox/faults",   Some(fault)),
        (Method::DELETE, "/admin/v1/sandbox/faults/1", None),
    ];
    for (method, path, body) in cases {
        let (status, problem) = desk.ask(method.clone(), path, body).await;
        assert_eq!((status, kind(&problem)), (404, "only-in-the-sandbox"), "{method} {path}");
    }
    assert_eq!(desk.get("/admin/v1/audit").await.1["lines"], json!([]), "and nothing is noted");
}

#[tokio::test]
async fn the_clock_moves_ahead_by_what_is_asked_and_back_when_it_is_reset() {
    let desk = Desk::sandbox().await;
    let secret = desk.wechat_app("wx1").await;
    let token = desk.wechat_token("wx1", &secret).await["access_token"].as_str().unwrap().to_owned();
    let century_s = 36_525_u64 * 86_400;
    #[rustfmt::skip]
    let cases = [
        (json!({"advance_s": 7_199}),         200, 7_199,     "good"),
        (json!({"advance_s": 1}),             200, 7_200,     "expired"),
        (json!({"advance_s": 0}),             400, 7_200,     "expired"),
        (json!({"advance_s": -1}),            400, 7_200,     "expired"),
        (json!({"advance_s": u64::MAX}),      400, 7_200,     "expired"),
        (json!({"advance_s": century_s}),     400, 7_200,     "expired"),
        (json!({"advance_s": century_s - 7_200}), 200, century_s, "expired"),
    ];
    for (asked, status, offset_s, state) in cases {
        assert_eq!(desk.post("/admin/v1/sandbox/clock", asked.clone()).await.0, status, "{asked}");
        let (_, clock) = desk.get("/admin/v1/sandbox/clock").await;
        let now = START_MS + i64::try_from(offset_s).unwrap() * 1_000;
        assert_eq!(clock, json!({"now": now, "offset_s": offset_s}), "{asked}");
        assert_eq!(desk.state_of(&token).await, state, "{asked}");
    }
    let (_, clock) = desk.ask(Method::DELETE, "/admin/v1/sandbox/clock", None).await;
    assert_eq!(clock, json!({"now": START_MS, "offset_s": 0}));
}

#[tokio::test]
async fn a_fault_rule_must_be_able_to_strike() {
    let desk = Desk::sandbox().await;
    let rule = |extra: Value| {
        let mut rule = json!({"dialect": "wechat", "action": "answer", "code": "-1"});
        rule.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        rule
    };
    #[rustfmt::skip]
    let cases = [
        (json!({}),                                     201),
        (json!({"endpoint": "/cgi-bin/token"}),         201),
        (json!({"endpoint": "cgi-bin/token"}),          400),
        (json!({"endpoint": "//cgi-bin/token"}),        400),
        (json!({"endpoint": "/cgi-bin/tokens"}),        400),
        (json!({"endpoint": "/v1.0/oauth2/dingcorp/token"}), 400),
        (json!({"dialect": "dingtalk", "endpoint": "/v1.0/oauth2/dingcorp/token"}), 201),
        (json!({"dialect": "miniprogram", "code": "USED_CODE", "endpoint": "/v1/authorizations/applyToken"}), 201),
        (json!({"dialect": "alipayhk", "code": "UNKNOWN_EXCEPTION", "endpoint": "/v1/authorizations/applyToken"}), 400),
        (json!({"code": "nonsense"}),                   400),
        (json!({"code": 45009}),                        201),
        (json!({"code": 45009.5}),                      400),
        (json!({"code": 7}),                            400),
        (json!({"code": "USED_CODE"}),                  400),
        (json!({"dialect": "miniprogram", "code": "USED_CODE"}), 201),
        (json!({"code": null}),                         400),
        (json!({"action": "delay"}),                    400),
        (json!({"action": "delay", "delay_ms": 60_000}), 201),
        (json!({"action": "delay", "delay_ms": 60_001}), 400),
        (json!({"action": "explode"}),                  400),
        (json!({"probability": 0.0}),                   400),
        (json!({"probability": 1.1}),                   400),
        (json!({"count": 0}),                           400),
        (json!({"planted": 1}),                         400),
    ];
    for (extra, status) in cases {
        let (got, told) = desk.post("/admin/v1/sandbox/faults", rule(extra.clone())).await;
        assert_eq!(got, status, "{extra}: {told}");
    }
}

#[tokio::test]
async fn there_are_64_fault_rules_at_once() {
    let desk = Desk::sandbox().await;
    let rule = json!({"dialect": "wechat", "action": "drop_before"});
    for number in 1..=64 {
        assert_eq!(desk.post("/admin/v1/sandbox/faults", rule.clone()).await.0, 201, "{number}");
    }
    let (status, problem) = desk.post("/admin/v1/sandbox/faults", rule.clone()).await;
    assert_eq!((status, kind(&problem)), (409, "too-many"));
    assert_eq!(desk.ask(Method::DELETE, "/admin/v1/sandbox/faults/7", None).await.0, 204);
    assert_eq!(desk.post("/admin/v1/sandbox/faults", rule).await.0, 201);
}

#[tokio::test]
async fn a_fault_strikes_until_it_is_used_up_or_cleared() {
    let desk = Desk::sandbox().await;
    let secret = desk.wechat_app("wx1").await;
    let rule = json!({"dialect": "wechat", "action": "answer", "code": "45009", "count": 2});
    let (_, added) = desk.post("/admin/v1/sandbox/faults", rule.clone()).await;
    for (call, code) in [(1, 45009), (2, 45009), (3, 0)] {
        let answer = desk.wechat_token("wx1", &secret).await;
        assert_eq!(answer["errcode"].as_i64().unwrap_or(0), code, "call {call}: {answer}");
    }
    let gone = format!("/admin/v1/sandbox/faults/{}", added["id"]);
    assert_eq!(kind(&desk.ask(Method::DELETE, &gone, None).await.1), "fault-unknown");

    let (_, added) = desk.post("/admin/v1/sandbox/faults", rule).await;
    let (_, listed) = desk.get("/admin/v1/sandbox/faults").await;
    assert_eq!((&listed["faults"][0]["id"], &listed["faults"][0]["count"]), (&added["id"], &json!(2)));
    let there = format!("/admin/v1/sandbox/faults/{}", added["id"]);
    assert_eq!(desk.ask(Method::DELETE, &there, None).await.0, 204);
    assert_eq!(desk.wechat_token("wx1", &secret).await["errcode"], Value::Null);
}
