//! The `result` object that every answer carries.

use serde::Serialize;

use crate::outcome::Refusal;

/// Whether the call did what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ResultStatus {
    /// It did.
    S,
    /// It did not, and nothing was changed.
    F,
    /// The caller can't tell.
    U,
}

/// One row of a page's table of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ResultRow {
    /// What programs compare.
    #[serde(rename = "resultCode")]
    pub code: &'static str,
    /// Whether it happened.
    #[serde(rename = "resultStatus")]
    pub status: ResultStatus,
    /// What people read.
    #[serde(rename = "resultMessage")]
    pub message: &'static str,
}

impl ResultRow {
    /// The row of success.
    #[must_use]
    pub const fn success(message: &'static str) -> Self {
        Self { code: "SUCCESS", status: ResultStatus::S, message }
    }

    /// A row of status `F`.
    #[must_use]
    pub const fn failed(code: &'static str, message: &'static str) -> Self {
        Self { code, status: ResultStatus::F, message }
    }

    /// The row of status `U`.
    #[must_use]
    pub const fn unknown(message: &'static str) -> Self {
        Self { code: "UNKNOWN_EXCEPTION", status: ResultStatus::U, message }
    }
}

/// What a code means when it is read backwards: of the refusals that share a code, the first one here.
///
/// The widest meaning comes first (AlipayHK's `PARAM_ILLEGAL` is any bad field before it is an unknown
/// client), and what can pass before what can't (Mini Program's `PROCESS_FAIL` may be a frozen customer
/// or a deleted one), so that nobody concludes more than the code says.
pub(super) const MEANINGS: [Refusal; 22] = [
    Refusal::FieldIllegal,
    Refusal::CodeInvalid,
    Refusal::CodeUsed,
    Refusal::CodeExpired,
    Refusal::RefreshInvalid,
    Refusal::RefreshUsed,
    Refusal::RefreshExpired,
    Refusal::AccessInvalid,
    Refusal::AccessExpired,
    Refusal::GrantTypeUnsupported,
    Refusal::ClientUnknown,
    Refusal::ClientDisabled,
    Refusal::ProofInvalid,
    Refusal::KeyUnknown,
    Refusal::AccessDenied,
    Refusal::RateLimited,
    Refusal::QuotaExhausted,
    Refusal::MethodWrong,
    Refusal::ApiUnknown,
    Refusal::EncryptionInvalid,
    Refusal::CustomerFrozen,
    Refusal::CustomerUnknown,
];
