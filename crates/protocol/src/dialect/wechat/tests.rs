//! WeChat's golden vectors, bad input, and both sides against each other.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::dialect::in_short::{answer, context, request, tell};
use crate::dialect::vector::{TOKEN, Vector, describe};
use crate::ident::Dialect;

#[test]
fn every_vector_is_read_and_answered_byte_for_byte() {
    for vector in Vector::all(Dialect::WeChat) {
        vector.check(Dialect::WeChat, decode_request, encode_response);
    }
}

#[test]
fn every_code_of_the_pages_has_a_vector() {
    let answered: HashSet<i64> = Vector::all(Dialect::WeChat)
        .iter()
        .filter_map(|vector| {
            let (_, body) = vector.answer.split_once("\n\n")?;
            Object::read(body.as_bytes()).ok()?.whole("errcode")
        })
        .collect();
    let pages = [
        -1, 0, 40001, 40002, 40013, 40125, 40164, 40243, 41001, 41002, 41004, 42001, 43002, 45009, 45011,
        47001,
    ];
    for code in pages {
        assert!(answered.contains(&code), "{code} has no vector");
    }
}

#[test]
fn bad_input_is_told_in_the_dialects_own_form() {
    let deep = format!(r#"{{"appid":"wx1","x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let wide: Vec<_> = (0..65).map(|n| format!("\"k{n}\":1")).collect();
    let wide = format!("{{{}}}", wide.join(","));
    let many: Vec<_> = (0..33).map(|n| format!("p{n}=1")).collect();
    let many = format!("/cgi-bin/token?{}", many.join("&"));
    let stable = "/cgi-bin/stable_token";
    let long_id = format!("/cgi-bin/token?appid={}", "w".repeat(65));
    let tokened = format!("/cgi-bin/openapi/quota/get?access_token={TOKEN}");
    let bearer = |fault: &str| format!("bearer {TOKEN} asks what is refused {fault}");
    let (malformed, illegal) = (bearer("BodyMalformed"), bearer("FieldIllegal"));
    #[rustfmt::skip]
    let cases: [(&str, &str, &str, &[u8], &str); 33] = [
        ("a slash too few",            "GET",  "/cgi-bintoken",                        b"", "refused ApiUnknown"),
        ("a slash too many at the end","GET",  "/cgi-bin/token/",                      b"", "refused ApiUnknown"),
        ("three slashes",              "GET",  "///cgi-bin/token",                     b"", "refused ApiUnknown"),
        ("HEAD for GET",               "HEAD", "/cgi-bin/token",                       b"", "refused MethodWrong"),
        ("POST for GET",               "POST", "/cgi-bin/get_api_domain_ip",           b"", "refused MethodWrong"),
        ("GET for POST",               "GET",  "/cgi-bin/clear_quota",                 b"", "refused MethodWrong"),
        ("PUT of the token",           "PUT",  "/cgi-bin/token?appid=wx1",             b"", "refused MethodWrong"),
        ("a body of a GET",            "GET",  "/cgi-bin/token",                       b"appid=wx1&secret=s", "refused ClientMissing"),
        ("posted, nothing",            "POST", "/cgi-bin/token",                       b"", "refused ClientMissing"),
        ("posted, appid twice",        "POST", "/cgi-bin/token",                       b"appid=wx1&appid=wx1", "refused FieldIllegal"),
        ("posted, and in the query",   "POST", "/cgi-bin/token?appid=wx1",             b"appid=wx1&secret=s", "refused FieldIllegal"),
        ("posted, not UTF-8",          "POST", "/cgi-bin/token",                       b"appid=\xff", "refused FieldIllegal"),
        ("posted JSON, key twice",     "POST", "/cgi-bin/token",                       br#"{"appid":"wx1","appid":"wx1"}"#, "refused BodyMalformed"),
        ("posted JSON, cut short",     "POST", "/cgi-bin/token",                       b" {\"appid\":\"wx1\"", "refused BodyMalformed"),
        ("no query at all",            "GET",  "/cgi-bin/token",                       b"", "refused ClientMissing"),
        ("empty appid",                "GET",  "/cgi-bin/token?appid=&secret=s",       b"", "refused ClientMissing"),
        ("other case of the name",     "GET",  "/cgi-bin/token?AppID=wx1&secret=s",    b"", "refused ClientMissing"),
        ("appid too long",             "GET",  &long_id,                               b"", "refused ClientUnknown"),
        ("appid twice",                "GET",  "/cgi-bin/token?appid=wx1&%61ppid=wx1", b"", "refused FieldIllegal"),
        ("half an escape",             "GET",  "/cgi-bin/token?appid=wx1%4",           b"", "refused FieldIllegal"),
        ("not UTF-8",                  "GET",  "/cgi-bin/token?appid=%ff",             b"", "refused FieldIllegal"),
        ("too many parameters",        "GET",  &many,                                  b"", "refused FieldIllegal"),
        ("an array",                   "POST", stable,                                 b"[]", "refused BodyMalformed"),
        ("bytes after the object",     "POST", stable,                                 b"{} {}", "refused BodyMalformed"),
        ("not UTF-8",                  "POST", stable,                                 b"{\"appid\":\"\xff\"}", "refused BodyMalformed"),
        ("a number for a text",        "POST", stable,                                 br#"{"appid":1}"#, "refused BodyMalformed"),
        ("a number past infinity",     "POST", stable,                                 br#"{"appid":"wx1","x":1e999}"#, "refused BodyMalformed"),
        ("a text for a flag",          "POST", stable,                                 br#"{"appid":"wx1","secret":"s","force_refresh":"true"}"#, "refused BodyMalformed"),
        ("nested deep",                "POST", stable,                                 deep.as_bytes(), "refused BodyMalformed"),
        ("too many fields",            "POST", stable,                                 wide.as_bytes(), "refused BodyMalformed"),
        ("null is absent",             "POST", stable,                                 br#"{"appid":null}"#, "refused ClientMissing"),
        ("bad JSON after the token",   "POST", &tokened,                               b"{", &malformed),
        ("a path that is none",        "POST", &tokened,                               br#"{"cgi_path":"token"}"#, &illegal),
    ];
    for (case, method, target, body, expected) in cases {
        let read = decode_request(&request(method, target, body));
        assert_eq!(describe(&read), expected, "{case}");
        let refusal = read.err().unwrap_or(Refusal::FieldIllegal);
        let told = encode_response(&Outcome::Refused(refusal), &context("/cgi-bin/token"));
        let object = Object::read(told.body()).unwrap();
        assert_eq!(told.status(), 200, "{case}");
        assert!(object.whole("errcode").is_some_and(|code| code > 40_000), "{case}");
    }
}

#[test]
fn a_quota_is_asked_by_path_and_only_token_endpoints_have_one() {
    #[rustfmt::skip]
    let cases = [
        ("/cgi-bin/token",        "quota Some(WeChatToken)"),
        ("/cgi-bin/stable_token", "quota Some(WeChatStable)"),
        ("/cgi-bin/clear_quota",  "quota None"),
        ("/cgi-bin/menu/get",     "quota None"),
    ];
    for (path, expected) in cases {
        let body = format!(r#"{{"cgi_path":"{path}"}}"#);
        let read =
            decode_request(&request("POST", "/cgi-bin/openapi/quota/get?access_token=t", body.as_bytes()));
        assert_eq!(describe(&read), format!("bearer t asks {expected}"));
    }
}

#[test]
fn an_answer_from_the_platform_is_a_token_a_refusal_or_open() {
    let token_of = |more: &str| format!(r#"{{"access_token":"tok-en_1"{more}}}"#);
    #[rustfmt::skip]
    let cases = [
        ("the page's",             200, token_of(r#","expires_in":7200"#),               "tok-en_1 7200"),
        ("fields we don't know",   200, token_of(r#","expires_in":7200,"x":{"y":[1]}"#), "tok-en_1 7200"),
        ("errcode 0 beside it",    200, token_of(r#","expires_in":7200,"errcode":0"#),   "tok-en_1 7200"),
        ("seconds as a text",      200, token_of(r#","expires_in":"7200""#),             "tok-en_1 7200"),
        ("no seconds",             200, token_of(""),                                    "the answer can't be read"),
        ("no time left",           200, token_of(r#","expires_in":0"#),                  "the answer can't be read"),
        ("negative seconds",       200, token_of(r#","expires_in":-1"#),                 "the answer can't be read"),
        ("empty token",            200, r#"{"access_token":"","expires_in":7200}"#.into(), "the answer can't be read"),
        ("a token with a space",   200, r#"{"access_token":"a b","expires_in":7200}"#.into(), "the answer can't be read"),
        ("neither",                200, "{}".into(),                                     "the answer can't be read"),
        ("a page",                 200, "<html>".into(),                                 "the answer can't be read"),
        ("nothing",                200, String::new(),                                   "the answer can't be read"),
        ("cut short",              200, r#"{"access_token":"a"#.into(),                  "the answer can't be read"),
        ("busy",                   200, r#"{"errcode":-1,"errmsg":"system error"}"#.into(), "busy -1"),
        ("wrong secret, page",     200, r#"{"errcode":40001,"errmsg":"x"}"#.into(),      "ProofInvalid 40001"),
        ("wrong secret, live",     200, r#"{"errcode":40125,"errmsg":"x"}"#.into(),      "ProofInvalid 40125"),
        ("unknown appid, a text",  200, r#"{"errcode":"40013"}"#.into(),                 "ClientUnknown 40013"),
        ("frozen",                 200, r#"{"errcode":40243,"errmsg":"x"}"#.into(),      "SecretFrozen 40243"),
        ("daily quota",            200, r#"{"errcode":45009,"errmsg":"x"}"#.into(),      "QuotaExhausted 45009"),
        ("minute limit",           200, r#"{"errcode":45011,"errmsg":"x"}"#.into(),      "RateLimited 45011"),
        ("address",                200, r#"{"errcode":40164,"errmsg":"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 1-2-3"}"#.into(), "AddressNotAllowed(203.0.113.7) 40164"),
        ("address to confirm",     200, r#"{"errcode":89503,"errmsg":"x"}"#.into(),      "AddressNotAllowed(0.0.0.0) 89503"),
        ("a code new to us",       200, r#"{"errcode":98765,"errmsg":"x"}"#.into(),      "AccessDenied 98765"),
        ("a gateway's 502",        502, "Bad Gateway".into(),                            "HTTP status 502"),
        ("a firewall's 403",       403, r#"{"errcode":40013}"#.into(),                   "HTTP status 403"),
        ("a redirect",             302, String::new(),                                   "HTTP status 302"),
    ];
    for (case, status, body, expected) in cases {
        let answer = answer(status, &body);
        assert_eq!(tell(&decode_response(&answer)), expected, "{case}");
    }
}

#[test]
fn an_answer_says_that_the_token_is_dead_or_not() {
    let long = format!(r#"{{"errcode":40001,"x":"{}"}}"#, "x".repeat(DEAD_TOKEN_BODY_BYTES_MAX));
    #[rustfmt::skip]
    let cases = [
        ("superseded",          200, r#"{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest"}"#, true),
        ("invalid",             200, r#"{"errcode":40014,"errmsg":"invalid access_token"}"#, true),
        ("expired",             200, r#"{"errcode":42001,"errmsg":"access_token expired"}"#, true),
        ("fine",                200, r#"{"errcode":0,"errmsg":"ok"}"#, false),
        ("missing",             200, r#"{"errcode":41001}"#, false),
        ("quota",               200, r#"{"errcode":45009}"#, false),
        ("deeper",              200, r#"{"data":{"errcode":40001}}"#, false),
        ("in a text",           200, r#"{"text":"\"errcode\":40001"}"#, false),
        ("no JSON",             200, "errcode 40001", false),
        ("a file",              200, "\u{0}\u{1}", false),
        ("nothing",             200, "", false),
        ("longer than any",     200, long.as_str(), false),
        ("another status",      500, r#"{"errcode":40001}"#, false),
    ];
    for (case, status, body, dead) in cases {
        let status = http::StatusCode::from_u16(status).unwrap();
        assert_eq!(says_token_is_dead(status, body.as_bytes()), dead, "{case}");
    }
}

#[test]
fn a_token_is_put_into_the_query_in_place_of_any_other() {
    let mut call = request("POST", "/cgi-bin/menu/create?access_token=old&x=1", b"{}");
    put_token(&mut call, &AccessToken::new("a-b_c".to_owned())).unwrap();
    assert_eq!(call.uri().to_string(), "/cgi-bin/menu/create?x=1&access_token=a-b_c");
}

#[test]
fn a_request_for_a_token_is_as_the_page_writes_it() {
    let id = AppId::parse("wx1").unwrap();
    let secret = ClientSecret::new("s+&é".to_owned());
    let plain = encode_request(&id, &secret, TokenCall::Token).unwrap();
    let target = "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s%2B%26%C3%A9";
    assert_eq!((plain.method(), plain.uri().to_string().as_str()), (&Method::GET, target));
    let forced = encode_request(&id, &secret, TokenCall::Stable { force: true }).unwrap();
    assert_eq!((forced.method(), forced.uri().path()), (&Method::POST, "/cgi-bin/stable_token"));
    assert_eq!(
        forced.body().as_ref(),
        r#"{"grant_type":"client_credential","appid":"wx1","secret":"s+&é","force_refresh":true}"#.as_bytes()
    );
    assert!(encode_request(&id, &ClientSecret::new("s".repeat(70_000)), TokenCall::Token).is_err());
}

proptest! {
    #[test]
    fn what_the_keeper_asks_is_what_the_issuer_reads(id in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", secret in "\\PC{1,60}", force: bool) {
        let id = AppId::parse(&id).unwrap();
        let exposed = secret.clone();
        let secret = ClientSecret::new(secret);
        for (call, pool) in [
            (TokenCall::Token, "WeChatToken"),
            (TokenCall::Stable { force }, if force { "WeChatStable anew" } else { "WeChatStable" }),
        ] {
            let read = decode_request(&encode_request(&id, &secret, call).unwrap());
            prop_assert_eq!(describe(&read), format!("client {id} by {exposed} asks {pool}"));
        }
    }

    #[test]
    fn what_the_issuer_grants_is_what_the_keeper_reads(token in "[A-Za-z0-9_-]{33,512}", seconds in 1_u32..) {
        let granted = Granted::AppToken {
            token: AccessToken::new(token.clone()),
            expires_in: Duration::from_secs(seconds.into()),
        };
        let answer = encode_response(&Outcome::Granted(granted), &context("/cgi-bin/token"));
        prop_assert_eq!(tell(&decode_response(&answer)), format!("{token} {seconds}"));
    }

    #[test]
    fn no_request_panics(method in "GET|POST|PUT", endpoint in 0..Endpoint::ALL.len(), query in "[ -~&&[^#]]{0,200}", body: Vec<u8>) {
        let target = format!("{}?{}", Endpoint::ALL[endpoint].path(), query.replace([' ', '"', '<', '>', '`', '{', '}', '|', '\\', '^'], "%"));
        if let Ok(uri) = target.parse::<http::Uri>() {
            let _ = decode_request(&request(&method, &uri.to_string(), &body));
        }
    }

    #[test]
    fn no_answer_panics(status in 100_u16..600, body in "(\\PC|[{}\":,0-9]){0,200}") {
        let answer = answer(status, &body);
        let _ = tell(&decode_response(&answer));
        let _ = says_token_is_dead(answer.status(), answer.body());
    }
}

#[test]
fn every_refusal_is_told_and_read_back_as_one_with_the_same_code() {
    for refusal in Refusal::ALL {
        let told = encode_response(&Outcome::Refused(refusal), &context("/cgi-bin/token"));
        let code = Object::read(told.body()).unwrap().whole("errcode").unwrap();
        let read = tell(&decode_response(&told));
        assert!(read.ends_with(&format!(" {code}")), "{refusal:?}: {read}");
    }
}
