//! What is copied: every table, read and written as the two stores do it themselves.

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::flat::keeper::{ExchangeRow, NamedRow, SlotRow};
use crate::flat::{AppRow, AuditRow, GrantRow, PlatformKeyRow, PoolRow};
use crate::postgres::hot::gone_at;
use crate::postgres::keeper::read as target_keeper;
use crate::postgres::packed::pack;
use crate::postgres::rows::{self as target, Read};
use crate::sqlite::keeper::read as source_keeper;
use crate::sqlite::rows as source;

/// A row of any table.
pub trait Flat {
    /// As the database's columns have it.
    fn values(&self) -> Vec<&(dyn ToSql + Sync)>;

    /// In a form that is the same for every engine.
    fn canonical(&self) -> Vec<u8>;
}

/// A table that both stores have by the same name.
pub struct Table {
    pub name: &'static str,
    /// The primary key, in an order that is the same for every engine.
    key: &'static str,
    source_columns: &'static str,
    target_columns: &'static str,
    /// Whether its rows carry the mark of their last change, which the database makes itself.
    is_followed: bool,
    pub read_source: fn(&rusqlite::Row<'_>) -> rusqlite::Result<Box<dyn Flat>>,
    /// Gives what [`Flat::canonical`] gives of the same row.
    pub read_target: fn(&Row) -> Read<Vec<u8>>,
}

impl Table {
    /// Asks SQLite for all rows but the first `?1`.
    pub fn source_sql(&self) -> String {
        let (columns, name, key) = (self.source_columns, self.name, self.key.replace("\"C\"", "BINARY"));
        format!("SELECT {columns} FROM {name} ORDER BY {key} LIMIT -1 OFFSET ?1")
    }

    /// Asks PostgreSQL for all rows.
    pub fn target_sql(&self) -> String {
        format!("SELECT {} FROM {} ORDER BY {}", self.target_columns, self.name, self.key)
    }

    /// Puts so many rows into PostgreSQL. One that is there stays as it is; the comparison finds it.
    pub fn target_insert(&self, rows: usize) -> String {
        let width = self.target_columns.split(',').count();
        let (mark, marked) =
            if self.is_followed { (", mark", ", pg_current_xact_id()::text::bigint") } else { ("", "") };
        let mut places = 1_usize..;
        let row = || {
            let places: Vec<_> = places.by_ref().take(width).map(|place| format!("${place}")).collect();
            format!("({}{marked})", places.join(", "))
        };
        let values: Vec<_> = std::iter::repeat_with(row).take(rows).collect();
        format!(
            "INSERT INTO {} ({}{mark}) OVERRIDING SYSTEM VALUE VALUES {} ON CONFLICT DO NOTHING",
            self.name,
            self.target_columns,
            values.join(", ")
        )
    }
}

/// A table whose rows are read by these two readers.
macro_rules! table {
    ($name:literal, $key:literal, $columns:expr, $is_followed:literal, $source:path, $target:path) => {
        Table {
            name: $name,
            key: $key,
            source_columns: $columns,
            target_columns: $columns,
            is_followed: $is_followed,
            read_source: |row| Ok(Box::new($source(row)?)),
            read_target: |row| Ok(canonical(&$target(row)?)),
        }
    };
}

/// All tables but each store's own numbers. What others refer to comes first.
pub static TABLES: [Table; 14] = [
    table!(
        "platform_key",
        "purpose COLLATE \"C\", version",
        target::PLATFORM_KEY,
        false,
        source::platform_key,
        target::platform_key
    ),
    table!("app", "no", target::APP, false, source::app, target::app),
    table!("customer", "id COLLATE \"C\"", DOCUMENT, false, source_document, target_document),
    table!("service", "id COLLATE \"C\"", DOCUMENT, false, source_document, target_document),
    table!("spent_nonce", "digest", NONCE, false, source_nonce, target_nonce),
    table!("pool", "app, kind", target::POOL, false, source::pool, target::pool),
    Table {
        name: "grant_record",
        key: "id",
        source_columns: source::GRANT,
        target_columns: target::GRANT,
        is_followed: false,
        read_source: |row| Ok(Box::new(PackedGrant::of(source::grant(row)?))),
        read_target: |row| Ok(canonical(&target::grant(row)?)),
    },
    table!("credential", "no", target_keeper::CREDENTIAL, true, source_keeper::named, target_keeper::named),
    table!("consumer", "no", target_keeper::CONSUMER, true, source_keeper::named, target_keeper::named),
    table!(
        "slot",
        "credential, customer COLLATE \"C\"",
        target_keeper::SLOT,
        true,
        source_keeper::slot_row,
        target_keeper::slot_row
    ),
    table!(
        "slot_history",
        "credential, customer COLLATE \"C\", revision",
        HISTORY,
        false,
        source_history,
        target_history
    ),
    table!(
        "code_exchange",
        "credential, code",
        target_keeper::EXCHANGE,
        false,
        source_keeper::exchange_row,
        target_keeper::exchange_row
    ),
    table!(
        "quota_call",
        "dialect COLLATE \"C\", app COLLATE \"C\", kind COLLATE \"C\", day",
        CALLS,
        false,
        source_calls,
        target_calls
    ),
    table!("audit", "n", target::AUDIT, false, source::audit, target::audit),
];

/// A record as the text that both stores would write it as.
fn canonical(row: &impl Serialize) -> Vec<u8> {
    // A row has neither maps nor anything else that could fail to be written.
    serde_json::to_vec(row).unwrap_or_default()
}

/// A row whose fields are the database's columns, in their order.
macro_rules! flat {
    ($row:ty: $($field:tt $(. $part:tt)?),*) => {
        impl Flat for $row {
            fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
                vec![$(&self.$field $(. $part)?),*]
            }

            fn canonical(&self) -> Vec<u8> {
                canonical(self)
            }
        }
    };
}

flat!(AppRow: no, id, revision, document);
flat!(PlatformKeyRow: purpose, version, sealed);
flat!(PoolRow: app, kind, salt, current.0, current.1, current.2, previous.0, previous.1, previous.2,
    token_epoch, quota_day, used_today, forced_today, forced_at, revision);
flat!((i64, AuditRow): 0, 1.at, 1.actor, 1.action, 1.subject, 1.address, 1.request_id);
flat!(NamedRow: no, name, ended_at, revision, document);
flat!(SlotRow: credential, customer, intent_fence, answer, revision, document);
flat!(ExchangeRow: credential, code, begun_at, is_open, intent_fence, answer, revision, document);
flat!(Document: 0, 1);
flat!(Nonce: 0, 1);
flat!(History: 0, 1, 2, 3);
flat!(Calls: 0, 1, 2, 3, 4);

/// A grant, and what the database stores in place of most of its columns.
struct PackedGrant {
    row: GrantRow,
    gone_at: i32,
    revision: i32,
    body: Vec<u8>,
}

impl PackedGrant {
    fn of(row: GrantRow) -> Self {
        // A revision beyond the column's range is cut, and found when the stores are compared.
        let revision = i32::try_from(row.revision).unwrap_or(i32::MAX);
        Self { gone_at: gone_at(&row), revision, body: pack(&row), row }
    }
}

impl Flat for PackedGrant {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![&self.row.id, &self.row.app, &self.gone_at, &self.revision, &self.row.customer, &self.body]
    }

    fn canonical(&self) -> Vec<u8> {
        canonical(&self.row)
    }
}

/// A customer's or a service's id and its document.
type Document = (String, String);
const DOCUMENT: &str = "id, document";

fn source_document(row: &rusqlite::Row<'_>) -> rusqlite::Result<Document> {
    Ok((row.get(0)?, row.get(1)?))
}

fn target_document(row: &Row) -> Read<Document> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// What was used once: its digest, and when it would have ended.
type Nonce = (Vec<u8>, i64);
const NONCE: &str = "digest, expires_at";

fn source_nonce(row: &rusqlite::Row<'_>) -> rusqlite::Result<Nonce> {
    Ok((row.get(0)?, row.get(1)?))
}

fn target_nonce(row: &Row) -> Read<Nonce> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// A line of a slot's story: the slot's credential and customer, the revision, the document.
type History = (i64, String, i64, String);
const HISTORY: &str = "credential, customer, revision, document";

fn source_history(row: &rusqlite::Row<'_>) -> rusqlite::Result<History> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn target_history(row: &Row) -> Read<History> {
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
}

/// An account of calls: dialect, app, kind, day, and how many there were.
type Calls = (String, String, String, i64, i64);
const CALLS: &str = "dialect, app, kind, day, calls";

fn source_calls(row: &rusqlite::Row<'_>) -> rusqlite::Result<Calls> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn target_calls(row: &Row) -> Read<Calls> {
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?))
}
