//! Bad input, settings that shape answers, and both sides against each other with generated values.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use proptest::prelude::*;

use super::tests::{app_key, heard, is_set, platform_key, public, read};
use super::*;
use crate::app::{App, AppSettings, SignatureEncoding};
use crate::crypto::WireKey;
use crate::dialect::AnswerContext;
use crate::dialect::answer::{Ambiguity, UpstreamAnswer};
use crate::dialect::vector::{NOW, describe};
use crate::ident::{AppId, CustomerId, RecordId};
use crate::outcome::{Granted, TokenSet};
use crate::request::{Ask, RequestId};
use crate::secret::{AccessToken, AuthCode, RefreshToken};
use crate::time::Timestamp;

const APPLY_TOKEN: &str = "/v1/authorizations/applyToken";
const CLIENT: &str = "MINI0000000000000001";

fn post(headers: &[(&str, &str)], body: &[u8]) -> Request<Bytes> {
    let mut request = Request::post(APPLY_TOKEN);
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    request.body(Bytes::copy_from_slice(body)).unwrap()
}

fn app(settings: AppSettings) -> App {
    let (no, id) = (RecordId::from_number(1), AppId::parse(CLIENT).unwrap());
    let keys = vec![public(&app_key())];
    App { keys, settings, ..App::new(no, id, crate::ident::Dialect::MiniProgram, NOW) }
}

fn context(app: Option<&App>) -> AnswerContext<'_> {
    AnswerContext { path: APPLY_TOKEN, now: NOW, request_id: RequestId::new(NOW, 7), app, profile: None }
}

/// One row per way in which a body can be wrong, each a character or a type away from a good one.
#[test]
fn a_bad_body_is_told_by_its_own_refusal() {
    let code = |code: &str| format!(r#"{{"grantType":"AUTHORIZATION_CODE","authCode":"{code}"}}"#);
    let info =
        |info: &str| format!(r#"{{"grantType":"AUTHORIZATION_CODE","authCode":"a","extendInfo":{info}}}"#);
    let refresh =
        |length: usize| format!(r#"{{"grantType":"REFRESH_TOKEN","refreshToken":"{}"}}"#, "r".repeat(length));
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let (longest, info_longest) = ("c".repeat(64), format!("\"{}\"", "i".repeat(4_096)));
    let (too_long, info_too_long) = ("c".repeat(65), format!("\"{}\"", "i".repeat(4_097)));
    let object_longest = format!(r#"{{"m":"{}"}}"#, "i".repeat(4_096 - 8));
    let object_too_long = format!(r#"{{"m":"{}"}}"#, "i".repeat(4_096 - 7));

    #[rustfmt::skip]
    let cases: [(&str, Vec<u8>, &str); 40] = [
        ("longest code",            code(&longest).into(),                      &format!("code {longest}")),
        ("code too long",           code(&too_long).into(),                     "what is refused FieldIllegal"),
        ("plain characters",        code("a.b_c-D9").into(),                    "code a.b_c-D9"),
        ("a special character",     code("a#b").into(),                         "what is refused FieldIllegal"),
        ("a space",                 code("a b").into(),                         "what is refused FieldIllegal"),
        ("an escape",               code("\\u0041").into(),                     "code A"),
        ("a letter with an accent", code("\u{e9}").into(),                      "what is refused FieldIllegal"),
        ("an empty code",           code("").into(),                            "what is refused FieldMissing"),
        ("a number for a code",     r#"{"grantType":"AUTHORIZATION_CODE","authCode":7}"#.into(),    "what is refused FieldIllegal"),
        ("a list for a code",       r#"{"grantType":"AUTHORIZATION_CODE","authCode":["a"]}"#.into(), "what is refused FieldIllegal"),
        ("null for a code",         r#"{"grantType":"AUTHORIZATION_CODE","authCode":null}"#.into(), "what is refused FieldMissing"),
        ("longest refresh token",   refresh(128).into(),                        &format!("refresh {}", "r".repeat(128))),
        ("refresh token too long",  refresh(129).into(),                        "what is refused FieldIllegal"),
        ("the other field too long", format!(r#"{{"grantType":"AUTHORIZATION_CODE","authCode":"a","refreshToken":"{}"}}"#, "r".repeat(129)).into(), "what is refused FieldIllegal"),
        ("both given",              r#"{"grantType":"REFRESH_TOKEN","authCode":"a","refreshToken":"r"}"#.into(), "refresh r"),
        ("no grant type",           r#"{"authCode":"a"}"#.into(),               "what is refused FieldMissing"),
        ("null for a grant type",   r#"{"grantType":null,"authCode":"a"}"#.into(), "what is refused FieldMissing"),
        ("a number for one",        r#"{"grantType":1,"authCode":"a"}"#.into(), "what is refused FieldIllegal"),
        ("another grant type",      r#"{"grantType":"authorization_code","authCode":"a"}"#.into(), "what is refused GrantTypeUnsupported"),
        ("one with a space",        r#"{"grantType":"REFRESH_TOKEN ","refreshToken":"r"}"#.into(), "what is refused GrantTypeUnsupported"),
        ("one in another script",   r#"{"grantType":"\u6388\u6743","authCode":"a"}"#.into(), "what is refused GrantTypeUnsupported"),
        ("a long one",              format!(r#"{{"grantType":"{}","authCode":"a"}}"#, "G".repeat(5_000)).into(), "what is refused GrantTypeUnsupported"),
        ("longest info",            info(&info_longest).into(),                 "code a"),
        ("info too long",           info(&info_too_long).into(),                "what is refused FieldIllegal"),
        ("longest info object",     info(&object_longest).into(),               "code a"),
        ("info object too long",    info(&object_too_long).into(),              "what is refused FieldIllegal"),
        ("special info",            info("\"what?\"").into(),                   "what is refused FieldIllegal"),
        ("special deep in info",    info(r#"{"a":{"b":["c@d"]}}"#).into(),      "what is refused FieldIllegal"),
        ("a list for info",         info("[]").into(),                          "what is refused FieldIllegal"),
        ("a number for info",       info("1.5").into(),                         "what is refused FieldIllegal"),
        ("an unknown field",        r#"{"grantType":"REFRESH_TOKEN","refreshToken":"r","x":[1e9]}"#.into(), "refresh r"),
        ("a key twice",             r#"{"grantType":"REFRESH_TOKEN","refreshToken":"r","refreshToken":"r"}"#.into(), "what is refused BodyMalformed"),
        ("an unknown key twice",    r#"{"grantType":"REFRESH_TOKEN","refreshToken":"r","x":1,"x":1}"#.into(), "what is refused BodyMalformed"),
        ("not UTF-8",               b"{\"authCode\":\"\xff\"}".to_vec(),        "what is refused BodyMalformed"),
        ("half a surrogate",        code("\\ud800").into(),                     "what is refused BodyMalformed"),
        ("an array",                b"[]".to_vec(),                             "what is refused BodyMalformed"),
        ("a form",                  b"grantType=REFRESH_TOKEN".to_vec(),        "what is refused BodyMalformed"),
        ("cut short",               b"{\"grantType\":\"REFR".to_vec(),          "what is refused BodyMalformed"),
        ("nested deep",             deep.into(),                                "what is refused BodyMalformed"),
        ("nothing",                 vec![],                                     "what is refused BodyMissing"),
    ];
    for (case, body, expected) in cases {
        let request =
            post(&[("client-id", CLIENT), ("request-time", "0"), ("signature", "signature=AQI")], &body);
        let told = describe(&read(Gateway::MiniProgram, &request));
        assert_eq!(told, format!("client {CLIENT} by a signature asks {expected}"), "{case}");
    }
}

/// What is wrong with a header, and when it is told: at once, as the proof, or after it.
#[test]
fn a_bad_header_is_told_at_its_step() {
    const BODY: &[u8] = br#"{"grantType":"REFRESH_TOKEN","refreshToken":"r"}"#;
    let (id, time, signature) =
        (("client-id", CLIENT), ("request-time", "0"), ("signature", "signature=AQI"));
    let typed = |media_type| vec![id, time, signature, ("content-type", media_type)];
    let json = ("content-type", "application/json");
    let good = "client MINI0000000000000001 by a signature asks refresh r";
    let unsigned = "client MINI0000000000000001 by ProofInvalid asks refresh r";
    let timeless = "client MINI0000000000000001 by RequestTimeIllegal asks refresh r";
    let untyped = "client MINI0000000000000001 by a signature asks what is refused FieldIllegal";
    let long = "M".repeat(65);

    #[rustfmt::skip]
    let cases = [
        ("as it should be",        vec![id, time, signature],                          good),
        ("no client id",           vec![time, signature],                              "refused ClientMissing"),
        ("an empty one",           vec![("client-id", ""), time, signature],           "refused ClientMissing"),
        ("two of them",            vec![id, id, time, signature],                      "refused FieldIllegal"),
        ("one too long",           vec![("client-id", &long), time, signature],        "refused FieldIllegal"),
        ("one of other letters",   vec![("client-id", "M\u{e9}"), time, signature],    "refused FieldIllegal"),
        ("no signature",           vec![id, time],                                     unsigned),
        ("two signatures",         vec![id, time, signature, signature],               unsigned),
        ("no base64",              vec![id, time, ("signature", "signature=*")],       unsigned),
        ("no ASCII",               vec![id, time, ("signature", "signature=\u{e9}")],  unsigned),
        ("no time",                vec![id, signature],                                timeless),
        ("two times",              vec![id, time, time, signature],                    timeless),
        ("neither",                vec![id],                                           unsigned),
        ("JSON",                   typed("application/json"),                          good),
        ("JSON in UTF-8",          typed("Application/JSON;charset=\"utf-8\""),        good),
        ("JSON in something else", typed("application/json; charset=GBK"),             untyped),
        ("a form",                 typed("application/x-www-form-urlencoded"),         untyped),
        ("text that is plain",     typed("text/plain; charset=UTF-8"),                 untyped),
        ("no type at all",         typed(""),                                          untyped),
        ("JSON twice over",        vec![id, time, signature, json, ("content-type", "application/json; charset=UTF-8")], good),
        ("the same, joined",       typed("application/json,application/json; charset=UTF-8"), good),
        ("a form, joined",         typed("application/json, application/x-www-form-urlencoded"), untyped),
        ("JSON, and then a form",  vec![id, time, signature, json, ("content-type", "application/x-www-form-urlencoded")], untyped),
    ];
    for (case, headers, expected) in cases {
        assert_eq!(describe(&read(Gateway::MiniProgram, &post(&headers, BODY))), expected, "{case}");
    }
}

#[test]
fn an_unreadable_time_leaves_the_signature_to_be_checked() {
    let headers = [("client-id", CLIENT), ("request-time", "soon"), ("signature", "signature=AQI")];
    let call = decode_head(Gateway::MiniProgram, &post(&headers, b"{}")).unwrap();
    let signature = call.signature(Some("/gw/")).unwrap();
    assert_eq!(signature.request_time, None);
    let text = "POST /gw/v1/authorizations/applyToken\nMINI0000000000000001.soon.{}";
    assert_eq!(String::from_utf8(signature.signed_text).unwrap(), text);
}

#[test]
fn an_apps_settings_shape_its_answers() {
    let settings = AppSettings {
        signature_encoding: Some(SignatureEncoding::Base64Url),
        time_offset_min: Some(330),
        public_path_prefix: Some("/gw".to_owned()),
        ..AppSettings::default()
    };
    let app = app(settings);
    let request = post(&[("client-id", CLIENT), ("signature", "signature=a%2B")], b"");
    let unsigned = answer(Gateway::MiniProgram, &Echo::of(&request), &Outcome::Unknown, &context(Some(&app)));
    let text = String::from_utf8(unsigned.text_to_sign()).unwrap();
    assert!(text.starts_with(
        "POST /gw/v1/authorizations/applyToken\nMINI0000000000000001.2026-09-17T20:29:38+05:30.{"
    ));
    let response = unsigned.signed(3, &[0xfb, 0xff]);
    assert_eq!(response.headers()[SIGNATURE], "algorithm=RSA256,keyVersion=3,signature=-_8");
}

#[test]
fn an_answer_without_a_key_of_ours_is_the_same_but_unsigned() {
    let request = Request::get("/nowhere").body(Bytes::new()).unwrap();
    let outcome = Outcome::Refused(Refusal::MethodWrong);
    let unsigned = answer(Gateway::AlipayHk, &Echo::of(&request), &outcome, &context(None));
    assert!(unsigned.text_to_sign().starts_with(b"POST /nowhere\n.2026-09-17T22:59:38+08:00.{"));
    let response = unsigned.unsigned();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key(SIGNATURE) && !response.headers().contains_key(CLIENT_ID));
}

#[test]
fn the_answer_to_an_encryption_that_can_not_be_read_stays_plain() {
    let request = post(&[("client-id", CLIENT)], b"");
    let is_encrypted = |refusal| {
        let outcome = Outcome::Refused(refusal);
        let unsigned = answer(Gateway::AlipayHk, &Echo::of(&request), &outcome, &context(None));
        let unsigned = unsigned.encrypted(&WireKey::new([5; 32]), &public(&app_key())).unwrap();
        unsigned.unsigned().headers().contains_key(ENCRYPT)
    };
    assert!(!is_encrypted(Refusal::EncryptionInvalid));
    assert!(is_encrypted(Refusal::CodeExpired));
}

/// One row per way in which an answer can leave open what happened.
#[test]
fn an_answer_that_can_not_be_trusted_or_read_is_ambiguous() {
    let request = post(&[("client-id", CLIENT)], b"");
    let tell = |response: &Response<Bytes>| match heard(Gateway::MiniProgram, &request, response) {
        UpstreamAnswer::Granted(Received::Tokens(tokens)) => format!(
            "{} {:?} {:?} {:?} {:?}",
            tokens.access.expose(),
            tokens.access_expires_at.map(Timestamp::unix_s),
            tokens.refresh.as_ref().map(RefreshToken::expose),
            tokens.refresh_expires_at.map(Timestamp::unix_s),
            tokens.customer.map(String::from),
        ),
        UpstreamAnswer::Granted(_) => "granted something else".to_owned(),
        UpstreamAnswer::Refused { refusal, said } => format!("{refusal:?} {}", said.code()),
        UpstreamAnswer::Ambiguous(Ambiguity::Busy(said)) => format!("busy {}", said.code()),
        UpstreamAnswer::Ambiguous(why) => why.to_string(),
    };
    let signed = |body: &str| {
        let text = text_to_sign(APPLY_TOKEN, CLIENT.as_bytes(), b"now", body.as_bytes());
        let signature = platform_key().sign(&text).unwrap();
        let signature = super::pairs::SignatureHeader::format(9, &signature, SignatureEncoding::Base64);
        let response = Response::builder().header("response-time", "now").header("signature", signature);
        response.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    };
    let result = |code: &str, status: &str| {
        format!(r#"{{"result":{{"resultCode":"{code}","resultStatus":"{status}"}}"#)
    };
    let tokens = r#","accessToken":"a","accessTokenExpiryTime":1789657178000,"refreshToken":"r","refreshTokenExpiryTime":"2026-09-17T22:59:38+0800","customerId":2160"#;
    let unreadable = "the answer can't be read";

    #[rustfmt::skip]
    let cases = [
        ("success",               format!("{}{tokens}}}", result("SUCCESS", "S")),             r#"a Some(1789657178) Some("r") Some(1789657178) Some("2160")"#),
        ("success of nothing",    format!("{}}}", result("SUCCESS", "S")),                     unreadable),
        ("an empty token",        format!("{}{}}}", result("SUCCESS", "S"), tokens.replace("\"a\"", "\"\"")), unreadable),
        ("nothing but a token",   format!("{},\"accessToken\":\"a\"}}", result("SUCCESS", "S")), "a None None None None"),
        ("the rest of odd types", format!("{}{}}}", result("SUCCESS", "S"), tokens.replace("\"r\"", "[]").replace("2160", "{}").replace("1789657178000", "\"soon\"")), "a None None Some(1789657178) None"),
        ("a known code",          format!("{}}}", result("USED_CODE", "F")),                   "CodeUsed USED_CODE"),
        ("a code of nobody's",    format!("{}}}", result("MOON_FULL", "F")),                   "AccessDenied MOON_FULL"),
        ("a known code, unsure",  format!("{}}}", result("USED_CODE", "U")),                   "busy USED_CODE"),
        ("no such status",        format!("{}}}", result("SUCCESS", "X")),                     unreadable),
        ("no result",             "{}".to_owned(),                                             unreadable),
        ("no JSON",               "<html>".to_owned(),                                         unreadable),
        ("nothing",               String::new(),                                               unreadable),
    ];
    for (case, body, expected) in cases {
        assert_eq!(tell(&signed(&body)), expected, "{case}");
    }

    let refused = || signed(&format!("{}}}", result("USED_CODE", "F")));
    let (mut altered, mut unsigned, mut gateway, mut encrypted) =
        (refused(), refused(), refused(), refused());
    *altered.body_mut() = format!("{} }}", result("USED_CODE", "F")).into();
    unsigned.headers_mut().remove("signature");
    *gateway.status_mut() = http::StatusCode::BAD_GATEWAY;
    encrypted.headers_mut().insert("encrypt", http::HeaderValue::from_static("symmetricKey=AQI"));
    let told = [&altered, &unsigned, &gateway, &encrypted].map(tell);
    assert_eq!(told, [unreadable, unreadable, "HTTP status 502", unreadable]);
}

#[test]
fn an_answer_is_not_believed_where_no_platform_key_is_known() {
    let body = br#"{"result":{"resultCode":"USED_CODE","resultStatus":"F"}}"#;
    let id = AppId::parse(CLIENT).unwrap();
    let check = AnswerCheck { client_id: &id, path: APPLY_TOKEN, platform_keys: &[], private_key: None };
    let called = (Gateway::MiniProgram, Endpoint::ApplyToken);
    let heard = decode_response(called, &check, &Response::new(Bytes::from_static(body)));
    assert!(matches!(heard, UpstreamAnswer::Ambiguous(Ambiguity::Unreadable)));
}

fn encodings() -> impl Strategy<Value = SignatureEncoding> {
    use SignatureEncoding::{Base64, Base64Url, PercentBase64};
    prop_oneof![Just(PercentBase64), Just(Base64), Just(Base64Url)]
}

fn asks() -> impl Strategy<Value = (String, fn(String) -> Ask)> {
    let kinds: [fn(String) -> Ask; 4] = [
        |text| Ask::ExchangeCode(AuthCode::new(text)),
        |text| Ask::Refresh(RefreshToken::new(text)),
        |text| Ask::CancelToken(AccessToken::new(text)),
        |text| Ask::UserInfo(AccessToken::new(text)),
    ];
    ("[A-Za-z0-9]{1,64}", proptest::sample::select(kinds.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_keeper_sends_the_issuer_reads_and_its_signature_holds(
        (text, ask) in asks(),
        encoding in encodings(),
        unix_ms in 0..4_102_444_800_000_i64,
        is_encrypted: bool,
        prefix in "(/[a-z]{1,5}){0,2}",
    ) {
        let id = AppId::parse(CLIENT).unwrap();
        let at = Timestamp::from_unix_ms(unix_ms);
        let sender = Sender { client_id: &id, path_prefix: &prefix, at, offset_min: 480 };
        let asked = ask(text.clone());
        let mut unsigned = encode_request(Gateway::MiniProgram, &asked, &sender).unwrap();
        if is_encrypted {
            unsigned = unsigned.encrypted(&WireKey::new([5; 32]), &public(&platform_key())).unwrap();
        }
        let signature = app_key().sign(&unsigned.text_to_sign()).unwrap();
        let mut request = unsigned.signed(1, &signature, encoding);
        // The proxy before the issuer cuts the prefix off.
        *request.uri_mut() = request.uri().path().strip_prefix(&prefix).unwrap().parse().unwrap();

        let proof = decode_head(Gateway::MiniProgram, &request).unwrap().signature(Some(&prefix)).unwrap();
        prop_assert!(app_key().public().verify(&proof.signed_text, &proof.signature));
        prop_assert_eq!(proof.key_version, Some(1));
        prop_assert_eq!(proof.request_time.unwrap().unix_s(), at.unix_s());
        let call = read(Gateway::MiniProgram, &request);
        let word = describe(&call);
        prop_assert!(word.ends_with(&text), "{}", word);
        let read_ask = call.unwrap().ask.unwrap();
        prop_assert_eq!(std::mem::discriminant(&read_ask), std::mem::discriminant(&asked));
    }

    #[test]
    fn what_the_issuer_answers_the_keeper_hears(
        access in "[A-Za-z0-9]{1,128}",
        refresh in "[A-Za-z0-9]{1,128}",
        customer in "[A-Za-z0-9]{1,64}",
        life_s in 1..10_000_000_u64,
        encoding in encodings(),
        time_offset_min in -720..840_i16,
        is_encrypted: bool,
    ) {
        let request = post(&[("client-id", CLIENT)], b"");
        let settings =
            AppSettings { signature_encoding: Some(encoding), time_offset_min: Some(time_offset_min), ..AppSettings::default() };
        let outcome = Outcome::Granted(Granted::TokenSet(TokenSet {
            access: AccessToken::new(access),
            access_expires_at: NOW.after(Duration::from_secs(life_s)),
            expires_in: Duration::from_secs(life_s),
            refresh: RefreshToken::new(refresh),
            refresh_expires_at: NOW.after(Duration::from_secs(life_s.saturating_mul(2))),
            customer: CustomerId::parse(&customer).unwrap(),
            scopes: vec![],
        }));
        let app = app(settings);
        let mut unsigned = answer(Gateway::MiniProgram, &Echo::of(&request), &outcome, &context(Some(&app)));
        if is_encrypted {
            unsigned = unsigned.encrypted(&WireKey::new([5; 32]), &public(&app_key())).unwrap();
        }
        let signature = platform_key().sign(&unsigned.text_to_sign()).unwrap();
        let response = unsigned.signed(1, &signature);
        let UpstreamAnswer::Granted(Received::Tokens(tokens)) = heard(Gateway::MiniProgram, &request, &response) else {
            return Err(TestCaseError::fail("not a token set"));
        };
        let Outcome::Granted(Granted::TokenSet(meant)) = outcome else { unreachable!() };
        prop_assert!(is_set(&tokens, &meant));
    }

    #[test]
    fn no_request_panics(
        path in prop_oneof![Just(APPLY_TOKEN.to_owned()), "/[!-~&&[^#?\"<>`{}\\\\^|]]{0,20}"],
        names in proptest::collection::vec(
            proptest::sample::select(vec!["client-id", "request-time", "signature", "encrypt", "content-type"]), 0..7),
        values in proptest::collection::vec("[ -~\u{e9}]{0,40}|(signature|symmetricKey|keyVersion)=[%+/=A-Za-z0-9_-]{0,20}", 7),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        for gateway in Gateway::ALL {
            let Ok(mut request) = Request::post(&path).body(Bytes::from(body.clone())) else { continue };
            for (name, value) in names.iter().zip(&values) {
                if let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) {
                    request.headers_mut().append(*name, value);
                }
            }
            let outcome = match read(gateway, &request) {
                Ok(call) => call.ask.map_or_else(Outcome::Refused, |_| Outcome::Unknown),
                Err(refusal) => Outcome::Refused(refusal),
            };
            let response = answer(gateway, &Echo::of(&request), &outcome, &context(None)).signed(1, &body);
            prop_assert_eq!(response.status(), 200);
        }
    }

    #[test]
    fn no_answer_panics(
        names in proptest::collection::vec(
            proptest::sample::select(vec!["response-time", "signature", "encrypt", "client-id"]), 0..5),
        values in proptest::collection::vec("[ -~\u{e9}]{0,40}", 5),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut response = Response::new(Bytes::from(body));
        for (name, value) in names.iter().zip(&values) {
            if let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) {
                response.headers_mut().append(*name, value);
            }
        }
        let request = post(&[("client-id", CLIENT)], b"");
        prop_assert!(matches!(heard(Gateway::AlipayHk, &request, &response), UpstreamAnswer::Ambiguous(_)));
    }

    #[test]
    fn no_text_panics_as_a_time(text in "\\PC{0,70}") {
        let _ = parse_instant(&text);
    }
}
