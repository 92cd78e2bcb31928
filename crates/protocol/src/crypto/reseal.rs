//! Going over all that is sealed, to count it or to seal it anew.

use super::master_keys::{KeysMissing, MasterKeys};
use super::{MasterKeyId, MasterKeyRing};
use crate::record::AuditEntry;

/// What to do on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Only look.
    Count,
    /// Put what is under an older key under the current one.
    Reseal,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealing {
    /// Records that were looked at.
    pub seen: u64,
    /// Of them, those that were sealed anew.
    pub resealed: u64,
    /// Records that are not under the current key: only looked at, being changed by somebody else just then, or
    /// sealed under a key that is missing.
    pub left: u64,
    /// Of the records that are left, those that can't be opened here.
    pub missing: KeysMissing,
}

/// One way over all that is sealed in a store: the platform's keys, and the keeper's records.
pub struct Walk<'a> {
    /// What is sealed with.
    pub keys: &'a MasterKeys,
    /// What to do.
    pub pass: Pass,
    /// How far it is.
    pub so_far: Resealing,
    audit: AuditEntry,
    tell: Box<dyn Fn(&Resealing) + Send + Sync + 'a>,
}

impl<'a> Walk<'a> {
    /// A walk at its beginning. `audit` says who wants it; `tell` is told of each record.
    pub fn new(
        (keys, pass): (&'a MasterKeys, Pass),
        audit: AuditEntry,
        tell: impl Fn(&Resealing) + Send + Sync + 'a,
    ) -> Self {
        Self { keys, pass, so_far: Resealing::default(), audit, tell: Box::new(tell) }
    }

    /// Comes to a record whose secrets are sealed under `seals`. `true`: seal it anew, and tell [`Self::did`].
    pub fn meets(&mut self, seals: &[MasterKeyId]) -> bool {
        let ring: &MasterKeyRing = &self.keys.ring();
        self.so_far.seen = self.so_far.seen.saturating_add(1);
        let is_current = seals.iter().all(|id| *id == ring.current().id());
        if is_current || (self.so_far.missing.look(ring, seals) && self.pass == Pass::Reseal) {
            (self.tell)(&self.so_far);
            return !is_current;
        }
        self.did(false);
        false
    }

    /// What became of a record that was to be sealed anew; `false`: somebody else changed it.
    pub fn did(&mut self, is_done: bool) {
        let count = if is_done { &mut self.so_far.resealed } else { &mut self.so_far.left };
        *count = count.saturating_add(1);
        (self.tell)(&self.so_far);
    }

    /// The audit line for a record.
    #[must_use]
    pub fn audit(&self, subject: &str) -> AuditEntry {
        AuditEntry { subject: subject.to_owned(), ..self.audit.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MasterKey;
    use super::*;
    use crate::record::AuditAction;
    use crate::time::Timestamp;

    #[test]
    fn only_what_is_under_an_older_key_is_sealed_anew_and_only_when_asked() {
        let [current, older, missing] = [1, 2, 3].map(|byte| MasterKey::new(&[byte; 32]));
        let ids = [current.id(), older.id(), missing.id()];
        let keys = MasterKeys::new(MasterKeyRing::new(current, vec![older]));
        let audit = AuditEntry {
            at: Timestamp::from_unix_ms(1),
            actor: "admin".into(),
            action: AuditAction::MasterKeyRotated,
            subject: String::new(),
            address: None,
            request_id: String::new(),
        };
        #[rustfmt::skip]
        let cases: [(&str, &[MasterKeyId], bool, u64); 6] = [
            ("nothing sealed",       &[],               false, 0),
            ("current",              &[ids[0]],         false, 0),
            ("older",                &[ids[1]],         true,  1),
            ("one of two is older",  &[ids[0], ids[1]], true,  1),
            ("missing",              &[ids[2]],         false, 1),
            ("older and missing",    &[ids[1], ids[2]], false, 1),
        ];
        for (case, seals, is_wanted, left) in cases {
            for (pass, is_wanted) in [(Pass::Reseal, is_wanted), (Pass::Count, false)] {
                let mut walk = Walk::new((&keys, pass), audit.clone(), |_| {});
                assert_eq!(walk.meets(seals), is_wanted, "{case}");
                if is_wanted {
                    walk.did(true);
                }
                let left = if is_wanted { 0 } else { left };
                assert_eq!((walk.so_far.seen, walk.so_far.left), (1, left), "{case} {pass:?}");
                assert_eq!(walk.so_far.resealed, u64::from(is_wanted), "{case} {pass:?}");
                let is_missing = !walk.so_far.missing.names().is_empty();
                assert_eq!(is_missing, seals.contains(&ids[2]), "{case} {pass:?}");
            }
        }
    }
}
