//! DingTalk's error codes: one table for `/v1.0`, one for the older API, each read in both directions.

use std::net::IpAddr;

use http::StatusCode;

use super::Endpoint;
use crate::outcome::{Outcome, Refusal};

/// What a `/v1.0` endpoint says when it says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status.
    pub status: StatusCode,
    /// The `code`.
    pub code: &'static str,
    /// The `message`.
    pub message: &'static str,
    /// The caller's address, where the message names it.
    pub address: Option<IpAddr>,
    /// Whether `accessdenieddetail` says which scope the caller lacks.
    pub lacks_scope: bool,
}

impl Fault {
    const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message, address: None, lacks_scope: false }
    }

    const fn bad(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

/// The store could not answer.
pub(super) const UNKNOWN: Fault =
    Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "unknownError", "Unknown error, please try again later.");

const NOT_FOUND: Fault = Fault::new(
    StatusCode::NOT_FOUND,
    "InvalidAction.NotFound",
    "Specified api is not found, please check your url and method.",
);
const BAD_FORMAT: Fault = Fault::bad(
    "InvalidParameter.Format",
    "The request is malformed: send one JSON object with string values, each field once.",
);
const BAD_CLIENT: Fault = Fault::bad("invalidClientIdOrSecret", "Invalid clientId or clientSecret");
const BAD_CODE: Fault =
    Fault::bad("invalidParameter.authCode.notFound", "The authorization code is invalid.");
const BAD_REFRESH: Fault = Fault::bad("invalidRefreshToken", "The refresh token is invalid.");

/// What a `/v1.0` endpoint answers to a refusal. No `_` arm, so a new refusal does not compile until it
/// is answered here.
///
/// Source: DingTalk "Obtain the access token of an internal app", Error codes, and the global ones. Where
/// neither has a code the choice is ours, and `docs/dialect/dingtalk.md` says why.
#[must_use]
pub fn fault(refusal: Refusal, endpoint: Option<Endpoint>) -> Fault {
    const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
    match refusal {
        Refusal::ApiUnknown | Refusal::MethodWrong => NOT_FOUND,
        Refusal::BodyMissing => Fault::bad("Missingbody", "body is mandatory for this action."),
        Refusal::BodyMalformed
        | Refusal::FieldIllegal
        | Refusal::EncryptionInvalid
        | Refusal::RequestTimeIllegal => BAD_FORMAT,
        Refusal::TooLarge => Fault::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "InvalidParameter.TooLarge",
            "The request is larger than this server takes.",
        ),
        Refusal::TooSlow => Fault::new(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeout",
            "The request took too long to arrive, please try again.",
        ),
        Refusal::ClientMissing => client_missing(endpoint),
        Refusal::SecretMissing => secret_missing(endpoint),
        Refusal::FieldMissing => {
            Fault::bad("MissingParameter", "code or refreshToken is mandatory for this action.")
        }
        Refusal::ClientUnknown | Refusal::SecretFrozen | Refusal::ProofInvalid | Refusal::KeyUnknown => {
            BAD_CLIENT
        }
        Refusal::ClientDisabled => {
            Fault::new(FORBIDDEN, "Forbidden.AccessDenied.AppDisabled", "The app is disabled.")
        }
        Refusal::AddressNotAllowed(address) => Fault {
            address: Some(address),
            ..Fault::new(
                FORBIDDEN,
                "Forbidden.AccessDenied.IpNotInWhiteList",
                "The address is not in the app's whitelist,",
            )
        },
        Refusal::AccessDenied => Fault {
            lacks_scope: true,
            ..Fault::new(
                FORBIDDEN,
                "Forbidden.AccessDenied.AccessTokenPermissionDenied",
                "The app has no permission to call this API.",
            )
        },
        Refusal::GrantTypeUnsupported => {
            Fault::bad("InvalidParameter.GrantType", "The grant type is missing or not supported.")
        }
        Refusal::QuotaExhausted => Fault::new(
            FORBIDDEN,
            "Forbidden.AccessDenied.ApiQuotaExhausted",
            "The app's calls for today are used up.",
        ),
        Refusal::RateLimited => Fault::new(
            FORBIDDEN,
            "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
            "The app calls this API too often, please slow down.",
        ),
        Refusal::CodeMalformed | Refusal::CodeInvalid | Refusal::CodeUsed | Refusal::CodeExpired => BAD_CODE,
        Refusal::RefreshInvalid | Refusal::RefreshUsed | Refusal::RefreshExpired => BAD_REFRESH,
        Refusal::AccessMissing => Fault::bad(
            "AuthenticationFailed.MissingParameter",
            "The header x-acs-dingtalk-access-token is mandatory for this action.",
        ),
        Refusal::AccessInvalid | Refusal::AccessExpired => {
            Fault::bad("InvalidAuthentication", "Invalid access_token")
        }
        Refusal::CustomerUnknown => Fault::bad("invalidUser.notFound", "The user does not exist."),
        Refusal::CustomerFrozen => {
            Fault::new(FORBIDDEN, "Forbidden.AccessDenied.UserFrozen", "The user is frozen.")
        }
    }
}

fn client_missing(endpoint: Option<Endpoint>) -> Fault {
    match endpoint {
        Some(Endpoint::CorpToken) => {
            Fault::bad("Missingclient_id", "client_id is mandatory for this action.")
        }
        Some(Endpoint::UserAccessToken) => {
            Fault::bad("MissingclientId", "clientId is mandatory for this action.")
        }
        Some(
            Endpoint::AccessToken | Endpoint::JsapiTickets | Endpoint::LegacyToken | Endpoint::LegacyTicket,
        )
        | None => Fault::bad("MissingappKey", "appKey is mandatory for this action."),
    }
}

fn secret_missing(endpoint: Option<Endpoint>) -> Fault {
    match endpoint {
        Some(Endpoint::CorpToken) => {
            Fault::bad("Missingclient_secret", "client_secret is mandatory for this action.")
        }
        Some(Endpoint::UserAccessToken) => {
            Fault::bad("MissingclientSecret", "clientSecret is mandatory for this action.")
        }
        Some(
            Endpoint::AccessToken | Endpoint::JsapiTickets | Endpoint::LegacyToken | Endpoint::LegacyTicket,
        )
        | None => Fault::bad("MissingappSecret", "appSecret is mandatory for this action."),
    }
}

/// What is said of wrong parameters at an endpoint of the older API.
const fn parameters_needed(endpoint: Endpoint) -> &'static str {
    if matches!(endpoint, Endpoint::LegacyTicket) {
        return "invalid parameter: access_token is needed, once, and type is jsapi";
    }
    "invalid parameter: appkey and appsecret are needed, each once"
}

pub(super) const LEGACY_BUSY: (i32, &str) = (-1, "system busy, please try again later");

/// The `errcode` and `errmsg` that an `endpoint` of the older API answers to a refusal.
///
/// Source: DingTalk's global error codes of the older API; ours where they have none.
#[must_use]
pub const fn legacy_code(refusal: Refusal, endpoint: Endpoint) -> (i32, &'static str) {
    match refusal {
        Refusal::ApiUnknown | Refusal::MethodWrong => (22, "invalid method"),
        Refusal::BodyMissing
        | Refusal::BodyMalformed
        | Refusal::TooLarge
        | Refusal::ClientMissing
        | Refusal::SecretMissing
        | Refusal::FieldMissing
        | Refusal::FieldIllegal
        | Refusal::EncryptionInvalid
        | Refusal::RequestTimeIllegal
        | Refusal::GrantTypeUnsupported => (40035, parameters_needed(endpoint)),
        Refusal::TooSlow => LEGACY_BUSY,
        Refusal::ClientUnknown | Refusal::SecretFrozen | Refusal::ProofInvalid | Refusal::KeyUnknown => {
            (40096, "invalid appkey or appsecret")
        }
        Refusal::ClientDisabled => (71006, "the app is disabled"),
        Refusal::AddressNotAllowed(_) => (60020, "the address is not in the app's whitelist"),
        Refusal::AccessDenied => (60011, "no permission to call this API"),
        Refusal::QuotaExhausted => (90005, "the app's calls for today are used up"),
        Refusal::RateLimited => (90018, "the app calls this API too often, please slow down"),
        Refusal::CodeMalformed | Refusal::CodeInvalid | Refusal::CodeUsed | Refusal::CodeExpired => {
            (40078, "the authorization code is invalid")
        }
        Refusal::RefreshInvalid | Refusal::RefreshUsed | Refusal::RefreshExpired | Refusal::AccessInvalid => {
            (40014, "invalid access_token")
        }
        Refusal::AccessMissing => (41001, "access_token is missing"),
        Refusal::AccessExpired => (42001, "access_token is expired"),
        Refusal::CustomerUnknown => (60121, "the user does not exist"),
        Refusal::CustomerFrozen => (60103, "the user is frozen"),
    }
}

/// The refusal that a `/v1.0` code stands for at any endpoint; where several share it, the first of
/// [`Refusal::ALL`].
pub(super) fn refusal_of(code: &str) -> Option<Refusal> {
    let places = || std::iter::once(None).chain(Endpoint::ALL.map(Some));
    Refusal::ALL.into_iter().find(|refusal| places().any(|place| fault(*refusal, place).code == code))
}

fn refusal_of_legacy(errcode: i32) -> Option<Refusal> {
    Refusal::ALL.into_iter().find(|refusal| legacy_code(*refusal, Endpoint::LegacyToken).0 == errcode)
}

/// The outcome that is answered with `code`, for the sandbox's fault rules: a code of `/v1.0`, or a
/// number of the older API. `None`: no outcome is.
///
/// At the other kind of endpoint the outcome has the code that the refusal has there.
#[must_use]
pub fn outcome_of_code(code: &str) -> Option<Outcome> {
    if code == UNKNOWN.code {
        return Some(Outcome::Unknown);
    }
    let Ok(errcode) = code.parse::<i32>() else {
        return refusal_of(code).map(Outcome::Refused);
    };
    if errcode == LEGACY_BUSY.0 {
        return Some(Outcome::Unknown);
    }
    refusal_of_legacy(errcode).map(Outcome::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::in_short::struck;

    #[test]
    fn a_code_reads_back_as_a_refusal_that_is_answered_with_it() {
        for refusal in Refusal::ALL {
            for place in std::iter::once(None).chain(Endpoint::ALL.map(Some)) {
                let told = fault(refusal, place);
                let read = refusal_of(told.code).unwrap();
                assert_eq!(fault(read, place).code, told.code, "{refusal:?} at {place:?}");
            }
            let errcode = legacy_code(refusal, Endpoint::LegacyTicket).0;
            if errcode != LEGACY_BUSY.0 {
                let read = refusal_of_legacy(errcode).unwrap();
                assert_eq!(legacy_code(read, Endpoint::LegacyToken).0, errcode, "{refusal:?}");
            }
        }
    }

    #[test]
    fn a_fault_rule_takes_the_codes_of_both_kinds_of_endpoint() {
        #[rustfmt::skip]
        let cases = [
            ("unknownError",            Some(None)),
            ("-1",                      Some(None)),
            ("invalidClientIdOrSecret", Some(Some(Refusal::ClientUnknown))),
            ("40096",                   Some(Some(Refusal::ClientUnknown))),
            ("Missingbody",             Some(Some(Refusal::BodyMissing))),
            ("Missingclient_id",        Some(Some(Refusal::ClientMissing))),
            ("InvalidAuthentication",   Some(Some(Refusal::AccessInvalid))),
            ("90018",                   Some(Some(Refusal::RateLimited))),
            ("invalidclientidorsecret", None),
            ("0",                       None),
            ("99999",                   None),
            ("",                        None),
        ];
        for (text, outcome) in cases {
            assert_eq!(outcome_of_code(text).as_ref().map(struck), outcome, "{text}");
        }
    }
}
