//! What is written, one function for each change: its guard is in the `WHERE`, the row count is the answer.

use deadpool_postgres::{ClientWrapper, Transaction};
use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::port::keeper_store::Presented;
use mintkeep_protocol::record::{AuditEntry, Customer, PlatformKey, Service, SpentNonce};

use super::fault::Fault;
use super::hot::{self, RowKey};
use super::news;
use super::read::Values;
use crate::change::{Change, Intent, guard};
use crate::flat::{AppRow, AuditRow, PlatformKeyRow, to_document};

/// What became of one intent.
pub type Written = Result<Presented, Fault>;

/// Writes a change and its audit line, all or nothing.
pub async fn write(db: &mut ClientWrapper, intent: &Intent) -> Written {
    if let Some(row) = RowKey::of(&intent.change) {
        return hot::write_one(db, row, intent).await;
    }
    let tx = db.transaction().await?;
    let written = write_in(&tx, intent).await?;
    match written {
        Presented::Done => {
            if let Some(told) = news::of(intent) {
                tx.execute("SELECT pg_notify('mintkeep', $1)", &[&told]).await?;
            }
            tx.commit().await?;
        }
        Presented::Lost | Presented::OverQuota => tx.rollback().await?,
    }
    Ok(written)
}

async fn write_in(db: &Transaction<'_>, intent: &Intent) -> Written {
    let written = match &intent.change {
        Change::PutApp(app) => put_app(db, app).await,
        Change::DeleteApp(app) => delete_app(db, app).await,
        Change::PutCustomer(customer) => put_customer(db, customer).await,
        Change::AddService(service) => add_service(db, service).await,
        Change::PutService(service) => put_service(db, service).await,
        Change::SpendNonce(nonce) => spend_nonce(db, nonce).await,
        Change::AddPlatformKey(key) => add_platform_key(db, key).await,
        Change::ResealPlatformKey { key, was } => reseal_platform_key(db, key, was).await,
        Change::Keeper(change) => super::keeper::write::write(db, change).await,
        Change::PutPool(_) | Change::PutGrant(_) | Change::Nothing => Ok(Presented::Done),
    }?;
    if let (Presented::Done, Some(line)) = (written, &intent.audit) {
        write_audit(db, line).await?;
    }
    Ok(written)
}

async fn put_app(db: &Transaction<'_>, app: &App) -> Written {
    let row = AppRow::of(app)?;
    let sql = if guard(row.revision) == 0 {
        "INSERT INTO app (no, id, revision, document) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE app SET revision = $3, document = $4 WHERE no = $1 AND id = $2 AND revision + 1 = $3"
    };
    guarded(db, sql, &[&row.no, &row.id, &row.revision, &row.document]).await
}

async fn delete_app(db: &Transaction<'_>, app: &App) -> Written {
    let no = app.no.number();
    let sql = "DELETE FROM app WHERE no = $1 AND id = $2 AND revision = $3";
    let deleted = guarded(db, sql, &[&no, &app.id.as_str(), &app.revision]).await?;
    if deleted == Presented::Done {
        db.execute("DELETE FROM pool WHERE app = $1", &[&no]).await?;
        db.execute("DELETE FROM grant_record WHERE app = $1", &[&no]).await?;
    }
    Ok(deleted)
}

async fn put_customer(db: &Transaction<'_>, customer: &Customer) -> Written {
    let sql =
        "INSERT INTO customer (id, document) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET document = $2";
    guarded(db, sql, &[&customer.id.as_str(), &to_document("customer", customer)?]).await
}

async fn add_service(db: &Transaction<'_>, service: &Service) -> Written {
    let sql = "INSERT INTO service (id, document) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    guarded(db, sql, &[&service.id.as_str(), &to_document("service", service)?]).await
}

async fn put_service(db: &Transaction<'_>, service: &Service) -> Written {
    let sql =
        "INSERT INTO service (id, document) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET document = $2";
    guarded(db, sql, &[&service.id.as_str(), &to_document("service", service)?]).await
}

async fn spend_nonce(db: &Transaction<'_>, nonce: &SpentNonce) -> Written {
    let sql = "INSERT INTO spent_nonce (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    guarded(db, sql, &[&nonce.digest.as_slice(), &nonce.expires_at.unix_ms()]).await
}

async fn add_platform_key(db: &Transaction<'_>, key: &PlatformKey) -> Written {
    let row = PlatformKeyRow::of(key);
    let sql =
        "INSERT INTO platform_key (purpose, version, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    guarded(db, sql, &[&row.purpose, &row.version, &row.sealed]).await
}

async fn reseal_platform_key(db: &Transaction<'_>, key: &PlatformKey, was: &Sealed<PlatformKey>) -> Written {
    let row = PlatformKeyRow::of(key);
    let sql = "UPDATE platform_key SET sealed = $3 WHERE purpose = $1 AND version = $2 AND sealed = $4";
    guarded(db, sql, &[&row.purpose, &row.version, &row.sealed, &was.as_bytes()]).await
}

async fn write_audit(db: &Transaction<'_>, line: &AuditEntry) -> Result<(), Fault> {
    let row = AuditRow::of(line)?;
    let sql =
        "INSERT INTO audit (at, actor, action, subject, address, request_id) VALUES ($1, $2, $3, $4, $5, $6)";
    let statement = db.prepare_cached(sql).await?;
    let values: Values<'_> = &[&row.at, &row.actor, &row.action, &row.subject, &row.address, &row.request_id];
    db.execute(&statement, values).await?;
    Ok(())
}

/// Runs a change whose guard is in its statement.
pub async fn guarded(db: &Transaction<'_>, sql: &str, values: Values<'_>) -> Written {
    let statement = db.prepare_cached(sql).await?;
    let rows = db.execute(&statement, values).await?;
    Ok(if rows == 0 { Presented::Lost } else { Presented::Done })
}
