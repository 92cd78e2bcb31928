//! What a customer granted, and its end.

use mintkeep_issuer::consent::ConsentSettings;
use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore as _};
use mintkeep_protocol::record::{AuditAction, GrantStage};
use mintkeep_web::arrival::Arrival;

use super::browser::{CUSTOMER, FROZEN, Platform, ask};

async fn platform_with_two_grants() -> Platform {
    let platform = Platform::open(ConsentSettings::default()).await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    browser.get(&ask("auth_base")).await;
    let form = browser.get(&ask("auth_user")).await.form("decision=confirm");
    browser.post("/authorize", &form).await;
    assert_eq!(platform.grants().await.len(), 2);
    platform
}

#[tokio::test]
async fn a_customer_sees_each_app_once_with_all_that_it_may_and_ends_it() {
    let platform = platform_with_two_grants().await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let page = browser.get("/authorize/granted").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.body.matches("<h2").count(), 1);
    for shown in ["recognise you", "see your profile", "2027-01-15", "End access"] {
        assert!(page.body.contains(shown), "{shown} in {}", page.body);
    }
    let ended = browser.post("/authorize/granted", &page.form("x=1")).await;
    assert_eq!(ended.location(), "/authorize/granted?ended=1");
    assert!(
        platform.grants().await.iter().all(|grant| matches!(grant.stage, GrantStage::Revoked { .. })),
        "both grants are ended"
    );
    let empty = browser.get("/authorize/granted?ended=1").await;
    assert!(empty.body.contains("No app has access") && empty.body.contains("The access was ended"));
}

#[tokio::test]
async fn nobody_ends_what_another_granted_or_from_another_site() {
    let platform = platform_with_two_grants().await;
    let mut mine = platform.signed_in(CUSTOMER).await;
    let form = mine.get("/authorize/granted").await.form("x=1");
    let mut others = platform.signed_in(FROZEN).await;
    assert!(others.get("/authorize/granted").await.body.contains("No app has access"));
    assert_eq!(others.post("/authorize/granted", &form).await.status, 403, "another customer");
    let again = platform.signed_in(CUSTOMER).await;
    assert_eq!(again.post("/authorize/granted", &form).await.status, 403, "another session");
    let cross = [("sec-fetch-site", "cross-site")];
    assert_eq!(mine.post_from("/authorize/granted", &form, &cross).await.status, 403, "another site");
    assert_eq!(platform.browser().get("/authorize/granted").await.status, 401, "nobody");
    let is_issued = |stage| matches!(stage, GrantStage::Issued { .. });
    assert!(platform.grants().await.iter().all(|grant| is_issued(grant.stage)));
}

#[tokio::test]
async fn an_app_whose_tokens_were_all_ended_has_access_only_by_what_was_granted_since() {
    let platform = platform_with_two_grants().await;
    let app = platform.store.app_by_no(RecordId::from_number(1)).await.unwrap().unwrap();
    let audit = platform.issuer.audit("test", AuditAction::AppChanged, "MINI1", &Arrival::UNKNOWN);
    let ended = App { token_epoch: app.token_epoch + 1, ..App::clone(&app) };
    assert_eq!(platform.store.put_app(ended, audit).await.unwrap(), Commit::Done);

    let mut browser = platform.signed_in(CUSTOMER).await;
    let empty = browser.get("/authorize/granted").await;
    assert!(empty.body.contains("No app has access"), "{}", empty.body);
    browser.get(&ask("auth_base")).await;
    let page = browser.get("/authorize/granted").await.body;
    assert_eq!(page.matches("<h2").count(), 1);
    assert!(page.contains("recognise you") && !page.contains("see your profile"), "{page}");
}
