//! Credentials and consumers, as every store must keep them.

use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::slot::{HolderId, Slot};
use mintkeep_protocol::port::keeper_store::Commit;

use super::{Both, audited, consumer, credential, ended, exchange, key, told};
use crate::sample::{at, audit, number};

async fn names(store: &Both, after: Option<RecordId>, most: u32) -> Vec<String> {
    let listed = store.credentials(after, most).await.unwrap();
    listed.iter().map(|credential| credential.name.to_string()).collect()
}

pub async fn credentials_come_back_as_they_were_put_in_pages_by_number(store: Both) {
    for (no, name) in [(3, "a"), (1, "c"), (2, "b")] {
        assert_eq!(store.put_credential(credential(no, name), audit(name)).await.unwrap(), Commit::Done);
    }
    let listed = store.credentials(None, 1).await.unwrap();
    assert_eq!(told(&listed[0], listed[0].revision), told(&credential(1, "c"), 1));
    assert_eq!(names(&store, None, 2).await, ["c", "b"]);
    assert_eq!(names(&store, Some(number(2)), 9).await, ["a"]);
    assert_eq!(audited(&store).await, ["a", "c", "b"]);
}

pub async fn a_credential_is_changed_only_over_the_revision_that_is_stored(store: Both) {
    let cases = [
        ("ahead-of-nothing", 1, Commit::Lost),
        ("new", 0, Commit::Done),
        ("new-again", 0, Commit::Lost),
        ("ahead", 2, Commit::Lost),
        ("stored", 1, Commit::Done),
        ("behind", 1, Commit::Lost),
    ];
    for (case, revision, commit) in cases {
        let mut changed = credential(1, case);
        changed.revision = revision;
        assert_eq!(store.put_credential(changed, audit(case)).await.unwrap(), commit, "{case}");
    }
    assert_eq!(names(&store, None, 9).await, ["stored"]);
    assert_eq!(audited(&store).await, ["new", "stored"]);
}

pub async fn a_credentials_name_is_free_again_once_it_is_removed(store: Both) {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    store.put_credential(credential(2, "other"), audit("added")).await.unwrap();
    assert_eq!(store.put_credential(credential(3, "mine"), audit("taken")).await.unwrap(), Commit::Lost);
    let mut renamed = credential(2, "mine");
    renamed.revision = 1;
    assert_eq!(store.put_credential(renamed, audit("taken")).await.unwrap(), Commit::Lost);

    let mut removed = credential(1, "mine");
    removed.removed_at = Some(at(9));
    assert_eq!(store.remove_credential(removed.clone(), audit("behind")).await.unwrap(), Commit::Lost);
    removed.revision = 1;
    assert_eq!(store.remove_credential(removed, audit("removed")).await.unwrap(), Commit::Done);
    assert_eq!(names(&store, None, 9).await, ["other"]);
    assert_eq!(store.put_credential(credential(3, "mine"), audit("anew")).await.unwrap(), Commit::Done);
    assert_eq!(names(&store, None, 9).await, ["other", "mine"]);
    assert_eq!(audited(&store).await, ["added", "added", "removed", "anew"]);
}

pub async fn a_removed_credential_takes_its_own_slots_story_and_exchanges_along(store: Both) {
    for (no, name) in [(1, "mine"), (2, "other")] {
        store.put_credential(credential(no, name), audit(name)).await.unwrap();
        for customer in [None, Some("c")] {
            let mut slot = Slot::empty(key(no, customer), at(0)).leased(HolderId(1), at(0));
            store.take_lease(&slot).await.unwrap();
            slot.revision = 1;
            store.commit_kept(&slot, ended(1)).await.unwrap();
        }
        store.take_exchange(&exchange(no, 1), at(-9)).await.unwrap();
    }
    let mut removed = credential(1, "mine");
    removed.revision = 1;
    store.remove_credential(removed, audit("removed")).await.unwrap();
    for (no, there) in [(1, false), (2, true)] {
        for customer in [None, Some("c")] {
            let key = key(no, customer);
            assert_eq!(store.slot(&key).await.unwrap().is_some(), there, "{key:?}");
            assert_eq!(!store.history(&key).await.unwrap().is_empty(), there, "{key:?}");
        }
        assert_eq!(store.exchange(&exchange(no, 1).key).await.unwrap().is_some(), there, "exchange of {no}");
        let late = Slot::empty(key(no, Some("late")), at(0));
        let commit = if there { Commit::Done } else { Commit::Lost };
        assert_eq!(store.take_lease(&late).await.unwrap(), commit, "lease of {no}");
        assert_eq!(store.take_exchange(&exchange(no, 2), at(-9)).await.unwrap(), commit, "code of {no}");
    }
}

pub async fn consumers_come_back_as_they_were_put_until_they_are_revoked(store: Both) {
    let put = |no, name, revision| {
        let mut consumer = consumer(no, name);
        consumer.revision = revision;
        store.put_consumer(consumer, audit(name))
    };
    assert_eq!(put(1, "shop", 0).await.unwrap(), Commit::Done);
    assert_eq!(put(2, "shop", 0).await.unwrap(), Commit::Lost, "the name is taken");
    assert_eq!(put(1, "shop", 0).await.unwrap(), Commit::Lost, "the number is taken");
    assert_eq!(put(1, "store", 2).await.unwrap(), Commit::Lost, "ahead");
    assert_eq!(put(1, "store", 1).await.unwrap(), Commit::Done);
    assert_eq!(put(2, "shop", 0).await.unwrap(), Commit::Done, "the name was given up");
    let listed = store.consumers().await.unwrap();
    let told: Vec<_> = listed.iter().map(|consumer| told(consumer, consumer.revision)).collect();
    assert_eq!(told, [super::told(&consumer(1, "store"), 2), super::told(&consumer(2, "shop"), 1)]);

    let mut revoked = consumer(1, "store");
    revoked.revision = 2;
    revoked.revoked_at = Some(at(1));
    assert_eq!(store.put_consumer(revoked, audit("revoked")).await.unwrap(), Commit::Done);
    assert_eq!(store.consumers().await.unwrap().len(), 1);
    assert_eq!(put(3, "store", 0).await.unwrap(), Commit::Done, "the name is free again");
    assert_eq!(audited(&store).await, ["shop", "store", "shop", "revoked", "store"]);
}
