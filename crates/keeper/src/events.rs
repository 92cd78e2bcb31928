//! What happens to tokens, for whoever watches.

use mintkeep_protocol::ident::{CredentialName, CustomerId};
use mintkeep_protocol::keep::slot::{TokenVersion, Trouble, Upkeep};
use mintkeep_protocol::time::Timestamp;

use crate::shelf::Leaf;

/// Something happened to a slot. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose credential.
    pub credential: CredentialName,
    /// Which customer's tokens, in the dialects where they are a customer's.
    pub customer: Option<CustomerId>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// There is a new token, or the same one is good for longer.
    NewVersion {
        /// Which.
        version: TokenVersion,
        /// Until when.
        expires_at: Timestamp,
    },
    /// Only the customer's new authorization gives the next token, or may be needed to.
    ReauthorizationNeeded {
        /// Why.
        because: Trouble,
    },
    /// The tokens were forgotten on request.
    Forgotten,
}

/// What the change from one leaf to the next means to a watcher, if anything.
pub(crate) fn between(before: Option<&Leaf>, after: &Leaf) -> Vec<What> {
    let mut events = Vec::new();
    let held = |leaf: &Leaf| leaf.kept.as_ref().map(|kept| (kept.version, kept.expires_at));
    let (old, new) = (before.and_then(held), held(after));
    if let Some((version, expires_at)) = new
        && new != old
    {
        events.push(What::NewVersion { version, expires_at });
    }
    let (wanted, wants) =
        (before.and_then(|leaf| consent_wanted(&leaf.upkeep)), consent_wanted(&after.upkeep));
    if let Some(because) = wants
        && wanted != wants
    {
        let is_wish = because == Trouble::Forgotten;
        events.push(if is_wish { What::Forgotten } else { What::ReauthorizationNeeded { because } });
    }
    events
}

/// Why a customer must be asked, if one must: a token in doubt counts, for nobody else may know better.
fn consent_wanted(upkeep: &Upkeep) -> Option<Trouble> {
    match upkeep {
        Upkeep::NeedsConsent { because, .. }
        | Upkeep::NeedsOperator { because: because @ Trouble::InDoubt, .. } => Some(*because),
        Upkeep::Idle { .. }
        | Upkeep::Renewing { .. }
        | Upkeep::Backoff { .. }
        | Upkeep::NeedsOperator { .. } => None,
    }
}
