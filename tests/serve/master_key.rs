//! The master key is rotated: what both roles sealed under the old one works under the new one alone.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::port;
use crate::server::{Server, connect, exchange, folder, mintkeep};

const ADMIN: &str = "planted-admin-token-planted-admin-token";
const CUSTOMER: &str = "2160000000000001";
const OWN: [&str; 2] = ["wechat-sandbox", "dingtalk-sandbox"];
const SIGNED: [(&str, &str); 2] =
    [("miniprogram-sandbox", "MINI0000000000000002"), ("alipayhk-sandbox", "ALHK0000000000000002")];

const BOTH: &[&str] = &["issuer", "keeper"];
const OLD: (&str, &str) = ("data/master.key", "");
const OLD_AND_NEW: (&str, &str) = ("new/master.key", "older = [\"file:data/master.key\"]");
const NEW: (&str, &str) = ("new/master.key", "");

/// The addresses that the store was made at: its keeper's credentials name its issuer's.
struct Site {
    issuer: SocketAddr,
    keeper: SocketAddr,
    admin: SocketAddr,
}

fn configuration(site: &Site, roles: &[&str], (current, older): (&str, &str)) -> String {
    let section = |role: &&str| match *role {
        "issuer" => {
            format!("[issuer]\nlisten = \"{}\"\npublic_url = \"https://a.example.com\"\n", site.issuer)
        }
        _ => format!("[keeper]\nlisten = \"{}\"\n", site.keeper),
    };
    format!(
        "{}[admin]\nlisten = \"{}\"\ntoken = \"file:admin.token\"\n[store]\npath = \"data\"\n\
         [master_key]\ncurrent = \"file:{current}\"\n{older}\n[drain]\nnotice_s = 0\n",
        roles.iter().map(section).collect::<String>(),
        site.admin,
    )
}

/// Asks for JSON by a bearer token.
fn ask(address: SocketAddr, (method, path): (&str, &str), bearer: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let bearer = bearer.trim_end();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {bearer}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(connect(address), &request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
}

/// A folder whose store the sandbox has made, under a master key of its own, and the tokens of its keeper in all
/// four dialects.
fn seeded() -> (Arc<TempDir>, Site, Vec<String>) {
    let folder = Arc::new(folder(""));
    let data = folder.path().join("data");
    // Servers on copies of the folder come back to them.
    let [issuer, keeper, admin] = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())));
    let mut dev = mintkeep(&["dev", "--issuer", &issuer.to_string(), "--keeper", &keeper.to_string()])
        .args(["--admin", &admin.to_string(), "--data"])
        .arg(&data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "Ctrl-C stops it."), "it serves");
    let site = Site { issuer, keeper, admin };
    let tokens = tokens(&site, folder.path(), &fs::read_to_string(data.join("admin.token")).unwrap());
    let stopped = std::process::Command::new("kill").arg(dev.id().to_string()).status().unwrap();
    assert!(stopped.success() && dev.wait().unwrap().success());
    let made = mintkeep(&["key", "generate", "--master", "--out"]).arg(folder.path().join("new")).output();
    assert!(made.unwrap().status.success());
    (folder, site, tokens)
}

/// The token of each of the keeper's credentials; those of customers are bought by a code first, in a signed request
/// whose answer is signed by the platform.
fn tokens(site: &Site, folder: &Path, admin: &str) -> Vec<String> {
    let key = fs::read_to_string(folder.join("data/sandbox/consumer.key")).unwrap();
    let told = |(status, answer): (u16, Value)| {
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    };
    let own =
        OWN.map(|name| told(ask(site.keeper, ("GET", &format!("/v1/tokens/{name}")), &key, &Value::Null)));
    let bought = SIGNED.map(|(name, app)| {
        let asked = json!({ "client_id": app, "customer_id": CUSTOMER, "scopes": ["auth_base"] });
        let (_, code) = ask(site.admin, ("POST", "/admin/v1/codes"), admin, &asked);
        let code = json!({ "auth_code": code["auth_code"] });
        told(ask(site.keeper, ("POST", &format!("/v1/exchanges/{name}")), &key, &code))
    });
    [own, bought].concat()
}

fn copied(folder: &TempDir) -> Arc<TempDir> {
    let copy = Arc::new(tempfile::tempdir().unwrap());
    let source = format!("{}/.", folder.path().display());
    let done = std::process::Command::new("cp").args(["-a", &source]).arg(copy.path()).status().unwrap();
    assert!(done.success());
    copy
}

fn serve(folder: &Arc<TempDir>, text: &str) -> Server {
    fs::write(folder.path().join("mintkeep.toml"), text).unwrap();
    Server::start_in(folder)
}

fn ready(server: &mut Server) {
    server.line(|line| (line["message"] == "ready").then_some(()));
}

fn stop(server: Server) {
    server.signal("TERM");
    let (status, log) = server.end();
    assert!(status.success(), "{log:#?}");
}

/// Runs a verb of `master-key`; gives its exit code and all it said.
fn verb(folder: &TempDir, site: &Site, verb: &str) -> (Option<i32>, String) {
    let url = format!("http://{}", site.admin);
    let Output { status, stdout, stderr } = mintkeep(&["master-key", verb, "--admin-url", &url])
        .arg("--admin-token-file")
        .arg(folder.path().join("admin.token"))
        .output()
        .unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// Everything works in a process that has the new key alone.
fn assert_works(folder: &Arc<TempDir>, site: &Site, held: &[String]) {
    let mut server = serve(folder, &configuration(site, BOTH, NEW));
    ready(&mut server);
    for token in held {
        let asked = json!({ "token": token });
        let (_, told) = ask(site.admin, ("POST", "/admin/v1/inspect"), ADMIN, &asked);
        assert_eq!(told["state"], "good", "{told}");
    }
    let key = fs::read_to_string(folder.path().join("data/sandbox/consumer.key")).unwrap();
    let read = |path: &str| ask(site.keeper, ("GET", &format!("/v1/tokens/{path}")), &key, &Value::Null);
    let customers = SIGNED.map(|(name, _)| format!("{name}/{CUSTOMER}"));
    for (path, held) in OWN.iter().copied().chain(customers.iter().map(String::as_str)).zip(held) {
        assert_eq!(read(path).1["access_token"], *held, "{path}: held over the rotation");
    }
    for path in OWN {
        let renew = format!("/admin/v1/keeper/tokens/{path}/refresh");
        let (status, told) = ask(site.admin, ("POST", &renew), ADMIN, &Value::Null);
        assert_eq!(status, 200, "the credential's own secret: {told}");
    }
    assert_eq!(tokens(site, folder.path(), ADMIN).len(), 4, "requests and answers are signed");
    stop(server);
}

#[test]
fn whatever_role_reseals_everything_works_under_the_new_key_alone() {
    let (seed, site, held) = seeded();
    for roles in [BOTH, &["issuer"], &["keeper"]] {
        let folder = copied(&seed);
        let mut server = serve(&folder, &configuration(&site, roles, OLD));
        ready(&mut server);
        let put =
            |keys| fs::write(folder.path().join("mintkeep.toml"), configuration(&site, roles, keys)).unwrap();
        put(NEW);
        let (code, told) = verb(&folder, &site, "rotate");
        assert!(code == Some(1) && told.contains("write it into `older`"), "{roles:?}: {told}");
        put(OLD_AND_NEW);
        let (code, told) = verb(&folder, &site, "rotate");
        assert!(code == Some(0) && told.contains("`older` can be emptied"), "{roles:?}: {told}");
        let (code, told) = verb(&folder, &site, "show");
        assert!(code == Some(0) && told.contains("`older` can be emptied"), "{roles:?}: {told}");
        let metrics = crate::server::get(site.admin, "/metrics");
        assert!(metrics.contains("\nmintkeep_master_key_left 0\n"), "{metrics}");
        stop(server);
        assert_works(&folder, &site, &held);
    }
}

#[test]
fn without_resealing_the_new_key_alone_starts_no_role_and_the_old_one_is_named() {
    let (folder, site, _) = seeded();
    let mut server = serve(&folder, &configuration(&site, BOTH, OLD_AND_NEW));
    ready(&mut server);
    let (code, told) = verb(&folder, &site, "show");
    assert!(code == Some(0) && told.contains("keep it, and run `mintkeep master-key rotate`"), "{told}");
    let (_, answer) = ask(site.admin, ("GET", "/admin/v1/master-key"), ADMIN, &Value::Null);
    let old = answer["older"][0].as_str().unwrap();
    stop(server);
    for roles in [BOTH, &["issuer"], &["keeper"]] {
        let text = configuration(&site, roles, NEW);
        fs::write(folder.path().join("mintkeep.toml"), text).unwrap();
        let file = folder.path().join("mintkeep.toml");
        let refused = mintkeep(&["serve", "--config"]).arg(file).output().unwrap();
        let told = String::from_utf8(refused.stderr).unwrap();
        let says = |part: &str| told.contains(part);
        assert!(!refused.status.success() && says(old) && says("write it into `older`"), "{roles:?}: {told}");
    }
}
