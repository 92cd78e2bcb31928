//! What the admin API has whatever roles the process has: its description, and `/admin/v1/audit`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Json, Router};
use http::StatusCode;
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::record::AuditEntry;
use serde::{Deserialize, Serialize};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin_token::AdminToken;
use crate::asked::Filter;
use crate::listing::page_size;
use crate::problem::{Problem, wrong_method};

/// The routes of every process, behind `token`, and the description that those of its roles are added to.
pub fn router(store: Arc<dyn IssuerStore>, token: AdminToken) -> (Router, OpenApi) {
    let (router, api) = OpenApiRouter::with_openapi(description()).routes(routes!(tail)).split_for_parts();
    (token.guard(router.method_not_allowed_fallback(wrong_method).with_state(store)), api)
}

fn description() -> OpenApi {
    const SCHEME: &str = "admin_token";
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Mintkeep admin API")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "What the roles of a running server have: the issuer's apps, customers, codes, grants, keys and \
                     sandbox, the keeper's credentials, consumers and tokens; under the tags \
                     `standard`, `wechat`, `dingtalk`, `miniprogram` and `alipayhk` what its issuer's listener takes, \
                     at the server that each names. Times are \
                     milliseconds since the Unix epoch. Errors are application/problem+json (RFC 9457).",
                ))
                .build(),
        )
        .components(Some(ComponentsBuilder::new().security_scheme(SCHEME, bearer).build()))
        .security(Some([SecurityRequirement::new(SCHEME, Vec::<String>::new())]))
        .build()
}

/// Which lines to tell.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditFilter {
    /// Only those after this number.
    pub after: Option<i64>,
    /// How many at most, 1 to 1000: the next ones after `after`, else the latest; left out: 100.
    pub most: Option<u32>,
}

/// A line of the audit.
#[derive(Serialize, ToSchema)]
struct AuditLine {
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
struct AuditWords {
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
struct AuditTail {
    /// The oldest first.
    pub lines: Vec<AuditLine>,
    /// What to give as `after` to hear what comes next.
    pub last: Option<i64>,
}

/// Tells the latest lines of the audit, or those after a number; the oldest of them first.
#[utoipa::path(get, operation_id = "tailAudit", path = "/admin/v1/audit", tag = "audit", params(AuditFilter),
    responses((status = 200, body = AuditTail)))]
async fn tail(
    State(store): State<Arc<dyn IssuerStore>>,
    Filter(filter): Filter<AuditFilter>,
) -> Result<Json<AuditTail>, Problem> {
    let most = page_size(filter.most)?;
    let found = store.audit_tail(filter.after, most).await.map_err(|error| {
        tracing::error!(%error, "the audit could not be read");
        let title = "The store can't answer";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, error.to_string())
    })?;
    let last = found.last().map(|(n, _)| *n).or(filter.after);
    Ok(Json(AuditTail { lines: found.into_iter().map(|(n, entry)| AuditLine { n, entry }).collect(), last }))
}
