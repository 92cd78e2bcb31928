//! What a customer's answer comes to.

use std::time::Duration;

use mintkeep_issuer::consent::ConsentSettings;
use mintkeep_protocol::ident::Scope;
use mintkeep_protocol::record::GrantStage;

use super::browser::{CUSTOMER, FROZEN, Platform, REDIRECT, ask, parameter, scopes};

async fn platform() -> Platform {
    Platform::open(ConsentSettings::default()).await
}

#[tokio::test]
async fn who_confirms_is_sent_back_with_a_code_and_the_apps_own_query() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let page = browser.get(&ask("auth_user")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for shown in ["&#60;script&#62;alert(1)", "see your profile", CUSTOMER] {
        assert!(page.body.contains(shown), "{shown} in {}", page.body);
    }
    assert!(!page.body.contains("<script"), "{}", page.body);

    let answer = browser.post("/authorize", &page.form("decision=confirm")).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let url = answer.location();
    let code = parameter(url, "authCode").unwrap();
    assert_eq!(url, format!("{REDIRECT}?cart=7&authCode={code}&authResult=SUCCESS&state=s1"));
    let grant = platform.grant_of_code(url).await;
    assert_eq!((grant.customer.as_str(), scopes(&grant)), (CUSTOMER, vec!["auth_user"]));
}

#[tokio::test]
async fn who_refuses_is_sent_back_without_a_code() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let page = browser.get(&ask("auth_user")).await;
    let answer = browser.post("/authorize", &page.form("decision=refuse")).await;
    assert_eq!(answer.location(), format!("{REDIRECT}?cart=7&authResult=FAIL&state=s1"));
    assert!(platform.grants().await.is_empty());
}

#[tokio::test]
async fn a_form_that_is_sent_many_times_at_once_makes_one_code() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let form = browser.get(&ask("auth_user")).await.form("decision=confirm");
    let mut elsewhere = platform.on_another_replica(&browser);
    let (one, two, three) = tokio::join!(
        browser.post("/authorize", &form),
        browser.post("/authorize", &form),
        elsewhere.post("/authorize", &form)
    );
    assert!(one.location().contains("authCode="));
    assert_eq!((one.location(), one.location()), (two.location(), three.location()));
    assert_eq!(platform.grants().await.len(), 1);
    // Another page is another code.
    let form = elsewhere.get(&ask("auth_user")).await.form("decision=confirm");
    assert_ne!(elsewhere.post("/authorize", &form).await.location(), one.location());
}

#[tokio::test]
async fn a_form_whose_code_was_ended_is_answered_and_makes_no_other() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let form = browser.get(&ask("auth_user")).await.form("decision=confirm");
    let first = browser.post("/authorize", &form).await;
    let grant = platform.grant_of_code(first.location()).await;
    let arrival = mintkeep_web::arrival::Arrival::UNKNOWN;
    platform.issuer.end_grant("test", &grant, &arrival).await.unwrap();
    let again = browser.post("/authorize", &form).await;
    assert_eq!(again.status, 409);
    assert!(again.body.contains("already answered"), "{}", again.body);
    let grants = platform.grants().await;
    assert!(matches!(grants[..], [ref only] if matches!(only.stage, GrantStage::Revoked { .. })));
}

#[tokio::test]
async fn a_form_that_is_sent_again_after_all_of_the_apps_tokens_were_ended_brings_no_code_back() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let form = browser.get(&ask("auth_user")).await.form("decision=confirm");
    assert_eq!(browser.post("/authorize", &form).await.status, 303);
    platform.change_app(|app| app.token_epoch += 1).await;
    assert_eq!(browser.post("/authorize", &form).await.status, 409);
}

#[tokio::test]
async fn scopes_that_are_silent_show_no_page() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let answer = browser.get(&ask("auth_base")).await;
    assert_eq!(answer.status, 303);
    assert_eq!(scopes(&*platform.grant_of_code(answer.location()).await), ["auth_base"]);
}

#[tokio::test]
async fn what_can_not_be_granted_is_told_to_the_app_as_an_error() {
    let platform = platform().await;
    let error = format!("{REDIRECT}?cart=7&authResult=ERROR&state=s1");
    let cases = [
        ("a scope of none", CUSTOMER, "auth_user,auth_pay"),
        ("a scope in other letters", CUSTOMER, "AUTH_USER"),
        ("a frozen customer", FROZEN, "auth_user"),
        ("a frozen customer, silently", FROZEN, "auth_base"),
        ("an unknown customer", "2160000000000009", "auth_user"),
    ];
    for (case, customer, scopes) in cases {
        let mut browser = platform.signed_in(customer).await;
        assert_eq!(browser.get(&ask(scopes)).await.location(), error, "{case}");
    }
    assert!(platform.grants().await.is_empty());
}

#[tokio::test]
async fn what_may_not_be_asked_any_more_when_the_customer_confirms_is_told_as_an_error() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let page = browser.get(&ask("auth_user")).await;
    platform.change_app(|app| app.settings.scopes = vec![Scope::parse("auth_base").unwrap()]).await;
    let answer = browser.post("/authorize", &page.form("decision=confirm")).await;
    assert_eq!(answer.location(), format!("{REDIRECT}?cart=7&authResult=ERROR&state=s1"));
    assert!(platform.grants().await.is_empty());
}

/// The message of the page that reports to `my.js`, its quotes written plainly.
pub fn message(body: &str) -> String {
    let (_, rest) = body.split_once("data-message=\"").unwrap_or_else(|| panic!("a message in {body}"));
    rest.split_once('"').unwrap().0.replace("&#34;", "\"")
}

#[tokio::test]
async fn a_page_of_the_apps_own_gets_its_answer_as_a_message_to_its_origin() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let url =
        |scopes| format!("/authorize?client_id=MINI1&scopes={scopes}&origin=https://shop.example&state=s1");
    let page = browser.get(&url("auth_user,auth_pay")).await;
    let refused = browser.post("/authorize", &page.form("decision=refuse")).await;
    let cancelled = r#"{"state":"s1","error":11,"errorMessage":"the user cancelled the authorization"}"#;
    assert_eq!(message(&refused.body), cancelled);

    let allowed = browser.post("/authorize", &page.form("decision=confirm")).await;
    assert!(allowed.body.contains("data-origin=\"https://shop.example\""), "{}", allowed.body);
    let told = message(&allowed.body);
    assert!(told.starts_with(r#"{"state":"s1","authCode":""#), "{told}");
    let rest = r#""authSuccessScopes":["auth_user"],"authErrorScopes":{"auth_pay":"ACCESS_DENIED"}}"#;
    assert!(told.ends_with(rest), "{told}");
    assert_eq!(scopes(&platform.grants().await[0]), ["auth_user"]);

    let none = browser.get(&url("auth_pay")).await;
    assert!(message(&none.body).contains(r#""error":4"#), "{}", none.body);
}

#[tokio::test]
async fn a_page_that_waits_ten_minutes_can_be_shown_anew_by_signing_in_again() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let page = browser.get(&ask("auth_user")).await;
    platform.pass(Duration::from_mins(10));
    let late = browser.post("/authorize", &page.form("decision=confirm")).await;
    assert_eq!(late.status, 400);
    assert!(late.body.contains("open for too long") && late.body.contains("Start again"), "{}", late.body);
    assert!(platform.grants().await.is_empty());
}

#[tokio::test]
async fn a_page_speaks_the_browsers_language() {
    let platform = platform().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    for (language, lang, confirm) in
        [("en-GB", "en", ">Allow<"), ("zh-HK", "zh-Hant", ">允許<"), ("zh-CN", "zh-Hans", ">允许<")]
    {
        browser.language = language;
        let page = browser.get(&ask("auth_user")).await;
        assert!(page.body.contains(confirm) && page.body.contains(&format!("lang=\"{lang}\"")), "{language}");
        assert_eq!(page.header("content-language"), lang);
    }
}
