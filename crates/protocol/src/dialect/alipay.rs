//! The gateway family that Mini Program OpenAPI V1 and AlipayHK belong to: what both share.
//!
//! What differs (paths, codes, messages) is in [`super::miniprogram`] and [`super::alipayhk`].
//!
//! The issuer's side of one call, in the order that `protocols/miniprogram.md` asks for:
//!
//! 1. [`Echo::of`] keeps what every answer repeats, good or bad.
//! 2. [`decode_head`] checks method, path and `Client-Id`. What else is wrong is kept, not told yet.
//! 3. The issuer loads the app; [`SignedCall::signature`] gives what it must check.
//! 4. After the proof holds, [`SignedCall::body`] and [`SignedCall::ask`] tell what is asked.
//! 5. [`answer`] makes the answer, which is then signed, off the event loop, and finished.
//!
//! The keeper's side: [`encode_request`] and [`decode_response`]; for a caller's own calls [`put_token`],
//! [`encode_call`] and [`open_response`].

mod answer;
mod ask;
mod base64_forms;
mod body;
mod call;
mod client;
mod customer_token;
mod fields;
mod instant;
mod message;
mod pairs;
mod result;
mod verdict;

pub use answer::{Echo, UnsignedAnswer, answer};
pub use body::{EncryptedBody, OpenedBody, SignedBody};
pub use call::{SignedCall, decode_head};
pub use client::{RequestFault, Sender, UnsignedRequest, encode_call, encode_request};
pub use customer_token::{BodyFault, put_token, says_done, says_token_is_dead};
pub use instant::{format_instant, parse_instant};
pub use message::text_to_sign;
pub use result::{ResultRow, ResultStatus};
pub use verdict::{AnswerCheck, Received, ReceivedTokens, decode_response, open_response};

use http::HeaderName;

use super::{alipayhk, miniprogram};
use crate::ident::Dialect;
use crate::outcome::{Outcome, Refusal};

/// Names the merchant's app and its keys; echoed unchanged.
pub const CLIENT_ID: HeaderName = HeaderName::from_static("client-id");
/// When the request was made; part of its string to sign.
pub const REQUEST_TIME: HeaderName = HeaderName::from_static("request-time");
/// When the answer was made; part of its string to sign.
pub const RESPONSE_TIME: HeaderName = HeaderName::from_static("response-time");
/// The signature and which key made it.
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// The symmetric key of an encrypted body, encrypted itself.
pub const ENCRYPT: HeaderName = HeaderName::from_static("encrypt");
/// Names the request in the answer.
pub const TRACER_ID: HeaderName = HeaderName::from_static("tracer-id");

/// Which member of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gateway {
    /// Mini Program OpenAPI V1.
    MiniProgram,
    /// AlipayHK.
    AlipayHk,
}

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Trades a code or a refresh token for a token set.
    ApplyToken,
    /// Ends an access token and its refresh token.
    CancelToken,
    /// Tells what the granted scopes let the app know of the customer.
    UserInfo,
}

impl Gateway {
    /// The members, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::MiniProgram, Self::AlipayHk];

    /// The member that speaks `dialect`, if it is of the family.
    #[must_use]
    pub const fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::MiniProgram => Some(Self::MiniProgram),
            Dialect::AlipayHk => Some(Self::AlipayHk),
            Dialect::WeChat | Dialect::DingTalk => None,
        }
    }

    /// The dialect that it speaks.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::MiniProgram => Dialect::MiniProgram,
            Self::AlipayHk => Dialect::AlipayHk,
        }
    }

    /// Every path and what it leads to. An endpoint's first path is the one that the keeper calls.
    #[must_use]
    pub const fn endpoints(self) -> &'static [(&'static str, Endpoint)] {
        match self {
            Self::MiniProgram => &miniprogram::ENDPOINTS,
            Self::AlipayHk => &alipayhk::ENDPOINTS,
        }
    }

    /// `path` as the pages write it. Wallets of the Mini Program family, and so their clients, also write it with
    /// `.htm` at its end.
    #[must_use]
    pub fn plain(self, path: &str) -> &str {
        match self {
            Self::MiniProgram => path.strip_suffix(".htm").unwrap_or(path),
            Self::AlipayHk => path,
        }
    }

    /// What `path` leads to.
    #[must_use]
    pub fn endpoint(self, path: &str) -> Option<Endpoint> {
        let path = self.plain(path);
        self.endpoints().iter().find(|(known, _)| *known == path).map(|(_, endpoint)| *endpoint)
    }

    /// Where `endpoint` is; `None` if this member has none.
    #[must_use]
    pub fn path(self, endpoint: Endpoint) -> Option<&'static str> {
        self.endpoints().iter().find(|(_, known)| *known == endpoint).map(|(path, _)| *path)
    }

    /// The `result` of an outcome.
    #[must_use]
    pub const fn result_of(self, outcome: &Outcome) -> ResultRow {
        match (self, outcome) {
            (Self::MiniProgram, Outcome::Granted(_)) => miniprogram::SUCCESS,
            (Self::AlipayHk, Outcome::Granted(_)) => alipayhk::SUCCESS,
            (_, Outcome::Refused(refusal)) => self.result_of_refusal(*refusal),
            (_, Outcome::Unknown) => self.unknown(),
        }
    }

    /// The `result` of a refusal.
    #[must_use]
    pub const fn result_of_refusal(self, refusal: Refusal) -> ResultRow {
        match self {
            Self::MiniProgram => miniprogram::result_of(refusal),
            Self::AlipayHk => alipayhk::result_of(refusal),
        }
    }

    /// The `result` when it is unknown whether the call did what it asked for.
    #[must_use]
    pub const fn unknown(self) -> ResultRow {
        match self {
            Self::MiniProgram => miniprogram::UNKNOWN,
            Self::AlipayHk => alipayhk::UNKNOWN,
        }
    }

    /// The outcome that is answered with `code`: what the sandbox's fault rules play, and what the
    /// keeper takes a platform's code for. `None` for success and for a code that is not of this member.
    #[must_use]
    pub fn outcome_of_code(self, code: &str) -> Option<Outcome> {
        if self.unknown().code == code {
            return Some(Outcome::Unknown);
        }
        let mut meanings = result::MEANINGS.into_iter();
        meanings.find(|refusal| self.result_of_refusal(*refusal).code == code).map(Outcome::Refused)
    }
}

#[cfg(test)]
mod input_tests;
#[cfg(test)]
mod tests;
