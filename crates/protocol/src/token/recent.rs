//! The codes of the tokens that were handed out or found good last.
//!
//! A service shows one token with call after call, and is told the same one until it is renewed. Its two
//! codes would be most of the work each time, and always come out the same.

use std::sync::{Mutex, PoisonError};

use super::{Generation, Salt, TokenKind, TokenPlace};
use crate::ident::RecordId;

/// How many tokens are remembered, a power of two; about 90 bytes each. Each has one place, which the next
/// token that belongs there takes.
const PLACES: usize = 1024;

/// What a token shows for itself.
#[derive(Clone, Copy)]
pub(super) struct Codes {
    pub check: [u8; 6],
    pub tag: [u8; 16],
}

/// The codes of recent tokens. Only true ones are remembered, so nobody can crowd them out by guessing.
pub(super) struct Recent(Vec<Mutex<Option<Known>>>);

#[derive(Clone, Copy)]
struct Known {
    kind: TokenKind,
    record: RecordId,
    generation: Generation,
    salt: Salt,
    token_epoch: u32,
    codes: Codes,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| Mutex::default()).collect())
    }

    /// The check of a token whose place may be anywhere.
    pub(super) fn check(&self, kind: TokenKind, record: RecordId, generation: Generation) -> Option<[u8; 6]> {
        Some(self.token(kind, record, generation)?.codes.check)
    }

    /// The tag of a token that was minted at `place`.
    pub(super) fn tag(&self, place: &TokenPlace<'_>, generation: Generation) -> Option<[u8; 16]> {
        let token = self.token(place.kind, place.record, generation)?;
        (token.salt == *place.salt && token.token_epoch == place.token_epoch).then_some(token.codes.tag)
    }

    /// Remembers the codes of a token of ours.
    pub(super) fn remember(&self, place: &TokenPlace<'_>, generation: Generation, codes: Codes) {
        let TokenPlace { kind, record, salt, token_epoch } = *place;
        if let Some(kept) = self.place(kind, record) {
            let token = Known { kind, record, generation, salt: *salt, token_epoch, codes };
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        }
    }

    fn token(&self, kind: TokenKind, record: RecordId, generation: Generation) -> Option<Known> {
        let kept = *self.place(kind, record)?.lock().unwrap_or_else(PoisonError::into_inner);
        kept.filter(|token| (token.kind, token.record, token.generation) == (kind, record, generation))
    }

    fn place(&self, kind: TokenKind, record: RecordId) -> Option<&Mutex<Option<Known>>> {
        /// Odd and without a pattern, so that numbers that follow each other are spread (Knuth).
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed =
            record.number().cast_unsigned().wrapping_add(u64::from(kind.number())).wrapping_mul(SPREAD);
        self.0.get(usize::try_from(mixed >> 32).unwrap_or_default() & PLACES.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::MasterKey;
    use crate::token::TokenKeys;

    fn keys() -> TokenKeys {
        TokenKeys::new(&MasterKey::new(&[1; 32]))
    }

    /// Few of each, so that tokens meet in one place with all but one part the same.
    fn asked() -> impl Strategy<Value = (TokenKind, i64, i64, u8, u32)> {
        let kinds = prop_oneof![Just(TokenKind::WeChatToken), Just(TokenKind::GrantAccess)];
        (kinds, prop_oneof![0..2_i64, 1000..3000_i64], 0..2_i64, 0..2_u8, 0..2_u32)
    }

    proptest! {
        #[test]
        fn keys_that_remember_answer_like_keys_that_never_saw_a_token(
            asked in proptest::collection::vec((asked(), asked()), 1..60),
        ) {
            let remembering = keys();
            for ((kind, record, generation, salt, token_epoch), other) in asked {
                let salts = [Salt([salt; 16]), Salt([other.3; 16])];
                let record = RecordId::from_number(record);
                let place = TokenPlace { kind, record, salt: &salts[0], token_epoch };
                let elsewhere = TokenPlace { salt: &salts[1], token_epoch: other.4, ..place };
                let generation = Generation::from_number(generation);

                let token = remembering.mint(&place, generation);
                prop_assert_eq!(&token, &keys().mint(&place, generation));
                let claim = remembering.parse(&token).expect("it is ours");
                let holds = remembering.tag_holds(&claim, elsewhere.salt, elsewhere.token_epoch);
                prop_assert_eq!(holds, salts[0] == salts[1] && token_epoch == other.4);
                prop_assert_eq!(remembering.mint(&elsewhere, generation), keys().mint(&elsewhere, generation));
            }
        }
    }

    #[test]
    fn a_token_that_is_shown_again_is_not_derived_again() {
        let (recent, salt) = (Recent::new(), Salt([7; 16]));
        let place = TokenPlace {
            kind: TokenKind::WeChatToken,
            record: RecordId::from_number(1),
            salt: &salt,
            token_epoch: 0,
        };
        let generation = Generation::from_number(1);
        assert!(recent.tag(&place, generation).is_none());
        recent.remember(&place, generation, Codes { check: [1; 6], tag: [2; 16] });
        assert_eq!(recent.check(place.kind, place.record, generation), Some([1; 6]));
        assert_eq!(recent.tag(&place, generation), Some([2; 16]));
        for older in 0..10_000 {
            let place = TokenPlace { record: RecordId::from_number(older), ..place };
            recent.remember(&place, generation, Codes { check: [3; 6], tag: [4; 16] });
        }
        let places = (0..10_000)
            .filter(|&number| recent.check(place.kind, RecordId::from_number(number), generation).is_some());
        assert!(
            (PLACES * 9 / 10..=PLACES).contains(&places.count()),
            "spread, and never more than there is room"
        );
    }
}
