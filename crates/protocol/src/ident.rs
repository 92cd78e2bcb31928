//! Identifiers: bounded, printable, and never mistaken for one another.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The dialects that Mintkeep speaks. Each belongs to one vendor's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// WeChat `/cgi-bin/token` and its neighbours.
    WeChat,
    /// DingTalk `/v1.0/oauth2/accessToken` and its neighbours.
    DingTalk,
    /// Mini Program OpenAPI V1, as the Alipay+ style wallets speak it.
    MiniProgram,
    /// AlipayHK, of the same gateway family as Mini Program.
    AlipayHk,
}

impl Dialect {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::WeChat, Self::DingTalk, Self::MiniProgram, Self::AlipayHk];

    /// The name used in commands, configuration, metrics and the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WeChat => "wechat",
            Self::DingTalk => "dingtalk",
            Self::MiniProgram => "miniprogram",
            Self::AlipayHk => "alipayhk",
        }
    }

    /// Whether callers prove themselves by an RSA signature rather than by a secret.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        match self {
            Self::WeChat | Self::DingTalk => false,
            Self::MiniProgram | Self::AlipayHk => true,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Dialect {
    type Err = InvalidIdent;

    fn from_str(text: &str) -> Result<Self, InvalidIdent> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == text).ok_or(InvalidIdent)
    }
}

/// The text is empty, too long, only dots, or has a character that the identifier may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 characters of A-Z a-z 0-9 . _ - and for customers also : +, not all of them dots")]
pub struct InvalidIdent;

macro_rules! ident {
    ($(#[$doc:meta])* $name:ident, $chars_max:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest accepted text, in characters.
            pub const CHARS_MAX: usize = $chars_max;

            /// Checks length and alphabet. Not all of it may be dots: identifiers are parts of our paths, and
            /// clients take `.` and `..` there for steps, before they send the request.
            ///
            /// # Errors
            ///
            /// [`InvalidIdent`] outside of them.
            pub fn parse(text: &str) -> Result<Self, InvalidIdent> {
                let fits = text.len() <= Self::CHARS_MAX
                    && text.bytes().any(|b| b != b'.')
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || $extra.contains(&b));
                if fits { Ok(Self(text.into())) } else { Err(InvalidIdent) }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdent;

            fn try_from(text: String) -> Result<Self, InvalidIdent> {
                Self::parse(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidIdent;

            fn from_str(text: &str) -> Result<Self, InvalidIdent> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(ident: $name) -> Self {
                ident.0.as_ref().to_owned()
            }
        }
    };
}

ident! {
    /// What the platform calls a client: WeChat `appid`, DingTalk `appKey`, the others `Client-Id`.
    AppId, 64, b"._-"
}
ident! {
    /// Whom a grant is about: `customerId` ("Maximum length: 64 characters").
    CustomerId, 64, b"._-:+"
}
ident! {
    /// What a token allows, such as `auth_base`. Case-sensitive.
    Scope, 64, b"._-:"
}
ident! {
    /// What the keeper calls one app's credentials at one platform, such as `wechat-sandbox`.
    CredentialName, 64, b"._-"
}
ident! {
    /// What the keeper calls one of its callers.
    ConsumerName, 64, b"._-"
}
ident! {
    /// A resource server or a wallet that may call the issuer's own endpoints.
    ServiceId, 64, b"._-"
}

/// The number of a stored record: positive, ordered by the time it was made.
///
/// The upper 41 bits are milliseconds since 2026-01-01, the lower 22 come from a random generator.
/// New records therefore land at the end of a B-tree, which a group commit writes many times faster
/// than records in random order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(i64);

impl RecordId {
    const EPOCH_UNIX_MS: i64 = 1_767_225_600_000;
    const RANDOM_BITS: u32 = 22;

    /// Makes an identifier for a record made at `now`.
    ///
    /// Two records made in one millisecond meet in one out of four million pairs. The store refuses
    /// the second, and its maker draws again.
    #[must_use]
    pub fn new(now: crate::time::Timestamp, random: u32) -> Self {
        let elapsed_ms = now.unix_ms().saturating_sub(Self::EPOCH_UNIX_MS).clamp(0, (1 << 41) - 1);
        let low_bits = i64::from(random & ((1 << Self::RANDOM_BITS) - 1));
        Self((elapsed_ms << Self::RANDOM_BITS) | low_bits)
    }

    /// Takes a number that [`Self::number`] gave.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The number as the store keeps it.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// When the record was made, to the millisecond.
    #[must_use]
    pub const fn made_at(self) -> crate::time::Timestamp {
        crate::time::Timestamp::from_unix_ms(
            (self.0 >> Self::RANDOM_BITS).saturating_add(Self::EPOCH_UNIX_MS),
        )
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn an_identifier_is_bounded_and_of_its_alphabet() {
        let longest = "a".repeat(64);
        let too_long = "a".repeat(65);
        let cases = [
            ("wx0000000000000001", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("a b", false),
            ("a@b", false),
            ("a\u{e9}", false),
            ("../x", false),
            (".", false),
            ("..", false),
            ("..a", true),
        ];
        for (text, good) in cases {
            assert_eq!(AppId::parse(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn record_ids_are_positive_ordered_by_time_and_tell_when_they_were_made() {
        let now = Timestamp::from_unix_ms(1_800_000_000_123);
        let early = RecordId::new(now, u32::MAX);
        let late = RecordId::new(Timestamp::from_unix_ms(1_800_000_000_124), 0);
        assert!(0 < early.number() && early < late);
        assert_eq!(early.made_at(), now);
        assert!(RecordId::new(Timestamp::from_unix_ms(i64::MAX), u32::MAX).number() > 0);
        assert!(RecordId::new(Timestamp::from_unix_ms(0), 7).number() >= 0);
    }
}
