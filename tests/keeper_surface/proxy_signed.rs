//! The proxy in front of the dialects whose calls are signed.

use std::sync::atomic::Ordering;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use mintkeep_keeper::admin::NewConsumer;
use mintkeep_protocol::dialect::alipay::put_token;
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::keep::credential::{CredentialSettings, TokenSource};
use mintkeep_protocol::secret::AccessToken;
use serde_json::{Value, json};

use crate::platform::{CANCEL, PLANTED, USER_INFO};
use crate::rig::{Rig, consumer, read};

/// A wallet's credential with one customer, `c1`, whose token was not obtained this very moment.
async fn rig(source: TokenSource, encrypts: bool) -> (Rig, String) {
    let rig = Rig::new().await;
    rig.add_wallet_of("mini", source, CredentialSettings { encrypts, ..Default::default() }).await;
    let key = rig.consumer("shop").await.key.to_string();
    let exchange = json!({ "auth_code": "c1" }).to_string();
    let (status, told) = read(call(&rig, &key, ("POST", "/v1/exchanges/mini"), exchange).await).await;
    assert_eq!(status, 200, "{told}");
    rig.clock.advance_s(60);
    (rig, key)
}

async fn call(rig: &Rig, key: &str, (method, path): (&str, &str), body: impl Into<Body>) -> Response<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        // Whether a call is encrypted is the credential's to say.
        .header("encrypt", "planted");
    rig.send(request.body(body.into()).unwrap()).await
}

async fn ask(rig: &Rig, key: &str, body: &str) -> (u16, Value) {
    read(call(rig, key, ("POST", &format!("/proxy/mini/c1{USER_INFO}?v=1")), body.to_owned()).await).await
}

#[tokio::test]
async fn a_call_is_signed_with_the_credentials_key_and_has_the_customers_token_in_its_body() {
    for (source, encrypts) in
        [(TokenSource::MiniProgram, false), (TokenSource::AlipayHk, false), (TokenSource::AlipayHk, true)]
    {
        let (rig, key) = rig(source, encrypts).await;
        let (status, told) = ask(&rig, &key, r#"{ "extendInfo":"1.10" }"#).await;
        assert_eq!((status, &told["userInfo"]["userId"]), (200, &json!("c1")), "{source:?}: {told}");
        assert!(!told.to_string().contains(PLANTED), "{told}");

        // That the signature holds is asserted by the stand-in.
        let sent = rig.platform.forwarded();
        let [sent] = sent.as_slice() else { panic!("one call: {sent:?}") };
        assert_eq!(sent.uri(), "https://wallet.example/v1/users/inquiryUserInfo?v=1");
        assert!(!sent.headers().contains_key("authorization"), "the consumer's key stays here");
        assert_eq!(sent.headers().get_all("content-type").iter().count(), 1);
        assert_eq!(sent.headers().contains_key("encrypt"), encrypts);
        let token = AccessToken::new(format!("{PLANTED}{:032}", 1));
        let plain = put_token(br#"{ "extendInfo":"1.10" }"#, &token).unwrap();
        assert_eq!(*sent.body() == plain, !encrypts, "{:?}", sent.body());
    }
}

#[tokio::test]
async fn a_dead_token_is_renewed_by_its_refresh_token_and_the_call_made_once_more() {
    for (source, encrypts) in [(TokenSource::MiniProgram, false), (TokenSource::AlipayHk, true)] {
        let (rig, key) = rig(source, encrypts).await;
        rig.platform.revoke_all();
        let before = rig.platform.calls();
        let (status, told) = ask(&rig, &key, "").await;
        assert_eq!((status, &told["userInfo"]["userId"]), (200, &json!("c1")), "{source:?}: {told}");
        assert_eq!((rig.platform.calls() - before, rig.platform.forwarded().len()), (1, 2), "{source:?}");

        // A token that was obtained a moment ago is not asked about again: the platform's own word goes back.
        rig.platform.revoke_all();
        let (status, told) = ask(&rig, &key, "").await;
        let code = &told["result"]["resultCode"];
        assert_eq!((status, code), (200, &json!("INVALID_ACCESS_TOKEN")), "{told}");
        assert_eq!((rig.platform.calls() - before, rig.platform.forwarded().len()), (1, 3), "{source:?}");
    }
}

#[tokio::test]
async fn who_may_forget_ends_a_grant_and_a_token_that_was_cancelled_is_handed_to_nobody() {
    let (rig, key) = rig(TokenSource::MiniProgram, false).await;
    let path = format!("/proxy/mini/c1{CANCEL}");
    let verbs = Verb::ALL.into_iter().filter(|verb| *verb != Verb::Forget).collect();
    let other = rig.consumer_with(NewConsumer { verbs, ..consumer("other") }).await.key.to_string();
    let (status, problem) = read(call(&rig, &other, ("POST", &path), "").await).await;
    assert_eq!((status, &problem["type"]), (403, &json!("urn:mintkeep:problem:not-proxied")));
    assert_eq!(rig.platform.forwarded().len(), 0, "nothing was sent");

    let (status, told) = read(call(&rig, &key, ("POST", &path), "").await).await;
    assert_eq!((status, &told["result"]["resultStatus"]), (200, &json!("S")), "{told}");
    let (status, problem) = read(call(&rig, &key, ("GET", "/v1/tokens/mini/c1"), "").await).await;
    assert_eq!(
        (status, &problem["type"]),
        (503, &json!("urn:mintkeep:problem:token-unavailable")),
        "{problem}"
    );
    let (_, told) = rig.admin("GET", "/tokens/mini/c1/explain", None).await;
    let line = &told["history"][0];
    assert_eq!(line["ending"]["outcome"], "forgotten", "{told}");
    assert_eq!(line["cause"], json!({ "by": "report", "consumer": "shop" }), "not an operator's wish");
}

#[tokio::test]
async fn an_answer_goes_back_with_its_signature_unless_it_was_decrypted() {
    for (source, encrypts) in [(TokenSource::MiniProgram, false), (TokenSource::AlipayHk, true)] {
        let (rig, key) = rig(source, encrypts).await;
        let answer = call(&rig, &key, ("POST", &format!("/proxy/mini/c1{USER_INFO}")), "{}").await;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("content-type"), Some("application/json; charset=UTF-8"));
        assert_eq!((header("signature").is_some(), header("encrypt")), (!encrypts, None));
    }
}

#[tokio::test]
async fn what_somebody_else_answers_is_not_passed_off_as_the_platforms() {
    let (rig, key) = rig(TokenSource::MiniProgram, false).await;
    rig.platform.is_forged.store(true, Ordering::SeqCst);
    rig.platform.revoke_all();
    let before = rig.platform.calls();
    let (status, problem) = ask(&rig, &key, "{}").await;
    assert_eq!((status, &problem["type"]), (502, &json!("urn:mintkeep:problem:platform-unproved")));
    assert_eq!(rig.platform.calls(), before, "and no token is renewed on its word");
}

#[tokio::test]
async fn what_is_not_to_be_signed_is_refused_before_anything_is_sent() {
    let (rig, key) = rig(TokenSource::MiniProgram, false).await;
    let reader = NewConsumer { verbs: vec![Verb::Read], ..consumer("reader") };
    let reader = rig.consumer_with(reader).await.key.to_string();
    let before = rig.platform.calls();
    let user_info = format!("/proxy/mini/c1{USER_INFO}");
    let long = format!(r#"{{"a":"{}"}}"#, "a".repeat(1024 * 1024));
    #[rustfmt::skip]
    let cases = [
        ("no key",                "POST", "planted",      user_info.as_str(),                            "{}",                      401),
        ("without the verb",      "POST", &reader,        &user_info,                                    "{}",                      403),
        ("no customer",           "POST", key.as_str(),   "/proxy/mini/c1",                              "{}",                      400),
        ("an unknown customer",   "POST", &key,           "/proxy/mini/c2/v1/a",                         "{}",                      404),
        ("a path for a customer", "POST", &key,           "/proxy/mini/v1/users/inquiryUserInfo",        "{}",                      404),
        ("a path that climbs",    "POST", &key,           "/proxy/mini/c1/%2e%2e/a",                     "{}",                      400),
        ("the token endpoint",    "POST", &key,           "/proxy/mini/c1/v1/authorizations/applyToken", "{}",                      403),
        ("the same, hidden",      "POST", &key,           "/proxy/mini/c1/v1//authorizations/%61pplytoken/", "{}",                  403),
        ("the same, by another name", "POST", &key,       "/proxy/mini/c1/v1/authorizations/applyToken.htm", "{}",                  403),
        ("the same, and a blank", "POST", &key,           "/proxy/mini/c1/v1/authorizations/applyToken/%20", "{}",                  403),
        ("another method",        "GET",  &key,           &user_info,                                    "",                        405),
        ("a token of its own",    "POST", &key,           &user_info,                                    r#"{"accessToken":"t"}"#,  400),
        ("no object",             "POST", &key,           &user_info,                                    "a=b",                     400),
        ("too long",              "POST", &key,           &user_info,                                    &long,                     413),
    ];
    for (case, method, key, path, body, status) in cases {
        let answer = call(&rig, key, (method, path), body.to_owned()).await;
        assert_eq!(answer.status(), status, "{case}");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&text).contains(PLANTED), "{case}");
    }
    assert_eq!((rig.platform.forwarded().len(), rig.platform.calls()), (0, before));
    rig.platform.is_down.store(true, Ordering::SeqCst);
    let (status, problem) = ask(&rig, &key, "{}").await;
    assert_eq!((status, &problem["type"]), (502, &json!("urn:mintkeep:problem:platform-unreachable")));
}
