//! Tickets for a page's JSAPI and cards: one follows the other, whatever becomes of the tokens that draw them.

use std::time::Duration;

use crate::record::Held;
use crate::time::Timestamp;
use crate::token::Generation;

/// How long a ticket is said to be good, whenever it is drawn, and for how long each is drawn.
///
/// Never less: public clients drop a ticket up to 500 s early, and one that is good for less than that is an
/// error to some of them and kept for ever by others. The live platform, too, says 7,200 at a repeat.
///
/// Source: [seen] `EasyWeChat` 4 and 5, `PowerWeChat`; w7corp/easywechat#1771.
pub const TICKET_LIFE: Duration = Duration::from_secs(TICKET_LIFE_MS.unsigned_abs() / 1000);

const TICKET_LIFE_MS: i64 = 7_200_000;

/// Which of an app's tickets is drawn at `now`: the same for everybody until the next one's turn.
#[must_use]
pub const fn turn(now: Timestamp) -> Generation {
    Generation::from_number(now.unix_ms().div_euclid(TICKET_LIFE_MS))
}

/// The life of a ticket: from its turn's beginning until [`TICKET_LIFE`] after the turn's end, so that what
/// was said when it was drawn last holds as well.
#[must_use]
pub fn life(generation: Generation) -> Held {
    let issued_at = Timestamp::from_unix_ms(generation.number().saturating_mul(TICKET_LIFE_MS));
    Held { generation, issued_at, expires_at: issued_at.after(TICKET_LIFE).after(TICKET_LIFE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row per edge of a turn. What is said at every drawing is kept.
    #[test]
    fn a_ticket_is_good_for_its_whole_life_whenever_it_was_drawn() {
        #[rustfmt::skip]
        let cases = [
            ("a turn's first millisecond", 1_788_480_000_000, 248_400),
            ("its last",                   1_788_487_199_999, 248_400),
            ("the next turn's first",      1_788_487_200_000, 248_401),
            ("1970",                       0,                 0),
            ("before 1970",                -1,                -1),
        ];
        for (case, unix_ms, number) in cases {
            let now = Timestamp::from_unix_ms(unix_ms);
            let ticket = turn(now);
            assert_eq!(ticket.number(), number, "{case}");
            let life = life(ticket);
            assert!(life.issued_at <= now && now.after(TICKET_LIFE) <= life.expires_at, "{case}");
        }
        assert_eq!(TICKET_LIFE, Duration::from_hours(2));
        assert!(life(Generation::from_number(i64::MAX)).issued_at > Timestamp::from_unix_ms(0));
    }
}
