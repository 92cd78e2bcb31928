//! What is read, one function for each question.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::port::issuer_store::GrantQuery;
use mintkeep_protocol::record::{AuditEntry, Customer, Grant, PlatformKey, Pool, PoolKey, Service};
use mintkeep_protocol::time::Timestamp;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::fault::Fault;
use super::rows::{self, Read};
use crate::flat::{AppRow, AuditRow, GrantRow, PoolRow, from_document};

/// What a question is answered with.
pub type Answer<T> = Result<T, Fault>;

/// What is put into a statement's places.
pub type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

pub async fn app(db: &ClientWrapper, id: &AppId) -> Answer<Option<App>> {
    let sql = format!("SELECT {} FROM app WHERE id = $1", rows::APP);
    let row = one(db, &sql, &[&id.as_str()], rows::app).await?;
    Ok(row.map(AppRow::into_app).transpose()?)
}

pub async fn app_by_no(db: &ClientWrapper, no: RecordId) -> Answer<Option<App>> {
    let sql = format!("SELECT {} FROM app WHERE no = $1", rows::APP);
    let row = one(db, &sql, &[&no.number()], rows::app).await?;
    Ok(row.map(AppRow::into_app).transpose()?)
}

pub async fn apps(db: &ClientWrapper, after: Option<&AppId>, most: u32) -> Answer<Vec<App>> {
    let sql = format!("SELECT {} FROM app WHERE id > $1 ORDER BY id LIMIT $2", rows::APP);
    // No identifier is empty, so all are after the empty one.
    let rows = many(db, &sql, &[&after.map_or("", AppId::as_str), &i64::from(most)], rows::app).await?;
    rows.into_iter().map(|row| Ok(row.into_app()?)).collect()
}

pub async fn pool(db: &ClientWrapper, key: PoolKey) -> Answer<Option<Pool>> {
    let sql = format!("SELECT {} FROM pool WHERE app = $1 AND kind = $2", rows::POOL);
    let row = one(db, &sql, &[&key.app.number(), &i16::from(key.kind.number())], rows::pool).await?;
    Ok(row.map(PoolRow::into_pool).transpose()?)
}

pub async fn grant(db: &ClientWrapper, id: RecordId) -> Answer<Option<Grant>> {
    let sql = format!("SELECT {} FROM grant_record WHERE id = $1", rows::GRANT);
    let row = one(db, &sql, &[&id.number()], rows::grant).await?;
    Ok(row.map(GrantRow::into_grant).transpose()?)
}

/// Grants in the order they were made.
///
/// Each form of the question has a plan of its own: an app's grants and an app's grants of a customer are
/// a stretch of the index, a customer's grants are a point in it for each app, all grants are the table.
pub async fn grants(db: &ClientWrapper, query: &GrantQuery) -> Answer<Vec<Grant>> {
    let app = query.app.map_or(0, RecordId::number);
    let customer = query.customer.as_ref().map_or("", CustomerId::as_str);
    let after = query.after.map_or(i64::MIN, RecordId::number);
    let most = i64::from(query.most);
    let (which, asked): (&str, Vec<&(dyn ToSql + Sync)>) = match (query.app, &query.customer) {
        (Some(_), Some(_)) => {
            let of_both = "id > $1 AND app = $3 AND right(customer, 6) = right($4, 6) AND customer = $4";
            (of_both, vec![&after, &most, &app, &customer])
        }
        (Some(_), None) => ("id > $1 AND app = $3", vec![&after, &most, &app]),
        (None, Some(_)) => {
            let of_each_app = "id > $1 AND id IN (SELECT listed.id FROM app JOIN grant_record AS listed \
                 ON listed.app = app.no AND right(listed.customer, 6) = right($3, 6) AND listed.customer = $3)";
            (of_each_app, vec![&after, &most, &customer])
        }
        (None, None) => ("id > $1", vec![&after, &most]),
    };
    let sql = format!("SELECT {} FROM grant_record WHERE {which} ORDER BY id LIMIT $2", rows::GRANT);
    let rows = many(db, &sql, &asked, rows::grant).await?;
    rows.into_iter().map(|row| Ok(row.into_grant()?)).collect()
}

pub async fn customer(db: &ClientWrapper, id: &CustomerId) -> Answer<Option<Customer>> {
    document(db, "customer", "SELECT document FROM customer WHERE id = $1", id.as_str()).await
}

pub async fn customers(db: &ClientWrapper, after: Option<&CustomerId>, most: u32) -> Answer<Vec<Customer>> {
    let sql = "SELECT document FROM customer WHERE id > $1 ORDER BY id LIMIT $2";
    documents(db, "customer", sql, (after.map_or("", CustomerId::as_str), most)).await
}

pub async fn service(db: &ClientWrapper, id: &ServiceId) -> Answer<Option<Service>> {
    document(db, "service", "SELECT document FROM service WHERE id = $1", id.as_str()).await
}

pub async fn services(db: &ClientWrapper, after: Option<&ServiceId>, most: u32) -> Answer<Vec<Service>> {
    let sql = "SELECT document FROM service WHERE id > $1 ORDER BY id LIMIT $2";
    documents(db, "service", sql, (after.map_or("", ServiceId::as_str), most)).await
}

pub async fn is_spent(db: &ClientWrapper, digest: [u8; 32]) -> Answer<bool> {
    let sql = "SELECT EXISTS (SELECT FROM spent_nonce WHERE digest = $1)";
    Ok(one(db, sql, &[&digest.as_slice()], |row| Ok(row.try_get(0)?)).await?.unwrap_or(false))
}

pub async fn platform_keys(db: &ClientWrapper) -> Answer<Vec<PlatformKey>> {
    let sql = format!("SELECT {} FROM platform_key ORDER BY purpose, version", rows::PLATFORM_KEY);
    let rows = many(db, &sql, &[], rows::platform_key).await?;
    rows.into_iter().map(|row| Ok(row.into_key()?)).collect()
}

/// How long after it was dated a line has come, or never does: longer than any change of ours may take.
const LINE_COMES_WITHIN: Duration = Duration::from_secs(30);

/// The first lines after number `after`, or without one the last of all; oldest first.
///
/// Numbers are drawn before they are committed. So after a number that is missing no line is told that is young: the
/// missing one may come yet, and whoever goes on from a later one would never hear of it.
pub async fn audit_tail(
    db: &ClientWrapper,
    after: Option<i64>,
    most: u32,
    now: Timestamp,
) -> Answer<Vec<(i64, AuditEntry)>> {
    let Some(after) = after else {
        let mut latest = audit_before(db, None, most).await?;
        latest.reverse();
        return Ok(latest);
    };
    let sql = format!("SELECT {} FROM audit WHERE n > $1 ORDER BY n LIMIT $2", rows::AUDIT);
    let lines = many(db, &sql, &[&after, &i64::from(most)], rows::audit).await?;
    let settled_before = now.before(LINE_COMES_WITHIN).unix_ms();
    let mut last = after.max(0);
    let is_next = |(n, line): &(i64, AuditRow)| {
        let follows = *n == last.saturating_add(1) || line.at <= settled_before;
        last = *n;
        follows
    };
    let told = lines.into_iter().take_while(is_next);
    told.map(|(n, line)| Ok((n, line.into_entry()?))).collect()
}

/// The last lines before number `before`, the latest first.
pub async fn audit_before(
    db: &ClientWrapper,
    before: Option<i64>,
    most: u32,
) -> Answer<Vec<(i64, AuditEntry)>> {
    let sql = format!("SELECT {} FROM audit WHERE n < $1 ORDER BY n DESC LIMIT $2", rows::AUDIT);
    let lines = many(db, &sql, &[&before.unwrap_or(i64::MAX), &i64::from(most)], rows::audit).await?;
    lines.into_iter().map(|(n, line)| Ok((n, line.into_entry()?))).collect()
}

async fn documents<T: DeserializeOwned>(
    db: &ClientWrapper,
    what: &'static str,
    sql: &str,
    (after, most): (&str, u32),
) -> Answer<Vec<T>> {
    let texts: Vec<String> = many(db, sql, &[&after, &i64::from(most)], |row| Ok(row.try_get(0)?)).await?;
    texts.iter().map(|text| Ok(from_document(what, text)?)).collect()
}

async fn document<T: DeserializeOwned>(
    db: &ClientWrapper,
    what: &'static str,
    sql: &str,
    id: &str,
) -> Answer<Option<T>> {
    let text: Option<String> = one(db, sql, &[&id], |row| Ok(row.try_get(0)?)).await?;
    Ok(text.map(|text| from_document(what, &text)).transpose()?)
}

pub async fn one<T>(
    db: &ClientWrapper,
    sql: &str,
    values: Values<'_>,
    read: fn(&Row) -> Read<T>,
) -> Answer<Option<T>> {
    let statement = db.prepare_cached(sql).await?;
    db.query_opt(&statement, values).await?.as_ref().map(read).transpose()
}

pub async fn many<T>(
    db: &ClientWrapper,
    sql: &str,
    values: Values<'_>,
    read: fn(&Row) -> Read<T>,
) -> Answer<Vec<T>> {
    let statement = db.prepare_cached(sql).await?;
    db.query(&statement, values).await?.iter().map(read).collect()
}
