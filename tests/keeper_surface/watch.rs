//! `/v1/watch`.

use axum::body::Body;
use http_body_util::BodyExt as _;
use mintkeep_protocol::keep::credential::TokenSource;

use crate::rig::{Rig, read};

const BEAT: &str = ": still here\n\n";

/// The next piece of a stream; `None`: it ended.
async fn piece(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

/// The next piece that is no heartbeat.
async fn next(body: &mut Body) -> Option<String> {
    loop {
        match piece(body).await {
            Some(text) if text == BEAT => {}
            other => return other,
        }
    }
}

#[tokio::test]
async fn a_watcher_hears_of_each_new_version_of_its_credential_and_never_a_token() {
    let rig = Rig::new().await;
    rig.add("mine", TokenSource::WeChatToken).await;
    rig.add("other", TokenSource::WeChatToken).await;
    let made = rig.consumer("shop").await;
    let response = rig.get("/v1/watch?credential=mine", Some(&made.key)).await;
    let (headers, no) = (response.headers(), "no".parse().unwrap());
    assert_eq!(response.status(), 200);
    assert_eq!(
        (&headers["content-type"], &headers["x-accel-buffering"]),
        (&"text/event-stream".parse().unwrap(), &no)
    );
    let mut stream = response.into_body();
    let first = next(&mut stream).await.unwrap();
    assert!(first.starts_with("event: version\ndata: {\"credential\":\"mine\","), "{first}");

    rig.admin("POST", "/tokens/other/refresh", None).await;
    rig.admin("POST", "/tokens/mine/refresh", None).await;
    let second = next(&mut stream).await.unwrap();
    assert!(
        second.starts_with("event: version\ndata: {\"credential\":\"mine\",") && second != first,
        "{second}"
    );
    assert!(!format!("{first}{second}").contains("planted"));
    assert_eq!(piece(&mut stream).await.unwrap(), BEAT, "nothing happens for a while");

    let _what_is_left = rig.tasks.shutdown(std::time::Duration::ZERO).await;
    assert_eq!(next(&mut stream).await, None, "it ends when the listener does");
}

#[tokio::test]
async fn a_watcher_who_was_too_slow_is_told_how_much_it_missed() {
    let rig = Rig::new().await;
    rig.add("mine", TokenSource::WeChatToken).await;
    let made = rig.consumer("shop").await;
    let mut stream = rig.get("/v1/watch?credential=mine", Some(&made.key)).await.into_body();
    for _ in 0..10 {
        assert_eq!(rig.admin("POST", "/tokens/mine/refresh", None).await.0, 200);
    }
    assert!(next(&mut stream).await.unwrap().starts_with("event: version\n"), "as it was at first");
    assert_eq!(next(&mut stream).await.unwrap(), "event: missed\ndata: {\"events\":2}\n\n");
    assert!(next(&mut stream).await.unwrap().starts_with("event: version\n"));
}

#[tokio::test]
async fn who_may_not_read_may_not_watch_and_who_is_revoked_hears_no_more() {
    let rig = Rig::new().await;
    rig.add("mine", TokenSource::WeChatToken).await;
    let made = rig.consumer("shop").await;
    #[rustfmt::skip]
    let cases = [
        ("/v1/watch?credential=mine", None,             401),
        ("/v1/watch?credential=mine", Some("planted"),  401),
        ("/v1/watch?credential=none", Some(&*made.key), 403),
        ("/v1/watch",                 Some(&*made.key), 400),
    ];
    for (path, key, status) in cases {
        let key = key.map(|key: &str| key.to_owned());
        assert_eq!(rig.get(path, key.as_deref()).await.status(), status, "{path}");
    }
    let (status, told) =
        read(rig.get("/v1/watch?credential=mine&credential=other", Some(&made.key)).await).await;
    assert_eq!(status, 400);
    assert!(told["detail"].as_str().unwrap().contains("the one credential"), "{told}");
    let mut stream = rig.get("/v1/watch?credential=mine", Some(&made.key)).await.into_body();
    next(&mut stream).await.unwrap();
    rig.admin("DELETE", "/consumers/shop", None).await;
    rig.admin("POST", "/tokens/mine/refresh", None).await;
    assert_eq!(next(&mut stream).await, None);
}
