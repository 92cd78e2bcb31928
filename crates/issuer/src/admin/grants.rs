//! `/admin/v1/codes` and `/admin/v1/grants`: codes, and the grants that they become.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, Scope};
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery};
use mintkeep_protocol::record::{Grant, GrantStage};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Filter, Named};
use mintkeep_web::listing::{next_of, page_size};
use mintkeep_web::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ACTOR, AdminDesk, busy, problem_of, unavailable};
use crate::issuer::COMMIT_TRIES;
use crate::routes::wallet::{CodeAnswer, CodeRequest};

/// Issues a code as a wallet would after the customer's consent.
#[utoipa::path(post, operation_id = "issueCode", path = "/admin/v1/codes", tag = "grants", request_body = CodeRequest,
    responses((status = 201, body = CodeAnswer), (status = 404, description = "No such app or customer"),
        (status = 409, description = "The app, the customer or the scopes do not allow it")))]
pub(crate) async fn issue_code(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Asked(asked): Asked<CodeRequest>,
) -> Result<(StatusCode, Json<CodeAnswer>), Problem> {
    let (app, consent) = asked.parted()?;
    let issued = desk.issuer.issue_code(ACTOR, &app, &consent, &arrival).await;
    let issued = issued.map_err(|failure| problem_of(&failure))?;
    Ok((StatusCode::CREATED, Json(issued.into())))
}

/// Where a grant is in its life.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GrantState {
    /// Its code was not exchanged yet.
    CodeIssued,
    /// Its code was not exchanged in time.
    CodeExpired,
    /// Its tokens are good or can be refreshed.
    Active,
    /// Its refresh token's time is over.
    Expired,
    /// It was ended.
    Revoked,
    /// All tokens of its app were ended.
    EndedWithApp,
}

/// A grant.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantView {
    /// Its number, as text: it has more digits than some readers of JSON keep.
    pub id: String,
    /// To which app.
    #[schema(value_type = Option<String>)]
    pub client_id: Option<AppId>,
    /// About whom.
    #[schema(value_type = String)]
    pub customer_id: CustomerId,
    /// What it allows.
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<Scope>,
    /// Where it is in its life.
    pub state: GrantState,
    /// When its code was issued.
    #[schema(value_type = i64)]
    pub made_at: Timestamp,
    /// Until when its code can or could be exchanged.
    #[schema(value_type = i64)]
    pub code_expires_at: Timestamp,
    /// When its code was exchanged.
    #[schema(value_type = Option<i64>)]
    pub exchanged_at: Option<Timestamp>,
    /// Until when its access token is good.
    #[schema(value_type = Option<i64>)]
    pub access_expires_at: Option<Timestamp>,
    /// Until when its refresh token is good.
    #[schema(value_type = Option<i64>)]
    pub refresh_expires_at: Option<Timestamp>,
    /// When it was ended.
    #[schema(value_type = Option<i64>)]
    pub revoked_at: Option<Timestamp>,
}

impl GrantView {
    fn of(grant: &Grant, app: Option<&App>, now: Timestamp) -> Self {
        let is_ended_with_app = app.is_some_and(|app| app.token_epoch != grant.token_epoch);
        let (state, exchanged_at, tokens, revoked_at) = match grant.stage {
            GrantStage::Revoked { spent_at, at } => (GrantState::Revoked, spent_at, None, Some(at)),
            GrantStage::Issued { .. } if is_ended_with_app => (GrantState::EndedWithApp, None, None, None),
            GrantStage::Issued { .. } if now < grant.code_expires_at => {
                (GrantState::CodeIssued, None, None, None)
            }
            GrantStage::Issued { .. } => (GrantState::CodeExpired, None, None, None),
            GrantStage::Active { spent_at, tokens } => {
                let last_end = tokens.refresh_expires_at.max(tokens.access.expires_at);
                let state = if is_ended_with_app {
                    GrantState::EndedWithApp
                } else if now < last_end {
                    GrantState::Active
                } else {
                    GrantState::Expired
                };
                (state, Some(spent_at), Some(tokens), None)
            }
        };
        Self {
            id: grant.id.to_string(),
            client_id: app.map(|app| app.id.clone()),
            customer_id: grant.customer.clone(),
            scopes: grant.scopes.clone(),
            state,
            made_at: grant.id.made_at(),
            code_expires_at: grant.code_expires_at,
            exchanged_at,
            access_expires_at: tokens.map(|tokens| tokens.access.expires_at),
            refresh_expires_at: tokens.map(|tokens| tokens.refresh_expires_at),
            revoked_at,
        }
    }
}

/// Some grants.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantPage {
    /// In the order they were made.
    pub grants: Vec<GrantView>,
    /// What to give as `after` for the next page; `null`: this is the last one.
    pub next: Option<String>,
}

/// Which grants to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GrantFilter {
    /// Only this app's.
    #[param(value_type = Option<String>)]
    pub app: Option<AppId>,
    /// Only this customer's.
    #[param(value_type = Option<String>)]
    pub customer: Option<CustomerId>,
    /// Only those made after this one.
    pub after: Option<i64>,
    /// How many at most, 1 to 1000; left out: 100.
    pub most: Option<u32>,
}

/// Lists grants in the order they were made.
#[utoipa::path(get, operation_id = "listGrants", path = "/admin/v1/grants", tag = "grants", params(GrantFilter),
    responses((status = 200, body = GrantPage), (status = 404, description = "No such app")))]
pub(crate) async fn list(
    State(desk): State<AdminDesk>,
    Filter(filter): Filter<GrantFilter>,
) -> Result<Json<GrantPage>, Problem> {
    let most = page_size(filter.most)?;
    let store = &desk.issuer.store;
    let mut apps: HashMap<RecordId, Option<Arc<App>>> = HashMap::new();
    let app = match &filter.app {
        None => None,
        Some(id) => {
            let app = desk.known_app(id).await?;
            let no = app.no;
            apps.insert(no, Some(app));
            Some(no)
        }
    };
    let query =
        GrantQuery { app, customer: filter.customer, after: filter.after.map(RecordId::from_number), most };
    let found = store.grants(&query).await.map_err(unavailable)?;
    for grant in &found {
        if let Entry::Vacant(unknown) = apps.entry(grant.app) {
            unknown.insert(store.app_by_no(grant.app).await.map_err(unavailable)?);
        }
    }
    let now = desk.issuer.now();
    let view =
        |grant: &Arc<Grant>| GrantView::of(grant, apps.get(&grant.app).and_then(Option::as_deref), now);
    let next = next_of(&found, most).map(|grant| grant.id.to_string());
    Ok(Json(GrantPage { grants: found.iter().map(view).collect(), next }))
}

/// Shows a grant.
#[utoipa::path(get, operation_id = "showGrant", path = "/admin/v1/grants/{id}", tag = "grants",
    params(("id" = String, Path)),
    responses((status = 200, body = GrantView), (status = 404, description = "No such grant")))]
pub(crate) async fn show(
    State(desk): State<AdminDesk>,
    Named(id): Named<i64>,
) -> Result<Json<GrantView>, Problem> {
    desk.grant_view(RecordId::from_number(id)).await.map(Json)
}

/// Ends a grant: no code, access token or refresh token of it is good any more. Twice is as good as once.
#[utoipa::path(post, operation_id = "revokeGrant", path = "/admin/v1/grants/{id}/revoke", tag = "grants",
    params(("id" = String, Path)),
    responses((status = 200, body = GrantView), (status = 404, description = "No such grant")))]
pub(crate) async fn revoke(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<i64>,
) -> Result<Json<GrantView>, Problem> {
    let id = RecordId::from_number(id);
    for _try in 0..COMMIT_TRIES {
        let grant = desk.issuer.store.grant(id).await.map_err(unavailable)?.ok_or_else(grant_unknown)?;
        let commit = desk.issuer.end_grant(ACTOR, &grant, &arrival).await;
        if commit.map_err(|failure| problem_of(&failure))? == Commit::Done {
            return desk.grant_view(id).await.map(Json);
        }
    }
    Err(busy())
}

impl AdminDesk {
    async fn grant_view(&self, id: RecordId) -> Result<GrantView, Problem> {
        let store = &self.issuer.store;
        let grant = store.grant(id).await.map_err(unavailable)?.ok_or_else(grant_unknown)?;
        let app = store.app_by_no(grant.app).await.map_err(unavailable)?;
        Ok(GrantView::of(&grant, app.as_deref(), self.issuer.now()))
    }
}

fn grant_unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "grant-unknown",
        "There is no such grant",
        "GET /admin/v1/grants lists them",
    )
}
