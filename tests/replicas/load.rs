//! Callers who never rest: they ask any of several replicas, and when the answer is "later" or does not come,
//! they send the identical request again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{panicking, park_timeout, scope};
use std::time::Duration;

use crate::calls::{Shop, ask, code, state, wechat_app, wechat_errcode, wechat_token};
use crate::client::{Answer, Client};
use crate::history::{History, Outcome};
use crate::site::Replica;

/// Callers that each trade codes and refresh tokens.
const TRADERS: usize = 8;
/// Callers that each mint tokens of a WeChat app of their own.
const MINTERS: usize = 4;
/// How often what a code bought is refreshed.
const REFRESHES: usize = 2;
/// How long a caller rests after "later". A balancer's clients do so too.
const REST: Duration = Duration::from_millis(20);
/// How often a caller comes back before it gives up: far longer than any fault here lasts.
const TRIES_MAX: usize = 3_000;

/// Where the replicas are: issuers and admin listeners. A place may change hands.
pub struct Doors(pub Mutex<Vec<(SocketAddr, SocketAddr)>>);

impl Doors {
    /// Where these are.
    pub fn addresses(replicas: &[&Replica]) -> Vec<(SocketAddr, SocketAddr)> {
        replicas.iter().map(|replica| (replica.issuer, replica.admin)).collect()
    }

    fn pick(&self, turn: usize) -> (SocketAddr, SocketAddr) {
        let doors = self.0.lock().unwrap();
        doors[turn % doors.len()]
    }
}

/// What the callers were told.
pub struct Load {
    shop: Shop,
    minters: Vec<(String, String)>,
    pub doors: Doors,
    pub history: History,
    /// Good answers so far.
    pub acknowledged: AtomicUsize,
    /// Answers "later", and none at all, so far.
    pub put_off: AtomicUsize,
    /// The last of those that was an answer.
    pub last_put_off: Mutex<Option<String>>,
    is_over: AtomicBool,
    is_given_up: AtomicBool,
    turn: AtomicUsize,
    /// Each spent code, with the access and the refresh token that were got for it last.
    traded: Mutex<Vec<(String, String, String)>>,
    /// Each minter's last token.
    minted: Mutex<HashMap<usize, String>>,
    wrong: Mutex<Vec<String>>,
}

impl Load {
    pub fn new(replicas: &[Replica]) -> Self {
        let minters = (0..MINTERS).map(|n| format!("wxload{n}"));
        let minters = minters.map(|id| (id.clone(), wechat_app(&replicas[0], &id))).collect();
        Self {
            shop: Shop::open(&replicas[0]),
            minters,
            doors: Doors(Mutex::new(Doors::addresses(&replicas.iter().collect::<Vec<_>>()))),
            history: History::default(),
            acknowledged: AtomicUsize::new(0),
            put_off: AtomicUsize::new(0),
            last_put_off: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            traded: Mutex::default(),
            minted: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// Has all callers call while `story` happens. After it, what is under way comes to its end and nothing new
    /// begins; if it fails, they drop everything, or else its failure would wait for them.
    pub fn during(&self, story: impl FnOnce()) {
        scope(|scope| {
            let _end = End(self);
            for _ in 0..TRADERS {
                scope.spawn(|| {
                    while !self.is_over() {
                        self.trade();
                    }
                });
            }
            for minter in 0..MINTERS {
                scope.spawn(move || {
                    while !self.is_over() {
                        self.mint(minter);
                    }
                });
            }
            story();
        });
    }

    /// Waits for so many more good answers.
    pub fn await_acknowledged(&self, more: usize) {
        self.await_more(&self.acknowledged, more);
    }

    /// Waits for so many more answers that are none.
    pub fn await_put_off(&self, more: usize) {
        self.await_more(&self.put_off, more);
    }

    fn await_more(&self, count: &AtomicUsize, more: usize) {
        let wanted = count.load(Ordering::SeqCst) + more;
        for _ in 0..TRIES_MAX {
            if count.load(Ordering::SeqCst) >= wanted {
                return;
            }
            self.check_nothing_wrong();
            park_timeout(REST);
        }
        panic!("the load has come to a standstill");
    }

    /// Fails if anything was answered that is not true.
    fn check_nothing_wrong(&self) {
        let wrong = self.wrong.lock().unwrap().clone();
        assert!(wrong.is_empty(), "{} wrong answers: {:#?}", wrong.len(), wrong.first());
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::SeqCst)
    }

    /// A code, what it buys, and the refreshes of that.
    fn trade(&self) {
        let Some(code) = self.insist(code_of) else { return };
        let Some((access, mut refresh)) = self.spend(&code, &self.shop.exchange(&code, 0)) else { return };
        let mut last = access;
        for _ in 0..REFRESHES {
            let Some((access, next)) = self.spend(&refresh, &self.shop.refresh(&refresh, 0)) else { return };
            (last, refresh) = (access, next);
        }
        self.traded.lock().unwrap().push((code, last, refresh));
    }

    /// Sends one request until it is known what became of it.
    fn spend(&self, thing: &str, request: &str) -> Option<(String, String)> {
        for _ in 0..TRIES_MAX {
            if self.is_given_up() {
                return None;
            }
            let (issuer, _) = self.pick();
            let mut pair = None;
            let outcome = self.history.call(thing, 0, || {
                let answer = Client::connect(issuer)?.send(request)?;
                self.note_answer(&answer);
                pair = (answer.status == 200)
                    .then(|| answer.json()["accessToken"].as_str().map(ToOwned::to_owned))
                    .flatten();
                Ok(answer)
            });
            match outcome {
                Outcome::Spent(refresh) => {
                    self.acknowledged.fetch_add(1, Ordering::SeqCst);
                    return Some((pair.unwrap(), refresh));
                }
                Outcome::Unknown => self.rest(),
                Outcome::Used => {
                    return self.note_wrong(format!("told to its only owner that it was used: {thing}"));
                }
                Outcome::Wrong(body) => return self.note_wrong(body),
            }
        }
        self.note_wrong("came back in vain".to_owned())
    }

    fn mint(&self, place: usize) {
        let (id, secret) = &self.minters[place];
        let minted = self.insist(|issuer, _| {
            let answer = Client::connect(issuer)?.send(&wechat_token(id, secret))?;
            Ok(match answer.json()["errcode"].as_i64() {
                None => Told::This(answer.text("/access_token")),
                Some(-1) => Told::Later(answer),
                Some(_) => Told::Else(answer),
            })
        });
        if let Some(token) = minted {
            self.minted.lock().unwrap().insert(place, token);
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Asks until there is an answer.
    fn insist(&self, ask: impl Fn(SocketAddr, SocketAddr) -> std::io::Result<Told>) -> Option<String> {
        for _ in 0..TRIES_MAX {
            if self.is_given_up() {
                return None;
            }
            let (issuer, admin) = self.pick();
            match ask(issuer, admin) {
                Ok(Told::This(text)) => return Some(text),
                Ok(Told::Later(answer)) => {
                    self.note_answer(&answer);
                    self.rest();
                }
                Err(_) => self.rest(),
                Ok(Told::Else(answer)) => return self.note_wrong(format!("{answer:?}")),
            }
        }
        self.note_wrong("asked in vain".to_owned())
    }

    fn pick(&self) -> (SocketAddr, SocketAddr) {
        self.doors.pick(self.turn.fetch_add(1, Ordering::SeqCst))
    }

    fn rest(&self) {
        self.put_off.fetch_add(1, Ordering::SeqCst);
        park_timeout(REST);
    }

    fn note_answer(&self, answer: &Answer) {
        if answer.status >= 500 || answer.body.contains("\"U\"") || answer.body.contains(":-1") {
            *self.last_put_off.lock().unwrap() = Some(format!("{answer:?}"));
        }
    }

    fn note_wrong<T>(&self, what: String) -> Option<T> {
        self.wrong.lock().unwrap().push(what);
        None
    }

    /// Fails unless everything that was acknowledged holds at each of `replicas`, nothing was ever called bad
    /// that was good, and everything that is spent once was. Call it once the callers have ended.
    pub fn check(&self, replicas: &[Replica]) {
        self.check_nothing_wrong();
        let (traded, minted) = (self.traded.lock().unwrap(), self.minted.lock().unwrap());
        println!(
            "{} things were spent, {} answers were put off",
            self.history.check(),
            self.put_off.load(Ordering::SeqCst)
        );
        assert!(traded.len() > TRADERS && minted.len() == MINTERS, "{} {}", traded.len(), minted.len());
        for (place, (code, access, refresh)) in traded.iter().enumerate() {
            let replica = &replicas[place % replicas.len()];
            let states = [access, refresh].map(|token| state(replica, token));
            assert_eq!(states, ["good", "good"], "an acknowledged grant");
            let again = Outcome::of(Ok(ask(replica, &self.shop.exchange(code, 1))));
            assert_eq!(again, Outcome::Used, "a spent code");
        }
        for token in minted.values() {
            for replica in replicas {
                assert_eq!(wechat_errcode(replica, token), 0, "an acknowledged token of an app");
            }
        }
    }
}

/// Ends the load when it goes, however that comes about.
struct End<'a>(&'a Load);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_given_up.store(panicking(), Ordering::SeqCst);
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

/// What an answer says.
enum Told {
    /// What was asked for.
    This(String),
    /// To come back.
    Later(Answer),
    /// Something that is not true.
    Else(Answer),
}

fn code_of(_issuer: SocketAddr, admin: SocketAddr) -> std::io::Result<Told> {
    let answer = Client::connect(admin)?.send(&code())?;
    Ok(match answer.status {
        201 => Told::This(answer.text("/auth_code")),
        500.. => Told::Later(answer),
        _ => Told::Else(answer),
    })
}
