//! What a code is bound to: the redirect URI that it was sent to, and the challenge that it was asked for with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::{half_sha256, sha256};

/// How long a verifier may be, in characters (RFC 7636, section 4.1).
const VERIFIER_CHARS: std::ops::RangeInclusive<usize> = 43..=128;

/// A `code_challenge` of the method `S256`: SHA-256 of a verifier that only who asks for the code knows.
///
/// Source: RFC 7636, section 4.2. The method `plain` is not spoken: its challenge is the verifier, and stands
/// in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Reads 43 characters of base64url, which are 32 bytes and no bit more.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The challenge that `verifier` meets; `None` if it can't be one, by its length or a character.
    #[must_use]
    pub fn met_by(verifier: &str) -> Option<Self> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_one = VERIFIER_CHARS.contains(&verifier.len()) && verifier.bytes().all(is_unreserved);
        is_one.then(|| Self(sha256(verifier.as_bytes())))
    }

    /// The text that [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// Stands for all that a code is bound to. Kept with the code until it is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeBinding(pub [u8; 16]);

impl CodeBinding {
    /// Parts the URI from the challenge. No text in UTF-8 has this byte, so no URI alone stands for both.
    const PART: &[u8] = &[0xff];

    /// Of the redirect URI, letter by letter, and the challenge; of neither it is none.
    ///
    /// Without a challenge it stands in records of older versions too, so it never changes.
    #[must_use]
    pub fn of(redirect_uri: Option<&str>, challenge: Option<Challenge>) -> Option<Self> {
        let uri = redirect_uri.unwrap_or_default().as_bytes();
        match challenge {
            Some(Challenge(hash)) => Some(Self(half_sha256(&[uri, Self::PART, &hash].concat()))),
            None => redirect_uri.map(|_| Self(half_sha256(uri))),
        }
    }
}

/// What an exchange says of what its code is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownBinding {
    /// Nothing can be said there: the dialects' own exchanges have no such parameters.
    NotAsked,
    /// This, or that it is bound to nothing.
    Shown(Option<CodeBinding>),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_standards_own_verifier_meets_its_own_challenge() {
        assert!(Challenge::parse(CHALLENGE).is_some());
        assert_eq!(Challenge::met_by(VERIFIER), Challenge::parse(CHALLENGE));
        assert_eq!(Challenge::parse(CHALLENGE).unwrap().to_text(), CHALLENGE);
    }

    #[test]
    fn a_verifier_is_43_to_128_unreserved_characters() {
        let of = |length: usize| "a".repeat(length);
        #[rustfmt::skip]
        let cases = [
            ("one too short",       of(42),                     false),
            ("shortest",            of(43),                     true),
            ("longest",             of(128),                    true),
            ("one too long",        of(129),                    false),
            ("every mark",          format!("{}-._~", of(43)),  true),
            ("a plus",              format!("{}+", of(43)),     false),
            ("padding",             format!("{}=", of(43)),     false),
            ("a space",             format!("{} ", of(43)),     false),
            ("a letter beyond",     format!("{}é", of(43)),     false),
            ("none",                String::new(),              false),
        ];
        for (case, verifier, is_one) in cases {
            assert_eq!(Challenge::met_by(&verifier).is_some(), is_one, "{case}");
        }
    }

    #[test]
    fn a_challenge_is_32_bytes_in_base64url_and_has_one_text() {
        #[rustfmt::skip]
        let cases = [
            ("the standard's",      CHALLENGE.to_owned(),                   true),
            ("one too short",       CHALLENGE[1..].to_owned(),              false),
            ("one too long",        format!("{CHALLENGE}A"),                false),
            ("padded",              format!("{CHALLENGE}="),                false),
            ("of other base64",     CHALLENGE.replace('-', "+"),            false),
            ("bits beyond the last", format!("{}N", &CHALLENGE[..42]),      false),
            ("none",                String::new(),                          false),
        ];
        for (case, text, is_one) in cases {
            assert_eq!(Challenge::parse(&text).is_some(), is_one, "{case}");
        }
    }

    #[test]
    fn no_uri_alone_stands_for_a_uri_and_a_challenge() {
        let letters = Challenge::parse(&URL_SAFE_NO_PAD.encode([b'a'; 32]));
        let (uri, longer) =
            ("https://shop.example/back", format!("https://shop.example/back{}", "a".repeat(32)));
        assert_ne!(CodeBinding::of(Some(&longer), None), CodeBinding::of(Some(uri), letters));
        assert_ne!(CodeBinding::of(Some(uri), None), CodeBinding::of(Some(uri), letters));
        assert_ne!(CodeBinding::of(None, None), CodeBinding::of(None, letters));
    }

    /// The number is `printf https://shop.example/back | sha256sum | head -c 32`.
    #[test]
    fn a_binding_without_a_challenge_is_what_it_was_before_there_were_any() {
        let kept = 0xbf37_84a7_dc8f_2c32_9bbd_4435_9b04_597a_u128.to_be_bytes();
        assert_eq!(CodeBinding::of(Some("https://shop.example/back"), None), Some(CodeBinding(kept)));
        assert_eq!(CodeBinding::of(None, None), None);
    }
}
