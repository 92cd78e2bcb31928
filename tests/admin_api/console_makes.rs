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
    let signed = [("name", "Wallet shop"), ("dialect", "miniprogram"), ("redirect_urls", url)];
    let made = operator.post("/apps", &signed).await;
    let page = operator.get(made.header(LOCATION)).await;
    check(&page, "a signed app");
    let private = RsaPrivateKey::from_pem(&shown(&page, "Its private key")).unwrap();
    let (_, app) = desk.get(&format!("/admin/v1{}", made.header(LOCATION))).await;
    assert_eq!(app["keys"][0]["public_key_pem"], private.public().to_pem());
    assert_eq!(app["settings"]["redirect_urls"], json!([url]));
}

/// Fields and what was typed into them.
type Typed<'t> = &'t [(&'t str, &'t str)];

#[tokio::test]
async fn what_does_not_fit_makes_nothing_and_says_why_beside_the_field_which_keeps_what_was_typed() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    #[rustfmt::skip]
    let cases: [(&str, &str, Typed); 11] = [
        ("/apps",      "name",              &[("dialect", "wechat")]),
        ("/apps",      "name",              &[("name", "\u{7}"), ("dialect", "wechat")]),
        ("/apps",      "dialect",           &[("name", "Shop"), ("dialect", "planted")]),
        ("/apps",      "id",                &[("name", "Shop"), ("dialect", "wechat"), ("id", "wx1")]),
        ("/apps",      "id",                &[("name", "Shop"), ("dialect", "wechat"), ("id", "no id")]),
        ("/apps",      "public_key_pem",    &[("name", "Shop"), ("dialect", "wechat"), ("public_key_pem", "typed")]),
        ("/apps",      "redirect_urls",     &[("name", "Shop"), ("dialect", "alipayhk"), ("redirect_urls", "typed")]),
        ("/customers", "id",                &[("id", "<b>"), ("nick_name", "Mei")]),
        ("/services",  "id",                &[("id", "gate way"), ("role", "wallet")]),
        ("/services",  "role",              &[("id", "gw"), ("role", "planted")]),
        ("/services",  "assertion_key_pem", &[("id", "gw"), ("role", "resource_server"), ("assertion_key_pem", "typed")]),
    ];
    for (path, field, fields) in cases {
        let page = operator.post(path, fields).await;
        let case = format!("{path} {fields:?}: {}", page.html);
        assert!(matches!(page.status, 400 | 409), "{case}");
        let marks = format!("aria-describedby=\"{field}-flaw");
        let (_, marked) = page.html.split_once(&marks).unwrap_or_else(|| panic!("{case}"));
        assert!(marked.split('>').next().unwrap().ends_with("aria-invalid=\"true\" autofocus"), "{case}");
        assert_eq!(page.html.matches(" autofocus").count(), 1, "{case}");
        let flaw = page.between(&format!("<span class=\"flaw\" id=\"{field}-flaw\">"), "</span>");
        assert!(!flaw.is_empty() && !flaw.contains("typed") && !page.html.contains("<b>"), "{case}");
        for (name, typed) in fields.iter().filter(|(_, typed)| !matches!(*typed, "planted" | "\u{7}" | "<b>"))
        {
            let kept = [format!("value=\"{typed}\""), format!(">\n{typed}<"), format!("selected>{typed}<")];
            let is_kept = kept.iter().any(|kept| page.html.contains(kept.as_str()));
            assert!(
                is_kept || page.html.contains(&format!("value=\"{typed}\" selected")),
                "{name} of {case}"
            );
        }
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
    let refused = operator.post("/customers", &[("id", "D1"), ("nick_name", "Another")]).await;
    assert!(refused.status == 409 && refused.html.contains("Nothing was changed"), "{}", refused.html);
    assert!(operator.get("/customers/D1").await.html.contains("陳大文"));
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

    let refused = operator.post("/services", &asked).await;
    assert!(refused.status == 409 && refused.html.contains("id-flaw\">choose another"), "{}", refused.html);
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

#[tokio::test]
async fn an_app_is_deleted_by_who_is_asked_once_more() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    assert!(operator.get("/apps/wx1").await.html.contains("href=\"/apps/wx1/delete\""));
    let asked = operator.get("/apps/wx1/delete").await;
    check(&asked, "/apps/wx1/delete");
    assert!(asked.html.contains("action=\"/apps/wx1/delete\""), "{}", asked.html);
    let stranger = operator.post_as("/apps/wx1/delete", &[("sec-fetch-site", "same-origin")], []).await;
    assert_eq!((stranger.status, desk.get("/admin/v1/apps/wx1").await.0), (403, 200));
    let page = operator.deed("/apps/wx1/delete", &[]).await;
    assert!(page.html.contains("The app wx1 was deleted."), "{}", page.html);
    assert_eq!(desk.get("/admin/v1/apps/wx1").await.0, 404);
    for path in ["/apps/wx1/delete", "/apps/%3Cb%3E/delete"] {
        assert_eq!(operator.get(path).await.status, 404, "{path}");
        assert_eq!(operator.post(path, &[]).await.status, 404, "{path}");
    }
}
