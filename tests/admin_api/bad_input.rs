//! What is refused, and how it is told.

use axum::body::Body;
use http::{Method, Request};
use serde_json::Value;

use super::desk::{Desk, TOKEN, answer_of, kind};

/// Text that a caller sends and that no answer may repeat.
const PLANTED: &str = "planted";

#[tokio::test]
async fn a_body_that_does_not_fit_is_refused_and_nothing_of_it_is_repeated() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    desk.miniprogram_app_and_customer().await;
    let long_name = format!(r#"{{"dialect":"wechat","name":"{}"}}"#, "n".repeat(129));
    let many_addresses = format!(r#"{{"addresses":[{}]}}"#, ["\"192.0.2.1\""; 257].join(","));
    let too_large = format!(r#"{{"dialect":"wechat","name":"{}"}}"#, "n".repeat(70_000));
    let many_scopes =
        format!(r#"{{"client_id":"MINI1","customer_id":"C1","scopes":[{}]}}"#, ["\"a\""; 65].join(","));
    #[rustfmt::skip]
    let cases: [(&str, &str, &str, &str, u16, &str); 47] = [
        ("no JSON",             "POST", "/admin/v1/apps", "planted",                                            400, "unreadable"),
        ("no body",             "POST", "/admin/v1/apps", "",                                                   400, "unreadable"),
        ("an array",            "POST", "/admin/v1/apps", "[]",                                                 400, "unreadable"),
        ("not UTF-8",           "POST", "/admin/v1/apps", "{\"name\":\"\u{fffd}\\ud800\"}",                     400, "unreadable"),
        ("key twice",           "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","name":"planted"}"#, 400, "unreadable"),
        ("key twice, deep",     "PATCH", "/admin/v1/apps/wx1", r#"{"settings":{"daily_quota":1,"daily_quota":2}}"#, 400, "unreadable"),
        ("unknown field",       "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","planted":1}"#,     400, "unreadable"),
        ("unknown dialect",     "POST", "/admin/v1/apps", r#"{"dialect":"planted","name":"a"}"#,                400, "unreadable"),
        ("no name",             "POST", "/admin/v1/apps", r#"{"dialect":"wechat"}"#,                            400, "unreadable"),
        ("empty name",          "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":" "}"#,                 400, "unfit"),
        ("name too long",       "POST", "/admin/v1/apps", &long_name,                                           400, "unfit"),
        ("control character",   "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"planted\u0007"}"#,     400, "unfit"),
        ("bad id",              "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","id":"planted x"}"#, 400, "unreadable"),
        ("taken id",            "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","id":"wx1"}"#,      409, "id-taken"),
        ("id of another dialect", "POST", "/admin/v1/apps", r#"{"dialect":"dingtalk","name":"a","id":"wx1"}"#,  409, "id-taken"),
        ("bad address",         "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","addresses":["planted"]}"#, 400, "unreadable"),
        ("257 addresses",       "PATCH", "/admin/v1/apps/wx1", &many_addresses,                                 400, "unfit"),
        ("bad setting",         "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","settings":{"access_lifetime_s":0}}"#, 400, "unfit"),
        ("unknown setting",     "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","settings":{"planted":0}}"#, 400, "unreadable"),
        ("key for a secret's dialect", "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","public_key_pem":"planted"}"#, 400, "unfit"),
        ("version for a secret's dialect", "POST", "/admin/v1/apps", r#"{"dialect":"wechat","name":"a","key_version":1}"#, 400, "unfit"),
        ("no key",              "POST", "/admin/v1/apps", r#"{"dialect":"alipayhk","name":"a","public_key_pem":"planted!"}"#, 400, "unfit"),
        ("too large",           "POST", "/admin/v1/apps", &too_large,                                           413, "too-large"),
        ("no such app",         "PATCH", "/admin/v1/apps/planted", r#"{"name":"a"}"#,                           404, "app-unknown"),
        ("unknown setting, change", "PATCH", "/admin/v1/apps/wx1", r#"{"settings":{"planted":1}}"#,             400, "unfit"),
        ("setting's type",      "PATCH", "/admin/v1/apps/wx1", r#"{"settings":{"daily_quota":"planted"}}"#,     400, "unfit"),
        ("day's quota, no own tokens", "POST", "/admin/v1/apps", r#"{"dialect":"alipayhk","name":"a","settings":{"daily_quota":1}}"#, 400, "unfit"),
        ("the same, change",    "PATCH", "/admin/v1/apps/MINI1", r#"{"settings":{"daily_quota":0}}"#,           400, "unfit"),
        ("settings' type",      "PATCH", "/admin/v1/apps/wx1", r#"{"settings":"planted"}"#,                     400, "unreadable"),
        ("overlap too long",    "POST", "/admin/v1/apps/wx1/rotate-secret", r#"{"overlap_s":2592001}"#,         400, "unfit"),
        ("overlap negative",    "POST", "/admin/v1/apps/wx1/rotate-secret", r#"{"overlap_s":-1}"#,              400, "unreadable"),
        ("secret of a signed app", "POST", "/admin/v1/apps/MINI1/rotate-secret", "{}",                          409, "no-secret"),
        ("freeze a signed app", "POST", "/admin/v1/apps/MINI1/freeze-secret", "",                               409, "no-secret"),
        ("key of a secret's app", "POST", "/admin/v1/apps/wx1/keys", "{}",                                      409, "no-keys"),
        ("version taken",       "POST", "/admin/v1/apps/MINI1/keys", r#"{"version":1}"#,                        409, "version-taken"),
        ("no such version",     "DELETE", "/admin/v1/apps/MINI1/keys/2", "",                                    404, "key-unknown"),
        ("version is no number", "DELETE", "/admin/v1/apps/MINI1/keys/planted", "",                             404, "no-such-name"),
        ("unknown status",      "PUT",  "/admin/v1/customers/C1", r#"{"status":"planted"}"#,                    400, "unreadable"),
        ("unknown profile field", "PUT", "/admin/v1/customers/C1", r#"{"profile":{"planted":"x"}}"#,            400, "unreadable"),
        ("bad customer id",     "PUT",  "/admin/v1/customers/planted%20x", "{}",                                404, "no-such-name"),
        ("code for no app",     "POST", "/admin/v1/codes", r#"{"client_id":"planted","customer_id":"C1","scopes":[]}"#, 404, "app-unknown"),
        ("code for nobody",     "POST", "/admin/v1/codes", r#"{"client_id":"MINI1","customer_id":"planted","scopes":[]}"#, 404, "customer-unknown"),
        ("scope not allowed",   "POST", "/admin/v1/codes", r#"{"client_id":"MINI1","customer_id":"C1","scopes":["planted"]}"#, 409, "scope-not-allowed"),
        ("too many scopes",     "POST", "/admin/v1/codes", &many_scopes,                                        400, "unfit"),
        ("no such grant",       "POST", "/admin/v1/grants/42/revoke", "",                                       404, "grant-unknown"),
        ("token is no text",    "POST", "/admin/v1/inspect", r#"{"token":["planted"]}"#,                        400, "unreadable"),
        ("key of a resource server", "POST", "/admin/v1/services", r#"{"id":"gw","role":"resource_server","assertion_key_pem":"planted"}"#, 400, "unfit"),
    ];
    for (case, method, path, body, status, problem) in cases {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json");
        let (got, told) = answer_of(&desk.admin, request.body(Body::from(body.to_owned())).unwrap()).await;
        assert_eq!((got, kind(&told)), (status, problem), "{case}: {told}");
        assert!(!told["detail"].as_str().unwrap().is_empty(), "{case} says what to do");
        assert!(!told.to_string().contains(PLANTED), "{case}: {told}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_said_to_be_json_is_refused() {
    let desk = Desk::sandbox().await;
    #[rustfmt::skip]
    let cases = [
        (Some("application/json"),                415, false),
        (Some("Application/JSON; charset=utf-8"), 415, false),
        (Some("text/json"),                       415, true),
        (Some("application/x-www-form-urlencoded"), 415, true),
        (None,                                    415, true),
    ];
    for (content_type, status, is_refused) in cases {
        let mut request =
            Request::post("/admin/v1/inspect").header("authorization", format!("Bearer {TOKEN}"));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let (got, _) = answer_of(&desk.admin, request.body(Body::from(r#"{"token":"x"}"#)).unwrap()).await;
        assert_eq!(got == status, is_refused, "{content_type:?}");
    }
}

#[tokio::test]
async fn a_query_that_does_not_fit_is_refused() {
    let desk = Desk::sandbox().await;
    #[rustfmt::skip]
    let cases = [
        ("/admin/v1/apps?most=0",            400, "unfit"),
        ("/admin/v1/apps?most=1001",         400, "unfit"),
        ("/admin/v1/apps?most=1000",         200, "-"),
        ("/admin/v1/apps?most=-1",           400, "unreadable"),
        ("/admin/v1/apps?most=1&most=2",     400, "unreadable"),
        ("/admin/v1/apps?planted=1",         400, "unreadable"),
        ("/admin/v1/apps?after=a%20b",       400, "unreadable"),
        ("/admin/v1/apps/a%20b",             404, "no-such-name"),
        ("/admin/v1/apps/%ff",               404, "no-such-name"),
        ("/admin/v1/grants?app=nobody",      404, "app-unknown"),
        ("/admin/v1/grants?after=x",         400, "unreadable"),
        ("/admin/v1/grants/x",               404, "no-such-name"),
        ("/admin/v1/audit?most=1001",        400, "unfit"),
        ("/admin/v1/audit?after=9999",       200, "-"),
        ("/admin/v1/services/nobody",        404, "service-unknown"),
        ("/admin/v1/customers/nobody",       404, "customer-unknown"),
    ];
    for (path, status, problem) in cases {
        let (got, told) = desk.get(path).await;
        assert_eq!((got, kind(&told)), (status, problem), "{path}: {told}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_with_the_right_ones() {
    use tower::ServiceExt as _;
    let desk = Desk::sandbox().await;
    let request = Request::builder()
        .method(Method::PUT)
        .uri("/admin/v1/apps")
        .header("authorization", format!("Bearer {TOKEN}"));
    let response = desk.admin.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 405);
    let allowed = response.headers()["allow"].to_str().unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    let (_, told) = desk.ask(Method::PUT, "/admin/v1/apps", Some(Value::Null)).await;
    assert_eq!(kind(&told), "wrong-method");
}
