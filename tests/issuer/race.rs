//! Many at once: one winner, one write, and every answer true.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mintkeep_issuer::issuer::{CodeAsk, Failure};
use mintkeep_protocol::binding::ShownBinding;
use mintkeep_protocol::ident::AppId;
use mintkeep_protocol::issue::authenticate::AuthenticClient;
use mintkeep_protocol::request::{Ask, ClientProof};
use mintkeep_protocol::secret::{AuthCode, ClientSecret};
use mintkeep_protocol::token::TokenKind;
use mintkeep_web::arrival::Arrival;
use serde_json::json;
use tokio::task::JoinSet;

use super::rig::{ACTIVE, DINGTALK, HK, MINI, Rig, SECRET, WECHAT, apply_path, wechat_target};

/// What each of many tasks that begin together comes to.
async fn all_at_once<F, T>(count: usize, make: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let _handle = tasks.spawn(make(n));
    }
    tasks.join_all().await
}

/// One thread that lets every caller get into line before anything is written.
fn in_one_moment(test: impl Future<Output = ()>) {
    /// More polls than all of the callers need to get there.
    const POLLS: u32 = 100_000;
    let runtime = tokio::runtime::Builder::new_current_thread().event_interval(POLLS).enable_all().build();
    runtime.unwrap().block_on(test);
}

/// An app as it is let in now.
async fn let_in(rig: &Rig, id: &str) -> AuthenticClient {
    let app = rig.issuer.app(&AppId::parse(id).unwrap()).await.unwrap();
    let proof = ClientProof::Secret(ClientSecret::new(SECRET.to_owned()));
    rig.issuer.admit(&app, &proof, &Arrival::UNKNOWN).unwrap()
}

#[test]
fn the_64_callers_of_one_moment_share_one_new_token_and_one_write() {
    in_one_moment(async {
        let rig = Arc::new(Rig::new().await);
        let before = rig.wechat_token().await;
        let _before = rig.store.asked();
        let tokens = all_at_once(64, |_| {
            let rig = rig.clone();
            async move { rig.wechat_token().await }
        });
        let tokens: HashSet<String> = tokens.await.into_iter().collect();
        assert_eq!((tokens.len(), rig.store.asked().1), (1, 1));
        assert!(!tokens.contains(&before), "newer than any that they had");
        for token in tokens.iter().chain([&before]) {
            assert!(rig.is_active(token).await, "it and its predecessor are good");
        }
    });
}

#[test]
fn who_was_let_in_by_an_app_of_before_shares_no_token_of_who_was_let_in_after() {
    in_one_moment(async {
        let rig = Rig::new().await;
        let before = let_in(&rig, WECHAT).await;
        rig.change_app(WECHAT, |app| app.name.push('!')).await;
        let after = let_in(&rig, WECHAT).await;
        let ask = Ask::AppToken { pool: TokenKind::WeChatToken, force: false };
        let asked = async |client| rig.issuer.done_for_client(client, &ask, None, &Arrival::UNKNOWN).await;
        let (later, earlier) = tokio::join!(biased; asked(&after), asked(&before));
        assert!(later.is_ok());
        assert!(matches!(earlier, Err(Failure::Overtaken)), "it may not be let in any more");
    });
}

#[test]
fn a_code_of_after_a_mass_revocation_is_not_refused_to_who_was_let_in_before() {
    in_one_moment(async {
        let rig = Rig::new().await;
        let before = let_in(&rig, DINGTALK).await;
        rig.change_app(DINGTALK, |app| app.token_epoch += 1).await;
        let code = AuthCode::new(rig.code(DINGTALK, ACTIVE).await);
        let traded = async |client| {
            let ask = CodeAsk { client, request: None, arrival: &Arrival::UNKNOWN };
            rig.issuer.exchange(ask, &code, ShownBinding::NotAsked).await
        };
        let overtaken = traded(&before).await;
        assert!(matches!(overtaken, Err(Failure::Overtaken)), "who asks is let in anew");
        assert!(traded(&let_in(&rig, DINGTALK).await).await.is_ok());
    });
}

#[tokio::test]
async fn a_token_of_after_a_mass_revocation_is_ended_also_by_who_remembers_the_app_of_before() {
    let rig = Rig::new().await;
    let mut behind = Vec::new();
    for id in [WECHAT, MINI] {
        behind.push(rig.issuer.app(&AppId::parse(id).unwrap()).await.unwrap());
        rig.change_app(id, |app| app.token_epoch += 1).await;
    }
    let is_ended = async |token: &str| !rig.is_active(token).await;
    let token = rig.wechat_token().await;
    rig.store.remember(behind[0].clone());
    assert_eq!(rig.form("/oauth2/revoke", (WECHAT, SECRET), &format!("token={token}")).await.status, 200);
    assert!(is_ended(&token).await);

    let pair = rig.exchange(MINI, &rig.code(MINI, ACTIVE).await).await;
    let token = pair.text("/accessToken");
    rig.store.remember(behind[1].clone());
    let cancelled = rig.call(MINI, "/v1/authorizations/cancelToken", &json!({"accessToken": token})).await;
    assert_eq!(cancelled.code(), "SUCCESS");
    assert!(is_ended(&token).await);
}

#[tokio::test]
async fn anothers_code_is_refused_however_often_its_app_ended_all_of_its_tokens() {
    let rig = Rig::new().await;
    rig.change_app(DINGTALK, |app| app.token_epoch += 1).await;
    let code = rig.code(DINGTALK, ACTIVE).await;
    assert_eq!(rig.exchange(MINI, &code).await.code(), "INVALID_CODE");
}

#[test]
fn a_line_of_callers_has_an_end() {
    const WAITING_MAX: usize = 4_096;
    in_one_moment(async {
        let rig = Arc::new(Rig::new().await);
        let client = let_in(&rig, DINGTALK).await;
        let answers = all_at_once(WAITING_MAX + 2, |_| {
            let (rig, client) = (rig.clone(), client.clone());
            async move {
                let ask = Ask::AppToken { pool: TokenKind::DingTalkToken, force: false };
                rig.issuer.done_for_client(&client, &ask, None, &Arrival::UNKNOWN).await
            }
        });
        let answers = answers.await;
        let told_to_come_back = answers.iter().filter(|answer| matches!(answer, Err(Failure::Busy))).count();
        assert_eq!(
            (told_to_come_back, answers.iter().filter(|answer| answer.is_ok()).count()),
            (2, WAITING_MAX)
        );
    });
}

#[tokio::test]
async fn of_those_who_share_a_token_only_as_many_get_it_as_the_quota_has_room_for() {
    let rig = Arc::new(Rig::new().await);
    rig.change_app(WECHAT, |app| app.settings.daily_quota = Some(10)).await;
    let _first = rig.wechat_token().await;
    let answers = all_at_once(64, |_| {
        let rig = rig.clone();
        async move { rig.get(&wechat_target()).await.json()["errcode"].as_i64() }
    });
    let answers = answers.await;
    let refused = answers.iter().filter(|errcode| **errcode == Some(45009)).count();
    let granted = answers.iter().filter(|errcode| errcode.is_none()).count();
    assert_eq!((granted, refused), (9, 55));
}

/// Else it would count itself, take that back, and be counted by whoever changes the pool in between.
#[tokio::test]
async fn a_call_that_always_mints_is_not_decided_on_before_its_turn() {
    let rig = Rig::new().await;
    rig.wechat_token().await;
    let _first = rig.store.asked();
    rig.wechat_token().await;
    assert_eq!(rig.store.asked(), (2, 1), "its app and its pool, each read once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_a_token_is_minted_waits_for_the_next_and_every_token_is_one_write() {
    let rig = Arc::new(Rig::new().await);
    let tokens = all_at_once(64, |_| {
        let rig = rig.clone();
        async move { rig.wechat_token().await }
    });
    let tokens: HashSet<String> = tokens.await.into_iter().collect();
    let (_reads, changes) = rig.store.asked();
    assert_eq!(changes, tokens.len(), "no write is lost to a neighbour");
}

#[tokio::test]
async fn who_stood_in_line_and_found_the_token_that_a_neighbour_minted_counts_all_the_same() {
    // At one of these moments the other one's change is under way.
    for later in 0..10 {
        let rig = Rig::new().await;
        let asked_later = async {
            for _ in 0..later {
                tokio::task::yield_now().await;
            }
            rig.stable_token(false).await
        };
        let (one, other) = tokio::join!(rig.stable_token(false), asked_later);
        let token = one.text("/access_token");
        assert_eq!(other.text("/access_token"), token);
        let quota = format!("/cgi-bin/openapi/quota/get?access_token={token}");
        let told = rig.post(&quota, json!({"cgi_path": "/cgi-bin/stable_token"}).to_string()).await;
        assert_eq!(told.text("/quota/used"), "2", "{later}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_different_requests_for_one_code_one_succeeds_and_199_are_told_used() {
    for (id, used) in [(MINI, "USED_CODE"), (HK, "INVALID_AUTHCODE")] {
        let rig = Arc::new(Rig::new().await);
        let code = rig.code(id, ACTIVE).await;
        let answers = all_at_once(200, |n| {
            let (rig, code) = (rig.clone(), code.clone());
            async move {
                // The extension makes each request another one, its signature too.
                let extension = format!("request{n}");
                let body =
                    json!({"grantType": "AUTHORIZATION_CODE", "authCode": code, "extendInfo": extension});
                rig.call(id, apply_path(id), &body).await
            }
        });
        let answers = answers.await;
        let of_code = |code: &str| answers.iter().filter(|answer| answer.code() == code).count();
        assert_eq!((of_code("SUCCESS"), of_code(used)), (1, 199), "{id}");
        let winner = answers.iter().find(|answer| answer.code() == "SUCCESS").unwrap();
        assert!(rig.is_active(&winner.text("/accessToken")).await, "{id}: the winner's token is good");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_different_requests_for_one_refresh_token_one_succeeds() {
    let rig = Arc::new(Rig::new().await);
    let code = rig.code(MINI, ACTIVE).await;
    let first = rig.exchange(MINI, &code).await.text("/refreshToken");
    let answers = all_at_once(64, |n| {
        let (rig, token) = (rig.clone(), first.clone());
        async move {
            let extension = format!("request{n}");
            let body = json!({"grantType": "REFRESH_TOKEN", "refreshToken": token, "extendInfo": extension});
            rig.call(MINI, apply_path(MINI), &body).await.code()
        }
    });
    let answers = answers.await;
    let of_code = |wanted: &str| answers.iter().filter(|code| *code == wanted).count();
    assert_eq!((of_code("SUCCESS"), of_code("USED_REFRESH_TOKEN")), (1, 63));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identical_signed_request_gets_the_identical_tokens_however_often_it_comes() {
    let rig = Arc::new(Rig::new().await);
    let code = rig.code(MINI, ACTIVE).await;
    let body = json!({"grantType": "AUTHORIZATION_CODE", "authCode": code}).to_string();
    let at = rig.issuer.now();
    let send = |_| {
        let (rig, body) = (rig.clone(), body.clone());
        async move { rig.send(super::rig::signed_at(MINI, apply_path(MINI), &body, at)).await }
    };
    let mut answers = all_at_once(32, send).await;
    rig.pass(Duration::from_millis(59_999));
    answers.push(send(0).await);
    let told: HashSet<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    assert_eq!(told.len(), 1, "one answer, byte for byte");
    assert_eq!(answers[0].code(), "SUCCESS");

    rig.pass(Duration::from_millis(1));
    let token = answers[0].text("/accessToken");
    assert_eq!(send(0).await.code(), "USED_CODE", "a minute is over");
    assert!(rig.is_active(&token).await, "it is no replay by somebody else");
    let replay = rig.send(super::rig::signed_at(MINI, apply_path(MINI), &body, rig.issuer.now())).await;
    assert_eq!(replay.code(), "USED_CODE");
    assert!(!rig.is_active(&token).await, "which ends what the code bought");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_of_dingtalk_within_a_second_write_nothing() {
    let rig = Arc::new(Rig::new().await);
    let first = rig.dingtalk_token().await.text("/accessToken");
    let _first = rig.store.asked();
    let repeats = all_at_once(64, |_| {
        let rig = rig.clone();
        async move { rig.dingtalk_token().await.text("/accessToken") }
    });
    assert!(repeats.await.iter().all(|token| *token == first));
    assert_eq!(rig.store.asked().1, 0);
}
