//! The console's sessions: one for all replicas, ended at all of them, and never without TLS where there is some.

use std::sync::Arc;

use http::header::{LOCATION, SET_COOKIE};
use mintkeep_web::console::Place;

use crate::desk::{Desk, TOKEN};
use crate::ledger::{Ledger, Trouble};
use crate::visitor::{Visitor, check};

#[tokio::test]
async fn any_replica_takes_a_session_and_says_what_another_did_and_the_sign_out_ends_it_at_each() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    let elsewhere = desk.another_console(TOKEN, Place::default());
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let copied = operator.at(&elsewhere);
    assert_eq!(copied.get("/apps").await.status, 200, "signed in there too");

    let done = operator.post("/apps/wx1/rotate-secret", &[("overlap_s", "0")]).await;
    let mut there = operator.at(&elsewhere);
    let page = there.get(done.header(LOCATION)).await;
    check(&page, "at another replica");
    let secret = page.between("aria-label=\"The new secret\">", "</pre>").to_owned();
    assert!(desk.wechat_token("wx1", &secret).await["access_token"].is_string());
    assert!(!there.get("/apps/wx1").await.html.contains(&secret), "shown once");
    assert_eq!(there.post("/apps/wx1/disable", &[]).await.status, 303, "its forms are good there");

    there.post("/sign-out", &[]).await;
    for router in [&desk.console, &elsewhere] {
        there = copied.at(router);
        assert_eq!(there.get("/apps").await.status, 401, "a copy of the cookie has ended too");
    }
    let other_token = desk.another_console("another-admin-token", Place::default());
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    assert_eq!(operator.at(&other_token).get("/").await.status, 401, "another token ends every session");
}

#[tokio::test]
async fn what_a_page_says_once_waits_a_minute_in_a_cookie_that_only_the_server_reads() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let done = operator.post("/apps/wx1/disable", &[]).await;
    let cookie = done.header(SET_COOKIE);
    let manners = "; Max-Age=60; Path=/; HttpOnly; SameSite=Strict";
    assert!(cookie.starts_with("mintkeep-said=") && cookie.ends_with(manners), "{cookie}");
    assert!(!cookie.contains("disabled"), "{cookie}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_signs_nobody_out_and_a_sign_out_still_holds_here() {
    let desk = Desk::sandbox().await;
    let ledger = Arc::new(Ledger::new());
    let (here, there) = (desk.console_over(ledger.clone()), desk.console_over(ledger.clone()));
    let operator = Visitor::signed_in(&here, TOKEN).await;
    let copied = operator.at(&there);
    ledger.fail(Trouble::Everything);
    assert_eq!(operator.get("/").await.status, 200);
    let mine = operator.at(&here);
    let left = operator.post("/sign-out", &[]).await;
    assert!(left.status == 200 && left.html.contains("another replica may take a copy"), "{}", left.html);
    assert_eq!((mine.get("/").await.status, copied.get("/").await.status), (401, 200));
}

#[tokio::test]
async fn a_cookie_never_leaves_without_tls_where_the_operator_said_that_there_is_some() {
    let desk = Desk::sandbox().await;
    let url = |url: &str| Place { has_tls: false, public_url: Some(url.to_owned()) };
    #[rustfmt::skip]
    let cases = [
        ("plain",                Place::default(),                           false),
        ("TLS of its own",       Place { has_tls: true, public_url: None },  true),
        ("TLS at a proxy",       url("https://admin.example.com"),           true),
        ("a proxy without",      url("http://admin.example.com"),            false),
    ];
    for (case, place, is_secure) in cases {
        let console = desk.another_console(TOKEN, place);
        // What a request says of itself makes no difference.
        for claim in [("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")] {
            let stranger = Visitor::stranger(&console);
            let fields = [("token", TOKEN)];
            let page =
                stranger.post_as("/sign-in", &[("sec-fetch-site", "same-origin"), claim], fields).await;
            let cookie = page.header(SET_COOKIE);
            assert_eq!(
                cookie.starts_with("__Host-") && cookie.ends_with("; Secure"),
                is_secure,
                "{case}: {cookie}"
            );
            assert_eq!(cookie.contains("Secure"), is_secure, "{case}: {cookie}");
        }
    }
}

#[tokio::test]
async fn behind_a_proxy_that_changes_the_host_an_older_browsers_form_is_known_by_the_public_url() {
    let desk = Desk::sandbox().await;
    let public_url = Some("https://admin.example.com".to_owned());
    let console = desk.another_console(TOKEN, Place { has_tls: false, public_url });
    for (origin, status) in [("https://admin.example.com", 303), ("https://evil.example.com", 403)] {
        let page =
            Visitor::stranger(&console).post_as("/sign-in", &[("origin", origin)], [("token", TOKEN)]).await;
        assert_eq!(page.status, status, "{origin}");
    }
}
