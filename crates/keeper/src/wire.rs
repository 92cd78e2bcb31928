//! What is said to a platform in its dialect, and what its answer means for what we keep.

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use mintkeep_protocol::app::{AppKey, SignatureEncoding};
use mintkeep_protocol::crypto::{RsaPrivateKey, WireKey};
use mintkeep_protocol::dialect::alipay::{self, AnswerCheck, Gateway, Received, Sender, UnsignedRequest};
use mintkeep_protocol::dialect::answer::{Ambiguity, UpstreamAnswer};
use mintkeep_protocol::dialect::{dingtalk, wechat};
use mintkeep_protocol::ident::{CustomerId, Dialect};
use mintkeep_protocol::keep::credential::{Credential, SealedProof, TokenSource};
use mintkeep_protocol::keep::semantics::APP_LIFE_MAX;
use mintkeep_protocol::keep::slot::Trouble;
use mintkeep_protocol::outcome::{Granted, Refusal};
use mintkeep_protocol::request::Ask;
use mintkeep_protocol::secret::{AccessToken, AuthCode, ClientSecret, RefreshToken};
use mintkeep_protocol::time::Timestamp;

use crate::seals::Seals;

/// The offset in which our request times are written, in minutes east of UTC: the pages' own.
const REQUEST_TIME_OFFSET_MIN: i16 = 480;

/// What is asked of a platform.
pub(crate) enum Asking {
    /// The app's own token; with `force`, another one than it has, where the platform can do that.
    AppToken { force: bool },
    /// Tokens for a refresh token.
    Refresh(RefreshToken),
    /// Tokens for a code.
    Code(AuthCode),
}

/// What a credential proves its app by, open.
pub(crate) enum Proof {
    Secret(ClientSecret),
    Key { private: RsaPrivateKey, version: u32, platform: Vec<AppKey> },
}

/// What a platform's answer brings.
pub(crate) enum Reading {
    Tokens(Brought),
    Refused { refusal: Refusal, code: String },
    Unknown { trouble: Trouble, code: Option<String> },
}

/// Tokens as they came.
pub(crate) struct Brought {
    pub(crate) access: AccessToken,
    pub(crate) expires_at: Timestamp,
    /// With its end.
    pub(crate) refresh: Option<(RefreshToken, Timestamp)>,
    pub(crate) customer: Option<CustomerId>,
}

impl Proof {
    /// Opens a credential's proof. Parsing a private key takes a while; not for the event loop.
    pub(crate) fn open(credential: &Credential, seals: &Seals) -> Result<Self, Trouble> {
        let place = Credential::proof_place(credential.no);
        match &credential.proof {
            None => Err(Trouble::CredentialRefused),
            Some(SealedProof::Secret(sealed)) => {
                let bytes = seals.open(&place, sealed).map_err(|_| Trouble::SealBroken)?;
                let text = std::str::from_utf8(&bytes).map_err(|_| Trouble::SealBroken)?;
                Ok(Self::Secret(ClientSecret::new(text.to_owned())))
            }
            Some(SealedProof::Key { private, version, platform }) => {
                let der = seals.open(&place, private).map_err(|_| Trouble::SealBroken)?;
                let private = RsaPrivateKey::from_der(&der).map_err(|_| Trouble::SealBroken)?;
                Ok(Self::Key { private, version: *version, platform: platform.clone() })
            }
        }
    }
}

/// Writes the request, signed where the dialect signs; its target has the base URL's path before it.
///
/// `wire_key` is 32 random bytes, for the credentials that encrypt.
pub(crate) fn encode(
    credential: &Credential,
    proof: &Proof,
    asking: Asking,
    (now, wire_key): (Timestamp, [u8; 32]),
) -> Result<http::Request<Bytes>, Trouble> {
    let unsendable = |_| Trouble::CredentialRefused;
    let prefix = base_path(&credential.base_url);
    match proof {
        Proof::Secret(secret) => {
            let force = matches!(asking, Asking::AppToken { force: true });
            let request = match credential.source {
                TokenSource::WeChatToken => {
                    wechat::encode_request(&credential.app, secret, wechat::TokenCall::Token)
                }
                TokenSource::WeChatStable => {
                    wechat::encode_request(&credential.app, secret, wechat::TokenCall::Stable { force })
                }
                TokenSource::DingTalk => dingtalk::encode_request(&credential.app, secret),
                TokenSource::MiniProgram | TokenSource::AlipayHk => return Err(Trouble::CredentialRefused),
            };
            put_prefix(request.map_err(unsendable)?, prefix)
        }
        Proof::Key { .. } => {
            let gateway = Gateway::of(credential.source.dialect()).ok_or(Trouble::CredentialRefused)?;
            let ask = match asking {
                Asking::Refresh(refresh) => Ask::Refresh(refresh),
                Asking::Code(code) => Ask::ExchangeCode(code),
                Asking::AppToken { .. } => return Err(Trouble::CredentialRefused),
            };
            let sender = sender(credential, now);
            let unsigned =
                alipay::encode_request(gateway, &ask, &sender).map_err(|_| Trouble::CredentialRefused)?;
            sign(unsigned, credential, proof, wire_key)
        }
    }
}

/// Writes a consumer's call of `target` with `body`, signed as the credential's own.
///
/// `wire_key` is as in [`encode`].
pub(crate) fn sign_call(
    credential: &Credential,
    proof: &Proof,
    (target, body): (PathAndQuery, Bytes),
    (now, wire_key): (Timestamp, [u8; 32]),
) -> Result<http::Request<Bytes>, Trouble> {
    let unsigned = alipay::encode_call(target, body, &sender(credential, now));
    sign(unsigned, credential, proof, wire_key)
}

fn sender(credential: &Credential, now: Timestamp) -> Sender<'_> {
    Sender {
        client_id: &credential.app,
        path_prefix: base_path(&credential.base_url),
        at: now,
        offset_min: REQUEST_TIME_OFFSET_MIN,
    }
}

/// Encrypts a request if the credential does, and signs it.
fn sign(
    unsigned: UnsignedRequest,
    credential: &Credential,
    proof: &Proof,
    wire_key: [u8; 32],
) -> Result<http::Request<Bytes>, Trouble> {
    let unsendable = Trouble::CredentialRefused;
    let Proof::Key { private, version, platform } = proof else { return Err(unsendable) };
    let unsigned = if credential.settings.encrypts {
        let key = platform.first().ok_or(unsendable)?;
        unsigned.encrypted(&WireKey::new(wire_key), key).map_err(|_| unsendable)?
    } else {
        unsigned
    };
    let signature = private.sign(&unsigned.text_to_sign()).map_err(|_| unsendable)?;
    Ok(unsigned.signed(*version, &signature, SignatureEncoding::PercentBase64))
}

/// The plain body of the answer to a consumer's call of `target`; `None` if it is not the platform's own.
pub(crate) fn open_answer(
    credential: &Credential,
    proof: &Proof,
    target: &PathAndQuery,
    answer: &http::Response<Bytes>,
) -> Option<Bytes> {
    let Proof::Key { private, platform, .. } = proof else { return None };
    let check = answer_check(credential, (private, platform), target.as_str());
    alipay::open_response(&check, answer)
}

fn answer_check<'c>(
    credential: &'c Credential,
    (private, platform): (&'c RsaPrivateKey, &'c [AppKey]),
    path: &'c str,
) -> AnswerCheck<'c> {
    AnswerCheck { client_id: &credential.app, path, platform_keys: platform, private_key: Some(private) }
}

/// Reads the answer to `request`, which was presented at `asked_at`; now or after it was stored.
pub(crate) fn read(
    credential: &Credential,
    proof: &Proof,
    request: &http::Request<Bytes>,
    answer: &http::Response<Bytes>,
    asked_at: Timestamp,
) -> Reading {
    match (proof, Gateway::of(credential.source.dialect())) {
        (Proof::Key { private, platform, .. }, Some(gateway)) => {
            let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
            let check = answer_check(credential, (private, platform), path);
            let called = (gateway, alipay::Endpoint::ApplyToken);
            let answer = alipay::decode_response(called, &check, answer);
            reading(answer, |received| brought_by_grant(received, asked_at))
        }
        (Proof::Secret(_) | Proof::Key { .. }, _) => {
            let answer = match credential.source.dialect() {
                Dialect::DingTalk => dingtalk::decode_response(answer),
                Dialect::WeChat | Dialect::MiniProgram | Dialect::AlipayHk => wechat::decode_response(answer),
            };
            reading(answer, |granted| brought_by_app(granted, asked_at))
        }
    }
}

/// An app's own token. It is good from when it was asked for, not from when it came: rather a little
/// early than too late.
fn brought_by_app(granted: Granted, asked_at: Timestamp) -> Option<Brought> {
    match granted {
        Granted::AppToken { token, expires_in } => Some(Brought {
            access: token,
            expires_at: asked_at.after(expires_in.min(APP_LIFE_MAX)),
            refresh: None,
            customer: None,
        }),
        Granted::TokenSet(_)
        | Granted::Cancelled
        | Granted::UserInfo { .. }
        | Granted::Addresses(_)
        | Granted::QuotaCleared
        | Granted::Quota { .. }
        | Granted::Ticket { .. } => None,
    }
}

/// How long a customer's access token is taken to live whose answer does not say: little, so that it is
/// soon traded for one whose answer does.
const LIFE_UNSAID: Duration = Duration::from_hours(1);
/// How long its refresh token is: as long as the shortest that we know of.
const REFRESH_LIFE_UNSAID: Duration = Duration::from_hours(72);

/// A customer's token set, or as much of it as came: the one-time token that it was traded for is spent.
fn brought_by_grant(received: Received, asked_at: Timestamp) -> Option<Brought> {
    match received {
        Received::Tokens(tokens) => {
            let refresh_until =
                tokens.refresh_expires_at.unwrap_or_else(|| asked_at.after(REFRESH_LIFE_UNSAID));
            Some(Brought {
                access: tokens.access,
                expires_at: tokens.access_expires_at.unwrap_or_else(|| asked_at.after(LIFE_UNSAID)),
                refresh: tokens.refresh.map(|refresh| (refresh, refresh_until)),
                customer: tokens.customer,
            })
        }
        Received::Cancelled | Received::UserInfo { .. } => None,
    }
}

fn reading<G>(answer: UpstreamAnswer<G>, brought: impl FnOnce(G) -> Option<Brought>) -> Reading {
    const UNREADABLE: Reading = Reading::Unknown { trouble: Trouble::AnswerUnreadable, code: None };
    match answer {
        UpstreamAnswer::Granted(granted) => brought(granted).map_or(UNREADABLE, Reading::Tokens),
        UpstreamAnswer::Ambiguous(Ambiguity::Unreadable) => UNREADABLE,
        UpstreamAnswer::Refused { refusal, said } => {
            Reading::Refused { refusal, code: said.code().to_owned() }
        }
        UpstreamAnswer::Ambiguous(Ambiguity::Busy(said)) => {
            Reading::Unknown { trouble: Trouble::Ambiguous, code: Some(said.code().to_owned()) }
        }
        UpstreamAnswer::Ambiguous(Ambiguity::Status(status)) => {
            Reading::Unknown { trouble: Trouble::Ambiguous, code: Some(format!("HTTP {status}")) }
        }
    }
}

/// The path of a base URL, without a slash at its end; empty where it has none.
pub(crate) fn base_path(base_url: &str) -> &str {
    let after_scheme = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|slash| after_scheme.get(slash..)).unwrap_or_default();
    path.trim_end_matches('/')
}

fn put_prefix(mut request: http::Request<Bytes>, prefix: &str) -> Result<http::Request<Bytes>, Trouble> {
    if !prefix.is_empty() {
        let target = zeroize::Zeroizing::new(format!("{prefix}{}", request.uri()));
        *request.uri_mut() = target.parse().map_err(|_| Trouble::CredentialRefused)?;
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use mintkeep_protocol::dialect::alipay::ReceivedTokens;

    use super::*;

    #[test]
    fn what_a_platform_leaves_unsaid_loses_no_token() {
        const ASKED_AT: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
        let said = Timestamp::from_unix_ms(1_800_000_007_000);
        let hours = |hours| ASKED_AT.after(Duration::from_hours(hours));
        let refresh = || Some(RefreshToken::new("r".to_owned()));
        #[rustfmt::skip]
        let cases = [
            ("all said",        Some(said), refresh(), Some(said), said,     Some(said)),
            ("no ends",         None,       refresh(), None,       hours(1), Some(hours(72))),
            ("no refresh",      Some(said), None,      None,       said,     None),
            ("an end of none",  Some(said), None,      Some(said), said,     None),
        ];
        for (case, access_expires_at, refresh, refresh_expires_at, expires_at, refresh_until) in cases {
            let access = AccessToken::new("a".to_owned());
            let tokens =
                ReceivedTokens { access, access_expires_at, refresh, refresh_expires_at, customer: None };
            let brought = brought_by_grant(Received::Tokens(tokens), ASKED_AT).unwrap();
            assert_eq!(brought.expires_at, expires_at, "{case}");
            assert_eq!(brought.refresh.map(|(_, until)| until), refresh_until, "{case}");
        }
        assert!(brought_by_grant(Received::Cancelled, ASKED_AT).is_none());
    }

    #[test]
    fn an_apps_token_is_not_believed_to_live_for_years() {
        const ASKED_AT: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
        for (said_s, believed_s) in [(7_200, 7_200), (86_400, 86_400), (86_401, 86_400), (u64::MAX, 86_400)] {
            let expires_in = Duration::from_secs(said_s);
            let granted = Granted::AppToken { token: AccessToken::new("a".to_owned()), expires_in };
            let brought = brought_by_app(granted, ASKED_AT).unwrap();
            assert_eq!(brought.expires_at.since(ASKED_AT), Duration::from_secs(believed_s), "{said_s}");
        }
    }

    #[test]
    fn a_base_urls_path_comes_before_the_pages() {
        #[rustfmt::skip]
        let cases = [
            ("https://api.example",          "",     "/cgi-bin/token"),
            ("https://api.example/",         "",     "/cgi-bin/token"),
            ("https://api.example:8443/a/b", "/a/b", "/a/b/cgi-bin/token"),
            ("http://127.0.0.1:7600/a/",     "/a",   "/a/cgi-bin/token"),
        ];
        for (base_url, path, target) in cases {
            assert_eq!(base_path(base_url), path, "{base_url}");
            let request = http::Request::get("/cgi-bin/token").body(Bytes::new()).unwrap();
            assert_eq!(put_prefix(request, path).unwrap().uri(), target, "{base_url}");
        }
    }
}
