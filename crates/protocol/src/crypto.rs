//! All cryptography, from one library (AWS-LC), under names that say what it is for.

mod master_keys;
pub mod reseal;
mod rsa;
mod sealed;
mod wire_cipher;

pub use master_keys::{KeysMissing, MasterKeys, NotTaken, ReadMasterKeys, key_name};
pub use rsa::{RsaKeyRejected, RsaPrivateKey, RsaPublicKey};
pub use sealed::{MasterKey, MasterKeyId, MasterKeyRejected, MasterKeyRing, SealBroken, Sealed};
pub use wire_cipher::{WireCipherBroken, WireKey};

use std::fmt::Write as _;

use aws_lc_rs::{constant_time, digest, hmac};

/// A key for message authentication codes: HMAC with SHA-256.
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Makes the key from its bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The code over `parts`, as if they were written one after the other.
    ///
    /// All parts but the last must have a fixed length, or two messages could share a code.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        to_array(context.sign().as_ref())
    }

    /// A key of its own for each `purpose`, so that codes made for one never fit another.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Self {
        Self::new(&self.mac(&[purpose.as_bytes()]))
    }
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The first half of the SHA-256 of `bytes`.
#[must_use]
pub fn half_sha256(bytes: &[u8]) -> [u8; 16] {
    sha256(bytes).first_chunk().copied().unwrap_or_default()
}

/// `bytes` in hexadecimal, two small digits for each.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing into a String can't fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Whether two codes are the same, in a time that does not depend on where they differ.
#[must_use]
pub fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Copies as many bytes as fit; every caller here passes exactly as many.
fn to_array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_by_key_purpose_and_message() {
        let key = MacKey::new(b"one");
        let code = key.mac(&[b"ab", b"c"]);
        assert_eq!(code, key.mac(&[b"abc"]));
        assert_ne!(code, key.mac(&[b"abd"]));
        assert_ne!(code, MacKey::new(b"two").mac(&[b"abc"]));
        assert_ne!(key.derive("x").mac(&[b"abc"]), key.derive("y").mac(&[b"abc"]));
        assert!(same_bytes(&code, &code) && !same_bytes(&code, &[0; 32]));
    }
}
