//! WeChat's error codes: one table, read in both directions.

use http::Method;

use super::Endpoint;
use crate::app::Behaviour;
use crate::outcome::{Outcome, Refusal};

/// "System is busy. Try again later."
pub(super) const BUSY: i32 = -1;
pub(super) const BUSY_MESSAGE: &str = "system error";

/// The `errcode` and the `errmsg` before the rid of a refusal. No `_` arm, so a new refusal does not
/// compile until it is answered here.
///
/// Source: WeChat "auth.getAccessToken", Valid values of errcode, and WeChat's global error codes. Where
/// neither has a code the choice is ours, and `docs/dialect/wechat.md` says why.
#[must_use]
pub fn code(refusal: Refusal, endpoint: Option<Endpoint>, profile: Behaviour) -> (i32, &'static str) {
    match refusal {
        Refusal::ApiUnknown => (40066, "invalid url"),
        Refusal::MethodWrong => match endpoint.map(Endpoint::method) {
            Some(Method::POST) => (43002, "require POST method"),
            _ => (43001, "require GET method"),
        },
        Refusal::BodyMissing => (44002, "empty post data"),
        Refusal::BodyMalformed => (47001, "data format error"),
        Refusal::TooLarge => (45002, "content size out of limit"),
        // Ours: a slow line is as temporary as a busy server, and clients try again at -1.
        Refusal::TooSlow => (BUSY, BUSY_MESSAGE),
        Refusal::ClientMissing => (41002, "appid missing"),
        Refusal::SecretMissing => (41004, "appsecret missing"),
        Refusal::FieldMissing | Refusal::FieldIllegal | Refusal::RequestTimeIllegal => {
            (40097, "invalid args")
        }
        Refusal::ClientUnknown => (40013, "invalid appid"),
        Refusal::ClientDisabled | Refusal::CustomerFrozen => (50002, "user limited"),
        Refusal::SecretFrozen => (40243, "appsecret is frozen"),
        Refusal::ProofInvalid | Refusal::KeyUnknown | Refusal::EncryptionInvalid => match profile {
            Behaviour::Page => (40001, "invalid credential, secret is invalid"),
            Behaviour::Observed => (40125, "invalid appsecret"),
        },
        // The answer names the address instead.
        Refusal::AddressNotAllowed(_) => (40164, "invalid ip, not in whitelist"),
        Refusal::AccessDenied => (48001, "api unauthorized"),
        Refusal::GrantTypeUnsupported => (40002, "invalid grant_type"),
        Refusal::QuotaExhausted => (45009, "reach max api daily quota limit"),
        Refusal::RateLimited => (45011, "api minute-quota reach limit, must slower, retry next minute"),
        Refusal::CodeMalformed | Refusal::CodeInvalid => (40029, "invalid code"),
        Refusal::CodeUsed => (40163, "code been used"),
        Refusal::CodeExpired => (42003, "code expired"),
        Refusal::RefreshInvalid | Refusal::RefreshUsed => (40030, "invalid refresh_token"),
        Refusal::RefreshExpired => (42002, "refresh_token expired"),
        Refusal::AccessMissing => (41001, "access_token missing"),
        Refusal::AccessInvalid => (40001, "invalid credential, access_token is invalid or not latest"),
        Refusal::AccessExpired => (42001, "access_token expired"),
        Refusal::CustomerUnknown => (46004, "user no exist"),
    }
}

/// The refusal that `code` stands for, under any profile and at any endpoint; where several share a
/// code, the first of [`Refusal::ALL`].
pub(super) fn refusal_of(errcode: i64) -> Option<Refusal> {
    let profiles = [Behaviour::Page, Behaviour::Observed];
    profiles.into_iter().find_map(|profile| refusal_under(errcode, profile))
}

fn refusal_under(errcode: i64, profile: Behaviour) -> Option<Refusal> {
    let places = [None, Some(Endpoint::StableToken)];
    let says = |refusal, place| i64::from(code(refusal, place, profile).0) == errcode;
    Refusal::ALL.into_iter().find(|refusal| places.iter().any(|place| says(*refusal, *place)))
}

/// The outcome that is answered with `code` under [`profile_of_code`], for the sandbox's fault rules; `None`:
/// no outcome is.
#[must_use]
pub fn outcome_of_code(code: &str) -> Option<Outcome> {
    let errcode: i64 = code.parse().ok()?;
    if errcode == i64::from(BUSY) {
        return Some(Outcome::Unknown);
    }
    refusal_of(errcode).map(Outcome::Refused)
}

/// The profile under which `code` is answered: the default one's, unless only the observed one has it (40125).
#[must_use]
pub fn profile_of_code(code: &str) -> Behaviour {
    let errcode = code.parse().unwrap_or_default();
    match refusal_under(errcode, Behaviour::Page) {
        None if refusal_under(errcode, Behaviour::Observed).is_some() => Behaviour::Observed,
        _ => Behaviour::Page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::in_short::struck;

    #[test]
    fn a_code_reads_back_as_a_refusal_that_is_answered_with_it() {
        for refusal in Refusal::ALL {
            let (errcode, _) = code(refusal, None, Behaviour::Page);
            if errcode != BUSY {
                let read = refusal_of(errcode.into()).unwrap();
                assert_eq!(code(read, None, Behaviour::Page).0, errcode, "{refusal:?}");
            }
        }
        assert_eq!(refusal_of(40125), Some(Refusal::ProofInvalid), "of the observed profile");
    }

    #[test]
    fn a_fault_rule_takes_only_codes_that_will_be_answered() {
        #[rustfmt::skip]
        let cases = [
            ("-1",     Some(None)),
            ("40001",  Some(Some(Refusal::ProofInvalid))),
            ("40013",  Some(Some(Refusal::ClientUnknown))),
            ("43002",  Some(Some(Refusal::MethodWrong))),
            ("45009",  Some(Some(Refusal::QuotaExhausted))),
            ("40125",  Some(Some(Refusal::ProofInvalid))),
            ("0",      None),
            ("99999",  None),
            ("40001x", None),
            ("",       None),
        ];
        for (text, outcome) in cases {
            assert_eq!(outcome_of_code(text).as_ref().map(struck), outcome, "{text}");
        }
    }
}
