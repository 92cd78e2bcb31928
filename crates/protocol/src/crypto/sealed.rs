//! Secrets at rest: sealed under a master key that lives outside of the store.

use std::marker::PhantomData;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zeroize::Zeroizing;

use super::{MacKey, sha256, to_array};

/// Names a master key without telling anything of it: the first bytes of its hash.
pub type MasterKeyId = [u8; 4];

/// The file or variable holds no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 bytes in base64; make one with `mintkeep key generate --master`")]
pub struct MasterKeyRejected;

/// What was sealed can't be opened: another master key, another place, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed under a master key that is not here, or damaged")]
pub struct SealBroken;

/// 256 bits from which all keys at rest are derived. Kept in a file or a variable, never in the store.
pub struct MasterKey {
    id: MasterKeyId,
    sealing: Zeroizing<[u8; 32]>,
    root: MacKey,
}

impl MasterKey {
    /// Makes the key from its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let root = MacKey::new(bytes);
        Self {
            id: to_array(&sha256(&root.mac(&[b"mintkeep master key id"]))),
            sealing: Zeroizing::new(root.mac(&[b"mintkeep sealing"])),
            root,
        }
    }

    /// Reads what `mintkeep key generate --master` wrote.
    ///
    /// # Errors
    ///
    /// [`MasterKeyRejected`].
    pub fn parse(text: &str) -> Result<Self, MasterKeyRejected> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| MasterKeyRejected)?);
        if bytes.len() != 32 {
            return Err(MasterKeyRejected);
        }
        Ok(Self::new(&to_array(&bytes)))
    }

    /// The text that [`Self::parse`] reads.
    #[must_use]
    pub fn encode(bytes: &[u8; 32]) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(bytes))
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> MasterKeyId {
        self.id
    }

    /// A key for codes of one `purpose`, derived from this one.
    #[must_use]
    pub fn mac_key(&self, purpose: &str) -> MacKey {
        self.root.derive(purpose)
    }
}

/// A secret as the store keeps it: master key id, nonce, ciphertext and tag. `T` says of what.
pub struct Sealed<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self::from_bytes(self.bytes.clone())
    }
}

impl<T> Sealed<T> {
    /// Takes what [`Self::as_bytes`] gave.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, of: PhantomData }
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which master key it is sealed under; `None` if the bytes are no seal at all.
    #[must_use]
    pub fn master_key_id(&self) -> Option<MasterKeyId> {
        self.bytes.first_chunk().copied()
    }
}

/// As base64, for records that are stored as JSON.
impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.bytes))
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self::from_bytes).map_err(D::Error::custom)
    }
}

/// The current master key, and the ones before it that are still needed for reading.
pub struct MasterKeyRing {
    current: MasterKey,
    older: Vec<MasterKey>,
}

impl MasterKeyRing {
    /// `current` seals, all open.
    #[must_use]
    pub const fn new(current: MasterKey, older: Vec<MasterKey>) -> Self {
        Self { current, older }
    }

    /// The key that seals.
    #[must_use]
    pub const fn current(&self) -> &MasterKey {
        &self.current
    }

    /// The keys that only open.
    #[must_use]
    pub fn older(&self) -> &[MasterKey] {
        &self.older
    }

    /// Whether it has the key of this name.
    #[must_use]
    pub fn holds(&self, id: MasterKeyId) -> bool {
        self.key(id).is_some()
    }

    fn key(&self, id: MasterKeyId) -> Option<&MasterKey> {
        std::iter::once(&self.current).chain(&self.older).find(|key| key.id == id)
    }

    /// Seals `secret` for one `place`, such as `credential/wechat-sandbox`: it opens nowhere else.
    ///
    /// # Errors
    ///
    /// [`SealBroken`] if the library can't.
    pub fn seal<T>(&self, place: &str, secret: &[u8]) -> Result<Sealed<T>, SealBroken> {
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, self.current.sealing.as_slice())
            .map_err(|_| SealBroken)?;
        let mut text = Zeroizing::new(secret.to_vec());
        let mut sealed = self.current.id.to_vec();
        let nonce =
            key.seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut *text).map_err(|_| SealBroken)?;
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&text);
        Ok(Sealed::from_bytes(sealed))
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    ///
    /// [`SealBroken`].
    pub fn open<T>(&self, place: &str, sealed: &Sealed<T>) -> Result<Zeroizing<Vec<u8>>, SealBroken> {
        let (id, rest) = sealed.bytes.split_first_chunk::<4>().ok_or(SealBroken)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<12>().ok_or(SealBroken)?;
        let master = self.key(*id).ok_or(SealBroken)?;
        let key =
            RandomizedNonceKey::new(&AES_256_GCM_SIV, master.sealing.as_slice()).map_err(|_| SealBroken)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let length = key
            .open_in_place(Nonce::from(nonce), Aad::from(place.as_bytes()), &mut text)
            .map_err(|_| SealBroken)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_under_its_key_and_in_its_place_only() {
        let old = MasterKeyRing::new(MasterKey::new(&[1; 32]), vec![]);
        let sealed: Sealed<()> = old.seal("here", b"secret").unwrap();
        let rotated = MasterKeyRing::new(MasterKey::new(&[2; 32]), vec![MasterKey::new(&[1; 32])]);
        let stranger = MasterKeyRing::new(MasterKey::new(&[2; 32]), vec![]);

        assert_eq!(old.open("here", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(rotated.open("here", &sealed).unwrap().as_slice(), b"secret");
        assert!(old.open("there", &sealed).is_err());
        assert!(stranger.open("here", &sealed).is_err());
        assert_eq!(sealed.master_key_id(), Some(old.current().id()));
        for changed in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.clone();
            bytes[changed] ^= 1;
            assert!(old.open("here", &Sealed::<()>::from_bytes(bytes)).is_err(), "byte {changed}");
        }
        assert!(old.open("here", &Sealed::<()>::from_bytes(vec![0; 3])).is_err());
    }

    /// Sealed by a script of its own: what any version sealed has to open in all that follow.
    #[test]
    fn a_seal_of_another_version_opens() {
        let sealed = "LmCtFwABAgMEBQYHCAkKC4L0VLNWiXo/Eed16khYYzyWboX6ZTU=";
        let sealed: Sealed<()> = Sealed::from_bytes(STANDARD.decode(sealed).unwrap());
        let ring = MasterKeyRing::new(MasterKey::new(&[1; 32]), vec![]);
        assert_eq!(ring.open("here", &sealed).unwrap().as_slice(), b"secret");
    }

    #[test]
    fn a_master_key_comes_back_from_its_text() {
        let text = MasterKey::encode(&[7; 32]);
        assert_eq!(MasterKey::parse(&format!("{}\n", *text)).unwrap().id(), MasterKey::new(&[7; 32]).id());
        assert!(MasterKey::parse("c2hvcnQ=").is_err());
        assert!(MasterKey::parse("not base64!").is_err());
    }
}
