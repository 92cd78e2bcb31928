//! The drop-in `applyToken`.

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use mintkeep_keeper::admin::{MadeConsumer, NewConsumer};
use mintkeep_protocol::app::{AppKey, SignatureEncoding};
use mintkeep_protocol::crypto::{RsaPrivateKey, RsaPublicKey};
use mintkeep_protocol::dialect::alipay::{
    self, AnswerCheck, Endpoint, Gateway, Received, ReceivedTokens, Sender,
};
use mintkeep_protocol::dialect::answer::UpstreamAnswer;
use mintkeep_protocol::ident::AppId;
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::request::Ask;
use mintkeep_protocol::secret::{AuthCode, RefreshToken};
use mintkeep_protocol::time::{Clock as _, Timestamp};

use crate::platform::{PLANTED, PLANTED_REFRESH};
use crate::rig::{Rig, consumer};

const GATEWAY: Gateway = Gateway::MiniProgram;
const PATH: &str = "/v1/authorizations/applyToken";

/// A merchant's server: its key pair, and what it is told of the keeper.
struct Merchant {
    private: RsaPrivateKey,
    made: MadeConsumer,
}

impl Merchant {
    async fn new(rig: &Rig, name: &str) -> Self {
        Self::who_may(rig, name, &Verb::ALL).await
    }

    async fn who_may(rig: &Rig, name: &str, verbs: &[Verb]) -> Self {
        let private = RsaPrivateKey::generate().unwrap();
        let drop_in_keys = vec![AppKey { version: 3, public: private.public().clone() }];
        let new = NewConsumer { drop_in_keys, verbs: verbs.to_vec(), ..consumer(name) };
        let made = rig.consumer_with(new).await;
        Self { private, made }
    }

    async fn ask(&self, rig: &Rig, ask: &Ask, (at, version): (Timestamp, u32)) -> Response<Bytes> {
        let client_id = AppId::parse("mini1").unwrap();
        let sender = Sender { client_id: &client_id, path_prefix: "", at, offset_min: 480 };
        let unsigned = alipay::encode_request(GATEWAY, ask, &sender).unwrap();
        let signature = self.private.sign(&unsigned.text_to_sign()).unwrap();
        let request = unsigned.signed(version, &signature, SignatureEncoding::PercentBase64);
        let (head, body) = rig.send(request.map(Body::from)).await.into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    /// Asks and checks the answer as a merchant's library does.
    async fn tokens(&self, rig: &Rig, ask: &Ask) -> Result<ReceivedTokens, Refusal> {
        let answer = self.ask(rig, ask, (rig.clock.now(), 3)).await;
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(!text.contains(PLANTED_REFRESH), "the real refresh token stays: {text}");
        let client_id = AppId::parse("mini1").unwrap();
        let pem = self.made.answers_public_pem.as_deref().unwrap();
        let keys = [AppKey { version: 1, public: RsaPublicKey::from_pem(pem).unwrap() }];
        let check =
            AnswerCheck { client_id: &client_id, path: PATH, platform_keys: &keys, private_key: None };
        match alipay::decode_response((GATEWAY, Endpoint::ApplyToken), &check, &answer) {
            UpstreamAnswer::Granted(Received::Tokens(tokens)) => Ok(tokens),
            UpstreamAnswer::Refused { refusal, .. } => Err(refusal),
            UpstreamAnswer::Granted(_) | UpstreamAnswer::Ambiguous(_) => {
                panic!("not an answer that the keeper signed: {text}")
            }
        }
    }
}

fn code(text: &str) -> Ask {
    Ask::ExchangeCode(AuthCode::new(text.to_owned()))
}

fn refresh(token: &RefreshToken) -> Ask {
    Ask::Refresh(RefreshToken::new(token.expose().to_owned()))
}

#[tokio::test]
async fn a_code_buys_the_customers_token_once_at_the_platform_and_the_handle_gets_it_again() {
    let rig = Rig::new().await;
    rig.add_wallet("mini1").await;
    let merchant = Merchant::new(&rig, "shop").await;
    let first = merchant.tokens(&rig, &code("c1")).await.unwrap();
    assert_eq!(first.customer.as_ref().unwrap().as_str(), "c1");
    assert!(first.access.expose().starts_with(PLANTED));
    let lives_s = first.access_expires_at.unwrap().since(rig.clock.now()).as_secs();
    assert!((240_000..=259_200).contains(&lives_s), "until the next renewal at least: {lives_s}");

    rig.clock.advance_s(60);
    let again = merchant.tokens(&rig, &code("c1")).await.unwrap();
    rig.clock.advance_s(60);
    let refreshed = merchant.tokens(&rig, &refresh(first.refresh.as_ref().unwrap())).await.unwrap();
    assert_eq!(again.access.expose(), first.access.expose());
    assert_eq!(refreshed.access.expose(), first.access.expose());
    assert_eq!(rig.platform.calls(), 1);

    let rival = Merchant::new(&rig, "rival").await;
    let refusal = rival.tokens(&rig, &code("c1")).await.err();
    assert_eq!(refusal, Some(Refusal::CodeUsed), "another consumer's code");
    let unknown = RefreshToken::new("281010033AB2F588D14B43238637264FCA5A5E35".to_owned());
    assert_eq!(merchant.tokens(&rig, &refresh(&unknown)).await.err(), Some(Refusal::RefreshInvalid));
    assert_eq!(rig.platform.calls(), 1);
}

#[tokio::test]
async fn who_may_only_exchange_does_not_refresh_and_who_may_only_read_does_not_exchange() {
    let rig = Rig::new().await;
    rig.add_wallet("mini1").await;
    let exchanger = Merchant::who_may(&rig, "exchanger", &[Verb::Exchange]).await;
    let reader = Merchant::who_may(&rig, "reader", &[Verb::Read]).await;
    let bought = exchanger.tokens(&rig, &code("c1")).await.unwrap();
    let handle = bought.refresh.as_ref().unwrap();
    assert_eq!(exchanger.tokens(&rig, &refresh(handle)).await.err(), Some(Refusal::AccessDenied));
    assert_eq!(reader.tokens(&rig, &code("c2")).await.err(), Some(Refusal::AccessDenied));
    let read = reader.tokens(&rig, &refresh(handle)).await.unwrap();
    assert_eq!(read.access.expose(), bought.access.expose());
    assert_eq!(rig.platform.calls(), 1);
}

#[tokio::test]
async fn a_request_that_proves_nothing_is_refused_before_anything_is_done() {
    let rig = Rig::new().await;
    rig.add_wallet("mini1").await;
    let merchant = Merchant::new(&rig, "shop").await;
    let stranger = RsaPrivateKey::generate().unwrap();
    let stranger = Merchant { private: stranger, made: rig.consumer("stranger").await };
    let now = rig.clock.now();
    #[rustfmt::skip]
    let cases = [
        ("a stranger's key",    &stranger, now, 3, "INVALID_SIGNATURE"),
        ("another key version", &merchant, now, 2, "INVALID_SIGNATURE"),
    ];
    for (case, merchant, at, version, expected) in cases {
        let answer = merchant.ask(&rig, &code("c1"), (at, version)).await;
        assert!(!answer.headers().contains_key("signature"), "{case}: nobody's key signs for a stranger");
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(text.contains(expected), "{case}: {text}");
    }
    assert_eq!(rig.platform.calls(), 0);
    merchant.tokens(&rig, &code("c1")).await.unwrap();
}

/// A merchant whose clock is off has proved itself: it can check that it is told so, and however often.
#[tokio::test]
async fn a_request_out_of_the_time_window_is_told_so_by_a_signed_answer() {
    let rig = Rig::new().await;
    rig.add_wallet("mini1").await;
    let merchant = Merchant::new(&rig, "shop").await;
    let now = rig.clock.now();
    #[rustfmt::skip]
    let cases = [
        ("five minutes old",          -300_000, "SUCCESS"),
        ("a second older",            -301_000, "PARAM_ILLEGAL"),
        ("five minutes ahead",         300_000, "SUCCESS"),
        ("a second further ahead",     301_000, "PARAM_ILLEGAL"),
    ];
    for (case, offset_ms, expected) in cases.into_iter().cycle().take(48) {
        let at = Timestamp::from_unix_ms(now.unix_ms() + offset_ms);
        let answer = merchant.ask(&rig, &code("c1"), (at, 3)).await;
        assert!(answer.headers().contains_key("signature"), "{case}");
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(text.contains(expected), "{case}: {text}");
    }
}
