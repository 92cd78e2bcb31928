//! What a code of the page is exchanged for, and by whom.

use form_urlencoded::Serializer;
use mintkeep_issuer::consent::ConsentSettings;
use mintkeep_issuer::issuer::{Failure, TokenState};
use mintkeep_protocol::binding::Challenge;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, Scope};
use mintkeep_protocol::issue::code::Consent;
use mintkeep_protocol::record::{AuditAction, Customer, CustomerStatus, Profile};
use mintkeep_web::arrival::Arrival;

use super::answers::message;
use super::browser::{Browser, CUSTOMER, FROZEN, Platform, REDIRECT, SECRET, ask, parameter};

/// A verifier and its challenge. Source: RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str =
    "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

/// A good challenge, by a method that is not spoken.
const PLAIN: &str = "response_type=code&code_challenge_method=plain&code_challenge=\
    E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// [`PUBLIC_URL`](super::browser::PUBLIC_URL) in a query.
const ISS: &str = "iss=https%3A%2F%2Fid.example";

/// What `DING1` gets for a code at `/oauth2/token`: the status, and the error if there is one.
async fn exchanged(browser: &Browser, code: &str, redirect_uri: Option<&str>) -> (u16, String) {
    exchanged_with(browser, code, (redirect_uri, None)).await
}

/// The same with a verifier, or without.
async fn exchanged_with(
    browser: &Browser,
    code: &str,
    (redirect_uri, verifier): (Option<&str>, Option<&str>),
) -> (u16, String) {
    let mut form = Serializer::new(String::new());
    form.extend_pairs([("client_id", "DING1"), ("client_secret", SECRET)]);
    form.extend_pairs([("grant_type", "authorization_code"), ("code", code)]);
    form.extend_pairs(redirect_uri.map(|uri| ("redirect_uri", uri)));
    form.extend_pairs(verifier.map(|verifier| ("code_verifier", verifier)));
    let answer = browser.post_from("/oauth2/token", &form.finish(), &[]).await;
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    (answer.status.as_u16(), body["error"].as_str().unwrap_or_default().to_owned())
}

/// Source: RFC 6749, section 4.1.3, `redirect_uri`.
#[tokio::test]
async fn a_code_is_worth_nothing_at_another_redirect_uri_than_the_browser_carried_it_to() {
    let platform = Platform::open(ConsentSettings::default()).await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let answer = browser.get(&ask("auth_base").replace("MINI1", "DING1")).await;
    let code = parameter(answer.location(), "authCode").unwrap();

    let sent_to = format!("{REDIRECT}?cart=7");
    let refused = (400, "invalid_grant".to_owned());
    for (case, redirect_uri) in [("none", None), ("without its query", Some(REDIRECT)), ("empty", Some(""))] {
        assert_eq!(exchanged(&browser, &code, redirect_uri).await, refused, "{case}");
    }
    assert_eq!(exchanged(&browser, &code, Some(&sent_to)).await, (200, String::new()));
    assert_eq!(exchanged(&browser, &code, Some(&sent_to)).await, refused, "a second time");
}

/// Source: RFC 6749, sections 4.1.1 to 4.1.4; RFC 9207, section 2, for who says so.
#[tokio::test]
async fn a_client_that_knows_only_the_standard_gets_its_token_by_the_page() {
    let platform = Platform::open(ConsentSettings::default()).await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let ask = |scope: &str| {
        format!(
            "/authorize?response_type=code&client_id=DING1&redirect_uri={REDIRECT}&scope={scope}&state=s1"
        )
    };
    let page = browser.get(&ask("auth_base%20auth_user")).await;
    let refused = browser.post("/authorize", &page.form("decision=refuse")).await;
    assert_eq!(refused.location(), format!("{REDIRECT}?error=access_denied&state=s1&{ISS}"));
    let elsewhere = browser.get(&ask("auth_user").replace("&scope", "?code=planted&scope")).await;
    assert_eq!(elsewhere.status, 400, "a query that was not registered");

    let allowed = browser.post("/authorize", &page.form("decision=confirm")).await;
    let code = parameter(allowed.location(), "code").unwrap();
    assert_eq!(allowed.location(), format!("{REDIRECT}?code={code}&state=s1&{ISS}"));
    assert_eq!(exchanged(&browser, &code, None).await, (400, "invalid_grant".to_owned()));
    assert_eq!(exchanged(&browser, &code, Some(REDIRECT)).await, (200, String::new()));
}

/// Source: RFC 6749, section 4.1.2.1; RFC 9700, section 4.11.2, for the sign-in that comes first.
#[tokio::test]
async fn a_fault_of_a_standard_request_is_told_at_its_redirect_uri_if_that_is_good_and_else_on_a_page() {
    let platform = Platform::open(ConsentSettings::default()).await;
    let (mut browser, mut frozen) = (platform.signed_in(CUSTOMER).await, platform.signed_in(FROZEN).await);
    let at = |client: &str, uri: &str, rest: &str| {
        format!("/authorize?client_id={client}&redirect_uri={uri}&state=s1&{rest}")
    };
    #[rustfmt::skip]
    let cases = [
        ("no response type",      "scope=auth_base",                                      "invalid_request"),
        ("an empty one",          "response_type=",                                       "invalid_request"),
        ("the implicit grant",    "response_type=token",                                  "unsupported_response_type"),
        ("a parameter twice",     "response_type=code&scope=auth_base&scope=auth_user",   "invalid_request"),
        ("a scope malformed",     "response_type=code&scope=%22",                         "invalid_scope"),
        ("one not allowed",       "response_type=code&scope=auth_pay",                    "invalid_scope"),
        ("a plain challenge",     PLAIN,                                                  "invalid_request"),
        ("one of two",            "response_type=code&scope=auth_base%20auth_pay",        "invalid_scope"),
    ];
    for (case, rest, error) in cases {
        let url = at("DING1", REDIRECT, rest);
        for browser in [&mut browser, &mut frozen] {
            let told = browser.get(&url).await;
            assert!(told.location().starts_with(&format!("{REDIRECT}?error={error}&")), "{case}");
            assert_eq!(parameter(told.location(), "state").as_deref(), Some("s1"), "{case}");
            assert!(parameter(told.location(), "error_description").is_some(), "{case}");
            assert!(told.location().ends_with(&format!("&{ISS}")), "{case}: {}", told.location());
        }
        let stranger = platform.browser().get(&url).await;
        assert_eq!((stranger.status.as_u16(), stranger.header("location")), (401, ""), "{case}: a stranger");
        let signing_in = format!("{url}&assertion={}", platform.assertion(CUSTOMER));
        let mut signed_in = platform.browser();
        let here = signed_in.get(&signing_in).await.location().to_owned();
        assert!(here.starts_with("/authorize?client_id=DING1&"), "{case}: {here}");
        let told = signed_in.get(&here).await;
        assert!(told.location().starts_with(&format!("{REDIRECT}?error={error}&")), "{case}: {here}");

        for (client, uri) in [("DING9", REDIRECT), ("DING1", "https://evil.example/back"), ("DING1", "")] {
            let page = browser.get(&at(client, uri, rest)).await;
            assert_eq!((page.status.as_u16(), page.header("location")), (400, ""), "{case}: {client} {uri}");
        }
    }
    assert!(platform.grants().await.is_empty());
}

/// Source: RFC 7636, sections 4.3 to 4.6; RFC 9700, section 4.8.2.
#[tokio::test]
async fn a_code_with_a_challenge_is_worth_nothing_without_its_verifier_and_one_without_takes_none() {
    let platform = Platform::open(ConsentSettings::default()).await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let plain =
        format!("/authorize?response_type=code&client_id=DING1&redirect_uri={REDIRECT}&scope=auth_user");
    let challenged = browser.get(&format!("{plain}&{CHALLENGE}")).await.form("decision=confirm");
    let stripped: Vec<&str> = challenged.split('&').filter(|pair| !pair.contains("challenge")).collect();
    assert_eq!(stripped.len() + 2, challenged.split('&').count(), "the challenge is in the form");
    let forged = browser.post("/authorize", &stripped.join("&")).await;
    assert_eq!(forged.status, 403, "the ticket is for the challenge too: {}", forged.body);

    let allowed = browser.post("/authorize", &challenged).await;
    let code = parameter(allowed.location(), "code").unwrap();
    let state = async || platform.issuer.inspect(&code).await.unwrap().state;
    let (at, other) = (Some(REDIRECT), VERIFIER.replace('d', "e"));
    let body = serde_json::json!({
        "clientId": "DING1", "clientSecret": SECRET, "grantType": "authorization_code", "code": code,
    });
    let dialects_own = browser.post_json("/v1.0/oauth2/userAccessToken", &body).await;
    let is_invalid_code = dialects_own.body.contains("invalidParameter.authCode.notFound");
    assert!(dialects_own.status == 400 && is_invalid_code, "{}", dialects_own.body);
    assert_eq!(state().await, TokenState::Good);
    #[rustfmt::skip]
    let cases = [
        ("none",                  (at, None),                      400, "invalid_grant"),
        ("another",               (at, Some(other.as_str())),      400, "invalid_grant"),
        ("one too short",         (at, Some(&VERIFIER[1..])),      400, "invalid_request"),
        ("no redirect URI",       (None, Some(VERIFIER)),          400, "invalid_grant"),
        ("the right one",         (at, Some(VERIFIER)),            200, ""),
        ("it, a second time",     (at, Some(VERIFIER)),            400, "invalid_grant"),
    ];
    for (case, shown, status, error) in cases {
        assert_eq!(exchanged_with(&browser, &code, shown).await, (status, error.to_owned()), "{case}");
    }
    assert_eq!(state().await, TokenState::Used);

    let page = browser.get(&plain).await.form("decision=confirm");
    let code = parameter(browser.post("/authorize", &page).await.location(), "code").unwrap();
    let refused = (400, "invalid_grant".to_owned());
    assert_eq!(
        exchanged_with(&browser, &code, (at, Some(VERIFIER))).await,
        refused,
        "a verifier for nothing"
    );
    assert_eq!(exchanged_with(&browser, &code, (at, None)).await, (200, String::new()));
}

#[tokio::test]
async fn two_pages_of_one_number_do_not_give_out_each_others_code() {
    let platform = Platform::open(ConsentSettings::default()).await;
    let page = RecordId::new(platform.issuer.now(), 7);
    let agreed = |customer: &str| Consent {
        customer: CustomerId::parse(customer).unwrap(),
        scopes: vec![],
        redirect_uri: Some(REDIRECT.into()),
        challenge: None,
    };
    let issue = async |app: &str, consent: Consent| {
        let app = AppId::parse(app).unwrap();
        let issued = platform.issuer.issue_code_of_page(page, &app, &consent, &Arrival::UNKNOWN).await;
        issued.map(|issued| issued.code.expose().to_owned())
    };
    let other = Customer {
        id: CustomerId::parse("2088000000000009").unwrap(),
        status: CustomerStatus::Active,
        profile: Profile::default(),
    };
    let audit = platform.issuer.audit("test", AuditAction::CustomerPut, &other.id, &Arrival::UNKNOWN);
    platform.issuer.store.put_customer(other.clone(), audit).await.unwrap();
    let code = issue("DING1", agreed(CUSTOMER)).await.unwrap();
    assert_eq!(issue("DING1", agreed(CUSTOMER)).await.unwrap(), code, "the same page once more");
    let scopes = vec![Scope::parse("auth_base").unwrap()];
    let elsewhere = Some("https://other.example/".into());
    #[rustfmt::skip]
    let cases = [
        ("another app's",       "MINI1", agreed(CUSTOMER)),
        ("another customer's",  "DING1", agreed(other.id.as_str())),
        ("of other scopes",     "DING1", Consent { scopes, ..agreed(CUSTOMER) }),
        ("another way back's",  "DING1", Consent { redirect_uri: elsewhere, ..agreed(CUSTOMER) }),
        ("with a challenge",    "DING1", Consent { challenge: Challenge::met_by(VERIFIER), ..agreed(CUSTOMER) }),
    ];
    for (case, app, consent) in cases {
        assert!(matches!(issue(app, consent).await, Err(Failure::Busy)), "{case}");
    }
}

#[tokio::test]
async fn a_challenge_that_no_exchange_of_the_app_can_meet_is_told_before_there_is_a_code() {
    let platform = Platform::open(ConsentSettings::default()).await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let ask = format!("/authorize?response_type=code&client_id=MINI1&redirect_uri={REDIRECT}&{CHALLENGE}");
    let told = browser.get(&ask).await;
    assert!(
        told.location().starts_with(&format!("{REDIRECT}?error=invalid_request&")),
        "{}",
        told.location()
    );
    assert!(platform.grants().await.is_empty());
}

#[tokio::test]
async fn a_code_that_came_as_a_message_needs_no_redirect_uri_and_takes_none() {
    let platform = Platform::open(ConsentSettings::default()).await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let page = browser.get("/authorize?client_id=DING1&origin=https://shop.example").await;
    let told: serde_json::Value = serde_json::from_str(&message(&page.body)).unwrap();
    let code = told["authCode"].as_str().unwrap();
    assert_eq!(exchanged(&browser, code, Some(REDIRECT)).await, (400, "invalid_grant".to_owned()));
    assert_eq!(exchanged(&browser, code, None).await, (200, String::new()));
}

#[tokio::test]
async fn a_dialects_own_exchange_asks_for_no_redirect_uri() {
    let platform = Platform::open(ConsentSettings::default()).await;
    let mut browser = platform.signed_in(CUSTOMER).await;
    let answer = browser.get(&ask("auth_base").replace("MINI1", "DING1")).await;
    let code = parameter(answer.location(), "authCode").unwrap();
    let body = serde_json::json!({
        "clientId": "DING1", "clientSecret": SECRET, "grantType": "authorization_code", "code": code,
    });
    let answer = browser.post_json("/v1.0/oauth2/userAccessToken", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
