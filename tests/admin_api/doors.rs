//! Who is let in, and whether the description names every door.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Method, Request};
use mintkeep_protocol::dialect::alipay::Gateway;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use serde_json::Value;

use super::desk::{Desk, answer_of, kind};

/// Every route there is.
#[rustfmt::skip]
const ROUTES: [(&str, &str); 33] = [
    ("POST",   "/admin/v1/apps"),
    ("GET",    "/admin/v1/apps"),
    ("GET",    "/admin/v1/apps/{id}"),
    ("PATCH",  "/admin/v1/apps/{id}"),
    ("DELETE", "/admin/v1/apps/{id}"),
    ("POST",   "/admin/v1/apps/{id}/rotate-secret"),
    ("POST",   "/admin/v1/apps/{id}/keys"),
    ("DELETE", "/admin/v1/apps/{id}/keys/{version}"),
    ("POST",   "/admin/v1/apps/{id}/revoke-tokens"),
    ("POST",   "/admin/v1/apps/{id}/disable"),
    ("POST",   "/admin/v1/apps/{id}/enable"),
    ("POST",   "/admin/v1/apps/{id}/freeze-secret"),
    ("GET",    "/admin/v1/customers"),
    ("PUT",    "/admin/v1/customers/{id}"),
    ("GET",    "/admin/v1/customers/{id}"),
    ("POST",   "/admin/v1/codes"),
    ("GET",    "/admin/v1/grants"),
    ("GET",    "/admin/v1/grants/{id}"),
    ("POST",   "/admin/v1/grants/{id}/revoke"),
    ("POST",   "/admin/v1/inspect"),
    ("POST",   "/admin/v1/services"),
    ("GET",    "/admin/v1/services"),
    ("GET",    "/admin/v1/services/{id}"),
    ("GET",    "/admin/v1/audit"),
    ("GET",    "/admin/v1/platform-keys"),
    ("POST",   "/admin/v1/platform-keys/{dialect}/rotate"),
    ("GET",    "/admin/v1/sandbox/clock"),
    ("POST",   "/admin/v1/sandbox/clock"),
    ("DELETE", "/admin/v1/sandbox/clock"),
    ("GET",    "/admin/v1/sandbox/faults"),
    ("POST",   "/admin/v1/sandbox/faults"),
    ("DELETE", "/admin/v1/sandbox/faults/{id}"),
    ("GET",    "/admin/v1/no-such-path"),
];

/// The described routes: method and path, with the operation's description.
fn described(api: &Value) -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.insert((method.to_uppercase(), path.clone()), operation.clone());
        }
    }
    found
}

#[tokio::test]
async fn every_route_is_described_once_and_nothing_else_is() {
    let desk = Desk::sandbox().await;
    let api = serde_json::to_value(&desk.api).unwrap();
    let mut described = described(&api);
    described.retain(|(_, path), _| path.starts_with("/admin/"));
    for (method, path) in ROUTES {
        let is_described = described.contains_key(&(method.to_owned(), path.to_owned()));
        assert_eq!(is_described, !path.contains("no-such"), "{method} {path}");
    }
    assert_eq!(described.len(), ROUTES.len() - 1);

    let ids: BTreeSet<String> =
        described.values().map(|operation| operation["operationId"].to_string()).collect();
    assert_eq!(ids.len(), described.len(), "each operation has a name of its own");
    for (route, operation) in &described {
        assert!(operation["summary"].is_string(), "{route:?} says what it does");
    }
}

/// What of its routes the issuer's router has by name is in its source as `.route("PATH"`; the dialects' are
/// those that their own modules know.
#[tokio::test]
async fn every_route_of_the_issuers_listener_is_described_and_every_described_one_is_there() {
    let desk = Desk::sandbox().await;
    let api = serde_json::to_value(&desk.api).unwrap();
    let all = described(&api);
    let ids: BTreeSet<String> = all.values().map(|operation| operation["operationId"].to_string()).collect();
    assert_eq!(ids.len(), all.len(), "each operation has a name of its own");

    let mut served: BTreeSet<String> = ["/oauth2/introspect"].map(str::to_owned).into();
    let source = include_str!("../../crates/issuer/src/routes.rs");
    served.extend(source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    assert!(served.contains("/oauth2/token") && served.contains("/wallet/v1/codes"), "{served:?}");
    for place in wechat::Endpoint::ALL {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD] {
            let is_described = all.contains_key(&(method.to_string(), place.path().to_owned()));
            assert_eq!(is_described, place.takes(&method), "{method} {place:?}");
        }
    }
    for gateway in [Gateway::MiniProgram, Gateway::AlipayHk] {
        served.extend(gateway.endpoints().iter().map(|(path, _)| (*path).to_owned()));
    }
    let is_of_the_issuer = |path: &&String| !path.starts_with("/admin/");
    let paths: BTreeSet<String> =
        all.keys().map(|(_, path)| path).filter(is_of_the_issuer).cloned().collect();
    for path in &served {
        assert!(paths.contains(path), "{path} is served and not described");
    }
    for place in dingtalk::Endpoint::ALL {
        let is_its = |path: &String| dingtalk::Endpoint::at(&path.replace("{corpId}", "corp")) == Some(place);
        assert!(paths.iter().any(is_its), "{place:?} is served and not described");
    }

    for ((method, path), operation) in all.iter().filter(|((_, path), _)| is_of_the_issuer(&path)) {
        assert!(operation["summary"].is_string(), "{method} {path} says what it does");
        assert_eq!(operation["servers"][0]["url"], "http://127.0.0.1", "{method} {path} says where it is");
        let proved = operation["security"].as_array().map(Vec::len);
        assert!(proved.is_some(), "{method} {path} needs no admin token");
        let request = Request::builder().method(method.as_str()).uri(path.replace("{corpId}", "corp"));
        let (status, told) = answer_of(&desk.dialects, request.body(Body::empty()).unwrap()).await;
        let told = told.to_string();
        let is_missing = ["There is nothing here", "40066", "InvalidAction.NotFound", "INVALID_API"];
        let is_there = status != 405 && !is_missing.iter().any(|missing| told.contains(missing));
        assert!(is_there, "{method} {path}: {status} {told}");
    }
}

/// An appid that can be read is unknown (40013); one that can't is missing (41002).
#[tokio::test]
async fn a_token_can_be_posted_for_in_every_kind_that_is_described() {
    let desk = Desk::sandbox().await;
    let api = serde_json::to_value(&desk.api).unwrap();
    let body = &api["paths"]["/cgi-bin/token"]["post"]["requestBody"];
    assert_ne!(body["required"], true, "the query alone is enough");
    let kinds = body["content"].as_object().unwrap();
    for kind in kinds.keys() {
        let fields = match kind.as_str() {
            "application/x-www-form-urlencoded" => "grant_type=client_credential&appid=wx9&secret=s",
            "application/json" => r#"{"grant_type":"client_credential","appid":"wx9","secret":"s"}"#,
            other => panic!("no token was asked for by {other}"),
        };
        let request = Request::post("/cgi-bin/token").header("content-type", kind);
        let (_, told) = answer_of(&desk.dialects, request.body(Body::from(fields)).unwrap()).await;
        assert_eq!(told["errcode"], 40013, "{kind}: {told}");
    }
    assert_eq!(kinds.len(), 2);
}

#[tokio::test]
async fn the_description_refers_to_nothing_that_it_lacks() {
    let desk = Desk::sandbox().await;
    let api = serde_json::to_value(&desk.api).unwrap();
    let text = api.to_string();
    let references = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next());
    let mut count = 0;
    for reference in references {
        assert!(api.pointer(reference).is_some(), "{reference}");
        count += 1;
    }
    assert!(count > 20, "{count} references were looked at");
}

#[tokio::test]
async fn nobody_is_let_in_without_the_token() {
    let desk = Desk::sandbox().await;
    let proofs = [
        ("none", None),
        ("another", Some("Bearer planted-admin-tokem")),
        ("a part", Some("Bearer planted-admin-toke")),
        ("empty", Some("Bearer ")),
        ("basic", Some("Basic cGxhbnRlZC1hZG1pbi10b2tlbg==")),
    ];
    for (method, path) in ROUTES.into_iter().filter(|(_, path)| !path.contains("no-such")) {
        for (case, proof) in proofs {
            let path = path.replace(['{', '}'], "");
            let mut request = Request::builder().method(method).uri(&path);
            if let Some(proof) = proof {
                request = request.header("authorization", proof);
            }
            let (status, problem) = answer_of(&desk.admin, request.body(Body::empty()).unwrap()).await;
            assert_eq!((status, kind(&problem)), (401, "unauthorized"), "{case}: {method} {path}");
        }
    }
}

#[tokio::test]
async fn every_route_is_there_for_who_has_the_token() {
    let desk = Desk::sandbox().await;
    for (method, path) in ROUTES.into_iter().filter(|(_, path)| !path.contains("no-such")) {
        let path = path.replace("{dialect}", "wechat").replace(['{', '}'], "");
        let (status, answer) = desk.ask(Method::from_bytes(method.as_bytes()).unwrap(), &path, None).await;
        assert!(![401, 405, 500].contains(&status), "{method} {path}: {status}");
        assert!(status != 404 || kind(&answer) != "-", "{method} {path}: a 404 of the router's own");
    }
}

#[tokio::test]
async fn no_cache_keeps_an_answer() {
    use tower::ServiceExt as _;
    let desk = Desk::sandbox().await;
    let request = Request::get("/admin/v1/apps").header("authorization", "Bearer planted-admin-token");
    let response = desk.admin.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
}
