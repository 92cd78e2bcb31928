//! What a caller is answered, whatever the dialect.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::ident::{CustomerId, Scope};
use crate::record::Profile;
use crate::secret::{AccessToken, RefreshToken};
use crate::time::Timestamp;

/// The end of every call. Each dialect encodes all three.
pub enum Outcome {
    /// Done.
    Granted(Granted),
    /// Not done, and the caller may know why.
    Refused(Refusal),
    /// The store could not answer: it may or may not have happened. WeChat `-1`, DingTalk 500
    /// `unknownError`, the others status `U`; never a refusal, which would be a lie about a spent code.
    Unknown,
}

impl Outcome {
    /// Its name in the access log and the metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Granted(_) => "granted",
            Self::Refused(refusal) => refusal.name(),
            Self::Unknown => "unknown",
        }
    }
}

/// What was granted.
pub enum Granted {
    /// An app's own token.
    AppToken {
        /// The token.
        token: AccessToken,
        /// How much longer it is good, whole seconds rounded down.
        expires_in: Duration,
    },
    /// A grant's new pair of tokens.
    TokenSet(TokenSet),
    /// `cancelToken`: the tokens are ended.
    Cancelled,
    /// `inquiryUserInfo`: the customer, as far as the scopes go.
    UserInfo {
        /// The customer.
        customer: CustomerId,
        /// What the scopes let the app see; `None` with `auth_base` alone.
        profile: Option<Profile>,
    },
    /// The platform's addresses.
    Addresses(Vec<IpAddr>),
    /// `clear_quota`: done.
    QuotaCleared,
    /// `openapi/quota/get`.
    Quota {
        /// Calls a day.
        daily_limit: u32,
        /// Calls made today.
        used: u32,
    },
    /// A ticket for a page's JSAPI or cards.
    Ticket {
        /// The ticket.
        ticket: AccessToken,
        /// How much longer it is good.
        expires_in: Duration,
    },
}

/// A grant's pair of tokens.
pub struct TokenSet {
    /// What the platform's APIs take.
    pub access: AccessToken,
    /// Until when.
    pub access_expires_at: Timestamp,
    /// How much longer that was when it was decided: a new token has its full life, however long its record
    /// took to be written.
    pub expires_in: Duration,
    /// What the next pair is traded for, once.
    pub refresh: RefreshToken,
    /// Until when.
    pub refresh_expires_at: Timestamp,
    /// Whom the grant is about.
    pub customer: CustomerId,
    /// What was granted; empty where only the platform knows.
    pub scopes: Vec<Scope>,
}

/// Why the issuer says no. One enum for all dialects; each owns the table that turns a refusal into its
/// own code, so a new variant does not compile until all four have answered.
///
/// Plain data: no source, no text from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No such endpoint in this dialect.
    #[error("no such API")]
    ApiUnknown,
    /// GET for POST, or the other way round.
    #[error("wrong method")]
    MethodWrong,
    /// The request has no body where one is needed.
    #[error("body is missing")]
    BodyMissing,
    /// The body is not what its type says, has a key twice, or is not UTF-8.
    #[error("body is malformed")]
    BodyMalformed,
    /// The body, the headers or the target are larger than the listener takes.
    #[error("request is too large")]
    TooLarge,
    /// The body took longer than the listener waits.
    #[error("request took too long")]
    TooSlow,
    /// The client's id is missing.
    #[error("client id is missing")]
    ClientMissing,
    /// The client's secret is missing.
    #[error("client secret is missing")]
    SecretMissing,
    /// Another required field or header is missing.
    #[error("a field is missing")]
    FieldMissing,
    /// A field or a header is too long, of a wrong type, or has a character it may not have.
    #[error("a field is illegal")]
    FieldIllegal,
    /// No such client.
    #[error("client is unknown")]
    ClientUnknown,
    /// The client is disabled.
    #[error("client is disabled")]
    ClientDisabled,
    /// The client's secret is frozen, the client itself is not.
    #[error("client secret is frozen")]
    SecretFrozen,
    /// Wrong secret, or a signature that is missing, unreadable or wrong.
    #[error("proof is invalid")]
    ProofInvalid,
    /// No such key version.
    #[error("key is unknown")]
    KeyUnknown,
    /// The encrypted message can't be read. One answer for every cause.
    #[error("encryption is invalid")]
    EncryptionInvalid,
    /// The request's own time is missing, unreadable, or too far from ours.
    #[error("request time is out of the window")]
    RequestTimeIllegal,
    /// The caller's address is not on the app's allow-list.
    #[error("address is not allowed")]
    AddressNotAllowed(IpAddr),
    /// The app, or the token's scopes, may not use this API.
    #[error("access is denied")]
    AccessDenied,
    /// The grant type is missing, unknown, or not for this app.
    #[error("grant type is not supported")]
    GrantTypeUnsupported,
    /// The day's calls are used up.
    #[error("daily quota is used up")]
    QuotaExhausted,
    /// Too many calls in too short a time.
    #[error("too many calls")]
    RateLimited,
    /// Never issued, or issued to another client. One answer for both: a caller that can't tell them
    /// apart can't search for other people's codes.
    #[error("code is invalid")]
    CodeInvalid,
    /// Not of our making: no server key ever minted it. AlipayHK tells this from [`Self::CodeInvalid`]
    /// ("fulfills the generation logic but invalid"); the others don't.
    #[error("code is malformed")]
    CodeMalformed,
    /// Already exchanged once.
    #[error("code was used")]
    CodeUsed,
    /// Not exchanged in time.
    #[error("code is expired")]
    CodeExpired,
    /// Never issued, issued to another client, or revoked.
    #[error("refresh token is invalid")]
    RefreshInvalid,
    /// Already traded once.
    #[error("refresh token was used")]
    RefreshUsed,
    /// Not traded in time.
    #[error("refresh token is expired")]
    RefreshExpired,
    /// The call needs an access token and has none.
    #[error("access token is missing")]
    AccessMissing,
    /// Never issued, issued to another client, superseded or revoked.
    #[error("access token is invalid")]
    AccessInvalid,
    /// Past its time.
    #[error("access token is expired")]
    AccessExpired,
    /// The customer does not exist any more.
    #[error("customer is unknown")]
    CustomerUnknown,
    /// The customer is frozen.
    #[error("customer is frozen")]
    CustomerFrozen,
}

impl Refusal {
    /// Its name in the access log and the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiUnknown => "api_unknown",
            Self::MethodWrong => "method_wrong",
            Self::BodyMissing => "body_missing",
            Self::BodyMalformed => "body_malformed",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::ClientMissing => "client_missing",
            Self::SecretMissing => "secret_missing",
            Self::FieldMissing => "field_missing",
            Self::FieldIllegal => "field_illegal",
            Self::ClientUnknown => "client_unknown",
            Self::ClientDisabled => "client_disabled",
            Self::SecretFrozen => "secret_frozen",
            Self::ProofInvalid => "proof_invalid",
            Self::KeyUnknown => "key_unknown",
            Self::EncryptionInvalid => "encryption_invalid",
            Self::RequestTimeIllegal => "request_time_illegal",
            Self::AddressNotAllowed(_) => "address_not_allowed",
            Self::AccessDenied => "access_denied",
            Self::GrantTypeUnsupported => "grant_type_unsupported",
            Self::QuotaExhausted => "quota_exhausted",
            Self::RateLimited => "rate_limited",
            Self::CodeInvalid => "code_invalid",
            Self::CodeMalformed => "code_malformed",
            Self::CodeUsed => "code_used",
            Self::CodeExpired => "code_expired",
            Self::RefreshInvalid => "refresh_invalid",
            Self::RefreshUsed => "refresh_used",
            Self::RefreshExpired => "refresh_expired",
            Self::AccessMissing => "access_missing",
            Self::AccessInvalid => "access_invalid",
            Self::AccessExpired => "access_expired",
            Self::CustomerUnknown => "customer_unknown",
            Self::CustomerFrozen => "customer_frozen",
        }
    }
}

impl Refusal {
    /// Every refusal once, in the order above; of a dialect's refusals that share a code, the first is
    /// what the code stands for when it is read back. The address in it is a stand-in.
    pub const ALL: [Self; 34] = [
        Self::ApiUnknown,
        Self::MethodWrong,
        Self::BodyMissing,
        Self::BodyMalformed,
        Self::TooLarge,
        Self::TooSlow,
        Self::ClientMissing,
        Self::SecretMissing,
        Self::FieldMissing,
        Self::FieldIllegal,
        Self::ClientUnknown,
        Self::ClientDisabled,
        Self::SecretFrozen,
        Self::ProofInvalid,
        Self::KeyUnknown,
        Self::EncryptionInvalid,
        Self::RequestTimeIllegal,
        Self::AddressNotAllowed(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Self::AccessDenied,
        Self::GrantTypeUnsupported,
        Self::QuotaExhausted,
        Self::RateLimited,
        Self::CodeInvalid,
        Self::CodeMalformed,
        Self::CodeUsed,
        Self::CodeExpired,
        Self::RefreshInvalid,
        Self::RefreshUsed,
        Self::RefreshExpired,
        Self::AccessMissing,
        Self::AccessInvalid,
        Self::AccessExpired,
        Self::CustomerUnknown,
        Self::CustomerFrozen,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_refusals_has_each_once() {
        let declared = include_str!("outcome.rs").matches("\n    #[error(").count();
        let distinct: std::collections::HashSet<_> = Refusal::ALL.iter().collect();
        assert_eq!((Refusal::ALL.len(), distinct.len()), (declared, declared));
    }
}
