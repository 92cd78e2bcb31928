//! Whatever a stranger writes to the socket: an answer in the dialect's own form, and the server goes on.

use super::client::{Answer, Client, get, post};
use super::sandbox::{Folder, WECHAT, wechat_token};

/// What a row's answer must hold, in the form of its dialect.
enum Form {
    /// HTTP 200 and this `errcode`.
    WeChat(&'static str),
    /// This status and `code`.
    DingTalk(u16, &'static str),
    /// HTTP 200 and this `resultCode`.
    Signed(&'static str),
    /// This status; whatever the body.
    Plain(u16),
}

impl Form {
    fn check(&self, case: &str, answer: &Answer) {
        match *self {
            Self::WeChat(errcode) => {
                assert_eq!(
                    (answer.status, answer.text("/errcode").as_str()),
                    (200, errcode),
                    "{case}: {answer:?}"
                );
            }
            Self::DingTalk(status, code) => {
                assert_eq!(
                    (answer.status, answer.text("/code").as_str()),
                    (status, code),
                    "{case}: {answer:?}"
                );
            }
            Self::Signed(code) => {
                let told = answer.text("/result/resultCode");
                assert_eq!((answer.status, told.as_str()), (200, code), "{case}: {answer:?}");
            }
            Self::Plain(status) => assert_eq!(answer.status, status, "{case}: {answer:?}"),
        }
    }
}

const TOKEN: &str = "/cgi-bin/token";
const STABLE: &str = "/cgi-bin/stable_token";
const DINGTALK: &str = "/v1.0/oauth2/accessToken";
const MINI: &str = "/v1/authorizations/applyToken";
const HK: &str = "/api/open/v1/alipayhk/merchant/applyToken";

/// A POST whose body is not text.
fn raw(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn cases() -> Vec<(&'static str, Vec<u8>, Form)> {
    use Form::{DingTalk, Plain, Signed, WeChat};
    let (id, secret) = WECHAT;
    let good = format!("{TOKEN}?grant_type=client_credential&appid={id}&secret={secret}");
    let json = "content-type: application/json\r\n";
    let signed = "client-id: MINI0000000000000001\r\nrequest-time: 1\r\nsignature: signature=AAAA\r\n";
    let keys = |name: &str| format!(r#"{{"{name}":"a","{name}":"a"}}"#);
    let huge = "a".repeat(64 * 1024 + 1);
    let headers = format!("x-long: {}\r\n", "a".repeat(17 * 1024));
    let long = "a".repeat(9 * 1024);
    let chunked = |path: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}")
    };
    let whole = format!(r#"{{"grant_type":"client_credential","appid":"{id}","secret":"{secret}"}}"#);
    let (left, right) = whole.split_at(20);
    let in_chunks = format!("{:x}\r\n{left}\r\n{:x}\r\n{right}\r\n0\r\n\r\n", left.len(), right.len());
    let text = String::into_bytes;

    #[rustfmt::skip]
    let cases = vec![
        ("a parameter twice",          text(get(&format!("{good}&appid={id}"))),           WeChat("40097")),
        ("an escape that is no UTF-8", text(get(&good.replace(id, "wx%ff%fe"))),           WeChat("40097")),
        ("a broken escape",            text(get(&good.replace(id, "wx%zz"))),              WeChat("40097")),
        ("no query",                   text(get(TOKEN)),                                   WeChat("41002")),
        ("PUT for GET",                text(get(&good).replacen("GET", "PUT", 1)),         WeChat("43001")),
        ("a method of its own",        text(get(&good).replacen("GET", "BREW", 1)),        WeChat("43001")),
        ("a long request line",        text(get(&format!("{good}&x={long}"))),             WeChat("45002")),
        ("large headers",              text(get(&good).replacen("host", &format!("{headers}host"), 1)), WeChat("45002")),
        ("no such path",               text(get("/cgi-bin/../../etc/passwd")),             WeChat("40066")),
        ("GET for POST",               text(get(STABLE)),                                  WeChat("43002")),
        ("a key twice",                text(post(STABLE, json, &keys("appid"))),           WeChat("47001")),
        ("invalid UTF-8",              raw(STABLE, b"{\"appid\":\"\xff\"}"),              WeChat("47001")),
        ("a huge body",                text(post(STABLE, json, &huge)),                    WeChat("45002")),
        ("a huge body in chunks",      text(chunked(STABLE, &format!("{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len()))), WeChat("45002")),
        ("deep nesting",               text(post(STABLE, json, &"[".repeat(60_000))),      WeChat("47001")),
        ("malformed chunks",           text(chunked(STABLE, "zz\r\n{}\r\n0\r\n\r\n")),     WeChat("47001")),
        ("DingTalk: GET for POST",     text(get(DINGTALK)),                                DingTalk(404, "InvalidAction.NotFound")),
        ("DingTalk: no such path",     text(get("/v1.0/nothing")),                         DingTalk(404, "InvalidAction.NotFound")),
        ("DingTalk: a key twice",      text(post(DINGTALK, json, &keys("appKey"))),        DingTalk(400, "InvalidParameter.Format")),
        ("DingTalk: invalid UTF-8",    raw(DINGTALK, b"{\"appKey\":\"\xc3\x28\"}"),       DingTalk(400, "InvalidParameter.Format")),
        ("DingTalk: a form",           text(post(DINGTALK, "content-type: application/x-www-form-urlencoded\r\n", "appKey=a")), DingTalk(400, "Missingbody")),
        ("DingTalk: a huge body",      text(post(DINGTALK, json, &huge)),                  DingTalk(413, "InvalidParameter.TooLarge")),
        ("DingTalk: large headers",    text(post(DINGTALK, &headers, "{}")),               DingTalk(413, "InvalidParameter.TooLarge")),
        ("gettoken: twice",            text(get("/gettoken?appkey=a&appkey=a&appsecret=b")), WeChat("40035")),
        ("Mini: GET for POST",         text(get(MINI)),                                    Signed("METHOD_NOT_SUPPORTED")),
        ("Mini: no such path",         text(post("/v1/nothing", signed, "{}")),            Signed("INVALID_API")),
        ("Mini: nobody",               text(post(MINI, json, "{}")),                       Signed("PARAM_ILLEGAL")),
        ("Mini: a forged signature",   text(post(MINI, signed, "{}")),                     Signed("INVALID_SIGNATURE")),
        ("Mini: a huge body",          text(post(MINI, signed, &huge)),                    Signed("PARAM_ILLEGAL")),
        ("Mini: large headers",        text(post(MINI, &headers, "{}")),                   Signed("PARAM_ILLEGAL")),
        ("HK: GET for POST",           text(get(HK)),                                      Signed("PARAM_ILLEGAL")),
        ("HK: nobody",                 text(post(HK, json, "{}")),                         Signed("PARAM_ILLEGAL")),
        ("HK: a huge body",            text(post(HK, signed, &huge)),                      Signed("PARAM_ILLEGAL")),
        ("nobody's path",              text(get("/nothing/here")),                         Plain(404)),
        ("introspection: no form",     raw("/oauth2/introspect", b"\xff\xfe"),             Plain(400)),
        ("two hosts",                  text(get(&good).replacen("host", "host: other\r\nhost", 1)), WeChat("47001")),
        ("no host",                    text(get(&good).replacen("host: localhost\r\n", "", 1)), WeChat("47001")),
        ("DingTalk: no host",          text(post(DINGTALK, json, "{}").replacen("host: localhost\r\n", "", 1)), DingTalk(400, "InvalidParameter.Format")),
        ("Mini: no host",              text(post(MINI, signed, "{}").replacen("host: localhost\r\n", "", 1)), Signed("PARAM_ILLEGAL")),
        ("nobody's path: no host",     text(get("/authz").replacen("host: localhost\r\n", "", 1)), Plain(400)),
        ("a tunnel to a dialect",      text(get(&good).replacen("GET", "CONNECT", 1)),     Plain(400)),
        ("a tunnel elsewhere",         text(get("a.example:443").replacen("GET", "CONNECT", 1)), Plain(400)),
        ("chunks twice",               text(chunked(STABLE, "0\r\n\r\n").replacen("transfer-encoding", "transfer-encoding: chunked\r\ntransfer-encoding", 1)), WeChat("47001")),
        ("not HTTP",                   b"\x16\x03\x01\x02\x00\x01\r\n\r\n".to_vec(),      Plain(400)),
        ("a header without a name",    b"GET / HTTP/1.1\r\n: a\r\n\r\n".to_vec(),         Plain(400)),
        ("good, absolute",             text(get(&format!("http://a.example{good}"))),      Plain(200)),
        ("good, a doubled slash",      text(get(&format!("/{good}"))),                     Plain(200)),
        ("good, in chunks",            text(chunked(STABLE, &in_chunks)),                  Plain(200)),
        ("good, no content type",      text(post(STABLE, "", &whole)),                     Plain(200)),
    ];
    cases
}

#[test]
fn a_bad_request_is_answered_in_its_dialects_form_and_the_server_goes_on() {
    let folder = Folder::new();
    let server = folder.start();
    for (case, request, form) in cases() {
        let mut client = server.client();
        client.write(&request).unwrap_or_else(|error| panic!("{case}: {error}"));
        let answer = client.read().unwrap_or_else(|error| panic!("{case}: {error}"));
        if case.starts_with("good") {
            assert_eq!(answer.text("/access_token").len(), 55, "{case}: {answer:?}");
        }
        form.check(case, &answer);
        assert!(answer.status != 500, "{case}: {answer:?}");
    }
    assert_eq!(server.ask(&wechat_token(WECHAT)).text("/expires_in"), "7200");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.stop();
}

#[test]
fn a_body_that_does_not_come_is_given_up_in_its_dialects_form() {
    let folder = Folder::new();
    let server = folder.start();
    let rows = [
        (STABLE, Form::WeChat("-1")),
        (DINGTALK, Form::DingTalk(408, "RequestTimeout")),
        (MINI, Form::Signed("PARAM_ILLEGAL")),
    ];
    let mut waiting: Vec<(Client, Form)> = Vec::new();
    for (path, form) in rows {
        let mut client = server.client();
        client
            .write(format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{{").as_bytes())
            .unwrap();
        waiting.push((client, form));
    }
    for (mut client, form) in waiting {
        form.check("slow", &client.read().unwrap());
    }
    assert_eq!(server.ask(&wechat_token(WECHAT)).text("/expires_in"), "7200");
    server.stop();
}
