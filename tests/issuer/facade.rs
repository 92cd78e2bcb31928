//! The standard facade: introspection, revocation, metadata, a gateway's sub-request, a wallet's codes.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use mintkeep_issuer::issuer::TokenState;
use mintkeep_protocol::app::AppStatus;
use serde_json::{Value, json};

use super::rig::{ACTIVE, Answer, DINGTALK, FROZEN, GATEWAY, MINI, Rig, SECRET, WALLET, WECHAT, basic};

async fn introspect(rig: &Rig, token: &str) -> Value {
    rig.form("/oauth2/introspect", GATEWAY, &format!("token={token}")).await.json()
}

#[tokio::test]
async fn a_good_token_says_whose_it_is_and_until_when() {
    let rig = Rig::new().await;
    let now_s = rig.issuer.now().unix_s();
    let app_token = introspect(&rig, &rig.wechat_token().await).await;
    let expected = json!({
        "active": true, "client_id": WECHAT, "sub": WECHAT, "exp": now_s + 7_200, "iat": now_s,
        "token_type": "Bearer", "iss": "https://issuer.example", "dialect": "wechat",
    });
    assert_eq!(app_token, expected);

    let pair = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await;
    let access = introspect(&rig, &pair.text("/accessToken")).await;
    assert_eq!((&access["sub"], &access["scope"]), (&json!(ACTIVE), &json!("auth_user")));
    assert_eq!(access["exp"], now_s + 86_400);
    let refresh = introspect(&rig, &pair.text("/refreshToken")).await;
    assert_eq!((&refresh["exp"], &refresh["token_type"]), (&json!(now_s + 3 * 86_400), &Value::Null));
}

#[tokio::test]
async fn a_token_that_is_not_good_is_only_inactive_whatever_the_reason() {
    let rig = Rig::new().await;
    let code = rig.code(MINI, ACTIVE).await;
    let expired = rig.wechat_token().await;
    rig.pass(Duration::from_hours(2));
    for (case, token) in [("garbage", "abc"), ("a code", &code), ("expired", &expired)] {
        assert_eq!(introspect(&rig, token).await, json!({"active": false}), "{case}");
    }
    let pair = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await;
    rig.put_customer(ACTIVE, mintkeep_protocol::record::CustomerStatus::Frozen).await;
    for token in [pair.text("/accessToken"), pair.text("/refreshToken")] {
        assert_eq!(introspect(&rig, &token).await, json!({"active": false}), "the customer is frozen");
    }
}

#[tokio::test]
async fn a_refresh_token_is_inactive_once_it_was_used_or_its_app_is_disabled() {
    let rig = Rig::new().await;
    let first = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await.text("/refreshToken");
    let second = rig.refresh(MINI, &first).await.text("/refreshToken");
    assert_eq!((rig.is_active(&first).await, rig.is_active(&second).await), (false, true));
    rig.change_app(MINI, |app| app.status = AppStatus::Disabled).await;
    assert!(!rig.is_active(&second).await);
}

#[tokio::test]
async fn only_a_resource_server_may_introspect_and_only_one_token() {
    let rig = Rig::new().await;
    let ask = async |who, body: &str| {
        let answer = rig.form("/oauth2/introspect", who, body).await;
        (answer.status, answer.text("/error"))
    };
    let unknown = (401, "invalid_client".to_owned());
    assert_eq!(ask(("gateway", "wrong"), "token=a").await, unknown);
    assert_eq!(ask(("nobody", "wrong"), "token=a").await, unknown);
    assert_eq!(ask(WALLET, "token=a").await, (403, "unauthorized_client".to_owned()));
    let many: Vec<String> = (0..40).map(|n| format!("p{n}=a")).collect();
    let in_form = |secret: &str| format!("token=a&client_id={}&client_secret={secret}", GATEWAY.0);
    assert_eq!(rig.post("/oauth2/introspect", in_form(GATEWAY.1)).await.json(), json!({"active": false}));
    assert_eq!(rig.post("/oauth2/introspect", in_form("wrong")).await.status, 401);
    assert_eq!(ask(GATEWAY, &in_form(GATEWAY.1)).await, (400, "invalid_request".to_owned()), "twice itself");
    let empty_beside_basic = "token=a&client_id=&client_secret="; // as Dovecot's passdb asks
    assert_eq!(
        rig.form("/oauth2/introspect", GATEWAY, empty_beside_basic).await.json(),
        json!({"active": false})
    );
    for body in ["", "token=", "token=%zz", &format!("token=a&{}", many.join("&"))] {
        assert_eq!(ask(GATEWAY, body).await, (400, "invalid_request".to_owned()), "{body}");
    }
    assert_eq!(ask(GATEWAY, "token=a&token=b").await, (400, "invalid_request".to_owned()));
    let anonymous = rig.post("/oauth2/introspect", "token=a").await;
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.header("www-authenticate").starts_with("Basic"));
}

#[tokio::test]
async fn an_app_revokes_its_own_tokens_and_nobody_elses() {
    let rig = Rig::new().await;
    let token = rig.wechat_token().await;
    let revoke =
        async |who, token: &str| rig.form("/oauth2/revoke", who, &format!("token={token}")).await.status;
    assert_eq!(revoke((DINGTALK, SECRET), &token).await, 200, "told alike");
    assert!(rig.is_active(&token).await, "another app's token stays");
    assert_eq!(revoke((WECHAT, "wrong"), &token).await, 401);
    assert!(rig.is_active(&token).await);
    assert_eq!(revoke((WECHAT, SECRET), "garbage").await, 200);
    for _ in 0..2 {
        assert_eq!(revoke((WECHAT, SECRET), &token).await, 200);
        assert!(!rig.is_active(&token).await);
    }
    let in_form = format!("token={}&client_id={WECHAT}&client_secret={SECRET}", rig.wechat_token().await);
    let revoked = rig.post("/oauth2/revoke", in_form).await;
    assert_eq!((revoked.status, revoked.header("content-type")), (200, "application/json"));
    assert_eq!(revoked.body, "{}", "for clients that read JSON out of every answer");
    rig.change_app(WECHAT, |app| app.settings.minute_limit = Some(1)).await;
    assert_eq!([revoke((WECHAT, SECRET), "a").await, revoke((WECHAT, SECRET), "a").await], [200, 429]);
    rig.change_app(WECHAT, |app| app.status = AppStatus::Disabled).await;
    assert_eq!(revoke((WECHAT, SECRET), "a").await, 400, "not for a wrong secret");
}

#[tokio::test]
async fn a_revoked_token_is_no_good_one_any_more_and_not_one_whose_time_is_over() {
    let rig = Rig::new().await;
    let consumed = async |path: &str| rig.get(path).await.text("/errcode");
    let (wechat, dingtalk) = (rig.wechat_token().await, rig.dingtalk_token().await.text("/accessToken"));
    for (id, token) in [(WECHAT, &wechat), (DINGTALK, &dingtalk)] {
        rig.form("/oauth2/revoke", (id, SECRET), &format!("token={token}")).await;
        let state = rig.issuer.inspect(token).await.unwrap().state;
        assert_eq!(state, TokenState::Revoked, "{id}");
    }
    let paths = [
        (format!("/cgi-bin/get_api_domain_ip?access_token={wechat}"), "40001"),
        (format!("/get_jsapi_ticket?access_token={dingtalk}"), "40014"),
    ];
    for (path, code) in &paths {
        assert_eq!(consumed(path).await, *code);
    }
    let next = rig.wechat_token().await;
    assert!(next != wechat && rig.is_active(&next).await);
    assert_eq!(rig.issuer.inspect(&wechat).await.unwrap().state, TokenState::Superseded);

    rig.pass(Duration::from_hours(2));
    let changes = rig.store.asked();
    assert!(changes.1 > 0);
    rig.form("/oauth2/revoke", (WECHAT, SECRET), &format!("token={next}")).await;
    assert_eq!(rig.store.asked().1, 0, "there is nothing to end");
    assert_eq!(consumed(&format!("/cgi-bin/get_api_domain_ip?access_token={next}")).await, "42001");
}

#[tokio::test]
async fn a_disabled_apps_token_is_told_to_be_held_up_by_that_only_if_nothing_else_ended_it() {
    let rig = Rig::new().await;
    let first = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await;
    let second = rig.refresh(MINI, &first.text("/refreshToken")).await;
    let (expired, current) = (rig.wechat_token().await, rig.dingtalk_token().await.text("/accessToken"));
    for id in [WECHAT, DINGTALK, MINI] {
        rig.change_app(id, |app| app.status = AppStatus::Disabled).await;
    }
    let state = async |token: &str| rig.issuer.inspect(token).await.unwrap().state;
    assert_eq!(state(&current).await, TokenState::AppDisabled);
    assert_eq!(state(&second.text("/accessToken")).await, TokenState::AppDisabled);
    assert_eq!(state(&first.text("/refreshToken")).await, TokenState::Used);
    rig.pass(Duration::from_hours(2));
    assert_eq!(state(&expired).await, TokenState::Expired);
}

#[tokio::test]
async fn a_revoked_predecessor_takes_nothing_with_it_and_a_revoked_grant_all() {
    let rig = Rig::new().await;
    let (old, new) = (rig.wechat_token().await, rig.wechat_token().await);
    rig.form("/oauth2/revoke", (WECHAT, SECRET), &format!("token={old}")).await;
    assert!(!rig.is_active(&old).await && rig.is_active(&new).await);

    let body = json!({"clientId": DINGTALK, "clientSecret": SECRET, "grantType": "authorization_code", "code": rig.code(DINGTALK, ACTIVE).await});
    let pair = rig.post("/v1.0/oauth2/userAccessToken", body.to_string()).await;
    let (access, refresh) = (pair.text("/accessToken"), pair.text("/refreshToken"));
    rig.form("/oauth2/revoke", (DINGTALK, SECRET), &format!("token={refresh}")).await;
    assert!(!rig.is_active(&access).await && !rig.is_active(&refresh).await);
}

#[tokio::test]
async fn the_metadata_names_what_is_there() {
    let rig = Rig::new().await;
    let metadata = rig.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["issuer"], "https://issuer.example");
    for (name, path) in [
        ("token_endpoint", "/oauth2/token"),
        ("introspection_endpoint", "/oauth2/introspect"),
        ("revocation_endpoint", "/oauth2/revoke"),
    ] {
        assert_eq!(metadata[name], format!("https://issuer.example{path}"));
        assert_ne!(rig.post(path, "").await.status, 404, "{path}");
    }
    let modes = (&metadata["response_types_supported"], &metadata["response_modes_supported"]);
    assert_eq!(modes, (&json!(["code"]), &json!(["query"])));
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
}

#[tokio::test]
async fn a_gateways_sub_request_is_let_through_with_who_it_is() {
    let rig = Rig::new().await;
    let authz = async |name: &str, value: &str| {
        rig.send(Request::get("/authz").header(name, value).body(Body::empty()).unwrap()).await
    };
    let pair = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await;
    let (access, refresh) = (pair.text("/accessToken"), pair.text("/refreshToken"));
    let dingtalk = rig.dingtalk_token().await.text("/accessToken");
    let good = authz("authorization", &format!("Bearer {access}")).await;
    let told = |answer: &Answer, name: &str| answer.header(&format!("x-mintkeep-{name}")).to_owned();
    assert_eq!(
        (good.status, told(&good, "client-id"), told(&good, "subject")),
        (204, MINI.into(), ACTIVE.into())
    );
    assert_eq!((told(&good, "scope"), told(&good, "dialect")), ("auth_user".into(), "miniprogram".into()));
    assert_eq!(told(&good, "expires-at"), (rig.issuer.now().unix_s() + 86_400).to_string());
    assert_eq!(authz("x-acs-dingtalk-access-token", &dingtalk).await.status, 204);
    assert_eq!(authz("access-token", &access).await.status, 204);

    let (none, invalid) = ("Bearer", "Bearer error=\"invalid_token\"");
    for (case, name, value, challenge) in [
        ("nothing", "x-other", "a".to_owned(), none),
        ("garbage", "authorization", "Bearer abc".to_owned(), invalid),
        ("another scheme", "authorization", basic((MINI, &access)), none),
        ("a refresh token", "authorization", format!("Bearer {refresh}"), invalid),
    ] {
        let answer = authz(name, &value).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, challenge), "{case}");
        assert_eq!(told(&answer, "client-id"), "", "{case}");
    }
    // Envoy repeats the guarded request's method, and its path after a prefix, and takes 200 alone for a yes.
    for (method, path) in [
        ("GET", "/authz/"),
        ("POST", "/authz/api/orders?id=1"),
        ("OPTIONS", "/authz//a"),
        ("DELETE", "/authz/oauth2/token"),
    ] {
        let ask = async |token: &str| {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {token}"));
            rig.send(request.body(Body::empty()).unwrap()).await
        };
        let good = ask(&access).await;
        assert_eq!((good.status, told(&good, "subject")), (200, ACTIVE.into()), "{method} {path}");
        assert_eq!(ask("abc").await.status, 401, "{method} {path}");
    }
    for name in ["authorization", "access-token"] {
        let [first, second] = [&access, "abc"]
            .map(|token| if name == "access-token" { token.to_owned() } else { format!("Bearer {token}") });
        let twice = Request::get("/authz").header(name, first).header(name, second);
        assert_eq!(rig.send(twice.body(Body::empty()).unwrap()).await.status, 401, "two of {name}");
    }
    // A bad token in the first place is not passed over for a good one in another.
    let both = Request::get("/authz").header("authorization", "Bearer abc").header("access-token", &access);
    assert_eq!(rig.send(both.body(Body::empty()).unwrap()).await.status, 401);
}

#[tokio::test]
async fn a_wallet_gets_codes_for_its_customers_and_nobody_else_does() {
    let rig = Rig::new().await;
    let ask = async |who, body: &str| {
        let request = Request::post("/wallet/v1/codes").header("authorization", basic(who));
        rig.send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let body = |app: &str, customer: &str, scope: &str| {
        json!({"client_id": app, "customer_id": customer, "scopes": [scope]}).to_string()
    };
    let of_scopes = |count| {
        json!({"client_id": MINI, "customer_id": ACTIVE, "scopes": vec!["auth_user"; count]}).to_string()
    };
    let good = body(MINI, ACTIVE, "auth_user");
    let issued = ask(WALLET, &good).await;
    assert_eq!(issued.text("/expires_at"), (rig.issuer.now().unix_ms() + 600_000).to_string());
    assert_eq!(issued.header("cache-control"), "no-store");
    assert_eq!(rig.exchange(MINI, &issued.text("/auth_code")).await.code(), "SUCCESS");

    #[rustfmt::skip]
    let cases = [
        ("wrong secret",       ("wallet", "wrong"), good.clone(),                      401),
        ("another role",       GATEWAY,             good.clone(),                      403),
        ("unknown app",        WALLET,              body("MINI9", ACTIVE, "auth_user"), 404),
        ("unknown customer",   WALLET,              body(MINI, "nobody", "auth_user"), 404),
        ("frozen customer",    WALLET,              body(MINI, FROZEN, "auth_user"),   409),
        ("a scope of no app's", WALLET,             body(MINI, ACTIVE, "auth_all"),    403),
        ("most scopes",        WALLET,              of_scopes(64),                     200),
        ("a scope more",       WALLET,              of_scopes(65),                     400),
        ("not JSON",           WALLET,              "client_id=1".into(),              400),
        ("an unknown field",   WALLET,              good.replace("scopes", "scope"),   400),
    ];
    let unknown = ask(("wallet", "wrong"), &good).await;
    assert_eq!(unknown.header("www-authenticate"), "Basic realm=\"mintkeep\"");
    for (case, who, body, status) in cases {
        assert_eq!(ask(who, &body).await.status, status, "{case}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_with_the_right_one() {
    let rig = Rig::new().await;
    for (path, allowed) in [
        ("/oauth2/introspect", "POST"),
        ("/oauth2/token", "POST"),
        ("/wallet/v1/codes", "POST"),
        ("/.well-known/oauth-authorization-server", "GET,HEAD"),
    ] {
        let answer = rig.send(Request::put(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.header("allow")), (405, allowed), "{path}");
        assert_eq!(answer.text("/type"), "urn:mintkeep:problem:wrong-method", "{path}");
    }
}
