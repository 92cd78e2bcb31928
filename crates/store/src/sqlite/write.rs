//! What is written, one function for each change: its guard is in the `WHERE`, the row count is the answer.

use std::sync::LazyLock;

use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::port::keeper_store::Presented;
use mintkeep_protocol::record::{AuditEntry, Customer, Grant, PlatformKey, Pool, Service, SpentNonce};
use rusqlite::{Connection, Params, params};

use super::fault::Fault;
use super::rows;
use crate::change::{Change, Intent, guard};
use crate::flat::{AppRow, AuditRow, GrantRow, PlatformKeyRow, PoolRow, to_document};

/// What became of one intent.
pub type Written = Result<Presented, Fault>;

/// Writes a change and its audit line. Unless it is done, the caller undoes what there is of it.
pub fn write(db: &Connection, intent: &Intent) -> Written {
    let written = match &intent.change {
        Change::PutApp(app) => put_app(db, app),
        Change::DeleteApp(app) => delete_app(db, app),
        Change::PutPool(pool) => put_pool(db, pool, intent.app_revision),
        Change::PutGrant(grant) => put_grant(db, grant, intent.app_revision),
        Change::PutCustomer(customer) => put_customer(db, customer),
        Change::AddService(service) => add_service(db, service),
        Change::PutService(service) => put_service(db, service),
        Change::SpendNonce(nonce) => spend_nonce(db, nonce),
        Change::AddPlatformKey(key) => add_platform_key(db, key),
        Change::ResealPlatformKey { key, was } => reseal_platform_key(db, key, was),
        Change::Keeper(change) => super::keeper::write::write(db, change),
        Change::Nothing => Ok(Presented::Done),
    }?;
    if let (Presented::Done, Some(line)) = (written, &intent.audit) {
        write_audit(db, line)?;
    }
    Ok(written)
}

fn put_app(db: &Connection, app: &App) -> Written {
    let row = AppRow::of(app)?;
    let guard = guard(row.revision);
    if guard == 0 {
        let sql =
            "INSERT INTO app (no, id, revision, document) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        return guarded(db, sql, params![row.no, row.id, row.revision, row.document]);
    }
    let sql = "UPDATE app SET revision = ?3, document = ?4 WHERE no = ?1 AND id = ?2 AND revision = ?5";
    guarded(db, sql, params![row.no, row.id, row.revision, row.document, guard])
}

fn delete_app(db: &Connection, app: &App) -> Written {
    let no = app.no.number();
    let sql = "DELETE FROM app WHERE no = ?1 AND id = ?2 AND revision = ?3";
    let deleted = guarded(db, sql, params![no, app.id.as_str(), app.revision])?;
    if deleted == Presented::Done {
        db.prepare_cached("DELETE FROM pool WHERE app = ?1")?.execute([no])?;
        db.prepare_cached("DELETE FROM grant_record WHERE app = ?1")?.execute([no])?;
    }
    Ok(deleted)
}

fn put_pool(db: &Connection, pool: &Pool, app_revision: Option<i64>) -> Written {
    static INSERT: LazyLock<String> = LazyLock::new(|| {
        let columns = rows::POOL;
        format!(
            "INSERT INTO pool ({columns}) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT DO NOTHING"
        )
    });
    const UPDATE: &str = "UPDATE pool SET salt = ?3, generation = ?4, issued_at = ?5, expires_at = ?6, \
         previous_generation = ?7, previous_issued_at = ?8, previous_expires_at = ?9, token_epoch = ?10, \
         quota_day = ?11, used_today = ?12, forced_today = ?13, forced_at = ?14, revision = ?15 \
         WHERE app = ?1 AND kind = ?2 AND revision = ?15 - 1";
    if !is_app_at(db, pool.key.app, app_revision)? {
        return Ok(Presented::Lost);
    }
    let row = PoolRow::of(pool);
    let values = params![
        row.app,
        row.kind,
        row.salt,
        row.current.0,
        row.current.1,
        row.current.2,
        row.previous.0,
        row.previous.1,
        row.previous.2,
        row.token_epoch,
        row.quota_day,
        row.used_today,
        row.forced_today,
        row.forced_at,
        row.revision,
    ];
    guarded(db, if guard(row.revision) == 0 { &INSERT } else { UPDATE }, values)
}

fn put_grant(db: &Connection, grant: &Grant, app_revision: Option<i64>) -> Written {
    static INSERT: LazyLock<String> = LazyLock::new(|| {
        let columns = rows::GRANT;
        format!(
            "INSERT INTO grant_record ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
             ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) ON CONFLICT DO NOTHING"
        )
    });
    // App and customer never change; leaving them out spares the index a write.
    const UPDATE: &str = "UPDATE grant_record SET scopes = ?4, salt = ?5, stage = ?6, code_expires_at = ?7, \
         spent_at = ?8, revoked_at = ?9, generation = ?10, issued_at = ?11, expires_at = ?12, \
         refresh_expires_at = ?13, previous_generation = ?14, previous_issued_at = ?15, \
         previous_expires_at = ?16, made_by = ?17, token_epoch = ?18, revision = ?19 \
         WHERE id = ?1 AND app = ?2 AND customer = ?3 AND revision = ?19 - 1";
    if !is_app_at(db, grant.app, app_revision)? {
        return Ok(Presented::Lost);
    }
    let row = GrantRow::of(grant);
    let values = params![
        row.id,
        row.app,
        row.customer,
        row.scopes,
        row.salt,
        row.stage,
        row.code_expires_at,
        row.spent_at,
        row.revoked_at,
        row.access.0,
        row.access.1,
        row.access.2,
        row.refresh_expires_at,
        row.previous.0,
        row.previous.1,
        row.previous.2,
        row.made_by,
        row.token_epoch,
        row.revision,
    ];
    guarded(db, if guard(row.revision) == 0 { &INSERT } else { UPDATE }, values)
}

/// Whether an app is stored with this revision; `None`: it does not matter. Nobody else writes meanwhile.
fn is_app_at(db: &Connection, no: RecordId, revision: Option<i64>) -> Result<bool, Fault> {
    let Some(revision) = revision else { return Ok(true) };
    let sql = "SELECT EXISTS (SELECT 1 FROM app WHERE no = ?1 AND revision = ?2)";
    Ok(db.prepare_cached(sql)?.query_row(params![no.number(), revision], |row| row.get(0))?)
}

fn put_customer(db: &Connection, customer: &Customer) -> Written {
    let sql =
        "INSERT INTO customer (id, document) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET document = ?2";
    guarded(db, sql, params![customer.id.as_str(), to_document("customer", customer)?])
}

fn add_service(db: &Connection, service: &Service) -> Written {
    let sql = "INSERT INTO service (id, document) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    guarded(db, sql, params![service.id.as_str(), to_document("service", service)?])
}

fn put_service(db: &Connection, service: &Service) -> Written {
    let sql =
        "INSERT INTO service (id, document) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET document = ?2";
    guarded(db, sql, params![service.id.as_str(), to_document("service", service)?])
}

fn spend_nonce(db: &Connection, nonce: &SpentNonce) -> Written {
    let sql = "INSERT INTO spent_nonce (digest, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    guarded(db, sql, params![nonce.digest, nonce.expires_at.unix_ms()])
}

fn add_platform_key(db: &Connection, key: &PlatformKey) -> Written {
    let row = PlatformKeyRow::of(key);
    let sql =
        "INSERT INTO platform_key (purpose, version, sealed) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    guarded(db, sql, params![row.purpose, row.version, row.sealed])
}

fn reseal_platform_key(db: &Connection, key: &PlatformKey, was: &Sealed<PlatformKey>) -> Written {
    let row = PlatformKeyRow::of(key);
    let sql = "UPDATE platform_key SET sealed = ?3 WHERE purpose = ?1 AND version = ?2 AND sealed = ?4";
    guarded(db, sql, params![row.purpose, row.version, row.sealed, was.as_bytes()])
}

fn write_audit(db: &Connection, line: &AuditEntry) -> Result<(), Fault> {
    let row = AuditRow::of(line)?;
    let sql =
        "INSERT INTO audit (at, actor, action, subject, address, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![row.at, row.actor, row.action, row.subject, row.address, row.request_id];
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Runs a change whose guard is in its statement.
pub fn guarded(db: &Connection, sql: &str, values: impl Params) -> Written {
    let rows = db.prepare_cached(sql)?.execute(values)?;
    Ok(if rows == 0 { Presented::Lost } else { Presented::Done })
}
