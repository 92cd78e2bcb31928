//! What a caller asks, whatever the dialect.

use crate::crypto::sha256;
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
        let unix_ms = u64::try_from(self.at.unix_ms()).unwrap_or(0) & 0xffff_ffff_ffff;
        let [high, low] = [self.random >> 32, self.random & 0xffff_ffff];
        format!(
            "{:08X}-{:04X}-7{:03X}-{:04X}-{:04X}{low:08X}",
            unix_ms >> 16,
            unix_ms & 0xffff,
            high >> 20,
            0x8000 | ((high >> 6) & 0x3fff),
            high & 0xffff,
        )
    }
}

impl RequestId {
    /// `8hex-8hex-8hex`, the first block the Unix time in seconds: WeChat's `rid`, and the form in our logs.
    ///
    /// Every request's line has it, which is why it doesn't go through a formatter.
    #[must_use]
    pub fn to_text(self) -> [u8; 26] {
        let low_half = |number: u64| u32::try_from(number & 0xffff_ffff).unwrap_or_default();
        let seconds = low_half(self.at.unix_s().cast_unsigned());
        let mut text = [b'-'; 26];
        for (block, word) in [seconds, low_half(self.random >> 32), low_half(self.random)].iter().enumerate()
        {
            for (digit, place) in text.iter_mut().skip(block.saturating_mul(9)).take(8).enumerate() {
                let shift = u32::try_from(digit).unwrap_or_default().saturating_mul(4);
                let nibble = u8::try_from((word << shift) >> 28).unwrap_or_default();
                *place = if nibble < 10 { b'0' | nibble } else { b'a'.wrapping_sub(10).wrapping_add(nibble) };
            }
        }
        text
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
        let digest = sha256(&[sha256(&self.signed_text), sha256(&self.signature)].concat());
        let (half, _) = digest.split_at(16);
        RequestDigest(half.try_into().unwrap_or_default())
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
    /// DingTalk `jsapiTickets`.
    Ticket,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_has_each_dialects_form() {
        let id = RequestId::new(Timestamp::from_unix_ms(0x6aac_005a * 1000), 0x01bf_dbee_7976_9285);
        assert_eq!(id.to_string(), "6aac005a-01bfdbee-79769285");
        let uuid = id.to_uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!((&uuid[14..15], &uuid[28..]), ("7", "79769285"));
        assert!(matches!(&uuid[19..20], "8" | "9" | "A" | "B"));
    }
}
