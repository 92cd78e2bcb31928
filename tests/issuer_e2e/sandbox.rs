//! A running `mintkeep dev`, and its sandbox's apps.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::time::Clock as _;
use mintkeep_web::clock::SystemClock;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Answer, Client, get, post};

pub const WECHAT: (&str, &str) = ("wx0000000000000001", "sandbox-wechat-secret");
pub const DINGTALK: (&str, &str) = ("dingsandbox0000001", "sandbox-dingtalk-secret");
pub const MINI: &str = "MINI0000000000000001";
pub const HK: &str = "ALHK0000000000000001";
pub const ACTIVE: &str = "2160000000000001";
pub const FROZEN: &str = "2160000000000002";

/// A data folder that outlives the processes that use it.
pub struct Folder(TempDir);

/// A process on a folder.
pub struct Mintkeep {
    child: Child,
    log: PathBuf,
    pub issuer: SocketAddr,
    pub keeper: SocketAddr,
    pub admin: SocketAddr,
    /// The lines that it printed to be pasted into a shell, and what else it printed with them.
    pub welcome: String,
}

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// `mintkeep dev` on this folder and free ports.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mintkeep"));
        command.arg("dev").arg("--data").arg(self.data()).stdin(Stdio::null());
        for listener in ["--issuer", "--keeper", "--admin"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command
    }

    /// Starts it and waits until it has told its addresses, which it does when it serves.
    pub fn start(&self) -> Mintkeep {
        let log = self.0.path().join("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = self.command().stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut address = |name: &str| {
            let line = lines.find(|line| line.trim_start().starts_with(name));
            let line = line.unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap()));
            line.rsplit("http://").next().unwrap().trim().parse().unwrap()
        };
        let (issuer, keeper, admin) = (address("issuer"), address("keeper"), address("admin"));
        // The rest of the welcome is read, so that its writer is never stopped by a full pipe.
        let welcome: Vec<String> = lines.take_while(|line| line != "Ctrl-C stops it.").collect();
        Mintkeep { child, log, issuer, keeper, admin, welcome: welcome.join("\n") }
    }

    /// Starts a process that is expected to end by itself.
    pub fn start_in_vain(&self) -> Output {
        self.command().output().unwrap()
    }

    /// The private key of a signed dialect's apps.
    pub fn key(&self, dialect: &str) -> RsaPrivateKey {
        let file = self.data().join("sandbox").join(dialect).join("app_private.pem");
        RsaPrivateKey::from_pem(&fs::read_to_string(file).unwrap()).unwrap()
    }

    pub fn secret(&self, file: impl AsRef<Path>) -> String {
        fs::read_to_string(self.data().join(file)).unwrap().trim().to_owned()
    }
}

impl Mintkeep {
    pub fn client(&self) -> Client {
        Client::connect(self.issuer).unwrap()
    }

    pub fn ask(&self, request: &str) -> Answer {
        self.client().send(request).unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.signal("KILL");
        let _status = self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn tell_to_stop(&self) {
        self.signal("TERM");
    }

    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// SIGTERM, and waits for the end, which must be a good one.
    pub fn stop(self) {
        self.tell_to_stop();
        let log = self.log();
        let status = self.wait();
        assert!(status.success(), "{status}: {log}");
    }

    /// All that it and its predecessors on the folder have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Mintkeep {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn basic(id: &str, secret: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{id}:{secret}")))
}

pub fn introspection(token: &str) -> String {
    let who = basic("gateway-sandbox", "sandbox-gateway-secret");
    post("/oauth2/introspect", &who, &format!("token={token}"))
}

/// Whether a token introspects as active.
pub fn is_active(client: &mut Client, token: &str) -> bool {
    let answer = client.send(&introspection(token)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["active"] == true
}

pub fn wechat_token((id, secret): (&str, &str)) -> String {
    get(&format!("/cgi-bin/token?grant_type=client_credential&appid={id}&secret={secret}"))
}

pub fn stable_token((id, secret): (&str, &str)) -> String {
    let body = json!({"grant_type": "client_credential", "appid": id, "secret": secret});
    post("/cgi-bin/stable_token", "", &body.to_string())
}

pub fn dingtalk_token((id, secret): (&str, &str)) -> String {
    let body = json!({"appKey": id, "appSecret": secret}).to_string();
    post("/v1.0/oauth2/accessToken", "content-type: application/json\r\n", &body)
}

/// A wallet asks for a code.
pub fn code(app: &str, customer: &str) -> String {
    let who = basic("wallet-sandbox", "sandbox-wallet-secret");
    let body = json!({"client_id": app, "customer_id": customer, "scopes": ["auth_user"]});
    post("/wallet/v1/codes", &who, &body.to_string())
}

pub fn apply_path(id: &str) -> &'static str {
    if id == HK { "/api/open/v1/alipayhk/merchant/applyToken" } else { "/v1/authorizations/applyToken" }
}

/// A request signed now.
pub fn signed(key: &RsaPrivateKey, id: &str, body: &str) -> String {
    let path = apply_path(id);
    let time = SystemClock.now().unix_ms();
    let signature = key.sign(format!("POST {path}\n{id}.{time}.{body}").as_bytes()).unwrap();
    let headers = format!(
        "client-id: {id}\r\nrequest-time: {time}\r\ncontent-type: application/json; charset=UTF-8\r\n\
         signature: algorithm=RSA256, keyVersion=1, signature={}\r\n",
        STANDARD.encode(signature)
    );
    post(path, &headers, body)
}

pub fn exchange_body(code: &str) -> String {
    json!({"grantType": "AUTHORIZATION_CODE", "authCode": code}).to_string()
}

/// Makes a WeChat or DingTalk app over the admin API; gives its secret.
pub fn make_app(mintkeep: &Mintkeep, folder: &Folder, dialect: &str, id: &str) -> String {
    let bearer = format!("authorization: Bearer {}\r\n", folder.secret("admin.token"));
    let headers = format!("{bearer}content-type: application/json\r\n");
    let body: Value = json!({"id": id, "dialect": dialect, "name": "A shop"});
    let mut client = Client::connect(mintkeep.admin).unwrap();
    client.send(&post("/admin/v1/apps", &headers, &body.to_string())).unwrap().text("/secret")
}
