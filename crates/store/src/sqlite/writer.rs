//! The one thread that writes: whoever waits goes into one transaction, and one flush makes all durable.
//!
//! While the disk works on one batch the next one gathers, so batches grow with the load and with the
//! disk's latency, and throughput does not end at one commit per flush. Those who were just answered come
//! back a moment later: on a slow disk the writer gives them that moment, or else it would flush for the
//! first of them and let the others wait for two flushes.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use mintkeep_protocol::port::keeper_store::{Presented, Stored};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fault::{Fault, unavailable};
use super::housekeeping::Housekeeping;
use super::write::{Written, write};
use crate::cache::RecordCache;
use crate::change::Intent;

/// Where a database's header says whether it has a log beside it, and what it says of one that has.
const LOG_AT: u64 = 18;
const WITH_LOG: u8 = 2;

/// Most intents that wait for the writer; the next one is told that the store is overloaded.
pub const QUEUE_INTENTS_MAX: usize = 8_192;

/// Most intents in one transaction, so that the first one in it doesn't wait long for the last.
const BATCH_INTENTS_MAX: usize = 1_024;

/// How long the writer waits for work before it looks after its house.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// How much of a flush's time the next batch may spend on waiting for as many intents as the last one had:
/// one part in this many.
const LINGER_PART: u32 = 8;

/// No wait shorter than this is worth a thread's going to sleep.
const LINGER_MIN: Duration = Duration::from_micros(100);

/// No intent waits longer than this for company.
const LINGER_MAX: Duration = Duration::from_millis(1);

/// What the writer is asked.
pub enum Request {
    /// To make an intent durable, and to say what became of it.
    Commit(Intent, oneshot::Sender<Stored<Presented>>),
    /// To end, once everything asked before is durable.
    Close,
}

/// The writer's own things.
pub struct Writer {
    pub db: Connection,
    /// Where the database is.
    pub file: PathBuf,
    /// The file that was there. Closed after the database: a process that closes a file gives up its locks on it.
    pub opened: File,
    pub cache: Arc<RecordCache>,
    pub requests: Receiver<Request>,
    pub housekeeping: Housekeeping,
    pub pace: Pace,
    /// Whether the last try to write anything failed.
    pub is_failing: Arc<AtomicBool>,
}

/// How the last batch went.
#[derive(Default)]
pub struct Pace {
    intents: usize,
    took: Duration,
}

impl Pace {
    /// How long to wait for as many intents as last time; zero: not at all.
    fn linger(&self) -> Duration {
        let wait = self.took.checked_div(LINGER_PART).unwrap_or_default().min(LINGER_MAX);
        if wait < LINGER_MIN { Duration::ZERO } else { wait }
    }
}

/// An intent and who waits for it.
type Waiting = (Intent, oneshot::Sender<Stored<Presented>>);

impl Writer {
    /// Works until it is asked to close, or nobody is left to ask.
    pub fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_INTENTS_MAX);
        loop {
            let open = self.gather(&mut batch);
            let is_idle = batch.is_empty();
            if !is_idle {
                let (begun, intents) = (Instant::now(), batch.len());
                self.commit(&mut batch);
                self.pace = Pace { intents, took: begun.elapsed() };
            }
            if !open {
                return;
            }
            if is_idle {
                self.check_health();
            }
            if !self.is_failing.load(Relaxed)
                && let Err(fault) = self.housekeeping.tick(&mut self.db, &self.cache, Instant::now())
            {
                tracing::warn!(%fault, "the store could not be tidied up; it is tried again later");
            }
        }
    }

    /// Takes what waits; if nothing does, waits a while. `false`: there is nothing more to come.
    fn gather(&self, batch: &mut Vec<Waiting>) -> bool {
        let mut next = match self.requests.recv_timeout(IDLE_WAIT) {
            Ok(request) => Some(request),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        let mut linger_until = None;
        while let Some(request) = next {
            match request {
                Request::Commit(intent, reply) => batch.push((intent, reply)),
                Request::Close => return false,
            }
            next = if batch.len() < BATCH_INTENTS_MAX { self.requests.try_recv().ok() } else { None };
            if next.is_none() && batch.len() < self.pace.intents {
                let until =
                    *linger_until.get_or_insert_with(|| Instant::now().checked_add(self.pace.linger()));
                let left =
                    until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
                next = if left.is_zero() { None } else { self.requests.recv_timeout(left).ok() };
            }
        }
        true
    }

    /// Whether the store, which has nothing to do, can write: tried if it could not, or if its file is gone.
    fn check_health(&mut self) {
        let found = self.check_file();
        if found.is_err() || self.is_failing.load(Relaxed) {
            let tried = found.and_then(|()| Ok(try_to_write(&mut self.db)?));
            self.is_failing.store(tried.is_err(), Relaxed);
        }
    }

    /// Whether the database is still where a start would look for it. One that was deleted, or that another took the
    /// place of, takes whatever is written to it, and is gone when it is closed; a backup that was copied over it would
    /// be spoilt.
    fn check_file(&self) -> Result<(), Fault> {
        let mut log = [WITH_LOG];
        let there = std::fs::metadata(&self.file);
        let is_ours = |there: Metadata| {
            let ours = self.opened.metadata()?;
            self.opened.read_exact_at(&mut log, LOG_AT)?;
            Ok(log == [WITH_LOG] && (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        };
        match there.and_then(is_ours) {
            Ok(false) => {
                // What is in the log is not written over what is there now.
                self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                Err(Fault::Displaced)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Fault::Displaced),
            // Any other trouble shows in what is written.
            Ok(true) | Err(_) => Ok(()),
        }
    }

    /// Commits a batch, shows it in the cache in the order of the commits, and then tells who waits.
    fn commit(&mut self, batch: &mut Vec<Waiting>) {
        let outcome = self.check_file().and_then(|()| write_batch(&mut self.db, batch));
        self.is_failing.store(outcome.is_err(), Relaxed);
        match outcome {
            Ok(written) => {
                let told: Vec<_> =
                    batch.drain(..).zip(written).map(|waiting| settle(&self.cache, waiting)).collect();
                for (reply, answer) in told {
                    // Whoever no longer waits finds the record changed when it loads it again.
                    let _ = reply.send(answer);
                }
            }
            Err(fault) => {
                let cause = unavailable(&fault);
                for (intent, reply) in batch.drain(..) {
                    self.cache.forget(&intent.change);
                    let _ = reply.send(Err(cause.clone()));
                }
            }
        }
    }
}

/// Writes something of no meaning, as a change would be written.
fn try_to_write(db: &mut Connection) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("UPDATE meta SET value = value WHERE name = 'schema'", [])?;
    tx.commit()
}

/// Shows in the cache what became of one intent of a committed batch.
fn settle(
    cache: &RecordCache,
    ((intent, reply), written): (Waiting, Written),
) -> (oneshot::Sender<Stored<Presented>>, Stored<Presented>) {
    cache.settle(&intent.change, matches!(written, Ok(Presented::Done)));
    (reply, written.map_err(Into::into))
}

/// Writes all intents in one transaction. What is not done is undone, alone.
///
/// # Errors
///
/// The transaction as a whole failed: it is unknown of every intent whether it will be found after a
/// restart, and none is to be seen before.
fn write_batch(db: &mut Connection, batch: &[Waiting]) -> Result<Vec<Written>, Fault> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut written = Vec::with_capacity(batch.len());
    for (intent, _) in batch {
        tx.prepare_cached("SAVEPOINT intent")?.execute([])?;
        let outcome = write(&tx, intent);
        if tx.is_autocommit() {
            // Disk full and its like end the whole transaction, with everything in it.
            return Err(outcome.err().unwrap_or(Fault::Engine(rusqlite::Error::InvalidQuery)));
        }
        if !matches!(outcome, Ok(Presented::Done)) {
            tx.prepare_cached("ROLLBACK TO intent")?.execute([])?;
        }
        tx.prepare_cached("RELEASE intent")?.execute([])?;
        written.push(outcome);
    }
    tx.commit()?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use mintkeep_protocol::ident::{CustomerId, RecordId};
    use mintkeep_protocol::record::{AuditAction, AuditEntry, Grant, GrantStage};
    use mintkeep_protocol::time::{Clock, Timestamp};
    use mintkeep_protocol::token::Salt;

    use super::*;
    use crate::change::Change;
    use crate::sqlite::schema;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_ms(1_800_000_000_000)
        }
    }

    fn writer() -> Writer {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db, &mut |_| {}).unwrap();
        let (_, requests) = sync_channel(1);
        let housekeeping = Housekeeping::new(Arc::new(Noon), Duration::from_hours(1));
        Writer {
            db,
            // There as long as the test runs.
            file: PathBuf::from("."),
            opened: File::open(".").unwrap(),
            cache: Arc::new(RecordCache::new()),
            requests,
            housekeeping,
            pace: Pace::default(),
            is_failing: Arc::default(),
        }
    }

    fn code(id: i64) -> Intent {
        let grant = Grant {
            id: RecordId::from_number(id),
            app: RecordId::from_number(1),
            customer: CustomerId::parse("c").unwrap(),
            scopes: vec![],
            salt: Salt([0; 16]),
            stage: GrantStage::Issued { binding: None },
            token_epoch: 0,
            code_expires_at: Noon.now(),
            revision: 1,
        };
        let audit = AuditEntry {
            at: Noon.now(),
            actor: "app".into(),
            action: AuditAction::CodeIssued,
            subject: "x".repeat(1_000),
            address: None,
            request_id: String::new(),
        };
        Intent { change: Change::PutGrant(Arc::new(grant)), app_revision: None, audit: Some(audit) }
    }

    /// Commits one batch; what each of its intents was answered.
    fn commit(writer: &mut Writer, intents: Vec<Intent>) -> Vec<Stored<Presented>> {
        let (mut batch, answers): (Vec<_>, Vec<_>) = intents
            .into_iter()
            .map(|intent| {
                let (reply, answer) = oneshot::channel();
                ((intent, reply), answer)
            })
            .unzip();
        writer.commit(&mut batch);
        answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
    }

    fn count(writer: &Writer, table: &str) -> i64 {
        writer.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_intent_that_fails_alone_is_undone_alone() {
        let mut writer = writer();
        // The audit line is written after the grant, so the grant must be taken back.
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON audit WHEN new.subject = 'refused' \
             BEGIN SELECT raise(ABORT, 'refused'); END";
        writer.db.execute_batch(refuse).unwrap();
        let mut refused = code(2);
        refused.audit.as_mut().unwrap().subject = "refused".into();
        let answers = commit(&mut writer, vec![code(1), refused, code(3), code(3)]);
        assert!(matches!(
            answers[..],
            [Ok(Presented::Done), Err(_), Ok(Presented::Done), Ok(Presented::Lost)]
        ));
        assert_eq!((count(&writer, "grant_record"), count(&writer, "audit")), (2, 2));
    }

    #[tokio::test]
    async fn a_full_disk_is_an_error_for_the_whole_batch_and_passes() {
        let mut writer = writer();
        assert!(commit(&mut writer, vec![code(1)])[0].is_ok());
        let pages: i64 = writer.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let limit = |writer: &Writer, pages: i64| {
            writer.db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        };
        limit(&writer, pages + 2);
        let answers = commit(&mut writer, (10..60).map(code).collect());
        let is_told = |answer: &Stored<_>| answer.as_ref().is_err_and(|error| error.cause.contains("full"));
        assert!(answers.iter().all(is_told), "all or none: {answers:?}");
        assert_eq!((count(&writer, "grant_record"), count(&writer, "audit")), (1, 1));
        let kept = writer.cache.grants.get_or_load(&RecordId::from_number(10), async { Ok(None) }).await;
        assert!(kept.unwrap().is_none(), "what was not committed is not shown");

        limit(&writer, 1_000_000);
        let answers = commit(&mut writer, (10..60).map(code).collect());
        assert!(
            answers.iter().all(|answer| matches!(answer, Ok(Presented::Done))),
            "with room again, it works"
        );
    }

    #[test]
    fn nobody_is_told_of_a_commit_before_it_is_made() {
        let mut writer = writer();
        // What holds at each statement, and not at the commit.
        let refuse_late = "CREATE TABLE nobody (id INTEGER PRIMARY KEY); \
             CREATE TABLE heir (of INTEGER REFERENCES nobody (id) DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER late AFTER INSERT ON grant_record WHEN new.id = 2 \
             BEGIN INSERT INTO heir VALUES (new.id); END; \
             PRAGMA foreign_keys = ON";
        writer.db.execute_batch(refuse_late).unwrap();
        let answers = commit(&mut writer, vec![code(1), code(2)]);
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
        assert_eq!((count(&writer, "grant_record"), count(&writer, "audit")), (0, 0));
        assert!(
            matches!(commit(&mut writer, vec![code(1)])[..], [Ok(Presented::Done)]),
            "the next one works"
        );
    }

    #[test]
    fn a_batch_takes_all_that_wait_up_to_its_bound_and_closing_comes_last() {
        let (asked, requests) = sync_channel(QUEUE_INTENTS_MAX);
        let writer = Writer { requests, ..writer() };
        for id in 0..=1_024 {
            asked.send(Request::Commit(code(id), oneshot::channel().0)).unwrap();
        }
        asked.send(Request::Close).unwrap();
        let mut batch = Vec::new();
        assert_eq!((writer.gather(&mut batch), batch.len()), (true, BATCH_INTENTS_MAX));
        batch.clear();
        assert_eq!((writer.gather(&mut batch), batch.len()), (false, 1));
    }

    #[test]
    fn only_a_slow_disk_makes_the_writer_wait_for_company() {
        let cases_us = [(0, 0), (799, 0), (800, 100), (4_000, 500), (8_000, 1_000), (90_000, 1_000)];
        for (took, linger) in cases_us {
            let pace = Pace { intents: 1, took: Duration::from_micros(took) };
            assert_eq!(pace.linger(), Duration::from_micros(linger), "after {took} us");
        }
    }
}
