//! What the keeper writes. Of a change of several statements the caller undoes all unless it is done.

use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::intent::FrozenAnswer;
use mintkeep_protocol::keep::slot::{LeaseFence, Slot, SlotKey};
use mintkeep_protocol::port::keeper_store::{Presented, QuotaAccount, QuotaDebit};
use mintkeep_protocol::time::Timestamp;
use rusqlite::{Connection, params};

use crate::change::keeper::KeeperChange;
use crate::flat::keeper::{ExchangeRow, NamedRow, SlotRow, customer_column, history_document};
use crate::sqlite::write::{Written, guarded};

/// How many exchanges that ended are deleted with one that begins.
const FORGOTTEN_AT_ONCE: u32 = 100;

/// Writes one change of the keeper's.
pub fn write(db: &Connection, change: &KeeperChange) -> Written {
    match change {
        KeeperChange::PutCredential(credential) => put_credential(db, credential),
        KeeperChange::RemoveCredential(credential) => remove_credential(db, credential),
        KeeperChange::PutConsumer(consumer) => put_consumer(db, consumer),
        KeeperChange::TakeLease(slot) => take_lease(db, slot),
        KeeperChange::Present(slot, debit) => present(db, slot, debit.as_ref()),
        KeeperChange::KeepAnswer(key, intent, answer) => keep_answer(db, key, *intent, answer),
        KeeperChange::CommitKept(slot, line, refunded) => commit_kept(db, slot, line, refunded.as_ref()),
        KeeperChange::TakeExchange(exchange, forget_before) => take_exchange(db, exchange, *forget_before),
        KeeperChange::PresentCode(exchange, debit) => present_code(db, exchange, debit.as_ref()),
        KeeperChange::KeepCodeAnswer(key, intent, answer) => keep_code_answer(db, key, *intent, answer),
        KeeperChange::PutOffExchange(exchange, refunded) => put_off_exchange(db, exchange, refunded.as_ref()),
        KeeperChange::CommitExchange(exchange, slot, line, refunded) => match put_exchange(db, exchange)? {
            Presented::Done => commit_kept(db, slot, line, refunded.as_ref()),
            lost @ (Presented::Lost | Presented::OverQuota) => Ok(lost),
        },
    }
}

fn put_credential(db: &Connection, credential: &Credential) -> Written {
    let row = NamedRow::of_credential(credential, credential.revision.saturating_add(1))?;
    let sql = if credential.revision == 0 {
        "INSERT INTO credential (no, name, removed_at, revision, mark, document) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE OR IGNORE credential SET name = ?2, removed_at = ?3, revision = ?4, mark = ?5, document = ?6 \
         WHERE no = ?1 AND revision = ?4 - 1"
    };
    let values = params![row.no, row.name, row.ended_at, row.revision, next_mark(db)?, row.document];
    guarded(db, sql, values)
}

fn remove_credential(db: &Connection, credential: &Credential) -> Written {
    let removed = put_credential(db, credential)?;
    if removed == Presented::Done {
        let no = credential.no.number();
        db.prepare_cached("DELETE FROM slot WHERE credential = ?1")?.execute([no])?;
        db.prepare_cached("DELETE FROM slot_history WHERE credential = ?1")?.execute([no])?;
        db.prepare_cached("DELETE FROM code_exchange WHERE credential = ?1")?.execute([no])?;
    }
    Ok(removed)
}

fn put_consumer(db: &Connection, consumer: &Consumer) -> Written {
    let row = NamedRow::of_consumer(consumer, consumer.revision.saturating_add(1))?;
    let sql = if consumer.revision == 0 {
        "INSERT INTO consumer (no, name, revoked_at, revision, mark, document) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE OR IGNORE consumer SET name = ?2, revoked_at = ?3, revision = ?4, mark = ?5, document = ?6 \
         WHERE no = ?1 AND revision = ?4 - 1"
    };
    let values = params![row.no, row.name, row.ended_at, row.revision, next_mark(db)?, row.document];
    guarded(db, sql, values)
}

fn take_lease(db: &Connection, slot: &Slot) -> Written {
    if is_usable(db, slot.key.credential)? { put_slot(db, slot) } else { Ok(Presented::Lost) }
}

fn present(db: &Connection, slot: &Slot, debit: Option<&QuotaDebit>) -> Written {
    match put_slot(db, slot)? {
        Presented::Done => count_call(db, debit),
        lost @ (Presented::Lost | Presented::OverQuota) => Ok(lost),
    }
}

fn keep_answer(db: &Connection, key: &SlotKey, intent: LeaseFence, answer: &Sealed<FrozenAnswer>) -> Written {
    let sql = "UPDATE slot SET answer = ?4, revision = revision + 1, mark = ?5 \
         WHERE credential = ?1 AND customer = ?2 AND intent_fence = ?3 AND answer IS NULL";
    let mark = next_mark(db)?;
    let values = params![key.credential.number(), customer_column(key), intent.0, answer.as_bytes(), mark];
    guarded(db, sql, values)
}

fn commit_kept(
    db: &Connection,
    slot: &Slot,
    line: &HistoryEntry,
    refunded: Option<&QuotaAccount>,
) -> Written {
    let put = put_slot(db, slot)?;
    if put == Presented::Done {
        tell(db, slot, line)?;
        refund(db, refunded)?;
    }
    Ok(put)
}

fn take_exchange(db: &Connection, exchange: &Exchange, forget_before: Timestamp) -> Written {
    if !is_usable(db, exchange.key.credential)? {
        return Ok(Presented::Lost);
    }
    let taken = put_exchange(db, exchange)?;
    if taken == Presented::Done {
        let sql = "DELETE FROM code_exchange WHERE rowid IN \
             (SELECT rowid FROM code_exchange WHERE is_open = 0 AND begun_at < ?1 ORDER BY begun_at LIMIT ?2)";
        db.prepare_cached(sql)?.execute(params![forget_before.unix_ms(), FORGOTTEN_AT_ONCE])?;
    }
    Ok(taken)
}

fn present_code(db: &Connection, exchange: &Exchange, debit: Option<&QuotaDebit>) -> Written {
    match put_exchange(db, exchange)? {
        Presented::Done => count_call(db, debit),
        lost @ (Presented::Lost | Presented::OverQuota) => Ok(lost),
    }
}

fn keep_code_answer(
    db: &Connection,
    key: &ExchangeKey,
    intent: LeaseFence,
    answer: &Sealed<FrozenAnswer>,
) -> Written {
    let sql = "UPDATE code_exchange SET answer = ?4, revision = revision + 1 \
         WHERE credential = ?1 AND code = ?2 AND intent_fence = ?3 AND answer IS NULL";
    guarded(db, sql, params![key.credential.number(), key.code, intent.0, answer.as_bytes()])
}

fn put_off_exchange(db: &Connection, exchange: &Exchange, refunded: Option<&QuotaAccount>) -> Written {
    let put = put_exchange(db, exchange)?;
    if put == Presented::Done {
        refund(db, refunded)?;
    }
    Ok(put)
}

/// Whether the credential is there and not removed.
fn is_usable(db: &Connection, credential: RecordId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM credential WHERE no = ?1 AND removed_at IS NULL";
    db.prepare_cached(sql)?.exists([credential.number()])
}

fn put_slot(db: &Connection, slot: &Slot) -> Written {
    let row = SlotRow::of(slot, slot.revision.saturating_add(1))?;
    let sql = if slot.revision == 0 {
        "INSERT INTO slot (credential, customer, intent_fence, answer, revision, mark, document) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE slot SET intent_fence = ?3, answer = ?4, revision = ?5, mark = ?6, document = ?7 \
         WHERE credential = ?1 AND customer = ?2 AND revision = ?5 - 1"
    };
    let values = params![
        row.credential,
        row.customer,
        row.intent_fence,
        row.answer,
        row.revision,
        next_mark(db)?,
        row.document,
    ];
    guarded(db, sql, values)
}

fn put_exchange(db: &Connection, exchange: &Exchange) -> Written {
    let row = ExchangeRow::of(exchange, exchange.revision.saturating_add(1))?;
    let sql = if exchange.revision == 0 {
        "INSERT INTO code_exchange \
         (credential, code, begun_at, is_open, intent_fence, answer, revision, document) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE code_exchange SET begun_at = ?3, is_open = ?4, intent_fence = ?5, answer = ?6, \
         revision = ?7, document = ?8 WHERE credential = ?1 AND code = ?2 AND revision = ?7 - 1"
    };
    let values = params![
        row.credential,
        row.code,
        row.begun_at,
        row.is_open,
        row.intent_fence,
        row.answer,
        row.revision,
        row.document,
    ];
    guarded(db, sql, values)
}

/// Counts a call, if the account has room for it.
fn count_call(db: &Connection, debit: Option<&QuotaDebit>) -> Written {
    let Some(QuotaDebit { account, ceiling }) = debit else { return Ok(Presented::Done) };
    let sql = "INSERT INTO quota_call (dialect, app, kind, day, calls) SELECT ?1, ?2, ?3, ?4, 1 WHERE ?5 > 0 \
         ON CONFLICT (dialect, app, kind, day) DO UPDATE SET calls = calls + 1 WHERE calls < ?5";
    let (dialect, kind) = (account.dialect.name(), account.kind.name());
    let values = params![dialect, account.app.as_str(), kind, account.day, ceiling];
    match guarded(db, sql, values)? {
        Presented::Done => Ok(Presented::Done),
        Presented::Lost | Presented::OverQuota => Ok(Presented::OverQuota),
    }
}

/// Counts a call back that was never made.
fn refund(db: &Connection, account: Option<&QuotaAccount>) -> rusqlite::Result<()> {
    let Some(account) = account else { return Ok(()) };
    let sql = "UPDATE quota_call SET calls = calls - 1 \
         WHERE dialect = ?1 AND app = ?2 AND kind = ?3 AND day = ?4 AND calls > 0";
    let (dialect, kind) = (account.dialect.name(), account.kind.name());
    db.prepare_cached(sql)?.execute(params![dialect, account.app.as_str(), kind, account.day])?;
    Ok(())
}

/// Adds a line to a slot's story, and drops those that are too many.
fn tell(db: &Connection, slot: &Slot, line: &HistoryEntry) -> Result<(), super::super::fault::Fault> {
    let (credential, customer) = (slot.key.credential.number(), customer_column(&slot.key));
    let insert =
        "INSERT INTO slot_history (credential, customer, revision, document) VALUES (?1, ?2, ?3, ?4)";
    let document = history_document(line)?;
    db.prepare_cached(insert)?.execute(params![credential, customer, slot.revision, document])?;
    let surplus = "DELETE FROM slot_history WHERE credential = ?1 AND customer = ?2 AND revision <= \
         (SELECT revision FROM slot_history WHERE credential = ?1 AND customer = ?2 \
          ORDER BY revision DESC LIMIT 1 OFFSET ?3)";
    db.prepare_cached(surplus)?.execute(params![credential, customer, HistoryEntry::KEPT_MAX])?;
    Ok(())
}

/// The number of the change that is being written. A change that is not done gives its number back.
fn next_mark(db: &Connection) -> rusqlite::Result<i64> {
    let sql = "UPDATE meta SET value = value + 1 WHERE name = 'change_mark' RETURNING value";
    db.prepare_cached(sql)?.query_row([], |row| row.get(0))
}
