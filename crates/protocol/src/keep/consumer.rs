//! Consumers: the keeper's callers, what they prove themselves by and what they may use.

use serde::{Deserialize, Serialize};

use crate::app::AppKey;
use crate::crypto::{Sealed, sha256};
use crate::ident::{ConsumerName, CredentialName, RecordId};
use crate::time::Timestamp;

use super::credential::Pkcs8;

/// A server of the company that takes its tokens from the keeper.
#[derive(Clone, Serialize, Deserialize)]
pub struct Consumer {
    /// The record's number.
    pub no: RecordId,
    /// What it is called. Unique among those that are not revoked.
    pub name: ConsumerName,
    /// Its bearer key.
    pub key: KeyDigest,
    /// The secret it shows to the drop-in endpoints; a key of its own, since WeChat's travels in a URL.
    #[serde(default)]
    pub drop_in_secret: Option<KeyDigest>,
    /// For the drop-in endpoints of the signed dialects.
    #[serde(default)]
    pub drop_in_keys: Option<DropInKeys>,
    /// Which credentials it may use; [`CredentialScope::All`] is for the sandbox and small teams.
    pub credentials: CredentialScope,
    /// What it may do with them.
    pub verbs: Vec<Verb>,
    /// By how many seconds its client library drops a token early, at most; 0: it does not. The drop-in
    /// endpoints tell it of so many and up to a minute more, even of a token with less to live: then it
    /// neither asks for every call nor keeps a copy past its end.
    #[serde(default)]
    pub margin_floor_s: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked; the record stays for a while, so that every replica hears of it.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
    /// Counts changes; the guard of every change. 0: not stored yet.
    #[serde(skip)]
    pub revision: i64,
}

/// SHA-256 of a key that we drew ourselves.
///
/// A key has 256 random bits, so its digest gives nothing away and needs no key of its own; it outlives
/// any rotation of the master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    /// The digest of `key`.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(sha256(key.as_bytes()))
    }
}

/// The key pairs of a consumer that speaks a signed dialect to us.
#[derive(Clone, Serialize, Deserialize)]
pub struct DropInKeys {
    /// Its own public keys, by `keyVersion`.
    pub consumer: Vec<AppKey>,
    /// The key that our answers to it are signed with.
    pub answers: Sealed<Pkcs8>,
}

/// Which credentials a consumer may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialScope {
    /// These.
    Named(Vec<CredentialName>),
    /// All.
    All,
}

/// What a consumer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Read tokens, watch them, list customers.
    Read,
    /// Report a token dead.
    Report,
    /// Exchange codes.
    Exchange,
    /// Have a customer's tokens forgotten.
    Forget,
    /// Call the platform through the proxy.
    Proxy,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Read, Self::Report, Self::Exchange, Self::Forget, Self::Proxy];
}

impl Consumer {
    /// Whether it may do `verb` with `credential`.
    #[must_use]
    pub fn may(&self, verb: Verb, credential: &CredentialName) -> bool {
        let named = match &self.credentials {
            CredentialScope::All => true,
            CredentialScope::Named(names) => names.contains(credential),
        };
        self.revoked_at.is_none() && named && self.verbs.contains(&verb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_may_do_its_verbs_with_its_credentials_and_nothing_once_revoked() {
        let name = |text| CredentialName::parse(text).unwrap();
        let mut consumer = Consumer {
            no: RecordId::from_number(1),
            name: ConsumerName::parse("shop").unwrap(),
            key: KeyDigest::of("key"),
            drop_in_secret: None,
            drop_in_keys: None,
            credentials: CredentialScope::Named(vec![name("mine")]),
            verbs: vec![Verb::Read],
            margin_floor_s: 0,
            created_at: Timestamp::from_unix_ms(0),
            revoked_at: None,
            revision: 0,
        };
        assert!(consumer.may(Verb::Read, &name("mine")));
        assert!(!consumer.may(Verb::Report, &name("mine")), "another verb");
        assert!(!consumer.may(Verb::Read, &name("other")), "another credential");
        consumer.credentials = CredentialScope::All;
        assert!(consumer.may(Verb::Read, &name("other")));
        consumer.revoked_at = Some(Timestamp::from_unix_ms(1));
        assert!(!consumer.may(Verb::Read, &name("mine")), "revoked");
    }
}
