//! Customers, services, platform keys, the audit and the epoch, as every store must keep them.

use mintkeep_protocol::app::StoredSecret;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::{CustomerId, Dialect, ServiceId};
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::{
    AuditAction, Customer, CustomerStatus, KeyPurpose, PlatformKey, Profile, Service, ServiceRole, SpentNonce,
};
use mintkeep_protocol::token::{StoreEpoch, TokenKind};

use crate::sample::{Store, at, audit, audited, nonce, pool};

pub async fn customers_and_services_are_put_over_their_like(store: Store) {
    let id = CustomerId::parse("2160000000000001").unwrap();
    assert!(store.customer(&id).await.unwrap().is_none());
    for status in [CustomerStatus::Active, CustomerStatus::Frozen, CustomerStatus::Deleted] {
        let profile = Profile { nick_name: Some("陳\"大文\"".into()), ..Profile::default() };
        let customer = Customer { id: id.clone(), status, profile };
        store.put_customer(customer.clone(), audit("customer")).await.unwrap();
        assert_eq!(*store.customer(&id).await.unwrap().unwrap(), customer);
    }

    let id = ServiceId::parse("gateway").unwrap();
    assert!(store.service(&id).await.unwrap().is_none());
    for mac in [[1; 32], [2; 32]] {
        let secret = StoredSecret { mac, expires_at: None };
        let role = ServiceRole::ResourceServer;
        let service = Service { id: id.clone(), role, secret, assertion_key_pem: None };
        store.put_service(service, audit("service")).await.unwrap();
        assert_eq!(store.service(&id).await.unwrap().unwrap().secret.mac, mac);
    }
    let added = |id: &str| Service {
        id: ServiceId::parse(id).unwrap(),
        role: ServiceRole::ResourceServer,
        secret: StoredSecret { mac: [3; 32], expires_at: None },
        assertion_key_pem: None,
    };
    for (name, commit, mac) in [("gateway", Commit::Lost, [2; 32]), ("other", Commit::Done, [3; 32])] {
        assert_eq!(store.add_service(added(name), audit("new service")).await.unwrap(), commit, "{name}");
        let id = ServiceId::parse(name).unwrap();
        assert_eq!(store.service(&id).await.unwrap().unwrap().secret.mac, mac, "{name}");
    }
    assert_eq!(
        audited(&store).await,
        ["customer", "customer", "customer", "service", "service", "new service"]
    );
}

pub async fn a_nonce_is_spent_once_and_without_an_audit_line(store: Store) {
    let later = SpentNonce { expires_at: at(90_000), ..nonce(1) };
    let cases = [
        ("the first", nonce(1), Commit::Done),
        ("the same", nonce(1), Commit::Lost),
        ("the same of a later end", later, Commit::Lost),
        ("another", nonce(2), Commit::Done),
    ];
    for (case, nonce, commit) in cases {
        assert_eq!(store.spend_nonce(nonce).await.unwrap(), commit, "{case}");
    }
    assert!(store.is_spent(nonce(1).digest).await.unwrap() && !store.is_spent([3; 32]).await.unwrap());
    assert!(audited(&store).await.is_empty());
}

pub async fn customers_and_services_are_listed_in_pages_by_id(store: Store) {
    for n in [3, 1, 2] {
        let id = CustomerId::parse(&format!("216{n}")).unwrap();
        let customer = Customer { id, status: CustomerStatus::Active, profile: Profile::default() };
        store.put_customer(customer, audit("customer")).await.unwrap();
        let (id, role) = (ServiceId::parse(&format!("gateway{n}")).unwrap(), ServiceRole::ResourceServer);
        let secret = StoredSecret { mac: [1; 32], expires_at: None };
        let service = Service { id, role, secret, assertion_key_pem: None };
        store.put_service(service, audit("service")).await.unwrap();
    }
    let cases: [(Option<u8>, u32, &[u8]); 5] = [
        (None, 10, &[1, 2, 3]),
        (None, 2, &[1, 2]),
        (Some(2), 10, &[3]),
        (Some(3), 10, &[]),
        (Some(0), 1, &[1]),
    ];
    for (after, most, listed) in cases {
        let (customers, services) = (listed.iter().map(|n| format!("216{n}")), listed.iter());
        let after_customer = after.map(|n| CustomerId::parse(&format!("216{n}")).unwrap());
        let found = store.customers(after_customer.as_ref(), most).await.unwrap();
        let told: Vec<_> = found.iter().map(|found| found.id.to_string()).collect();
        assert_eq!(told, customers.collect::<Vec<_>>(), "{most} after {after:?}");
        let after_service = after.map(|n| ServiceId::parse(&format!("gateway{n}")).unwrap());
        let found = store.services(after_service.as_ref(), most).await.unwrap();
        let told: Vec<_> = found.iter().map(|found| found.id.to_string()).collect();
        assert_eq!(told, services.map(|n| format!("gateway{n}")).collect::<Vec<_>>());
    }
}

pub async fn the_audit_is_paged_through_from_its_end(store: Store) {
    for n in 0..5 {
        store.write_audit(audit(&n.to_string())).await.unwrap();
    }
    let last = store.audit_tail(None, 1).await.unwrap()[0].0;
    let cases: [(Option<i64>, u32, &[&str]); 4] = [
        (None, 2, &["4", "3"]),
        (Some(last), 10, &["3", "2", "1", "0"]),
        (Some(last - 1), 1, &["2"]),
        (Some(last - 4), 10, &[]),
    ];
    for (before, most, expected) in cases {
        let page = store.audit_before(before, most).await.unwrap();
        let subjects: Vec<_> = page.iter().map(|(_, line)| line.subject.as_str()).collect();
        assert_eq!(subjects, expected, "{most} before {before:?}");
    }
}

pub async fn a_platform_key_is_added_once_for_each_version(store: Store) {
    let key =
        |purpose, version, byte| PlatformKey { purpose, version, sealed: Sealed::from_bytes(vec![byte; 40]) };
    let (one, other) = (KeyPurpose::Tokens, KeyPurpose::Answers(Dialect::AlipayHk));
    let cases = [
        ("the first", key(one, 1, 1), Commit::Done),
        ("of the same version", key(one, 1, 2), Commit::Lost),
        ("version nought", key(one, 0, 3), Commit::Done),
        ("for another purpose", key(other, 1, 4), Commit::Done),
    ];
    for (case, key, commit) in cases {
        assert_eq!(store.add_platform_key(key).await.unwrap(), commit, "{case}");
    }
    let mut stored: Vec<_> = store.platform_keys().await.unwrap();
    stored.sort_by_key(|key| key.sealed.as_bytes()[0]);
    let told: Vec<_> =
        stored.iter().map(|key| (key.purpose, key.version, key.sealed.as_bytes()[0])).collect();
    assert_eq!(told, [(one, 1, 1), (one, 0, 3), (other, 1, 4)]);
}

pub async fn a_platform_key_is_sealed_anew_only_in_place_of_the_seal_that_was_seen(store: Store) {
    let key = |version, byte| PlatformKey {
        purpose: KeyPurpose::Tokens,
        version,
        sealed: Sealed::from_bytes(vec![byte; 40]),
    };
    for version in [1, 2] {
        assert_eq!(store.add_platform_key(key(version, 1)).await.unwrap(), Commit::Done);
    }
    let cases = [
        ("another seal was seen", key(1, 5), 2, Commit::Lost),
        ("no such version", key(3, 5), 1, Commit::Lost),
        ("the stored one", key(1, 5), 1, Commit::Done),
        ("whoever was second", key(1, 6), 1, Commit::Lost),
        ("and on from there", key(1, 7), 5, Commit::Done),
    ];
    let mut done = Vec::new();
    for (case, key, seen, commit) in cases {
        let was = Sealed::from_bytes(vec![seen; 40]);
        assert_eq!(store.reseal_platform_key(key, &was, audit(case)).await.unwrap(), commit, "{case}");
        done.extend((commit == Commit::Done).then_some(case));
    }
    let mut seals: Vec<_> = store.platform_keys().await.unwrap();
    seals.sort_by_key(|key| key.version);
    assert_eq!(seals.iter().map(|key| key.sealed.as_bytes()[0]).collect::<Vec<_>>(), [7, 1]);
    assert_eq!(audited(&store).await, done);
}

pub async fn the_audit_is_read_from_its_end_in_order(store: Store) {
    assert!(audited(&store).await.is_empty());
    let mut written = Vec::new();
    for n in 0..5 {
        let mut line = audit(&n.to_string());
        line.action = AuditAction::MasterKeyRotated;
        line.address = None;
        store.write_audit(line.clone()).await.unwrap();
        written.push(line);
    }
    let all = store.audit_tail(None, 10).await.unwrap();
    let (numbers, lines): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    assert_eq!(lines, written);
    assert!(numbers.is_sorted() && numbers[0] > 0, "{numbers:?}");

    let cases: [(Option<i64>, u32, &[&str]); 5] = [
        (None, 2, &["3", "4"]),
        (Some(numbers[1]), 10, &["2", "3", "4"]),
        (Some(numbers[1]), 1, &["2"]),
        (Some(numbers[4]), 10, &[]),
        (None, 0, &[]),
    ];
    for (after, most, expected) in cases {
        let tail = store.audit_tail(after, most).await.unwrap();
        let subjects: Vec<_> = tail.iter().map(|(_, line)| line.subject.as_str()).collect();
        assert_eq!(subjects, expected, "{most} after {after:?}");
    }
}

pub async fn a_lost_change_leaves_no_audit_line(store: Store) {
    let mut ahead = pool(1, TokenKind::WeChatToken);
    ahead.revision = 7;
    assert_eq!(store.commit_access(ahead, Some(audit("lost"))).await.unwrap(), Commit::Lost);
    assert!(audited(&store).await.is_empty());
}

pub async fn a_store_begins_in_epoch_nought(store: Store) {
    assert_eq!(store.epoch().await.unwrap(), StoreEpoch::new(0));
}
