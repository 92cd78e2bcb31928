//! Token pools, as every store must keep them.

use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::PoolKey;
use mintkeep_protocol::token::TokenKind;

use crate::sample::{Store, at, audit, audited, held, number, pool};

pub async fn a_pool_comes_back_as_it_was_committed(store: Store) {
    let mut first = pool(1, TokenKind::WeChatToken);
    let mut full = pool(1, TokenKind::WeChatStable);
    full.previous = Some(held(-5));
    full.forced_at = Some(at(-1));
    full.token_epoch = u32::MAX;
    full.used_today = u32::MAX;
    for pool in [&mut first, &mut full] {
        assert!(store.pool(pool.key).await.unwrap().is_none());
        assert_eq!(store.commit_access(pool.clone(), Some(audit("pool"))).await.unwrap(), Commit::Done);
        pool.revision = 1;
        assert!(*store.pool(pool.key).await.unwrap().unwrap() == *pool);
        pool.used_today = 1;
        pool.previous = None;
        pool.current = held(8);
        assert_eq!(store.commit_access(pool.clone(), Some(audit("pool"))).await.unwrap(), Commit::Done);
        pool.revision = 2;
        assert!(*store.pool(pool.key).await.unwrap().unwrap() == *pool);
    }
    assert!(*store.pool(first.key).await.unwrap().unwrap() == first, "the other kind left it alone");
    let stranger = PoolKey { app: number(2), kind: TokenKind::WeChatToken };
    assert!(store.pool(stranger).await.unwrap().is_none());
}

pub async fn a_pool_is_changed_only_over_the_revision_that_is_stored(store: Store) {
    let key = pool(1, TokenKind::DingTalkToken).key;
    let cases = [
        ("ahead of nothing", 1, Commit::Lost),
        ("a new one", 0, Commit::Done),
        ("a new one again", 0, Commit::Lost),
        ("ahead", 2, Commit::Lost),
        ("the stored one", 1, Commit::Done),
        ("behind", 1, Commit::Lost),
    ];
    for (mark, (case, revision, commit)) in (100..).zip(cases) {
        let mut changed = pool(1, TokenKind::DingTalkToken);
        changed.revision = revision;
        changed.used_today = mark;
        assert_eq!(store.commit_access(changed, Some(audit(case))).await.unwrap(), commit, "{case}");
        let stored = store.pool(key).await.unwrap();
        assert_eq!(stored.is_some_and(|pool| pool.used_today == mark), commit == Commit::Done, "{case}");
    }
    assert_eq!(audited(&store).await, ["a new one", "the stored one"]);
}

pub async fn a_mere_count_leaves_no_audit_line(store: Store) {
    store.commit_access(pool(1, TokenKind::WeChatToken), None).await.unwrap();
    assert!(audited(&store).await.is_empty());
}
