//! Slots: one token each, with what is known of it and who is renewing it.

use serde::{Deserialize, Serialize};

use crate::crypto::{Sealed, sha256};
use crate::ident::{CustomerId, RecordId};
use crate::time::Timestamp;

use super::intent::Intent;

/// Names a slot: a credential's own token, or the tokens of one of its customers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SlotKey {
    /// The credential's record.
    pub credential: RecordId,
    /// The customer, in the dialects whose tokens are a customer's.
    pub customer: Option<CustomerId>,
}

impl SlotKey {
    /// The place that the slot's tokens, requests and answers are sealed for.
    #[must_use]
    pub fn place(&self) -> String {
        let customer = self.customer.as_ref().map_or("", CustomerId::as_str);
        format!("slot/{}/{customer}", self.credential)
    }
}

/// Counts who held the lease of a slot. Every taking of it adds one, so whoever was overtaken knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseFence(pub i64);

impl LeaseFence {
    /// The next holder's.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Names the token that a slot holds: the fence of the lease that obtained it. It only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenVersion(pub i64);

/// Names one process that may hold leases; drawn anew at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HolderId(pub u64);

/// Half of the SHA-256 of a token, to know it again when somebody reports it dead.
///
/// A platform's token is long and random, so a plain digest gives nothing away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenDigest(pub [u8; 16]);

impl TokenDigest {
    /// The digest of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let digest = sha256(token.as_bytes());
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// The access and the refresh token of a slot under seal.
pub enum Tokens {}

/// What a slot holds.
#[derive(Clone, Serialize, Deserialize)]
pub struct Held {
    /// Which of the slot's tokens it is.
    pub version: TokenVersion,
    /// To know the access token again.
    pub digest: TokenDigest,
    /// The access token and, where there is one, the refresh token; sealed for [`SlotKey::place`].
    pub tokens: Sealed<Tokens>,
    /// When it was asked for.
    pub obtained_at: Timestamp,
    /// The access token is good while `now < expires_at`.
    pub expires_at: Timestamp,
    /// Until when the refresh token can be traded; `None`: there is none.
    pub refresh_expires_at: Option<Timestamp>,
}

/// A token that a slot held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Which it was.
    pub version: TokenVersion,
    /// To know it again.
    pub digest: TokenDigest,
}

/// What is being done about a slot's next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Upkeep {
    /// Nothing, until then.
    Idle {
        /// When to renew.
        renew_at: Timestamp,
    },
    /// The holder of the lease is at it.
    Renewing {
        /// Who.
        by: HolderId,
        /// Since when, by its clock. For people only: leases do not run by anybody's clock.
        since: Timestamp,
    },
    /// It failed, and is tried again.
    Backoff {
        /// When.
        until: Timestamp,
        /// Why it failed.
        because: Trouble,
    },
    /// The customer must authorize anew: only a code's exchange gives the next token.
    NeedsConsent {
        /// Since when.
        since: Timestamp,
        /// Why.
        because: Trouble,
    },
    /// An operator must look at it.
    NeedsOperator {
        /// Since when.
        since: Timestamp,
        /// Why.
        because: Trouble,
        /// When it is tried again all the same; `None`: not before the operator says so.
        retry_at: Option<Timestamp>,
    },
}

/// What went wrong with a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The platform could not be reached; nothing was sent.
    #[error("the platform could not be reached")]
    NotSent,
    /// The answer was lost, or says itself that it knows nothing.
    #[error("the platform's answer is not known")]
    Ambiguous,
    /// A one-time token or code was presented and nobody knows what became of it.
    #[error("a one-time token was presented and its answer is lost")]
    InDoubt,
    /// The platform refused the credential itself.
    #[error("the platform refused the credential: check its id, secret, keys and allow-list")]
    CredentialRefused,
    /// The platform refused the refresh token, or it is past its time.
    #[error("the refresh token is not good any more")]
    RefreshRefused,
    /// The platform says: too many calls.
    #[error("the platform limits the rate of calls")]
    RateLimited,
    /// Our own ledger says: too many calls today.
    #[error("the day's calls to the platform are used up")]
    QuotaExhausted,
    /// The platform refused for another reason.
    #[error("the platform refused the request")]
    Refused,
    /// The platform's answer can't be read, or is not signed by its key.
    #[error("the platform's answer can't be trusted or read")]
    AnswerUnreadable,
    /// Somebody asked for the tokens to be forgotten.
    #[error("the tokens were forgotten on request")]
    Forgotten,
    /// Our own store could not answer.
    #[error("the keeper's store did not answer")]
    Store,
    /// What is sealed can't be opened: the master key is missing.
    #[error("sealed under a master key that is not here")]
    SealBroken,
}

/// One slot as the store keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Slot {
    /// Which.
    pub key: SlotKey,
    /// Its token.
    pub held: Option<Held>,
    /// The tokens before it, the latest first, at most [`Slot::PAST_MAX`].
    #[serde(default)]
    pub past: Vec<Past>,
    /// What is being done about the next one.
    pub upkeep: Upkeep,
    /// How many renewals failed since the last one that did not.
    #[serde(default)]
    pub failures: u32,
    /// Whoever takes the lease takes the next fence.
    #[serde(default)]
    pub fence: LeaseFence,
    /// What was presented to the platform and is not settled yet.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// Counts changes; the guard of every change. 0: not stored yet.
    #[serde(skip)]
    pub revision: i64,
}

impl Slot {
    /// How many earlier tokens are remembered, to tell a late report from a wrong one.
    pub const PAST_MAX: usize = 8;

    /// A slot that holds nothing yet and is due at once.
    #[must_use]
    pub const fn empty(key: SlotKey, now: Timestamp) -> Self {
        Self {
            key,
            held: None,
            past: Vec::new(),
            upkeep: Upkeep::Idle { renew_at: now },
            failures: 0,
            fence: LeaseFence(0),
            intent: None,
            revision: 0,
        }
    }

    /// The slot under a lease of `by`. The store makes it durable, if nobody was faster.
    #[must_use]
    pub fn leased(&self, by: HolderId, now: Timestamp) -> Self {
        Self { fence: self.fence.next(), upkeep: Upkeep::Renewing { by, since: now }, ..self.clone() }
    }

    /// Its token, if it is good at `now`.
    #[must_use]
    pub fn good(&self, now: Timestamp) -> Option<&Held> {
        self.held.as_ref().filter(|held| now < held.expires_at)
    }

    /// Whether there is an answer that nobody has read yet.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.intent.as_ref().is_some_and(|intent| intent.answer.is_some())
    }

    /// Puts `held` in, and what was there before among the past.
    #[must_use]
    pub fn with_held(mut self, held: Held) -> Self {
        if let Some(before) = self.held.take()
            && before.version != held.version
        {
            self.past.insert(0, Past { version: before.version, digest: before.digest });
            self.past.truncate(Self::PAST_MAX);
        }
        self.held = Some(held);
        self
    }
}

impl Upkeep {
    /// When the timetable should look at the slot again; `None`: not by itself.
    #[must_use]
    pub const fn due_at(&self) -> Option<Timestamp> {
        match self {
            Self::Idle { renew_at } => Some(*renew_at),
            Self::Backoff { until, .. } => Some(*until),
            Self::NeedsOperator { retry_at, .. } => *retry_at,
            Self::Renewing { .. } | Self::NeedsConsent { .. } => None,
        }
    }

    /// What is wrong, if anything is.
    #[must_use]
    pub const fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Idle { .. } | Self::Renewing { .. } => None,
            Self::Backoff { because, .. }
            | Self::NeedsConsent { because, .. }
            | Self::NeedsOperator { because, .. } => Some(*because),
        }
    }
}
