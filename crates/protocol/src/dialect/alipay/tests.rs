//! The golden vectors of both signed dialects, from the issuer's and from the keeper's side.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};

use super::*;
use crate::app::{AppKey, SignatureEncoding};
use crate::crypto::RsaPrivateKey;
use crate::dialect::AnswerContext;
use crate::dialect::answer::{Ambiguity, UpstreamAnswer};
use crate::dialect::vector::{NOW, Vector};
use crate::ident::AppId;
use crate::outcome::{Granted, TokenSet};
use crate::request::{Ask, Call, Caller, ClientProof};
use crate::secret::RefreshToken;

/// The key pair of the apps in the vectors.
pub(super) fn app_key() -> RsaPrivateKey {
    RsaPrivateKey::from_pem(include_str!("../../../vectors/alipay_keys/app_private.pem")).unwrap()
}

/// The key pair of the platform in the vectors.
pub(super) fn platform_key() -> RsaPrivateKey {
    RsaPrivateKey::from_pem(include_str!("../../../vectors/alipay_keys/platform_private.pem")).unwrap()
}

/// Version 1 of a key, as the other side has it.
pub(super) fn public(key: &RsaPrivateKey) -> AppKey {
    AppKey { version: 1, public: key.public().clone() }
}

/// What the issuer reads, all steps in one.
pub(super) fn read(gateway: Gateway, request: &Request<Bytes>) -> Result<Call, Refusal> {
    let call = decode_head(gateway, request)?;
    let proof = call.signature(None).map_or_else(ClientProof::Unusable, ClientProof::Signature);
    let ask = call.body().and_then(|body| match body {
        SignedBody::Plain(body) => call.ask(body),
        SignedBody::Encrypted(body) => call.ask(&body.open(&platform_key(), [7; 32])?.plaintext),
    });
    Ok(Call { caller: Caller::Client { id: call.client_id, proof }, ask })
}

/// The key under which the issuer encrypts its answer.
fn wire_key(gateway: Gateway, request: &Request<Bytes>) -> Option<crate::crypto::WireKey> {
    match decode_head(gateway, request).ok()?.body().ok()? {
        SignedBody::Plain(_) => None,
        SignedBody::Encrypted(body) => body.open(&platform_key(), [7; 32]).ok().map(|opened| opened.key),
    }
}

/// What the issuer answers, all steps in one.
fn answered(
    gateway: Gateway,
    request: &Request<Bytes>,
    outcome: &Outcome,
    context: &AnswerContext<'_>,
) -> Response<Bytes> {
    let unsigned = answer(gateway, &Echo::of(request), outcome, context);
    let unsigned = match wire_key(gateway, request) {
        Some(key) => unsigned.encrypted(&key, &public(&app_key())).unwrap(),
        None => unsigned,
    };
    let signature = platform_key().sign(&unsigned.text_to_sign()).unwrap();
    unsigned.signed(1, &signature)
}

/// What the keeper reads of an answer to `request`.
pub(super) fn heard(
    gateway: Gateway,
    request: &Request<Bytes>,
    response: &Response<Bytes>,
) -> UpstreamAnswer<Received> {
    let client_id = request.headers().get(CLIENT_ID).unwrap().to_str().unwrap();
    let check = AnswerCheck {
        client_id: &AppId::parse(client_id).unwrap(),
        path: request.uri().path_and_query().unwrap().as_str(),
        platform_keys: &[public(&platform_key())],
        private_key: Some(&app_key()),
    };
    let endpoint = gateway.endpoint(request.uri().path()).unwrap_or(Endpoint::ApplyToken);
    decode_response((gateway, endpoint), &check, response)
}

/// Whether all of a token set arrived.
pub(super) fn is_set(heard: &ReceivedTokens, meant: &TokenSet) -> bool {
    heard.access.expose() == meant.access.expose()
        && heard.access_expires_at == Some(meant.access_expires_at)
        && heard.refresh.as_ref().map(RefreshToken::expose) == Some(meant.refresh.expose())
        && heard.refresh_expires_at == Some(meant.refresh_expires_at)
        && heard.customer.as_ref() == Some(&meant.customer)
}

/// Whether the keeper heard what the issuer meant, as far as the code tells.
fn means(gateway: Gateway, heard: &UpstreamAnswer<Received>, outcome: &Outcome) -> bool {
    let row = gateway.result_of(outcome);
    match (heard, outcome) {
        (UpstreamAnswer::Granted(Received::Tokens(heard)), Outcome::Granted(Granted::TokenSet(meant))) => {
            is_set(heard, meant)
        }
        (UpstreamAnswer::Granted(Received::Cancelled), Outcome::Granted(Granted::Cancelled)) => true,
        (
            UpstreamAnswer::Granted(Received::UserInfo { customer, profile }),
            Outcome::Granted(Granted::UserInfo { customer: meant, profile: meant_profile }),
        ) => (customer, profile) == (meant, &meant_profile.clone().unwrap_or_default()),
        (UpstreamAnswer::Refused { refusal, said }, Outcome::Refused(_)) => {
            said.code() == row.code && gateway.result_of_refusal(*refusal) == row
        }
        (UpstreamAnswer::Ambiguous(Ambiguity::Busy(said)), Outcome::Refused(_) | Outcome::Unknown) => {
            said.code() == row.code && row.status == ResultStatus::U
        }
        _ => false,
    }
}

fn read_answer(text: &str) -> Response<Bytes> {
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let name = name.parse::<HeaderName>().unwrap();
        response.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    response
}

#[test]
fn every_vector_is_read_and_answered_byte_for_byte() {
    for gateway in Gateway::ALL {
        for vector in Vector::all(gateway.dialect()) {
            let encode = |outcome: &Outcome, context: &AnswerContext<'_>| {
                let mut response = answered(gateway, &vector.request, outcome, context);
                // The wrapped key has random padding: any of them opens to the same key.
                if response.headers().contains_key(ENCRYPT) {
                    let heard = heard(gateway, &vector.request, &response);
                    assert!(means(gateway, &heard, outcome), "{}", vector.name);
                    let wrapped = read_answer(&vector.answer).headers()[ENCRYPT].clone();
                    response.headers_mut().insert(ENCRYPT, wrapped);
                }
                response
            };
            vector.check(gateway.dialect(), |request| read(gateway, request), encode);
        }
    }
}

#[test]
fn a_vectors_signature_holds_unless_it_says_otherwise() {
    let key = app_key();
    for gateway in Gateway::ALL {
        for vector in Vector::all(gateway.dialect()) {
            let Ok(Call { caller: Caller::Client { proof: ClientProof::Signature(proof), .. }, .. }) =
                read(gateway, &vector.request)
            else {
                continue;
            };
            let holds = key.public().verify(&proof.signed_text, &proof.signature);
            assert_eq!(holds, vector.head("signature") != Some("wrong"), "{}", vector.name);
        }
    }
}

#[test]
fn the_keeper_hears_in_every_vector_what_the_issuer_meant() {
    for gateway in Gateway::ALL {
        for vector in Vector::all(gateway.dialect()) {
            if !vector.request.headers().contains_key(CLIENT_ID) {
                continue;
            }
            let heard = heard(gateway, &vector.request, &read_answer(&vector.answer));
            assert!(means(gateway, &heard, &vector.outcome()), "{}", vector.name);
        }
    }
}

#[test]
fn the_keeper_sends_its_vectors_byte_for_byte() {
    let mut sent = 0;
    for gateway in Gateway::ALL {
        for vector in Vector::all(gateway.dialect()).iter().filter(|vector| vector.head("sent").is_some()) {
            let Call { caller, ask } = read(gateway, &vector.request).unwrap();
            let Caller::Client { id, .. } = caller else { panic!("{}", vector.name) };
            let sender = Sender { client_id: &id, path_prefix: "", at: NOW, offset_min: 480 };
            let unsigned = encode_request(gateway, &ask.unwrap(), &sender).unwrap();
            let signature = app_key().sign(&unsigned.text_to_sign()).unwrap();
            let request = unsigned.signed(1, &signature, SignatureEncoding::PercentBase64);
            assert_eq!(request.uri(), vector.request.uri(), "{}", vector.name);
            assert_eq!(request.headers(), vector.request.headers(), "{}", vector.name);
            assert_eq!(request.body(), vector.request.body(), "{}", vector.name);
            sent += 1;
        }
    }
    assert_eq!(sent, 6, "two of each dialect, cancelToken, inquiryUserInfo");
}

#[test]
fn every_code_has_a_vector_and_can_be_played_and_understood() {
    for gateway in Gateway::ALL {
        let vectors = Vector::all(gateway.dialect());
        let rows = Refusal::ALL.map(|refusal| gateway.result_of_refusal(refusal));
        for row in rows.into_iter().chain([gateway.unknown()]) {
            let written = format!("\"{}\"", row.code);
            assert!(vectors.iter().any(|vector| vector.answer.contains(&written)), "{row:?}");
            let played = gateway.outcome_of_code(row.code).unwrap();
            assert_eq!(gateway.result_of(&played), row);
        }
        for no_refusal in ["SUCCESS", "invalid_code", "NO_SUCH_CODE", ""] {
            assert!(gateway.outcome_of_code(no_refusal).is_none(), "{no_refusal}");
        }
    }
}

#[test]
fn a_code_that_several_refusals_share_is_understood_as_the_widest() {
    use Gateway::{AlipayHk, MiniProgram};
    #[rustfmt::skip]
    let cases = [
        (MiniProgram, "PARAM_ILLEGAL",    Refusal::FieldIllegal),
        (MiniProgram, "INVALID_CODE",     Refusal::CodeInvalid),
        (MiniProgram, "PROCESS_FAIL",     Refusal::CustomerFrozen),
        (MiniProgram, "ACCESS_DENIED",    Refusal::AccessDenied),
        (AlipayHk,    "PARAM_ILLEGAL",    Refusal::FieldIllegal),
        (AlipayHk,    "INVALID_AUTHCODE", Refusal::CodeInvalid),
        (AlipayHk,    "PROCESS_FAIL",     Refusal::RefreshInvalid),
    ];
    for (gateway, code, expected) in cases {
        let Some(Outcome::Refused(refusal)) = gateway.outcome_of_code(code) else { panic!("{code}") };
        assert_eq!(refusal, expected, "{code}");
    }
    assert!(matches!(AlipayHk.outcome_of_code("UNKNOWN_EXCEPTION"), Some(Outcome::Unknown)));
}

#[test]
fn an_app_token_is_no_request_of_this_family() {
    let id = AppId::parse("MINI0000000000000001").unwrap();
    let sender = Sender { client_id: &id, path_prefix: "", at: NOW, offset_min: 480 };
    let cancel = || Ask::CancelToken(crate::secret::AccessToken::new("a".to_owned()));
    let faults = [
        encode_request(Gateway::MiniProgram, &Ask::PlatformAddresses, &sender).err(),
        encode_request(Gateway::AlipayHk, &cancel(), &sender).err(),
        encode_request(Gateway::MiniProgram, &cancel(), &Sender { path_prefix: "a b", ..sender }).err(),
    ];
    let expected = [RequestFault::NotSpoken, RequestFault::NotSpoken, RequestFault::PrefixIllegal];
    assert_eq!(faults, expected.map(Some));
}
