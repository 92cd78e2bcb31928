//! Leases and their fences, as every store must keep them.

use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::keep::slot::{HolderId, LeaseFence, Slot};
use mintkeep_protocol::port::keeper_store::{Commit, Ended, Presented};
use tokio::task::JoinSet;

use super::{
    Both, IDLE, account, audited, credential, debit, ended, intent, key, leased, line, stored, told,
};
use crate::sample::{at, audit};

pub async fn of_many_who_take_one_lease_one_gets_it(store: Both) {
    let mut slot = leased(&store).await;
    for round in 2..5 {
        let mut racers = JoinSet::new();
        for racer in 0..50 {
            let (store, mine) = (store.clone(), slot.leased(HolderId(racer), at(0)));
            racers.spawn(async move { (mine.upkeep, store.take_lease(&mine).await.unwrap()) });
        }
        let raced = racers.join_all().await;
        let winners: Vec<_> = raced.iter().filter(|(_, commit)| *commit == Commit::Done).collect();
        assert_eq!(winners.len(), 1, "one winner");
        slot = stored(&store, &slot.key).await;
        assert_eq!((slot.upkeep, slot.fence, slot.revision), (winners[0].0, LeaseFence(round), round));
    }
}

pub async fn no_lease_is_given_for_a_credential_that_is_not_there(store: Both) {
    let slot = Slot::empty(key(1, None), at(0)).leased(HolderId(1), at(0));
    assert_eq!(store.take_lease(&slot).await.unwrap(), Commit::Lost);
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    assert_eq!(store.take_lease(&slot).await.unwrap(), Commit::Done);
}

pub async fn whoever_was_overtaken_commits_nothing(store: Both) {
    let mine = leased(&store).await;
    let theirs = mine.leased(HolderId(2), at(0));
    assert_eq!(store.take_lease(&theirs).await.unwrap(), Commit::Done);

    assert_eq!(store.present(&mine, Some(debit(9))).await.unwrap(), Presented::Lost);
    let refund = Some(account(1));
    assert_eq!(store.commit_kept(&mine, Ended { refund, ..ended(1) }).await.unwrap(), Commit::Lost);
    assert_eq!(store.take_lease(&mine.leased(HolderId(1), at(0))).await.unwrap(), Commit::Lost);
    let found = stored(&store, &mine.key).await;
    assert_eq!(told(&found, found.revision), told(&theirs, 2));
    assert_eq!(store.calls(&account(1)).await.unwrap(), 0, "no call was counted");
    assert!(store.history(&mine.key).await.unwrap().is_empty());
    assert_eq!(audited(&store).await, ["added"]);
}

pub async fn an_intent_and_its_call_are_stored_both_or_neither(store: Both) {
    let mut slot = leased(&store).await;
    slot.intent = Some(intent(1, None));
    let cases = [
        ("no call is allowed", Some(0), Presented::OverQuota, 0),
        ("the only one", Some(1), Presented::Done, 1),
        ("one too many", Some(1), Presented::OverQuota, 1),
        ("of a higher ceiling", Some(3), Presented::Done, 2),
        ("uncounted", None, Presented::Done, 2),
    ];
    for (case, ceiling, presented, calls) in cases {
        assert_eq!(store.present(&slot, ceiling.map(debit)).await.unwrap(), presented, "{case}");
        slot.revision += i64::from(presented == Presented::Done);
        let found = stored(&store, &slot.key).await;
        assert_eq!(found.revision, slot.revision, "{case}");
        assert_eq!(store.calls(&account(1)).await.unwrap(), calls, "{case}");
    }
    let found = stored(&store, &slot.key).await;
    assert_eq!(told(&found, found.revision), told(&slot, 4));
    assert_eq!(store.calls(&account(2)).await.unwrap(), 0, "another day counts by itself");
}

pub async fn many_who_call_at_once_never_exceed_the_ceiling(store: Both) {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..40 {
        let store = store.clone();
        callers.spawn(async move {
            let slot = Slot::empty(key(1, Some(&format!("c{caller}"))), at(0));
            store.take_lease(&slot).await.unwrap();
            store.present(&Slot { revision: 1, ..slot }, Some(debit(10))).await.unwrap()
        });
    }
    let presented = callers.join_all().await;
    assert_eq!(presented.iter().filter(|presented| **presented == Presented::Done).count(), 10);
    assert_eq!(store.calls(&account(1)).await.unwrap(), 10);
}

pub async fn an_answer_is_kept_once_whoever_holds_the_lease_by_now(store: Both) {
    let mut mine = leased(&store).await;
    let sealed = |bytes: &[u8]| Sealed::from_bytes(bytes.to_vec());
    let (ours, others) = (LeaseFence(1), LeaseFence(2));
    let early = store.keep_answer(&mine.key, ours, sealed(b"early")).await.unwrap();
    assert_eq!(early, Commit::Lost, "nothing was presented");

    mine.intent = Some(intent(1, None));
    store.present(&mine, None).await.unwrap();
    mine.revision = 2;
    let theirs = mine.leased(HolderId(2), at(0));
    store.take_lease(&theirs).await.unwrap();

    let wrong = store.keep_answer(&mine.key, others, sealed(b"wrong")).await.unwrap();
    assert_eq!(wrong, Commit::Lost, "of another intent");
    assert_eq!(store.keep_answer(&mine.key, ours, sealed(b"mine")).await.unwrap(), Commit::Done);
    assert_eq!(store.keep_answer(&mine.key, ours, sealed(b"again")).await.unwrap(), Commit::Lost);
    let found = stored(&store, &mine.key).await;
    let with_answer = Slot { intent: Some(intent(1, Some(b"mine"))), ..theirs.clone() };
    assert_eq!(told(&found, found.revision), told(&with_answer, 4));

    let theirs = Slot { revision: 3, upkeep: IDLE, ..theirs };
    let blind = store.commit_kept(&theirs, ended(1)).await.unwrap();
    assert_eq!(blind, Commit::Lost, "who has not seen the answer does not write over it");
    let nowhere = store.keep_answer(&key(7, None), ours, sealed(b"x")).await.unwrap();
    assert_eq!(nowhere, Commit::Lost);
}

pub async fn a_kept_slot_ends_its_lease_and_tells_its_story(store: Both) {
    let mut slot = leased(&store).await;
    store.present(&slot, Some(debit(5))).await.unwrap();
    slot = Slot { revision: 2, upkeep: IDLE, ..slot };
    let refund = Some(account(1));
    assert_eq!(store.commit_kept(&slot, Ended { refund, ..ended(1) }).await.unwrap(), Commit::Done);
    assert_eq!(store.calls(&account(1)).await.unwrap(), 0, "the call is counted back");
    assert_eq!(stored(&store, &slot.key).await.upkeep, IDLE);
    assert_eq!(store.history(&slot.key).await.unwrap(), [line(1)]);

    slot.revision = 3;
    let refund = Some(account(1));
    let quiet = Ended { refund, audit: None, ..ended(2) };
    assert_eq!(store.commit_kept(&slot, quiet).await.unwrap(), Commit::Done);
    assert_eq!(store.calls(&account(1)).await.unwrap(), 0, "nothing is counted below nought");
    assert_eq!(audited(&store).await, ["added", "kept 1"]);
}
