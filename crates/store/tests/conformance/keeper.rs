//! The keeper's port: records to store, and the cases by room.

pub mod credentials;
pub mod exchanges;
pub mod follow;
pub mod leases;
pub mod slots;

use std::sync::Arc;

use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::{AppId, ConsumerName, CredentialName, CustomerId, Dialect};
use mintkeep_protocol::keep::consumer::{Consumer, CredentialScope, KeyDigest, Verb};
use mintkeep_protocol::keep::credential::{Credential, CredentialSettings, SealedProof, TokenSource};
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey, ExchangeStage};
use mintkeep_protocol::keep::history::{Cause, Ending, HistoryEntry};
use mintkeep_protocol::keep::intent::Intent;
use mintkeep_protocol::keep::slot::{
    Held, HolderId, LeaseFence, Past, Slot, SlotKey, TokenDigest, TokenVersion, Upkeep,
};
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::port::keeper_store::{CallKind, Commit, Ended, KeeperStore, QuotaAccount, QuotaDebit};

use crate::sample::{Store, at, audit, number};

/// Any store, by both of its ports.
pub trait BothPorts: IssuerStore + KeeperStore {}

impl<T: IssuerStore + KeeperStore> BothPorts for T {}

/// Any store.
pub type Both = Arc<dyn BothPorts>;

/// The subjects of the whole audit, oldest first.
pub async fn audited(store: &Both) -> Vec<String> {
    let issuer: Store = store.clone();
    crate::sample::audited(&issuer).await
}

pub fn credential(no: i64, name: &str) -> Credential {
    Credential {
        no: number(no),
        name: CredentialName::parse(name).unwrap(),
        app: AppId::parse("wx1").unwrap(),
        source: TokenSource::WeChatStable,
        base_url: "http://127.0.0.1:7600".into(),
        proof: Some(SealedProof::Secret(Sealed::from_bytes(vec![1, 2, 3]))),
        settings: CredentialSettings { daily_limit: Some(7), ..CredentialSettings::default() },
        created_at: at(0),
        removed_at: None,
        revision: 0,
    }
}

pub fn consumer(no: i64, name: &str) -> Consumer {
    Consumer {
        no: number(no),
        name: ConsumerName::parse(name).unwrap(),
        key: KeyDigest([5; 32]),
        drop_in_secret: Some(KeyDigest([6; 32])),
        drop_in_keys: None,
        credentials: CredentialScope::All,
        verbs: Verb::ALL.to_vec(),
        margin_floor_s: 300,
        created_at: at(0),
        revoked_at: None,
        revision: 0,
    }
}

pub fn key(credential: i64, customer: Option<&str>) -> SlotKey {
    SlotKey { credential: number(credential), customer: customer.map(|id| CustomerId::parse(id).unwrap()) }
}

/// A slot with everything in it.
pub fn full_slot(key: SlotKey) -> Slot {
    let held = Held {
        version: TokenVersion(4),
        digest: TokenDigest([4; 16]),
        tokens: Sealed::from_bytes(vec![9; 60]),
        obtained_at: at(1),
        expires_at: at(2),
        refresh_expires_at: Some(at(3)),
    };
    Slot {
        held: Some(held),
        past: vec![Past { version: TokenVersion(3), digest: TokenDigest([3; 16]) }],
        failures: 2,
        fence: LeaseFence(5),
        intent: Some(intent(5, Some(b"answer"))),
        ..Slot::empty(key, at(0))
    }
}

pub fn intent(fence: i64, answer: Option<&[u8]>) -> Intent {
    Intent {
        fence: LeaseFence(fence),
        presented_at: at(7),
        times: 1,
        request: Sealed::from_bytes(b"request".to_vec()),
        answer: answer.map(|bytes| Sealed::from_bytes(bytes.to_vec())),
    }
}

pub fn exchange(credential: i64, code: u8) -> Exchange {
    Exchange {
        key: ExchangeKey { credential: number(credential), code: [code; 32] },
        consumer: ConsumerName::parse("shop").unwrap(),
        begun_at: at(0),
        stage: ExchangeStage::Open { by: Some(HolderId(u64::MAX)) },
        fence: LeaseFence(1),
        intent: None,
        revision: 0,
    }
}

pub fn line(version: i64) -> HistoryEntry {
    HistoryEntry {
        at: at(version),
        cause: Cause::Report { consumer: ConsumerName::parse("shop").unwrap() },
        ending: Ending::Renewed,
        version: Some(TokenVersion(version)),
        code: Some("40001".into()),
    }
}

pub fn ended(version: i64) -> Ended {
    Ended { history: line(version), audit: Some(audit(&format!("kept {version}"))), refund: None }
}

/// An account of the day that is so many after today; old ones are tidied away.
pub fn account(day: i64) -> QuotaAccount {
    QuotaAccount {
        dialect: Dialect::WeChat,
        app: AppId::parse("wx1").unwrap(),
        kind: CallKind::ForcedStableToken,
        day: crate::sample::NOW.quota_day() + day,
    }
}

pub fn debit(ceiling: u32) -> QuotaDebit {
    QuotaDebit { account: account(1), ceiling }
}

/// A slot and an exchange have no equality of their own; document and revision tell them whole.
pub fn told<T: serde::Serialize>(record: &T, revision: i64) -> (String, i64) {
    (serde_json::to_string(record).unwrap(), revision)
}

/// The slot as the store has it.
pub async fn stored(store: &Both, key: &SlotKey) -> Slot {
    store.slot(key).await.unwrap().unwrap()
}

/// A stored credential, and a slot of it whose lease was taken.
pub async fn leased(store: &Both) -> Slot {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    let leased = Slot::empty(key(1, None), at(0)).leased(HolderId(1), at(0));
    assert_eq!(store.take_lease(&leased).await.unwrap(), Commit::Done);
    Slot { revision: 1, ..leased }
}

/// What is being done about a slot that nobody holds.
pub const IDLE: Upkeep = Upkeep::Idle { renew_at: crate::sample::NOW };
