//! The keeper's changes as data. Each record carries the revision that must be stored before the change
//! (0: none may be); the store writes the one after it.

use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::intent::FrozenAnswer;
use mintkeep_protocol::keep::slot::{LeaseFence, Slot, SlotKey};
use mintkeep_protocol::port::keeper_store::{QuotaAccount, QuotaDebit};
use mintkeep_protocol::time::Timestamp;

/// A change of the keeper's records.
pub enum KeeperChange {
    PutCredential(Credential),
    /// With its slots, their story and its exchanges.
    RemoveCredential(Credential),
    PutConsumer(Consumer),
    TakeLease(Slot),
    Present(Slot, Option<QuotaDebit>),
    KeepAnswer(SlotKey, LeaseFence, Sealed<FrozenAnswer>),
    CommitKept(Slot, HistoryEntry, Option<QuotaAccount>),
    TakeExchange(Exchange, Timestamp),
    PresentCode(Exchange, Option<QuotaDebit>),
    KeepCodeAnswer(ExchangeKey, LeaseFence, Sealed<FrozenAnswer>),
    PutOffExchange(Exchange, Option<QuotaAccount>),
    CommitExchange(Exchange, Slot, HistoryEntry, Option<QuotaAccount>),
}
