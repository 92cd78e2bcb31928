//! RSA as the Alipay family uses it: PKCS#1 v1.5 signatures with SHA-256, keys of 2,048 bits or more.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, KeySize, Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Why a key can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RsaKeyRejected {
    /// Not PEM, and not base64 of DER either.
    #[error("not a PEM file, and not base64: give a PUBLIC KEY or PRIVATE KEY block")]
    NotPem,
    /// Not an RSA key of the wanted kind, or shorter than 2,048 or longer than 8,192 bits.
    #[error("not an RSA key of 2,048 to 8,192 bits")]
    NotRsa,
    /// A PEM block of another label than `PUBLIC KEY`, and no such key by another name.
    #[error(
        "not a PUBLIC KEY block: openssl pkey -pubout makes one of a private key, openssl x509 -pubkey -noout of a \
         certificate, openssl rsa -RSAPublicKey_in -pubout of an RSA PUBLIC KEY"
    )]
    NotPublic,
    /// A PEM block of another label than `PRIVATE KEY`, and no such key by another name.
    #[error(
        "not a PRIVATE KEY block (PKCS#8): openssl pkcs8 -topk8 -nocrypt makes one of an RSA PRIVATE KEY, or of an \
         ENCRYPTED PRIVATE KEY"
    )]
    NotPrivate,
}

impl RsaKeyRejected {
    /// Of a block that says to be of another kind, that is what is wrong.
    fn of_block(self, pem: &str, (wanted, other): (&str, Self)) -> Self {
        let label = pem.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN "));
        let is_wanted = label.is_none_or(|label| label.strip_suffix("-----") == Some(wanted));
        if is_wanted { self } else { other }
    }
}

/// An app's or a platform's public key, parsed once.
#[derive(Clone)]
pub struct RsaPublicKey {
    verifying: ParsedPublicKey,
    spki_der: std::sync::Arc<[u8]>,
}

impl RsaPublicKey {
    /// Takes a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// [`RsaKeyRejected::NotRsa`].
    pub fn from_der(spki_der: &[u8]) -> Result<Self, RsaKeyRejected> {
        let verifying = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki_der)
            .parse()
            .map_err(|_| RsaKeyRejected::NotRsa)?;
        // The verifier also takes a bare RSAPublicKey; the encryptor, and we, take only this form.
        PublicEncryptingKey::from_der(spki_der).map_err(|_| RsaKeyRejected::NotRsa)?;
        Ok(Self { verifying, spki_der: spki_der.into() })
    }

    /// Takes a `PUBLIC KEY` PEM block, or its base64 alone, as the vendors' consoles show it.
    ///
    /// # Errors
    ///
    /// [`RsaKeyRejected`].
    pub fn from_pem(pem: &str) -> Result<Self, RsaKeyRejected> {
        let key = der_of_pem(pem).and_then(|der| Self::from_der(&der));
        key.map_err(|rejected| rejected.of_block(pem, ("PUBLIC KEY", RsaKeyRejected::NotPublic)))
    }

    /// The key as a `PUBLIC KEY` PEM block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem_of_der("PUBLIC KEY", &self.spki_der)
    }

    /// The key as a `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn to_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifying.verify_sig(message, signature).is_ok()
    }

    /// Encrypts a short message (a symmetric key) by PKCS#1 v1.5, the padding that the wire wants.
    ///
    /// # Errors
    ///
    /// [`RsaKeyRejected::NotRsa`] if the message does not fit the key.
    pub fn encrypt(&self, message: &[u8]) -> Result<Vec<u8>, RsaKeyRejected> {
        let key = PublicEncryptingKey::from_der(&self.spki_der)
            .and_then(|key| Pkcs1PublicEncryptingKey::new(key).map_err(Into::into))
            .map_err(|_| RsaKeyRejected::NotRsa)?;
        let mut ciphertext = vec![0; key.ciphertext_size()];
        key.encrypt(message, &mut ciphertext).map_err(|_| RsaKeyRejected::NotRsa)?;
        Ok(ciphertext)
    }
}

/// An RSA private key, for signing answers and for opening symmetric keys.
pub struct RsaPrivateKey {
    signing: KeyPair,
    decrypting: Pkcs1PrivateDecryptingKey,
    pkcs8_der: Zeroizing<Vec<u8>>,
    public: RsaPublicKey,
}

impl RsaPrivateKey {
    /// Draws a new key of 2,048 bits. Takes about a tenth of a second; not for the event loop.
    ///
    /// # Errors
    ///
    /// [`RsaKeyRejected::NotRsa`] if the library can't, which it does not say more of.
    pub fn generate() -> Result<Self, RsaKeyRejected> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| RsaKeyRejected::NotRsa)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| RsaKeyRejected::NotRsa)?;
        Self::from_der(der.as_ref())
    }

    /// Takes a PKCS#8 document.
    ///
    /// # Errors
    ///
    /// [`RsaKeyRejected::NotRsa`].
    pub fn from_der(pkcs8_der: &[u8]) -> Result<Self, RsaKeyRejected> {
        let signing = KeyPair::from_pkcs8(pkcs8_der).map_err(|_| RsaKeyRejected::NotRsa)?;
        let decrypting = PrivateDecryptingKey::from_pkcs8(pkcs8_der)
            .ok()
            .and_then(|key| Pkcs1PrivateDecryptingKey::new(key).ok())
            .ok_or(RsaKeyRejected::NotRsa)?;
        let spki: PublicKeyX509Der<'_> = signing.public_key().as_der().map_err(|_| RsaKeyRejected::NotRsa)?;
        let public = RsaPublicKey::from_der(spki.as_ref())?;
        Ok(Self { signing, decrypting, pkcs8_der: Zeroizing::new(pkcs8_der.to_vec()), public })
    }

    /// Takes a `PRIVATE KEY` PEM block (PKCS#8), or its base64 alone.
    ///
    /// # Errors
    ///
    /// [`RsaKeyRejected`].
    pub fn from_pem(pem: &str) -> Result<Self, RsaKeyRejected> {
        let key = der_of_pem(pem).and_then(|der| Self::from_der(&Zeroizing::new(der)));
        key.map_err(|rejected| rejected.of_block(pem, ("PRIVATE KEY", RsaKeyRejected::NotPrivate)))
    }

    /// The key as a `PRIVATE KEY` PEM block, for the file it was made for.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem_of_der("PRIVATE KEY", &self.pkcs8_der))
    }

    /// The key as PKCS#8, for sealing.
    #[must_use]
    pub fn to_der(&self) -> &[u8] {
        &self.pkcs8_der
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    /// Signs `message`. About 0.3 ms of CPU; not for the event loop.
    ///
    /// # Errors
    ///
    /// [`RsaKeyRejected::NotRsa`] if the library can't, which it does not say more of.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, RsaKeyRejected> {
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| RsaKeyRejected::NotRsa)?;
        Ok(signature)
    }

    /// Opens what [`RsaPublicKey::encrypt`] closed; `None` for anything else.
    ///
    /// A caller must not let anyone see which of the two it was: see
    /// [`super::WireKey::from_ciphertext`], its only user.
    #[must_use]
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut plaintext = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let length = self.decrypting.decrypt(ciphertext, &mut plaintext).ok()?.len();
        plaintext.truncate(length);
        Some(plaintext)
    }
}

fn der_of_pem(pem: &str) -> Result<Vec<u8>, RsaKeyRejected> {
    let base64: String = pem
        .lines()
        .filter(|line| !line.trim_start().starts_with("-----"))
        .flat_map(str::chars)
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    STANDARD.decode(base64).map_err(|_| RsaKeyRejected::NotPem)
}

fn pem_of_der(label: &str, der: &[u8]) -> String {
    const CHARS_PER_LINE: usize = 64;
    let mut pem = format!("-----BEGIN {label}-----\n");
    let base64 = Zeroizing::new(STANDARD.encode(der));
    for (position, character) in base64.chars().enumerate() {
        if position > 0 && position.is_multiple_of(CHARS_PER_LINE) {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_and_comes_back_from_its_pem() {
        let key = RsaPrivateKey::generate().unwrap();
        let again = RsaPrivateKey::from_pem(&key.to_pem()).unwrap();
        let public = RsaPublicKey::from_pem(&key.public().to_pem()).unwrap();
        let signature = again.sign(b"message").unwrap();
        assert_eq!(signature, key.sign(b"message").unwrap(), "PKCS#1 v1.5 is deterministic");
        assert!(public.verify(b"message", &signature));
        assert!(!public.verify(b"massage", &signature));
        assert_eq!(key.decrypt(&public.encrypt(b"k").unwrap()).unwrap().as_slice(), b"k");
        assert!(key.decrypt(&[7; 256]).is_none());
        assert!(key.decrypt(b"short").is_none());
    }

    #[test]
    fn what_is_no_rsa_key_is_refused() {
        assert!(matches!(RsaPublicKey::from_pem("%%%"), Err(RsaKeyRejected::NotPem)));
        assert!(matches!(RsaPublicKey::from_pem("aGVsbG8="), Err(RsaKeyRejected::NotRsa)));
        assert!(matches!(RsaPrivateKey::from_pem("aGVsbG8="), Err(RsaKeyRejected::NotRsa)));
    }

    #[test]
    fn a_block_of_another_kind_is_told_by_its_label_and_a_key_by_another_name_is_taken() {
        use RsaKeyRejected::{NotPrivate, NotPublic, NotRsa};
        let key = RsaPrivateKey::generate().unwrap();
        let (private, public) = (key.to_pem(), key.public().to_pem());
        let none = "-----BEGIN NOTHING-----\naGVsbG8=\n-----END NOTHING-----\n";
        #[rustfmt::skip]
        let cases = [
            ("public",               public.clone(),                                   None,            Some(NotPrivate)),
            ("private",              private.to_string(),                              Some(NotPublic), None),
            ("public as RSA PUBLIC", public.replace("PUBLIC", "RSA PUBLIC"),           None,            Some(NotPrivate)),
            ("private as RSA",       private.replace("PRIVATE", "RSA PRIVATE"),        Some(NotPublic), None),
            ("another",              none.to_owned(),                                  Some(NotPublic), Some(NotPrivate)),
            ("another, encrypted",   none.replace("NOTHING", "ENCRYPTED PRIVATE KEY"), Some(NotPublic), Some(NotPrivate)),
            ("public, no key",       none.replace("NOTHING", "PUBLIC KEY"),            Some(NotRsa),    Some(NotPrivate)),
            ("no block",             "aGVsbG8=".to_owned(),                            Some(NotRsa),    Some(NotRsa)),
        ];
        for (case, pem, as_public, as_private) in cases {
            assert_eq!(RsaPublicKey::from_pem(&pem).err(), as_public, "{case}");
            assert_eq!(RsaPrivateKey::from_pem(&pem).err(), as_private, "{case}");
        }
    }
}
