//! What an operator makes at the console: apps, customers, services; each by the deed of the API.

use http::Method;
use http::header::LOCATION;
use mintkeep_protocol::crypto::RsaPrivateKey;
use serde_json::json;

use crate::desk::{Desk, TOKEN};
use crate::visitor::{Page, Visitor, check};

fn rows(page: &Page) -> usize {
    page.html.matches("<tr><th scope=\"row\">").count()
}

/// What a page says it shows this once, without the escapes of HTML.
fn shown(page: &Page, what: &str) -> String {
    page.between(&format!("aria-label=\"{what}\">"), "</pre>").replace("&#47;", "/").replace("&#43;", "+")
}

#[tokio::test]
async fn an_app_is_made_and_its_secret_or_private_key_is_shown_once() {
    let desk = Desk::sandbox().await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let page =
        operator.deed("/apps", &[("name", "<b>Shop</b>"), ("dialect", "wechat"), ("id", " wx7 ")]).await;
    check(&page, "/apps/wx7");
    let secret = shown(&page, "Its secret");
    assert!(desk.wechat_token("wx7", &secret).await["access_token"].is_string());
    assert!(!operator.get("/apps/wx7").await.html.contains(&secret), "shown once");

    let url = "https://shop.example/back";
    let signed = [("name", "Wallet shop"), ("dialect", "miniprogram"), ("redirect_url", url)];
    let made = operator.post("/apps", &signed).await;
    let page = operator.get(made.header(LOCATION)).await;
    check(&page, "a signed app");
    let private = RsaPrivateKey::from_pem(&shown(&page, "Its private key")).unwrap();
    let (_, app) = desk.get(&format!("/admin/v1{}", made.header(LOCATION))).await;
    assert_eq!(app["keys"][0]["public_key_pem"], private.public().to_pem());
    assert_eq!(app["settings"]["redirect_urls"], json!([url]));
}

#[tokio::test]
async fn what_does_not_fit_makes_nothing_and_says_why_without_repeating_it() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    #[rustfmt::skip]
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("/apps",      &[("dialect", "wechat")]),
        ("/apps",      &[("name", "Shop"), ("dialect", "planted")]),
        ("/apps",      &[("name", "Shop"), ("dialect", "wechat"), ("id", "wx1")]),
        ("/apps",      &[("name", "Shop"), ("dialect", "wechat"), ("public_key_pem", "planted")]),
        ("/apps",      &[("name", "Shop"), ("dialect", "alipayhk"), ("redirect_url", "planted")]),
        ("/customers", &[("id", "<planted>")]),
        ("/services",  &[("id", "gw"), ("role", "planted")]),
        ("/services",  &[("id", "gw"), ("role", "resource_server"), ("assertion_key_pem", "planted")]),
    ];
    for (path, fields) in cases {
        let page = operator.deed(path, fields).await;
        assert!(
            page.html.contains("class=\"notice bad\"") && !page.html.contains("planted"),
            "{path} {fields:?}"
        );
    }
    let apps = desk.get("/admin/v1/apps").await.1;
    assert_eq!(apps["apps"].as_array().unwrap().len(), 1);
    assert_eq!(desk.get("/admin/v1/customers").await.1["customers"], json!([]));
    assert_eq!(desk.get("/admin/v1/services").await.1["services"], json!([]));
}

#[tokio::test]
async fn customers_are_listed_page_by_page_and_made_but_never_in_anothers_place() {
    let desk = Desk::sandbox().await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    assert!(operator.get("/customers").await.html.contains("There is no customer yet."));
    for n in 0..26 {
        let profile = json!({"profile": {"nick_name": "<i>Mei</i>".repeat(100)}});
        desk.ask(Method::PUT, &format!("/admin/v1/customers/C{n:063}"), Some(profile)).await;
    }
    let first = operator.get("/customers").await;
    check(&first, "/customers");
    let next = first.between("href=\"/customers?after=", "\"").to_owned();
    let second = operator.get(&format!("/customers?after={next}")).await;
    assert_eq!((rows(&first), rows(&second)), (25, 1));

    let page = operator.deed("/customers", &[("id", "D1"), ("nick_name", "陳大文")]).await;
    assert!(page.html.contains("The customer was made.") && page.html.contains("陳大文"), "{}", page.html);
    let page = operator.deed("/customers", &[("id", "D1"), ("nick_name", "Another")]).await;
    assert!(page.html.contains("nothing was changed") && page.html.contains("陳大文"), "{}", page.html);
}

#[tokio::test]
async fn a_services_secret_is_shown_once_and_replaced_only_when_that_is_said() {
    let desk = Desk::sandbox().await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    assert!(operator.get("/services").await.html.contains("There is no service yet."));
    let asked = [("id", "gateway"), ("role", "resource_server")];
    let page = operator.deed("/services", &asked).await;
    check(&page, "/services");
    let secret = shown(&page, "Its secret");
    assert_eq!((rows(&page), desk.introspects("gateway", &secret).await), (1, true));
    assert!(!operator.get("/services").await.html.contains(&secret), "shown once");

    let page = operator.deed("/services", &asked).await;
    assert!(page.html.contains("There is a service of this name"), "{}", page.html);
    assert!(desk.introspects("gateway", &secret).await, "nothing was changed");
    let page = operator.deed("/services", &[asked[0], asked[1], ("replace", "yes")]).await;
    let (old, new) = (secret, shown(&page, "Its secret"));
    assert_eq!(
        [desk.introspects("gateway", &old).await, desk.introspects("gateway", &new).await],
        [false, true]
    );
}

#[tokio::test]
async fn the_audit_goes_back_as_far_as_it_is_kept() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    for _ in 0..1_010 {
        desk.post("/admin/v1/sandbox/clock", json!({"advance_s": 1})).await;
    }
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let latest = operator.get("/audit?about=app+created").await;
    check(&latest, "/audit");
    assert!(latest.html.contains("There is no such line since"), "{}", latest.html);
    let older = latest.between("href=\"/audit?about=app+created&#38;before=", "\"").to_owned();
    let found = operator.get(&format!("/audit?about=app+created&before={older}")).await;
    assert!(rows(&found) == 1 && !found.html.contains("Older lines"), "{}", found.html);

    let mut page = operator.get("/audit").await;
    let mut seen = rows(&page);
    while page.html.contains("rel=\"next\"") {
        let older = page.between("href=\"/audit?before=", "\"").to_owned();
        page = operator.get(&format!("/audit?before={older}")).await;
        seen += rows(&page);
    }
    assert_eq!(seen, 1_011, "each line once");
}
