//! The `Signature` and `Encrypt` headers: `key=value` pairs, separated by commas.

use super::base64_forms;
use crate::app::SignatureEncoding;
use crate::outcome::Refusal;

/// What both headers say: by which algorithm, under which key, and a value.
pub(super) struct Pairs<'a> {
    pub algorithm: Option<&'a str>,
    pub key_version: Option<&'a str>,
    pub value: Option<&'a str>,
}

/// The name of the pair that holds the value.
pub(super) const SIGNATURE_VALUE: &str = "signature";
/// The name of the pair that holds the encrypted key.
pub(super) const ENCRYPT_VALUE: &str = "symmetricKey";

impl<'a> Pairs<'a> {
    /// Reads the pairs in any order, with or without spaces; unknown ones are left alone. `None` if one
    /// has no `=`, or if a known one comes twice.
    pub fn parse(header: &'a str, value_name: &str) -> Option<Self> {
        let mut pairs = Self { algorithm: None, key_version: None, value: None };
        for pair in header.split(',') {
            let (name, value) = pair.split_once('=')?;
            let slot = match name.trim() {
                name if name.eq_ignore_ascii_case("algorithm") => &mut pairs.algorithm,
                name if name.eq_ignore_ascii_case("keyVersion") => &mut pairs.key_version,
                name if name.eq_ignore_ascii_case(value_name) => &mut pairs.value,
                _ => continue,
            };
            if slot.replace(value.trim()).is_some() {
                return None;
            }
        }
        Some(pairs)
    }

    /// The number of the key; `Ok(None)`: absent or empty, which means the latest.
    ///
    /// # Errors
    ///
    /// [`Refusal::KeyUnknown`] for what is no number: no key has such a version.
    pub fn key_version(&self) -> Result<Option<u32>, Refusal> {
        match self.key_version {
            None | Some("") => Ok(None),
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Some).map_err(|_| Refusal::KeyUnknown)
            }
            Some(_) => Err(Refusal::KeyUnknown),
        }
    }

    /// Whether the algorithm is `wanted`, which it is if none is named.
    pub fn is_by(&self, wanted: &str) -> bool {
        self.algorithm.is_none_or(|named| named.is_empty() || named.eq_ignore_ascii_case(wanted))
    }
}

/// Writes either header, its value last.
pub(super) fn format(algorithm: &str, key_version: u32, value_name: &str, value: &str) -> String {
    format!("algorithm={algorithm},keyVersion={key_version},{value_name}={value}")
}

/// A `Signature` header.
#[derive(Clone)]
pub(super) struct SignatureHeader {
    /// Which key; `None`: the latest.
    pub key_version: Option<u32>,
    /// The signature, decoded.
    pub signature: Vec<u8>,
}

/// The family's one signature algorithm: RSASSA-PKCS1-v1_5 with SHA-256. `ECC224` has no public definition.
const RSA256: &str = "RSA256";

impl SignatureHeader {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`Refusal::ProofInvalid`] if it is unreadable, of another algorithm or without a signature,
    /// [`Refusal::KeyUnknown`] if its key version is no number.
    pub fn parse(header: &str) -> Result<Self, Refusal> {
        let pairs = Pairs::parse(header, SIGNATURE_VALUE).ok_or(Refusal::ProofInvalid)?;
        let value = pairs.value.filter(|value| !value.is_empty()).ok_or(Refusal::ProofInvalid)?;
        if !pairs.is_by(RSA256) {
            return Err(Refusal::ProofInvalid);
        }
        let signature = base64_forms::decode(value).ok_or(Refusal::ProofInvalid)?;
        Ok(Self { key_version: pairs.key_version()?, signature })
    }

    /// How the header's signature is written, whether or not it can be read.
    pub fn encoding(header: &str) -> Option<SignatureEncoding> {
        Pairs::parse(header, SIGNATURE_VALUE)?.value.map(base64_forms::encoding_of)
    }

    /// Writes the header.
    pub fn format(key_version: u32, signature: &[u8], encoding: SignatureEncoding) -> String {
        format(RSA256, key_version, SIGNATURE_VALUE, &base64_forms::encode(signature, encoding))
    }
}

/// An `Encrypt` header.
pub(super) struct EncryptHeader {
    /// Which of the receiver's keys; `None`: the latest.
    pub key_version: Option<u32>,
    /// The symmetric key, encrypted for the receiver.
    pub wrapped_key: Vec<u8>,
}

const RSA_AES: &str = "RSA_AES";

impl EncryptHeader {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`Refusal::EncryptionInvalid`], whatever is wrong.
    pub fn parse(header: &str) -> Result<Self, Refusal> {
        let pairs = Pairs::parse(header, ENCRYPT_VALUE).ok_or(Refusal::EncryptionInvalid)?;
        let value = pairs.value.filter(|value| !value.is_empty() && pairs.is_by(RSA_AES));
        let wrapped_key = value.and_then(base64_forms::decode).ok_or(Refusal::EncryptionInvalid)?;
        let key_version = pairs.key_version().map_err(|_| Refusal::EncryptionInvalid)?;
        Ok(Self { key_version, wrapped_key })
    }

    /// Writes the header. The page's sample is percent-encoded like the signature's.
    pub fn format(key_version: u32, wrapped_key: &[u8]) -> String {
        let value = base64_forms::encode(wrapped_key, SignatureEncoding::PercentBase64);
        format(RSA_AES, key_version, ENCRYPT_VALUE, &value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row per edge of the header. `AQI` is the two bytes 1 and 2.
    #[test]
    fn a_signature_header_has_its_pairs_in_any_order_and_each_at_most_once() {
        use Refusal::{KeyUnknown, ProofInvalid};
        #[rustfmt::skip]
        let cases = [
            ("algorithm=RSA256,keyVersion=1,signature=AQI",      Ok(Some(1))),
            ("algorithm=RSA256, keyVersion=1, signature=AQI",    Ok(Some(1))),
            ("signature=AQI, keyVersion=1, algorithm=rsa256",    Ok(Some(1))),
            (" keyVersion = 7 ,\tsignature = AQI= ",             Ok(Some(7))),
            ("KEYVERSION=7,Signature=AQI",                       Ok(Some(7))),
            ("keyVersion=0,signature=AQI",                       Ok(Some(0))),
            ("keyVersion=,signature=AQI",                        Ok(None)),
            ("signature=AQI",                                    Ok(None)),
            ("algorithm=,signature=AQI",                         Ok(None)),
            ("nonce=x,signature=AQI",                            Ok(None)),
            ("keyVersion=+1,signature=AQI",                      Err(KeyUnknown)),
            ("keyVersion=-1,signature=AQI",                      Err(KeyUnknown)),
            ("keyVersion=one,signature=AQI",                     Err(KeyUnknown)),
            ("keyVersion=4294967296,signature=AQI",              Err(KeyUnknown)),
            ("algorithm=ECC224,keyVersion=1,signature=AQI",      Err(ProofInvalid)),
            ("algorithm=RSA256,keyVersion=1,signature=",         Err(ProofInvalid)),
            ("algorithm=RSA256,keyVersion=1",                    Err(ProofInvalid)),
            ("signature=AQI,signature=AQI",                      Err(ProofInvalid)),
            ("keyVersion=1,keyVersion=1,signature=AQI",          Err(ProofInvalid)),
            ("signature=A Q I",                                  Err(ProofInvalid)),
            ("signature=AQI,",                                   Err(ProofInvalid)),
            ("AQI",                                              Err(ProofInvalid)),
            ("",                                                 Err(ProofInvalid)),
        ];
        for (header, expected) in cases {
            let read = SignatureHeader::parse(header);
            assert_eq!(read.as_ref().map(|read| read.key_version).map_err(|why| *why), expected, "{header}");
            assert!(read.is_ok_and(|read| read.signature == [1, 2]) == expected.is_ok(), "{header}");
        }
    }

    #[test]
    fn an_encrypt_header_fails_in_one_way_only() {
        #[rustfmt::skip]
        let cases = [
            ("algorithm=RSA_AES,keyVersion=1,symmetricKey=AQI",  true),
            ("symmetricKey=AQI",                                 true),
            ("algorithm=RSA_AES,keyVersion=x,symmetricKey=AQI",  false),
            ("algorithm=RSA256,keyVersion=1,symmetricKey=AQI",   false),
            ("algorithm=RSA_AES,keyVersion=1,symmetricKey=",     false),
            ("algorithm=RSA_AES,keyVersion=1,symmetricKey=*",    false),
            ("symmetricKey=AQI,symmetricKey=AQI",                false),
            ("",                                                 false),
        ];
        for (header, good) in cases {
            assert_eq!(
                EncryptHeader::parse(header).err(),
                (!good).then_some(Refusal::EncryptionInvalid),
                "{header}"
            );
        }
    }
}
