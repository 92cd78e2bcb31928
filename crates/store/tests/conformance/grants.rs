//! Grants, from issued to revoked, as every store must keep them.

use mintkeep_protocol::binding::CodeBinding;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery};
use mintkeep_protocol::record::GrantStage;
use mintkeep_protocol::request::RequestDigest;

use crate::sample::{Store, active, app, at, audit, audited, grant, held, number};

pub async fn a_grant_comes_back_as_it_was_committed_in_each_stage(store: Store) {
    let stages = [
        GrantStage::Issued { binding: None },
        GrantStage::Issued { binding: Some(CodeBinding([6; 16])) },
        active(None, None),
        active(Some(held(1)), Some(RequestDigest([8; 16]))),
        active(None, Some(RequestDigest([0; 16]))),
        GrantStage::Revoked { spent_at: Some(at(30)), at: at(40) },
        GrantStage::Revoked { spent_at: None, at: at(40) },
    ];
    let mut step_by_step = grant(99, 1, "c");
    for (id, stage) in (1..).zip(stages) {
        let mut at_once = grant(id, 1, "2160000000000001");
        at_once.stage = stage;
        step_by_step.stage = stage;
        step_by_step.scopes.truncate(usize::from(id % 2 == 0));
        for grant in [&mut at_once, &mut step_by_step] {
            assert_eq!(store.commit_grant(grant.clone(), audit("grant")).await.unwrap(), Commit::Done);
            grant.revision += 1;
            assert!(*store.grant(grant.id).await.unwrap().unwrap() == *grant, "{stage:?}");
        }
    }
    assert!(store.grant(number(100)).await.unwrap().is_none());
}

pub async fn a_grant_is_changed_only_over_the_revision_that_is_stored(store: Store) {
    let cases = [
        ("ahead of nothing", 1, Commit::Lost),
        ("a new one", 0, Commit::Done),
        ("a new one again", 0, Commit::Lost),
        ("ahead", 2, Commit::Lost),
        ("the stored one", 1, Commit::Done),
        ("behind", 1, Commit::Lost),
    ];
    for (mark, (case, revision, commit)) in (100..).zip(cases) {
        let mut changed = grant(5, 1, "c");
        changed.revision = revision;
        changed.code_expires_at = at(mark);
        assert_eq!(store.commit_grant(changed, audit(case)).await.unwrap(), commit, "{case}");
        let stored = store.grant(number(5)).await.unwrap();
        assert_eq!(
            stored.is_some_and(|grant| grant.code_expires_at == at(mark)),
            commit == Commit::Done,
            "{case}"
        );
    }
    assert_eq!(audited(&store).await, ["a new one", "the stored one"]);
}

pub async fn a_number_that_is_taken_is_lost(store: Store) {
    store.commit_grant(grant(5, 1, "c"), audit("first")).await.unwrap();
    assert_eq!(store.commit_grant(grant(5, 2, "d"), audit("second")).await.unwrap(), Commit::Lost);
    assert_eq!(store.grant(number(5)).await.unwrap().unwrap().app, number(1));
}

/// App, customer, after, at most; and the numbers that are listed.
type Listing = (Option<i64>, Option<&'static str>, Option<i64>, u32, &'static [i64]);

pub async fn grants_are_listed_by_app_and_customer_in_pages_in_the_order_they_were_made(store: Store) {
    for no in [1, 2] {
        store.put_app(app(no, &format!("wx{no}")), audit("app")).await.unwrap();
    }
    for (id, app, customer) in [(7, 1, "b"), (3, 1, "a"), (5, 2, "a"), (9, 1, "a"), (4, 2, "b"), (6, 1, "ab")]
    {
        store.commit_grant(grant(id, app, customer), audit("grant")).await.unwrap();
    }
    #[rustfmt::skip]
    let cases: [Listing; 11] = [
        (None,    None,      None,    10, &[3, 4, 5, 6, 7, 9]),
        (None,    None,      None,    2,  &[3, 4]),
        (None,    None,      Some(4), 2,  &[5, 6]),
        (Some(1), None,      None,    10, &[3, 6, 7, 9]),
        (Some(1), None,      Some(3), 2,  &[6, 7]),
        (Some(1), Some("a"), None,    10, &[3, 9]),
        (Some(1), Some("a"), Some(3), 10, &[9]),
        (None,    Some("a"), None,    10, &[3, 5, 9]),
        (None,    Some("a"), Some(3), 1,  &[5]),
        (Some(3), None,      None,    10, &[]),
        (Some(1), Some("a"), None,    0,  &[]),
    ];
    for (app, customer, after, most, expected) in cases {
        let query = GrantQuery {
            app: app.map(number),
            customer: customer.map(|id| CustomerId::parse(id).unwrap()),
            after: after.map(number),
            most,
        };
        let listed = store.grants(&query).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|grant| grant.id.number()).collect();
        assert_eq!(ids, expected, "{query:?}");
    }
}
