//! A token as text: what it says, who vouches for it, and that it stays so from version to version.

use super::*;
use proptest::prelude::*;

fn keys() -> TokenKeys {
    TokenKeys::new(&MasterKey::new(&[1; 32]))
}

fn place(salt: &Salt) -> TokenPlace<'_> {
    TokenPlace { kind: TokenKind::GrantAccess, record: RecordId::from_number(42), salt, token_epoch: 0 }
}

#[test]
fn a_token_reads_back_and_only_its_own_record_vouches_for_it() {
    let salt = Salt([5; 16]);
    let token = keys().mint(&place(&salt), Generation::from_number(3));
    assert_eq!(token.len(), TokenKeys::CHARS);
    assert!(token.bytes().all(|b| b.is_ascii_alphanumeric()));

    let claim = keys().parse(&token).unwrap();
    assert_eq!(claim.kind, TokenKind::GrantAccess);
    assert_eq!(claim.record, RecordId::from_number(42));
    assert_eq!(claim.generation, Generation::from_number(3));
    assert!(keys().tag_holds(&claim, &salt, 0));
    assert!(!keys().tag_holds(&claim, &Salt([6; 16]), 0), "another record's salt");
    assert!(!keys().tag_holds(&claim, &salt, 1), "the app's tokens were revoked");
}

/// Every kind's token of one place and generation, reckoned by a script of its own from the layout in the module's
/// first lines.
#[rustfmt::skip]
const MINTED: [(TokenKind, &str); 9] = [
    (TokenKind::WeChatToken,    "3wsmG7wbWFE0000000000g00000000003FCDWiLzr6VtCJBXSAKRfyw"),
    (TokenKind::WeChatStable,   "3wufJFaIHqF0000000000g00000000003G4FpHCUjh92HFYpSmX0pVT"),
    (TokenKind::DingTalkToken,  "3wwHXmOBjxS0000000000g00000000003IdQSUe61zfJGSx26SdC6Y0"),
    (TokenKind::Code,           "3wwVNeHmqGf0000000000g000000000032pqzYw7x5PBBjmU7UpR44y"),
    (TokenKind::GrantAccess,    "3wxgGskP7Av0000000000g000000000032SOyRlWgNlUFBEJDNe2k28"),
    (TokenKind::GrantRefresh,   "3wzrMVVH3IS0000000000g000000000037UlSWBVQ1Bw96d0BrQpmZF"),
    (TokenKind::Ticket,         "3x0bv9XY6630000000000g000000000034qHafnfZY9XCepriKTTo6v"),
    (TokenKind::CardTicket,     "3x1vX35pUxX0000000000g0000000000371tcstfAwyh45gukvEhPSx"),
    (TokenKind::ChallengedCode, "3x2qH8HiqRu0000000000g000000000036GnNs1dNTe52Q5lcLFVmW1"),
];

/// Two versions work on one store during an update, and what was handed out before it stays good.
#[test]
fn a_token_is_the_same_text_in_every_version() {
    let salt = Salt([5; 16]);
    for (kind, text) in MINTED {
        let place = TokenPlace { kind, ..place(&salt) };
        assert_eq!(keys().mint(&place, Generation::from_number(3)), text, "{kind:?}");
        let claim = keys().parse(text).unwrap();
        assert_eq!((claim.kind, claim.record), (kind, place.record));
        assert!(keys().tag_holds(&claim, &salt, 0), "{kind:?}");
    }
    assert_eq!(TokenKind::ALL.len(), MINTED.len(), "each kind is among them");
}

#[test]
fn every_changed_character_is_refused_without_the_record_or_by_it() {
    let salt = Salt([5; 16]);
    let token = keys().mint(&place(&salt), Generation::from_number(3));
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'7' { b'8' } else { b'7' };
        let changed = String::from_utf8(bytes).unwrap();
        let good = keys().parse(&changed).is_some_and(|claim| keys().tag_holds(&claim, &salt, 0));
        assert!(!good, "position {position}");
    }
    let stranger = TokenKeys::new(&MasterKey::new(&[2; 32]));
    assert!(stranger.parse(&token).is_none(), "another server's key");
}

#[test]
fn a_restored_store_never_repeats_a_generation() {
    let before = Generation::from_number(1_000);
    assert_eq!(before.next(StoreEpoch::new(0)).number(), 1_001);
    let after = before.next(StoreEpoch::new(1));
    assert!(after.number() > 1_000_000_000);
    assert_eq!(after.next(StoreEpoch::new(1)).number(), after.number() + 1);
    let again = StoreEpoch::from_first(Generation::from_number(after.number() + 1_000));
    assert_eq!(after.next(again), again.first(), "restored once more from the same backup");
    assert_eq!((again.number(), Generation::of_codes_in(again)), (1, StoreEpoch::new(1).first()));
}

proptest! {
    #[test]
    fn base62_round_trips(bytes: [u8; 32], rest: [u8; 8]) {
        let mut all = [0; base62::BYTES];
        all[..32].copy_from_slice(&bytes);
        all[32..].copy_from_slice(&rest);
        let text = base62::encode(&all);
        prop_assert_eq!(text.len(), TokenKeys::CHARS);
        prop_assert_eq!(base62::decode(&text), Some(all));
    }

    #[test]
    fn garbage_is_never_a_claim(text in "\\PC{0,80}") {
        prop_assert!(keys().parse(&text).is_none());
    }
}

#[test]
fn a_group_over_eight_bytes_is_no_second_text_for_the_same_token() {
    assert!(base62::decode(&"z".repeat(TokenKeys::CHARS)).is_none());
}
