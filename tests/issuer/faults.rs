//! The sandbox's fault rules, as a caller meets them.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use mintkeep_issuer::faults::{FaultAction, FaultRule};
use mintkeep_issuer::routes::outcome_of_code;
use mintkeep_protocol::app::Behaviour;
use mintkeep_protocol::dialect::alipay::Gateway;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::outcome::Refusal;
use mintkeep_web::arrival::Arrival;

use super::rig::{ACTIVE, HK, MINI, Rig, apply_path, wechat_target};

fn rule(dialect: Dialect, action: FaultAction) -> FaultRule {
    FaultRule {
        dialect,
        endpoint: None,
        action,
        delay_ms: None,
        code: None,
        probability: 1.0,
        count: Some(1),
    }
}

#[tokio::test]
async fn a_connection_dropped_before_leaves_all_as_it_was() {
    let rig = Rig::new().await;
    let code = rig.code(MINI, ACTIVE).await;
    let _before = rig.store.asked();
    rig.faults.add(rule(Dialect::MiniProgram, FaultAction::DropBefore)).unwrap();
    assert!(rig.exchange(MINI, &code).await.is_dropped);
    assert_eq!(rig.store.asked(), (0, 0));
    assert_eq!(rig.exchange(MINI, &code).await.code(), "SUCCESS", "the rule is used up, the code is not");
}

#[tokio::test]
async fn a_connection_dropped_after_has_done_its_work() {
    let rig = Rig::new().await;
    let code = rig.code(MINI, ACTIVE).await;
    rig.faults.add(rule(Dialect::MiniProgram, FaultAction::DropAfter)).unwrap();
    assert!(rig.exchange(MINI, &code).await.is_dropped);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.exchange(MINI, &code).await.code(), "USED_CODE", "another request, the code is spent");
}

#[tokio::test]
async fn a_code_to_answer_is_answered_in_its_dialect_and_nothing_happens() {
    let rig = Rig::new().await;
    let cases = [
        (Dialect::WeChat, "-1", "/errcode", "-1"),
        (Dialect::WeChat, "45009", "/errcode", "45009"),
        (Dialect::DingTalk, "unknownError", "/code", "unknownError"),
        (Dialect::MiniProgram, "USED_CODE", "/result/resultCode", "USED_CODE"),
        (Dialect::MiniProgram, "UNKNOWN_EXCEPTION", "/result/resultStatus", "U"),
    ];
    for (dialect, code, field, told) in cases {
        rig.faults.add(FaultRule { code: Some(code.into()), ..rule(dialect, FaultAction::Answer) }).unwrap();
        let answer = match dialect {
            Dialect::WeChat => rig.get(&wechat_target()).await,
            Dialect::DingTalk => rig.dingtalk_token().await,
            Dialect::MiniProgram | Dialect::AlipayHk => rig.exchange(MINI, "abc").await,
        };
        assert_eq!(answer.text(field), told, "{dialect} {code}");
        assert_eq!(rig.store.asked(), (0, 0), "{dialect} {code}");
    }
}

#[tokio::test]
async fn a_refused_address_is_the_callers_also_where_a_rule_says_so() {
    let rig = Rig::new().await;
    for (dialect, code, field) in [
        (Dialect::WeChat, "40164", "/errmsg"),
        (Dialect::DingTalk, "Forbidden.AccessDenied.IpNotInWhiteList", "/message"),
    ] {
        rig.faults.add(FaultRule { code: Some(code.into()), ..rule(dialect, FaultAction::Answer) }).unwrap();
        let path = if dialect == Dialect::WeChat { "/cgi-bin/token" } else { "/v1.0/oauth2/accessToken" };
        let mut request = Request::post(path).body(Body::empty()).unwrap();
        let arrival = Arrival { peer: "203.0.113.9".parse().unwrap(), ..Arrival::UNKNOWN };
        request.extensions_mut().insert(arrival);
        let told = rig.send(request).await.text(field);
        assert!(told.contains("203.0.113.9"), "{dialect}: {told}");
    }
}

/// A code that the table of an endpoint has, and where in the answer it stands.
struct Told {
    dialect: Dialect,
    request: (Method, &'static str),
    field: &'static str,
    code: String,
}

/// The codes of every table, at each endpoint that has them.
fn tables() -> Vec<Told> {
    let mut rows = Vec::new();
    let mut tell = |dialect, request, field, code: String| {
        rows.push(Told { dialect, request, field, code });
    };
    for refusal in Refusal::ALL {
        for place in wechat::Endpoint::ALL {
            for profile in [Behaviour::Page, Behaviour::Observed] {
                let (code, _) = wechat::code(refusal, Some(place), profile);
                tell(Dialect::WeChat, (place.method(), place.path()), "/errcode", code.to_string());
            }
        }
        for path in ["/v1.0/oauth2/accessToken", "/v1.0/oauth2/a/token", "/v1.0/oauth2/userAccessToken"] {
            let code = dingtalk::fault(refusal, dingtalk::Endpoint::at(path)).code;
            tell(Dialect::DingTalk, (Method::POST, path), "/code", code.to_owned());
        }
        for path in ["/gettoken", "/get_jsapi_ticket"] {
            let place = dingtalk::Endpoint::at(path).unwrap();
            let (code, _) = dingtalk::legacy_code(refusal, place);
            tell(Dialect::DingTalk, (Method::GET, path), "/errcode", code.to_string());
        }
        for (gateway, id) in [(Gateway::MiniProgram, MINI), (Gateway::AlipayHk, HK)] {
            let request = (Method::POST, apply_path(id));
            tell(
                gateway.dialect(),
                request,
                "/result/resultCode",
                gateway.result_of_refusal(refusal).code.to_owned(),
            );
        }
    }
    rows
}

#[tokio::test]
async fn every_code_of_every_table_is_answered_where_a_rule_says_so() {
    let rig = Rig::new().await;
    for Told { dialect, request: (method, path), field, code } in tables() {
        assert!(outcome_of_code(dialect, &code).is_some(), "{dialect} {code} is not taken");
        let (action, endpoint) = (FaultAction::Answer, Some(path.to_owned()));
        rig.faults.add(FaultRule { code: Some(code.clone()), endpoint, ..rule(dialect, action) }).unwrap();
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        assert_eq!(rig.send(request).await.text(field), code, "{dialect} at {path}");
    }
    assert_eq!(rig.store.asked(), (0, 0));
}

#[tokio::test]
async fn a_delayed_answer_is_the_right_one_but_late() {
    let rig = Rig::new().await;
    let delay = FaultRule { delay_ms: Some(20), count: None, ..rule(Dialect::WeChat, FaultAction::Delay) };
    rig.faults.add(delay).unwrap();
    let late = async || {
        let begun = tokio::time::Instant::now();
        let answer = rig.get(&wechat_target()).await;
        assert!(begun.elapsed() >= Duration::from_millis(20));
        answer
    };
    assert_eq!(late().await.text("/expires_in"), "7200");
    let refusal = FaultRule { code: Some("-1".to_owned()), ..rule(Dialect::WeChat, FaultAction::Answer) };
    rig.faults.add(refusal).unwrap();
    assert_eq!(late().await.text("/errcode"), "-1");
}

#[tokio::test]
async fn what_strikes_beside_a_delay_comes_late_too() {
    let rig = Rig::new().await;
    let others = [
        FaultRule { code: Some("45009".into()), ..rule(Dialect::WeChat, FaultAction::Answer) },
        rule(Dialect::WeChat, FaultAction::DropBefore),
    ];
    for other in others {
        let is_dropped = other.action == FaultAction::DropBefore;
        rig.faults
            .add(FaultRule { delay_ms: Some(20), ..rule(Dialect::WeChat, FaultAction::Delay) })
            .unwrap();
        rig.faults.add(other).unwrap();
        let begun = tokio::time::Instant::now();
        let answer = rig.get(&wechat_target()).await;
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert_eq!(answer.is_dropped, is_dropped);
    }
}
