//! AlipayHK: its path, codes and messages. The rest is in [`super::alipay`].

use super::alipay::{Endpoint, ResultRow};
use crate::outcome::Refusal;

/// The path. The page names none; this one is what the live platform's clients call.
pub const ENDPOINTS: [(&str, Endpoint); 1] =
    [("/api/open/v1/alipayhk/merchant/applyToken", Endpoint::ApplyToken)];

/// Done. Source: AlipayHK "Apply for Access Token", Result/Error codes.
pub const SUCCESS: ResultRow = ResultRow::success("Success");

/// It is unknown whether it happened; also a call that came too soon, for which the page has no code.
pub const UNKNOWN: ResultRow =
    ResultRow::unknown("API failed due to unknown reason, please check with support.");

const PARAM_ILLEGAL: ResultRow =
    ResultRow::failed("PARAM_ILLEGAL", "Please check the parameters of request.");
const INVALID_AUTHCODE: ResultRow =
    ResultRow::failed("INVALID_AUTHCODE", "The authCode fulfills the generation logic but invalid.");
const PROCESS_FAIL: ResultRow = ResultRow::failed("PROCESS_FAIL", "Business process failure, do not retry.");

/// The `result` of a refusal. No `_` arm, so a new refusal does not compile until it is answered here.
///
/// Whatever is wrong before the code is looked at gets one uniform answer, so that a stranger learns
/// nothing about clients and keys.
///
/// Source: AlipayHK "Apply for Access Token", Result/Error codes. Where the page has no code for a case
/// the choice is ours, and `docs/dialect/alipayhk.md` says why.
#[must_use]
pub const fn result_of(refusal: Refusal) -> ResultRow {
    use Refusal as R;
    match refusal {
        R::CodeExpired => ResultRow::failed(
            "AUTH_CODE_EXPIRED",
            "The authCode has expired, ask user to perform the authorization flow again.",
        ),
        R::CodeInvalid | R::CodeUsed => INVALID_AUTHCODE,
        R::RefreshInvalid | R::RefreshUsed | R::RefreshExpired => PROCESS_FAIL,
        R::CustomerUnknown => ResultRow::failed("USER_NOT_EXIST", "No user was found with this authCode."),
        R::CustomerFrozen => {
            ResultRow::failed("USER_STATUS_ABNORMAL", "The status of user with authCode is abnormal.")
        }
        R::RateLimited | R::QuotaExhausted => UNKNOWN,
        R::CodeMalformed
        | R::GrantTypeUnsupported
        | R::ClientUnknown
        | R::ClientDisabled
        | R::ClientMissing
        | R::SecretMissing
        | R::SecretFrozen
        | R::ProofInvalid
        | R::KeyUnknown
        | R::AccessDenied
        | R::AddressNotAllowed(_)
        | R::ApiUnknown
        | R::MethodWrong
        | R::BodyMissing
        | R::BodyMalformed
        | R::TooLarge
        | R::TooSlow
        | R::FieldMissing
        | R::FieldIllegal
        | R::EncryptionInvalid
        | R::RequestTimeIllegal
        | R::AccessMissing
        | R::AccessInvalid
        | R::AccessExpired => PARAM_ILLEGAL,
    }
}
