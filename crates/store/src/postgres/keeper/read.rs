//! What the keeper reads, one function for each question.

use deadpool_postgres::ClientWrapper;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::slot::{Slot, SlotKey};
use mintkeep_protocol::port::keeper_store::{Change, ChangeMark, QuotaAccount};
use tokio_postgres::Row;

use crate::flat::keeper::{ExchangeRow, NamedRow, SlotRow, customer_column, into_history};
use crate::memory::keeper::first_changes;
use crate::postgres::read::{Answer, Values, many, one};
use crate::postgres::rows::Read;

pub const CREDENTIAL: &str = "no, name, removed_at, revision, document";
pub const CONSUMER: &str = "no, name, revoked_at, revision, document";

pub fn named(row: &Row) -> Read<NamedRow> {
    Ok(NamedRow {
        no: row.try_get(0)?,
        name: row.try_get(1)?,
        ended_at: row.try_get(2)?,
        revision: row.try_get(3)?,
        document: row.try_get(4)?,
    })
}

pub const SLOT: &str = "credential, customer, intent_fence, answer, revision, document";

pub fn slot_row(row: &Row) -> Read<SlotRow> {
    Ok(SlotRow {
        credential: row.try_get(0)?,
        customer: row.try_get(1)?,
        intent_fence: row.try_get(2)?,
        answer: row.try_get(3)?,
        revision: row.try_get(4)?,
        document: row.try_get(5)?,
    })
}

pub const EXCHANGE: &str = "credential, code, begun_at, is_open, intent_fence, answer, revision, document";

pub fn exchange_row(row: &Row) -> Read<ExchangeRow> {
    Ok(ExchangeRow {
        credential: row.try_get(0)?,
        code: row.try_get(1)?,
        begun_at: row.try_get(2)?,
        is_open: row.try_get(3)?,
        intent_fence: row.try_get(4)?,
        answer: row.try_get(5)?,
        revision: row.try_get(6)?,
        document: row.try_get(7)?,
    })
}

pub async fn credentials(db: &ClientWrapper, after: Option<RecordId>, most: u32) -> Answer<Vec<Credential>> {
    let sql = format!(
        "SELECT {CREDENTIAL} FROM credential WHERE no > $1 AND removed_at IS NULL ORDER BY no LIMIT $2"
    );
    let after = after.map_or(i64::MIN, RecordId::number);
    let rows = many(db, &sql, &[&after, &i64::from(most)], named).await?;
    rows.into_iter().map(|row| Ok(row.into_credential()?)).collect()
}

pub async fn consumers(db: &ClientWrapper) -> Answer<Vec<Consumer>> {
    let sql = format!("SELECT {CONSUMER} FROM consumer WHERE revoked_at IS NULL ORDER BY no");
    let rows = many(db, &sql, &[], named).await?;
    rows.into_iter().map(|row| Ok(row.into_consumer()?)).collect()
}

pub async fn slot(db: &ClientWrapper, key: &SlotKey) -> Answer<Option<Slot>> {
    let sql = format!("SELECT {SLOT} FROM slot WHERE credential = $1 AND customer = $2");
    let row = one(db, &sql, &[&key.credential.number(), &customer_column(key)], slot_row).await?;
    Ok(row.map(SlotRow::into_slot).transpose()?)
}

/// A stretch of the primary key; of one credential's part of it if `of` names it.
pub async fn slots(
    db: &ClientWrapper,
    of: Option<RecordId>,
    after: Option<&SlotKey>,
    most: u32,
) -> Answer<Vec<Slot>> {
    // The smallest number stands before all credentials.
    let from = after.map_or(i64::MIN, |after| after.credential.number());
    let customer = after.map_or("", customer_column);
    let most = i64::from(most);
    let rows = match of.map(RecordId::number) {
        None => {
            let sql = format!(
                "SELECT {SLOT} FROM slot WHERE (credential, customer) > ($1, $2) \
                 ORDER BY credential, customer LIMIT $3"
            );
            many(db, &sql, &[&from, &customer, &most], slot_row).await?
        }
        Some(of) if of < from => Vec::new(),
        Some(of) => {
            let begins = if of == from { ">" } else { ">=" };
            let customer = if of == from { customer } else { "" };
            let sql = format!(
                "SELECT {SLOT} FROM slot WHERE credential = $1 AND customer {begins} $2 \
                 ORDER BY customer LIMIT $3"
            );
            many(db, &sql, &[&of, &customer, &most], slot_row).await?
        }
    };
    rows.into_iter().map(|row| Ok(row.into_slot()?)).collect()
}

pub async fn history(db: &ClientWrapper, key: &SlotKey) -> Answer<Vec<HistoryEntry>> {
    let sql = "SELECT document FROM slot_history WHERE credential = $1 AND customer = $2 \
         ORDER BY revision DESC";
    let asked: Values<'_> = &[&key.credential.number(), &customer_column(key)];
    let lines: Vec<String> = many(db, sql, asked, |row| Ok(row.try_get(0)?)).await?;
    lines.iter().map(|line| Ok(into_history(line)?)).collect()
}

pub async fn calls(db: &ClientWrapper, account: &QuotaAccount) -> Answer<u32> {
    let sql = "SELECT calls FROM quota_call WHERE dialect = $1 AND app = $2 AND kind = $3 AND day = $4";
    let (dialect, kind) = (account.dialect.name(), account.kind.name());
    let asked: Values<'_> = &[&dialect, &account.app.as_str(), &kind, &account.day];
    let calls: Option<i64> = one(db, sql, asked, |row| Ok(row.try_get(0)?)).await?;
    Ok(u32::try_from(calls.unwrap_or(0)).unwrap_or(u32::MAX))
}

pub async fn exchange(db: &ClientWrapper, key: &ExchangeKey) -> Answer<Option<Exchange>> {
    let sql = format!("SELECT {EXCHANGE} FROM code_exchange WHERE credential = $1 AND code = $2");
    let row = one(db, &sql, &[&key.credential.number(), &key.code.as_slice()], exchange_row).await?;
    Ok(row.map(ExchangeRow::into_exchange).transpose()?)
}

pub async fn open_exchanges(db: &ClientWrapper, most: u32) -> Answer<Vec<Exchange>> {
    let sql =
        format!("SELECT {EXCHANGE} FROM code_exchange WHERE is_open ORDER BY credential, code LIMIT $1");
    let rows = many(db, &sql, &[&i64::from(most)], exchange_row).await?;
    rows.into_iter().map(|row| Ok(row.into_exchange()?)).collect()
}

/// The first changes after `mark` of all records that are followed.
///
/// A mark is a transaction's number, and transactions commit in another order than they began in: what commits later may
/// have an earlier mark than what is read here.
///
/// A mark that no transaction of this server has had is of another one, whose dump was restored here: it is no news.
pub async fn changes_since(
    db: &ClientWrapper,
    mark: ChangeMark,
    most: u32,
) -> Answer<(ChangeMark, Vec<Change>)> {
    let sql = |columns: &str, table: &str| {
        format!(
            "SELECT {columns}, mark FROM {table} WHERE mark > $1 \
             AND mark < pg_snapshot_xmax(pg_current_snapshot())::text::bigint ORDER BY mark LIMIT $2"
        )
    };
    let (slots, credentials, consumers) =
        (sql(SLOT, "slot"), sql(CREDENTIAL, "credential"), sql(CONSUMER, "consumer"));
    let most_rows = i64::from(most);
    let asked: Values<'_> = &[&mark.0, &most_rows];
    let (slots, credentials, consumers) = tokio::try_join!(
        many(db, &slots, asked, |row| Ok((row.try_get(6)?, slot_row(row)?))),
        many(db, &credentials, asked, |row| Ok((row.try_get(5)?, named(row)?))),
        many(db, &consumers, asked, |row| Ok((row.try_get(5)?, named(row)?))),
    )?;

    let mut changes: Vec<(i64, Change)> = Vec::new();
    for (mark, row) in slots {
        changes.push((mark, Change::Slot(row.into_slot()?)));
    }
    for (mark, row) in credentials {
        changes.push((mark, Change::Credential(row.into_credential()?)));
    }
    for (mark, row) in consumers {
        changes.push((mark, Change::Consumer(row.into_consumer()?)));
    }
    Ok(first_changes(mark, changes, most))
}

/// The last transaction before the oldest that is under way: all up to it have ended.
pub async fn change_mark(db: &ClientWrapper) -> Answer<ChangeMark> {
    let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1";
    let mark: Option<i64> = one(db, sql, &[], |row| Ok(row.try_get(0)?)).await?;
    Ok(ChangeMark(mark.unwrap_or(0)))
}
