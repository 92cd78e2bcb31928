//! What a caller asks, whatever the dialect.

use crate::crypto::{half_sha256, sha256};
use crate::ident::AppId;
use crate::outcome::Refusal;
use crate::secret::{AccessToken, AuthCode, ClientSecret, RefreshToken};
use crate::time::Timestamp;
use crate::token::TokenKind;

/// Names one request: in our logs, in the audit, and in the answer, in whatever form its dialect has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    at: Timestamp,
    random: u64,
}

impl RequestId {
    /// Names a request that came at `at`.
    #[must_use]
    pub const fn new(at: Timestamp, random: u64) -> Self {
        Self { at, random }
    }

    /// The same as an upper-case UUID of version 7, as DingTalk writes it.
    #[must_use]
    pub fn to_uuid(self) -> String {
        let unix_ms = u64::try_from(self.at.unix_ms()).unwrap_or(0);
        let high = self.random >> 32;
        let mut text = [b'-'; 36];
        write_hex(&mut text, (0, 8), unix_ms >> 16, b'A');
        write_hex(&mut text, (9, 4), unix_ms, b'A');
        write_hex(&mut text, (14, 4), 0x7000 | (high >> 20), b'A');
        write_hex(&mut text, (19, 4), 0x8000 | ((high >> 6) & 0x3fff), b'A');
        write_hex(&mut text, (24, 4), high, b'A');
        write_hex(&mut text, (28, 8), self.random, b'A');
        String::from_utf8(text.to_vec()).unwrap_or_default()
    }

    /// `8hex-8hex-8hex`, the first block the Unix time in seconds: WeChat's `rid`, and the form in our logs.
    #[must_use]
    pub fn to_text(self) -> [u8; 26] {
        let mut text = [b'-'; 26];
        write_hex(&mut text, (0, 8), self.at.unix_s().cast_unsigned(), b'a');
        write_hex(&mut text, (9, 8), self.random >> 32, b'a');
        write_hex(&mut text, (18, 8), self.random, b'a');
        text
    }
}

/// Writes the lowest `count` hexadecimal digits of `number` from place `start` on; `ten` is the digit of ten.
///
/// Every request's line has such a number, which is why it doesn't go through a formatter.
fn write_hex(text: &mut [u8], (start, count): (usize, usize), number: u64, ten: u8) {
    let mut rest = number;
    for place in text.iter_mut().skip(start).take(count).rev() {
        let digit = u8::try_from(rest & 0xf).unwrap_or_default();
        *place = if digit < 10 { b'0' | digit } else { ten.wrapping_sub(10).wrapping_add(digit) };
        rest >>= 4;
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

/// A decoded request.
///
/// `ask` is judged only after the caller has proved itself, so a stranger learns nothing from what is
/// wrong with it.
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// What for, or what is wrong with the request's fields.
    pub ask: Result<Ask, Refusal>,
}

/// Who asks, and by what it proves that.
pub enum Caller {
    /// An app, by its secret or signature.
    Client {
        /// The app.
        id: AppId,
        /// Its proof, not yet checked.
        proof: ClientProof,
    },
    /// Whoever holds this access token.
    Bearer(AccessToken),
}

/// By what a client proves itself.
pub enum ClientProof {
    /// A shared secret (WeChat, DingTalk).
    Secret(ClientSecret),
    /// A signature over the whole request (the Alipay family).
    Signature(RequestSignature),
    /// None that could be checked: it is missing or can't be read. The refusal says which, and is told
    /// only once the client is known (WeChat: an unknown `appid` is told before a missing `secret`).
    Unusable(Refusal),
}

/// A signed request's signature and what it covers.
pub struct RequestSignature {
    /// Which of the app's keys; `None`: the latest.
    pub key_version: Option<u32>,
    /// The string to sign, over the raw bytes as received.
    pub signed_text: Vec<u8>,
    /// The signature, decoded.
    pub signature: Vec<u8>,
    /// The request's own time; `None` if it can't be read, which is told only after the signature
    /// holds, like a time out of the window.
    pub request_time: Option<Timestamp>,
}

impl RequestSignature {
    /// What is equal only for a byte-identical signed request.
    #[must_use]
    pub fn digest(&self) -> RequestDigest {
        RequestDigest(half_sha256(&[sha256(&self.signed_text), sha256(&self.signature)].concat()))
    }
}

/// Names one signed request. Kept with the grant, to know the request again when it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest(pub [u8; 16]);

/// What is asked for.
pub enum Ask {
    /// An app's own token (WeChat, DingTalk).
    AppToken {
        /// Which of its pools: [`TokenKind::WeChatToken`], [`TokenKind::WeChatStable`] or [`TokenKind::DingTalkToken`].
        pool: TokenKind,
        /// `force_refresh` of WeChat's `stable_token`; `false` elsewhere.
        force: bool,
    },
    /// A token set for an authorization code.
    ExchangeCode(AuthCode),
    /// A token set for a refresh token.
    Refresh(RefreshToken),
    /// The end of an access token and of its refresh token (`cancelToken`).
    CancelToken(AccessToken),
    /// What the granted scopes let the app know of the customer (`inquiryUserInfo`).
    UserInfo(AccessToken),
    /// WeChat `get_api_domain_ip` and `getcallbackip`: the platform's addresses.
    PlatformAddresses,
    /// WeChat `clear_quota`: all of the app's daily counts start anew.
    ClearQuota(AppId),
    /// WeChat `openapi/quota/get`: how much of a daily quota is used.
    QuotaOf {
        /// The pool whose endpoint was named; `None`: an endpoint without a quota of ours.
        pool: Option<TokenKind>,
    },
    /// DingTalk `jsapiTickets` and `get_jsapi_ticket`, WeChat `ticket/getticket`.
    Ticket {
        /// [`TokenKind::Ticket`] or [`TokenKind::CardTicket`].
        kind: TokenKind,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_has_each_dialects_form() {
        let id = RequestId::new(Timestamp::from_unix_ms(0x6aac_005a * 1000), 0x01bf_dbee_7976_9285);
        assert_eq!(id.to_string(), "6aac005a-01bfdbee-79769285");
        assert_eq!(id.to_uuid(), "01A0AFE1-5F90-701B-BF6F-DBEE79769285");
    }
}
