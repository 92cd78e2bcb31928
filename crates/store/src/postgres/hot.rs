//! The changes that every token and every code makes: many rows in one statement, the guard per row,
//! `RETURNING` says who won, and the winners' audit lines go with it.

use std::collections::HashSet;
use std::sync::LazyLock;

use deadpool_postgres::ClientWrapper;
use mintkeep_protocol::port::keeper_store::Presented;
use mintkeep_protocol::time::Timestamp;
use tokio_postgres::types::FromSqlOwned;

use super::fault::Fault;
use super::news;
use super::packed::pack;
use super::read::Values;
use super::rows;
use crate::change::{Change, Intent};
use crate::flat::{AuditRow, GrantRow, PoolRow, STAGE_ISSUED, STAGE_REVOKED};
use crate::sqlite::{DEAD_CODE_KEPT, DEAD_GRANT_KEPT};

/// The tables whose changes are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    Pools,
    Grants,
}

/// Which row a gathered change is about. Two changes of one row never go in one statement, which would
/// make one of them and ignore the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowKey(Table, i64, i16);

impl RowKey {
    /// The row of a change that is gathered; `None`: it is not.
    pub fn of(change: &Change) -> Option<Self> {
        match change {
            Change::PutPool(pool) => {
                Some(Self(Table::Pools, pool.key.app.number(), i16::from(pool.key.kind.number())))
            }
            Change::PutGrant(grant) => Some(Self(Table::Grants, grant.id.number(), 0)),
            Change::PutApp(_)
            | Change::DeleteApp(_)
            | Change::PutCustomer(_)
            | Change::AddService(_)
            | Change::PutService(_)
            | Change::SpendNonce(_)
            | Change::AddPlatformKey(_)
            | Change::ResealPlatformKey { .. }
            | Change::Keeper(_)
            | Change::Nothing => None,
        }
    }

    /// Where the row is.
    pub const fn table(self) -> Table {
        self.0
    }
}

/// Writes the intents of one table that are among `intents`, each of another row, and tells of each row
/// that it was written. Rows are locked in the order of their keys, so that two who write many don't wait
/// for each other.
pub async fn write(db: &ClientWrapper, table: Table, intents: &[&Intent]) -> Result<HashSet<RowKey>, Fault> {
    match table {
        Table::Pools => write_pools(db, intents).await,
        Table::Grants => write_grants(db, intents).await,
    }
}

/// Writes one intent, which is of `row`.
pub async fn write_one(db: &ClientWrapper, row: RowKey, intent: &Intent) -> Result<Presented, Fault> {
    let won = write(db, row.table(), &[intent]).await?;
    Ok(if won.contains(&row) { Presented::Done } else { Presented::Lost })
}

/// Tells other replicas of a row that was changed, if it is news to them ([`news::of`]).
const TELL: &str = "CASE WHEN asked.news IS NOT NULL THEN pg_notify('mintkeep', asked.news)::text END";

/// The guard on a record's app: it is stored as it was when the change was decided on, where that matters.
const APP_IS_AS_IT_WAS: &str = "(asked.app_revision IS NULL OR EXISTS (SELECT FROM app \
     WHERE app.no = asked.app AND app.revision = asked.app_revision))";

/// A record that is stored for the first time has revision 1 and is inserted, any other is updated.
static PUT_POOLS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH asked AS ( \
             SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::bigint[], $5::bigint[], \
             $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], \
             $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], \
             $16::bigint[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::bigint[]) \
             AS asked ({columns}, at, actor, action, subject, address, request_id, news, app_revision) \
         ), made AS ( \
             INSERT INTO pool ({columns}) SELECT {columns} FROM asked WHERE revision = 1 AND {APP_IS_AS_IT_WAS} \
             ON CONFLICT DO NOTHING RETURNING app, kind \
         ), changed AS ( \
             UPDATE pool AS stored SET salt = asked.salt, generation = asked.generation, \
             issued_at = asked.issued_at, expires_at = asked.expires_at, \
             previous_generation = asked.previous_generation, \
             previous_issued_at = asked.previous_issued_at, \
             previous_expires_at = asked.previous_expires_at, token_epoch = asked.token_epoch, \
             quota_day = asked.quota_day, used_today = asked.used_today, \
             forced_today = asked.forced_today, forced_at = asked.forced_at, revision = asked.revision \
             FROM asked WHERE asked.revision <> 1 AND stored.app = asked.app AND stored.kind = asked.kind \
             AND stored.revision + 1 = asked.revision AND {APP_IS_AS_IT_WAS} \
             RETURNING stored.app, stored.kind, {TELL} \
         ), won AS (SELECT app, kind FROM made UNION ALL SELECT app, kind FROM changed \
         ), audited AS ( \
             INSERT INTO audit (at, actor, action, subject, address, request_id) \
             SELECT at, actor, action, subject, address, request_id FROM asked \
             WHERE at IS NOT NULL AND EXISTS \
             (SELECT FROM won WHERE won.app = asked.app AND won.kind = asked.kind) \
         ) SELECT app, kind FROM won",
        columns = rows::POOL
    )
});

async fn write_pools(db: &ClientWrapper, intents: &[&Intent]) -> Result<HashSet<RowKey>, Fault> {
    let mut pools: Vec<(PoolRow, &Intent)> = Vec::with_capacity(intents.len());
    for intent in intents {
        if let Change::PutPool(pool) = &intent.change {
            pools.push((PoolRow::of(pool), intent));
        }
    }
    pools.sort_unstable_by_key(|(pool, _)| (pool.app, pool.kind));
    let audit = AuditColumns::of(pools.iter().map(|(_, intent)| *intent))?;
    let values: Values<'_> = &[
        &column(&pools, |pool| pool.app),
        &column(&pools, |pool| pool.kind),
        &pools.iter().map(|(pool, _)| pool.salt.as_slice()).collect::<Vec<_>>(),
        &column(&pools, |pool| pool.current.0),
        &column(&pools, |pool| pool.current.1),
        &column(&pools, |pool| pool.current.2),
        &column(&pools, |pool| pool.previous.0),
        &column(&pools, |pool| pool.previous.1),
        &column(&pools, |pool| pool.previous.2),
        &column(&pools, |pool| pool.token_epoch),
        &column(&pools, |pool| pool.quota_day),
        &column(&pools, |pool| pool.used_today),
        &column(&pools, |pool| pool.forced_today),
        &column(&pools, |pool| pool.forced_at),
        &column(&pools, |pool| pool.revision),
        &audit.at,
        &audit.actor,
        &audit.action,
        &audit.subject,
        &audit.address,
        &audit.request_id,
        &audit.news,
        &audit.app_revision,
    ];
    let statement = db.prepare_cached(&PUT_POOLS).await?;
    let won = db.query(&statement, values).await?;
    won.iter().map(|row| Ok(RowKey(Table::Pools, column_of(row, 0)?, column_of(row, 1)?))).collect()
}

/// App and customer never change; leaving them out keeps the update off the index.
static PUT_GRANTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH asked AS ( \
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], \
             $5::text[], $6::bytea[], \
             $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], \
             $14::bigint[]) \
             AS asked ({columns}, at, actor, action, subject, address, request_id, news, app_revision) \
         ), made AS ( \
             INSERT INTO grant_record ({columns}) SELECT {columns} FROM asked WHERE revision = 1 AND {APP_IS_AS_IT_WAS} \
             ON CONFLICT DO NOTHING RETURNING id \
         ), changed AS ( \
             UPDATE grant_record AS stored SET gone_at = asked.gone_at, revision = asked.revision, \
             body = asked.body \
             FROM asked WHERE asked.revision <> 1 AND stored.id = asked.id AND stored.app = asked.app \
             AND stored.customer = asked.customer AND stored.revision + 1 = asked.revision AND {APP_IS_AS_IT_WAS} \
             RETURNING stored.id, {TELL} \
         ), won AS (SELECT id FROM made UNION ALL SELECT id FROM changed \
         ), audited AS ( \
             INSERT INTO audit (at, actor, action, subject, address, request_id) \
             SELECT at, actor, action, subject, address, request_id FROM asked \
             WHERE at IS NOT NULL AND id = ANY (ARRAY(SELECT id FROM won)) \
         ) SELECT id FROM won",
        columns = rows::GRANT
    )
});

async fn write_grants(db: &ClientWrapper, intents: &[&Intent]) -> Result<HashSet<RowKey>, Fault> {
    let mut grants: Vec<(GrantRow, &Intent)> = Vec::with_capacity(intents.len());
    for intent in intents {
        if let Change::PutGrant(grant) = &intent.change {
            grants.push((GrantRow::of(grant), intent));
        }
    }
    grants.sort_unstable_by_key(|(grant, _)| grant.id);
    let audit = AuditColumns::of(grants.iter().map(|(_, intent)| *intent))?;
    let values: Values<'_> = &[
        &column(&grants, |grant| grant.id),
        &column(&grants, |grant| grant.app),
        &column(&grants, gone_at),
        &column(&grants, |grant| grant.revision),
        &grants.iter().map(|(grant, _)| grant.customer.as_str()).collect::<Vec<_>>(),
        &column(&grants, pack),
        &audit.at,
        &audit.actor,
        &audit.action,
        &audit.subject,
        &audit.address,
        &audit.request_id,
        &audit.news,
        &audit.app_revision,
    ];
    let statement = db.prepare_cached(&PUT_GRANTS).await?;
    let won = db.query(&statement, values).await?;
    won.iter().map(|row| Ok(RowKey(Table::Grants, column_of(row, 0)?, 0))).collect()
}

/// When a grant may be deleted, in minutes: a while after its code or its last token expired, or it was revoked.
pub fn gone_at(grant: &GrantRow) -> i32 {
    let (over_at, kept) = match grant.stage {
        STAGE_ISSUED => (None, DEAD_CODE_KEPT),
        STAGE_REVOKED => (grant.revoked_at, DEAD_GRANT_KEPT),
        _ => (grant.access.2.max(grant.refresh_expires_at), DEAD_GRANT_KEPT),
    };
    minute_of(Timestamp::from_unix_ms(over_at.unwrap_or(grant.code_expires_at)).after(kept))
}

/// The minute that a time lies in, as [`gone_at`] is stored.
pub fn minute_of(time: Timestamp) -> i32 {
    let minute = time.unix_ms().div_euclid(60_000);
    i32::try_from(minute).unwrap_or(if minute < 0 { i32::MIN } else { i32::MAX })
}

/// What many intents have besides their records, by column: audit lines, all empty where an intent has none, the
/// news, and the revisions that their apps must have.
#[derive(Default)]
struct AuditColumns {
    at: Vec<Option<i64>>,
    actor: Vec<Option<String>>,
    action: Vec<Option<String>>,
    subject: Vec<Option<String>>,
    address: Vec<Option<String>>,
    request_id: Vec<Option<String>>,
    news: Vec<Option<String>>,
    app_revision: Vec<Option<i64>>,
}

impl AuditColumns {
    fn of<'a>(intents: impl Iterator<Item = &'a Intent>) -> Result<Self, Fault> {
        let mut columns = Self::default();
        for intent in intents {
            let line = intent.audit.as_ref().map(AuditRow::of).transpose()?;
            columns.news.push(news::of(intent));
            columns.app_revision.push(intent.app_revision);
            columns.at.push(line.as_ref().map(|line| line.at));
            let (words, address) = match line {
                Some(line) => {
                    ([line.actor, line.action, line.subject, line.request_id].map(Some), line.address)
                }
                None => ([const { None }; 4], None),
            };
            let [actor, action, subject, request_id] = words;
            columns.actor.push(actor);
            columns.action.push(action);
            columns.subject.push(subject);
            columns.address.push(address);
            columns.request_id.push(request_id);
        }
        Ok(columns)
    }
}

/// One column of many records.
fn column<R, T>(records: &[(R, &Intent)], of: impl Fn(&R) -> T) -> Vec<T> {
    records.iter().map(|(record, _)| of(record)).collect()
}

fn column_of<T: FromSqlOwned>(row: &tokio_postgres::Row, place: usize) -> Result<T, Fault> {
    Ok(row.try_get(place)?)
}
