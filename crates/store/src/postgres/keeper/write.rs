//! What the keeper writes. Of a change of several statements the caller undoes all unless it is done.

use deadpool_postgres::Transaction;
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

use crate::change::keeper::KeeperChange;
use crate::flat::keeper::{ExchangeRow, NamedRow, SlotRow, customer_column, history_document};
use crate::postgres::fault::Fault;
use crate::postgres::read::Values;
use crate::postgres::write::{Written, guarded};

/// How many exchanges that ended are deleted with one that begins.
const FORGOTTEN_AT_ONCE: i64 = 100;

/// Writes one change of the keeper's.
pub async fn write(db: &Transaction<'_>, change: &KeeperChange) -> Written {
    match change {
        KeeperChange::PutCredential(credential) => taken_is_lost(put_credential(db, credential).await),
        KeeperChange::RemoveCredential(credential) => remove_credential(db, credential).await,
        KeeperChange::PutConsumer(consumer) => taken_is_lost(put_consumer(db, consumer).await),
        KeeperChange::TakeLease(slot) => take_lease(db, slot).await,
        KeeperChange::Present(slot, debit) => present(db, slot, debit.as_ref()).await,
        KeeperChange::KeepAnswer(key, intent, answer) => keep_answer(db, key, *intent, answer).await,
        KeeperChange::CommitKept(slot, line, refunded) => {
            commit_kept(db, slot, line, refunded.as_ref()).await
        }
        KeeperChange::TakeExchange(exchange, forget_before) => {
            take_exchange(db, exchange, *forget_before).await
        }
        KeeperChange::PresentCode(exchange, debit) => present_code(db, exchange, debit.as_ref()).await,
        KeeperChange::KeepCodeAnswer(key, intent, answer) => keep_code_answer(db, key, *intent, answer).await,
        KeeperChange::PutOffExchange(exchange, refunded) => {
            put_off_exchange(db, exchange, refunded.as_ref()).await
        }
        KeeperChange::CommitExchange(exchange, slot, line, refunded) => {
            // A removal that has begun would not see the slot that is put here.
            if !is_usable(db, exchange.key.credential).await? {
                return Ok(Presented::Lost);
            }
            match put_exchange(db, exchange).await? {
                Presented::Done => commit_kept(db, slot, line, refunded.as_ref()).await,
                lost @ (Presented::Lost | Presented::OverQuota) => Ok(lost),
            }
        }
    }
}

async fn put_credential(db: &Transaction<'_>, credential: &Credential) -> Written {
    let row = NamedRow::of_credential(credential, credential.revision.saturating_add(1))?;
    let sql = if credential.revision == 0 {
        "INSERT INTO credential (no, name, removed_at, revision, mark, document) \
         VALUES ($1, $2, $3, $4, pg_current_xact_id()::text::bigint, $5) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE credential SET name = $2, removed_at = $3, revision = $4, mark = pg_current_xact_id()::text::bigint, document = $5 \
         WHERE no = $1 AND revision + 1 = $4"
    };
    let values: Values<'_> = &[&row.no, &row.name, &row.ended_at, &row.revision, &row.document];
    guarded(db, sql, values).await
}

async fn remove_credential(db: &Transaction<'_>, credential: &Credential) -> Written {
    // What is stored while this waits for the credential's row has to be found once it has it, whatever the database's
    // isolation is: under a stricter one each statement would see what was there before the wait.
    db.batch_execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    let removed = put_credential(db, credential).await?;
    if removed == Presented::Done {
        let no = credential.no.number();
        db.execute("DELETE FROM slot WHERE credential = $1", &[&no]).await?;
        db.execute("DELETE FROM slot_history WHERE credential = $1", &[&no]).await?;
        db.execute("DELETE FROM code_exchange WHERE credential = $1", &[&no]).await?;
    }
    Ok(removed)
}

async fn put_consumer(db: &Transaction<'_>, consumer: &Consumer) -> Written {
    let row = NamedRow::of_consumer(consumer, consumer.revision.saturating_add(1))?;
    let sql = if consumer.revision == 0 {
        "INSERT INTO consumer (no, name, revoked_at, revision, mark, document) \
         VALUES ($1, $2, $3, $4, pg_current_xact_id()::text::bigint, $5) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE consumer SET name = $2, revoked_at = $3, revision = $4, mark = pg_current_xact_id()::text::bigint, document = $5 \
         WHERE no = $1 AND revision + 1 = $4"
    };
    let values: Values<'_> = &[&row.no, &row.name, &row.ended_at, &row.revision, &row.document];
    guarded(db, sql, values).await
}

async fn take_lease(db: &Transaction<'_>, slot: &Slot) -> Written {
    if is_usable(db, slot.key.credential).await? { put_slot(db, slot).await } else { Ok(Presented::Lost) }
}

async fn present(db: &Transaction<'_>, slot: &Slot, debit: Option<&QuotaDebit>) -> Written {
    match put_slot(db, slot).await? {
        Presented::Done => count_call(db, debit).await,
        lost @ (Presented::Lost | Presented::OverQuota) => Ok(lost),
    }
}

async fn keep_answer(
    db: &Transaction<'_>,
    key: &SlotKey,
    intent: LeaseFence,
    answer: &Sealed<FrozenAnswer>,
) -> Written {
    let sql = "UPDATE slot SET answer = $4, revision = revision + 1, mark = pg_current_xact_id()::text::bigint \
         WHERE credential = $1 AND customer = $2 AND intent_fence = $3 AND answer IS NULL";
    let values: Values<'_> =
        &[&key.credential.number(), &customer_column(key), &intent.0, &answer.as_bytes()];
    guarded(db, sql, values).await
}

async fn commit_kept(
    db: &Transaction<'_>,
    slot: &Slot,
    line: &HistoryEntry,
    refunded: Option<&QuotaAccount>,
) -> Written {
    let put = put_slot(db, slot).await?;
    if put == Presented::Done {
        tell(db, slot, line).await?;
        refund(db, refunded).await?;
    }
    Ok(put)
}

async fn take_exchange(db: &Transaction<'_>, exchange: &Exchange, forget_before: Timestamp) -> Written {
    if !is_usable(db, exchange.key.credential).await? {
        return Ok(Presented::Lost);
    }
    let taken = put_exchange(db, exchange).await?;
    if taken == Presented::Done {
        let sql = "DELETE FROM code_exchange WHERE ctid IN \
             (SELECT ctid FROM code_exchange WHERE NOT is_open AND begun_at < $1 ORDER BY begun_at LIMIT $2)";
        run(db, sql, &[&forget_before.unix_ms(), &FORGOTTEN_AT_ONCE]).await?;
    }
    Ok(taken)
}

async fn present_code(db: &Transaction<'_>, exchange: &Exchange, debit: Option<&QuotaDebit>) -> Written {
    match put_exchange(db, exchange).await? {
        Presented::Done => count_call(db, debit).await,
        lost @ (Presented::Lost | Presented::OverQuota) => Ok(lost),
    }
}

async fn keep_code_answer(
    db: &Transaction<'_>,
    key: &ExchangeKey,
    intent: LeaseFence,
    answer: &Sealed<FrozenAnswer>,
) -> Written {
    let sql = "UPDATE code_exchange SET answer = $4, revision = revision + 1 \
         WHERE credential = $1 AND code = $2 AND intent_fence = $3 AND answer IS NULL";
    guarded(db, sql, &[&key.credential.number(), &key.code.as_slice(), &intent.0, &answer.as_bytes()]).await
}

async fn put_off_exchange(
    db: &Transaction<'_>,
    exchange: &Exchange,
    refunded: Option<&QuotaAccount>,
) -> Written {
    let put = put_exchange(db, exchange).await?;
    if put == Presented::Done {
        refund(db, refunded).await?;
    }
    Ok(put)
}

/// A name that another record has: the unique index refused it, and the transaction is to be undone.
fn taken_is_lost(written: Written) -> Written {
    match written {
        Err(fault) if fault.is_taken() => Ok(Presented::Lost),
        other => other,
    }
}

/// Whether the credential is there and not removed; the lock keeps it so until the transaction ends.
async fn is_usable(db: &Transaction<'_>, credential: RecordId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM credential WHERE no = $1 AND removed_at IS NULL FOR SHARE";
    let statement = db.prepare_cached(sql).await?;
    Ok(db.query_opt(&statement, &[&credential.number()]).await?.is_some())
}

async fn put_slot(db: &Transaction<'_>, slot: &Slot) -> Written {
    let row = SlotRow::of(slot, slot.revision.saturating_add(1))?;
    let sql = if slot.revision == 0 {
        "INSERT INTO slot (credential, customer, intent_fence, answer, revision, mark, document) \
         VALUES ($1, $2, $3, $4, $5, pg_current_xact_id()::text::bigint, $6) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE slot SET intent_fence = $3, answer = $4, revision = $5, mark = pg_current_xact_id()::text::bigint, \
         document = $6 \
         WHERE credential = $1 AND customer = $2 AND revision + 1 = $5"
    };
    let values: Values<'_> =
        &[&row.credential, &row.customer, &row.intent_fence, &row.answer, &row.revision, &row.document];
    guarded(db, sql, values).await
}

async fn put_exchange(db: &Transaction<'_>, exchange: &Exchange) -> Written {
    let row = ExchangeRow::of(exchange, exchange.revision.saturating_add(1))?;
    let sql = if exchange.revision == 0 {
        "INSERT INTO code_exchange \
         (credential, code, begun_at, is_open, intent_fence, answer, revision, document) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE code_exchange SET begun_at = $3, is_open = $4, intent_fence = $5, answer = $6, \
         revision = $7, document = $8 WHERE credential = $1 AND code = $2 AND revision + 1 = $7"
    };
    let values: Values<'_> = &[
        &row.credential,
        &row.code,
        &row.begun_at,
        &row.is_open,
        &row.intent_fence,
        &row.answer,
        &row.revision,
        &row.document,
    ];
    guarded(db, sql, values).await
}

/// Counts a call, if the account has room for it.
async fn count_call(db: &Transaction<'_>, debit: Option<&QuotaDebit>) -> Written {
    let Some(QuotaDebit { account, ceiling }) = debit else { return Ok(Presented::Done) };
    let sql = "INSERT INTO quota_call (dialect, app, kind, day, calls) SELECT $1, $2, $3, $4::bigint, 1 WHERE $5::bigint > 0 \
         ON CONFLICT (dialect, app, kind, day) DO UPDATE \
         SET calls = quota_call.calls + 1 WHERE quota_call.calls < $5::bigint";
    let (dialect, kind) = (account.dialect.name(), account.kind.name());
    let values: Values<'_> = &[&dialect, &account.app.as_str(), &kind, &account.day, &i64::from(*ceiling)];
    match guarded(db, sql, values).await? {
        Presented::Done => Ok(Presented::Done),
        Presented::Lost | Presented::OverQuota => Ok(Presented::OverQuota),
    }
}

/// Counts a call back that was never made.
async fn refund(db: &Transaction<'_>, account: Option<&QuotaAccount>) -> Result<(), Fault> {
    let Some(account) = account else { return Ok(()) };
    let sql = "UPDATE quota_call SET calls = calls - 1 \
         WHERE dialect = $1 AND app = $2 AND kind = $3 AND day = $4 AND calls > 0";
    let (dialect, kind) = (account.dialect.name(), account.kind.name());
    run(db, sql, &[&dialect, &account.app.as_str(), &kind, &account.day]).await?;
    Ok(())
}

/// Adds a line to a slot's story, and drops those that are too many.
async fn tell(db: &Transaction<'_>, slot: &Slot, line: &HistoryEntry) -> Result<(), Fault> {
    let (credential, customer) = (slot.key.credential.number(), customer_column(&slot.key));
    let insert =
        "INSERT INTO slot_history (credential, customer, revision, document) VALUES ($1, $2, $3, $4)";
    let document = history_document(line)?;
    run(db, insert, &[&credential, &customer, &slot.revision, &document]).await?;
    let surplus = "DELETE FROM slot_history WHERE credential = $1 AND customer = $2 AND revision <= \
         (SELECT revision FROM slot_history WHERE credential = $1 AND customer = $2 \
          ORDER BY revision DESC LIMIT 1 OFFSET $3)";
    run(db, surplus, &[&credential, &customer, &i64::from(HistoryEntry::KEPT_MAX)]).await?;
    Ok(())
}

/// Runs a statement that has no guard.
async fn run(db: &Transaction<'_>, sql: &str, values: Values<'_>) -> Result<(), Fault> {
    let statement = db.prepare_cached(sql).await?;
    db.execute(&statement, values).await?;
    Ok(())
}
