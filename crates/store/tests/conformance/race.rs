//! Many at once for one record: every store must let exactly one win.

use mintkeep_protocol::port::issuer_store::{Commit, Stored};
use mintkeep_protocol::token::TokenKind;
use tokio::task::JoinSet;

use crate::sample::{Store, active, app, at, audit, audited, grant, nonce, number, pool};

/// How many race for one record.
const RACERS: i64 = 200;

/// Runs all racers at once; the index of the one winner.
async fn winner(mut racers: JoinSet<(i64, Stored<Commit>)>) -> i64 {
    let mut winners = Vec::new();
    while let Some(raced) = racers.join_next().await {
        let (racer, commit) = raced.unwrap();
        if commit.unwrap() == Commit::Done {
            winners.push(racer);
        }
    }
    assert_eq!(winners.len(), 1, "one winner");
    winners[0]
}

pub async fn of_many_who_commit_one_revision_of_a_grant_one_is_done(store: Store) {
    let mut code = grant(5, 1, "c");
    store.commit_grant(code.clone(), audit("code")).await.unwrap();
    code.revision = 1;
    code.stage = active(None, None);
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let (store, mut mine) = (store.clone(), code.clone());
        mine.code_expires_at = at(racer);
        racers.spawn(async move { (racer, store.commit_grant(mine, audit(&racer.to_string())).await) });
    }
    let winner = winner(racers).await;
    let stored = store.grant(number(5)).await.unwrap().unwrap();
    assert_eq!((stored.code_expires_at, stored.revision), (at(winner), 2));
    assert_eq!(audited(&store).await, ["code".to_owned(), winner.to_string()], "only the winner is audited");
}

pub async fn of_many_who_commit_one_revision_of_a_pool_one_is_done(store: Store) {
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let (store, mut mine) = (store.clone(), pool(1, TokenKind::WeChatToken));
        mine.quota_day = racer;
        racers.spawn(async move { (racer, store.commit_access(mine, None).await) });
    }
    let winner = winner(racers).await;
    let stored = store.pool(pool(1, TokenKind::WeChatToken).key).await.unwrap().unwrap();
    assert_eq!((stored.quota_day, stored.revision), (winner, 1));
}

pub async fn of_many_who_make_one_app_one_is_done(store: Store) {
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let store = store.clone();
        racers.spawn(async move { (racer, store.put_app(app(racer, "wx1"), audit("made")).await) });
    }
    let winner = winner(racers).await;
    assert_eq!(store.app(&app(0, "wx1").id).await.unwrap().unwrap().no, number(winner));
    assert_eq!(audited(&store).await, ["made"]);
}

pub async fn of_many_who_spend_one_nonce_one_is_done(store: Store) {
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let store = store.clone();
        racers.spawn(async move { (racer, store.spend_nonce(nonce(1)).await) });
    }
    winner(racers).await;
}

pub async fn whoever_reads_after_an_answer_sees_what_was_answered(store: Store) {
    let mut racers = JoinSet::new();
    for id in 0..32 {
        let store = store.clone();
        racers.spawn(async move {
            let mut mine = grant(id, 1, "c");
            for revision in 0..20 {
                mine.code_expires_at = at(revision);
                let (commit, _) =
                    tokio::join!(store.commit_grant(mine.clone(), audit("g")), store.grant(mine.id));
                assert_eq!(commit.unwrap(), Commit::Done);
                mine.revision += 1;
                assert!(*store.grant(mine.id).await.unwrap().unwrap() == mine);
            }
        });
    }
    while let Some(raced) = racers.join_next().await {
        raced.unwrap();
    }
}
