//! Codes, grants, services and the platform's keys.

use std::time::Duration;

use http::Method;
use mintkeep_issuer::admin::MovableClock as _;
use serde_json::{Value, json};

use super::desk::{Desk, START_MS, kind};

#[tokio::test]
async fn a_code_becomes_a_grant_that_can_be_listed_and_revoked() {
    let desk = Desk::sandbox().await;
    desk.miniprogram_app_and_customer().await;
    let code = desk.code().await;
    assert_eq!(desk.state_of(&code).await, "good");
    let (_, page) = desk.get("/admin/v1/grants?app=MINI1&customer=C1").await;
    let grant = &page["grants"][0];
    assert_eq!((&grant["state"], &grant["scopes"]), (&json!("code_issued"), &json!(["auth_user"])));
    let id = grant["id"].as_str().unwrap();

    for _twice in 0..2 {
        let (status, ended) = desk.ask(Method::POST, &format!("/admin/v1/grants/{id}/revoke"), None).await;
        assert_eq!((status, &ended["state"]), (200, &json!("revoked")));
        assert_eq!(ended["revoked_at"], START_MS);
    }
    assert_eq!(desk.state_of(&code).await, "revoked");
    let (_, shown) = desk.get(&format!("/admin/v1/grants/{id}")).await;
    assert_eq!(shown["state"], "revoked");
}

#[tokio::test]
async fn a_code_that_nobody_exchanges_expires() {
    let desk = Desk::sandbox().await;
    desk.miniprogram_app_and_customer().await;
    let code = desk.code().await;
    for (later_ms, token_state, grant_state) in
        [(599_999, "good", "code_issued"), (1, "expired", "code_expired")]
    {
        desk.clock.advance(Duration::from_millis(later_ms));
        assert_eq!(desk.state_of(&code).await, token_state);
        assert_eq!(desk.get("/admin/v1/grants").await.1["grants"][0]["state"], grant_state);
    }
}

#[tokio::test]
async fn revoking_an_apps_tokens_ends_its_codes_too() {
    let desk = Desk::sandbox().await;
    desk.miniprogram_app_and_customer().await;
    let code = desk.code().await;
    desk.ask(Method::POST, "/admin/v1/apps/MINI1/revoke-tokens", None).await;
    assert_eq!(desk.state_of(&code).await, "revoked");
    assert_eq!(desk.get("/admin/v1/grants").await.1["grants"][0]["state"], "ended_with_app");
}

#[tokio::test]
async fn a_barred_customer_shows_and_gets_no_new_code() {
    let desk = Desk::sandbox().await;
    desk.miniprogram_app_and_customer().await;
    let code = desk.code().await;
    let asked = json!({"client_id": "MINI1", "customer_id": "C1", "scopes": []});
    for (status, problem) in [("frozen", "customer-frozen"), ("deleted", "customer-unknown")] {
        let put = desk.ask(Method::PUT, "/admin/v1/customers/C1", Some(json!({"status": status}))).await;
        assert_eq!(put.1["status"], status);
        assert_eq!(desk.state_of(&code).await, "customer_barred");
        assert_eq!(kind(&desk.post("/admin/v1/codes", asked.clone()).await.1), problem);
    }
}

#[tokio::test]
async fn grants_are_listed_in_pages_in_the_order_they_were_made() {
    let desk = Desk::sandbox().await;
    desk.miniprogram_app_and_customer().await;
    for _code in 0..3 {
        desk.code().await;
        desk.clock.advance(Duration::from_millis(1));
    }
    let mut path = "/admin/v1/grants?most=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let (_, page) = desk.get(&path).await;
        seen.extend(page["grants"].as_array().unwrap().iter().map(|grant| grant["made_at"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/admin/v1/grants?most=2&after={next}");
    }
    assert_eq!(seen, [START_MS, START_MS + 1, START_MS + 2]);
}

#[tokio::test]
async fn what_was_never_ours_is_told_apart_from_what_is_gone() {
    let desk = Desk::sandbox().await;
    for token in ["", "x", &"7".repeat(55)] {
        let (status, told) = desk.post("/admin/v1/inspect", json!({"token": token})).await;
        assert_eq!((status, &told["state"], &told["kind"]), (200, &json!("not_ours"), &Value::Null));
    }
}

#[tokio::test]
async fn a_customers_profile_reads_back() {
    let desk = Desk::sandbox().await;
    let profile = json!({"nick_name": "大文", "nationality": "HK"});
    let put = desk.ask(Method::PUT, "/admin/v1/customers/C1", Some(json!({"profile": profile}))).await;
    let (_, shown) = desk.get("/admin/v1/customers/C1").await;
    assert_eq!(shown, json!({"id": "C1", "status": "active", "profile": profile}));
    assert_eq!(put.1, shown);
}

#[tokio::test]
async fn a_services_secret_is_replaced_only_when_that_is_asked_for() {
    let desk = Desk::sandbox().await;
    let asked = json!({"id": "gw", "role": "resource_server"});
    let (status, first) = desk.post("/admin/v1/services", asked.clone()).await;
    assert_eq!(status, 201);
    assert_eq!(kind(&desk.post("/admin/v1/services", asked).await.1), "id-taken");
    let replace = json!({"id": "gw", "role": "resource_server", "replace": true});
    let (_, second) = desk.post("/admin/v1/services", replace).await;
    assert_ne!(first["secret"], second["secret"]);
    let (_, shown) = desk.get("/admin/v1/services/gw").await;
    assert_eq!(shown, json!({"id": "gw", "role": "resource_server", "assertion_key_pem": null}));
}

#[tokio::test]
async fn only_a_wallet_is_given_a_key_that_signs_customers_in() {
    let desk = Desk::sandbox().await;
    let app = json!({"id": "MINI1", "dialect": "miniprogram", "name": "Shop"});
    let pem = desk.post("/admin/v1/apps", app).await.1["platform_public_key_pem"].clone();
    for (role, status) in [("resource_server", 400), ("wallet", 201)] {
        let asked = json!({"id": role, "role": role, "assertion_key_pem": pem});
        assert_eq!(desk.post("/admin/v1/services", asked).await.0, status, "{role}");
    }
}

#[tokio::test]
async fn a_platform_key_that_was_rotated_stays_listed() {
    let desk = Desk::sandbox().await;
    let (status, after) = desk.ask(Method::POST, "/admin/v1/platform-keys/alipayhk/rotate", None).await;
    assert_eq!(status, 201);
    let told: Vec<(i64, bool)> = after["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["version"].as_i64().unwrap(), key["is_current"].as_bool().unwrap()))
        .collect();
    assert_eq!(told, [(1, false), (2, true)]);
    assert_eq!(desk.get("/admin/v1/platform-keys").await.1["keys"].as_array().unwrap().len(), 3);
    let (status, problem) = desk.ask(Method::POST, "/admin/v1/platform-keys/wechat/rotate", None).await;
    assert_eq!((status, kind(&problem)), (409, "no-keys"));
}
