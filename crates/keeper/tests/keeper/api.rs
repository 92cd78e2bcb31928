//! The plain API over a world without chance: what callers are answered, and what it costs a platform.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mintkeep_keeper::StartFault;
use mintkeep_keeper::admin::{AdminFailure, MadeConsumer, NewConsumer};
use mintkeep_keeper::dropin::DropIn;
use mintkeep_keeper::proxy::HyperOnward;
use mintkeep_keeper::reporter::Action;
use mintkeep_keeper::rotation::walk_keepers_records;
use mintkeep_keeper::routes::{ListenerParts, WATCH_BEAT_EVERY, router};
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::crypto::key_name;
use mintkeep_protocol::crypto::reseal::{Pass, Resealing, Walk};
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::consumer::{CredentialScope, Verb};
use mintkeep_protocol::keep::credential::TokenSource;
use mintkeep_protocol::keep::plan::Reported;
use mintkeep_protocol::keep::slot::{HolderId, Slot, Trouble, Upkeep};
use mintkeep_protocol::record::{AuditAction, AuditEntry};
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_protocol::time::Clock as _;
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::tasks::Tasks;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::gate::Mischief;
use crate::platform::{KEY, LIFE};
use crate::store::StoreDoor;
use crate::world::{
    LEGACY_DAILY_LIMIT, Process, SECRET, World, by, name, new_consumer, new_credential, ring,
};

/// A world whose first tokens have been fetched.
async fn settled() -> World {
    let world = World::new(1, 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world
}

fn api(world: &World) -> Router {
    let keeper = Arc::clone(&world.processes[0].keeper);
    let drop_in = DropIn::new(Arc::clone(&keeper));
    let parts = ListenerParts {
        drop_in,
        onward: Arc::new(HyperOnward::new()),
        tasks: Tasks::new(1),
        watch_beat_every: WATCH_BEAT_EVERY,
    };
    router(keeper, parts)
}

async fn call(api: &Router, request: Request<Body>) -> (Response<()>, Value) {
    let response = api.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn request(method: &str, path: &str, key: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"))
}

async fn get(world: &World, path: &str) -> (Response<()>, Value) {
    call(&api(world), request("GET", path, &world.consumer_key).body(Body::empty()).unwrap()).await
}

pub async fn delete(world: &World, path: &str) -> StatusCode {
    let request = request("DELETE", path, &world.consumer_key).body(Body::empty()).unwrap();
    call(&api(world), request).await.0.status()
}

async fn post(world: &World, path: &str, body: &Value) -> (Response<()>, Value) {
    let body = Body::from(body.to_string());
    call(&api(world), request("POST", path, &world.consumer_key).body(body).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn a_token_is_read_with_its_end_and_known_again_by_its_tag() {
    let world = settled().await;
    for path in [
        "/v1/tokens/legacy",
        "/v1/tokens/stable",
        "/v1/tokens/ding",
        "/v1/tokens/mini/c1",
        "/v1/tokens/hk/c1",
    ] {
        let (head, body) = get(&world, path).await;
        assert_eq!(head.status(), StatusCode::OK, "{path} {body}");
        assert!(body["access_token"].as_str().unwrap().len() > 32, "{path}");
        assert!(
            body["expires_in"].as_u64().unwrap() > 600 && body["version"].as_i64().unwrap() > 0,
            "{path}"
        );
        assert!(body["expires_at"].as_str().unwrap().starts_with("2026-06-01T"), "{path}");
        let etag = head.headers()["etag"].clone();
        let again = request("GET", path, &world.consumer_key).header("if-none-match", &etag);
        let (head, _) = call(&api(&world), again.body(Body::empty()).unwrap()).await;
        assert_eq!((head.status(), &head.headers()["etag"]), (StatusCode::NOT_MODIFIED, &etag), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_and_wrong_paths_are_refused_without_a_call_to_a_platform() {
    let world = settled().await;
    let keeper = &world.processes[0].keeper;
    let narrow = NewConsumer {
        credentials: CredentialScope::Named(vec![name("ding")]),
        verbs: vec![Verb::Read],
        ..new_consumer("narrow")
    };
    let MadeConsumer { key: narrow, .. } = keeper.create_consumer(narrow, &by()).await.unwrap();
    let (all, before) = (world.consumer_key.as_str(), world.platform.arrived("legacy"));
    let long = format!("{{\"access_token\":\"{}\"}}", "x".repeat(70_000));
    #[rustfmt::skip]
    let cases = [
        ("no key",                    "GET",    "/v1/tokens/legacy",            "",      "",   401),
        ("wrong key",                 "GET",    "/v1/tokens/legacy",            "mk_no", "",   401),
        ("another's credential",      "GET",    "/v1/tokens/legacy",            &narrow, "",   403),
        ("one that does not exist",   "GET",    "/v1/tokens/nothing",           &narrow, "",   403),
        ("its own",                   "GET",    "/v1/tokens/ding",              &narrow, "",   200),
        ("another verb",              "POST",   "/v1/tokens/ding/report",       &narrow, "{}", 403),
        ("a path that climbs",        "GET",    "/v1/tokens/..%2Flegacy",       all,     "",   403),
        ("no such customer",          "GET",    "/v1/tokens/mini/nobody",       all,     "",   404),
        ("a customer of an app",      "GET",    "/v1/tokens/legacy/c1",         all,     "",   404),
        ("an app of customers",       "GET",    "/v1/tokens/mini",              all,     "",   404),
        ("a query that is no number", "GET",    "/v1/tokens/legacy?min_ttl=x",  all,     "",   400),
        ("an empty report",           "POST",   "/v1/tokens/legacy/report",     all,     "{}", 400),
        ("a report that is no JSON",  "POST",   "/v1/tokens/legacy/report",     all,     "{",  400),
        ("a report over the limit",   "POST",   "/v1/tokens/legacy/report",     all,     &long, 413),
        ("a token never held",        "POST",   "/v1/tokens/legacy/report",     all,     "{\"access_token\":\"no\"}", 422),
        ("a version to come",         "POST",   "/v1/tokens/legacy/report",     all,     "{\"version\":99}", 422),
        ("a code that is none",       "POST",   "/v1/exchanges/mini",           all,     "{\"auth_code\":\"a b\"}", 400),
        ("a code for an app",         "POST",   "/v1/exchanges/legacy",         all,     "{\"auth_code\":\"ab\"}", 404),
        ("a customer never seen",     "DELETE", "/v1/tokens/mini/nobody",       all,     "",   204),
    ];
    for (case, method, path, key, body, status) in cases {
        let sent = request(method, path, key).body(Body::from(body.to_owned())).unwrap();
        let (head, answer) = call(&api(&world), sent).await;
        assert_eq!(head.status().as_u16(), status, "{case}: {answer}");
        let is_problem = head.status().is_client_error();
        assert_eq!(is_problem, answer["type"].is_string(), "{case}: {answer}");
    }
    assert_eq!(world.platform.arrived("legacy"), before);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_reports_of_one_dead_token_cost_one_call() {
    let world = settled().await;
    let keeper = &world.processes[0].keeper;
    for (credential, customer) in [("legacy", None), ("mini", Some("c1"))] {
        let account = world.account(0, credential);
        let customer = customer.map(|customer| CustomerId::parse(customer).unwrap());
        let held = || keeper.leaf(&account, customer.as_ref()).unwrap().kept.as_ref().unwrap().version;
        let (version, before) = (held(), world.platform.arrived(credential));
        let report =
            |version| keeper.report(&account, customer.as_ref(), Reported::Version(version), &world.consumer);
        let done = futures_util::future::join_all((0..10_000).map(|_| report(version))).await;
        assert_eq!(world.platform.arrived(credential), before + 1, "{credential}");
        assert!(done.iter().all(|done| {
            let (action, leaf) = done.as_ref().unwrap();
            *action == Action::Renewed && leaf.kept.as_ref().unwrap().version > version
        }));
        tokio::time::sleep(Duration::from_mins(1)).await;
        let (next, _) = report(held()).await.unwrap();
        assert_eq!(next, Action::Renewed, "{credential}: who joins pays for no report");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_is_answered_by_what_it_names() {
    let world = settled().await;
    let (_, first) = get(&world, "/v1/tokens/legacy").await;
    let dead = json!({ "access_token": first["access_token"], "errcode": 40001 });
    let (_, renewed) = post(&world, "/v1/tokens/legacy/report", &dead).await;
    assert_eq!(renewed["action"], "renewed");
    assert_ne!(renewed["access_token"], first["access_token"]);
    let (_, newer) = post(&world, "/v1/tokens/legacy/report", &dead).await;
    assert_eq!((&newer["action"], &newer["version"]), (&json!("already_newer"), &renewed["version"]));
    let current = json!({ "version": renewed["version"] });
    let (_, soon) = post(&world, "/v1/tokens/legacy/report", &current).await;
    assert_eq!(soon["action"], "too_soon");
    assert!(soon["reason"].is_string() && soon["access_token"] == renewed["access_token"]);
    let reporter = NewConsumer { verbs: vec![Verb::Report], ..new_consumer("reporter") };
    let key = world.processes[0].keeper.create_consumer(reporter, &by()).await.unwrap().key;
    let sent = request("POST", "/v1/tokens/legacy/report", &key).body(Body::from(dead.to_string())).unwrap();
    let (_, told) = call(&api(&world), sent).await;
    assert_eq!((&told["action"], told.get("access_token")), (&json!("already_newer"), None), "no verb read");

    let (_, stable) = get(&world, "/v1/tokens/stable").await;
    let (_, good) = post(&world, "/v1/tokens/stable/report", &json!({ "version": stable["version"] })).await;
    assert_eq!((&good["action"], &good["access_token"]), (&json!("still_good"), &stable["access_token"]));
}

#[tokio::test(start_paused = true)]
async fn a_code_buys_the_same_tokens_for_the_same_caller_and_nothing_for_another() {
    let world = settled().await;
    let code = json!({ "auth_code": world.platform.issue_code("c9") });
    let before = world.platform.arrived("mini");
    let (head, bought) = post(&world, "/v1/exchanges/mini", &code).await;
    assert_eq!((head.status(), &bought["customer_id"]), (StatusCode::OK, &json!("c9")));
    assert!(bought.get("refresh_token").is_none());
    let (_, again) = post(&world, "/v1/exchanges/mini", &code).await;
    assert_eq!(again["access_token"], bought["access_token"]);
    assert_eq!(world.platform.arrived("mini"), before + 1);

    let keeper = &world.processes[0].keeper;
    let other = keeper.create_consumer(new_consumer("other"), &by()).await.unwrap();
    let theirs =
        request("POST", "/v1/exchanges/mini", &other.key).body(Body::from(code.to_string())).unwrap();
    assert_eq!(call(&api(&world), theirs).await.0.status(), StatusCode::CONFLICT);

    let (_, list) = get(&world, "/v1/customers/mini").await;
    assert_eq!(list["customers"].as_array().unwrap().len(), 2);
    assert_eq!(delete(&world, "/v1/tokens/mini/c9").await, StatusCode::NO_CONTENT);
    let (head, why) = get(&world, "/v1/tokens/mini/c9").await;
    assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE, "{why}");
    let (_, list) = get(&world, "/v1/customers/mini").await;
    assert_eq!(list["customers"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_read_to_its_end_with_everything_down_and_after_a_restart() {
    let mut world = settled().await;
    let (_, before) = get(&world, "/v1/tokens/legacy").await;
    world.platform.is_down.send_replace(true);
    world.restart(0).await;
    world.store.mischief.send_replace(Mischief { store_fails: 1000, ..Mischief::default() });
    let left = Duration::from_secs(before["expires_in"].as_u64().unwrap());
    tokio::time::sleep(left.saturating_sub(Duration::from_secs(1))).await;
    let (head, last) = get(&world, "/v1/tokens/legacy").await;
    assert_eq!((head.status(), &last["access_token"]), (StatusCode::OK, &before["access_token"]));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (head, problem) = get(&world, "/v1/tokens/legacy").await;
    assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert!(head.headers().contains_key("retry-after"));

    world.platform.is_down.send_replace(false);
    world.store.mischief.send_replace(Mischief::default());
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(get(&world, "/v1/tokens/legacy").await.0.status(), StatusCode::OK, "it recovers by itself");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_lengthens_no_promise() {
    let world = settled().await;
    world.clock.set(-3_600_000);
    let (_, read) = get(&world, "/v1/tokens/legacy").await;
    assert_eq!(read["expires_in"], LIFE.as_secs(), "what the platform said when it was asked");
}

#[tokio::test(start_paused = true)]
async fn the_next_look_is_told_by_the_clock_as_it_is_now() {
    let world = settled().await;
    let keeper = &world.processes[0].keeper;
    let secret = "0123456789".repeat(4);
    let token = AdminToken::new(&ClientSecret::new(secret.clone()));
    let (admin, _) = mintkeep_keeper::admin_routes::router(Arc::clone(keeper), token);
    world.clock.set(-3_600_000);
    keeper.clock_moved();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let list = request("GET", "/admin/v1/keeper/tokens", &secret).body(Body::empty()).unwrap();
    let (_, list) = call(&admin, list).await;
    let soon = world.clock.now().after(LIFE).unix_ms();
    let looks: Vec<_> =
        list["tokens"].as_array().unwrap().iter().map(|token| token["due_at"].as_i64()).collect();
    assert_eq!(looks.len(), 5, "{list}");
    assert!(looks.iter().flatten().all(|look| *look < soon), "{list}");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_ahead_of_their_ends_and_watchers_are_told() {
    let world = settled().await;
    let mut watch = world.processes[0].keeper.watch();
    let (_, first) = get(&world, "/v1/tokens/legacy").await;
    tokio::time::sleep(LIFE).await;
    let (_, next) = get(&world, "/v1/tokens/legacy").await;
    assert!(next["version"].as_i64() > first["version"].as_i64());
    let told = std::iter::from_fn(|| watch.try_recv().ok());
    assert!(told.into_iter().any(|event| event.credential == name("legacy")));
    let account = world.account(0, "legacy");
    let story = world.processes[0].keeper.explain(&account, None).await.unwrap();
    assert!(story.history.len() >= 2 && !story.calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_master_key_is_exchanged_while_everything_runs_and_the_old_one_can_go() {
    let mut world = settled().await;
    let told = AtomicU64::new(0);
    let go = async |pass| {
        let tell = |so_far: &Resealing| told.store(so_far.seen, Ordering::Relaxed);
        walked(&world, pass, tell).await
    };
    let drop_in_keys = vec![AppKey { version: 1, public: KEY.public().clone() }];
    let signing = NewConsumer { drop_in_keys, ..new_consumer("signing") };
    world.processes[0].keeper.create_consumer(signing, &by()).await.unwrap();
    assert_eq!(go(Pass::Count).await.left, 0);
    world.ring.read_again().unwrap();
    let due = go(Pass::Count).await.left;
    assert!(due >= 5, "{due}");
    let done = go(Pass::Reseal).await;
    assert_eq!((done.resealed, done.left), (due, 0));
    assert_eq!(told.load(Ordering::Relaxed), done.seen);
    assert_eq!(go(Pass::Count).await.left, 0);
    let consumers = world.processes[0].keeper.consumers();
    let keys = consumers.iter().find_map(|consumer| consumer.drop_in_keys.as_ref()).unwrap();
    assert_eq!(keys.answers.master_key_id(), Some(world.ring.ring().current().id()), "in memory too");
    let (head, _) = get(&world, "/v1/tokens/mini/c1").await;
    assert_eq!(head.status(), StatusCode::OK, "whoever did it goes on");

    world.ring = ring(8);
    world.restart(0).await;
    let (head, _) = get(&world, "/v1/tokens/mini/c1").await;
    assert_eq!(head.status(), StatusCode::OK, "the consumer's key is good still, and so is the token");
    let account = world.account(0, "hk");
    let customer = CustomerId::parse("c1").unwrap();
    let renewed = world.processes[0].keeper.refresh(&account, Some(&customer)).await;
    assert!(renewed.is_ok(), "{:?}", renewed.err());

    let stranger = Process::new(&world.dice, &world.clock, (&world.store, &world.platform, &ring(9)));
    let fault = stranger.keeper.start().await.unwrap_err();
    let StartFault::KeysMissing(missing) = fault else { panic!("{fault}") };
    assert!(missing.to_string().starts_with(&format!("{due} of")), "{missing}");
    assert_eq!(missing.names(), [key_name(ring(8).ring().current().id())]);
}

/// `stable_token` is forced only by an operator, and its app has 20 of these calls a day at the platform.
#[tokio::test(start_paused = true)]
async fn the_21st_forced_renewal_of_a_day_is_refused_before_it_is_sent() {
    let world = settled().await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "stable"));
    for nth in 1..=20 {
        let renewed = keeper.refresh(&account, None).await;
        assert!(renewed.is_ok(), "{nth}: {:?}", renewed.err());
    }
    let before = world.platform.arrived("stable");
    let refused = keeper.refresh(&account, None).await.err();
    assert!(matches!(refused, Some(AdminFailure::Renewal(Trouble::QuotaExhausted))), "{refused:?}");
    assert_eq!(world.platform.arrived("stable"), before);
    let leaf = keeper.leaf(&account, None).unwrap();
    assert!(leaf.good(world.clock.now()).is_some());
    assert!(matches!(leaf.upkeep, Upkeep::Idle { .. }), "ordinary calls are left: {:?}", leaf.upkeep);
}

#[tokio::test(start_paused = true)]
async fn an_operator_has_all_of_a_days_calls_with_those_that_are_held_back_from_the_timetable() {
    let world = settled().await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "legacy"));
    while keeper.refresh(&account, None).await.is_ok() {}
    assert_eq!(world.store.debited("legacy"), LEGACY_DAILY_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_being_renewed_is_left_to_its_renewal() {
    let world = settled().await;
    world.ring.read_again().unwrap();
    let slot = || world.store.slots().remove(0);
    let put = |upkeep| world.store.put(&Slot { upkeep, ..slot() });
    let now = world.clock.now();
    put(Upkeep::Renewing { by: HolderId(9), since: now });
    let before = slot().revision;
    assert_eq!(walked(&world, Pass::Reseal, |_| {}).await.left, 1);
    assert_eq!(slot().revision, before, "its holder's commit is not lost by this");
    put(Upkeep::Idle { renew_at: now });
    let done = walked(&world, Pass::Reseal, |_| {}).await;
    assert_eq!((done.resealed, done.left), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_somebody_is_at_counts_as_left_until_it_has_ended() {
    let world = settled().await;
    world.platform.is_silent.send_replace(true);
    let code = world.platform.issue_code("c2");
    drop(tokio::time::timeout(Duration::from_secs(1), world.exchange(0, "mini", &code)).await);
    world.ring.read_again().unwrap();
    assert_eq!(walked(&world, Pass::Reseal, |_| {}).await.left, 1);
    world.platform.is_silent.send_replace(false);
    assert!(world.exchange(0, "mini", &code).await.is_ok());
    assert_eq!(walked(&world, Pass::Reseal, |_| {}).await.left, 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_answer_is_not_durable_yet_is_served_to_who_waits_for_it() {
    let world = settled().await;
    let (keeper, account) = (&world.processes[0].keeper, world.account(0, "stable"));
    let before = world.read(0, "stable", None).await;
    *world.store.answers_late.lock().unwrap() = Some(("keep_answer", Duration::from_mins(1)));
    assert!(keeper.refresh(&account, None).await.is_ok());
    assert!(world.read(0, "stable", None).await != before, "the new one");
}

/// Takes a walk over the records of a world, beside its first process.
async fn walked(world: &World, pass: Pass, tell: impl Fn(&Resealing) + Send + Sync) -> Resealing {
    let process = &world.processes[0];
    let door = StoreDoor { store: Arc::clone(&world.store), gate: Arc::clone(&process.gate) };
    let audit = AuditEntry {
        at: world.clock.now(),
        actor: "test".into(),
        action: AuditAction::MasterKeyRotated,
        subject: String::new(),
        address: None,
        request_id: String::new(),
    };
    let mut walk = Walk::new((&world.ring, pass), audit, tell);
    walk_keepers_records(&door, Some(&process.keeper), &mut walk).await.unwrap();
    walk.so_far
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_stored_or_said_holds_a_secret() {
    let world = settled().await;
    let (_, body) = get(&world, "/v1/tokens/mini/c1").await;
    let token = body["access_token"].as_str().unwrap().to_owned();
    let dump = world.store.dump();
    assert!(dump.contains("legacy") && dump.contains("version"), "the dump has the records");
    for secret in [SECRET, &token, &world.consumer_key] {
        assert!(!dump.contains(secret), "a secret is in the store");
    }
    let keeper = &world.processes[0].keeper;
    let refused = keeper.add_credential(new_credential("legacy", TokenSource::WeChatToken), &by()).await;
    let Err(refused @ AdminFailure::NameTaken) = refused else { panic!("the name is taken") };
    assert!(!format!("{refused:?} {refused}").contains(SECRET));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_stored_after_whoever_asked_for_it_has_gone_counts_here_too() {
    let world = settled().await;
    let (keeper, by) = (&world.processes[0].keeper, by());
    world.store.mischief.send_replace(Mischief { store_stalls: 1_000, ..Mischief::default() });
    let new = new_credential("late", TokenSource::DingTalk);
    let (legacy, ding, mini) = (name("legacy"), name("ding"), world.account(0, "mini"));
    let customer = CustomerId::parse("c1").unwrap();
    let asked = async {
        tokio::join!(
            keeper.create_consumer(new_consumer("late"), &by),
            keeper.revoke_consumer(&world.consumer.name, &by),
            keeper.add_credential(new, &by),
            keeper.move_credential(&legacy, "https://moved.example", &by),
            keeper.remove_credential(&ding, &by),
            keeper.forget(&mini, &customer, (&world.consumer.name, &by)),
        )
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), asked).await.is_err());
    tokio::time::sleep(Duration::from_mins(2)).await;

    let consumers: Vec<_> = keeper.consumers().iter().map(|consumer| consumer.name.to_string()).collect();
    assert_eq!(consumers, ["late"]);
    assert!(keeper.account(&name("late")).is_some() && keeper.account(&ding).is_none());
    assert_eq!(world.account(0, "legacy").credential.base_url, "https://moved.example");
    assert!(keeper.leaf(&mini, Some(&customer)).unwrap().kept.is_none(), "it is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_removed_credential_and_a_revoked_consumer_are_gone_at_once() {
    let world = settled().await;
    let keeper = &world.processes[0].keeper;
    keeper.remove_credential(&name("ding"), &by()).await.unwrap();
    assert_eq!(get(&world, "/v1/tokens/ding").await.0.status(), StatusCode::FORBIDDEN);
    keeper.add_credential(new_credential("ding", TokenSource::DingTalk), &by()).await.unwrap();
    assert_eq!(get(&world, "/v1/tokens/ding").await.0.status(), StatusCode::OK, "anew under the old name");
    keeper.revoke_consumer(&world.consumer.name, &by()).await.unwrap();
    assert_eq!(get(&world, "/v1/tokens/legacy").await.0.status(), StatusCode::UNAUTHORIZED);
}
