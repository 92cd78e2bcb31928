//! RFC 6749's token endpoint: what the dialects grant, in the standard's form.

use std::time::Duration;

use serde_json::json;

use super::rig::{ACTIVE, Answer, DINGTALK, MINI, Rig, SECRET, WECHAT};

const PATH: &str = "/oauth2/token";

async fn ask(rig: &Rig, who: (&str, &str), body: &str) -> Answer {
    rig.form(PATH, who, body).await
}

#[tokio::test]
async fn an_apps_own_token_is_the_one_that_its_dialect_repeats() {
    let rig = Rig::new().await;
    let stable = rig.stable_token(false).await.text("/access_token");
    let dingtalk = rig.dingtalk_token().await.text("/accessToken");
    let in_use = rig.wechat_token().await;
    for (id, expected) in [(WECHAT, stable), (DINGTALK, dingtalk)] {
        let answer = ask(&rig, (id, SECRET), "grant_type=client_credentials").await;
        let granted = json!({"access_token": expected, "token_type": "Bearer", "expires_in": 7_200});
        assert_eq!((answer.status, answer.json()), (200, granted), "{id}");
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    }
    assert!(rig.is_active(&in_use).await, "/cgi-bin/token's own stays");
}

#[tokio::test]
async fn a_code_buys_a_pair_and_its_refresh_token_the_next() {
    let rig = Rig::new().await;
    let code = format!("grant_type=authorization_code&code={}", rig.code(DINGTALK, ACTIVE).await);
    rig.let_time_pass();
    let first = ask(&rig, (DINGTALK, SECRET), &code).await;
    assert_eq!((first.status, first.text("/expires_in")), (200, "7200".into()));
    assert_eq!(first.text("/scope"), "auth_user");
    assert!(rig.is_active(&first.text("/access_token")).await);
    let refresh = format!("grant_type=refresh_token&refresh_token={}", first.text("/refresh_token"));
    rig.pass(Duration::from_mins(1));
    for more in ["admin", "auth_user+admin", "auth_user+"] {
        let answer = ask(&rig, (DINGTALK, SECRET), &format!("{refresh}&scope={more}")).await;
        assert_eq!((answer.status, answer.text("/error")), (400, "invalid_scope".into()), "{more}");
    }
    let next = ask(&rig, (DINGTALK, SECRET), &format!("{refresh}&scope=auth_user")).await;
    assert_eq!((next.status, next.text("/expires_in")), (200, "7200".into()));
    assert_eq!(next.text("/scope"), "auth_user");
    assert_ne!(next.text("/refresh_token"), first.text("/refresh_token"));
    for used in [&code, &refresh] {
        let again = ask(&rig, (DINGTALK, SECRET), used).await;
        assert_eq!((again.status, again.text("/error")), (400, "invalid_grant".into()), "{used}");
    }
}

#[tokio::test]
async fn a_grant_without_scopes_names_none() {
    let rig = Rig::new().await;
    let code = format!("grant_type=authorization_code&code={}", rig.code_for(DINGTALK, ACTIVE, &[]).await);
    let answer = ask(&rig, (DINGTALK, SECRET), &code).await;
    assert_eq!((answer.status, answer.json().get("scope")), (200, None));
}

#[tokio::test]
async fn a_grant_type_that_this_app_may_not_use_is_another_word_than_one_that_nobody_may() {
    let rig = Rig::new().await;
    rig.change_app(DINGTALK, |app| app.settings.refuses_refresh = true).await;
    for (who, body, error) in [
        (DINGTALK, "grant_type=refresh_token&refresh_token=a", "unauthorized_client"),
        (MINI, "grant_type=client_credentials", "unauthorized_client"),
        (DINGTALK, "grant_type=password", "unsupported_grant_type"),
    ] {
        let answer = ask(&rig, (who, SECRET), body).await;
        assert_eq!((answer.status, answer.text("/error")), (400, error.to_owned()), "{body}");
    }
}

/// One row per word of RFC 6749, section 5.2.
#[tokio::test]
async fn a_refusal_has_the_standards_word() {
    let rig = Rig::new().await;
    let others = format!("grant_type=authorization_code&code={}", rig.code(MINI, ACTIVE).await);
    #[rustfmt::skip]
    let cases = [
        ("a wrong secret",         (WECHAT, "wrong"), "grant_type=client_credentials",         401, "invalid_client"),
        ("nobody's id",            ("wx9", SECRET),   "grant_type=client_credentials",         401, "invalid_client"),
        ("a dialect of keys only", (MINI, SECRET),    "grant_type=client_credentials",         400, "unauthorized_client"),
        ("before its own faults",  (WECHAT, "wrong"), "",                                      401, "invalid_client"),
        ("another's name",         (WECHAT, SECRET),  "grant_type=client_credentials&client_id=a", 400, "invalid_request"),
        ("twice itself",           (WECHAT, SECRET),  "grant_type=client_credentials&client_secret=a", 400, "invalid_request"),
        ("no grant type",          (WECHAT, SECRET),  "",                                      400, "invalid_request"),
        ("a grant type twice",     (WECHAT, SECRET),  "grant_type=a&grant_type=a",             400, "invalid_request"),
        ("WeChat's own writing",   (WECHAT, SECRET),  "grant_type=client_credential",          400, "unsupported_grant_type"),
        ("no code",                (WECHAT, SECRET),  "grant_type=authorization_code",         400, "invalid_request"),
        ("garbage for a code",     (WECHAT, SECRET),  "grant_type=authorization_code&code=a",  400, "invalid_grant"),
        ("another app's code",     (WECHAT, SECRET),  &others,                                 400, "invalid_grant"),
        ("no refresh token",       (WECHAT, SECRET),  "grant_type=refresh_token",              400, "invalid_request"),
        ("garbage to refresh",     (WECHAT, SECRET),  "grant_type=refresh_token&refresh_token=a", 400, "invalid_grant"),
        ("scopes of its own",      (WECHAT, SECRET),  "grant_type=client_credentials&scope=a", 400, "invalid_scope"),
    ];
    for (case, who, body, status, error) in cases {
        let answer = ask(&rig, who, body).await;
        assert_eq!((answer.status, answer.text("/error")), (status, error.to_owned()), "{case}");
        assert_eq!(answer.header("cache-control"), "no-store", "{case}");
    }
    rig.change_app(WECHAT, |app| app.settings.minute_limit = Some(1)).await;
    for status in [200, 429] {
        let answer = ask(&rig, (WECHAT, SECRET), "grant_type=client_credentials").await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn an_app_may_prove_itself_in_the_form_too() {
    let rig = Rig::new().await;
    let form =
        |secret: &str| format!("grant_type=client_credentials&client_id={WECHAT}&client_secret={secret}");
    assert_eq!(rig.post(PATH, form(SECRET)).await.status, 200);
    assert_eq!(rig.post(PATH, form("wrong")).await.text("/error"), "invalid_client");
    assert_eq!(rig.post(PATH, "grant_type=client_credentials").await.status, 401);
    let named = format!("grant_type=client_credentials&client_id={WECHAT}");
    assert_eq!(ask(&rig, (WECHAT, SECRET), &named).await.status, 200, "an id alone is no second proof");
}
