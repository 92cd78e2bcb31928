//! A keeper in a process of its own, at the platform that a `mintkeep dev` is.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::client::{Answer, Client, get, post};
use crate::process::Server;
use crate::sandbox::{ACTIVE, Folder, MINI, Mintkeep, WECHAT, code};

/// As the folder of every process has it.
pub const ADMIN: &str = "authorization: Bearer planted-admin-token-planted-admin-token\r\n";

/// A running keeper.
pub struct Keeper {
    pub process: Server,
    pub admin: SocketAddr,
    pub tokens: SocketAddr,
}

/// The configuration of a keeper alone; `store` is the line of its section.
pub fn configuration(store: &str) -> String {
    format!(
        "[keeper]\nlisten = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"file:admin.token\"\n\
         [store]\n{store}\n[master_key]\ncurrent = \"file:master.key\"\n[drain]\nnotice_s = 0\n"
    )
}

impl Keeper {
    pub fn start(store: &str) -> Self {
        let mut process = Server::start(&configuration(store));
        let mut listening = |name: &str| {
            process.line(|line| {
                (line["message"] == "listening" && line["listener"] == name)
                    .then(|| line["address"].as_str().unwrap().parse().unwrap())
            })
        };
        let (admin, tokens) = (listening("admin"), listening("keeper"));
        process.line(|line| (line["message"] == "ready").then_some(()));
        Self { process, admin, tokens }
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(self) -> Vec<String> {
        self.process.signal("KILL");
        self.process.end().1
    }

    pub fn manage(&self, method: &str, path: &str, body: &Value) -> Answer {
        manage(self.admin, ADMIN, (method, path), body)
    }

    /// Gives it the sandbox's first WeChat and Mini Program apps, and a consumer, whose key it returns.
    pub fn furnish(&self, platform: &Mintkeep, folder: &Folder) -> String {
        let base_url = format!("http://{}", platform.issuer);
        let pem = |file: &str| folder.secret(format!("sandbox/miniprogram/{file}"));
        let (app, secret) = WECHAT;
        let credentials = [
            json!({"name": "shop", "dialect": "wechat", "app_id": app, "base_url": base_url,
                "proof": {"secret": secret}}),
            json!({"name": "mini", "dialect": "miniprogram", "app_id": MINI, "base_url": base_url,
                "proof": {"private_key_pem": pem("app_private.pem"), "platform_public_key_pem": pem("platform_public.pem")},
                "settings": {"identical_retry_s": 60}}),
        ];
        for credential in credentials {
            let answer = self.manage("POST", "/admin/v1/keeper/credentials", &credential);
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        let consumer =
            json!({"name": "counter", "all_credentials": true, "verbs": ["read", "report", "exchange"]});
        let answer = self.manage("POST", "/admin/v1/keeper/consumers", &consumer);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text("/key")
    }

    /// Exchanges a new code of the active customer.
    pub fn authorize(&self, platform: &Mintkeep, key: &str) {
        let code = platform.ask(&code(MINI, ACTIVE)).text("/auth_code");
        let answer = self.ask(key, ("POST", "/v1/exchanges/mini"), &json!({"auth_code": code}));
        assert_eq!((answer.status, answer.text("/customer_id").as_str()), (200, ACTIVE), "{answer:?}");
    }

    pub fn ask(&self, key: &str, (method, path): (&str, &str), body: &Value) -> Answer {
        manage(self.tokens, &format!("authorization: Bearer {key}\r\n"), (method, path), body)
    }

    /// The customer's token, which must be there.
    pub fn token(&self, key: &str) -> String {
        let answer = self.ask(key, ("GET", &format!("/v1/tokens/mini/{ACTIVE}")), &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("/access_token")
    }

    /// Has the customer's token renewed now.
    pub fn refresh(&self) -> Answer {
        refresh(self.admin).unwrap()
    }

    /// A metric by its name and labels; zero: it was never told.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = Client::connect(self.admin).unwrap().send(&get("/metrics")).unwrap().body;
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// The customer's token and its history.
    pub fn story(&self) -> Value {
        self.manage("GET", &format!("/admin/v1/keeper/tokens/mini/{ACTIVE}/explain"), &Value::Null).json()
    }
}

/// As [`Keeper::refresh`], of a keeper that may end meanwhile.
pub fn refresh(admin: SocketAddr) -> std::io::Result<Answer> {
    let request = post(&format!("/admin/v1/keeper/tokens/mini/{ACTIVE}/refresh"), ADMIN, "");
    Client::connect(admin)?.send(&request)
}

/// One request with JSON in it, on a connection of its own.
pub fn manage(to: SocketAddr, who: &str, (method, path): (&str, &str), body: &Value) -> Answer {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request = post(path, &format!("{who}content-type: application/json\r\n"), &text);
    Client::connect(to).unwrap().send(&request.replacen("POST", method, 1)).unwrap()
}

/// Has the platform's sandbox do something to requests for a customer's tokens.
pub fn fault(platform: &Mintkeep, folder: &Folder, rule: &Value) {
    let who = format!("authorization: Bearer {}\r\n", folder.secret("admin.token"));
    let answer = manage(platform.admin, &who, ("POST", "/admin/v1/sandbox/faults"), rule);
    assert!((200..300).contains(&answer.status), "{answer:?}");
}
