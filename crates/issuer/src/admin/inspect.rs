//! `/admin/v1/inspect`: what became of a token that the operator has in hand.

use axum::Json;
use axum::extract::State;
use mintkeep_protocol::ident::{AppId, CustomerId, Dialect, Scope};
use mintkeep_protocol::secret::AccessToken;
use mintkeep_protocol::time::Timestamp;
use mintkeep_protocol::token::TokenKind;
use mintkeep_web::asked::Asked;
use mintkeep_web::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AdminDesk, problem_of};
use crate::issuer::{Inspection, TokenState};

/// A token to inspect.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InspectRequest {
    /// An access token, refresh token, code or ticket. It is in no log and in no answer.
    token: String,
}

/// What became of a token.
#[derive(Serialize, ToSchema)]
pub(super) struct InspectAnswer {
    /// Where it is in its life.
    state: TokenState,
    /// What it is for: `wechat_token`, `wechat_stable_token`, `dingtalk_token`, `code`, `access_token`,
    /// `refresh_token` or `ticket`.
    kind: Option<&'static str>,
    /// Which of its record's tokens it is, as text.
    generation: Option<String>,
    /// Whose it is.
    #[schema(value_type = Option<String>)]
    client_id: Option<AppId>,
    /// The app's dialect.
    #[schema(value_type = Option<String>)]
    dialect: Option<Dialect>,
    /// The grant that it belongs to.
    grant_id: Option<String>,
    /// Whom it is about.
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    /// What it allows.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// When it was made.
    #[schema(value_type = Option<i64>)]
    issued_at: Option<Timestamp>,
    /// Until when it is or was good.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Timestamp>,
}

/// Tells what a token is, whose, and whether it is good. It is never repeated.
#[utoipa::path(post, operation_id = "inspectToken", path = "/admin/v1/inspect", tag = "grants", request_body = InspectRequest,
    responses((status = 200, body = InspectAnswer)))]
pub(super) async fn inspect(
    State(desk): State<AdminDesk>,
    Asked(asked): Asked<InspectRequest>,
) -> Result<Json<InspectAnswer>, Problem> {
    let token = AccessToken::new(asked.token);
    let found = desk.issuer.inspect(token.expose()).await;
    let Inspection { state, claim, app, about, issued_at, expires_at } =
        found.map_err(|failure| problem_of(&failure))?;
    let is_of_grant =
        |kind: TokenKind| kind.is_code() || matches!(kind, TokenKind::GrantAccess | TokenKind::GrantRefresh);
    let (customer_id, scopes) = about.map_or((None, vec![]), |(customer, scopes)| (Some(customer), scopes));
    Ok(Json(InspectAnswer {
        state,
        kind: claim.map(|claim| name_of(claim.kind)),
        generation: claim.map(|claim| claim.generation.number().to_string()),
        client_id: app.as_ref().map(|app| app.id.clone()),
        dialect: app.as_ref().map(|app| app.dialect),
        grant_id: claim.filter(|claim| is_of_grant(claim.kind)).map(|claim| claim.record.to_string()),
        customer_id,
        scopes,
        issued_at,
        expires_at,
    }))
}

const fn name_of(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::WeChatToken => "wechat_token",
        TokenKind::WeChatStable => "wechat_stable_token",
        TokenKind::DingTalkToken => "dingtalk_token",
        TokenKind::Code | TokenKind::ChallengedCode => "code",
        TokenKind::GrantAccess => "access_token",
        TokenKind::GrantRefresh => "refresh_token",
        TokenKind::Ticket => "ticket",
        TokenKind::CardTicket => "card_ticket",
    }
}
