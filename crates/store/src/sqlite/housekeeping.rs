//! What is long dead is deleted, a little at a time. Nothing needs this to stay fast; it bounds the disk.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::time::{Clock, Timestamp};
use rusqlite::{Connection, params};
use tokio::time::Instant;

use crate::cache::RecordCache;
use crate::flat::{STAGE_ACTIVE, STAGE_ISSUED, STAGE_REVOKED};
use crate::settling::Settling;

/// How long a code that nobody exchanged is still known after it expired: shown again in that time, it
/// is answered as expired, and later as one that never was.
pub const DEAD_CODE_KEPT: Duration = Duration::from_hours(24);

/// How long a grant is still known after it was revoked, or after the last of its tokens expired: in that
/// time its code is answered as used and its tokens as expired, and later as ones that never were.
pub const DEAD_GRANT_KEPT: Duration = Duration::from_hours(30 * 24);

/// How long a removed credential and a revoked consumer are still known to whoever follows the changes.
pub const REMOVED_KEPT: Duration = Duration::from_hours(30 * 24);

/// How long what was used once is still known after it would have ended: longer than the clocks of two replicas
/// differ, so that none forgets what another would still take.
pub const SPENT_NONCE_KEPT: Duration = Duration::from_mins(10);

/// How many days a platform's calls stay counted after their own.
pub const CALLS_KEPT_DAYS: i64 = 7;

/// How many grants are looked at, and how many audit lines and spent nonces are deleted, in one go.
const CHUNK_ROWS: u32 = 1_000;

/// How long the writer is left alone between two goes that found little to do.
const GO_EVERY: Duration = Duration::from_secs(1);

/// How long until the grants are gone through again from the first.
const GRANTS_EVERY: Duration = Duration::from_hours(1);

/// Where the tidying is.
pub struct Housekeeping {
    clock: Arc<dyn Clock>,
    audit_retention: Duration,
    settling: Settling,
    /// The last go; `None`: the next one is due at once.
    last_go: Option<Instant>,
    /// The last grant that was looked at, or when all of them were.
    grants: GrantPass,
}

enum GrantPass {
    After(i64),
    DoneAt(Instant),
}

impl Housekeeping {
    /// Starts at the oldest records.
    pub fn new(clock: Arc<dyn Clock>, audit_retention: Duration) -> Self {
        let settling = Settling::default();
        Self { clock, audit_retention, settling, last_go: None, grants: GrantPass::After(i64::MIN) }
    }

    /// Does a bounded piece of work if one is due at `at`, by the monotonic clock, and the other one may be believed.
    pub fn tick(&mut self, db: &mut Connection, cache: &RecordCache, at: Instant) -> rusqlite::Result<()> {
        if self.last_go.is_some_and(|last| at.duration_since(last) < GO_EVERY) {
            return Ok(());
        }
        self.last_go = Some(at);
        let now = self.clock.now();
        if !self.settling.has_settled(now, at) {
            return Ok(());
        }
        self.tidy_grants(db, cache, (now, at))?;
        let lines = tidy_audit(db, now.before(self.audit_retention))?;
        let nonces = tidy_nonces(db, now)?;
        if lines >= CHUNK_ROWS || nonces >= CHUNK_ROWS {
            self.last_go = None;
        }
        Ok(())
    }

    fn tidy_grants(
        &mut self,
        db: &Connection,
        cache: &RecordCache,
        (now, at): (Timestamp, Instant),
    ) -> rusqlite::Result<()> {
        let after = match self.grants {
            GrantPass::After(id) => id,
            GrantPass::DoneAt(done) if at.duration_since(done) >= GRANTS_EVERY => i64::MIN,
            GrantPass::DoneAt(_) => return Ok(()),
        };
        let chunk = "SELECT max(id) FROM (SELECT id FROM grant_record WHERE id > ?1 ORDER BY id LIMIT ?2)";
        let last: Option<i64> =
            db.prepare_cached(chunk)?.query_row(params![after, CHUNK_ROWS], |row| row.get(0))?;
        let Some(last) = last else {
            self.grants = GrantPass::DoneAt(at);
            return tidy_keeper(db, now);
        };
        let delete = "DELETE FROM grant_record WHERE id > ?1 AND id <= ?2 AND CASE stage \
             WHEN ?3 THEN code_expires_at <= ?4 \
             WHEN ?5 THEN max(expires_at, refresh_expires_at) <= ?6 \
             WHEN ?7 THEN revoked_at <= ?6 END RETURNING id";
        let codes_before = now.before(DEAD_CODE_KEPT).unix_ms();
        let grants_before = now.before(DEAD_GRANT_KEPT).unix_ms();
        #[rustfmt::skip]
        let bounds = params![after, last, STAGE_ISSUED, codes_before, STAGE_ACTIVE, grants_before, STAGE_REVOKED];
        let deleted: Vec<i64> =
            db.prepare_cached(delete)?.query_map(bounds, |row| row.get(0))?.collect::<Result<_, _>>()?;
        for id in deleted {
            cache.grants.forget(&RecordId::from_number(id));
        }
        self.grants = GrantPass::After(last);
        Ok(())
    }
}

/// Deletes what the keeper has no use for any more; there is little of it, so all at once.
fn tidy_keeper(db: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let removed_before = now.before(REMOVED_KEPT).unix_ms();
    db.prepare_cached("DELETE FROM credential WHERE removed_at <= ?1")?.execute([removed_before])?;
    db.prepare_cached("DELETE FROM consumer WHERE revoked_at <= ?1")?.execute([removed_before])?;
    let days_before = now.quota_day().saturating_sub(CALLS_KEPT_DAYS);
    db.prepare_cached("DELETE FROM quota_call WHERE day < ?1")?.execute([days_before])?;
    Ok(())
}

/// Deletes the oldest lines that were written before `before`. The newest line always stays, so that
/// numbers are not given out twice.
fn tidy_audit(db: &Connection, before: Timestamp) -> rusqlite::Result<u32> {
    let delete = "DELETE FROM audit WHERE at < ?2 AND n < (SELECT max(n) FROM audit) \
         AND n IN (SELECT n FROM audit ORDER BY n LIMIT ?1)";
    let deleted = db.prepare_cached(delete)?.execute(params![CHUNK_ROWS, before.unix_ms()])?;
    Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
}

/// Deletes the spent nonces that ended first and long enough ago.
fn tidy_nonces(db: &Connection, now: Timestamp) -> rusqlite::Result<u32> {
    let delete = "DELETE FROM spent_nonce WHERE digest IN \
         (SELECT digest FROM spent_nonce WHERE expires_at <= ?2 ORDER BY expires_at LIMIT ?1)";
    let ended_before = now.before(SPENT_NONCE_KEPT).unix_ms();
    let deleted = db.prepare_cached(delete)?.execute(params![CHUNK_ROWS, ended_before])?;
    Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::settling::SETTLED_AFTER;
    use crate::sqlite::schema;

    const START_MS: i64 = 1_800_000_000_000;
    const DAY_MS: i64 = 86_400_000;

    #[derive(Default)]
    struct Moved(AtomicI64);

    impl Clock for Moved {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_ms(START_MS.saturating_add(self.0.load(Ordering::SeqCst)))
        }
    }

    struct House {
        db: Connection,
        clock: Arc<Moved>,
        at: Instant,
        housekeeping: Housekeeping,
    }

    impl House {
        /// One whose clock is believed from now on.
        fn new() -> Self {
            let mut db = Connection::open_in_memory().unwrap();
            schema::migrate(&mut db, &mut |_| {}).unwrap();
            let clock = Arc::new(Moved::default());
            let mut housekeeping = Housekeeping::new(clock.clone(), Duration::from_hours(48));
            let start = Instant::now();
            housekeeping.tick(&mut db, &RecordCache::new(), start).unwrap();
            let at = start.checked_add(SETTLED_AFTER).unwrap();
            Self { db, clock, at, housekeeping }
        }

        fn put(&self, id: i64, stage: i16, code_ms: i64, access_ms: Option<i64>, refresh_ms: Option<i64>) {
            let sql = "INSERT INTO grant_record (id, app, customer, scopes, salt, stage, code_expires_at, \
                 expires_at, refresh_expires_at, revoked_at, token_epoch, revision) \
                 VALUES (?1, 1, 'c', '', x'', ?2, ?3, ?4, ?5, ?5, 0, 1)";
            self.db.execute(sql, params![id, stage, code_ms, access_ms, refresh_ms]).unwrap();
        }

        fn log(&self, at_ms: i64) {
            let sql =
                "INSERT INTO audit (at, actor, action, subject, request_id) VALUES (?1, '', '', '', '')";
            self.db.execute(sql, [at_ms]).unwrap();
        }

        /// Lets so much time pass, and one go happen.
        fn tick(&mut self, passed_ms: u64) {
            self.at = self.at.checked_add(Duration::from_millis(passed_ms)).unwrap();
            self.leap(i64::try_from(passed_ms).unwrap());
        }

        /// Moves the clock alone, and lets one go happen.
        fn leap(&mut self, by_ms: i64) {
            self.clock.0.fetch_add(by_ms, Ordering::SeqCst);
            self.housekeeping.tick(&mut self.db, &RecordCache::new(), self.at).unwrap();
        }

        fn numbers(&self, sql: &str) -> Vec<i64> {
            let mut statement = self.db.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        }

        fn grants(&self) -> Vec<i64> {
            self.numbers("SELECT id FROM grant_record ORDER BY id")
        }
    }

    #[test]
    fn only_what_is_dead_for_its_time_is_deleted() {
        let mut house = House::new();
        let (day_ago, month_ago) = (START_MS - DAY_MS, START_MS - 30 * DAY_MS);
        house.put(1, STAGE_ISSUED, day_ago, None, None);
        house.put(2, STAGE_ISSUED, day_ago + 1, None, None);
        house.put(3, STAGE_ACTIVE, 0, Some(month_ago), Some(month_ago));
        house.put(4, STAGE_ACTIVE, 0, Some(month_ago), Some(month_ago + 1));
        house.put(5, STAGE_ACTIVE, 0, Some(month_ago + 1), Some(month_ago));
        house.put(6, STAGE_REVOKED, 0, None, Some(month_ago));
        house.put(7, STAGE_REVOKED, 0, None, Some(month_ago + 1));
        house.tick(0);
        assert_eq!(house.grants(), [2, 4, 5, 7]);
    }

    #[test]
    fn grants_are_gone_through_in_chunks_and_again_after_a_while() {
        let mut house = House::new();
        let chunk = i64::from(CHUNK_ROWS);
        for id in 1..=chunk + 1 {
            house.put(id, STAGE_ISSUED, 0, None, None);
        }
        house.tick(0);
        assert_eq!(house.grants(), [chunk + 1], "one go is bounded");
        house.tick(999);
        assert_eq!(house.grants(), [chunk + 1], "the next is not due yet");
        house.tick(1);
        assert!(house.grants().is_empty());
        house.tick(1_000);
        house.put(9, STAGE_ISSUED, 0, None, None);
        house.tick(1_000);
        assert_eq!(house.grants(), [9], "all were gone through");
        house.tick(3_600_000);
        assert!(house.grants().is_empty(), "an hour later it starts anew");
    }

    #[test]
    fn nothing_is_deleted_by_a_clock_that_has_just_started_or_leapt_ahead() {
        let mut house = House::new();
        house.at = house.at.checked_sub(Duration::from_secs(1)).unwrap();
        for at_ms in [0, 0, START_MS, START_MS] {
            house.log(at_ms);
        }
        house.leap(0);
        assert_eq!(
            house.numbers("SELECT count(*) FROM audit"),
            [4],
            "an hour after the start, but for a second"
        );
        house.tick(1_000);
        assert_eq!(house.numbers("SELECT n FROM audit"), [3, 4]);

        house.leap(3_650 * DAY_MS);
        house.tick(1_000);
        house.leap(-3_650 * DAY_MS);
        house.tick(3_600_000);
        assert_eq!(house.numbers("SELECT n FROM audit"), [3, 4], "good by the right clock");
    }

    #[test]
    fn old_audit_lines_go_but_the_last_number_stays_taken() {
        let mut house = House::new();
        for at in [0, 1, 2 * DAY_MS, 2 * DAY_MS + 1] {
            house.log(START_MS - 4 * DAY_MS + at);
        }
        house.tick(0);
        assert_eq!(house.numbers("SELECT n FROM audit"), [3, 4]);
        house.tick(30 * 86_400_000);
        assert_eq!(house.numbers("SELECT n FROM audit"), [4], "the newest stays, however old");
    }

    #[test]
    fn audit_lines_by_the_thousand_go_without_a_pause_between() {
        let mut house = House::new();
        for _ in 0..=2 * CHUNK_ROWS {
            house.log(0);
        }
        house.tick(0);
        house.tick(0);
        assert_eq!(house.numbers("SELECT count(*) FROM audit"), [1]);
    }

    #[test]
    fn spent_nonces_go_a_while_after_their_end_and_by_the_thousand_without_a_pause() {
        let mut house = House::new();
        let kept_ms = i64::try_from(SPENT_NONCE_KEPT.as_millis()).unwrap();
        let spend = "INSERT INTO spent_nonce VALUES (?1, ?2)";
        for (digest, ended_at) in [([1_u8], START_MS - kept_ms), ([2], START_MS - kept_ms + 1)] {
            house.db.execute(spend, params![digest, ended_at]).unwrap();
        }
        house.tick(0);
        assert_eq!(house.numbers("SELECT expires_at FROM spent_nonce"), [START_MS - kept_ms + 1]);
        for number in 1..2 * CHUNK_ROWS {
            house.db.execute(spend, params![number.to_be_bytes(), 0]).unwrap();
        }
        house.tick(1_000);
        house.tick(0);
        assert_eq!(house.numbers("SELECT count(*) FROM spent_nonce"), [0]);
    }

    #[test]
    fn removed_credentials_revoked_consumers_and_old_days_go_too() {
        let mut house = House::new();
        let month_ago = START_MS - 30 * DAY_MS;
        let today = Timestamp::from_unix_ms(START_MS).quota_day();
        for (no, ended_at) in [(1, Some(month_ago)), (2, Some(month_ago + 1)), (3, None)] {
            let credential = "INSERT INTO credential VALUES (?1, ?1, ?2, 1, 1, '')";
            let consumer = "INSERT INTO consumer VALUES (?1, ?1, ?2, 1, 1, '')";
            for sql in [credential, consumer] {
                house.db.execute(sql, params![no, ended_at]).unwrap();
            }
        }
        for day in [today - 8, today - 7, today] {
            house.db.execute("INSERT INTO quota_call VALUES ('', '', '', ?1, 1)", [day]).unwrap();
        }
        house.tick(0);
        assert_eq!(house.numbers("SELECT no FROM credential ORDER BY no"), [2, 3]);
        assert_eq!(house.numbers("SELECT no FROM consumer ORDER BY no"), [2, 3]);
        assert_eq!(house.numbers("SELECT day FROM quota_call ORDER BY day"), [today - 7, today]);
    }
}
