//! Exchanges of authorization codes: one record per code, so that none is presented twice.

use serde::{Deserialize, Serialize};

use crate::crypto::{hexadecimal, sha256};
use crate::ident::{ConsumerName, CustomerId, RecordId};
use crate::secret::AuthCode;
use crate::time::Timestamp;

use super::intent::Intent;
use super::slot::{HolderId, LeaseFence, TokenVersion, Trouble};

/// Names the exchange of one code by one credential. The code itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExchangeKey {
    /// The credential's record.
    pub credential: RecordId,
    /// SHA-256 of the code.
    pub code: [u8; 32],
}

impl ExchangeKey {
    /// The key of `code` at `credential`.
    #[must_use]
    pub fn of(credential: RecordId, code: &AuthCode) -> Self {
        Self { credential, code: sha256(code.expose().as_bytes()) }
    }

    /// The place that its request and answer are sealed for.
    #[must_use]
    pub fn place(&self) -> String {
        format!("exchange/{}/{}", self.credential, hexadecimal(&self.code))
    }
}

/// Where an exchange is in its life: `Open → Done | Failed`, both for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum ExchangeStage {
    /// Somebody is at it, or was.
    Open {
        /// Who holds its lease; `None`: nobody, it can be taken up at once.
        by: Option<HolderId>,
    },
    /// The customer's slot has the tokens.
    Done {
        /// Whose.
        customer: CustomerId,
        /// The version that it bought.
        version: TokenVersion,
    },
    /// It bought nothing, and never will.
    Failed {
        /// Why.
        trouble: Trouble,
        /// The platform's own code for it.
        code: Option<String>,
    },
}

/// The exchange of one code as the store keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Exchange {
    /// Which.
    pub key: ExchangeKey,
    /// Who asked; nobody else gets its answer.
    pub consumer: ConsumerName,
    /// When; if it was put off, when it was asked for again.
    pub begun_at: Timestamp,
    /// Where it is.
    pub stage: ExchangeStage,
    /// Whoever takes the lease takes the next fence.
    pub fence: LeaseFence,
    /// What was presented; gone once the exchange has ended.
    pub intent: Option<Intent>,
    /// Counts changes; the guard of every change. 0: not stored yet.
    #[serde(skip)]
    pub revision: i64,
}
