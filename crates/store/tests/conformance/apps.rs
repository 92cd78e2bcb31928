//! Apps and their keys, as every store must keep them.

use mintkeep_protocol::app::{App, AppKey};
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::ident::AppId;
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery};
use mintkeep_protocol::record::PoolKey;
use mintkeep_protocol::token::TokenKind;

use crate::sample::{Store, app, audit, audited, grant, number, pool, told};

pub async fn an_app_comes_back_by_id_and_by_number_as_it_was_put(store: Store) {
    let mut put = app(1, "wx1");
    let public = RsaPrivateKey::generate().unwrap().public().clone();
    put.keys.push(AppKey { version: 0, public });
    assert_eq!(store.put_app(put.clone(), audit("wx1")).await.unwrap(), Commit::Done);
    put.revision = 1;
    let by_id = store.app(&put.id).await.unwrap().unwrap();
    let by_no = store.app_by_no(put.no).await.unwrap().unwrap();
    assert_eq!([told(&by_id), told(&by_no)], [told(&put), told(&put)]);
}

pub async fn an_app_is_changed_only_over_the_revision_that_is_stored(store: Store) {
    store.put_app(app(1, "wx1"), audit("made")).await.unwrap();
    store.put_app(app(2, "wx2"), audit("other")).await.unwrap();

    let cases = [
        ("behind", 0, Commit::Lost),
        ("ahead", 2, Commit::Lost),
        ("the stored one", 1, Commit::Done),
        ("the same again", 1, Commit::Lost),
        ("the one after it", 2, Commit::Done),
    ];
    for (case, revision, commit) in cases {
        let mut changed = app(1, "wx1");
        changed.name = case.into();
        changed.revision = revision;
        assert_eq!(store.put_app(changed, audit(case)).await.unwrap(), commit, "{case}");
        let stored = store.app(&AppId::parse("wx1").unwrap()).await.unwrap().unwrap();
        assert_eq!(stored.name == case, commit == Commit::Done, "{case}");
    }
    let stored = store.app_by_no(number(1)).await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), stored.revision), ("the one after it", 3));
    let other = store.app_by_no(number(2)).await.unwrap().unwrap();
    assert_eq!((other.name.as_str(), other.revision), ("Åpp <script>", 1), "the other app is as it was");
}

pub async fn an_id_or_a_number_that_is_taken_is_lost_and_changes_nothing(store: Store) {
    store.put_app(app(1, "wx1"), audit("made")).await.unwrap();
    store.put_app(app(2, "wx2"), audit("other")).await.unwrap();
    let cases = [
        ("number and id", 1, "wx1", 0),
        ("id", 3, "wx1", 0),
        ("number", 1, "wx3", 0),
        ("another's id", 1, "wx2", 1),
    ];
    for (case, no, id, revision) in cases {
        let mut taken = app(no, id);
        taken.revision = revision;
        assert_eq!(store.put_app(taken, audit(case)).await.unwrap(), Commit::Lost, "{case}");
    }
    assert!(store.app(&AppId::parse("wx3").unwrap()).await.unwrap().is_none());
    assert!(store.app_by_no(number(3)).await.unwrap().is_none());
    assert_eq!(audited(&store).await, ["made", "other"]);
}

pub async fn an_unknown_app_is_found_once_it_is_made(store: Store) {
    let made = app(1, "wx1");
    assert!(store.app(&made.id).await.unwrap().is_none());
    assert!(store.app_by_no(made.no).await.unwrap().is_none());
    store.put_app(made.clone(), audit("made")).await.unwrap();
    assert!(store.app(&made.id).await.unwrap().is_some());
    assert!(store.app_by_no(made.no).await.unwrap().is_some());
}

pub async fn apps_are_listed_in_pages_by_id(store: Store) {
    // Numbers run against the ids; upper case sorts before lower case, as bytes do.
    for (no, id) in [(4, "B"), (3, "a"), (2, "a1"), (1, "c")] {
        store.put_app(app(no, id), audit(id)).await.unwrap();
    }
    let cases: [(Option<&str>, u32, &[&str]); 6] = [
        (None, 10, &["B", "a", "a1", "c"]),
        (None, 2, &["B", "a"]),
        (Some("a"), 2, &["a1", "c"]),
        (Some("b"), 10, &["c"]),
        (Some("c"), 10, &[]),
        (None, 0, &[]),
    ];
    for (after, most, expected) in cases {
        let after = after.map(|id| AppId::parse(id).unwrap());
        let listed = store.apps(after.as_ref(), most).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|app| app.id.as_str()).collect();
        assert_eq!(ids, expected, "{most} after {after:?}");
    }
}

pub async fn a_deleted_app_takes_its_own_pools_and_grants_along(store: Store) {
    for (no, id) in [(1, "wx1"), (2, "wx2")] {
        store.put_app(app(no, id), audit(id)).await.unwrap();
        store.commit_access(pool(no, TokenKind::WeChatToken), None).await.unwrap();
        store.commit_access(pool(no, TokenKind::WeChatStable), None).await.unwrap();
        store.commit_grant(grant(no + 10, no, "c"), audit("grant")).await.unwrap();
    }
    let mut deleted = app(1, "wx1");
    assert_eq!(store.delete_app(&deleted, audit("behind")).await.unwrap(), Commit::Lost);
    assert!(store.grant(number(11)).await.unwrap().is_some(), "a lost deletion deletes nothing");

    deleted.revision = 1;
    assert_eq!(store.delete_app(&deleted, audit("gone")).await.unwrap(), Commit::Done);
    for (no, there) in [(1, false), (2, true)] {
        assert_eq!(store.app_by_no(number(no)).await.unwrap().is_some(), there, "app {no}");
        assert_eq!(store.app(&app(no, &format!("wx{no}")).id).await.unwrap().is_some(), there, "app {no}");
        for kind in [TokenKind::WeChatToken, TokenKind::WeChatStable] {
            let key = PoolKey { app: number(no), kind };
            assert_eq!(store.pool(key).await.unwrap().is_some(), there, "{key:?}");
        }
        assert_eq!(store.grant(number(no + 10)).await.unwrap().is_some(), there, "grant of app {no}");
        let query = GrantQuery { app: Some(number(no)), most: 9, ..GrantQuery::default() };
        assert_eq!(store.grants(&query).await.unwrap().len(), usize::from(there), "grants of app {no}");
    }
    assert_eq!(store.delete_app(&deleted, audit("twice")).await.unwrap(), Commit::Lost);
    assert_eq!(audited(&store).await, ["wx1", "grant", "wx2", "grant", "gone"]);
}

pub async fn an_app_made_anew_under_an_old_id_is_another(store: Store) {
    let mut old = app(1, "wx1");
    store.put_app(old.clone(), audit("old")).await.unwrap();
    old.revision = 1;
    store.delete_app(&old, audit("gone")).await.unwrap();
    assert_eq!(store.put_app(app(2, "wx1"), audit("new")).await.unwrap(), Commit::Done);
    assert_eq!(store.put_app(old.clone(), audit("late")).await.unwrap(), Commit::Lost);
    assert_eq!(store.delete_app(&old, audit("late")).await.unwrap(), Commit::Lost);
    assert_eq!(store.app(&old.id).await.unwrap().unwrap().no, number(2));
    assert!(store.app_by_no(number(1)).await.unwrap().is_none());
}

pub async fn nothing_is_handed_out_on_the_word_of_an_app_that_is_another_by_now(store: Store) {
    let mut known = app(1, "wx1");
    store.put_app(known.clone(), audit("made")).await.unwrap();
    known.revision = 1;
    let next = |revision| {
        let (mut pool, mut grant) = (pool(1, TokenKind::WeChatToken), grant(1, 1, "c"));
        (pool.revision, grant.revision) = (revision, revision);
        (pool, grant)
    };
    let hand_out = async |app: &App, revision| {
        let (pool, grant) = next(revision);
        let minted = store.commit_access_for(app, pool, Some(audit("pool"))).await.unwrap();
        (minted, store.commit_grant_for(app, grant, audit("grant")).await.unwrap())
    };
    let (done, lost) = ((Commit::Done, Commit::Done), (Commit::Lost, Commit::Lost));
    let unmade = App { revision: 0, ..known.clone() };
    assert_eq!(hand_out(&unmade, 0).await, lost, "new records, of an app as it never was");
    assert_eq!(hand_out(&known, 0).await, done, "new records");
    assert_eq!(hand_out(&known, 1).await, done, "their next versions");

    store.put_app(known.clone(), audit("changed")).await.unwrap();
    assert_eq!(hand_out(&known, 2).await, lost, "the app was changed");
    let (stored, seen) = (next(0), store.app(&known.id).await.unwrap().unwrap());
    assert_eq!(store.pool(stored.0.key).await.unwrap().unwrap().revision, 2);
    assert_eq!(store.grant(stored.1.id).await.unwrap().unwrap().revision, 2);
    assert_eq!(hand_out(&seen, 2).await, done, "decided anew on the app as it is");
    let (pool, grant) = next(3);
    assert_eq!(store.commit_access(pool, Some(audit("pool"))).await.unwrap(), Commit::Done, "for nobody");
    assert_eq!(store.commit_grant(grant, audit("grant")).await.unwrap(), Commit::Done, "for nobody");

    store.delete_app(&seen, audit("deleted")).await.unwrap();
    assert_eq!(hand_out(&seen, 0).await, lost, "the app is gone");
    let told = audited(&store).await;
    let expected =
        ["made", "pool", "grant", "pool", "grant", "changed", "pool", "grant", "pool", "grant", "deleted"];
    assert_eq!(told, expected, "what was lost left no line");
}
