//! The three ways in which signatures and keys are written into a header.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::app::SignatureEncoding;

/// Writes `bytes`.
pub(super) fn encode(bytes: &[u8], encoding: SignatureEncoding) -> String {
    match encoding {
        SignatureEncoding::PercentBase64 => {
            utf8_percent_encode(&STANDARD.encode(bytes), NON_ALPHANUMERIC).to_string()
        }
        SignatureEncoding::Base64 => STANDARD.encode(bytes),
        SignatureEncoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
    }
}

/// Reads what any of the three ways wrote; `None` for anything else.
///
/// A `+` stays a `+`, also where there is a `%`: a space is never part of base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.contains('%') {
        decode_bare(&percent_decode_str(text).collect::<Vec<u8>>())
    } else {
        decode_bare(text.as_bytes())
    }
}

/// Reads base64 of either alphabet, padded or not.
pub(super) fn decode_bare(text: &[u8]) -> Option<Vec<u8>> {
    let length = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last.saturating_add(1));
    let standard = text.iter().take(length).map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    });
    STANDARD_NO_PAD.decode(standard.collect::<Vec<u8>>()).ok()
}

/// Which way `text` is written. Padding tells base64 from base64url only where no letter of either does. The few
/// values that look the same in two ways count as the plainer one for the reader: they are read alike.
pub(super) fn encoding_of(text: &str) -> SignatureEncoding {
    if text.contains('%') {
        SignatureEncoding::PercentBase64
    } else if !text.contains(['-', '_']) && text.contains(['+', '/', '=']) {
        SignatureEncoding::Base64
    } else {
        SignatureEncoding::Base64Url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_in_each_of_its_ways_and_recognised() {
        let bytes = [0xfb, 0xef, 0xff, 0x01];
        #[rustfmt::skip]
        let cases = [
            ("++//AQ==",             Some(SignatureEncoding::Base64)),
            ("%2B%2B%2F%2FAQ%3D%3D", Some(SignatureEncoding::PercentBase64)),
            ("%2b%2b%2f%2fAQ%3d%3d", Some(SignatureEncoding::PercentBase64)),
            ("++%2F%2FAQ==",         Some(SignatureEncoding::PercentBase64)),
            ("--__AQ",               Some(SignatureEncoding::Base64Url)),
            ("--__AQ==",             Some(SignatureEncoding::Base64Url)),
            ("%2B%2B%2F%2FAQ%3",     None),
            ("++ //AQ==",            None),
            ("++//A=Q",              None),
            ("++//A",                None),
            ("\u{e9}",               None),
        ];
        for (text, encoding) in cases {
            assert_eq!(decode(text), encoding.map(|_| bytes.to_vec()), "{text}");
            assert!(encoding.is_none_or(|encoding| encoding == encoding_of(text)), "{text}");
        }
        for encoding in
            [SignatureEncoding::PercentBase64, SignatureEncoding::Base64, SignatureEncoding::Base64Url]
        {
            let written = encode(&bytes, encoding);
            assert_eq!((decode(&written), encoding_of(&written)), (Some(bytes.to_vec()), encoding));
        }
    }
}
