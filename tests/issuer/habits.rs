//! Habits of public clients that every endpoint bears: what they leave out, and what they ask for and don't mean.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use hyper::body::Frame;
use serde_json::json;

use super::rig::{ACTIVE, DINGTALK, HK, MINI, Rig, SECRET, WECHAT, apply_path, wechat_target};

/// A body that comes a piece at a time, and whose length nobody says.
struct Pieces(VecDeque<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// Source: `protocols/miniprogram.md`, "Never negotiate on `Accept` (one official SDK's list has no JSON)".
#[tokio::test]
async fn what_a_client_says_to_accept_changes_nothing() {
    let rig = Rig::new().await;
    for accept in ["text/xml,text/javascript,text/html", "application/json;q=0", "image/png", "*", ""] {
        let mut requests = vec![
            Request::get(wechat_target()).body(Body::empty()).unwrap(),
            Request::get(format!("/gettoken?appkey={DINGTALK}&appsecret={SECRET}"))
                .body(Body::empty())
                .unwrap(),
        ];
        for id in [MINI, HK] {
            let code = rig.code(id, ACTIVE).await;
            let body = json!({"grantType": "AUTHORIZATION_CODE", "authCode": code}).to_string();
            requests.push(rig.signed(id, apply_path(id), &body));
        }
        for mut request in requests {
            let path = request.uri().path().to_owned();
            request.headers_mut().insert(ACCEPT, accept.parse().unwrap());
            let answer = rig.send(request).await;
            assert!(answer.header("content-type").starts_with("application/json"), "{path} for {accept:?}");
            let is_granted =
                ["access_token", "accessToken"].iter().any(|name| !answer.json()[name].is_null());
            assert!(answer.status == 200 && is_granted, "{path} for {accept:?}: {:?}", answer.body);
        }
    }
}

/// Source: `protocols/wechat.md`, "No User-Agent, no Accept, chunked bodies, any JSON key order"; likewise
/// `protocols/dingtalk.md`, "Chunked bodies and bodies without charset must work".
#[tokio::test]
async fn bodies_come_in_pieces_with_their_keys_in_any_order_and_under_any_name_for_json() {
    let rig = Rig::new().await;
    let dingtalk = [
        format!(r#"{{"appKey":"{DINGTALK}","appSecret":"{SECRET}"}}"#),
        format!(r#"{{"appSecret":"{SECRET}","appKey":"{DINGTALK}"}}"#),
    ];
    let wechat = [
        format!(r#"{{"grant_type":"client_credential","appid":"{WECHAT}","secret":"{SECRET}"}}"#),
        format!(
            r#"{{"secret":"{SECRET}","force_refresh":false,"appid":"{WECHAT}","grant_type":"client_credential"}}"#
        ),
    ];
    let dingtalk = dingtalk.map(|body| ("/v1.0/oauth2/accessToken", body));
    let wechat = wechat.map(|body| ("/cgi-bin/stable_token", body));
    for (path, body) in dingtalk.into_iter().chain(wechat) {
        for content_type in [None, Some("application/json"), Some("application/json; charset=utf-8")] {
            let pieces = body.as_bytes().chunks(7).map(Bytes::copy_from_slice).collect();
            let mut request = Request::post(path).body(Body::new(Pieces(pieces))).unwrap();
            if let Some(content_type) = content_type {
                request.headers_mut().insert(CONTENT_TYPE, content_type.parse().unwrap());
            }
            let answer = rig.send(request).await;
            let is_granted =
                ["access_token", "accessToken"].iter().any(|name| !answer.json()[name].is_null());
            assert!(is_granted, "{path} {body} under {content_type:?}: {:?}", answer.body);
        }
    }
}
