//! Two issuers, one database, one moment.

use std::sync::Barrier;
use std::thread::scope;

use mintkeep_issuer::consent::assertion;
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::port::entropy::{SystemEntropy, draw};
use mintkeep_protocol::time::Clock as _;
use mintkeep_web::clock::SystemClock;
use serde_json::json;

use crate::calls::{Shop, ask, new_code, state};
use crate::client::{Client, get};
use crate::history::{History, Outcome};
use crate::site::{Replica, migrate, new_database};

/// Sends many different requests for one thing at once, half of them to each replica. Gives the winners' tokens.
fn at_once(
    replicas: &[Replica; 2],
    history: &History,
    (thing, count): (&str, usize),
    request: impl Fn(usize) -> String + Sync,
) -> Vec<String> {
    let begin = Barrier::new(count);
    let issuers = [replicas[0].issuer, replicas[1].issuer];
    let send = &|n: usize| {
        let request = request(n);
        let mut client = Client::connect(issuers[n % 2]).unwrap();
        begin.wait();
        history.call(thing, n, || client.send(&request))
    };
    let outcomes: Vec<Outcome> = scope(|scope| {
        let senders: Vec<_> = (0..count).map(|n| scope.spawn(move || send(n))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let unclear = outcomes.iter().find(|outcome| matches!(outcome, Outcome::Unknown | Outcome::Wrong(_)));
    assert_eq!(unclear, None, "nothing was broken");
    outcomes
        .into_iter()
        .filter_map(|outcome| if let Outcome::Spent(tokens) = outcome { Some(tokens) } else { None })
        .collect()
}

#[test]
fn of_200_exchanges_of_one_code_over_two_replicas_one_succeeds_and_so_does_one_refresh_of_what_it_bought() {
    let url = new_database();
    migrate(&url);
    let replicas: [Replica; 2] = Replica::start_all(&url);
    let shop = Shop::open(&replicas[0]);
    let history = History::default();
    for _round in 0..3 {
        let code = new_code(&replicas[1]);
        let winners = at_once(&replicas, &history, (&code, 200), |n| shop.exchange(&code, n));
        let [refresh] = <[String; 1]>::try_from(winners).unwrap();
        let winners = at_once(&replicas, &history, (&refresh, 50), |n| shop.refresh(&refresh, n));
        let [next] = <[String; 1]>::try_from(winners).unwrap();
        for replica in &replicas {
            assert_eq!(
                [state(replica, &code), state(replica, &refresh), state(replica, &next)],
                ["used", "used", "good"]
            );
        }
    }
    assert_eq!(history.check(), 6);
    replicas.into_iter().for_each(Replica::stop);
}

#[test]
fn what_one_replica_hands_out_is_good_at_the_other_at_once() {
    let url = new_database();
    migrate(&url);
    let replicas: [Replica; 2] = Replica::start_all(&url);
    let shop = Shop::open(&replicas[0]);
    let secret = crate::calls::wechat_app(&replicas[0], "wx1");
    // Each answer is shown to the replica that remembers the state before it.
    for turn in 0..10 {
        let (here, there) = (&replicas[turn % 2], &replicas[(turn + 1) % 2]);
        let token = ask(here, &crate::calls::wechat_token("wx1", &secret)).text("/access_token");
        assert_eq!(crate::calls::wechat_errcode(there, &token), 0, "turn {turn}");
    }
    let code = new_code(&replicas[0]);
    let mut refresh = ask(&replicas[0], &shop.exchange(&code, 0)).text("/refreshToken");
    for turn in 1..10 {
        let answer = ask(&replicas[turn % 2], &shop.refresh(&refresh, turn));
        assert_eq!(answer.text("/result/resultCode"), "SUCCESS", "turn {turn}");
        refresh = answer.text("/refreshToken");
    }
    replicas.into_iter().for_each(Replica::stop);
}

#[test]
fn of_many_sign_ins_by_one_assertion_over_two_replicas_one_succeeds_and_none_after_a_restart() {
    let url = new_database();
    migrate(&url);
    let replicas: [Replica; 2] = Replica::start_all(&url);
    let key = RsaPrivateKey::generate().unwrap();
    let wallet = json!({ "id": "wallet", "role": "wallet", "assertion_key_pem": key.public().to_pem() });
    replicas[0].admin_post("/admin/v1/services", &wallet);
    let nonce = format!("{:032x}", u128::from_be_bytes(draw(&SystemEntropy)));
    let ends_s = SystemClock.now().unix_s() + 110;
    let whom = ("wallet", "2160000000000001");
    let token = assertion::sign(&key, whom, "https://tokens.example.com", (ends_s, &nonce)).unwrap();
    let request = get(&format!("/authorize/granted?assertion={token}"));

    let begin = Barrier::new(40);
    let issuers = [replicas[0].issuer, replicas[1].issuer];
    let sign_in = &|n: usize| {
        let mut client = Client::connect(issuers[n % 2]).unwrap();
        begin.wait();
        client.send(&request).unwrap().status
    };
    let mut statuses: Vec<u16> = scope(|scope| {
        let browsers: Vec<_> = (0..40).map(|n| scope.spawn(move || sign_in(n))).collect();
        browsers.into_iter().map(|browser| browser.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (303, [401; 39].as_slice()));

    replicas.into_iter().for_each(Replica::stop);
    let started = Replica::start(&url);
    assert_eq!(Client::connect(started.issuer).unwrap().send(&request).unwrap().status, 401);
    started.stop();
}
