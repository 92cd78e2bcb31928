//! The story of a slot: who caused which renewal, when, with what answer.

use serde::{Deserialize, Serialize};

use crate::ident::ConsumerName;
use crate::time::Timestamp;

use super::slot::{TokenVersion, Trouble};

/// Who caused a renewal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Cause {
    /// The timetable.
    Timetable,
    /// A read that found no good token, or one that ends too soon for it.
    Read {
        /// Whose.
        consumer: Option<ConsumerName>,
    },
    /// A report that the token is dead, or a wish to have it forgotten.
    Report {
        /// Whose.
        consumer: ConsumerName,
    },
    /// The exchange of a code.
    Exchange {
        /// Whose.
        consumer: ConsumerName,
    },
    /// An operator.
    Operator,
}

impl Cause {
    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Timetable => "timetable",
            Self::Read { .. } => "read",
            Self::Report { .. } => "report",
            Self::Exchange { .. } => "exchange",
            Self::Operator => "operator",
        }
    }
}

/// How a renewal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Ending {
    /// A new token.
    Renewed,
    /// The same token again, good for longer or as long as before.
    Same,
    /// No token.
    Failed {
        /// Why.
        trouble: Trouble,
    },
    /// The operator, or a customer's new authorization, settled what was in doubt.
    Resolved,
    /// The tokens were forgotten on request.
    Forgotten,
}

/// One line of a slot's story. The store keeps the last [`HistoryEntry::KEPT_MAX`] of each slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When it ended.
    pub at: Timestamp,
    /// Who caused it.
    pub cause: Cause,
    /// How it ended.
    pub ending: Ending,
    /// The version that was held from then on.
    pub version: Option<TokenVersion>,
    /// The platform's own code for a refusal, such as `40001` or `USED_CODE`.
    pub code: Option<String>,
}

impl HistoryEntry {
    /// How many lines of each slot are kept.
    pub const KEPT_MAX: u32 = 16;
}
