//! The keeper's records as plain columns and back. What is sealed stays sealed.

use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeStage};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::intent::Intent;
use mintkeep_protocol::keep::slot::{Slot, SlotKey};
use serde::Serialize;

use super::{Damaged, from_document, to_document};

/// A credential or a consumer: what is looked up or guarded has a column, the rest is one JSON document.
#[derive(Serialize)]
pub struct NamedRow {
    pub no: i64,
    pub name: String,
    /// When it was removed or revoked, in milliseconds.
    pub ended_at: Option<i64>,
    pub revision: i64,
    pub document: String,
}

impl NamedRow {
    /// The row of `credential`, at the revision that it is to have.
    pub fn of_credential(credential: &Credential, revision: i64) -> Result<Self, Damaged> {
        Ok(Self {
            no: credential.no.number(),
            name: credential.name.as_str().to_owned(),
            ended_at: credential.removed_at.map(mintkeep_protocol::time::Timestamp::unix_ms),
            revision,
            document: to_document("credential", credential)?,
        })
    }

    /// The credential of this row.
    pub fn into_credential(self) -> Result<Credential, Damaged> {
        let mut credential: Credential = from_document("credential", &self.document)?;
        credential.revision = self.revision;
        Ok(credential)
    }

    /// The row of `consumer`, at the revision that it is to have.
    pub fn of_consumer(consumer: &Consumer, revision: i64) -> Result<Self, Damaged> {
        Ok(Self {
            no: consumer.no.number(),
            name: consumer.name.as_str().to_owned(),
            ended_at: consumer.revoked_at.map(mintkeep_protocol::time::Timestamp::unix_ms),
            revision,
            document: to_document("consumer", consumer)?,
        })
    }

    /// The consumer of this row.
    pub fn into_consumer(self) -> Result<Consumer, Damaged> {
        let mut consumer: Consumer = from_document("consumer", &self.document)?;
        consumer.revision = self.revision;
        Ok(consumer)
    }
}

/// A slot's customer as its column has it: empty for a credential's own token. No customer's id is empty.
pub fn customer_column(key: &SlotKey) -> &str {
    key.customer.as_ref().map_or("", CustomerId::as_str)
}

/// A slot. The answer to its intent has a column, so that it can be kept whoever changed the rest.
#[derive(Serialize)]
pub struct SlotRow {
    pub credential: i64,
    pub customer: String,
    pub intent_fence: Option<i64>,
    pub answer: Option<Vec<u8>>,
    pub revision: i64,
    pub document: String,
}

impl SlotRow {
    /// The row of `slot`, at the revision that it is to have.
    pub fn of(slot: &Slot, revision: i64) -> Result<Self, Damaged> {
        let (intent_fence, answer) = intent_columns(slot.intent.as_ref());
        let mut rest = slot.clone();
        drop_answer(rest.intent.as_mut());
        Ok(Self {
            credential: slot.key.credential.number(),
            customer: customer_column(&slot.key).to_owned(),
            intent_fence,
            answer,
            revision,
            document: to_document("slot", &rest)?,
        })
    }

    /// The slot of this row.
    pub fn into_slot(self) -> Result<Slot, Damaged> {
        let mut slot: Slot = from_document("slot", &self.document)?;
        slot.revision = self.revision;
        if let Some(intent) = &mut slot.intent {
            intent.answer = self.answer.map(Sealed::from_bytes);
        }
        Ok(slot)
    }
}

/// Whether an exchange presented its code and has not ended.
pub fn is_open(exchange: &Exchange) -> bool {
    matches!(exchange.stage, ExchangeStage::Open { .. }) && exchange.intent.is_some()
}

/// An exchange, with its answer as a slot's.
#[derive(Serialize)]
pub struct ExchangeRow {
    pub credential: i64,
    pub code: Vec<u8>,
    pub begun_at: i64,
    /// Its code was presented, and nobody knows yet what came of it.
    pub is_open: bool,
    pub intent_fence: Option<i64>,
    pub answer: Option<Vec<u8>>,
    pub revision: i64,
    pub document: String,
}

impl ExchangeRow {
    /// The row of `exchange`, at the revision that it is to have.
    pub fn of(exchange: &Exchange, revision: i64) -> Result<Self, Damaged> {
        let (intent_fence, answer) = intent_columns(exchange.intent.as_ref());
        let mut rest = exchange.clone();
        drop_answer(rest.intent.as_mut());
        Ok(Self {
            credential: exchange.key.credential.number(),
            code: exchange.key.code.to_vec(),
            begun_at: exchange.begun_at.unix_ms(),
            is_open: is_open(exchange),
            intent_fence,
            answer,
            revision,
            document: to_document("exchange", &rest)?,
        })
    }

    /// The exchange of this row.
    pub fn into_exchange(self) -> Result<Exchange, Damaged> {
        let mut exchange: Exchange = from_document("exchange", &self.document)?;
        exchange.revision = self.revision;
        if let Some(intent) = &mut exchange.intent {
            intent.answer = self.answer.map(Sealed::from_bytes);
        }
        Ok(exchange)
    }
}

/// A line of a slot's story, as a document.
pub fn history_document(line: &HistoryEntry) -> Result<String, Damaged> {
    to_document("history", line)
}

/// The line of a document that [`history_document`] made.
pub fn into_history(document: &str) -> Result<HistoryEntry, Damaged> {
    from_document("history", document)
}

fn intent_columns(intent: Option<&Intent>) -> (Option<i64>, Option<Vec<u8>>) {
    let answer = intent.and_then(|intent| intent.answer.as_ref());
    (intent.map(|intent| intent.fence.0), answer.map(|answer| answer.as_bytes().to_vec()))
}

fn drop_answer(intent: Option<&mut Intent>) {
    if let Some(intent) = intent {
        intent.answer = None;
    }
}
