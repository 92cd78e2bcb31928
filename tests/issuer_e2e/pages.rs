//! The samples of the four pages, byte for byte but for what is drawn anew: tokens, times, names of requests.

use mintkeep_protocol::crypto::RsaPublicKey;

use super::client::{Answer, get, post};
use super::sandbox::{
    ACTIVE, DINGTALK, FROZEN, Folder, HK, MINI, WECHAT, apply_path, code, dingtalk_token, signed,
    wechat_token,
};

/// The head with the date, the length and what else is drawn anew left open.
fn head(answer: &Answer) -> String {
    let open = ["date", "content-length", "response-time", "tracer-id", "signature", "x-acs-request-id"];
    let mut lines: Vec<String> = answer.head.trim_end().lines().map(ToOwned::to_owned).collect();
    for line in &mut lines {
        if let Some((name, _)) = line.clone().split_once(": ").filter(|(name, _)| open.contains(name)) {
            *line = format!("{name}: *");
        }
    }
    lines[1..].sort();
    lines.join("\n")
}

#[test]
fn wechats_page() {
    let mintkeep = Folder::new();
    let server = mintkeep.start();
    let answer = server.ask(&wechat_token(WECHAT));
    assert_eq!(
        head(&answer),
        "HTTP/1.1 200 OK\ncontent-length: *\ncontent-type: application/json; encoding=utf-8\ndate: *"
    );
    let token = answer.text("/access_token");
    assert_eq!(answer.body, format!(r#"{{"access_token":"{token}","expires_in":7200}}"#));

    let page = "/cgi-bin/token?grant_type=client_credential&appid=APPID&secret=APPSECRET";
    let refused = server.ask(&get(page));
    assert_eq!(refused.status, 200);
    let (before, rid) = refused.body.split_once(" rid: ").unwrap();
    assert_eq!(before, r#"{"errcode":40013,"errmsg":"invalid appid"#);
    assert_eq!(rid.len(), r#"6aac005a-01bfdbee-79769285"}"#.len());
    server.stop();
}

#[test]
fn dingtalks_page() {
    let mintkeep = Folder::new();
    let server = mintkeep.start();
    let answer = server.ask(&dingtalk_token(DINGTALK));
    let expected = "HTTP/1.1 200 OK\ncontent-length: *\ncontent-type: application/json;charset=utf-8\ndate: *\nx-acs-request-id: *";
    assert_eq!(head(&answer), expected);
    let token = answer.text("/accessToken");
    assert_eq!(answer.body, format!(r#"{{"accessToken":"{token}","expireIn":7200}}"#));
    assert_eq!(server.ask(&dingtalk_token(DINGTALK)).body, answer.body, "the same again");

    let page = "{\n    \"appKey\": \"dingeqqpkv3xxxxxx\",\n    \"appSecret\": \"GT-lsu-taDAxxxsTsxxxx\"\n  }";
    let refused = server.ask(&post("/v1.0/oauth2/accessToken", "Content-Type: application/json\r\n", page));
    assert_eq!((refused.status, refused.text("/code")), (400, "invalidClientIdOrSecret".into()));
    assert_eq!(refused.text("/message"), "Invalid clientId or clientSecret");
    server.stop();
}

/// What both signed pages have in common.
fn signed_page(id: &str, dialect: &str, success: &str, unknown_code: &str) {
    let mintkeep = Folder::new();
    let server = mintkeep.start();
    let key = mintkeep.key(dialect);
    let platform = mintkeep.secret(format!("sandbox/{dialect}/platform_public.pem"));
    let platform = RsaPublicKey::from_pem(&platform).unwrap();
    let page = |grant_type: &str, field: &str, value: &str| {
        format!("{{\n  \"grantType\": \"{grant_type}\",\n  \"{field}\": \"{value}\"\n}}")
    };
    let issued = server.ask(&code(id, ACTIVE)).text("/auth_code");
    let mut refresh = String::new();
    for (grant_type, field) in [("AUTHORIZATION_CODE", "authCode"), ("REFRESH_TOKEN", "refreshToken")] {
        let value = if refresh.is_empty() { &issued } else { &refresh };
        let answer = server.ask(&signed(&key, id, &page(grant_type, field, value)));
        let expected = format!(
            "HTTP/1.1 200 OK\nclient-id: {id}\ncontent-length: *\ncontent-type: application/json; charset=UTF-8\n\
             date: *\nresponse-time: *\nsignature: *\ntracer-id: *"
        );
        assert_eq!(head(&answer), expected);
        let text = |field: &str| answer.text(&format!("/{field}"));
        assert_eq!(
            answer.body,
            format!(
                r#"{{"result":{{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"{success}"}},"accessToken":"{}","accessTokenExpiryTime":"{}","refreshToken":"{}","refreshTokenExpiryTime":"{}","customerId":"{ACTIVE}"}}"#,
                text("accessToken"),
                text("accessTokenExpiryTime"),
                text("refreshToken"),
                text("refreshTokenExpiryTime"),
            )
        );
        assert_eq!(text("accessTokenExpiryTime").len(), "2023-06-06T12:12:12+08:00".len());
        assert!(is_signed(&platform, id, &answer), "{grant_type}");
        refresh = text("refreshToken");
    }
    let sample = page("AUTHORIZATION_CODE", "authCode", "2810111301lGZcM9CjlF91WH00039190xxxx");
    let refused = server.ask(&signed(&key, id, &sample));
    assert_eq!((refused.status, refused.text("/result/resultCode")), (200, unknown_code.into()));
    assert!(is_signed(&platform, id, &refused), "refusals too");
    assert_eq!(server.ask(&code(id, FROZEN)).status, 409);
    server.stop();
}

fn is_signed(platform: &RsaPublicKey, id: &str, answer: &Answer) -> bool {
    use base64::Engine as _;
    let value = answer.header("signature").unwrap().rsplit("signature=").next().unwrap();
    let value = value.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let signature = base64::engine::general_purpose::STANDARD.decode(value).unwrap();
    let time = answer.header("response-time").unwrap();
    let text = format!("POST {}\n{id}.{time}.{}", apply_path(id), answer.body);
    platform.verify(text.as_bytes(), &signature)
}

#[test]
fn the_mini_program_page() {
    signed_page(MINI, "miniprogram", "success", "INVALID_CODE");
}

#[test]
fn alipayhks_page() {
    signed_page(HK, "alipayhk", "Success", "PARAM_ILLEGAL");
}
