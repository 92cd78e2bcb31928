//! The console over the keeper alone: the tokens, their lives, and what an operator does to them.

use std::sync::atomic::Ordering::SeqCst;

use axum::body::Body;
use http::Request;
use http::header::SET_COOKIE;
use mintkeep_protocol::keep::credential::TokenSource;

use crate::platform::{PLANTED, PLANTED_REFRESH};
use crate::rig::{ADMIN, APP_SECRET, Rig};
use crate::visitor::{Page, Visitor, check};

/// A credential `wallet` that holds the tokens of the customer `c1`.
async fn wallet() -> Rig {
    let rig = Rig::new().await;
    rig.add_wallet("wallet").await;
    let key = rig.consumer("shop").await.key;
    exchange(&rig, &key, "c1").await;
    rig
}

async fn exchange(rig: &Rig, key: &str, code: &str) {
    let request = Request::post("/v1/exchanges/wallet")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Body::from(format!("{{\"auth_code\":\"{code}\"}}")));
    assert_eq!(rig.send(request.unwrap()).await.status(), 200, "{code}");
    rig.clock.advance_s(1);
}

fn count(page: &Page, part: &str) -> usize {
    page.html.matches(part).count()
}

#[tokio::test]
async fn a_keeper_alone_shows_its_own_rooms_and_over_tls_its_cookie_stays_on_tls() {
    let rig = Rig::new().await;
    let console = rig.console();
    let cookie = Visitor::stranger(&console).show(ADMIN).await;
    let line = cookie.header(SET_COOKIE);
    assert!(
        line.starts_with("__Host-mintkeep-admin=") && line.ends_with("; SameSite=Strict; Secure"),
        "{line}"
    );
    let operator = Visitor::signed_in(&console, ADMIN).await;
    let overview = operator.get("/").await;
    check(&overview, "/");
    assert!(overview.html.contains("href=\"/credentials\"") && !overview.html.contains("href=\"/apps\""));
    assert!(
        operator.get("/credentials").await.html.contains("mintkeep credential add"),
        "it says how to begin"
    );
    assert_eq!(operator.get("/apps").await.status, 404);
    let audit = operator.get("/audit").await;
    check(&audit, "/audit");
    assert!(audit.html.contains("Nothing was done yet."), "{}", audit.html);
    rig.add("shop", TokenSource::WeChatToken).await;
    assert!(operator.get("/audit").await.html.contains("credential added"));
}

#[tokio::test]
async fn a_consumer_is_made_its_key_shown_once_and_its_rights_ended() {
    let rig = Rig::new().await;
    rig.add("shop", TokenSource::WeChatToken).await;
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    let empty = operator.get("/consumers").await;
    check(&empty, "/consumers");
    assert!(empty.html.contains("There is no consumer yet."));
    let fields = [("name", "till"), ("credentials", "shop  other"), ("read", "yes")];
    let page = operator.deed("/consumers", &fields).await;
    check(&page, "/consumers");
    let key = page.between("aria-label=\"Its key\">", "</pre>").to_owned();
    assert!(page.html.contains("There is no credential other yet."), "{}", page.html);
    assert!(page.html.contains("shop, other") && page.html.contains("drop-in endpoints\">"), "{}", page.html);
    assert!(!operator.get("/consumers").await.html.contains(&key), "shown once");
    let read = || {
        let request = Request::get("/v1/tokens/shop").header("authorization", format!("Bearer {key}"));
        rig.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(read().await.status(), 200);
    let asked = operator.get("/consumers/till/revoke").await;
    check(&asked, "/consumers/till/revoke");
    assert_eq!(
        (asked.html.contains("Revoke the consumer till?"), read().await.status().as_u16()),
        (true, 200)
    );
    let page = operator.deed("/consumers/till/revoke", &[]).await;
    assert!(page.html.contains("was revoked"), "{}", page.html);
    assert_eq!(read().await.status(), 401);
    operator.deed("/consumers", &[("name", "desk"), ("all_credentials", "yes"), ("read", "yes")]).await;
    #[rustfmt::skip]
    let unfit: [(&str, &[(&str, &str)]); 5] = [
        ("credentials-flaw", &[("name", "till"), ("read", "yes")]),
        ("verbs-flaw",       &[("name", "till"), ("all_credentials", "yes")]),
        ("credentials-flaw", &[("name", "till"), ("all_credentials", "yes"), ("credentials", "shop"), ("read", "yes")]),
        ("name-flaw",        &[("name", "<b>"), ("all_credentials", "yes"), ("read", "yes")]),
        ("name-flaw",        &[("name", "desk"), ("all_credentials", "yes"), ("proxy", "yes")]),
    ];
    for (where_told, fields) in unfit {
        let page = operator.post("/consumers", fields).await;
        assert!(
            matches!(page.status, 400 | 409) && page.html.contains(where_told),
            "{fields:?}: {}",
            page.html
        );
        assert!(!page.html.contains("<b>"), "{fields:?}");
        for (name, chosen) in
            [("read", "read tokens"), ("proxy", "call through the proxy"), ("report", "report dead")]
        {
            let is_chosen = page.html.contains(&format!("name=\"{name}\" value=\"yes\" checked"))
                && page.html.contains(chosen);
            assert_eq!(is_chosen, fields.contains(&(name, "yes")), "{name} of {fields:?}");
        }
    }
    assert_eq!(operator.get("/consumers/nobody/revoke").await.status, 404);
    assert_eq!(operator.deed("/consumers/nobody/revoke", &[]).await.status, 200);
}

#[tokio::test]
async fn a_credential_is_added_and_leads_to_its_page_which_never_shows_its_secret() {
    let rig = Rig::new().await;
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    let new = |name, dialect| {
        [("name", name), ("dialect", dialect), ("app_id", "wx1"), ("base_url", "https://platform.example")]
    };
    let secret = [("secret", APP_SECRET)];
    for (name, dialect) in [("one", "wechat"), ("two", "wechat-legacy"), ("three", "dingtalk")] {
        let page = operator.deed("/credentials", &[&new(name, dialect)[..], &secret].concat()).await;
        check(&page, name);
        assert!(page.html.contains("The credential was added") && !page.html.contains(APP_SECRET), "{name}");
    }
    let unfit = [
        new("four", "miniprogram").to_vec(),
        [&new("four", "alipayhk")[..], &secret].concat(),
        new("four", "wechat").to_vec(),
        [&new("one", "wechat")[..], &secret].concat(),
    ];
    for (fields, flawed) in unfit.iter().zip(["private_key_pem", "private_key_pem", "secret", "name"]) {
        let page = operator.post("/credentials", fields).await;
        assert!(matches!(page.status, 400 | 409), "{fields:?}");
        assert!(
            page.html.contains(&format!("id=\"{flawed}-flaw\"")),
            "{flawed} of {fields:?}: {}",
            page.html
        );
        assert!(
            page.html.contains("value=\"https://platform.example\""),
            "what was typed stays: {}",
            page.html
        );
        assert!(!page.html.contains(APP_SECRET), "but no secret");
    }
    assert_eq!(rig.keeper.credentials().len(), 3);
}

#[tokio::test]
async fn a_credential_is_removed_by_who_is_asked_once_more() {
    let rig = wallet().await;
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    let page = operator.get("/credentials/wallet").await;
    assert!(page.html.contains("href=\"/credentials/wallet/remove\""), "{}", page.html);
    let asked = operator.get("/credentials/wallet/remove").await;
    check(&asked, "/credentials/wallet/remove");
    assert!(
        asked.html.contains("action=\"/credentials/wallet/remove\"") && rig.keeper.credentials().len() == 1
    );
    let stranger =
        operator.post_as("/credentials/wallet/remove", &[("sec-fetch-site", "same-origin")], []).await;
    assert_eq!((stranger.status, rig.keeper.credentials().len()), (403, 1), "a form of nobody's session");
    let done = operator.deed("/credentials/wallet/remove", &[]).await;
    assert!(done.html.contains("The credential wallet was removed."), "{}", done.html);
    assert_eq!(rig.keeper.credentials().len(), 0);
    for path in ["/credentials/wallet", "/credentials/wallet/remove"] {
        assert_eq!(operator.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_tokens_life_is_a_plot_and_a_table_that_grow_with_each_renewal() {
    let rig = Rig::new().await;
    rig.add("shop", TokenSource::WeChatToken).await;
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    let before = operator.get("/credentials/shop").await;
    check(&before, "/credentials/shop");
    let lanes = count(&before, "<rect class=\"life\" x");
    rig.clock.advance_s(60);
    let calls = rig.platform.calls();
    let after = operator.deed("/credentials/shop/refresh", &[]).await;
    check(&after, "/credentials/shop");
    assert_eq!(rig.platform.calls(), calls + 1);
    assert!(after.html.contains("The token was renewed."));
    assert_eq!(count(&after, "<rect class=\"life\" x"), lanes + 1, "its own lane");
    assert_eq!(count(&after, "<rect class=\"overlap\" x"), lanes, "WeChat’s five minutes of the ones before");
    assert_eq!(count(&after, "<th scope=\"row\">"), count(&before, "<th scope=\"row\">") + 1);
    assert!(after.html.contains(&format!("token: {} of 2000", calls + 1)), "the quota used");
    let again = operator.get("/credentials/shop").await;
    assert!(!again.html.contains("The token was renewed."), "said once");
}

#[tokio::test]
async fn no_page_shows_a_token_or_a_secret() {
    let rig = wallet().await;
    rig.add("shop", TokenSource::WeChatStable).await;
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    let paths =
        ["/", "/credentials", "/credentials/shop", "/credentials/wallet", "/credentials/wallet/customers/c1"];
    for path in paths {
        let page = operator.get(path).await;
        check(&page, path);
        for secret in [PLANTED, PLANTED_REFRESH, APP_SECRET, ADMIN] {
            assert!(!page.html.contains(secret), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_in_doubt_stands_on_top_until_an_operator_decides() {
    let rig = wallet().await;
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    let page = "/credentials/wallet/customers/c1";
    let idle = operator.get(page).await;
    assert!(!idle.html.contains("/resolve"), "there is nothing to decide");

    rig.platform.loses_answers.store(true, SeqCst);
    let failed = operator.deed(&format!("{page}/refresh"), &[]).await;
    assert!(failed.html.contains("role=\"alert\"") && failed.html.contains("needs you"), "{}", failed.html);
    let overview = operator.get("/").await;
    let urgent = overview.between("<li class=\"urgent\">", "</li>");
    assert!(urgent.contains("In doubt") && urgent.contains(page), "{urgent}");

    let undecided = operator.deed(&format!("{page}/resolve"), &[("decision", "whatever")]).await;
    assert!(undecided.html.contains("Nothing was decided") && undecided.html.contains("needs you"));
    let decided = operator.deed(&format!("{page}/resolve"), &[("decision", "ask_consent")]).await;
    assert!(
        decided.html.contains("needs consent") && !decided.html.contains("/resolve\""),
        "{}",
        decided.html
    );
    let overview = operator.get("/").await;
    assert!(overview.between("<li class=\"urgent\">", "</li>").contains("consent anew"));
}

#[tokio::test]
async fn of_many_tokens_in_doubt_some_are_named_and_the_rest_counted() {
    let rig = Rig::new().await;
    rig.add_wallet("wallet").await;
    let key = rig.consumer("shop").await.key;
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    for customer in 1..=12 {
        exchange(&rig, &key, &format!("c{customer}")).await;
        rig.platform.loses_answers.store(true, SeqCst);
        operator.deed(&format!("/credentials/wallet/customers/c{customer}/refresh"), &[]).await;
        rig.platform.loses_answers.store(false, SeqCst);
    }
    let overview = operator.get("/").await;
    assert_eq!(count(&overview, "<li class=\"urgent\">"), 10 + 1);
    assert!(overview.html.contains(" 2 more are so."), "{}", overview.html);
}

#[tokio::test]
async fn a_platform_that_is_down_is_told_of_and_is_not_urgent_while_the_token_is_good() {
    let rig = Rig::new().await;
    rig.add("shop", TokenSource::WeChatStable).await;
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    rig.platform.is_down.store(true, SeqCst);
    let page = operator.deed("/credentials/shop/refresh", &[]).await;
    assert!(page.html.contains("The renewal failed"), "{}", page.html);
    assert_eq!(count(&page, "<path class=\"fault\""), 1 + 1, "one cross in the plot, one in its key");
    let overview = operator.get("/").await;
    assert!(overview.between("<li class=\"look\">", "</li>").contains("/credentials/shop"));
    assert!(!overview.html.contains("class=\"urgent\""));
}

#[tokio::test]
async fn customers_are_paged_through_and_found_by_their_id() {
    let rig = wallet().await;
    let key = rig.consumer("till").await.key;
    for n in 0..26 {
        exchange(&rig, &key, &format!("{n:064}")).await;
    }
    let operator = Visitor::signed_in(&rig.console(), ADMIN).await;
    let first = operator.get("/credentials/wallet").await;
    check(&first, "/credentials/wallet");
    assert_eq!(count(&first, "<tr><th scope=\"row\">"), 25);
    let next = first.between("href=\"/credentials/wallet?after=", "\"").to_owned();
    let second = operator.get(&format!("/credentials/wallet?after={next}")).await;
    assert_eq!(count(&second, "<tr><th scope=\"row\">"), 2, "27 in all");
    let found = operator.get("/credentials/wallet/customers?customer=c1").await;
    assert_eq!((found.status, found.header("location")), (303, "/credentials/wallet/customers/c1"));
    #[rustfmt::skip]
    let unknown = [
        "/credentials/wallet/customers/nobody",
        "/credentials/wallet/customers?customer=%3Cscript%3E",
        "/credentials/nothing",
        "/credentials/%3Cscript%3E",
    ];
    for path in unknown {
        let page = operator.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(!page.html.contains("<script"), "{path}");
    }
}
