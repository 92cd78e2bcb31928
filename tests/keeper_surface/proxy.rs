//! The proxy.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Frame;
use mintkeep_protocol::keep::credential::TokenSource;
use serde_json::json;

use crate::platform::PLANTED;
use crate::rig::{ADMIN, Rig, by, name, read};

async fn rig() -> (Rig, String) {
    let rig = Rig::new().await;
    rig.add("wx", TokenSource::WeChatStable).await;
    rig.add("ding", TokenSource::DingTalk).await;
    rig.clock.advance_s(60);
    let made = rig.consumer("shop").await;
    (rig, made.key.to_string())
}

async fn call(rig: &Rig, key: &str, method: &str, path: &str, body: Body) -> Response<Body> {
    let request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    rig.send(request.body(body).unwrap()).await
}

#[tokio::test]
async fn a_call_goes_to_the_platform_with_the_token_where_it_belongs_and_nothing_of_ours() {
    let (rig, key) = rig().await;
    let answer =
        call(&rig, &key, "POST", "/proxy/wx/cgi-bin/menu?a=1&access_token=mine", Body::from("{}")).await;
    assert_eq!(read(answer).await, (200, json!({ "errcode": 0, "errmsg": "ok" })));
    let answer = call(&rig, &key, "GET", "/proxy/ding/v1.0/users?access_token=mine", Body::empty()).await;
    assert_eq!(read(answer).await, (200, json!({ "result": "done" })));

    let sent = rig.platform.forwarded();
    let uris: Vec<String> = sent.iter().map(|request| request.uri().to_string()).collect();
    assert!(
        uris[0].starts_with(&format!("https://platform.example/cgi-bin/menu?a=1&access_token={PLANTED}")),
        "{uris:?}"
    );
    assert_eq!(uris[1], "https://platform.example/v1.0/users");
    assert_eq!(sent[0].body(), "{}");
    for request in sent {
        assert!(!request.headers().contains_key("authorization"), "the consumer's key stays here");
    }
}

#[tokio::test]
async fn the_token_is_put_by_the_platforms_own_path_whatever_stands_before_it() {
    let (rig, key) = rig().await;
    rig.keeper.move_credential(&name("ding"), "https://egress.example/gw", &by()).await.unwrap();
    let account = rig.keeper.account(&name("ding")).unwrap();
    let token = rig.keeper.leaf(&account, None).unwrap().kept.as_ref().unwrap().access.expose().to_owned();
    for (path, is_passed_on) in [("/v1.0/users", false), ("//v1.0/users", false), ("//v1.0/users", true)] {
        let asked = if is_passed_on {
            let request = Request::get(path).header("x-acs-dingtalk-access-token", &token);
            rig.send(request.body(Body::empty()).unwrap()).await
        } else {
            call(&rig, &key, "GET", &format!("/proxy/ding{path}"), Body::empty()).await
        };
        assert_eq!(read(asked).await, (200, json!({ "result": "done" })), "{path}");
        let sent = rig.platform.forwarded().pop().unwrap();
        assert_eq!(sent.uri().to_string(), format!("https://egress.example/gw{path}"));
    }
}

#[tokio::test]
async fn a_dead_token_is_renewed_and_the_call_made_once_more() {
    let (rig, key) = rig().await;
    for (path, calls) in [("/proxy/wx/cgi-bin/menu", 1), ("/proxy/ding/v1.0/users", 2)] {
        rig.platform.revoke_all();
        let (before, sent) = (rig.platform.calls(), rig.platform.forwarded().len());
        let (status, answer) = read(call(&rig, &key, "POST", path, Body::from("{}")).await).await;
        assert_eq!((status, answer.get("code")), (200, None), "{path}: {answer}");
        assert_ne!(answer["errcode"], 40001, "{path}");
        assert_eq!(
            (rig.platform.calls() - before, rig.platform.forwarded().len() - sent),
            (1, 2),
            "{path} {calls}"
        );
    }
}

#[tokio::test]
async fn a_long_body_streams_through_and_is_not_sent_twice() {
    let (rig, key) = rig().await;
    let long = vec![b'a'; 200_000];
    rig.platform.revoke_all();
    let (_, answer) =
        read(call(&rig, &key, "POST", "/proxy/wx/upload", Body::from(long.clone())).await).await;
    assert_eq!(answer["errcode"], 40001, "its caller sends it again");
    let (_, answer) =
        read(call(&rig, &key, "POST", "/proxy/wx/upload", Body::from(long.clone())).await).await;
    assert_eq!(answer["errcode"], 0, "with the token that was renewed meanwhile");
    let sent = rig.platform.forwarded();
    assert_eq!((sent.len(), sent[1].body().len()), (2, long.len()));

    let answer = call(&rig, &key, "GET", "/proxy/wx/file", Body::empty()).await;
    assert!(!answer.headers().contains_key("x-hop") && !answer.headers().contains_key("connection"));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), 1_000_000);
}

#[tokio::test]
async fn a_long_body_is_framed_for_the_platform_whatever_its_caller_speaks() {
    let (rig, key) = rig().await;
    #[rustfmt::skip]
    let cases = [
        ("POST", Version::HTTP_10, Some("200000")),
        ("POST", Version::HTTP_11, Some("200000")),
        ("GET",  Version::HTTP_11, Some("200000")),
        ("POST", Version::HTTP_11, None),
        ("GET",  Version::HTTP_11, None),
    ];
    for (method, version, length) in cases {
        let bytes = Bytes::from(vec![b'a'; 200_000]);
        let body = match length {
            Some(_) => Body::from(bytes),
            None => Body::new(Full::new(bytes).map_frame(|unmeasured| unmeasured)),
        };
        let request = Request::builder().method(method).uri("/proxy/wx/upload").version(version);
        let request = request.header("authorization", format!("Bearer {key}")).body(body).unwrap();
        assert_eq!(rig.send(request).await.status(), 200, "{method} {version:?} {length:?}");
        let sent = rig.platform.forwarded().pop().unwrap();
        let said = |name: &str| sent.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let chunked = length.is_none().then(|| "chunked".to_owned());
        assert_eq!(
            (sent.version(), said("content-length").as_deref(), said("transfer-encoding"), sent.body().len()),
            (Version::HTTP_11, length, chunked, 200_000),
            "{method} {version:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_to_be_forwarded_is_not() {
    let (rig, key) = rig().await;
    let before = rig.platform.calls();
    #[rustfmt::skip]
    let cases = [
        ("no key",             "GET",   "planted",   "/proxy/wx/a",           401),
        ("no such credential", "GET",   key.as_str(), "/proxy/none/a",         403),
        ("a path that climbs", "GET",   &key,        "/proxy/wx/../ding/a",   400),
        ("escaped",            "GET",   &key,        "/proxy/wx/%2e%2e/a",    400),
        ("a method of proxies", "TRACE", &key,       "/proxy/wx/a",           405),
        ("a token endpoint",   "GET",   &key,        "/proxy/wx/cgi-bin/token?secret=no", 403),
        ("another",            "POST",  &key,        "/proxy/wx//cgi-bin/stable_token",   403),
        ("escaped, slashes",   "GET",   &key,        "/proxy/wx/cgi-bin/%74oken/?secret=no", 403),
        ("DingTalk's",         "POST",  &key,        "/proxy/ding/v1.0/oauth2/accessToken", 403),
        ("with slashes",       "POST",  &key,        "/proxy/ding//v1.0/oauth2//accessToken/", 403),
    ];
    for (case, method, key, path, status) in cases {
        assert_eq!(call(&rig, key, method, path, Body::empty()).await.status(), status, "{case}");
    }
    assert_eq!((rig.platform.forwarded().len(), rig.platform.calls()), (0, before));
    rig.platform.is_down.store(true, Ordering::SeqCst);
    let (status, problem) = read(call(&rig, &key, "GET", "/proxy/wx/a", Body::empty()).await).await;
    assert_eq!((status, &problem["type"]), (502, &json!("urn:mintkeep:problem:platform-unreachable")));
    assert!(!problem.to_string().contains(PLANTED), "{problem}");
}

#[tokio::test]
async fn another_protocol_that_nobody_asked_for_goes_no_further() {
    let (rig, key) = rig().await;
    let (status, problem) = read(call(&rig, &key, "GET", "/proxy/wx/upgrade", Body::empty()).await).await;
    assert_eq!((status, &problem["type"]), (502, &json!("urn:mintkeep:problem:platform-broke-off")));
}

#[tokio::test]
async fn a_platform_that_can_not_be_reached_is_left_alone_for_a_while() {
    let (rig, key) = rig().await;
    let status = async || call(&rig, &key, "GET", "/proxy/wx/a", Body::empty()).await.status();
    rig.platform.is_down.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(status().await, 502);
    }
    rig.platform.is_down.store(false, Ordering::SeqCst);
    assert_eq!((status().await.as_u16(), rig.platform.forwarded().len()), (502, 0), "the breaker is open");
    // As it is for renewals, which have the same one.
    let refreshed = rig.admin("POST", "/tokens/wx/refresh", None).await;
    assert!(refreshed.0 >= 500, "{refreshed:?}");
    let answer = call(&rig, &key, "GET", "/proxy/ding/v1.0/users", Body::empty()).await;
    assert_eq!(answer.status(), 502, "another credential of the same platform");
}

/// A body that breaks off after its first piece.
struct BreaksOff(Option<Bytes>);

impl hyper::body::Body for BreaksOff {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let gone = || std::io::Error::other("gone");
        Poll::Ready(Some(self.0.take().map(Frame::data).ok_or_else(gone)))
    }
}

#[tokio::test]
async fn callers_who_break_off_are_no_fault_of_the_platforms() {
    let (rig, key) = rig().await;
    for _ in 0..5 {
        let body = BreaksOff(Some(vec![b'a'; 200_000].into()));
        let answer = call(&rig, &key, "POST", "/proxy/wx/a", Body::new(body)).await;
        assert_eq!(answer.status(), 504);
    }
    let answer = call(&rig, &key, "GET", "/proxy/wx/a", Body::empty()).await;
    assert_ne!(answer.status(), 502, "the breaker is closed");
}

#[tokio::test]
async fn a_wrong_method_of_our_own_api_is_told_with_the_right_ones() {
    let (rig, key) = rig().await;
    for (path, key, allowed) in [
        ("/v1/tokens/wx/report", key.as_str(), "POST"),
        ("/v1/exchanges/mini", &key, "POST"),
        ("/v1/tokens/wx", &key, "GET,HEAD"),
        ("/admin/v1/keeper/credentials", ADMIN, "POST,GET,HEAD"),
    ] {
        let answer = call(&rig, key, "PATCH", path, Body::empty()).await;
        assert_eq!(
            answer.headers().get("allow").map(|value| value.to_str().unwrap()),
            Some(allowed),
            "{path}"
        );
        let (status, problem) = read(answer).await;
        assert_eq!((status, &problem["type"]), (405, &json!("urn:mintkeep:problem:wrong-method")), "{path}");
    }
}
