//! The master keys of a running process, which can be exchanged while it runs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::{MasterKeyId, MasterKeyRing, SealBroken, Sealed};

/// Reads the master keys from where the configuration says they are now; the text says what to mend.
pub type ReadMasterKeys = Box<dyn Fn() -> Result<MasterKeyRing, String> + Send + Sync>;

/// Why other master keys were not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// There is nowhere to read them from.
    #[error(
        "this process was given its master key at the start and can't read another; \
         `mintkeep serve` reads it where its configuration says"
    )]
    NoSource,
    /// They can't be read.
    #[error("{0}")]
    Unreadable(String),
    /// What this process sealed a moment ago would not open any more.
    #[error(
        "the master key {} is in use and is neither `current` nor in `older`: write it into `older`, and take it out \
         once everything is sealed anew",
        key_name(*.0)
    )]
    InUseDropped(MasterKeyId),
}

/// The master keys that both roles of a process seal and open with.
pub struct MasterKeys {
    ring: RwLock<Arc<MasterKeyRing>>,
    source: Option<ReadMasterKeys>,
}

impl MasterKeys {
    /// Begins with `ring`, and stays with it.
    #[must_use]
    pub fn new(ring: MasterKeyRing) -> Self {
        Self { ring: RwLock::new(Arc::new(ring)), source: None }
    }

    /// Begins with `ring`; another is read from `source`.
    #[must_use]
    pub fn followed(ring: MasterKeyRing, source: ReadMasterKeys) -> Self {
        Self { source: Some(source), ..Self::new(ring) }
    }

    /// The keys as they are now.
    #[must_use]
    pub fn ring(&self) -> Arc<MasterKeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what the source has now.
    ///
    /// # Errors
    ///
    /// [`NotTaken`]: the keys are as they were.
    pub fn read_again(&self) -> Result<(), NotTaken> {
        let source = self.source.as_ref().ok_or(NotTaken::NoSource)?;
        let fresh = source().map_err(NotTaken::Unreadable)?;
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let in_use = ring.current().id();
        if !fresh.holds(in_use) {
            return Err(NotTaken::InUseDropped(in_use));
        }
        *ring = Arc::new(fresh);
        Ok(())
    }

    /// As [`MasterKeyRing::seal`].
    ///
    /// # Errors
    ///
    /// [`SealBroken`].
    pub fn seal<T>(&self, place: &str, secret: &[u8]) -> Result<Sealed<T>, SealBroken> {
        self.ring().seal(place, secret)
    }

    /// As [`MasterKeyRing::open`], after [`Self::see`].
    ///
    /// # Errors
    ///
    /// [`SealBroken`].
    pub fn open<T>(&self, place: &str, sealed: &Sealed<T>) -> Result<Zeroizing<Vec<u8>>, SealBroken> {
        self.see(sealed);
        self.ring().open(place, sealed)
    }

    /// Sees what may be of another replica: if its key is not here, it may be a new one, and the source is read again.
    pub fn see<T>(&self, sealed: &Sealed<T>) {
        if sealed.master_key_id().is_some_and(|id| !self.ring().holds(id)) {
            // A key that the source has not got either is told by whoever needs it.
            let _not_taken = self.read_again().err();
        }
    }

    /// Puts the same secret under the current key.
    ///
    /// # Errors
    ///
    /// [`SealBroken`].
    pub fn renew<T>(&self, place: &str, sealed: &mut Sealed<T>) -> Result<(), SealBroken> {
        *sealed = self.seal(place, &self.open(place, sealed)?)?;
        Ok(())
    }
}

/// A master key's name as people read it: eight hexadecimal digits.
#[must_use]
pub fn key_name(id: MasterKeyId) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// Records that can't be opened, since the master keys that they are sealed under are not here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeysMissing {
    records: u64,
    keys: BTreeSet<MasterKeyId>,
}

impl KeysMissing {
    /// Looks at a record that is sealed under `seals`; `false` if `ring` lacks one of them.
    pub fn look(&mut self, ring: &MasterKeyRing, seals: &[MasterKeyId]) -> bool {
        let lacking: Vec<_> = seals.iter().filter(|id| !ring.holds(**id)).copied().collect();
        self.records = self.records.saturating_add(u64::from(!lacking.is_empty()));
        self.keys.extend(&lacking);
        lacking.is_empty()
    }

    /// The names of the missing keys.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.keys.iter().copied().map(key_name).collect()
    }

    /// What came of looking at all records: nothing to say, or what is missing.
    ///
    /// # Errors
    ///
    /// Itself, if a key is missing.
    pub fn into_result(self) -> Result<(), Self> {
        if self.keys.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for KeysMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of the store's records are sealed under a master key that [master_key] does not name ({}): write it into \
             `older`, and keep it there until `mintkeep master-key show` says that it can be removed",
            self.records,
            self.names().join(", ")
        )
    }
}

impl std::error::Error for KeysMissing {}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::MasterKey;
    use super::*;

    fn ring(current: u8, older: &[u8]) -> MasterKeyRing {
        let key = |byte: u8| MasterKey::new(&[byte; 32]);
        MasterKeyRing::new(key(current), older.iter().map(|byte| key(*byte)).collect())
    }

    /// Which keys a file names: the current one, and the older ones.
    type File = Arc<Mutex<(u8, Vec<u8>)>>;

    /// The keys of a process that began with key 1, and the file that it reads them from.
    fn followed() -> (MasterKeys, File) {
        let file = Arc::new(Mutex::new((1, vec![])));
        let source = Arc::clone(&file);
        let read = move || match &*source.lock().unwrap() {
            (0, _) => Err("unreadable".to_owned()),
            (current, older) => Ok(ring(*current, older)),
        };
        (MasterKeys::followed(ring(1, &[]), Box::new(read)), file)
    }

    #[test]
    fn other_keys_are_taken_over_only_if_they_open_what_was_sealed() {
        let id = |byte| ring(byte, &[]).current().id();
        let (keys, file) = followed();
        #[rustfmt::skip]
        let cases = [
            ("unreadable",                0, vec![],  Some(NotTaken::Unreadable("unreadable".into())), 1),
            ("without the one in use",    2, vec![],  Some(NotTaken::InUseDropped(id(1))),             1),
            ("the one in use is older",   2, vec![1], None,                                            2),
            ("the older one may go",      2, vec![],  None,                                            2),
            ("and back with both",        1, vec![2], None,                                            1),
        ];
        for (case, current, older, refusal, in_use) in cases {
            *file.lock().unwrap() = (current, older);
            assert_eq!(keys.read_again().err(), refusal, "{case}");
            assert_eq!(keys.ring().current().id(), id(in_use), "{case}");
        }
        assert_eq!(MasterKeys::new(ring(1, &[])).read_again(), Err(NotTaken::NoSource));
    }

    #[test]
    fn a_seal_of_a_key_that_is_only_in_the_file_opens_and_the_key_is_taken_over() {
        let (keys, file) = followed();
        let of_other_replica: Sealed<()> = ring(2, &[]).seal("here", b"secret").unwrap();
        assert!(keys.open("here", &of_other_replica).is_err(), "the file has no such key yet");
        *file.lock().unwrap() = (2, vec![1]);
        assert_eq!(keys.open("here", &of_other_replica).unwrap().as_slice(), b"secret");
        assert_eq!(keys.ring().current().id(), ring(2, &[]).current().id());
    }

    #[test]
    fn records_under_a_missing_key_are_counted_once_each_and_the_keys_named() {
        let ids = [1, 2, 3].map(|byte| ring(byte, &[]).current().id());
        let mut missing = KeysMissing::default();
        assert!(missing.look(&ring(1, &[2]), &[ids[0], ids[1]]) && missing.look(&ring(1, &[]), &[]));
        assert_eq!(missing.clone().into_result(), Ok(()));
        assert!(!missing.look(&ring(1, &[]), &[ids[1], ids[0], ids[1]]));
        assert!(!missing.look(&ring(1, &[]), &[ids[2]]));
        let told = missing.into_result().unwrap_err().to_string();
        assert!(
            told.starts_with("2 of") && ids[1..].iter().all(|id| told.contains(&key_name(*id))),
            "{told}"
        );
    }
}
