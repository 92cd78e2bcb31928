//! The console over the issuer alone: who gets in, what a form must carry, what each deed does and shows.

use std::time::Duration;

use http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use mintkeep_issuer::admin::MovableClock as _;
use serde_json::json;

use crate::desk::{Desk, TOKEN};
use crate::visitor::{Visitor, check};

/// A name that would take over a page that let it.
const HOSTILE: &str =
    "<script>alert(1)</script>\"' onload=alert(1) <img onerror=alert(1) src=http://a.example>";

#[tokio::test]
async fn without_a_session_every_page_is_the_sign_in_page_and_every_deed_is_refused() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    let stranger = Visitor::stranger(&desk.console);
    for path in ["/", "/apps", "/apps/wx1", "/apps?after=wx0"] {
        let page = stranger.get(path).await;
        assert_eq!(page.status, 401, "{path}");
        assert!(page.html.contains("type=\"password\"") && !page.html.contains("Shop"), "{path}");
        assert!(
            page.html.contains(&format!("name=\"to\" value=\"{path}\"")),
            "{path} is where one goes on to"
        );
    }
    let refused = stranger.post("/apps/wx1/disable", &[]).await;
    assert_eq!(refused.status, 401);
    assert_eq!(desk.get("/admin/v1/apps/wx1").await.1["status"], "active");
}

#[tokio::test]
async fn a_wrong_token_signs_nobody_in_and_the_eleventh_within_a_minute_is_not_looked_at() {
    let desk = Desk::sandbox().await;
    let stranger = Visitor::stranger(&desk.console);
    for wrong in
        ["", "planted-admin-toke", "planted-admin-token2", "PLANTED-ADMIN-TOKEN"].iter().cycle().take(10)
    {
        let page = stranger.show(wrong).await;
        assert_eq!((page.status, page.header(SET_COOKIE)), (401, ""), "{wrong}");
        assert!(page.html.contains("not the admin token"));
    }
    let page = stranger.show(TOKEN).await;
    assert_eq!((page.status, page.header(RETRY_AFTER), page.header(SET_COOKIE)), (429, "61", ""));
    desk.clock.advance(Duration::from_mins(1));
    assert_eq!(stranger.show(TOKEN).await.status, 303);
}

#[tokio::test]
async fn a_sign_in_leads_on_to_the_page_that_was_asked_for_and_to_no_other_site() {
    let desk = Desk::sandbox().await;
    for (to, location) in [("/apps?after=a", "/apps?after=a"), ("//a.example", "/")] {
        let own = [("sec-fetch-site", "same-origin")];
        let stranger = Visitor::stranger(&desk.console);
        let page = stranger.post_as("/sign-in", &own, [("token", TOKEN), ("to", to)]).await;
        assert_eq!((page.status, page.header(LOCATION)), (303, location));
    }
}

#[tokio::test]
async fn a_session_is_a_strict_cookie_that_ends_with_the_sign_out_or_an_hour_of_rest() {
    let desk = Desk::sandbox().await;
    let cookie = Visitor::stranger(&desk.console).show(&format!(" {TOKEN}\n")).await;
    let line = cookie.header(SET_COOKIE);
    assert!(line.ends_with("; Max-Age=28800; Path=/; HttpOnly; SameSite=Strict"), "{line}");

    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    assert_eq!(operator.get("/apps").await.status, 200);
    let left = operator.post("/sign-out", &[]).await;
    assert_eq!((left.status, left.header(LOCATION)), (303, "/sign-in"));
    assert_eq!(operator.get("/apps").await.status, 401);

    let busy = Visitor::signed_in(&desk.console, TOKEN).await;
    for _ in 0..3 {
        desk.clock.advance(Duration::from_mins(50));
        assert_eq!(busy.get("/apps").await.status, 200, "each page begins the hour anew");
    }

    let resting = Visitor::signed_in(&desk.console, TOKEN).await;
    desk.clock.advance(Duration::from_hours(1));
    assert_eq!(resting.get("/apps").await.status, 401);
}

#[tokio::test]
async fn only_a_form_of_this_session_from_a_page_of_ours_changes_anything() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let other = Visitor::signed_in(&desk.console, TOKEN).await;
    let mine = operator.form_token.as_str();
    let (ours, direct) = (("sec-fetch-site", "same-origin"), ("origin", "http://console.example:7800"));
    #[rustfmt::skip]
    let cases: [(&str, (&str, &str), &str, u16); 8] = [
        ("no form token",        ours,                             "",                403),
        ("another session's",    ours,                             &other.form_token, 403),
        ("a byte off",           ours,                             &mine[1..],        403),
        ("another site",         ("sec-fetch-site", "cross-site"), mine,              403),
        ("another port",         ("sec-fetch-site", "same-site"),  mine,              403),
        ("a foreign origin",     ("origin", "https://a.example"),  mine,              403),
        ("no origin of its own", ("origin", "null"),               mine,              403),
        ("an older browser",     direct,                           mine,              303),
    ];
    for (case, header, token, status) in cases {
        let answer = operator.post_as("/apps/wx1/disable", &[header], [("form_token", token)]).await;
        assert_eq!(answer.status, status, "{case}: {}", answer.html);
        let expected = if status == 303 { "disabled" } else { "active" };
        assert_eq!(desk.get("/admin/v1/apps/wx1").await.1["status"], expected, "{case}");
    }
}

#[tokio::test]
async fn a_rotated_secret_works_and_is_shown_once() {
    let desk = Desk::sandbox().await;
    let old = desk.wechat_app("wx1").await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let page = operator.deed("/apps/wx1/rotate-secret", &[("overlap_s", "0")]).await;
    let secret = page.between("aria-label=\"The new secret\">", "</pre>").to_owned();
    assert!(desk.wechat_token("wx1", &secret).await["access_token"].is_string());
    assert_eq!(desk.wechat_token("wx1", &old).await["errcode"], 40_001, "it ended at once");
    check(&page, "after the rotation");
    for path in ["/apps/wx1", "/", "/apps"] {
        assert!(!operator.get(path).await.html.contains(&secret), "{path} shows it again");
    }
    for unfit in ["-1", "2592001", "soon"] {
        let page = operator.deed("/apps/wx1/rotate-secret", &[("overlap_s", unfit)]).await;
        assert!(page.html.contains("role=\"alert\"") && !page.html.contains("shown this once"), "{unfit}");
    }
    assert!(desk.wechat_token("wx1", &secret).await["access_token"].is_string());
}

#[tokio::test]
async fn tokens_are_revoked_only_by_who_says_that_they_are_sure() {
    let desk = Desk::sandbox().await;
    let secret = desk.wechat_app("wx1").await;
    let token = desk.wechat_token("wx1", &secret).await["access_token"].as_str().unwrap().to_owned();
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let page = operator.deed("/apps/wx1/revoke-tokens", &[]).await;
    assert!(page.html.contains("nothing was revoked"));
    assert_eq!(desk.state_of(&token).await, "good");
    let page = operator.deed("/apps/wx1/revoke-tokens", &[("sure", "yes")]).await;
    assert!(page.html.contains("have ended") && page.html.contains("<dd>once</dd>"), "{}", page.html);
    assert_ne!(desk.state_of(&token).await, "good");
    let (_, audit) = desk.get("/admin/v1/audit").await;
    assert!(audit.to_string().contains("app_tokens_revoked"));
}

#[tokio::test]
async fn whatever_an_app_is_called_stays_text_and_every_page_small() {
    let desk = Desk::sandbox().await;
    let name: String = HOSTILE.chars().chain("<&\"'".chars().cycle()).take(128).collect();
    let long_url = |n| format!("https://a.example/{n}?{}", "%3Cscript%3E".repeat(30));
    let urls: Vec<String> = (0..64).map(long_url).collect();
    let networks: Vec<String> = (0..=255).map(|n| format!("10.{n}.0.0/16")).collect();
    for n in 0..30 {
        let id = format!("wx{n:062}");
        let settings = json!({
            "redirect_urls": urls,
            "logo_url": "https://a.example/logo.svg",
            "scopes": (0..64).map(|n| format!("auth_{n:059}")).collect::<Vec<_>>(),
        });
        let app =
            json!({"id": id, "dialect": "wechat", "name": name, "settings": settings, "addresses": networks});
        let (status, problem) = desk.post("/admin/v1/apps", app).await;
        assert_eq!(status, 201, "{problem}");
    }
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let first = operator.get("/apps").await;
    let next = first.between("href=\"/apps?after=", "\"").to_owned();
    let app = format!("/apps/wx{:062}", 0);
    for path in ["/", "/apps", &format!("/apps?after={next}"), &app, "/apps/nobody-here"] {
        let page = operator.get(path).await;
        if path != "/apps/nobody-here" {
            check(&page, path);
        }
        assert!(page.status == 200 || page.status == 404);
    }
    assert_eq!(first.html.matches("<tr><th scope=\"row\">").count(), 25);
    assert!(first.html.contains("&#60;script&#62;"));
    let unknown = operator.get("/apps/%3Cscript%3E").await;
    assert_eq!(unknown.status, 404);
    assert!(!unknown.html.contains("<script"));
}

#[tokio::test]
async fn an_empty_console_says_how_to_begin() {
    let desk = Desk::production().await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    assert!(operator.get("/apps").await.html.contains("mintkeep app create"));
    assert!(operator.get("/").await.html.contains("Nothing."));
    assert_eq!(operator.get("/apps/wx1").await.status, 404);
}
