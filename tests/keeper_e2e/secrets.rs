//! What the log and all else say of secrets, nothing, and of trouble, enough.

use std::fs;

use serde_json::{Value, json};

use crate::client::{Client, get};
use crate::keeper::{ADMIN, Keeper};
use crate::sandbox::{ACTIVE, Folder, MINI, WECHAT, code};

#[test]
fn no_secret_is_in_the_keepers_log_metrics_errors_or_files() {
    let (folder, records) = (Folder::new(), tempfile::tempdir().unwrap());
    let platform = folder.start();
    let keeper = Keeper::start(&format!("path = \"{}\"", records.path().join("keeper").display()));
    let key = keeper.furnish(&platform, &folder);
    let code = platform.ask(&code(MINI, ACTIVE)).text("/auth_code");
    let exchanged = keeper.ask(&key, ("POST", "/v1/exchanges/mini"), &json!({"auth_code": code}));
    let shop = keeper.ask(&key, ("GET", "/v1/tokens/shop"), &Value::Null);
    let pem = folder.secret("sandbox/miniprogram/app_private.pem");
    let secrets = [
        ("the app's secret", WECHAT.1.to_owned()),
        ("the app's key", pem.lines().nth(2).unwrap().to_owned()),
        ("the consumer's key", key.clone()),
        ("the code", code.clone()),
        ("the customer's token", exchanged.text("/access_token")),
        ("the app's token", shop.text("/access_token")),
        ("the admin token", "planted-admin-token".to_owned()),
    ];

    let wrong = format!("{key}x");
    let refused = [
        keeper.ask(&wrong, ("GET", "/v1/tokens/shop"), &Value::Null),
        keeper.ask(&key, ("POST", "/v1/exchanges/mini"), &json!({"auth_code": code, "more": WECHAT.1})),
        keeper.ask(&key, ("POST", "/v1/tokens/shop/report"), &json!({"access_token": code})),
        keeper.ask(
            &key,
            (
                "GET",
                &format!("/cgi-bin/token?grant_type=client_credential&appid={}&secret={wrong}", WECHAT.0),
            ),
            &Value::Null,
        ),
        crate::keeper::manage(
            keeper.admin,
            &ADMIN.replace("planted", "wrong"),
            ("GET", "/admin/v1/keeper/credentials"),
            &Value::Null,
        ),
    ];
    let mut said: Vec<(String, Vec<u8>)> =
        refused.iter().map(|answer| ("an error".to_owned(), format!("{answer:?}").into_bytes())).collect();
    let metrics = Client::connect(keeper.admin).unwrap().send(&get("/metrics")).unwrap();
    said.push(("the metrics".to_owned(), metrics.body.into_bytes()));
    said.push(("the story".to_owned(), keeper.story().to_string().into_bytes()));
    said.push(("the log".to_owned(), keeper.kill().join("\n").into_bytes()));
    for file in fs::read_dir(records.path().join("keeper")).unwrap() {
        let file = file.unwrap().path();
        said.push((file.display().to_string(), fs::read(&file).unwrap()));
    }
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(
        said.iter().any(|(place, bytes)| place.contains("keeper") && holds(bytes, MINI)),
        "the records are read"
    );
    for (what, secret) in &secrets {
        for (place, bytes) in &said {
            assert!(!holds(bytes, secret), "{what} is in {place}");
        }
    }
}

#[test]
fn the_log_names_a_credential_that_the_platform_refuses_as_its_operator_does() {
    let (folder, records) = (Folder::new(), tempfile::tempdir().unwrap());
    let platform = folder.start();
    let mut keeper = Keeper::start(&format!("path = \"{}\"", records.path().join("keeper").display()));
    let credential = json!({"name": "shop", "dialect": "wechat", "app_id": WECHAT.0,
        "base_url": format!("http://{}", platform.issuer), "proof": {"secret": "not-the-apps"}});
    let answer = keeper.manage("POST", "/admin/v1/keeper/credentials", &credential);
    assert_eq!(answer.status, 201, "{answer:?}");
    keeper.process.line(|line| {
        let is_it = line["credential"] == "shop" && line["level"] == "WARN" && line["code"].is_string();
        is_it.then_some(())
    });
    keeper.kill();
}
