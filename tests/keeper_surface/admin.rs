//! The admin routes.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use mintkeep_keeper::admin_routes;
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::keep::credential::TokenSource;
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_web::admin_token::AdminToken;
use serde_json::{Value, json};

use crate::platform::LIFE_S;
use crate::rig::{ADMIN, APP_SECRET, Rig};

fn wechat() -> Value {
    json!({ "name": "shop", "dialect": "wechat", "app_id": "wx1", "proof": { "secret": APP_SECRET } })
}

/// `wechat()` with one field changed; `Null` takes it out.
fn but(field: &str, value: Value) -> Value {
    let mut body = wechat();
    let fields = body.as_object_mut().unwrap();
    fields.remove(field);
    if !value.is_null() {
        fields.insert(field.to_owned(), value);
    }
    body
}

#[tokio::test]
async fn a_credential_is_added_shown_listed_and_removed_and_its_secret_is_never_told() {
    let rig = Rig::new().await;
    let (status, added) = rig.admin("POST", "/credentials", Some(wechat())).await;
    assert_eq!(status, 201, "{added}");
    assert_eq!(
        (&added["source"], &added["base_url"]),
        (&json!("we_chat_stable"), &json!("https://api.weixin.qq.com"))
    );
    assert_eq!(rig.admin("POST", "/credentials", Some(wechat())).await.0, 409, "the name is taken");

    let (status, shown) = rig.admin("GET", "/credentials/shop", None).await;
    let (_, listed) = rig.admin("GET", "/credentials", None).await;
    assert_eq!((status, &shown["app_id"]), (200, &json!("wx1")));
    assert_eq!(listed["credentials"].as_array().unwrap().len(), 1);
    for told in [added, shown, listed] {
        assert!(!told.to_string().contains("planted"), "{told}");
    }

    assert_eq!(rig.admin("DELETE", "/credentials/shop", None).await.0, 204);
    assert_eq!(rig.admin("GET", "/credentials/shop", None).await.0, 404);
    assert_eq!(rig.admin("DELETE", "/credentials/shop", None).await.0, 404);

    let (_, added) = rig.admin("POST", "/credentials", Some(but("dialect", json!("dingtalk")))).await;
    assert_eq!(added["base_url"], "https://api.dingtalk.io", "where the page says");
}

#[tokio::test]
async fn a_credential_that_does_not_fit_is_refused_without_repeating_what_was_sent() {
    let rig = Rig::new().await;
    let private = RsaPrivateKey::generate().unwrap();
    let keys =
        json!({ "private_key_pem": *private.to_pem(), "platform_public_key_pem": private.public().to_pem() });
    let mut wallet = but("dialect", json!("miniprogram"));
    wallet["proof"] = keys.clone();
    #[rustfmt::skip]
    let cases = [
        ("an unknown field",          but("planted", json!(1))),
        ("an unknown field of a proof", but("proof", json!({ "secret": "s", "planted": 1 }))),
        ("an unknown dialect",        but("dialect", json!("planted"))),
        ("a name that none can have", but("name", json!("planted/name"))),
        ("no proof",                  but("proof", json!({}))),
        ("keys for a secret",         but("proof", keys)),
        ("a secret for keys",         but("dialect", json!("alipayhk"))),
        ("a secret of two lines",     but("proof", json!({ "secret": "planted\nsecret" }))),
        ("plain HTTP to the world",   but("base_url", json!("http://planted.example"))),
        ("a wallet without its place", wallet),
    ];
    for (case, body) in cases {
        let (status, problem) = rig.admin("POST", "/credentials", Some(body)).await;
        assert_eq!(status, 400, "{case}: {problem}");
        assert!(!problem.to_string().contains("planted"), "{case}: {problem}");
    }
    assert_eq!(rig.platform.calls(), 0);
}

#[tokio::test]
async fn a_consumer_is_made_with_keys_that_are_shown_once_and_revoked_at_once() {
    let rig = Rig::new().await;
    rig.add("shop", TokenSource::WeChatStable).await;
    let asked = json!({ "name": "checkout", "credentials": ["shop"] });
    let (status, made) = rig.admin("POST", "/consumers", Some(asked.clone())).await;
    assert_eq!(status, 201, "{made}");
    let (key, secret) = (made["key"].as_str().unwrap(), made["drop_in_secret"].as_str().unwrap());
    assert_eq!(made["consumer"]["verbs"], json!(["read", "report"]));
    assert_eq!(rig.admin("POST", "/consumers", Some(asked)).await.0, 409);

    let (_, listed) = rig.admin("GET", "/consumers", None).await;
    assert_eq!(listed["consumers"][0]["credentials"], json!(["shop"]));
    assert!(!listed.to_string().contains(key) && !listed.to_string().contains(secret));

    let read = || {
        let request = Request::get("/v1/tokens/shop").header("authorization", format!("Bearer {key}"));
        rig.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(read().await.status(), 200);
    assert_eq!(rig.admin("DELETE", "/consumers/checkout", None).await.0, 204);
    assert_eq!(read().await.status(), 401, "its key ends at once");
    assert_eq!(rig.admin("DELETE", "/consumers/checkout", None).await.0, 404);

    let key = json!({ "public_key_pem": "planted" });
    #[rustfmt::skip]
    let cases = [
        ("no credentials",     json!({ "name": "c" })),
        ("all and some",       json!({ "name": "c", "credentials": ["shop"], "all_credentials": true })),
        ("no verbs",           json!({ "name": "c", "all_credentials": true, "verbs": [] })),
        ("an unknown verb",    json!({ "name": "c", "all_credentials": true, "verbs": ["planted"] })),
        ("too wide a margin",  json!({ "name": "c", "all_credentials": true, "margin_floor_s": 7_141 })),
        ("a key that is none", json!({ "name": "c", "all_credentials": true, "drop_in_keys": [key] })),
    ];
    for (case, body) in cases {
        let (status, problem) = rig.admin("POST", "/consumers", Some(body)).await;
        assert_eq!((status, problem.to_string().contains("planted")), (400, false), "{case}: {problem}");
    }
}

#[tokio::test]
async fn tokens_are_listed_page_by_page_and_explained_without_their_text() {
    let rig = Rig::new().await;
    for name in ["a", "b", "c"] {
        rig.add(name, TokenSource::WeChatToken).await;
    }
    let (_, first) = rig.admin("GET", "/tokens?most=2", None).await;
    let (_, second) =
        rig.admin("GET", &format!("/tokens?most=2&after={}", first["next"].as_str().unwrap()), None).await;
    let names: Vec<&str> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["tokens"].as_array().unwrap())
        .map(|line| line["credential"].as_str().unwrap())
        .collect();
    assert_eq!((names, &second["next"]), (vec!["a", "b", "c"], &Value::Null));
    let (_, one) = rig.admin("GET", "/tokens?credential=b", None).await;
    assert_eq!((one["tokens"].as_array().unwrap().len(), &one["tokens"][0]["state"]), (1, &json!("idle")));

    let before = rig.platform.calls();
    let (status, renewed) = rig.admin("POST", "/tokens/b/refresh", None).await;
    assert_eq!((status, rig.platform.calls()), (200, before + 1), "{renewed}");
    let (_, story) = rig.admin("GET", "/tokens/b/explain", None).await;
    let latest = &story["history"][0];
    assert_eq!(
        (&latest["cause"]["by"], &latest["ending"]["outcome"]),
        (&json!("operator"), &json!("renewed"))
    );
    assert!(story["calls_today"][0]["calls"].as_u64().unwrap() >= 2, "{story}");
    for told in [first, second, renewed, story] {
        assert!(!told.to_string().contains("planted"), "{told}");
    }

    let (status, read) = rig.admin("GET", "/tokens/b", None).await;
    assert_eq!((status, &read["expires_in"]), (200, &json!(LIFE_S)));
    assert!(read["access_token"].as_str().unwrap().starts_with("planted-token-"));
}

#[tokio::test]
async fn a_call_that_was_not_sent_is_none_of_the_days() {
    let rig = Rig::new().await;
    rig.add("shop", TokenSource::WeChatToken).await;
    let calls = async || rig.admin("GET", "/tokens/shop/explain", None).await.1["calls_today"].clone();
    let before = calls().await;
    rig.platform.is_down.store(true, SeqCst);
    assert_ne!(rig.admin("POST", "/tokens/shop/refresh", None).await.0, 200);
    assert_eq!(calls().await, before);
}

#[tokio::test]
async fn credentials_are_listed_in_pages_by_name() {
    let rig = Rig::new().await;
    for name in ["c", "a", "d", "b"] {
        let (status, told) = rig.admin("POST", "/credentials", Some(but("name", json!(name)))).await;
        assert_eq!(status, 201, "{told}");
    }
    #[rustfmt::skip]
    let cases = [
        ("",               json!(["a", "b", "c", "d"]), json!(null)),
        ("?most=4",        json!(["a", "b", "c", "d"]), json!("d")),
        ("?most=3",        json!(["a", "b", "c"]),      json!("c")),
        ("?most=2&after=a", json!(["b", "c"]),          json!("c")),
        ("?most=2&after=c", json!(["d"]),               json!(null)),
        ("?after=d",       json!([]),                   json!(null)),
    ];
    for (query, names, next) in cases {
        let (_, page) = rig.admin("GET", &format!("/credentials{query}"), None).await;
        let listed = page["credentials"].as_array().unwrap().iter().map(|entry| entry["name"].clone());
        assert_eq!((listed.collect::<serde_json::Value>(), &page["next"]), (names, &next), "{query}");
    }
    assert_eq!(rig.admin("GET", "/credentials?most=1001", None).await.0, 400);
}

#[tokio::test]
async fn of_the_renewals_that_are_due_together_64_are_under_way_at_once() {
    let rig = Rig::new().await;
    rig.platform.is_frozen.store(true, SeqCst);
    for n in 0..70 {
        assert_eq!(
            rig.admin("POST", "/credentials", Some(but("name", json!(format!("shop{n}"))))).await.0,
            201
        );
    }
    while rig.platform.calls() < 64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.platform.calls(), 64);
}

#[tokio::test]
async fn what_is_not_there_and_what_waits_for_nobody_is_said_so() {
    let rig = Rig::new().await;
    rig.add("shop", TokenSource::WeChatStable).await;
    let decision = || Some(json!({ "decision": "ask_consent" }));
    #[rustfmt::skip]
    let cases = [
        ("POST", "/tokens/none/refresh",    None,       404),
        ("GET",  "/tokens/none/explain",    None,       404),
        ("GET",  "/tokens/shop/c1/explain", None,       404),
        ("GET",  "/tokens/shop/c1",         None,       404),
        ("POST", "/tokens/shop/c1/refresh", None,       404),
        ("POST", "/tokens/none/resolve",    decision(), 404),
        ("POST", "/tokens/shop/c1/resolve", decision(), 404),
        ("POST", "/tokens/shop/resolve",    decision(), 409),
        ("POST", "/tokens/shop/resolve",    Some(json!({ "decision": "planted" })), 400),
        ("GET",  "/tokens?after=none",      None,       404),
        ("GET",  "/tokens?after=a/b/c",     None,       400),
        ("GET",  "/tokens?most=0",          None,       400),
    ];
    for (method, path, body, expected) in cases {
        let (status, problem) = rig.admin(method, path, body).await;
        assert_eq!(
            (status, problem["status"].as_u64()),
            (expected, Some(expected.into())),
            "{path}: {problem}"
        );
    }
    let stranger = Request::get("/admin/v1/keeper/tokens/shop").header("authorization", "Bearer planted");
    assert_eq!(rig.send(stranger.body(Body::empty()).unwrap()).await.status(), 401);
}

#[tokio::test]
async fn each_setting_of_a_credential_may_be_left_out_and_is_described_so() {
    let rig = Rig::new().await;
    let body = but("settings", json!({ "daily_limit": 3 }));
    assert_eq!(rig.admin("POST", "/credentials", Some(body)).await.0, 201);
    let token = AdminToken::new(&ClientSecret::new(ADMIN.to_owned()));
    let (_, api) = admin_routes::router(Arc::clone(&rig.keeper), token);
    let described = &serde_json::to_value(api).unwrap()["components"]["schemas"]["CredentialSettingsWords"];
    assert_eq!(described["properties"].as_object().unwrap().len(), 5);
    assert_eq!(described["required"], Value::Null);
}

#[tokio::test]
async fn who_is_not_known_is_told_how_to_prove_themselves() {
    let rig = Rig::new().await;
    for (path, scheme) in [
        ("/v1/tokens/wx", "Bearer realm=\"mintkeep keeper\""),
        ("/proxy/wx/a", "Bearer realm=\"mintkeep keeper\""),
        ("/admin/v1/keeper/tokens/wx", "Bearer realm=\"mintkeep admin\""),
    ] {
        let answer = rig.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), 401, "{path}");
        let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap());
        assert_eq!(challenge, Some(scheme), "{path}");
    }
}
