//! Who the customer is: the wallet's business, told by a short token that the wallet signed.
//!
//! A JSON Web Token (RFC 7519) under RS256: `iss` the wallet's service id, `sub` the customer's id, `aud`
//! our public URL, `exp` at most two minutes ahead, `jti` a nonce that is good once.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mintkeep_protocol::crypto::{RsaKeyRejected, RsaPrivateKey, RsaPublicKey, sha256};
use mintkeep_protocol::ident::{CustomerId, ServiceId};
use mintkeep_protocol::record::SpentNonce;
use mintkeep_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How far ahead an assertion's end may be at most. Ours; a wallet does well to take one minute.
///
/// Short, because so long it is worth stealing, and the store remembers its nonce.
pub const ASSERTION_LIFE_MAX: Duration = Duration::from_mins(2);

/// Longest assertion that is looked at, in bytes.
const ASSERTION_BYTES_MAX: usize = 4_096;

/// How long a nonce may be, in characters.
const NONCE_CHARS: std::ops::RangeInclusive<usize> = 8..=128;

/// Why an assertion is not believed. Told to the operator's log, not to the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionRejected {
    /// Not three parts of base64url, or not the members that are wanted.
    #[error("the assertion is not a token of iss, sub, aud, exp and jti")]
    Malformed,
    /// Signed by another algorithm, or not at all.
    #[error("the assertion's alg is not RS256")]
    AlgorithmWrong,
    /// `iss` is no wallet that has an assertion key.
    #[error("the assertion's iss is no wallet with an assertion key")]
    WalletUnknown,
    /// Not the wallet's signature.
    #[error("the assertion's signature is not the wallet's")]
    SignatureWrong,
    /// Meant for another server.
    #[error("the assertion's aud is not this issuer's public URL")]
    AudienceWrong,
    /// Past its end.
    #[error("the assertion has expired")]
    Expired,
    /// Its end is too far ahead.
    #[error("the assertion's exp is more than two minutes ahead")]
    TooLong,
    /// Its nonce was used.
    #[error("the assertion was used before")]
    Used,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    jti: String,
}

/// An assertion that can be read. Nothing in it is believed yet but whom to ask for a key.
pub struct Presented<'t> {
    /// Who says that they made it.
    pub wallet: ServiceId,
    claims: Claims,
    signed: &'t str,
    signature: Vec<u8>,
}

/// What a good assertion says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asserted {
    /// The wallet that vouches.
    pub wallet: ServiceId,
    /// For whom.
    pub customer: CustomerId,
    /// What to spend with it: names this assertion among all of all wallets.
    pub nonce: SpentNonce,
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, AssertionRejected> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| AssertionRejected::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| AssertionRejected::Malformed)
}

impl<'t> Presented<'t> {
    /// Reads an assertion without believing it.
    ///
    /// # Errors
    ///
    /// [`AssertionRejected::Malformed`], [`AssertionRejected::AlgorithmWrong`].
    pub fn read(token: &'t str) -> Result<Self, AssertionRejected> {
        use AssertionRejected::{AlgorithmWrong, Malformed};
        if token.len() > ASSERTION_BYTES_MAX {
            return Err(Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Malformed)?;
        if part::<Header>(header)?.alg != "RS256" {
            return Err(AlgorithmWrong);
        }
        let claims: Claims = part(claims)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Malformed)?;
        let wallet = ServiceId::parse(&claims.iss).map_err(|_| Malformed)?;
        Ok(Self { wallet, claims, signed, signature })
    }

    /// Decides whether to believe it, given the wallet's key. Whether the nonce was used is still to be asked.
    ///
    /// # Errors
    ///
    /// In this order: [`AssertionRejected::SignatureWrong`], [`AssertionRejected::AudienceWrong`],
    /// [`AssertionRejected::Expired`], [`AssertionRejected::TooLong`], [`AssertionRejected::Malformed`].
    pub fn verify(
        &self,
        key: &RsaPublicKey,
        audience: &str,
        now: Timestamp,
    ) -> Result<Asserted, AssertionRejected> {
        if !key.verify(self.signed.as_bytes(), &self.signature) {
            return Err(AssertionRejected::SignatureWrong);
        }
        if self.claims.aud != audience {
            return Err(AssertionRejected::AudienceWrong);
        }
        let end = Timestamp::from_unix_ms(self.claims.exp.saturating_mul(1_000));
        if now >= end {
            return Err(AssertionRejected::Expired);
        }
        if end > now.after(ASSERTION_LIFE_MAX) {
            return Err(AssertionRejected::TooLong);
        }
        if !NONCE_CHARS.contains(&self.claims.jti.len()) {
            return Err(AssertionRejected::Malformed);
        }
        let customer = CustomerId::parse(&self.claims.sub).map_err(|_| AssertionRejected::Malformed)?;
        // An id has no slash, so no two wallets' nonces meet.
        let digest = sha256(format!("{}/{}", self.wallet, self.claims.jti).as_bytes());
        let nonce = SpentNonce { digest, expires_at: end };
        Ok(Asserted { wallet: self.wallet.clone(), customer, nonce })
    }
}

/// Makes an assertion, as a wallet does: the sandbox's stand-in wallet, and tests.
///
/// `ends_s` is in seconds since the Unix epoch.
///
/// # Errors
///
/// [`RsaKeyRejected`] if the key can't sign.
pub fn sign(
    key: &RsaPrivateKey,
    (wallet, customer): (&str, &str),
    audience: &str,
    (ends_s, nonce): (i64, &str),
) -> Result<String, RsaKeyRejected> {
    let header = serde_json::json!({ "alg": "RS256", "typ": "JWT" }).to_string();
    let claims =
        serde_json::json!({ "iss": wallet, "sub": customer, "aud": audience, "exp": ends_s, "jti": nonce });
    let signed = [header, claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIENCE: &str = "https://id.example";
    const NOW_S: i64 = 1_800_000_000;

    fn verdict(token: &str, key: &RsaPublicKey) -> Result<Asserted, AssertionRejected> {
        Presented::read(token)?.verify(key, AUDIENCE, Timestamp::from_unix_ms(NOW_S * 1_000))
    }

    #[test]
    fn an_assertion_is_believed_only_within_its_time_for_this_issuer_under_the_wallets_key() {
        use AssertionRejected::{AudienceWrong, Expired, Malformed, SignatureWrong, TooLong};
        let (wallets, strangers) = (RsaPrivateKey::generate().unwrap(), RsaPrivateKey::generate().unwrap());
        #[rustfmt::skip]
        let cases = [
            ("usual",           &wallets,   "2160000000000001", AUDIENCE,             NOW_S + 60,  "nonce-01", None),
            ("longest",         &wallets,   "2160000000000001", AUDIENCE,             NOW_S + 120, "nonce-01", None),
            ("a second longer", &wallets,   "2160000000000001", AUDIENCE,             NOW_S + 121, "nonce-01", Some(TooLong)),
            ("last second",     &wallets,   "2160000000000001", AUDIENCE,             NOW_S + 1,   "nonce-01", None),
            ("at its end",      &wallets,   "2160000000000001", AUDIENCE,             NOW_S,       "nonce-01", Some(Expired)),
            ("absurd end",      &wallets,   "2160000000000001", AUDIENCE,             i64::MAX,    "nonce-01", Some(TooLong)),
            ("elsewhere",       &wallets,   "2160000000000001", "https://id.example/", NOW_S + 60, "nonce-01", Some(AudienceWrong)),
            ("stranger's key",  &strangers, "2160000000000001", AUDIENCE,             NOW_S + 60,  "nonce-01", Some(SignatureWrong)),
            ("no customer",     &wallets,   "",                 AUDIENCE,             NOW_S + 60,  "nonce-01", Some(Malformed)),
            ("short nonce",     &wallets,   "2160000000000001", AUDIENCE,             NOW_S + 60,  "nonce-1",  Some(Malformed)),
        ];
        for (case, key, customer, audience, ends_s, nonce, rejected) in cases {
            let token = sign(key, ("wallet", customer), audience, (ends_s, nonce)).unwrap();
            assert_eq!(verdict(&token, wallets.public()).err(), rejected, "{case}");
        }
    }

    #[test]
    fn the_algorithm_is_not_the_tokens_to_choose() {
        use AssertionRejected::{AlgorithmWrong, Malformed, SignatureWrong};
        let key = RsaPrivateKey::generate().unwrap();
        let token = sign(&key, ("wallet", "1"), AUDIENCE, (NOW_S + 60, "nonce-01")).unwrap();
        let claims = token.split('.').nth(1).unwrap();
        let with = |header: &str, signature: &str| {
            format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header))
        };
        #[rustfmt::skip]
        let cases = [
            ("none",           with(r#"{"alg":"none"}"#, ""),                  AlgorithmWrong),
            ("HS256",          with(r#"{"alg":"HS256"}"#, "AAAA"),             AlgorithmWrong),
            ("no signature",   with(r#"{"alg":"RS256"}"#, ""),                 SignatureWrong),
            ("two algorithms", with(r#"{"alg":"none","alg":"RS256"}"#, ""),    Malformed),
            ("two parts",      "e30.e30".to_owned(),                           Malformed),
            ("four parts",     format!("{token}.AAAA"),                        Malformed),
            ("too long",       with(&format!(r#"{{"alg":"RS256"{}}}"#, " ".repeat(ASSERTION_BYTES_MAX)), ""), Malformed),
        ];
        for (case, token, rejected) in cases {
            assert_eq!(verdict(&token, key.public()).unwrap_err(), rejected, "{case}");
        }
    }

    #[test]
    fn two_wallets_may_draw_the_same_nonce() {
        let key = RsaPrivateKey::generate().unwrap();
        let nonce_of = |wallet| {
            let token = sign(&key, (wallet, "1"), AUDIENCE, (NOW_S + 60, "nonce-01")).unwrap();
            verdict(&token, key.public()).unwrap().nonce.digest
        };
        assert_eq!(nonce_of("one"), nonce_of("one"));
        assert_ne!(nonce_of("one"), nonce_of("two"));
    }
}
