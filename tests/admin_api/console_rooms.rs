//! The issuer's other rooms of the console: customers, grants, the audit, the sandbox.

use http::Method;
use http::header::LOCATION;
use serde_json::{Value, json};

use crate::desk::{Desk, TOKEN};
use crate::visitor::{Page, Visitor, check};

fn rows(page: &Page) -> usize {
    page.html.matches("<tr><th scope=\"row\">").count()
}

#[tokio::test]
async fn a_customer_is_found_frozen_and_made_active_again_and_keeps_their_profile() {
    let desk = Desk::sandbox().await;
    let profile = json!({"profile": {"nick_name": "<b>Mei</b>"}});
    desk.ask(Method::PUT, "/admin/v1/customers/C1", Some(profile)).await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    check(&operator.get("/customers").await, "/customers");
    let found = operator.get("/customers?id=+C1+").await;
    assert_eq!((found.status, found.header(LOCATION)), (303, "/customers/C1"));
    check(&operator.get("/customers/C1").await, "/customers/C1");
    for (status, is_taken) in [("frozen", true), ("deleted", false), ("active", true)] {
        let before = desk.get("/admin/v1/customers/C1").await.1["status"].clone();
        let page = operator.deed("/customers/C1/status", &[("status", status)]).await;
        assert_eq!(page.html.contains("role=\"status\""), is_taken, "{status}");
        let (_, customer) = desk.get("/admin/v1/customers/C1").await;
        let expected = if is_taken { json!(status) } else { before };
        assert_eq!(
            (&customer["status"], &customer["profile"]["nick_name"]),
            (&expected, &json!("<b>Mei</b>"))
        );
    }
    for unknown in ["/customers/C2", "/customers/%3Cscript%3E", "/customers?id=%3Cscript%3E"] {
        assert_eq!(operator.get(unknown).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn grants_are_searched_paged_and_revoked() {
    let desk = Desk::sandbox().await;
    desk.miniprogram_app_and_customer().await;
    for _ in 0..26 {
        desk.code().await;
    }
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let first = operator.get("/grants?app=MINI1&customer=C1").await;
    check(&first, "/grants");
    assert_eq!(rows(&first), 25);
    let next = first.between("href=\"/grants?app=MINI1&#38;customer=C1&#38;after=", "\"").to_owned();
    let second = operator.get(&format!("/grants?app=MINI1&customer=C1&after={next}")).await;
    assert_eq!(rows(&second), 1);

    let id = first.between("action=\"/grants/", "/revoke\"").to_owned();
    let page = operator.deed(&format!("/grants/{id}/revoke"), &[("app", "MINI1")]).await;
    assert!(page.html.contains("was revoked") && page.html.contains("name=\"app\" value=\"MINI1\""));
    assert_eq!(desk.get(&format!("/admin/v1/grants/{id}")).await.1["state"], "revoked");

    let none = operator.get("/grants?customer=C2").await;
    assert!(none.html.contains("There is no such grant."), "{}", none.html);
    for unknown in ["/grants?app=nobody", "/grants?app=%3Cscript%3E", "/grants?customer=%3Cscript%3E"] {
        let page = operator.get(unknown).await;
        assert_eq!(page.status, 404, "{unknown}");
        assert!(!page.html.contains("<script"), "{unknown}");
    }
}

#[tokio::test]
async fn the_audit_is_searched_and_paged_the_latest_first() {
    let desk = Desk::sandbox().await;
    desk.wechat_app("wx1").await;
    for _ in 0..60 {
        desk.post("/admin/v1/sandbox/clock", json!({"advance_s": 1})).await;
    }
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    let first = operator.get("/audit").await;
    check(&first, "/audit");
    assert_eq!((rows(&first), first.html.contains("app created")), (50, false));
    let older = first.between("href=\"/audit?before=", "\"").to_owned();
    let second = operator.get(&format!("/audit?before={older}")).await;
    assert_eq!((rows(&second), second.html.contains("app created")), (11, true));
    let about = operator.get("/audit?about=APP+created").await;
    assert_eq!((rows(&about), about.html.contains("wx1")), (1, true));
    let clock = operator.get("/audit?about=clock").await;
    assert!(
        clock.html.contains("href=\"/audit?about=clock&#38;before="),
        "the search goes on on the next page"
    );
    let none = operator.get("/audit?about=%22%3E%3Cscript%3E").await;
    check(&none, "/audit");
    assert!(none.html.contains("There is no such line."));
}

#[tokio::test]
async fn the_sandbox_moves_its_clock_and_has_its_bad_days() {
    let desk = Desk::sandbox().await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    check(&operator.get("/sandbox").await, "/sandbox");
    let moved = operator.deed("/sandbox/clock", &[("advance_s", "1800")]).await;
    assert!(moved.html.contains("30 min ahead"), "{}", moved.html);
    assert!(operator.get("/").await.html.contains("30 min ahead"));
    for unfit in ["0", "-1", "soon", "99999999999"] {
        let page = operator.deed("/sandbox/clock", &[("advance_s", unfit)]).await;
        assert!(page.html.contains("class=\"notice bad\""), "{unfit}");
    }
    assert_eq!(desk.get("/admin/v1/sandbox/clock").await.1["offset_s"], 1_800);
    operator.deed("/sandbox/clock/reset", &[]).await;
    assert_eq!(desk.get("/admin/v1/sandbox/clock").await.1["offset_s"], 0);

    let hostile = "/<script>alert(1)</script>";
    let rule = [("dialect", "wechat"), ("action", "answer"), ("code", "40001"), ("count", "2")];
    let refused = operator.deed("/sandbox/faults", &[&rule[..], &[("endpoint", hostile)]].concat()).await;
    check(&refused, "/sandbox");
    assert!(refused.html.contains("class=\"notice bad\""), "{}", refused.html);
    let added =
        operator.deed("/sandbox/faults", &[&rule[..], &[("endpoint", "/cgi-bin/token")]].concat()).await;
    check(&added, "/sandbox");
    assert!(added.html.contains("answered 40001, 2 more times"), "{}", added.html);
    check(&operator.get("/audit").await, "/audit");
    #[rustfmt::skip]
    let unfit: [&[(&str, &str)]; 5] = [
        &[("dialect", "wechat")],
        &[("dialect", "nonsense"), ("action", "drop_before")],
        &[("dialect", "wechat"), ("action", "delay")],
        &[("dialect", "wechat"), ("action", "answer"), ("code", "nonsense")],
        &[("dialect", "wechat"), ("action", "drop_after"), ("count", "-1")],
    ];
    for fields in unfit {
        let page = operator.deed("/sandbox/faults", fields).await;
        assert!(page.html.contains("class=\"notice bad\""), "{fields:?}");
    }
    let id = added.between("action=\"/sandbox/faults/", "/clear\"").to_owned();
    operator.deed(&format!("/sandbox/faults/{id}/clear"), &[]).await;
    assert_eq!(desk.get("/admin/v1/sandbox/faults").await.1["faults"], Value::Array(vec![]));
}

#[tokio::test]
async fn in_production_there_is_no_sandbox_to_play_with() {
    let desk = Desk::production().await;
    let operator = Visitor::signed_in(&desk.console, TOKEN).await;
    assert!(!operator.get("/").await.html.contains("/sandbox"));
    assert_eq!(operator.get("/sandbox").await.status, 404);
    for path in ["/sandbox/clock", "/sandbox/clock/reset", "/sandbox/faults", "/sandbox/faults/1/clear"] {
        assert_eq!(operator.post(path, &[("advance_s", "1")]).await.status, 404, "{path}");
    }
}
