//! What is read, one function for each question.

use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::port::issuer_store::GrantQuery;
use mintkeep_protocol::record::{AuditEntry, Customer, Grant, PlatformKey, Pool, PoolKey, Service};
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};
use serde::de::DeserializeOwned;

use super::fault::Fault;
use super::rows;
use crate::flat::from_document;

/// What a question is answered with.
pub type Answer<T> = Result<T, Fault>;

pub fn app(db: &Connection, id: &AppId) -> Answer<Option<App>> {
    let row = one(db, &format!("SELECT {} FROM app WHERE id = ?1", rows::APP), [id.as_str()], rows::app)?;
    Ok(row.map(crate::flat::AppRow::into_app).transpose()?)
}

pub fn app_by_no(db: &Connection, no: RecordId) -> Answer<Option<App>> {
    let row = one(db, &format!("SELECT {} FROM app WHERE no = ?1", rows::APP), [no.number()], rows::app)?;
    Ok(row.map(crate::flat::AppRow::into_app).transpose()?)
}

pub fn apps(db: &Connection, after: Option<&AppId>, most: u32) -> Answer<Vec<App>> {
    let sql = format!("SELECT {} FROM app WHERE id > ?1 ORDER BY id LIMIT ?2", rows::APP);
    // No identifier is empty, so all are after the empty one.
    let rows = many(db, &sql, params![after.map_or("", AppId::as_str), most], rows::app)?;
    rows.into_iter().map(|row| Ok(row.into_app()?)).collect()
}

pub fn pool(db: &Connection, key: PoolKey) -> Answer<Option<Pool>> {
    let sql = format!("SELECT {} FROM pool WHERE app = ?1 AND kind = ?2", rows::POOL);
    let row = one(db, &sql, params![key.app.number(), key.kind.number()], rows::pool)?;
    Ok(row.map(crate::flat::PoolRow::into_pool).transpose()?)
}

pub fn grant(db: &Connection, id: RecordId) -> Answer<Option<Grant>> {
    let sql = format!("SELECT {} FROM grant_record WHERE id = ?1", rows::GRANT);
    let row = one(db, &sql, [id.number()], rows::grant)?;
    Ok(row.map(crate::flat::GrantRow::into_grant).transpose()?)
}

/// Grants in the order they were made.
///
/// Each form of the question has a plan of its own: an app's grants and an app's grants of a customer are
/// a stretch of the index, a customer's grants are a point in it for each app, all grants are the table.
pub fn grants(db: &Connection, query: &GrantQuery) -> Answer<Vec<Grant>> {
    let which = match (query.app, &query.customer) {
        (Some(_), Some(_)) => "app = ?1 AND customer = ?2 AND id > ?3",
        (Some(_), None) => "app = ?1 AND ?2 IS NULL AND id > ?3",
        (None, Some(_)) => {
            "id IN (SELECT listed.id FROM app CROSS JOIN grant_record AS listed \
                WHERE ?1 IS NULL AND listed.app = app.no AND listed.customer = ?2 AND listed.id > ?3)"
        }
        (None, None) => "?1 IS NULL AND ?2 IS NULL AND id > ?3",
    };
    let sql = format!("SELECT {} FROM grant_record WHERE {which} ORDER BY id LIMIT ?4", rows::GRANT);
    let asked: [&dyn ToSql; 4] = [
        &query.app.map(RecordId::number),
        &query.customer.as_ref().map(CustomerId::as_str),
        &query.after.map_or(i64::MIN, RecordId::number),
        &query.most,
    ];
    let rows = many(db, &sql, asked.as_slice(), rows::grant)?;
    rows.into_iter().map(|row| Ok(row.into_grant()?)).collect()
}

pub fn customer(db: &Connection, id: &CustomerId) -> Answer<Option<Customer>> {
    document(db, "customer", "SELECT document FROM customer WHERE id = ?1", id.as_str())
}

pub fn customers(db: &Connection, after: Option<&CustomerId>, most: u32) -> Answer<Vec<Customer>> {
    let sql = "SELECT document FROM customer WHERE id > ?1 ORDER BY id LIMIT ?2";
    documents(db, "customer", sql, params![after.map_or("", CustomerId::as_str), most])
}

pub fn service(db: &Connection, id: &ServiceId) -> Answer<Option<Service>> {
    document(db, "service", "SELECT document FROM service WHERE id = ?1", id.as_str())
}

pub fn services(db: &Connection, after: Option<&ServiceId>, most: u32) -> Answer<Vec<Service>> {
    let sql = "SELECT document FROM service WHERE id > ?1 ORDER BY id LIMIT ?2";
    documents(db, "service", sql, params![after.map_or("", ServiceId::as_str), most])
}

pub fn is_spent(db: &Connection, digest: [u8; 32]) -> Answer<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM spent_nonce WHERE digest = ?1)";
    Ok(one(db, sql, [digest], |row| row.get(0))?.unwrap_or(false))
}

pub fn platform_keys(db: &Connection) -> Answer<Vec<PlatformKey>> {
    let sql = format!("SELECT {} FROM platform_key ORDER BY purpose, version", rows::PLATFORM_KEY);
    let rows = many(db, &sql, [], rows::platform_key)?;
    rows.into_iter().map(|row| Ok(row.into_key()?)).collect()
}

/// The first lines after number `after`, or without one the last of all; oldest first.
pub fn audit_tail(db: &Connection, after: Option<i64>, most: u32) -> Answer<Vec<(i64, AuditEntry)>> {
    let Some(after) = after else {
        let mut latest = audit_before(db, None, most)?;
        latest.reverse();
        return Ok(latest);
    };
    let sql = format!("SELECT {} FROM audit WHERE n > ?1 ORDER BY n LIMIT ?2", rows::AUDIT);
    let lines = many(db, &sql, params![after, most], rows::audit)?;
    lines.into_iter().map(|(n, line)| Ok((n, line.into_entry()?))).collect()
}

/// The last lines before number `before`, the latest first.
pub fn audit_before(db: &Connection, before: Option<i64>, most: u32) -> Answer<Vec<(i64, AuditEntry)>> {
    let sql = format!("SELECT {} FROM audit WHERE n < ?1 ORDER BY n DESC LIMIT ?2", rows::AUDIT);
    let lines = many(db, &sql, params![before.unwrap_or(i64::MAX), most], rows::audit)?;
    lines.into_iter().map(|(n, line)| Ok((n, line.into_entry()?))).collect()
}

fn documents<T: DeserializeOwned>(
    db: &Connection,
    what: &'static str,
    sql: &str,
    values: impl Params,
) -> Answer<Vec<T>> {
    let texts: Vec<String> = many(db, sql, values, |row| row.get(0))?;
    texts.iter().map(|text| Ok(from_document(what, text)?)).collect()
}

fn document<T: DeserializeOwned>(
    db: &Connection,
    what: &'static str,
    sql: &str,
    id: &str,
) -> Answer<Option<T>> {
    let text: Option<String> = one(db, sql, [id], |row| row.get(0))?;
    Ok(text.map(|text| from_document(what, &text)).transpose()?)
}

pub fn one<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    db.prepare_cached(sql)?.query_row(values, read).optional()
}

pub fn many<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(values, read)?.collect()
}
