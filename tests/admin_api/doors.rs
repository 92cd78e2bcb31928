//! Who is let in, and whether the description names every door.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Method, Request};
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
    let described = described(&api);
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
