//! What is written, one function for each change: its guard is in the `WHERE`, the row count is the answer.

use deadpool_postgres::Transaction;
use mintkeep_protocol::app::App;
use mintkeep_protocol::port::keeper_store::Presented;
use mintkeep_protocol::record::{AuditEntry, Customer, Grant, PlatformKey, Pool, Service};

use super::fault::Fault;
use super::read::Values;
use super::rows;
use crate::change::{Change, Intent, guard};
use crate::flat::{AppRow, AuditRow, GrantRow, PlatformKeyRow, PoolRow, to_document};

/// What became of one intent.
pub type Written = Result<Presented, Fault>;

/// Writes a change and its audit line. Unless it is done, the caller undoes what there is of it.
pub async fn write(db: &Transaction<'_>, intent: &Intent) -> Written {
    let written = match &intent.change {
        Change::PutApp(app) => put_app(db, app).await,
        Change::DeleteApp(app) => delete_app(db, app).await,
        Change::PutPool(pool) => put_pool(db, pool).await,
        Change::PutGrant(grant) => put_grant(db, grant).await,
        Change::PutCustomer(customer) => put_customer(db, customer).await,
        Change::PutService(service) => put_service(db, service).await,
        Change::AddPlatformKey(key) => add_platform_key(db, key).await,
        Change::Keeper(change) => super::keeper::write::write(db, change).await,
        Change::Nothing => Ok(Presented::Done),
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

async fn put_pool(db: &Transaction<'_>, pool: &Pool) -> Written {
    let insert = format!(
        "INSERT INTO pool ({}) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING",
        rows::POOL
    );
    let update = "UPDATE pool SET salt = $3, generation = $4, issued_at = $5, expires_at = $6, \
         previous_generation = $7, previous_issued_at = $8, previous_expires_at = $9, token_epoch = $10, \
         quota_day = $11, used_today = $12, forced_today = $13, forced_at = $14, revision = $15 \
         WHERE app = $1 AND kind = $2 AND revision + 1 = $15";
    let row = PoolRow::of(pool);
    let values: Values<'_> = &[
        &row.app,
        &row.kind,
        &row.salt,
        &row.current.0,
        &row.current.1,
        &row.current.2,
        &row.previous.0,
        &row.previous.1,
        &row.previous.2,
        &row.token_epoch,
        &row.quota_day,
        &row.used_today,
        &row.forced_today,
        &row.forced_at,
        &row.revision,
    ];
    guarded(db, if guard(row.revision) == 0 { &insert } else { update }, values).await
}

async fn put_grant(db: &Transaction<'_>, grant: &Grant) -> Written {
    let insert = format!(
        "INSERT INTO grant_record ({}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
         $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT DO NOTHING",
        rows::GRANT
    );
    // App and customer never change; leaving them out keeps the update off the index.
    let update = "UPDATE grant_record SET scopes = $4, salt = $5, stage = $6, code_expires_at = $7, \
         spent_at = $8, revoked_at = $9, generation = $10, issued_at = $11, expires_at = $12, \
         refresh_expires_at = $13, previous_generation = $14, previous_issued_at = $15, \
         previous_expires_at = $16, made_by = $17, token_epoch = $18, revision = $19 \
         WHERE id = $1 AND app = $2 AND customer = $3 AND revision + 1 = $19";
    let row = GrantRow::of(grant);
    let values: Values<'_> = &[
        &row.id,
        &row.app,
        &row.customer,
        &row.scopes,
        &row.salt,
        &row.stage,
        &row.code_expires_at,
        &row.spent_at,
        &row.revoked_at,
        &row.access.0,
        &row.access.1,
        &row.access.2,
        &row.refresh_expires_at,
        &row.previous.0,
        &row.previous.1,
        &row.previous.2,
        &row.made_by,
        &row.token_epoch,
        &row.revision,
    ];
    guarded(db, if guard(row.revision) == 0 { &insert } else { update }, values).await
}

async fn put_customer(db: &Transaction<'_>, customer: &Customer) -> Written {
    let sql =
        "INSERT INTO customer (id, document) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET document = $2";
    guarded(db, sql, &[&customer.id.as_str(), &to_document("customer", customer)?]).await
}

async fn put_service(db: &Transaction<'_>, service: &Service) -> Written {
    let sql =
        "INSERT INTO service (id, document) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET document = $2";
    guarded(db, sql, &[&service.id.as_str(), &to_document("service", service)?]).await
}

async fn add_platform_key(db: &Transaction<'_>, key: &PlatformKey) -> Written {
    let row = PlatformKeyRow::of(key);
    let sql =
        "INSERT INTO platform_key (purpose, version, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    guarded(db, sql, &[&row.purpose, &row.version, &row.sealed]).await
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
