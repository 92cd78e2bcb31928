//! What apps and operators ask, and what they may be told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::time::Clock as _;
use mintkeep_web::clock::SystemClock;
use serde_json::json;

use crate::client::{Answer, Client, get, post};
use crate::site::{Replica, admin_post};

pub const MINI: &str = "MINI0000000000000009";
pub const CUSTOMER: &str = "2160000000000009";
const APPLY: &str = "/v1/authorizations/applyToken";

/// A Mini Program app with its key, and a customer.
pub struct Shop {
    key: RsaPrivateKey,
}

impl Shop {
    /// Makes both, by way of one replica.
    pub fn open(replica: &Replica) -> Self {
        let app = json!({"id": MINI, "dialect": "miniprogram", "name": "A shop"});
        let key = replica.admin_post("/admin/v1/apps", &app).text("/private_key_pem");
        let customer = format!("/admin/v1/customers/{CUSTOMER}");
        let put = admin_post(&customer, &json!({})).replacen("POST", "PUT", 1);
        assert_eq!(Client::connect(replica.admin).unwrap().send(&put).unwrap().status, 200);
        Self { key: RsaPrivateKey::from_pem(&key).unwrap() }
    }

    /// A signed request for the tokens of a code. `tag` makes it another request than all with other tags.
    pub fn exchange(&self, code: &str, tag: usize) -> String {
        self.signed(
            &json!({"grantType": "AUTHORIZATION_CODE", "authCode": code, "extendInfo": tag.to_string()}),
        )
    }

    /// A signed request for the next tokens after a refresh token.
    pub fn refresh(&self, token: &str, tag: usize) -> String {
        self.signed(
            &json!({"grantType": "REFRESH_TOKEN", "refreshToken": token, "extendInfo": tag.to_string()}),
        )
    }

    fn signed(&self, body: &serde_json::Value) -> String {
        let (body, time) = (body.to_string(), SystemClock.now().unix_ms());
        let signature = self.key.sign(format!("POST {APPLY}\n{MINI}.{time}.{body}").as_bytes()).unwrap();
        let headers = format!(
            "client-id: {MINI}\r\nrequest-time: {time}\r\ncontent-type: application/json; charset=UTF-8\r\n\
             signature: algorithm=RSA256, keyVersion=1, signature={}\r\n",
            STANDARD.encode(signature)
        );
        post(APPLY, &headers, &body)
    }
}

/// A request for a code, to an admin listener.
pub fn code() -> String {
    admin_post(
        "/admin/v1/codes",
        &json!({"client_id": MINI, "customer_id": CUSTOMER, "scopes": ["auth_user"]}),
    )
}

/// A new code.
pub fn new_code(replica: &Replica) -> String {
    Client::connect(replica.admin).unwrap().send(&code()).unwrap().text("/auth_code")
}

/// Makes a WeChat app; gives its secret.
pub fn wechat_app(replica: &Replica, id: &str) -> String {
    let app = json!({"id": id, "dialect": "wechat", "name": "A shop"});
    replica.admin_post("/admin/v1/apps", &app).text("/secret")
}

/// A request for a WeChat app's token.
pub fn wechat_token(id: &str, secret: &str) -> String {
    get(&format!("/cgi-bin/token?grant_type=client_credential&appid={id}&secret={secret}"))
}

/// A call with a WeChat app's token: 0 if the token is good.
pub fn wechat_errcode(replica: &Replica, token: &str) -> i64 {
    let answer = ask(replica, &get(&format!("/cgi-bin/getcallbackip?access_token={token}")));
    answer.json()["errcode"].as_i64().unwrap_or(0)
}

/// Asks a replica's issuer.
pub fn ask(replica: &Replica, request: &str) -> Answer {
    Client::connect(replica.issuer).unwrap().send(request).unwrap()
}

/// The state of a token or code, as an operator sees it.
pub fn state(replica: &Replica, token: &str) -> String {
    replica.admin_post("/admin/v1/inspect", &json!({"token": token})).text("/state")
}
