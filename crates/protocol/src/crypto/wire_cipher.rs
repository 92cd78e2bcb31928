//! `RSA_AES`, the message encryption of the Alipay family.
//!
//! AES in ECB mode with PKCS#7 padding, under a fresh key that travels RSA-encrypted beside it. ECB is
//! the wire's choice, not ours; the signature over the ciphertext is what protects its integrity.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use zeroize::Zeroizing;

use super::{RsaKeyRejected, RsaPrivateKey, RsaPublicKey, to_array};

/// The message can't be read. One answer for every cause, so that none of them can be probed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("encrypted message can't be read")]
pub struct WireCipherBroken;

/// The symmetric key of one encrypted exchange: 16, 24 or 32 bytes.
pub struct WireKey(Zeroizing<Vec<u8>>);

impl WireKey {
    /// Makes the key from 32 random bytes: AES-256, as the public text recommends.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// Opens a key that the other side encrypted under `private`'s public half.
    ///
    /// When that fails, the answer is the key `decoy` (32 fresh random bytes) instead of an error:
    /// the message then fails at its padding or its JSON like any other wrong one, so that nobody can
    /// use us as the oracle of Bleichenbacher's attack.
    #[must_use]
    pub fn from_ciphertext(private: &RsaPrivateKey, ciphertext: &[u8], decoy: [u8; 32]) -> Self {
        let opened = private.decrypt(ciphertext).filter(|key| matches!(key.len(), 16 | 24 | 32));
        opened.map_or_else(|| Self::new(decoy), Self)
    }

    /// The key, encrypted for the owner of `public`.
    ///
    /// # Errors
    ///
    /// [`RsaKeyRejected`] if the library can't.
    pub fn to_ciphertext(&self, public: &RsaPublicKey) -> Result<Vec<u8>, RsaKeyRejected> {
        public.encrypt(&self.0)
    }

    /// Encrypts a message.
    ///
    /// # Errors
    ///
    /// [`WireCipherBroken`] if the library can't.
    pub fn encrypt(&self, message: &[u8]) -> Result<Vec<u8>, WireCipherBroken> {
        let mut buffer = message.to_vec();
        PaddedBlockEncryptingKey::ecb_pkcs7(self.unbound()?)
            .and_then(|key| key.encrypt(&mut buffer))
            .map_err(|_| WireCipherBroken)?;
        Ok(buffer)
    }

    /// Decrypts a message.
    ///
    /// # Errors
    ///
    /// [`WireCipherBroken`] for a wrong key, length or padding.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, WireCipherBroken> {
        let mut buffer = ciphertext.to_vec();
        let context = aws_lc_rs::cipher::DecryptionContext::None;
        PaddedBlockDecryptingKey::ecb_pkcs7(self.unbound()?)
            .and_then(|key| key.decrypt(&mut buffer, context).map(|message| message.to_vec()))
            .map_err(|_| WireCipherBroken)
    }

    fn unbound(&self) -> Result<UnboundCipherKey, WireCipherBroken> {
        let key = match self.0.len() {
            16 => UnboundCipherKey::new(&AES_128, &to_array::<16>(&self.0)),
            24 => UnboundCipherKey::new(&AES_192, &to_array::<24>(&self.0)),
            _ => UnboundCipherKey::new(&AES_256, &to_array::<32>(&self.0)),
        };
        key.map_err(|_| WireCipherBroken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_key_lengths_round_trip_and_a_wrong_key_does_not() {
        let private = RsaPrivateKey::generate().unwrap();
        for length in [16_usize, 24, 32] {
            let sent = WireKey(Zeroizing::new(vec![9; length]));
            let wrapped = sent.to_ciphertext(private.public()).unwrap();
            let received = WireKey::from_ciphertext(&private, &wrapped, [1; 32]);
            let ciphertext = sent.encrypt(b"{\"a\":1}").unwrap();
            assert_eq!(received.decrypt(&ciphertext).unwrap(), b"{\"a\":1}");
            assert_eq!(WireKey::new([1; 32]).decrypt(&ciphertext), Err(WireCipherBroken));
        }
    }

    #[test]
    fn a_key_that_does_not_open_fails_as_a_wrong_message_does() {
        let private = RsaPrivateKey::generate().unwrap();
        let ciphertext = WireKey::new([3; 32]).encrypt(b"hello").unwrap();
        let odd_length = private.public().encrypt(&[5; 17]).unwrap();
        for wrapped in [vec![0; 256], vec![1; 3], odd_length] {
            let decoyed = WireKey::from_ciphertext(&private, &wrapped, [2; 32]);
            assert_eq!(decoyed.decrypt(&ciphertext), Err(WireCipherBroken));
        }
    }

    #[test]
    fn ecb_with_pkcs7_matches_a_known_answer() {
        // FIPS-197 appendix C.1, whose block is then followed by one block of padding.
        let key = WireKey(Zeroizing::new((0..16).collect()));
        let block: Vec<u8> = (0..16).map(|n| n * 17).collect();
        let ciphertext = key.encrypt(&block).unwrap();
        assert_eq!(ciphertext.len(), 32);
        assert_eq!(ciphertext[..4], [0x69, 0xc4, 0xe0, 0xd8]);
    }
}
