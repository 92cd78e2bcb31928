//! The two signed dialects through the routes.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http::header::HeaderValue;
use mintkeep_protocol::app::{App, AppStatus};
use mintkeep_protocol::dialect::alipay::Gateway;
use mintkeep_protocol::ident::{AppId, Dialect, RecordId};
use mintkeep_protocol::port::issuer_store::IssuerStore as _;
use mintkeep_protocol::record::{AuditAction, CustomerStatus};
use serde_json::{Value, json};

use super::rig::{ACTIVE, Answer, HK, MINI, Rig, apply_path, open, signed_at};

const BOTH: [&str; 2] = [MINI, HK];

/// Whether an answer bears the platform's signature over what it says.
fn is_signed(rig: &Rig, id: &str, path: &str, answer: &Answer) -> bool {
    let gateway = if id == HK { Gateway::AlipayHk } else { Gateway::MiniProgram };
    let key = rig.issuer.signer.latest(gateway.dialect()).unwrap();
    let header = answer.header("signature");
    let value = header.rsplit("signature=").next().unwrap_or_default();
    let value = value.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let mut text = format!("POST {path}\n{id}.{}.", answer.header("response-time")).into_bytes();
    text.extend_from_slice(&answer.body);
    STANDARD.decode(value).is_ok_and(|signature| key.private.public().verify(&text, &signature))
}

#[tokio::test]
async fn a_code_buys_a_signed_pair_which_a_refresh_token_renews() {
    for id in BOTH {
        let rig = Rig::new().await;
        let first = rig.exchange(id, &rig.code(id, ACTIVE).await).await;
        assert_eq!(
            (first.status, first.code().as_str(), first.text("/result/resultStatus").as_str()),
            (200, "SUCCESS", "S")
        );
        assert_eq!(first.header("client-id"), id);
        assert_eq!(first.header("content-type"), "application/json; charset=UTF-8");
        assert!(is_signed(&rig, id, apply_path(id), &first), "{id}");
        assert_eq!(first.text("/customerId"), ACTIVE);
        assert_eq!(first.text("/accessTokenExpiryTime"), "2027-01-16T16:00:00+08:00");
        assert_eq!(first.text("/refreshTokenExpiryTime"), "2027-01-18T16:00:00+08:00");

        rig.pass(Duration::from_hours(1));
        let second = rig.refresh(id, &first.text("/refreshToken")).await;
        assert_eq!(second.code(), "SUCCESS", "{id}");
        let (old, new) = (first.text("/accessToken"), second.text("/accessToken"));
        rig.pass(Duration::from_millis(299_999));
        assert!(rig.is_active(&old).await && rig.is_active(&new).await, "{id}");
        rig.pass(Duration::from_millis(1));
        assert!(!rig.is_active(&old).await && rig.is_active(&new).await, "{id}");
    }
}

#[tokio::test]
async fn each_end_of_a_code_and_of_a_refresh_token_has_its_word() {
    // The names of: code used, expired, another app's, garbage; refresh token used, expired, garbage.
    let words = [
        (
            MINI,
            HK,
            [
                "USED_CODE",
                "EXPIRED_CODE",
                "INVALID_CODE",
                "INVALID_CODE",
                "USED_REFRESH_TOKEN",
                "EXPIRED_REFRESH_TOKEN",
                "INVALID_REFRESH_TOKEN",
            ],
        ),
        (
            HK,
            MINI,
            [
                "INVALID_AUTHCODE",
                "AUTH_CODE_EXPIRED",
                "INVALID_AUTHCODE",
                "PARAM_ILLEGAL",
                "PROCESS_FAIL",
                "PROCESS_FAIL",
                "PROCESS_FAIL",
            ],
        ),
    ];
    for (id, other, [used, expired, others, garbage, refresh_used, refresh_expired, refresh_garbage]) in words
    {
        let rig = Rig::new().await;
        let code = rig.code(id, ACTIVE).await;
        let first = rig.exchange(id, &code).await;
        rig.pass(Duration::from_secs(1));
        assert_eq!(rig.exchange(id, &code).await.code(), used);
        let late = rig.code(id, ACTIVE).await;
        let not_ours = rig.code(other, ACTIVE).await;
        assert_eq!(rig.exchange(id, &not_ours).await.code(), others);
        assert_eq!(rig.exchange(id, "2810111301lGZcM9CjlF91WH00039190xxxx").await.code(), garbage);
        rig.pass(Duration::from_mins(10));
        assert_eq!(rig.exchange(id, &late).await.code(), expired);

        let token = first.text("/refreshToken");
        let second = rig.refresh(id, &token).await;
        rig.pass(Duration::from_secs(1));
        assert_eq!(rig.refresh(id, &token).await.code(), refresh_used);
        assert_eq!(rig.refresh(id, "2810111301lGZcM9CjlF91WH00039190xxxx").await.code(), refresh_garbage);
        rig.pass(Duration::from_hours(72));
        assert_eq!(rig.refresh(id, &second.text("/refreshToken")).await.code(), refresh_expired);
    }
}

#[tokio::test]
async fn a_replayed_code_ends_its_tokens_though_somebody_else_changes_the_grant_at_that_moment() {
    let rig = Rig::new().await;
    let code = rig.code(MINI, ACTIVE).await;
    let token = rig.exchange(MINI, &code).await.text("/accessToken");
    rig.pass(Duration::from_hours(1));
    rig.store.be_beaten(1);
    assert_eq!(rig.exchange(MINI, &code).await.code(), "USED_CODE");
    assert!(!rig.is_active(&token).await, "whoever has a used code may have its tokens too");
    let audit = rig.store.audit_tail(None, 9).await.unwrap();
    let lines = audit.iter().filter(|(_, line)| line.action == AuditAction::CodeReplayed);
    assert_eq!(lines.filter(|(_, line)| line.subject != "a rival").count(), 1);
}

#[tokio::test]
async fn the_customers_state_is_told_and_spends_no_code() {
    let words = [(MINI, "PROCESS_FAIL", "PROCESS_FAIL"), (HK, "USER_STATUS_ABNORMAL", "USER_NOT_EXIST")];
    for (id, frozen, gone) in words {
        let rig = Rig::new().await;
        let code = rig.code(id, ACTIVE).await;
        rig.put_customer(ACTIVE, CustomerStatus::Frozen).await;
        assert_eq!(rig.exchange(id, &code).await.code(), frozen);
        rig.put_customer(ACTIVE, CustomerStatus::Deleted).await;
        assert_eq!(rig.exchange(id, &code).await.code(), gone);
        rig.put_customer(ACTIVE, CustomerStatus::Active).await;
        assert_eq!(rig.exchange(id, &code).await.code(), "SUCCESS", "{id}");
    }
}

/// How a request is spoilt.
type Spoil = fn(&mut Request<Body>);
/// How an app is changed first.
type Change = fn(&mut App);

#[tokio::test]
async fn who_does_not_prove_itself_is_refused_in_order_and_neither_learns_nor_changes_anything_of_a_code() {
    fn set(request: &mut Request<Body>, name: &'static str, value: &'static str) {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let keep: Change = |_| {};
    let disable: Change = |app| app.status = AppStatus::Disabled;
    let elsewhere: Change = |app| app.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    let nothing: Spoil = |_| {};
    let no_id: Spoil = |request| drop(request.headers_mut().remove("client-id"));
    let stranger: Spoil = |request| set(request, "client-id", "MINI9");
    let unsigned: Spoil = |request| drop(request.headers_mut().remove("signature"));
    let forged: Spoil = |request| set(request, "signature", "algorithm=RSA256,keyVersion=1,signature=AAAA");
    let other_key: Spoil =
        |request| set(request, "signature", "algorithm=RSA256,keyVersion=9,signature=AAAA");
    let other_body: Spoil = |request| *request.body_mut() = Body::from(r#"{"grantType":"REFRESH_TOKEN"}"#);
    let other_time: Spoil = |request| set(request, "request-time", "1800000000001");

    #[rustfmt::skip]
    let cases: [(&str, Change, Spoil, &str, &str); 10] = [
        ("no id",           keep,      no_id,      "PARAM_ILLEGAL",              "PARAM_ILLEGAL"),
        ("unknown id",      keep,      stranger,   "INVALID_CLIENT",             "PARAM_ILLEGAL"),
        ("disabled",        disable,   forged,     "INVALID_AUTH_CLIENT_STATUS", "PARAM_ILLEGAL"),
        ("no signature",    keep,      unsigned,   "INVALID_SIGNATURE",          "PARAM_ILLEGAL"),
        ("forged",          keep,      forged,     "INVALID_SIGNATURE",          "PARAM_ILLEGAL"),
        ("unknown key",     keep,      other_key,  "KEY_NOT_FOUND",              "PARAM_ILLEGAL"),
        ("another body",    keep,      other_body, "INVALID_SIGNATURE",          "PARAM_ILLEGAL"),
        ("another time",    keep,      other_time, "INVALID_SIGNATURE",          "PARAM_ILLEGAL"),
        ("not on the list", elsewhere, nothing,    "ACCESS_DENIED",              "PARAM_ILLEGAL"),
        ("good",            keep,      nothing,    "SUCCESS",                    "SUCCESS"),
    ];
    for id in BOTH {
        let rig = Rig::new().await;
        let code = rig.code(id, ACTIVE).await;
        let body = json!({"grantType": "AUTHORIZATION_CODE", "authCode": code}).to_string();
        for (case, change, spoil, mini, hk) in cases {
            rig.change_app(id, |app| (app.status, app.addresses) = (AppStatus::Active, vec![])).await;
            rig.change_app(id, change).await;
            let mut request = rig.signed(id, apply_path(id), &body);
            spoil(&mut request);
            let answer = rig.send(request).await;
            let expected = if id == MINI { mini } else { hk };
            assert_eq!((answer.status, answer.code().as_str()), (200, expected), "{id}: {case}");
        }
    }
}

#[tokio::test]
async fn a_request_is_taken_within_five_minutes_of_its_own_time() {
    for id in BOTH {
        let rig = Rig::new().await;
        let body = json!({"grantType": "AUTHORIZATION_CODE", "authCode": "x"}).to_string();
        let now = rig.issuer.now();
        let early = now.before(Duration::from_millis(300_001));
        let answer = rig.send(signed_at(id, apply_path(id), &body, early)).await;
        assert_eq!(answer.code(), "PARAM_ILLEGAL", "{id}");
        let code = rig.code(id, ACTIVE).await;
        let body = json!({"grantType": "AUTHORIZATION_CODE", "authCode": code}).to_string();
        let just = now.before(Duration::from_mins(5));
        assert_eq!(rig.send(signed_at(id, apply_path(id), &body, just)).await.code(), "SUCCESS", "{id}");
    }
}

#[tokio::test]
async fn fields_are_checked_and_what_is_null_is_absent() {
    let rig = Rig::new().await;
    let long = "a".repeat(65);
    #[rustfmt::skip]
    let cases: [(&str, Value, &str); 6] = [
        ("no grant type",      json!({"authCode": "a"}),                                            "PARAM_ILLEGAL"),
        ("unknown grant type", json!({"grantType": "PASSWORD"}),                                    "AUTH_CLIENT_UNSUPPORTED_GRANT_TYPE"),
        ("no code",            json!({"grantType": "AUTHORIZATION_CODE"}),                          "PARAM_ILLEGAL"),
        ("a null code",        json!({"grantType": "AUTHORIZATION_CODE", "authCode": null}),        "PARAM_ILLEGAL"),
        ("a long code",        json!({"grantType": "AUTHORIZATION_CODE", "authCode": long}),        "PARAM_ILLEGAL"),
        ("a special one",      json!({"grantType": "AUTHORIZATION_CODE", "authCode": "a@b"}),       "PARAM_ILLEGAL"),
    ];
    for (case, body, code) in cases {
        assert_eq!(rig.call(MINI, apply_path(MINI), &body).await.code(), code, "{case}");
    }
    let get = Request::get(apply_path(MINI)).body(Body::empty()).unwrap();
    assert_eq!(rig.send(get).await.code(), "METHOD_NOT_SUPPORTED");
    assert_eq!(rig.call(MINI, "/v1/nothing", &json!({})).await.code(), "INVALID_API");
}

#[tokio::test]
async fn an_app_that_may_not_refresh_hears_so_whatever_token_it_shows() {
    let rig = Rig::new().await;
    let pair = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await;
    rig.change_app(MINI, |app| app.settings.refuses_refresh = true).await;
    for token in ["abc", &pair.text("/accessToken"), &pair.text("/refreshToken")] {
        assert_eq!(rig.refresh(MINI, token).await.code(), "AUTH_CLIENT_UNSUPPORTED_GRANT_TYPE");
    }
}

#[tokio::test]
async fn a_cancelled_token_is_gone_with_its_refresh_token_and_cancelling_twice_is_as_good_as_once() {
    const CANCEL: &str = "/v1/authorizations/cancelToken";
    let rig = Rig::new().await;
    let pair = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await;
    let body = json!({"accessToken": pair.text("/accessToken")});
    for _ in 0..2 {
        assert_eq!(rig.call(MINI, CANCEL, &body).await.code(), "SUCCESS");
    }
    assert!(!rig.is_active(&pair.text("/accessToken")).await);
    assert_eq!(rig.refresh(MINI, &pair.text("/refreshToken")).await.code(), "INVALID_REFRESH_TOKEN");
    let garbage = rig.call(MINI, CANCEL, &json!({"accessToken": "abc"})).await;
    assert_eq!(garbage.code(), "INVALID_ACCESS_TOKEN");
}

#[tokio::test]
async fn who_the_customer_is_can_be_asked_under_both_names_as_far_as_the_token_goes() {
    for path in ["/v1/customers/user/inquiryUserInfoByAccessToken", "/v1/users/inquiryUserInfo"] {
        let rig = Rig::new().await;
        let pair = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await;
        let ask = async |token: &str| rig.call(MINI, path, &json!({"accessToken": token})).await;
        let told = ask(&pair.text("/accessToken")).await;
        assert_eq!(told.json()["userInfo"], json!({"userId": ACTIVE, "nickName": "Tai Man"}), "{path}");
        assert_eq!(ask(&pair.text("/refreshToken")).await.code(), "INVALID_ACCESS_TOKEN");
        rig.pass(Duration::from_hours(24));
        assert_eq!(ask(&pair.text("/accessToken")).await.code(), "EXPIRED_ACCESS_TOKEN");
    }
}

#[tokio::test]
async fn another_apps_token_tells_nothing_of_its_customer_and_is_not_cancelled() {
    const OTHER: &str = "MINI0000000000000002";
    let rig = Rig::new().await;
    let twin = |app: &mut App| {
        (app.no, app.id, app.revision) = (RecordId::from_number(9), AppId::parse(OTHER).unwrap(), 0);
    };
    rig.change_app(MINI, twin).await;
    let theirs = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await.text("/accessToken");
    let body = json!({"accessToken": theirs});
    for path in ["/v1/users/inquiryUserInfo", "/v1/authorizations/cancelToken"] {
        assert_eq!(rig.call(OTHER, path, &body).await.code(), "INVALID_ACCESS_TOKEN", "{path}");
    }
    assert_eq!(rig.call(MINI, "/v1/users/inquiryUserInfo", &body).await.code(), "SUCCESS");
}

#[tokio::test]
async fn a_key_that_another_replica_drew_is_found_as_soon_as_a_request_names_it() {
    let rig = Rig::new().await;
    let other = open(rig.store.clone(), rig.clock.clone()).await;
    let (one, other) = (&rig.issuer.signer, &other.signer);
    let dialect = Dialect::MiniProgram;
    assert_eq!(one.rotate(dialect).await.unwrap(), 2);
    let found = other.key(dialect, Some(2)).await.unwrap().unwrap();
    let drawn = one.latest(dialect).unwrap();
    assert_eq!(found.private.public().to_pem(), drawn.private.public().to_pem());
    assert!(other.key(dialect, Some(3)).await.unwrap().is_none());
    assert_eq!(one.rotate(dialect).await.unwrap(), 3);
    assert_eq!(other.rotate(dialect).await.unwrap(), 4, "none is taken for another's");
}
