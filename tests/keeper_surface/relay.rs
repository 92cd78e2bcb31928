//! Calls that a client library makes with the token it was given at a drop-in endpoint.

use std::sync::atomic::Ordering;

use axum::body::Body;
use http::{Method, Request};
use mintkeep_keeper::admin::NewConsumer;
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::keep::credential::TokenSource;
use serde_json::{Value, json};

use crate::platform::PLANTED;
use crate::rig::{Rig, consumer, name, read};

async fn rig() -> Rig {
    let rig = Rig::new().await;
    rig.add("wx", TokenSource::WeChatStable).await;
    rig.add("ding", TokenSource::DingTalk).await;
    rig.clock.advance_s(60);
    rig
}

/// The library asks for its token, with nothing but another base URL and another secret.
async fn token(rig: &Rig, secret: &str) -> String {
    let path = format!("/cgi-bin/token?grant_type=client_credential&appid=wx&secret={secret}");
    let (_, answer) = read(rig.get(&path, None).await).await;
    answer["access_token"].as_str().unwrap().to_owned()
}

/// A call with the token where each platform wants it: in the header if the path begins with a version.
async fn call(rig: &Rig, method: Method, path: &str, token: &str) -> (u16, Value) {
    let request = if path.starts_with("/v1.0/") {
        Request::builder().uri(path).header("x-acs-dingtalk-access-token", token)
    } else {
        let separator = if path.contains('?') { '&' } else { '?' };
        Request::builder().uri(format!("{path}{separator}access_token={token}"))
    };
    let request =
        request.method(method).header("authorization", "Bearer planted").header("cookie", "a=planted");
    read(rig.send(request.body(Body::from("{}")).unwrap()).await).await
}

/// What the credential holds now.
fn held(rig: &Rig, credential: &str) -> String {
    let account = rig.keeper.account(&name(credential)).unwrap();
    let leaf = rig.keeper.leaf(&account, None).unwrap();
    leaf.kept.as_ref().unwrap().access.expose().to_owned()
}

#[tokio::test]
async fn a_library_with_one_base_url_gets_its_token_and_its_calls_arrive_as_they_came() {
    let rig = rig().await;
    let shop = rig.consumer("shop").await;
    let wx = token(&rig, shop.drop_in_secret.as_str()).await;
    let ok = (200, json!({ "errcode": 0, "errmsg": "ok" }));
    let done = (200, json!({ "result": "done" }));
    #[rustfmt::skip]
    let cases = [
        (Method::POST, "/cgi-bin/menu/create?a=1", wx.clone(),         &ok),
        (Method::GET,  "//cgi-bin/getcallbackip",  wx,                 &ok),
        (Method::POST, "/wxa/msg_sec_check",       held(&rig, "wx"),   &ok),
        (Method::GET,  "/v1.0/contact/users/me",   held(&rig, "ding"), &done),
        (Method::POST, "/v1.0/oauth2/jsapiTickets", held(&rig, "ding"), &done),
    ];
    for (method, path, token, answer) in &cases {
        assert_eq!(&call(&rig, method.clone(), path, token).await, *answer, "{path}");
    }
    let sent = rig.platform.forwarded();
    for ((method, path, token, _), sent) in cases.iter().zip(&sent) {
        let uri = sent.uri().to_string();
        assert!(uri.starts_with(&format!("https://platform.example{path}")), "{uri}");
        assert_eq!((sent.method(), sent.body().as_ref()), (method, &b"{}"[..]), "{path}");
        let header = sent.headers().get("x-acs-dingtalk-access-token");
        assert!(uri.ends_with(token) || header.is_some_and(|header| header == token), "{uri}");
        assert!(
            !sent.headers().contains_key("authorization") && !sent.headers().contains_key("cookie"),
            "{path}"
        );
    }
    assert_eq!(sent.len(), cases.len());
}

#[tokio::test]
async fn a_token_that_is_not_held_here_leads_nowhere_and_is_called_dead() {
    let rig = rig().await;
    rig.consumer("shop").await;
    #[rustfmt::skip]
    let cases = [
        ("/cgi-bin/getcallbackip", 200, "errcode", json!(40001)),
        ("/wxa/msg_sec_check",     200, "errcode", json!(40001)),
        ("/get_jsapi_ticket",      200, "errcode", json!(40014)),
        ("/v1.0/contact/users/me", 400, "code",    json!("InvalidAuthentication")),
        ("/elsewhere",             404, "status",  json!(404)),
        ("/cgi-bin/../proxy/wx/a", 200, "errcode", json!(40001)),
    ];
    for (path, status, field, code) in cases {
        let answer = call(&rig, Method::GET, path, "planted-by-a-stranger").await;
        assert_eq!((answer.0, &answer.1[field]), (status, &code), "{path}: {}", answer.1);
    }
    // Where tokens are asked for, a token says nothing: the secret does.
    let (_, told) = call(
        &rig,
        Method::GET,
        "/cgi-bin/token?grant_type=client_credential&appid=wx&secret=no",
        &held(&rig, "wx"),
    )
    .await;
    assert_eq!(told["errcode"], 40125, "{told}");
    // With a good token neither goes on; and as both are the caller's mistakes, neither is told as something to try again.
    let wx = held(&rig, "wx");
    for (method, path, errcode) in
        [(Method::GET, "/cgi-bin/../a", 47001), (Method::TRACE, "/cgi-bin/a", 43001)]
    {
        let (_, told) = call(&rig, method, path, &wx).await;
        assert_eq!(told["errcode"], errcode, "{path}: {told}");
    }
    assert!(rig.platform.forwarded().is_empty());
}

#[tokio::test]
async fn a_token_that_was_replaced_is_sent_as_it_is_and_never_made_good() {
    let rig = rig().await;
    let shop = rig.consumer("shop").await;
    let first = token(&rig, shop.drop_in_secret.as_str()).await;
    rig.platform.revoke_all();
    let (_, dead) = call(&rig, Method::GET, "/cgi-bin/getcallbackip", &first).await;
    assert_eq!(dead["errcode"], 40001, "the platform's own words");
    let second = token(&rig, shop.drop_in_secret.as_str()).await;
    assert_ne!(first, second, "the call was its report");

    let (_, again) = call(&rig, Method::GET, "/cgi-bin/getcallbackip", &first).await;
    assert_eq!(again["errcode"], 40001, "only the platform knows whether it still lives");
    let sent = rig.platform.forwarded();
    assert!(sent.len() == 2 && sent.iter().all(|sent| sent.uri().to_string().ends_with(&first)), "{sent:?}");

    rig.platform.revoke_all();
    rig.clock.advance_s(60);
    call(&rig, Method::GET, "/cgi-bin/getcallbackip", &second).await;
    assert_ne!(held(&rig, "wx"), second);
    call(&rig, Method::GET, "/cgi-bin/getcallbackip", &first).await;
    assert_eq!(rig.platform.forwarded().len(), 3, "two renewals ago is too long");
}

#[tokio::test]
async fn calls_go_through_where_a_consumer_may_proxy_and_trouble_is_told_in_the_dialect() {
    let rig = rig().await;
    let reader = NewConsumer { verbs: vec![Verb::Read, Verb::Report], ..consumer("reader") };
    rig.consumer_with(reader).await;
    let (wx, ding) = (held(&rig, "wx"), held(&rig, "ding"));
    assert_eq!(call(&rig, Method::GET, "/cgi-bin/getcallbackip", &wx).await.1["errcode"], 48001);
    assert_eq!(call(&rig, Method::GET, "/v1.0/a", &ding).await.0, 403);
    assert!(rig.platform.forwarded().is_empty());

    rig.consumer("shop").await;
    rig.platform.is_down.store(true, Ordering::SeqCst);
    let (status, told) = call(&rig, Method::GET, "/cgi-bin/getcallbackip", &wx).await;
    assert_eq!((status, &told["errcode"]), (200, &json!(-1)));
    let (status, told) = call(&rig, Method::GET, "/v1.0/a", &ding).await;
    assert_eq!((status, &told["code"]), (500, &json!("unknownError")));
    assert!(!told.to_string().contains(PLANTED), "{told}");
}

#[tokio::test]
async fn a_removed_credentials_token_leads_nowhere() {
    let rig = rig().await;
    rig.consumer("shop").await;
    let wx = held(&rig, "wx");
    assert_eq!(call(&rig, Method::GET, "/cgi-bin/menu", &wx).await.1["errcode"], 0);
    let (status, _) = rig.admin("DELETE", "/credentials/wx", None).await;
    assert_eq!(status, 204);
    assert_eq!(call(&rig, Method::GET, "/cgi-bin/menu", &wx).await.1["errcode"], 40001);
    assert_eq!(rig.platform.forwarded().len(), 1);
}

#[tokio::test]
async fn a_token_that_two_credentials_share_leads_on_for_as_long_as_either_holds_it() {
    let rig = rig().await;
    rig.consumer("shop").await;
    let mut arrived = 0;
    for removed in ["ding", "first"] {
        rig.add_of_app(if removed == "ding" { "first" } else { "second" }, "ding", TokenSource::DingTalk)
            .await;
        let shared = held(&rig, removed);
        let (status, _) = rig.admin("DELETE", &format!("/credentials/{removed}"), None).await;
        assert_eq!(status, 204);
        assert_eq!(call(&rig, Method::GET, "/v1.0/a", &shared).await.0, 200, "{removed} is removed");
        arrived += 1;
    }
    rig.add_of_app("third", "ding", TokenSource::DingTalk).await;
    let shared = held(&rig, "third");
    assert_eq!(shared, held(&rig, "second"));
    // One of the two goes a renewal ahead.
    for (credential, is_revoked) in [("second", true), ("third", false), ("second", true)] {
        if is_revoked {
            rig.platform.revoke_all();
        }
        let account = rig.keeper.account(&name(credential)).unwrap();
        rig.keeper.refresh(&account, None).await.unwrap();
    }
    call(&rig, Method::GET, "/v1.0/a", &shared).await;
    assert_eq!(rig.platform.forwarded().len(), arrived + 1, "only the platform knows whether it still lives");
    let (status, _) = rig.admin("DELETE", "/credentials/third", None).await;
    assert_eq!(status, 204);
    assert_ne!(call(&rig, Method::GET, "/v1.0/a", &shared).await.0, 200, "nobody holds it any more");
    assert_eq!(rig.platform.forwarded().len(), arrived + 1);
}
