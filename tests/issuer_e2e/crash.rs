//! `kill -9` under load: whatever was acknowledged holds, whatever was spent stays spent.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, scope};

use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::port::entropy::{SystemEntropy, draw};

use super::client::Client;
use super::sandbox::{
    ACTIVE, DINGTALK, Folder, HK, MINI, Mintkeep, WECHAT, code, dingtalk_token, exchange_body, is_active,
    make_app, signed, stable_token, wechat_token,
};

/// How often a process is killed on one folder.
const ROUNDS: usize = 3;
/// Clients that each mint tokens for a WeChat app of their own, one after the other.
const MINTERS: usize = 16;
/// Clients that repeat for DingTalk, and as many for `stable_token`.
const REPEATERS: usize = 8;
/// Clients that exchange codes.
const EXCHANGERS: usize = 32;

/// What a client was told.
enum Told {
    /// A WeChat app's own token; the number is the app's.
    Minted(usize, String),
    /// A token that a repeat gets again.
    Repeated(String),
    /// A code was exchanged by this request for this pair.
    Exchanged { id: &'static str, code: String, pair: [String; 2] },
    /// The answer to the exchange of a code never came.
    Lost { request: String },
}

/// Everything that was told, over all rounds.
#[derive(Default)]
struct Ledger {
    /// The last token of each minter.
    minted: Vec<Option<String>>,
    repeated: Vec<String>,
    exchanged: Vec<(&'static str, String, [String; 2])>,
    lost: Vec<String>,
}

impl Ledger {
    fn note(&mut self, told: Told) {
        match told {
            Told::Minted(minter, token) => self.minted[minter] = Some(token),
            Told::Repeated(token) if self.repeated.contains(&token) => {}
            Told::Repeated(token) => self.repeated.push(token),
            Told::Exchanged { id, code, pair } => self.exchanged.push((id, code, pair)),
            Told::Lost { request } => self.lost.push(request),
        }
    }

    /// Whether there is something of each kind to be lost.
    fn has_each(&self) -> bool {
        self.minted.iter().any(Option::is_some) && !self.repeated.is_empty() && !self.exchanged.is_empty()
    }
}

/// The apps and keys that the load needs.
struct Apps {
    minters: Vec<(String, String)>,
    keys: [(&'static str, RsaPrivateKey); 2],
}

/// Runs `turn` on a connection of its own until the server is gone, which it tells by `None`.
fn client<'scope>(
    scope: &'scope Scope<'scope, '_>,
    server: &Mintkeep,
    told: &Sender<Told>,
    turn: impl Fn(&mut Client, &Sender<Told>) -> Option<()> + Send + 'scope,
) {
    let (issuer, told) = (server.issuer, told.clone());
    scope.spawn(move || {
        let Ok(mut client) = Client::connect(issuer) else { return };
        while turn(&mut client, &told).is_some() {}
    });
}

fn load<'scope>(scope: &'scope Scope<'scope, '_>, server: &Mintkeep, apps: &'scope Apps) -> Receiver<Told> {
    let (told, heard) = channel();
    for minter in 0..MINTERS {
        let (id, secret) = &apps.minters[minter];
        client(scope, server, &told, move |client, told| {
            let answer = client.send(&wechat_token((id, secret))).ok()?;
            told.send(Told::Minted(minter, answer.text("/access_token"))).ok()
        });
    }
    for _ in 0..REPEATERS {
        client(scope, server, &told, |client, told| {
            let token = client.send(&dingtalk_token(DINGTALK)).ok()?.text("/accessToken");
            told.send(Told::Repeated(token)).ok()?;
            let token = client.send(&stable_token(WECHAT)).ok()?.text("/access_token");
            told.send(Told::Repeated(token)).ok()
        });
    }
    for exchanger in 0..EXCHANGERS {
        let (id, key) = &apps.keys[exchanger % apps.keys.len()];
        client(scope, server, &told, move |client, told| exchange(client, told, id, key));
    }
    heard
}

fn exchange(client: &mut Client, told: &Sender<Told>, id: &'static str, key: &RsaPrivateKey) -> Option<()> {
    let code = client.send(&code(id, ACTIVE)).ok()?.text("/auth_code");
    let request = signed(key, id, &exchange_body(&code));
    let Ok(answer) = client.send(&request) else {
        told.send(Told::Lost { request }).ok()?;
        return None;
    };
    assert_eq!(answer.text("/result/resultCode"), "SUCCESS", "{answer:?}");
    let pair = [answer.text("/accessToken"), answer.text("/refreshToken")];
    told.send(Told::Exchanged { id, code, pair }).ok()
}

/// The promises, on a server that was just started again.
fn check(server: &Mintkeep, apps: &Apps, ledger: &mut Ledger) {
    let mut client = server.client();
    for request in ledger.lost.drain(..) {
        let answer = client.send(&request).unwrap();
        let code = answer.text("/result/resultCode");
        assert_eq!(code, "SUCCESS", "the identical request finds what it had done, or does it");
    }
    // A minter waits for each answer, so in one round at most one newer token was minted and not told.
    let minted = ledger.minted.iter_mut().filter_map(Option::take);
    for token in minted.chain(ledger.repeated.iter().cloned()) {
        assert!(is_active(&mut client, &token), "an app's acknowledged token is gone");
    }
    for (_, _, pair) in &ledger.exchanged {
        for token in pair {
            assert!(is_active(&mut client, token), "a grant's acknowledged token is gone");
        }
    }
    // Shown again, a code takes its grant along in time, so each is shown in one round only.
    for (id, code, [access, _]) in ledger.exchanged.drain(..) {
        let (_, key) = apps.keys.iter().find(|(known, _)| *known == id).unwrap();
        let answer = client.send(&signed(key, id, &exchange_body(&code))).unwrap();
        let expected = if id == MINI { "USED_CODE" } else { "INVALID_AUTHCODE" };
        assert_eq!(answer.text("/result/resultCode"), expected);
        assert!(!answer.body.contains(access.as_str()));
    }
}

#[test]
fn whatever_was_acknowledged_before_a_kill_9_under_load_holds_after_the_restart() {
    let folder = Folder::new();
    let mut server = folder.start();
    let minters = (0..MINTERS).map(|n| {
        let id = format!("wxcrash{n:02}");
        let secret = make_app(&server, &folder, "wechat", &id);
        (id, secret)
    });
    let minters = minters.collect();
    let apps = Apps { minters, keys: [(MINI, folder.key("miniprogram")), (HK, folder.key("alipayhk"))] };
    let mut ledger = Ledger { minted: vec![None; MINTERS], ..Ledger::default() };
    for round in 1..=ROUNDS {
        let answers = 200 + usize::from(u16::from_be_bytes(draw(&SystemEntropy))) % 800;
        println!("round {round}: killed after {answers} answers or more");
        scope(|scope| {
            let heard = load(scope, &server, &apps);
            for (heard_before, told) in heard.iter().enumerate() {
                ledger.note(told);
                if heard_before >= answers && ledger.has_each() {
                    break;
                }
            }
            server.kill();
            for told in heard {
                ledger.note(told);
            }
        });
        server = folder.start();
        check(&server, &apps, &mut ledger);
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
    server.stop();
}
