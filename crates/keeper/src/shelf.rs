//! The shelf: every token in memory, where readers find it without a store and without waiting.

use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::crypto::SealBroken;
use mintkeep_protocol::dialect::alipay::format_instant;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::plan::{Known, Outlook};
use mintkeep_protocol::keep::slot::{
    LeaseFence, Past, Slot, SlotKey, TokenDigest, TokenVersion, Trouble, Upkeep,
};
use mintkeep_protocol::secret::AccessToken;
use mintkeep_protocol::time::Timestamp;
use tokio::time::Instant;

use crate::seals::Seals;
use crate::sharded::Sharded;

/// A slot as readers see it: its token open, everything else as in the store.
pub struct Leaf {
    /// Which slot.
    pub key: SlotKey,
    /// Its token.
    pub kept: Option<Kept>,
    /// The tokens before it.
    pub past: Vec<Past>,
    /// What is being done about the next one.
    pub upkeep: Upkeep,
    /// How many renewals failed since the last that did not.
    pub failures: u32,
    pub(crate) revision: i64,
    /// The lease that somebody has on it, and since when we know of it.
    pub(crate) lease: Option<(LeaseFence, Instant)>,
    /// An answer is durable that nobody has read.
    pub(crate) is_answered: bool,
    /// Known, good, and not in the store yet.
    pub(crate) is_provisional: bool,
}

/// A token that can be handed out.
#[derive(Clone)]
pub struct Kept {
    /// Which of the slot's tokens.
    pub version: TokenVersion,
    /// To know it again.
    pub digest: TokenDigest,
    /// The token.
    pub access: AccessToken,
    /// When it was asked for.
    pub obtained_at: Timestamp,
    /// Good while `now < expires_at`.
    pub expires_at: Timestamp,
    /// The same in ISO 8601, written once for all readers.
    pub(crate) expires_at_text: Box<str>,
    /// Changes with the token and with its end. Written once, too.
    pub(crate) etag: HeaderValue,
    /// Until when it can be renewed without the customer.
    pub refresh_expires_at: Option<Timestamp>,
}

impl Kept {
    /// How much longer the token is good; never more than when it was obtained, also when the clock was set back
    /// since.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Duration {
        self.expires_at.since(now.max(self.obtained_at))
    }
}

/// The tag of a token (RFC 9110, section 8.8.3).
fn etag(version: TokenVersion, expires_at: Timestamp) -> HeaderValue {
    let text = format!("\"{}-{}\"", version.0, expires_at.unix_s());
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

impl Leaf {
    /// Opens a slot.
    ///
    /// # Errors
    ///
    /// [`SealBroken`].
    pub(crate) fn open(slot: &Slot, seals: &Seals) -> Result<Self, SealBroken> {
        let kept = match &slot.held {
            None => None,
            Some(held) => Some(Kept {
                version: held.version,
                digest: held.digest,
                access: seals.open_tokens(&slot.key, &held.tokens)?.access,
                obtained_at: held.obtained_at,
                expires_at: held.expires_at,
                expires_at_text: format_instant(held.expires_at, 0).into(),
                etag: etag(held.version, held.expires_at),
                refresh_expires_at: held.refresh_expires_at,
            }),
        };
        Ok(Self { kept, ..Self::closed(slot) })
    }

    /// A slot whose seal does not open: nothing can be served from it, and everybody is told why.
    pub(crate) fn broken(slot: &Slot, now: Timestamp) -> Self {
        let upkeep = Upkeep::NeedsOperator { since: now, because: Trouble::SealBroken, retry_at: None };
        Self { upkeep, ..Self::closed(slot) }
    }

    fn closed(slot: &Slot) -> Self {
        Self {
            key: slot.key.clone(),
            kept: None,
            past: slot.past.clone(),
            upkeep: slot.upkeep,
            failures: slot.failures,
            revision: slot.revision,
            lease: matches!(slot.upkeep, Upkeep::Renewing { .. }).then(|| (slot.fence, Instant::now())),
            is_answered: slot.is_answered(),
            is_provisional: false,
        }
    }

    /// Since when the lease of this fence is known here, if it is.
    pub(crate) fn known_since(&self, fence: LeaseFence) -> Option<Instant> {
        self.lease.filter(|(known, _)| *known == fence).map(|(_, since)| since)
    }

    /// The same leaf, with since when its lease was known to the one `before` it.
    pub(crate) fn after(self, before: Option<&Self>) -> Self {
        let since = |fence| before.and_then(|before| before.known_since(fence));
        let lease = self.lease.map(|(fence, now)| (fence, since(fence).unwrap_or(now)));
        Self { lease, ..self }
    }

    /// The token, if it is good at `now`.
    #[must_use]
    pub fn good(&self, now: Timestamp) -> Option<&Kept> {
        self.kept.as_ref().filter(|kept| now < kept.expires_at)
    }

    pub(crate) fn outlook(&self) -> Outlook {
        let life = self.kept.as_ref().map(|kept| kept.expires_at.since(kept.obtained_at));
        Outlook {
            expires_at: self.kept.as_ref().map(|kept| kept.expires_at),
            life: life.unwrap_or_default(),
            upkeep: self.upkeep,
        }
    }

    pub(crate) fn known(&self) -> Option<Known<'_>> {
        let kept = self.kept.as_ref()?;
        Some(Known {
            version: kept.version,
            digest: kept.digest,
            obtained_at: kept.obtained_at,
            past: &self.past,
        })
    }

    /// By which tokens a call can be told to be of this slot's app: its own present one, and the one before it,
    /// which a platform may let live for a while. A customer's token tells nobody.
    fn told_by(&self) -> impl Iterator<Item = TokenDigest> + '_ {
        let present = self.kept.as_ref().map(|kept| kept.digest);
        let before = self.past.first().map(|past| past.digest);
        let is_own = self.key.customer.is_none();
        present.into_iter().chain(before).filter(move |_| is_own)
    }

    /// Whether it tells more than `other`, or at least something newer.
    ///
    /// A token that is not stored yet is not taken away by a step of its own renewal, which holds the one before it:
    /// only what ends a renewal does that.
    fn supersedes(&self, other: &Self) -> bool {
        let asked_at = |leaf: &Self| leaf.kept.as_ref().map(|kept| kept.obtained_at);
        let is_step = matches!(self.upkeep, Upkeep::Renewing { .. }) && asked_at(self) <= asked_at(other);
        let newer = self.revision > other.revision && !(other.is_provisional && is_step);
        newer || (self.is_provisional && !other.is_provisional && self.revision == other.revision)
    }
}

/// The shelf.
pub(crate) struct Shelf {
    leaves: Sharded<SlotKey, Leaf>,
    /// Whose token this is, for apps' own: see [`Leaf::told_by`].
    owners: Sharded<TokenDigest, RecordId>,
}

/// What became of a leaf that was put on the shelf.
pub(crate) enum Placed {
    /// It is there now, in the place of this one.
    Instead(Option<Arc<Leaf>>),
    /// There was a newer one.
    Stale,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self { leaves: Sharded::new(), owners: Sharded::new() }
    }

    pub(crate) fn get(&self, key: &SlotKey) -> Option<Arc<Leaf>> {
        self.leaves.get(key)
    }

    pub(crate) fn put(&self, leaf: &Arc<Leaf>) -> Placed {
        match self.leaves.put_unless(&leaf.key, Arc::clone(leaf), |present| !leaf.supersedes(present)) {
            Ok(before) => {
                self.note_owner(before.as_deref(), leaf);
                Placed::Instead(before)
            }
            Err(_stale) => Placed::Stale,
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<Leaf>> {
        self.leaves.all()
    }

    pub(crate) fn of(&self, credential: RecordId) -> Vec<Arc<Leaf>> {
        self.all().filter(|leaf| leaf.key.credential == credential).collect()
    }

    pub(crate) fn drop_credential(&self, credential: RecordId) {
        let mut tokens = vec![];
        for leaf in self.of(credential) {
            self.leaves.remove_if(&leaf.key, |_| true);
            tokens.extend(leaf.told_by());
        }
        for token in &tokens {
            self.owners.remove_if(token, |owner| *owner == credential);
        }
        // Another credential of the same app may hold the same token.
        for leaf in self.all().filter(|leaf| leaf.told_by().any(|token| tokens.contains(&token))) {
            self.note_owner(None, &leaf);
        }
    }

    /// The credential whose app's own token this is, or was until the last renewal.
    pub(crate) fn owner(&self, token: &TokenDigest) -> Option<RecordId> {
        let credential = *self.owners.get(token)?;
        let leaf = self.get(&SlotKey { credential, customer: None })?;
        leaf.told_by().any(|digest| digest == *token).then_some(credential)
    }

    fn note_owner(&self, before: Option<&Leaf>, leaf: &Leaf) {
        let owner = Arc::new(leaf.key.credential);
        for digest in leaf.told_by() {
            // What comes back is the same owner; it is not needed.
            let _ = self.owners.put_unless(&digest, Arc::clone(&owner), |_| false);
        }
        let is_over = |digest: &TokenDigest| leaf.told_by().all(|present| present != *digest);
        for digest in before.into_iter().flat_map(Leaf::told_by).filter(is_over) {
            self.owners.remove_if(&digest, |present| *present == *owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use mintkeep_protocol::ident::CustomerId;
    use mintkeep_protocol::keep::slot::HolderId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    /// An app's own token as it is at `revision`, with the one before it.
    fn leaf((revision, token): (i64, &str), before: Option<&str>) -> Leaf {
        let key = SlotKey { credential: RecordId::from_number(1), customer: None };
        let version = TokenVersion(revision);
        let kept = Kept {
            version,
            digest: TokenDigest::of(token),
            access: AccessToken::new(token.to_owned()),
            obtained_at: NOW,
            expires_at: NOW,
            expires_at_text: "".into(),
            etag: etag(version, NOW),
            refresh_expires_at: None,
        };
        let past = before.map(|before| Past { version, digest: TokenDigest::of(before) });
        let slot = Slot { revision, past: past.into_iter().collect(), ..Slot::empty(key, NOW) };
        Leaf { kept: Some(kept), ..Leaf::broken(&slot, NOW) }
    }

    #[test]
    fn an_apps_tokens_tell_whose_they_are_until_the_second_renewal_and_take_no_room_then() {
        let (shelf, tokens) = (Shelf::new(), ["a", "b", "c", "d", "e"]);
        let mut before = None;
        for at in (1..).zip(tokens) {
            shelf.put(&Arc::new(leaf(at, before)));
            before = Some(at.1);
        }
        let customer = CustomerId::parse("c1").ok();
        let customers = leaf((1, "f"), None);
        shelf.put(&Arc::new(Leaf { key: SlotKey { customer, ..customers.key.clone() }, ..customers }));
        assert!(shelf.owner(&TokenDigest::of("f")).is_none());
        let known = tokens.map(|token| shelf.owner(&TokenDigest::of(token)).is_some());
        assert_eq!(known, [false, false, false, true, true]);
        assert_eq!(shelf.owners.all().count(), 2);
    }

    #[test]
    fn a_lease_is_known_since_it_was_first_heard_of() {
        let heard =
            |fence: i64, at| Leaf { lease: Some((LeaseFence(fence), at)), ..leaf((fence, "a"), None) };
        let first = Instant::now();
        let later = first.checked_add(Duration::from_secs(1)).unwrap();
        let before = heard(1, first);
        assert_eq!(heard(1, later).after(Some(&before)).known_since(LeaseFence(1)), Some(first));
        assert_eq!(heard(2, later).after(Some(&before)).known_since(LeaseFence(2)), Some(later));
    }

    #[test]
    fn a_token_that_is_not_stored_yet_is_served_until_something_newer_is_stored() {
        let shelf = Shelf::new();
        let come = || Leaf { is_provisional: true, ..leaf((3, "come"), None) };
        let renewing = |leaf: Leaf| Leaf { upkeep: Upkeep::Renewing { by: HolderId(1), since: NOW }, ..leaf };
        let steps = [
            ("stored", leaf((3, "before"), None), "before"),
            ("came", come(), "come"),
            ("came twice", come(), "come"),
            ("heard of again", leaf((3, "before"), None), "come"),
            ("its answer is stored", renewing(leaf((4, "before"), None)), "come"),
            ("stored too", leaf((5, "come"), None), "come"),
            ("heard of late", come(), "come"),
            ("the next renewal", renewing(leaf((6, "next"), None)), "next"),
        ];
        for (step, put, served) in steps {
            let key = put.key.clone();
            shelf.put(&Arc::new(put));
            let found = shelf.get(&key).unwrap();
            assert_eq!(found.kept.as_ref().unwrap().access.expose(), served, "{step}");
        }
    }
}
