//! A store that cannot answer is never a refusal; garbage never asks the store.

use std::time::Duration;

use serde_json::json;

use super::ledger::Trouble;
use super::rig::{ACTIVE, GATEWAY, HK, MINI, Rig, WALLET, basic, wechat_target};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_store_that_cannot_answer_is_told_in_each_dialects_retryable_form() {
    for trouble in [Trouble::Everything, Trouble::Changes, Trouble::Answers] {
        let rig = Rig::new().await;
        let codes = [rig.code(MINI, ACTIVE).await, rig.code(HK, ACTIVE).await];
        rig.store.fail(trouble);
        let wechat = rig.get(&wechat_target()).await;
        assert_eq!((wechat.status, wechat.text("/errcode")), (200, "-1".into()));
        let dingtalk = rig.dingtalk_token().await;
        assert_eq!((dingtalk.status, dingtalk.text("/code")), (500, "unknownError".into()));
        for (id, code) in [MINI, HK].into_iter().zip(&codes) {
            let answer = rig.exchange(id, code).await;
            assert_eq!((answer.status, answer.code()), (200, "UNKNOWN_EXCEPTION".into()), "{id}");
            assert_eq!(answer.text("/result/resultStatus"), "U", "{id}");
        }
    }
}

#[tokio::test]
async fn a_panic_leaves_nobody_waiting_for_a_token() {
    let rig = Rig::new().await;
    rig.store.fail(Trouble::Panics);
    assert_eq!(
        rig.get(&wechat_target()).await.text("/errcode"),
        "-1",
        "who was in line is told to come back"
    );
    rig.store.fail(Trouble::None);
    let next = tokio::time::timeout(PATIENCE, rig.wechat_token()).await;
    assert!(!next.expect("the line is served").is_empty());
}

#[tokio::test]
async fn a_replica_that_is_beaten_time_and_again_still_hands_out_a_token() {
    let rig = Rig::new().await;
    let first = rig.wechat_token().await;
    rig.store.be_beaten(10);
    let next = rig.wechat_token().await;
    assert!(next != first && rig.is_active(&next).await);
}

#[tokio::test]
async fn a_gateway_and_a_wallet_are_told_to_come_back() {
    let rig = Rig::new().await;
    let token = rig.wechat_token().await;
    rig.store.fail(Trouble::Everything);
    let introspected = rig.form("/oauth2/introspect", GATEWAY, &format!("token={token}")).await;
    assert_eq!(introspected.status, 503);
    let request = http::Request::get("/authz").header("authorization", format!("Bearer {token}"));
    assert_eq!(rig.send(request.body(axum::body::Body::empty()).unwrap()).await.status, 503);
    let body = json!({"client_id": MINI, "customer_id": ACTIVE, "scopes": []}).to_string();
    let request = http::Request::post("/wallet/v1/codes").header("authorization", basic(WALLET));
    assert_eq!(rig.send(request.body(axum::body::Body::from(body)).unwrap()).await.status, 503);
}

#[tokio::test]
async fn what_was_lost_on_the_way_is_found_by_the_identical_request() {
    let rig = Rig::new().await;
    let code = rig.code(MINI, ACTIVE).await;
    rig.store.fail(Trouble::Answers);
    assert_eq!(rig.exchange(MINI, &code).await.text("/result/resultStatus"), "U");
    rig.store.fail(Trouble::None);
    let again = rig.exchange(MINI, &code).await;
    assert_eq!(again.code(), "SUCCESS", "it had happened, and this request did it");
    assert!(rig.is_active(&again.text("/accessToken")).await);
}

#[tokio::test]
async fn a_change_that_did_not_happen_leaves_the_code_good() {
    let rig = Rig::new().await;
    let code = rig.code(MINI, ACTIVE).await;
    rig.store.fail(Trouble::Changes);
    assert_eq!(rig.exchange(MINI, &code).await.text("/result/resultStatus"), "U");
    rig.store.fail(Trouble::None);
    assert_eq!(rig.exchange(MINI, &code).await.code(), "SUCCESS");
}

/// A good token with one character changed.
fn altered(token: &str, at: usize) -> String {
    let other = if token.as_bytes()[at] == b'1' { "2" } else { "1" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

#[tokio::test]
async fn garbage_is_refused_without_a_single_read() {
    let rig = Rig::new().await;
    let token = rig.wechat_token().await;
    let code = rig.code(MINI, ACTIVE).await;
    let long = "a".repeat(4_096);
    // The first 22 characters hold key, kind and check; the 44 that follow a header's are covered by it.
    let garbage = ["", "abc", long.as_str(), &altered(&token, 12), &altered(&token, 30)];
    let _before = rig.store.asked();
    for token in garbage {
        let answer = rig.get(&format!("/cgi-bin/getcallbackip?access_token={token}")).await;
        assert!(["40001", "41001"].contains(&answer.text("/errcode").as_str()), "{token}");
        let authz = http::Request::get("/authz").header("authorization", format!("Bearer {token}"));
        assert_eq!(rig.send(authz.body(axum::body::Body::empty()).unwrap()).await.status, 401, "{token}");
        assert_eq!(rig.store.asked(), (0, 0), "{token}");
    }
    // A signed caller and a gateway are read themselves; what they show is not.
    assert!(!rig.is_active(&altered(&token, 12)).await);
    assert_eq!(rig.store.asked(), (1, 0), "the gateway's own record");
    assert_eq!(rig.exchange(MINI, &altered(&code, 12)).await.code(), "INVALID_CODE");
    assert_eq!(rig.store.asked(), (1, 0), "the app's own record");
}

#[tokio::test]
async fn a_forged_tag_is_told_by_the_record_alone() {
    let rig = Rig::new().await;
    let token = rig.wechat_token().await;
    assert!(!rig.is_active(&altered(&token, 54)).await);
    assert!(rig.is_active(&token).await);
}
