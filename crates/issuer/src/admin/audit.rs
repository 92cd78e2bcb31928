//! `/admin/v1/audit`: who did what, when, from where.

use axum::Json;
use axum::extract::State;
use mintkeep_protocol::record::AuditEntry;
use mintkeep_web::asked::Filter;
use mintkeep_web::listing::page_size;
use mintkeep_web::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{AdminDesk, unavailable};

/// Which lines to tell.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditFilter {
    /// Only those after this number.
    pub after: Option<i64>,
    /// How many at most, 1 to 1000: the next ones after `after`, else the latest; left out: 100.
    pub most: Option<u32>,
}

/// A line of the audit.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditLine {
    /// Its number; they only grow.
    pub n: i64,
    /// When, who (`actor`), what (`action`), to what (`subject`), from where (`address`), by which request
    /// (`request_id`).
    #[serde(flatten)]
    #[schema(value_type = AuditWords)]
    pub entry: AuditEntry,
}

/// What an audit line says.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes how `AuditEntry` is written")]
pub(crate) struct AuditWords {
    /// When.
    at: i64,
    /// Who: `app wx…`, `admin`, `wallet …`, `customer …`.
    actor: String,
    /// What, such as `token_minted`.
    action: String,
    /// To what: an app, a grant, a customer, a credential.
    subject: String,
    /// From where.
    address: Option<String>,
    /// Which request, as in the access log.
    request_id: String,
}

/// Lines of the audit.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditTail {
    /// The oldest first.
    pub lines: Vec<AuditLine>,
    /// What to give as `after` to hear what comes next.
    pub last: Option<i64>,
}

/// Tells the latest lines of the audit, or those after a number; the oldest of them first.
#[utoipa::path(get, operation_id = "tailAudit", path = "/admin/v1/audit", tag = "audit", params(AuditFilter),
    responses((status = 200, body = AuditTail)))]
pub(crate) async fn tail(
    State(desk): State<AdminDesk>,
    Filter(filter): Filter<AuditFilter>,
) -> Result<Json<AuditTail>, Problem> {
    let most = page_size(filter.most)?;
    let found = desk.issuer.store.audit_tail(filter.after, most).await.map_err(unavailable)?;
    let last = found.last().map(|(n, _)| *n).or(filter.after);
    Ok(Json(AuditTail { lines: found.into_iter().map(|(n, entry)| AuditLine { n, entry }).collect(), last }))
}
