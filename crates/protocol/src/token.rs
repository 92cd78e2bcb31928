//! Derived tokens: minted and checked from a record, never stored.
//!
//! A token is `base62(key id ‖ kind ‖ check ‖ record id ‖ generation ‖ tag)`, always 55 characters.
//!
//! * `check` is a MAC under the server key alone: a made-up token is refused with no store read.
//! * `tag` is a MAC under the server key over the record's salt, the app's token epoch and all fields.
//!   Someone with a dump of the store lacks the key; someone with the key lacks the salts.
//!
//! Which generations of a record are good is the record's business: see [`crate::record`].

mod recent;

use serde::{Deserialize, Serialize};

use self::recent::{Codes, Recent};
use crate::crypto::{MacKey, MasterKey, same_bytes};
use crate::ident::RecordId;

/// What a token is for. The number is part of every token of its kind, so it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// An app's own token from WeChat's `/cgi-bin/token`.
    WeChatToken,
    /// An app's own token from WeChat's `/cgi-bin/stable_token`.
    WeChatStable,
    /// An app's own token from any of DingTalk's endpoints.
    DingTalkToken,
    /// An authorization code; its record is the grant that it becomes.
    Code,
    /// The same, bound to a challenge too, so that an exchange which has no verifier can tell.
    ChallengedCode,
    /// A grant's access token.
    GrantAccess,
    /// A grant's refresh token.
    GrantRefresh,
    /// A ticket for a page's JSAPI that an app draws with its token (DingTalk, and WeChat's `jsapi`).
    Ticket,
    /// A ticket for a page's cards that an app draws with its token (WeChat's `wx_card`).
    CardTicket,
}

impl TokenKind {
    const ALL: [Self; 9] = [
        Self::WeChatToken,
        Self::WeChatStable,
        Self::DingTalkToken,
        Self::Code,
        Self::ChallengedCode,
        Self::GrantAccess,
        Self::GrantRefresh,
        Self::Ticket,
        Self::CardTicket,
    ];

    /// The number in the token and in the store.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::WeChatToken => 1,
            Self::WeChatStable => 2,
            Self::DingTalkToken => 3,
            Self::Code => 4,
            Self::GrantAccess => 5,
            Self::GrantRefresh => 6,
            Self::Ticket => 7,
            Self::CardTicket => 8,
            Self::ChallengedCode => 9,
        }
    }

    /// Whether it is an authorization code's.
    #[must_use]
    pub const fn is_code(self) -> bool {
        matches!(self, Self::Code | Self::ChallengedCode)
    }

    /// The kind that has this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// Counts a record's tokens. It only grows, over restores of a backup too: see [`Self::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(i64);

impl Generation {
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

    /// The generation of every code of a store epoch.
    #[must_use]
    pub fn of_codes_in(epoch: StoreEpoch) -> Self {
        StoreEpoch::new(epoch.number()).first()
    }

    /// The generation after this one, in a store of this `epoch`.
    ///
    /// Restoring a backup bumps the epoch, so a generation that was handed out after the backup was
    /// taken, and is forgotten now, is never handed out again.
    #[must_use]
    pub fn next(self, epoch: StoreEpoch) -> Self {
        Self(self.0.saturating_add(1)).max(epoch.first())
    }
}

/// A life of the store: each time it is restored from a backup the next one begins.
///
/// It has a number, which is later than the backup's, so that the backup's codes are told from its own; and a first
/// generation, by which it also differs from what began when the same backup was restored before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct StoreEpoch(Generation);

impl StoreEpoch {
    const COUNTER_BITS: u32 = 40;

    /// The epoch of this number, from its very beginning.
    #[must_use]
    pub fn new(number: u16) -> Self {
        Self(Generation(i64::from(number) << Self::COUNTER_BITS))
    }

    /// The epoch that begins with this generation, which is its number and how far in it that is.
    #[must_use]
    pub const fn from_first(first: Generation) -> Self {
        Self(first)
    }

    /// What nothing that is minted in it is earlier than.
    #[must_use]
    pub const fn first(self) -> Generation {
        self.0
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        u16::try_from(self.0.0 >> Self::COUNTER_BITS).unwrap_or_default()
    }
}

/// A record's own random bytes. Without them no token of the record can be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

/// What a token says of itself, its `check` verified: it is ours, or a one in 2⁴⁸ guess.
///
/// Whether it is *good* only its record can say: [`TokenKeys::tag_holds`], then the record's rules.
#[derive(Clone, Copy)]
pub struct TokenClaim {
    /// What it is for.
    pub kind: TokenKind,
    /// Whose it is.
    pub record: RecordId,
    /// Which of the record's tokens it is.
    pub generation: Generation,
    codes: Codes,
}

/// The server key that mints and checks tokens, as the keys of its two codes.
pub struct TokenKeys {
    id: u8,
    check: MacKey,
    tag: MacKey,
    recent: Recent,
}

impl TokenKeys {
    /// How long every token is, in characters of `[0-9A-Za-z]`. The tightest page allows 64.
    pub const CHARS: usize = 55;

    /// Derives both keys from the server key.
    #[must_use]
    pub fn new(root: &MasterKey) -> Self {
        let [id, ..] = root.id();
        let [check, tag] = ["token check", "token tag"].map(|purpose| root.mac_key(purpose));
        Self { id, check, tag, recent: Recent::new() }
    }

    fn check(&self, kind: TokenKind, record: RecordId, generation: Generation) -> [u8; 6] {
        if let Some(known) = self.recent.check(kind, record, generation) {
            return known;
        }
        let code = self.check.mac(&[
            &[self.id, kind.number()],
            &record.number().to_be_bytes(),
            &generation.number().to_be_bytes(),
        ]);
        code.first_chunk().copied().unwrap_or_default()
    }

    fn tag(&self, place: &TokenPlace<'_>, generation: Generation) -> [u8; 16] {
        if let Some(known) = self.recent.tag(place, generation) {
            return known;
        }
        let code = self.tag.mac(&[
            &place.salt.0,
            &place.token_epoch.to_be_bytes(),
            &[self.id, place.kind.number()],
            &place.record.number().to_be_bytes(),
            &generation.number().to_be_bytes(),
        ]);
        let (tag, _) = code.split_at(16);
        tag.try_into().unwrap_or_default()
    }
}

/// Where a token is at home: everything that its tag covers but the generation.
#[derive(Clone, Copy)]
pub struct TokenPlace<'a> {
    /// What it is for.
    pub kind: TokenKind,
    /// Whose it is.
    pub record: RecordId,
    /// The record's salt.
    pub salt: &'a Salt,
    /// The app's token epoch, which grows when all of its tokens are revoked at once.
    pub token_epoch: u32,
}

impl TokenKeys {
    /// The token of `generation` at `place`. The same arguments always give the same text.
    #[must_use]
    pub fn mint(&self, place: &TokenPlace<'_>, generation: Generation) -> String {
        let check = self.check(place.kind, place.record, generation);
        let codes = Codes { check, tag: self.tag(place, generation) };
        self.recent.remember(place, generation, codes);
        let mut bytes = [0_u8; base62::BYTES];
        let fields = [self.id, place.kind.number()]
            .into_iter()
            .chain(codes.check)
            .chain(place.record.number().to_be_bytes())
            .chain(generation.number().to_be_bytes())
            .chain(codes.tag);
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        base62::encode(&bytes)
    }

    /// Reads a token that someone presents. `None`: never ours, and no store needs to be asked.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<TokenClaim> {
        let bytes = base62::decode(text)?;
        let (&[key_id, kind], rest) = bytes.split_first_chunk::<2>()?;
        let (check, rest) = rest.split_first_chunk::<6>()?;
        let (record, rest) = rest.split_first_chunk::<8>()?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let claim = TokenClaim {
            kind: TokenKind::from_number(kind)?,
            record: RecordId::from_number(i64::from_be_bytes(*record)),
            generation: Generation::from_number(i64::from_be_bytes(*generation)),
            codes: Codes { check: *check, tag: rest.try_into().ok()? },
        };
        let is_ours = key_id == self.id
            && same_bytes(&self.check(claim.kind, claim.record, claim.generation), &claim.codes.check);
        is_ours.then_some(claim)
    }

    /// Whether `claim` was really minted for the record and app whose salt and epoch these are.
    #[must_use]
    pub fn tag_holds(&self, claim: &TokenClaim, salt: &Salt, token_epoch: u32) -> bool {
        let place = TokenPlace { kind: claim.kind, record: claim.record, salt, token_epoch };
        let holds = same_bytes(&self.tag(&place, claim.generation), &claim.codes.tag);
        if holds {
            self.recent.remember(&place, claim.generation, claim.codes);
        }
        holds
    }
}

/// Forty bytes as five groups of eleven letters and digits: fixed width, so no big-number arithmetic.
mod base62 {
    pub const BYTES: usize = 40;
    const GROUP_BYTES: usize = 8;
    const GROUP_CHARS: usize = 11;
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    pub fn encode(bytes: &[u8; BYTES]) -> String {
        let mut text = [[b'0'; GROUP_CHARS]; BYTES / GROUP_BYTES];
        let mut rests = [0_u64; BYTES / GROUP_BYTES];
        for (rest, group) in rests.iter_mut().zip(bytes.as_chunks::<GROUP_BYTES>().0) {
            *rest = u64::from_be_bytes(*group);
        }
        // One digit of each group in turn: a processor does divisions that don't wait for one another at once.
        for place in (0..GROUP_CHARS).rev() {
            for (digits, rest) in text.iter_mut().zip(&mut rests) {
                let index = usize::try_from(*rest % 62).unwrap_or_default();
                if let (Some(digit), Some(value)) = (digits.get_mut(place), DIGITS.get(index)) {
                    *digit = *value;
                }
                *rest /= 62;
            }
        }
        String::from_utf8(text.as_flattened().to_vec()).unwrap_or_default()
    }

    /// The bytes of a text that [`encode`] made; each has one text only.
    pub fn decode(text: &str) -> Option<[u8; BYTES]> {
        if text.len() != super::TokenKeys::CHARS {
            return None;
        }
        let mut bytes = [0; BYTES];
        let groups = text.as_bytes().as_chunks::<GROUP_CHARS>().0;
        for (into, group) in bytes.as_chunks_mut::<GROUP_BYTES>().0.iter_mut().zip(groups) {
            let mut number = 0_u64;
            for &character in group {
                number = number.checked_mul(62)?.checked_add(digit(character)?)?;
            }
            *into = number.to_be_bytes();
        }
        Some(bytes)
    }

    fn digit(character: u8) -> Option<u64> {
        let (first, offset) = match character {
            b'0'..=b'9' => (b'0', 0),
            b'A'..=b'Z' => (b'A', 10),
            b'a'..=b'z' => (b'a', 36),
            _ => return None,
        };
        Some(u64::from(character.checked_sub(first)?).saturating_add(offset))
    }
}

#[cfg(test)]
mod tests;
