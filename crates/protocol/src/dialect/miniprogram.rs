//! Mini Program OpenAPI V1: its paths, codes and messages. The rest is in [`super::alipay`].

use super::alipay::{Endpoint, ResultRow};
use crate::outcome::Refusal;

/// The paths.
///
/// Source: Mini Program "applyToken"; the others are its neighbours in the public documentation of the
/// same family, where `inquiryUserInfo` goes by two names.
pub const ENDPOINTS: [(&str, Endpoint); 4] = [
    ("/v1/authorizations/applyToken", Endpoint::ApplyToken),
    ("/v1/authorizations/cancelToken", Endpoint::CancelToken),
    ("/v1/customers/user/inquiryUserInfoByAccessToken", Endpoint::UserInfo),
    ("/v1/users/inquiryUserInfo", Endpoint::UserInfo),
];

/// Done. The page writes the message both `success` (sample) and `SUCCESS` (text); a sample is what
/// clients are tried with.
pub const SUCCESS: ResultRow = ResultRow::success("success");

/// It is unknown whether it happened. Source: "Result process logic", status `U`.
pub const UNKNOWN: ResultRow =
    ResultRow::unknown("An API calling is failed, which is caused by unknown reasons.");

const PARAM_ILLEGAL: ResultRow =
    ResultRow::failed("PARAM_ILLEGAL", "Illegal parameters. For example, non-numeric input, invalid date.");
const INVALID_CODE: ResultRow = ResultRow::failed("INVALID_CODE", "The authorization code is invalid.");
const INVALID_SIGNATURE: ResultRow = ResultRow::failed("INVALID_SIGNATURE", "The signature is invalid.");
const INVALID_AUTH_CLIENT_STATUS: ResultRow =
    ResultRow::failed("INVALID_AUTH_CLIENT_STATUS", "Invalid auth client status.");
const ACCESS_DENIED: ResultRow = ResultRow::failed("ACCESS_DENIED", "Access is denied");
const TRAFFIC: ResultRow =
    ResultRow::failed("REQUEST_TRAFFIC_EXCEED_LIMIT", "The request traffic exceeds the limit.");
const PROCESS_FAIL: ResultRow =
    ResultRow::failed("PROCESS_FAIL", "A general business failure occurred. Do not retry.");

/// The `result` of a refusal. No `_` arm, so a new refusal does not compile until it is answered here.
///
/// Source: Mini Program "applyToken", Error codes, and the family's common error codes. Where they have
/// no code for a case the choice is ours, and `docs/dialect/miniprogram.md` says why.
#[must_use]
pub const fn result_of(refusal: Refusal) -> ResultRow {
    use Refusal as R;
    match refusal {
        R::GrantTypeUnsupported => ResultRow::failed(
            "AUTH_CLIENT_UNSUPPORTED_GRANT_TYPE",
            "The authorized merchant does not support this grant type.",
        ),
        R::RefreshInvalid => ResultRow::failed("INVALID_REFRESH_TOKEN", "The refresh token is invalid."),
        R::RefreshExpired => ResultRow::failed("EXPIRED_REFRESH_TOKEN", "The refresh token is expired."),
        R::RefreshUsed => ResultRow::failed("USED_REFRESH_TOKEN", "The refresh token has been used."),
        R::CodeInvalid | R::CodeMalformed => INVALID_CODE,
        R::CodeUsed => ResultRow::failed("USED_CODE", "The authorization code has been used."),
        R::CodeExpired => ResultRow::failed("EXPIRED_CODE", "The authorization code is expired."),
        R::AccessInvalid => ResultRow::failed("INVALID_ACCESS_TOKEN", "The access token is invalid."),
        R::AccessExpired => ResultRow::failed("EXPIRED_ACCESS_TOKEN", "The access token is expired."),
        R::ClientUnknown => ResultRow::failed("INVALID_CLIENT", "The client is invalid."),
        R::ClientDisabled | R::SecretFrozen => INVALID_AUTH_CLIENT_STATUS,
        R::ProofInvalid | R::SecretMissing => INVALID_SIGNATURE,
        R::KeyUnknown => ResultRow::failed("KEY_NOT_FOUND", "Key is not found."),
        R::AccessDenied | R::AddressNotAllowed(_) => ACCESS_DENIED,
        R::RateLimited | R::QuotaExhausted => TRAFFIC,
        R::CustomerUnknown | R::CustomerFrozen => PROCESS_FAIL,
        R::ApiUnknown => ResultRow::failed("INVALID_API", "The called API is invalid or not active."),
        R::MethodWrong => ResultRow::failed("METHOD_NOT_SUPPORTED", "The HTTP method is not supported."),
        R::BodyMissing
        | R::BodyMalformed
        | R::TooLarge
        | R::TooSlow
        | R::ClientMissing
        | R::FieldMissing
        | R::FieldIllegal
        | R::AccessMissing
        | R::EncryptionInvalid
        | R::RequestTimeIllegal => PARAM_ILLEGAL,
    }
}
