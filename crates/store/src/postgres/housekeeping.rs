//! What is long dead is deleted, a little at a time, by one of the replicas at a time.

use deadpool_postgres::{ClientWrapper, Transaction};
use mintkeep_protocol::time::Timestamp;

use super::fault::Fault;
use super::hot::minute_of;
use crate::sqlite::{CALLS_KEPT_DAYS, REMOVED_KEPT, SPENT_NONCE_KEPT};

/// How many grants are looked at in one go. While it looks, no dead version of a row can be reused.
const CHUNK_GRANTS: i64 = 4_000;

/// How many audit lines, and how many spent nonces, are deleted in one go: more than are written in the second
/// between two goes.
const CHUNK_LINES: i64 = 20_000;

/// Whoever holds it tidies up.
const TIDY_LOCK: i64 = 64_685_338;

/// One go, unless another replica is at it: the grants after `after`, and the audit before `audit_before`. Gives the
/// grant to go on after.
pub async fn tidy(
    db: &mut ClientWrapper,
    after: i64,
    now: Timestamp,
    audit_before: Timestamp,
) -> Result<i64, Fault> {
    let tx = db.transaction().await?;
    let ours = tx.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&TIDY_LOCK]).await?;
    if !ours.try_get::<_, bool>(0)? {
        return Ok(after);
    }
    let next = tidy_grants(&tx, after, now).await?;
    // Lines are numbered about as they are dated: if the first is not old, none is looked at.
    let audit = "DELETE FROM audit WHERE at < $1 AND n < (SELECT min(n) FROM audit) + $2 \
         AND $1 > (SELECT at FROM audit ORDER BY n LIMIT 1)";
    tx.execute(audit, &[&audit_before.unix_ms(), &CHUNK_LINES]).await?;
    let nonces = "DELETE FROM spent_nonce WHERE digest IN \
         (SELECT digest FROM spent_nonce WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
    tx.execute(nonces, &[&now.before(SPENT_NONCE_KEPT).unix_ms(), &CHUNK_LINES]).await?;
    if next.is_none() {
        tidy_keeper(&tx, now).await?;
    }
    tx.commit().await?;
    // All were looked at: from the first again.
    Ok(next.unwrap_or(i64::MIN))
}

async fn tidy_grants(db: &Transaction<'_>, after: i64, now: Timestamp) -> Result<Option<i64>, Fault> {
    let sql = "WITH chunk AS (SELECT id FROM grant_record WHERE id > $1 ORDER BY id LIMIT $2), \
         dead AS (DELETE FROM grant_record AS found USING chunk WHERE found.id = chunk.id \
             AND found.gone_at <= $3) \
         SELECT max(id) FROM chunk";
    let statement = db.prepare_cached(sql).await?;
    Ok(db.query_one(&statement, &[&after, &CHUNK_GRANTS, &minute_of(now)]).await?.try_get(0)?)
}

async fn tidy_keeper(db: &Transaction<'_>, now: Timestamp) -> Result<(), Fault> {
    let removed_before = now.before(REMOVED_KEPT).unix_ms();
    db.execute("DELETE FROM credential WHERE removed_at <= $1", &[&removed_before]).await?;
    db.execute("DELETE FROM consumer WHERE revoked_at <= $1", &[&removed_before]).await?;
    let days_before = now.quota_day().saturating_sub(CALLS_KEPT_DAYS);
    db.execute("DELETE FROM quota_call WHERE day < $1", &[&days_before]).await?;
    Ok(())
}
