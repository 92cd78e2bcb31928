//! What the keeper reads, one function for each question.

use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeKey};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::slot::{Slot, SlotKey};
use mintkeep_protocol::port::keeper_store::{Change, ChangeMark, QuotaAccount};
use rusqlite::{Connection, Row, params};

use crate::flat::keeper::{ExchangeRow, NamedRow, SlotRow, customer_column, into_history};
use crate::memory::keeper::first_changes;
use crate::sqlite::read::{Answer, many, one};
use crate::sqlite::schema;

const CREDENTIAL: &str = "no, name, removed_at, revision, document";
const CONSUMER: &str = "no, name, revoked_at, revision, document";

pub fn named(row: &Row<'_>) -> rusqlite::Result<NamedRow> {
    Ok(NamedRow {
        no: row.get(0)?,
        name: row.get(1)?,
        ended_at: row.get(2)?,
        revision: row.get(3)?,
        document: row.get(4)?,
    })
}

const SLOT: &str = "credential, customer, intent_fence, answer, revision, document";

pub fn slot_row(row: &Row<'_>) -> rusqlite::Result<SlotRow> {
    Ok(SlotRow {
        credential: row.get(0)?,
        customer: row.get(1)?,
        intent_fence: row.get(2)?,
        answer: row.get(3)?,
        revision: row.get(4)?,
        document: row.get(5)?,
    })
}

const EXCHANGE: &str = "credential, code, begun_at, is_open, intent_fence, answer, revision, document";

pub fn exchange_row(row: &Row<'_>) -> rusqlite::Result<ExchangeRow> {
    Ok(ExchangeRow {
        credential: row.get(0)?,
        code: row.get(1)?,
        begun_at: row.get(2)?,
        is_open: row.get(3)?,
        intent_fence: row.get(4)?,
        answer: row.get(5)?,
        revision: row.get(6)?,
        document: row.get(7)?,
    })
}

pub fn credentials(db: &Connection, after: Option<RecordId>, most: u32) -> Answer<Vec<Credential>> {
    let sql = format!(
        "SELECT {CREDENTIAL} FROM credential WHERE no > ?1 AND removed_at IS NULL ORDER BY no LIMIT ?2"
    );
    let rows = many(db, &sql, params![after.map_or(i64::MIN, RecordId::number), most], named)?;
    rows.into_iter().map(|row| Ok(row.into_credential()?)).collect()
}

pub fn consumers(db: &Connection) -> Answer<Vec<Consumer>> {
    let sql = format!("SELECT {CONSUMER} FROM consumer WHERE revoked_at IS NULL ORDER BY no");
    many(db, &sql, [], named)?.into_iter().map(|row| Ok(row.into_consumer()?)).collect()
}

pub fn slot(db: &Connection, key: &SlotKey) -> Answer<Option<Slot>> {
    let sql = format!("SELECT {SLOT} FROM slot WHERE credential = ?1 AND customer = ?2");
    let row = one(db, &sql, params![key.credential.number(), customer_column(key)], slot_row)?;
    Ok(row.map(SlotRow::into_slot).transpose()?)
}

/// A stretch of the primary key; of one credential's part of it if `of` names it.
pub fn slots(db: &Connection, of: Option<RecordId>, after: Option<&SlotKey>, most: u32) -> Answer<Vec<Slot>> {
    // The smallest number stands before all credentials.
    let from = after.map_or(i64::MIN, |after| after.credential.number());
    let customer = after.map_or("", customer_column);
    let rows = match of.map(RecordId::number) {
        None => {
            let sql = format!(
                "SELECT {SLOT} FROM slot WHERE (credential, customer) > (?1, ?2) \
                 ORDER BY credential, customer LIMIT ?3"
            );
            many(db, &sql, params![from, customer, most], slot_row)?
        }
        Some(of) if of < from => Vec::new(),
        Some(of) => {
            let begins = if of == from { ">" } else { ">=" };
            let customer = if of == from { customer } else { "" };
            let sql = format!(
                "SELECT {SLOT} FROM slot WHERE credential = ?1 AND customer {begins} ?2 \
                 ORDER BY customer LIMIT ?3"
            );
            many(db, &sql, params![of, customer, most], slot_row)?
        }
    };
    rows.into_iter().map(|row| Ok(row.into_slot()?)).collect()
}

pub fn history(db: &Connection, key: &SlotKey) -> Answer<Vec<HistoryEntry>> {
    let sql = "SELECT document FROM slot_history WHERE credential = ?1 AND customer = ?2 \
         ORDER BY revision DESC";
    let asked = params![key.credential.number(), customer_column(key)];
    let lines: Vec<String> = many(db, sql, asked, |row| row.get(0))?;
    lines.iter().map(|line| Ok(into_history(line)?)).collect()
}

pub fn calls(db: &Connection, account: &QuotaAccount) -> Answer<u32> {
    let sql = "SELECT calls FROM quota_call WHERE dialect = ?1 AND app = ?2 AND kind = ?3 AND day = ?4";
    let asked = params![account.dialect.name(), account.app.as_str(), account.kind.name(), account.day];
    Ok(one(db, sql, asked, |row| row.get(0))?.unwrap_or(0))
}

pub fn exchange(db: &Connection, key: &ExchangeKey) -> Answer<Option<Exchange>> {
    let sql = format!("SELECT {EXCHANGE} FROM code_exchange WHERE credential = ?1 AND code = ?2");
    let row = one(db, &sql, params![key.credential.number(), key.code], exchange_row)?;
    Ok(row.map(ExchangeRow::into_exchange).transpose()?)
}

pub fn open_exchanges(db: &Connection, most: u32) -> Answer<Vec<Exchange>> {
    let sql =
        format!("SELECT {EXCHANGE} FROM code_exchange WHERE is_open = 1 ORDER BY credential, code LIMIT ?1");
    let rows = many(db, &sql, [most], exchange_row)?;
    rows.into_iter().map(|row| Ok(row.into_exchange()?)).collect()
}

/// The first changes after `mark` of all records that are followed, as of one moment.
pub fn changes_since(db: &Connection, mark: ChangeMark, most: u32) -> Answer<(ChangeMark, Vec<Change>)> {
    let moment = db.unchecked_transaction()?;
    let sql = |columns: &str, table: &str| {
        format!("SELECT {columns}, mark FROM {table} WHERE mark > ?1 ORDER BY mark LIMIT ?2")
    };
    let asked = || params_from(mark, most);
    let slots = many(&moment, &sql(SLOT, "slot"), asked(), |row| Ok((row.get(6)?, slot_row(row)?)))?;
    let credentials =
        many(&moment, &sql(CREDENTIAL, "credential"), asked(), |row| Ok((row.get(5)?, named(row)?)))?;
    let consumers = many(&moment, &sql(CONSUMER, "consumer"), asked(), |row| Ok((row.get(5)?, named(row)?)))?;
    moment.finish()?;

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

fn params_from(mark: ChangeMark, most: u32) -> [i64; 2] {
    [mark.0, i64::from(most)]
}

pub fn change_mark(db: &Connection) -> Answer<ChangeMark> {
    Ok(ChangeMark(schema::meta(db, "change_mark")?.unwrap_or(0)))
}
