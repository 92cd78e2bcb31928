//! Token slots, as every store must keep them.

use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::slot::{HolderId, Slot};
use mintkeep_protocol::port::keeper_store::Commit;

use super::{Both, credential, ended, full_slot, key, leased, line, stored, told};
use crate::sample::{at, audit, number};

pub async fn a_slot_comes_back_as_it_was_stored(store: Both) {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    for key in [key(1, None), key(1, Some("2160000000000001"))] {
        assert!(store.slot(&key).await.unwrap().is_none());
        let mut slot = full_slot(key.clone());
        assert_eq!(store.take_lease(&slot).await.unwrap(), Commit::Done);
        let found = stored(&store, &key).await;
        assert_eq!(told(&found, found.revision), told(&slot, 1));

        slot = Slot { revision: 1, ..Slot::empty(key.clone(), at(5)) };
        assert_eq!(store.commit_kept(&slot, ended(1)).await.unwrap(), Commit::Done);
        let found = stored(&store, &key).await;
        assert_eq!(told(&found, found.revision), told(&slot, 2));
    }
}

pub async fn slots_are_listed_by_key_in_pages(store: Both) {
    for no in [1, 2, 3] {
        store.put_credential(credential(no, &format!("c{no}")), audit("added")).await.unwrap();
    }
    let keys = [
        key(1, None),
        key(1, Some("B")),
        key(1, Some("a")),
        key(2, Some("a")),
        key(2, Some("b")),
        key(3, None),
    ];
    for key in keys.iter().rev() {
        store.take_lease(&Slot::empty(key.clone(), at(0)).leased(HolderId(1), at(0))).await.unwrap();
    }
    let cases = [
        (None, None, 9, &keys[..]),
        (None, None, 2, &keys[..2]),
        (None, Some(&keys[0]), 2, &keys[1..3]),
        (None, Some(&keys[2]), 9, &keys[3..]),
        (None, Some(&keys[5]), 9, &[]),
        (Some(1), None, 9, &keys[..3]),
        (Some(1), Some(&keys[0]), 9, &keys[1..3]),
        (Some(2), None, 1, &keys[3..4]),
        (Some(2), Some(&keys[3]), 9, &keys[4..5]),
        (Some(2), Some(&keys[0]), 9, &keys[3..5]),
        (Some(1), Some(&keys[3]), 9, &[]),
        (Some(4), None, 9, &[]),
    ];
    for (of, after, most, expected) in cases {
        let listed = store.slots(of.map(number), after, most).await.unwrap();
        let listed: Vec<_> = listed.into_iter().map(|slot| slot.key).collect();
        assert_eq!(listed, expected, "{most} of {of:?} after {after:?}");
    }
}

pub async fn a_slots_story_keeps_its_last_lines_the_latest_first(store: Both) {
    let mut slot = leased(&store).await;
    let other = Slot::empty(key(1, Some("c")), at(0)).leased(HolderId(1), at(0));
    store.take_lease(&other).await.unwrap();
    store.commit_kept(&Slot { revision: 1, ..other.clone() }, ended(99)).await.unwrap();
    let lines = 20;
    for version in 1..=lines {
        assert_eq!(store.commit_kept(&slot, ended(version)).await.unwrap(), Commit::Done);
        slot.revision += 1;
    }
    let told = store.history(&slot.key).await.unwrap();
    let kept = usize::try_from(HistoryEntry::KEPT_MAX).unwrap();
    let expected: Vec<_> = (1..=lines).rev().map(line).take(kept).collect();
    assert_eq!(told, expected);
    assert_eq!(store.history(&other.key).await.unwrap(), [line(99)], "another slot's story is its own");
    assert!(store.history(&key(9, None)).await.unwrap().is_empty());
}
