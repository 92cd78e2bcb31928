//! DingTalk's golden vectors, bad input, and both sides against each other.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::dialect::in_short::{answer, context, request, tell};
use crate::dialect::vector::{Vector, describe};
use crate::ident::Dialect;

const ACCESS_TOKEN: &str = "/v1.0/oauth2/accessToken";

#[test]
fn every_vector_is_read_and_answered_byte_for_byte() {
    for vector in Vector::all(Dialect::DingTalk) {
        vector.check(Dialect::DingTalk, decode_request, encode_response);
    }
}

#[test]
fn every_code_has_a_vector() {
    let vectors = Vector::all(Dialect::DingTalk);
    let answers: HashSet<&str> = vectors.iter().map(|vector| vector.answer.as_str()).collect();
    let places = || std::iter::once(None).chain(Endpoint::ALL.map(Some));
    let codes: HashSet<&str> = Refusal::ALL
        .into_iter()
        .flat_map(|refusal| places().map(move |place| fault(refusal, place).code))
        .chain([codes::UNKNOWN.code])
        .collect();
    for code in codes {
        let written = format!("\"code\":\"{code}\"");
        assert!(answers.iter().any(|answer| answer.contains(&written)), "{code} has no vector");
    }
    for errcode in [-1, 0, 22, 40035, 40096, 60020, 90018] {
        let written = format!("{{\"errcode\":{errcode},");
        assert!(answers.iter().any(|answer| answer.contains(&written)), "{errcode} has no vector");
    }
}

#[test]
fn bad_input_is_told_in_the_dialects_own_form() {
    let deep = format!(r#"{{"appKey":"k","x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let long = format!(r#"{{"appKey":"{}","appSecret":"s"}}"#, "k".repeat(65));
    let (user, corp) = ("/v1.0/oauth2/userAccessToken", "/v1.0/oauth2/corp1/token");
    let long_corp = format!("/v1.0/oauth2/{}/token", "c".repeat(65));
    let pair = r#""clientId":"k","clientSecret":"s""#;
    let user_body = |more: &str| format!("{{{pair}{more}}}").into_bytes();
    let (no_grant, other_grant) = (user_body(""), user_body(r#","grantType":"password","code":"c""#));
    let (no_refresh, number) = (
        user_body(r#","grantType":"refresh_token""#),
        user_body(r#","grantType":"authorization_code","code":1"#),
    );
    #[rustfmt::skip]
    let cases: [(&str, &str, &str, &[u8], &str); 23] = [
        ("the page's cut-off URL",  "POST", "/v1.0/oauth2/accessToke",  b"{}", "refused ApiUnknown"),
        ("a doubled slash",         "POST", "//v1.0/oauth2/accessToken", b"{}", "refused ApiUnknown"),
        ("no corp",                 "POST", "/v1.0/oauth2//token",      b"{}", "refused ApiUnknown"),
        ("a corp that climbs",      "POST", "/v1.0/oauth2/a/b/token",   b"{}", "refused ApiUnknown"),
        ("a corp too long",         "POST", &long_corp,                 b"{}", "refused ApiUnknown"),
        ("GET for POST",            "GET",  ACCESS_TOKEN,               b"",   "refused MethodWrong"),
        ("PUT for POST",            "PUT",  corp,                       b"{}", "refused MethodWrong"),
        ("POST for GET",            "POST", "/gettoken",                b"",   "refused MethodWrong"),
        ("an array",                "POST", ACCESS_TOKEN,               b"[]", "refused BodyMalformed"),
        ("cut short",               "POST", ACCESS_TOKEN,               br#"{"appKey":"k"#, "refused BodyMalformed"),
        ("not UTF-8",               "POST", ACCESS_TOKEN,               b"{\"appKey\":\"\xff\"}", "refused BodyMalformed"),
        ("a number past infinity",  "POST", ACCESS_TOKEN,               br#"{"appKey":"k","x":1e999}"#, "refused BodyMalformed"),
        ("nested deep",             "POST", ACCESS_TOKEN,               deep.as_bytes(), "refused BodyMalformed"),
        ("null is absent",          "POST", ACCESS_TOKEN,               br#"{"appKey":null,"appSecret":"s"}"#, "refused ClientMissing"),
        ("a key too long",          "POST", ACCESS_TOKEN,               long.as_bytes(), "refused ClientUnknown"),
        ("other case of the name",  "POST", ACCESS_TOKEN,               br#"{"appkey":"k","appsecret":"s"}"#, "refused ClientMissing"),
        ("no grant type",           "POST", user,                       &no_grant, "client k by s asks what is refused GrantTypeUnsupported"),
        ("another grant type",      "POST", user,                       &other_grant, "client k by s asks what is refused GrantTypeUnsupported"),
        ("no refresh token",        "POST", user,                       &no_refresh, "client k by s asks what is refused FieldMissing"),
        ("a number for a code",     "POST", user,                       &number, "client k by s asks what is refused BodyMalformed"),
        ("half an escape",          "GET",  "/gettoken?appkey=k%4",     b"",   "refused FieldIllegal"),
        ("not UTF-8",               "GET",  "/gettoken?appkey=%ff",     b"",   "refused FieldIllegal"),
        ("no query",                "GET",  "/gettoken",                b"",   "refused ClientMissing"),
    ];
    for (case, method, target, body, expected) in cases {
        let request = request(method, target, body);
        let read = decode_request(&request);
        assert_eq!(describe(&read), expected, "{case}");
        let refusal = read.map_or_else(|refusal| refusal, |call| call.ask.err().unwrap());
        let told = encode_response(&Outcome::Refused(refusal), &context(request.uri().path()));
        let object = Object::read(told.body()).unwrap();
        if target.starts_with("/gettoken") {
            assert!(told.status() == 200 && object.whole("errcode").is_some(), "{case}");
        } else {
            assert!(told.status().is_client_error() && object.text("code").unwrap().is_some(), "{case}");
        }
    }
}

#[test]
fn a_body_counts_under_any_json_content_type_and_no_other() {
    #[rustfmt::skip]
    let cases: [(&[u8], bool); 13] = [
        (b"application/json", true),
        (b"application/json;charset=utf-8", true),
        (b"application/json; charset=UTF-8", true),
        (b"Application/JSON", true),
        (b"text/json", true),
        (b"application/vnd.api+json", true),
        (b"", true),
        (b"application/x-www-form-urlencoded", false),
        (b"multipart/form-data; boundary=json", false),
        (b"text/plain", false),
        (b"text/plain; x=application/json", false),
        (b"application/jsonp", false),
        (b"application/json\xff", false),
    ];
    for (content_type, counts) in cases {
        let mut request = request("POST", ACCESS_TOKEN, br#"{"appKey":"k","appSecret":"s"}"#);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_bytes(content_type).unwrap());
        let expected = if counts { "client k by s asks DingTalkToken" } else { "refused BodyMissing" };
        assert_eq!(describe(&decode_request(&request)), expected, "{content_type:?}");
    }
}

#[test]
fn a_token_is_taken_from_its_header_alone() {
    #[rustfmt::skip]
    let cases: [(&str, &str, &[u8], &str); 5] = [
        ("its header",        "x-acs-dingtalk-access-token", b"tok",        "bearer tok asks ticket"),
        ("its header, empty", "x-acs-dingtalk-access-token", b"",           "refused AccessMissing"),
        ("no ASCII",          "x-acs-dingtalk-access-token", b"tok\xff",    "refused AccessInvalid"),
        ("Bearer",            "authorization",               b"Bearer tok", "refused AccessMissing"),
        ("a near name",       "x-acs-access-token",          b"tok",        "refused AccessMissing"),
    ];
    for (case, name, value, expected) in cases {
        let mut request = request("POST", "/v1.0/oauth2/jsapiTickets?access_token=t", b"");
        let name = HeaderName::try_from(name).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_bytes(value).unwrap());
        assert_eq!(describe(&decode_request(&request)), expected, "{case}");
    }
}

#[test]
fn an_answer_from_the_platform_is_a_token_a_refusal_or_open() {
    let coded = |code: &str| format!(r#"{{"requestid":"A","code":"{code}","message":"m"}}"#);
    let unread = "the answer can't be read";
    #[rustfmt::skip]
    let cases = [
        ("the page's",           200, r#"{ "accessToken" : "tok", "expireIn" : 7200 }"#.into(), "tok 7200"),
        ("the live order",       200, r#"{"expireIn":7200,"accessToken":"tok"}"#.into(), "tok 7200"),
        ("fields we don't know", 200, r#"{"expireIn":7200,"accessToken":"tok","corpId":null}"#.into(), "tok 7200"),
        ("no seconds",           200, r#"{"accessToken":"tok"}"#.into(),   unread),
        ("an s too many",        200, r#"{"accessToken":"tok","expiresIn":7200}"#.into(), unread),
        ("no time left",         200, r#"{"accessToken":"tok","expireIn":0}"#.into(), unread),
        ("a token with a break", 200, r#"{"accessToken":"t\nk","expireIn":7200}"#.into(), unread),
        ("an address barred",    200, r#"{"status":1111,"wait":5,"punish":"deny"}"#.into(), unread),
        ("a page",               200, "<html>".into(),                     unread),
        ("bad pair",             400, coded("invalidClientIdOrSecret"),    "ClientUnknown invalidClientIdOrSecret"),
        ("rate, per app",        403, coded("Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"), "RateLimited Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
        ("rate, per API",        403, coded("Forbidden.AccessDenied.QpsLimitForApi"), "RateLimited Forbidden.AccessDenied.QpsLimitForApi"),
        ("address",              403, coded("Forbidden.AccessDenied.IpNotInWhiteList"), "AddressNotAllowed(0.0.0.0) Forbidden.AccessDenied.IpNotInWhiteList"),
        ("a code new to us",     400, coded("somethingElse"),              "AccessDenied somethingElse"),
        ("its own trouble",      500, coded("unknownError"),               "busy unknownError"),
        ("unavailable",          503, coded("ServiceUnavailable"),         "busy ServiceUnavailable"),
        ("a gateway's 502",      502, "Bad Gateway".into(),                "HTTP status 502"),
        ("a firewall's 403",     403, "<html>".into(),                     "HTTP status 403"),
        ("a 400 without a code", 400, "{}".into(),                         "HTTP status 400"),
        ("a redirect",           302, String::new(),                       "HTTP status 302"),
    ];
    for (case, status, body, expected) in cases {
        let body: String = body;
        assert_eq!(tell(&decode_response(&answer(status, &body))), expected, "{case}");
    }
}

#[test]
fn an_answer_says_that_the_token_is_dead_or_not() {
    #[rustfmt::skip]
    let cases = [
        ("bad token",             400, r#"{"code":"InvalidAuthentication","message":"m"}"#, true),
        ("the same as 401",       401, r#"{"code":"InvalidAuthentication"}"#, true),
        ("absent token",          400, r#"{"code":"AuthenticationFailed.MissingParameter"}"#, false),
        ("no permission",         403, r#"{"code":"Forbidden.AccessDenied.AccessTokenPermissionDenied"}"#, false),
        ("in a good answer",      200, r#"{"code":"InvalidAuthentication"}"#, false),
        ("older: invalid",        200, r#"{"errcode":40014,"errmsg":"m"}"#, true),
        ("older: expired",        200, r#"{"errcode":42001,"errmsg":"m"}"#, true),
        ("older: 88, in a field", 200, r#"{"errcode":88,"sub_code":"40014","sub_msg":"m"}"#, true),
        ("older: 88, in a text",  200, r#"{"errcode":88,"errmsg":"ding talk error[subcode=42001,submsg=m]"}"#, true),
        ("older: 88, permission", 200, r#"{"errcode":88,"sub_code":"60011","errmsg":"ding talk error[subcode=60011,submsg=m]"}"#, false),
        ("older: 88, longer",     200, r#"{"errcode":88,"errmsg":"ding talk error[subcode=400140,submsg=m]"}"#, false),
        ("older: fine",           200, r#"{"errcode":0,"errmsg":"ok"}"#, false),
        ("no JSON",               400, "InvalidAuthentication", false),
    ];
    for (case, status, body, dead) in cases {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(says_token_is_dead(status, body.as_bytes()), dead, "{case}");
    }
    let long = format!(r#"{{"errcode":40014,"x":"{}"}}"#, "x".repeat(DEAD_TOKEN_BODY_BYTES_MAX));
    assert!(!says_token_is_dead(StatusCode::OK, long.as_bytes()), "longer than any");
}

#[test]
fn a_token_is_put_where_the_kind_of_api_wants_it() {
    #[rustfmt::skip]
    let cases = [
        ("/v1.0/contact/users/me", "/v1.0/contact/users/me",     "/v1.0/contact/users/me",     true),
        ("/v2.0/x",                "/v2.0/x?a=1",                "/v2.0/x?a=1",                true),
        ("/topapi/v2/user/get",    "/topapi/v2/user/get?a=1",    "/topapi/v2/user/get?a=1&access_token=tok", false),
        ("/user/get",              "/user/get?access_token=old", "/user/get?access_token=tok", false),
        ("/vip/x",                 "/vip/x",                     "/vip/x?access_token=tok",    false),
        ("/v1.0/x",                "/gateway/v1.0/x",            "/gateway/v1.0/x",            true),
        ("/user/get",              "/v1.0/user/get",             "/v1.0/user/get?access_token=tok", false),
    ];
    for (path, before, after, in_header) in cases {
        let mut call = request("POST", before, b"");
        call.headers_mut().insert(TOKEN_HEADER, HeaderValue::from_static("old"));
        put_token(&mut call, path, &AccessToken::new("tok".to_owned())).unwrap();
        assert_eq!(call.uri().to_string(), after);
        let header = call.headers().get(TOKEN_HEADER);
        assert_eq!(header.is_some_and(|value| value == "tok" && value.is_sensitive()), in_header, "{before}");
    }
}

proptest! {
    #[test]
    fn what_the_keeper_asks_is_what_the_issuer_reads(id in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", secret in "\\PC{1,60}") {
        let id = AppId::parse(&id).unwrap();
        let read = decode_request(&encode_request(&id, &ClientSecret::new(secret.clone())).unwrap());
        prop_assert_eq!(describe(&read), format!("client {id} by {secret} asks DingTalkToken"));
    }

    #[test]
    fn what_the_issuer_grants_is_what_the_keeper_reads(token in "[A-Za-z0-9]{32,200}", seconds in 1_u32..) {
        let granted = Granted::AppToken {
            token: AccessToken::new(token.clone()),
            expires_in: Duration::from_secs(seconds.into()),
        };
        let answer = encode_response(&Outcome::Granted(granted), &context(ACCESS_TOKEN));
        prop_assert_eq!(tell(&decode_response(&answer)), format!("{token} {seconds}"));
    }

    #[test]
    fn no_request_panics(method in "GET|POST|PUT", path in "/(v1[.]0/oauth2/[a-zA-Z]{0,9}(/token)?|gettoken)", query in "[a-z=&%+0-9]{0,100}", body: Vec<u8>) {
        let _ = decode_request(&request(&method, &format!("{path}?{query}"), &body));
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
        let told = encode_response(&Outcome::Refused(refusal), &context(ACCESS_TOKEN));
        let code = fault(refusal, Endpoint::at(ACCESS_TOKEN)).code;
        assert!(tell(&decode_response(&told)).ends_with(&format!(" {code}")), "{refusal:?}");
    }
}
