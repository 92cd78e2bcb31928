//! Who is not believed, not taken, and not sent anywhere.

use std::time::Duration;

use mintkeep_issuer::consent::ConsentSettings;
use mintkeep_protocol::app::{App, AppStatus};
use mintkeep_protocol::ident::AppId;
use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore as _};
use mintkeep_protocol::record::AuditAction;
use mintkeep_web::arrival::Arrival;

use super::browser::{CUSTOMER, FROZEN, Origins, PUBLIC_URL, Platform, REDIRECT, ask};

async fn platform() -> Platform {
    Platform::open(ConsentSettings::default()).await
}

#[tokio::test]
async fn an_assertion_signs_one_browser_in_once_and_leaves_the_url() {
    let platform = platform().await;
    let url = format!("{}&assertion={}", ask("auth_user"), platform.assertion(CUSTOMER));
    let mut first = platform.browser();
    let signed_in = first.get(&url).await;
    assert_eq!(signed_in.status, 303);
    assert!(!signed_in.location().contains("assertion"), "{}", signed_in.location());
    let cookie = signed_in.header("set-cookie");
    for manner in ["__Host-mintkeep-customer=", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
        assert!(cookie.contains(manner), "{manner} in {cookie}");
    }
    let here = signed_in.location().to_owned();
    assert_eq!((first.get(&here).await.status, first.get(&here).await.status).0, 200, "a reload works");

    let mut thief = platform.browser();
    let mut elsewhere = platform.on_another_replica(&thief);
    for (place, thief) in [("here", &mut thief), ("at another replica", &mut elsewhere)] {
        let again = thief.get(&url).await;
        assert_eq!((again.status.as_u16(), &thief.cookie), (401, &None), "{place}: {}", again.body);
    }
}

#[tokio::test]
async fn nobody_is_signed_in_by_what_the_wallet_did_not_sign_for_us_now() {
    let platform = platform().await;
    let old = platform.assertion(CUSTOMER);
    platform.pass(Duration::from_mins(1));
    let (good, other) = (platform.assertion(CUSTOMER), platform.assertion(FROZEN));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let swapped = format!("{signed}.{signature}");
    for (case, assertion) in
        [("expired", old.as_str()), ("another's signature", &swapped), ("unsigned", signed), ("nothing", ".")]
    {
        let mut browser = platform.browser();
        let answer = browser.get(&format!("{}&assertion={assertion}", ask("auth_user"))).await;
        assert_eq!((answer.status.as_u16(), browser.cookie), (401, None), "{case}");
    }
    let nobody = platform.browser().get(&ask("auth_user")).await;
    assert_eq!(nobody.status, 401);
    assert!(nobody.body.contains("from your wallet"), "{}", nobody.body);
}

#[tokio::test]
async fn a_form_from_elsewhere_or_of_another_page_is_refused() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let form = browser.get(&ask("auth_user")).await.form("decision=confirm");
    let mut stranger = platform.signed_in(CUSTOMER).await;
    let strangers = stranger.get(&ask("auth_user")).await.form("decision=confirm");
    let more = form.replace("%61%75%74%68%5F%75%73%65%72", "auth_user,auth_base");
    assert_ne!(more, form, "the scopes are in the form");
    let evil = "https://evil.example";
    #[rustfmt::skip]
    let cases: [(&str, &str, Origins<'_>); 7] = [
        ("another site",              &form,      &[("sec-fetch-site", "cross-site"), ("origin", PUBLIC_URL)]),
        ("a sister site",             &form,      &[("sec-fetch-site", "same-site")]),
        ("an old browser's stranger", &form,      &[("origin", evil)]),
        ("a sandboxed frame",         &form,      &[("origin", "null")]),
        ("another session's ticket",  &strangers, &[("origin", PUBLIC_URL)]),
        ("other scopes",              &more,      &[("origin", PUBLIC_URL)]),
        ("no ticket",  "client_id=MINI1&redirect_url=https://shop.example/back&decision=confirm", &[]),
    ];
    for (case, form, headers) in cases {
        let answer = browser.post_from("/authorize", form, headers).await;
        assert_eq!(answer.status, 403, "{case}: {}", answer.body);
    }
    browser.cookie = None;
    assert_eq!(browser.post("/authorize", &form).await.status, 400, "without a session");
    assert!(platform.grants().await.is_empty());
}

#[tokio::test]
async fn nobody_is_sent_to_a_url_that_the_app_did_not_register() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let with = |client: &str, back: &str| format!("/authorize?client_id={client}&scopes=auth_base&{back}");
    #[rustfmt::skip]
    let cases = [
        ("unknown app",      with("MINI9", "redirect_url=https://shop.example/back"),        "can’t be used here"),
        ("unknown URL",      with("MINI1", "redirect_url=https://evil.example/back"),        "did not register"),
        ("script",           with("MINI1", "redirect_url=javascript:alert(1)"),              "did not register"),
        ("unknown origin",   with("MINI1", "origin=https://evil.example"),                   "did not register"),
        ("any origin",       with("MINI1", "origin=*"),                                      "did not register"),
        ("no way back",      with("MINI1", ""),                                              "incomplete"),
        ("two of one",       with("MINI1", "origin=a&origin=https://shop.example"),          "incomplete"),
        ("a line break",     with("MINI1", "redirect_url=https://shop.example/back%3F%0d%0a"), "did not register"),
    ];
    for (case, url, says) in cases {
        let answer = browser.get(&url).await;
        assert_eq!(answer.status, 400, "{case}");
        assert!(answer.body.contains(says) && !answer.headers.contains_key("location"), "{case}");
    }
    let id = AppId::parse("MINI1").unwrap();
    let app = platform.store.app(&id).await.unwrap().unwrap();
    let disabled = App { status: AppStatus::Disabled, ..App::clone(&app) };
    let audit = platform.issuer.audit("test", AuditAction::AppChanged, &id, &Arrival::UNKNOWN);
    assert_eq!(platform.store.put_app(disabled, audit).await.unwrap(), Commit::Done);
    assert_eq!(browser.get(&ask("auth_base")).await.status, 400, "a disabled app");
    assert!(platform.grants().await.is_empty());
}

#[tokio::test]
async fn every_page_may_load_and_frame_nothing_that_is_not_named_and_is_kept_nowhere() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    for url in [ask("auth_user"), "/authorize/granted".into(), "/authorize".into()] {
        let page = browser.get(&url).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{url}: {policy}");
        assert!(policy.ends_with("frame-ancestors 'none'") && !policy.contains("unsafe"), "{url}: {policy}");
        assert!(!policy.contains("script-src"), "{url}: {policy}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{url}");
        assert_eq!(page.header("cache-control"), "no-store", "{url}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{url}");
        for inline in ["<style", " style=", "<script", " onclick", "http://", "//cdn"] {
            assert!(!page.body.contains(inline), "{url}: {inline}");
        }
        assert!(page.body.len() < 50 * 1024, "{url}");
    }
}

#[tokio::test]
async fn only_a_wallet_that_is_named_may_frame_the_page() {
    let settings = ConsentSettings { frame_origins: vec!["https://wallet.example".into()], wallet_url: None };
    let platform = Platform::open(settings).await;
    let mut browser = platform.browser();
    let url = format!("{}&assertion={}", ask("auth_user"), platform.assertion(CUSTOMER));
    let signed_in = browser.get(&url).await;
    assert!(signed_in.header("set-cookie").ends_with("SameSite=None; Secure; Partitioned"));
    let page = browser.get(&ask("auth_user")).await;
    assert!(page.header("content-security-policy").ends_with("frame-ancestors https://wallet.example"));
    assert_eq!(page.header("x-frame-options"), "");
}

#[tokio::test]
async fn a_browser_without_a_session_is_sent_to_the_wallet_that_is_named() {
    let wallet_url = Some("https://wallet.example/sign-in?x=1".to_owned());
    let platform = Platform::open(ConsentSettings { wallet_url, ..ConsentSettings::default() }).await;
    let answer = platform.browser().get(&ask("auth_user")).await;
    let (to, back) = answer.location().split_once("&return_to=").unwrap();
    assert_eq!(to, "https://wallet.example/sign-in?x=1");
    assert!(back.starts_with("https%3A%2F%2Fid.example%2Fauthorize%3Fclient_id%3DMINI1"), "{back}");
    let wrong = ask("auth_user").replace(REDIRECT, "https://evil.example");
    assert_eq!(platform.browser().get(&wrong).await.status, 400, "not even there, if the URL is wrong");
}
