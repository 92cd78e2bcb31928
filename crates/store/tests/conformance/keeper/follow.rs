//! What a replica learns of the others' changes, from every store.

use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::keep::slot::{HolderId, LeaseFence, Slot};
use mintkeep_protocol::port::keeper_store::{Change, ChangeMark};

use super::{Both, consumer, credential, ended, intent, key};
use crate::sample::{at, audit};

/// Each change in a word: which record, and its revision.
fn word(change: &Change) -> (String, i64) {
    match change {
        Change::Slot(slot) => (slot.key.place(), slot.revision),
        Change::Credential(credential) => (credential.name.to_string(), credential.revision),
        Change::Consumer(consumer) => (consumer.name.to_string(), consumer.revision),
    }
}

/// Follows in pages of `most` until nothing is new.
async fn follow(store: &Both, mut mark: ChangeMark, most: u32) -> (ChangeMark, Vec<(String, i64)>) {
    let mut seen = Vec::new();
    loop {
        let (next, changes) = store.changes_since(mark, most).await.unwrap();
        assert!(changes.len() <= usize::try_from(most).unwrap() && next >= mark);
        if changes.is_empty() {
            return (next, seen);
        }
        seen.extend(changes.iter().map(word));
        mark = next;
    }
}

pub async fn each_change_is_seen_in_its_order_as_the_record_is_now(store: Both) {
    let start = store.change_mark().await.unwrap();
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    store.put_consumer(consumer(1, "shop"), audit("added")).await.unwrap();
    let mut slot = Slot::empty(key(1, Some("c")), at(0)).leased(HolderId(1), at(0));
    slot.intent = Some(intent(1, None));
    store.take_lease(&slot).await.unwrap();
    store.take_lease(&Slot::empty(key(1, None), at(0))).await.unwrap();
    store.keep_answer(&slot.key, LeaseFence(1), Sealed::from_bytes(vec![1])).await.unwrap();

    let words = [("mine", 1), ("shop", 1), ("slot/1/", 1), ("slot/1/c", 2)];
    let expected: Vec<_> = words.map(|(name, revision)| (name.to_owned(), revision)).into();
    for most in [1, 2, 3, 100] {
        let (mark, seen) = follow(&store, start, most).await;
        assert_eq!(seen, expected, "in pages of {most}");
        assert!(store.changes_since(mark, 9).await.unwrap().1.is_empty(), "nothing is new");
    }

    let (mark, _) = follow(&store, start, 100).await;
    slot.revision = 2;
    store.commit_kept(&slot, ended(1)).await.unwrap();
    assert_eq!(follow(&store, mark, 9).await.1, [("slot/1/c".to_owned(), 3)]);
}

pub async fn a_lost_change_is_not_seen_and_a_removal_is(store: Both) {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    let slot = Slot::empty(key(1, None), at(0));
    store.take_lease(&slot).await.unwrap();
    let (mark, _) = follow(&store, ChangeMark::default(), 9).await;
    store.take_lease(&slot).await.unwrap();
    store.put_credential(credential(2, "mine"), audit("taken")).await.unwrap();
    assert!(follow(&store, mark, 9).await.1.is_empty());

    let mut removed = credential(1, "mine");
    removed.revision = 1;
    removed.removed_at = Some(at(1));
    store.remove_credential(removed, audit("removed")).await.unwrap();
    let (_, changes) = store.changes_since(mark, 9).await.unwrap();
    assert!(matches!(&changes[..], [Change::Credential(credential)]
            if credential.removed_at == Some(at(1)) && credential.proof.is_none() && credential.revision == 2));
}
