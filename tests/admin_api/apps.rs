//! An app's life, checked over the wire that the app itself speaks.

use std::time::Duration;

use http::Method;
use mintkeep_issuer::admin::MovableClock as _;
use serde_json::{Value, json};

use super::desk::{Desk, START_MS, kind};

fn errcode(answer: &Value) -> i64 {
    answer["errcode"].as_i64().unwrap_or(0)
}

#[tokio::test]
async fn a_new_app_has_an_id_in_its_dialects_style_and_a_secret_that_is_shown_once() {
    let desk = Desk::sandbox().await;
    #[rustfmt::skip]
    let cases = [
        ("wechat",      "wx",   18, true),
        ("dingtalk",    "ding", 20, true),
        ("miniprogram", "MINI", 20, false),
        ("alipayhk",    "ALHK", 20, false),
    ];
    for (dialect, prefix, length, has_secret) in cases {
        let (status, created) =
            desk.post("/admin/v1/apps", json!({"dialect": dialect, "name": "Shop"})).await;
        assert_eq!(status, 201, "{created}");
        let id = created["app"]["id"].as_str().unwrap();
        assert!(id.starts_with(prefix) && id.len() == length, "{id}");
        assert_eq!(created["secret"].as_str().map(str::len), has_secret.then_some(64));
        assert_eq!(created["private_key_pem"].is_string(), !has_secret);
        assert_eq!(created["platform_public_key_pem"].is_string(), !has_secret);

        let (_, shown) = desk.get(&format!("/admin/v1/apps/{id}")).await;
        assert_eq!(shown, created["app"]);
        for secret in [&created["secret"], &created["private_key_pem"]].into_iter().filter_map(Value::as_str)
        {
            assert!(!shown.to_string().contains(secret));
        }
    }
}

#[tokio::test]
async fn an_old_secret_is_good_until_the_overlap_ends() {
    let desk = Desk::sandbox().await;
    let old = desk.wechat_app("wx1").await;
    let (_, rotated) = desk.post("/admin/v1/apps/wx1/rotate-secret", json!({"overlap_s": 60})).await;
    let new = rotated["secret"].as_str().unwrap();
    assert_eq!(rotated["previous_expires_at"], START_MS + 60_000);
    #[rustfmt::skip]
    let cases = [
        (0,      old.as_str(), 0),
        (59_999, old.as_str(), 0),
        (1,      old.as_str(), 40001),
        (0,      new,          0),
    ];
    for (later_ms, secret, code) in cases {
        desk.clock.advance(Duration::from_millis(later_ms));
        assert_eq!(errcode(&desk.wechat_token("wx1", secret).await), code, "{later_ms} ms later");
    }
    let (_, rotated) = desk.post("/admin/v1/apps/wx1/rotate-secret", json!({"overlap_s": 0})).await;
    assert_eq!(rotated["previous_expires_at"], Value::Null);
    assert_eq!(errcode(&desk.wechat_token("wx1", new).await), 40001, "no overlap");
}

#[tokio::test]
async fn an_app_has_four_secrets_at_most_however_long_they_overlap() {
    let desk = Desk::sandbox().await;
    let mut secrets = vec![desk.wechat_app("wx1").await];
    for _ in 0..4 {
        let (_, rotated) = desk.post("/admin/v1/apps/wx1/rotate-secret", json!({"overlap_s": 3600})).await;
        secrets.push(rotated["secret"].as_str().unwrap().to_owned());
    }
    for (secret, code) in secrets.iter().zip([40001, 0, 0, 0, 0]) {
        assert_eq!(errcode(&desk.wechat_token("wx1", secret).await), code);
    }
}

#[tokio::test]
async fn each_state_of_an_app_shows_on_the_wire() {
    let desk = Desk::sandbox().await;
    let secret = desk.wechat_app("wx1").await;
    let token = desk.wechat_token("wx1", &secret).await["access_token"].as_str().unwrap().to_owned();
    #[rustfmt::skip]
    let cases = [
        ("freeze-secret", "secret_frozen", 40243, "good"),
        ("enable",        "active",        0,     "overlapping"),
        ("disable",       "disabled",      50002, "app_disabled"),
        ("enable",        "active",        0,     "superseded"),
    ];
    for (verb, status, code, state) in cases {
        let (_, app) = desk.ask(Method::POST, &format!("/admin/v1/apps/wx1/{verb}"), None).await;
        assert_eq!(app["status"], status, "{verb}");
        let answer = desk.wechat_token("wx1", &secret).await;
        assert_eq!(errcode(&answer), code, "{verb}: {answer}");
        assert_eq!(desk.state_of(&token).await, state, "{verb}");
    }
}

#[tokio::test]
async fn revoking_its_tokens_ends_every_one_of_an_app_and_no_other_apps() {
    let desk = Desk::sandbox().await;
    let (one, two) = (desk.wechat_app("wx1").await, desk.wechat_app("wx2").await);
    let token_of = async |id, secret: &str| {
        desk.wechat_token(id, secret).await["access_token"].as_str().unwrap().to_owned()
    };
    let (older, token, others) =
        (token_of("wx1", &one).await, token_of("wx1", &one).await, token_of("wx2", &two).await);
    assert_ne!(older, token);
    let (status, app) = desk.ask(Method::POST, "/admin/v1/apps/wx1/revoke-tokens", None).await;
    assert_eq!((status, &app["token_epoch"]), (200, &json!(1)));
    assert_eq!(desk.state_of(&older).await, "revoked");
    assert_eq!(desk.state_of(&token).await, "revoked");
    assert_eq!(desk.state_of(&others).await, "good");
    assert_eq!(desk.state_of(&token_of("wx1", &one).await).await, "good");
}

#[tokio::test]
async fn a_change_touches_what_it_names_and_nothing_else() {
    let desk = Desk::sandbox().await;
    let secret = desk.wechat_app("wx1").await;
    let patch = async |body| desk.ask(Method::PATCH, "/admin/v1/apps/wx1", Some(body)).await;
    let (_, app) = patch(json!({"settings": {"access_lifetime_s": 60, "daily_quota": 5}})).await;
    assert_eq!(app["settings"], json!({"access_lifetime_s": 60, "daily_quota": 5}));
    assert_eq!(desk.wechat_token("wx1", &secret).await["expires_in"], 60);

    let (_, app) = patch(json!({"name": "Kiosk", "addresses": ["192.0.2.0/24", "198.51.100.7"]})).await;
    assert_eq!(app["settings"], json!({"access_lifetime_s": 60, "daily_quota": 5}));
    assert_eq!(
        (&app["name"], &app["addresses"]),
        (&json!("Kiosk"), &json!(["192.0.2.0/24", "198.51.100.7/32"]))
    );
    assert_eq!(errcode(&desk.wechat_token("wx1", &secret).await), 40164, "not on the list");

    let (_, app) = patch(json!({"addresses": [], "settings": {"daily_quota": null}})).await;
    assert_eq!((&app["addresses"], &app["settings"]), (&json!([]), &json!({"access_lifetime_s": 60})));
}

#[tokio::test]
async fn a_deleted_app_is_gone_and_one_made_anew_under_its_id_has_other_tokens() {
    let desk = Desk::sandbox().await;
    let secret = desk.wechat_app("wx1").await;
    let token = desk.wechat_token("wx1", &secret).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(desk.ask(Method::DELETE, "/admin/v1/apps/wx1", None).await.0, 204);
    assert_eq!(kind(&desk.get("/admin/v1/apps/wx1").await.1), "app-unknown");
    assert_eq!(kind(&desk.ask(Method::DELETE, "/admin/v1/apps/wx1", None).await.1), "app-unknown");
    desk.wechat_app("wx1").await;
    assert_eq!(desk.state_of(&token).await, "gone");
    assert_eq!(errcode(&desk.wechat_token("wx1", &secret).await), 40001);
}

#[tokio::test]
async fn keys_are_added_by_version_and_removed() {
    let desk = Desk::sandbox().await;
    desk.miniprogram_app_and_customer().await;
    let (_, app) = desk.get("/admin/v1/apps/MINI1").await;
    let pem = app["keys"][0]["public_key_pem"].clone();
    #[rustfmt::skip]
    let cases = [
        (json!({}),                                    2, true),
        (json!({"version": 0, "public_key_pem": pem}), 0, false),
        (json!({"version": 9, "public_key_pem": pem}), 9, false),
        (json!({"public_key_pem": pem}),               10, false),
    ];
    for (asked, version, is_drawn) in cases {
        let (status, added) = desk.post("/admin/v1/apps/MINI1/keys", asked).await;
        assert_eq!((status, &added["version"]), (201, &json!(version)));
        assert_eq!(added["private_key_pem"].is_string(), is_drawn);
    }
    let (_, app) = desk.ask(Method::DELETE, "/admin/v1/apps/MINI1/keys/2", None).await;
    let versions: Vec<&Value> = app["keys"].as_array().unwrap().iter().map(|key| &key["version"]).collect();
    assert_eq!(versions, [1, 0, 9, 10]);
    for nth in 5..=16 {
        assert_eq!(
            desk.post("/admin/v1/apps/MINI1/keys", json!({"public_key_pem": pem})).await.0,
            201,
            "{nth}"
        );
    }
    let (status, told) = desk.post("/admin/v1/apps/MINI1/keys", json!({"public_key_pem": pem})).await;
    assert_eq!((status, &told["type"]), (400, &json!("urn:mintkeep:problem:unfit")));
}

#[tokio::test]
async fn changes_at_the_same_time_all_land() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    let revoke = || desk.ask(Method::POST, "/admin/v1/apps/wx1/revoke-tokens", None);
    let (one, two, three) = tokio::join!(revoke(), revoke(), revoke());
    assert_eq!((one.0, two.0, three.0), (200, 200, 200));
    assert_eq!(desk.get("/admin/v1/apps/wx1").await.1["token_epoch"], 3);
}

#[tokio::test]
async fn apps_are_listed_in_pages() {
    let desk = Desk::sandbox().await;
    for id in ["wx1", "wx2", "wx3"] {
        desk.wechat_app(id).await;
    }
    let mut path = "/admin/v1/apps?most=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let (_, page) = desk.get(&path).await;
        seen.extend(page["apps"].as_array().unwrap().iter().map(|app| app["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/admin/v1/apps?most=2&after={next}");
    }
    assert_eq!(seen, ["wx1", "wx2", "wx3"]);
}

#[tokio::test]
async fn every_change_is_in_the_audit_and_no_secret_is() {
    let desk = Desk::sandbox().await;
    let mut secrets = vec![desk.wechat_app("wx1").await];
    let (_, rotated) = desk.post("/admin/v1/apps/wx1/rotate-secret", json!({})).await;
    secrets.push(rotated["secret"].as_str().unwrap().to_owned());
    desk.ask(Method::PATCH, "/admin/v1/apps/wx1", Some(json!({"name": "Kiosk"}))).await;
    desk.ask(Method::POST, "/admin/v1/apps/wx1/revoke-tokens", None).await;
    desk.ask(Method::DELETE, "/admin/v1/apps/wx1", None).await;
    desk.miniprogram_app_and_customer().await;
    desk.post("/admin/v1/apps/MINI1/keys", json!({})).await;
    secrets.push(desk.code().await);
    let (_, service) = desk.post("/admin/v1/services", json!({"id": "gw", "role": "wallet"})).await;
    secrets.push(service["secret"].as_str().unwrap().to_owned());
    desk.ask(Method::POST, "/admin/v1/platform-keys/alipayhk/rotate", None).await;
    let (_, tail) = desk.get("/admin/v1/audit").await;
    let lines = tail["lines"].as_array().unwrap();
    let told: Vec<&str> = lines.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        [
            "app_created",
            "secret_rotated",
            "app_changed",
            "app_tokens_revoked",
            "app_deleted",
            "app_created",
            "customer_put",
            "key_added",
            "code_issued",
            "service_put",
            "key_added",
        ]
    );
    assert!(lines.iter().all(|line| line["actor"] == "admin" && line["address"] == "127.0.0.1"));
    for secret in secrets {
        assert!(!tail.to_string().contains(&secret));
    }
    let last = tail["last"].as_i64().unwrap();
    let (_, later) = desk.get(&format!("/admin/v1/audit?after={}", last - 1)).await;
    assert_eq!(later["lines"].as_array().unwrap().len(), 1);
}
