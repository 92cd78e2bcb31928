//! What of a grant is neither looked up nor guarded, in few bytes: there may be a hundred million of them.
//!
//! In this order: which of the optional things follow, one bit each, which also tells the stage; the token epoch; times, each as its
//! distance from the one before it, the first from when the record was made; generations; salt; digest;
//! scopes. Numbers take seven bits a byte, the low ones first, the sign in the lowest bit.

use mintkeep_protocol::ident::RecordId;

use crate::flat::{GrantRow, HeldColumns, STAGE_ACTIVE, STAGE_ISSUED, STAGE_REVOKED};

const SPENT: u8 = 1;
const REVOKED: u8 = 1 << 1;
const ACCESS: u8 = 1 << 2;
const REFRESH: u8 = 1 << 3;
const PREVIOUS: u8 = 1 << 4;
const MADE_BY: u8 = 1 << 5;

/// The packed columns of a row.
pub fn pack(row: &GrantRow) -> Vec<u8> {
    let held = |(generation, issued_at, expires_at): HeldColumns| {
        generation.zip(issued_at).zip(expires_at).map(|((number, issued), expires)| (number, issued, expires))
    };
    let (access, previous) = (held(row.access), held(row.previous));
    let bits = [
        (row.spent_at.is_some(), SPENT),
        (row.revoked_at.is_some(), REVOKED),
        (access.is_some(), ACCESS),
        (row.refresh_expires_at.is_some(), REFRESH),
        (previous.is_some(), PREVIOUS),
        (row.made_by.is_some(), MADE_BY),
    ];
    let follows = bits.iter().filter(|(there, _)| *there).fold(0, |bits, (_, bit)| bits | bit);
    let mut packer = Packer { bytes: vec![follows], time: made_at(row.id) };
    packer.number(row.token_epoch);
    packer.time(row.code_expires_at);
    for time in [row.spent_at, row.revoked_at].into_iter().flatten() {
        packer.time(time);
    }
    for (generation, issued_at, expires_at) in [access, previous].into_iter().flatten() {
        packer.number(generation);
        packer.time(issued_at);
        packer.time(expires_at);
    }
    if let Some(time) = row.refresh_expires_at {
        packer.time(time);
    }
    // A salt and a digest have sixteen bytes each.
    packer.bytes.extend_from_slice(&row.salt);
    packer.bytes.extend_from_slice(row.made_by.as_deref().unwrap_or_default());
    packer.bytes.extend_from_slice(row.scopes.as_bytes());
    packer.bytes
}

/// The row of these columns; `None`: no version of Mintkeep packed it so.
pub fn unpack((id, app, revision): (i64, i64, i64), customer: String, body: &[u8]) -> Option<GrantRow> {
    let (&follows, rest) = body.split_first()?;
    let mut reader = Reader { rest, time: made_at(id) };
    let is_there = |bit| follows & bit != 0;
    let token_epoch = reader.number()?;
    let code_expires_at = reader.time()?;
    let spent_at = if is_there(SPENT) { Some(reader.time()?) } else { None };
    let revoked_at = if is_there(REVOKED) { Some(reader.time()?) } else { None };
    let access = if is_there(ACCESS) { reader.held()? } else { (None, None, None) };
    let previous = if is_there(PREVIOUS) { reader.held()? } else { (None, None, None) };
    let refresh_expires_at = if is_there(REFRESH) { Some(reader.time()?) } else { None };
    let salt = reader.sixteen()?.to_vec();
    let made_by = if is_there(MADE_BY) { Some(reader.sixteen()?.to_vec()) } else { None };
    let stage = if is_there(REVOKED) {
        STAGE_REVOKED
    } else if is_there(ACCESS) {
        STAGE_ACTIVE
    } else {
        STAGE_ISSUED
    };
    let scopes = String::from_utf8(reader.rest.to_vec()).ok()?;
    Some(GrantRow {
        id,
        app,
        customer,
        scopes,
        salt,
        stage,
        code_expires_at,
        spent_at,
        revoked_at,
        access,
        refresh_expires_at,
        previous,
        made_by,
        token_epoch,
        revision,
    })
}

fn made_at(id: i64) -> i64 {
    RecordId::from_number(id).made_at().unix_ms()
}

struct Packer {
    bytes: Vec<u8>,
    /// The time that was written last.
    time: i64,
}

impl Packer {
    fn number(&mut self, number: i64) {
        let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
        loop {
            let [low, ..] = (left & 0x7f).to_le_bytes();
            left >>= 7;
            if left == 0 {
                self.bytes.push(low);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }

    fn time(&mut self, time: i64) {
        self.number(time.wrapping_sub(self.time));
        self.time = time;
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// The time that was read last.
    time: i64,
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<i64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let sign = (number & 1).cast_signed().wrapping_neg();
                return Some((number >> 1).cast_signed() ^ sign);
            }
        }
        None
    }

    fn time(&mut self) -> Option<i64> {
        self.time = self.time.wrapping_add(self.number()?);
        Some(self.time)
    }

    fn held(&mut self) -> Option<HeldColumns> {
        Some((Some(self.number()?), Some(self.time()?), Some(self.time()?)))
    }

    fn sixteen(&mut self) -> Option<&'a [u8]> {
        let (piece, rest) = self.rest.split_at_checked(16)?;
        self.rest = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_AT: i64 = 1_800_000_000_000;

    fn row() -> GrantRow {
        GrantRow {
            id: RecordId::new(mintkeep_protocol::time::Timestamp::from_unix_ms(MADE_AT), 7).number(),
            app: 1,
            customer: "c".into(),
            scopes: "auth_base auth_user".into(),
            salt: vec![4; 16],
            stage: 1,
            code_expires_at: MADE_AT + 600_000,
            spent_at: Some(MADE_AT + 900),
            revoked_at: None,
            access: (Some(1), Some(MADE_AT + 900), Some(MADE_AT + 7_200_900)),
            refresh_expires_at: Some(MADE_AT + 2_592_000_900),
            previous: (None, None, None),
            made_by: Some(vec![8; 16]),
            token_epoch: 0,
            revision: 2,
        }
    }

    fn told(row: &GrantRow) -> String {
        let times = (row.code_expires_at, row.spent_at, row.revoked_at, row.refresh_expires_at);
        let tokens = (row.stage, row.access, row.previous, &row.made_by, &row.salt);
        format!("{:?}", (row.id, row.app, &row.customer, &row.scopes, times, tokens, row.token_epoch))
    }

    fn unpacked(row: &GrantRow, body: &[u8]) -> Option<GrantRow> {
        unpack((row.id, row.app, row.revision), row.customer.clone(), body)
    }

    #[test]
    fn a_packed_grant_comes_back_whatever_it_holds() {
        type Change = fn(&mut GrantRow);
        let cases: [(&str, Change); 9] = [
            ("as it is", |_| {}),
            ("no scope", |row| row.scopes.clear()),
            ("not spent", |row| row.spent_at = None),
            ("revoked", |row| (row.revoked_at, row.stage) = (Some(MADE_AT + 5), STAGE_REVOKED)),
            ("no tokens", |row| (row.access, row.stage) = ((None, None, None), STAGE_ISSUED)),
            ("no refresh token", |row| row.refresh_expires_at = None),
            ("no digest", |row| row.made_by = None),
            ("a predecessor", |row| row.previous = (Some(-1), Some(MADE_AT), Some(MADE_AT - 1))),
            ("the ends of the numbers", |row| {
                (row.token_epoch, row.code_expires_at, row.id) = (i64::MAX, i64::MIN, i64::MAX);
                row.access = (Some(i64::MIN), Some(i64::MAX), Some(i64::MIN));
                (row.spent_at, row.refresh_expires_at) = (Some(i64::MAX), Some(0));
            }),
        ];
        for (case, change) in cases {
            let mut row = row();
            change(&mut row);
            assert_eq!(unpacked(&row, &pack(&row)).as_ref().map(told), Some(told(&row)), "{case}");
        }
    }

    #[test]
    fn an_active_grant_takes_few_bytes() {
        let row = row();
        let rest = row.scopes.len() + row.salt.len() + 16;
        assert_eq!(pack(&row).len() - rest, 19, "distances, not times");
    }

    #[test]
    fn a_body_that_was_cut_is_not_read() {
        let body = pack(&GrantRow { scopes: String::new(), ..row() });
        for length in 0..body.len() {
            assert!(unpacked(&row(), &body[..length]).is_none(), "{length} bytes");
        }
    }
}
