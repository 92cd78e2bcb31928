//! `/admin/v1/keeper/tokens/{credential}[/{customer}]`: one token, its story, and what an operator does to it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_protocol::ident::{ConsumerName, CredentialName, CustomerId};
use mintkeep_protocol::keep::history::HistoryEntry;
use mintkeep_protocol::keep::renew::Resolution;
use mintkeep_protocol::keep::slot::TokenVersion;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Named};
use mintkeep_web::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::slots::TokenLine;
use super::{KeeperDesk, by, problem_of};
use crate::admin::AdminFailure;
use crate::reader::{ReadFailure, Reading};
use crate::routes::{still_good, unavailable};
use crate::shelf::Leaf;

/// A token with its text.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenRead {
    /// The token.
    access_token: String,
    /// Its end.
    #[schema(value_type = i64)]
    expires_at: Timestamp,
    /// The same in whole seconds from now, rounded down.
    expires_in: u64,
    /// Which of the credential's tokens.
    #[schema(value_type = i64)]
    version: TokenVersion,
}

/// The story of a token.
#[derive(Serialize, ToSchema)]
pub(super) struct Story {
    /// What is held now; `null`: nothing was ever asked for.
    token: Option<TokenLine>,
    /// What happened to it, the latest first.
    #[schema(value_type = Vec<StoryLine>)]
    history: Vec<HistoryEntry>,
    /// Today's calls of the platform's token endpoints, by kind.
    calls_today: Vec<CallsToday>,
    /// How many calls a day there may be of its own kind; `null`: without end.
    daily_limit: Option<u32>,
}

/// One renewal, or what else happened to a token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes how `HistoryEntry` is written")]
pub(super) struct StoryLine {
    /// When it ended.
    at: i64,
    /// Who caused it: `by` is `timetable`, `read`, `report`, `exchange` or `operator`, `consumer` whose.
    cause: serde_json::Value,
    /// `outcome` is `renewed`, `same`, `failed`, `resolved` or `forgotten`; `trouble` says why it failed.
    ending: serde_json::Value,
    /// The version that was held from then on.
    version: Option<i64>,
    /// The platform's own code for a refusal.
    code: Option<String>,
}

/// How many calls of one kind an app made today.
#[derive(Serialize, ToSchema)]
pub(super) struct CallsToday {
    /// `token`, `stable_token`, `forced_stable_token` or `apply_token`.
    kind: &'static str,
    /// How many.
    calls: u32,
}

/// What an operator decides of a token in doubt.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolve {
    decision: Decision,
}

/// What there is to decide.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Decision {
    /// Present the refresh token once more. If the platform did take it the first time, that may cost the
    /// customer's authorization.
    PresentAgain,
    /// Give the refresh token up: the customer must authorize anew.
    AskConsent,
}

/// A slot in the path.
type Whose = (CredentialName, CustomerId);

/// Gives the app's own token.
#[utoipa::path(get, operation_id = "readToken", path = "/admin/v1/keeper/tokens/{credential}", tag = "keeper",
    params(("credential" = String, Path)),
    responses((status = 200, body = TokenRead), (status = 404), (status = 503, description = "No valid token now")))]
pub(super) async fn read_own(
    State(desk): State<KeeperDesk>,
    Named(credential): Named<CredentialName>,
) -> Result<Json<TokenRead>, Problem> {
    desk.read(&credential, None).await
}

/// Gives a customer's token.
#[utoipa::path(get, operation_id = "readCustomersToken", path = "/admin/v1/keeper/tokens/{credential}/{customer}", tag = "keeper",
    params(("credential" = String, Path), ("customer" = String, Path)),
    responses((status = 200, body = TokenRead), (status = 404), (status = 503, description = "No valid token now")))]
pub(super) async fn read_customers(
    State(desk): State<KeeperDesk>,
    Named((credential, customer)): Named<Whose>,
) -> Result<Json<TokenRead>, Problem> {
    desk.read(&credential, Some(&customer)).await
}

/// Renews the app's own token now, to another one where the platform can do that.
#[utoipa::path(post, operation_id = "refreshToken", path = "/admin/v1/keeper/tokens/{credential}/refresh", tag = "keeper",
    params(("credential" = String, Path)),
    responses((status = 200, body = TokenLine), (status = 404), (status = 502, description = "The renewal failed")))]
pub(super) async fn refresh_own(
    State(desk): State<KeeperDesk>,
    Named(credential): Named<CredentialName>,
) -> Result<Json<TokenLine>, Problem> {
    desk.refresh(&credential, None).await
}

/// Renews a customer's token now.
#[utoipa::path(post, operation_id = "refreshCustomersToken", path = "/admin/v1/keeper/tokens/{credential}/{customer}/refresh",
    tag = "keeper", params(("credential" = String, Path), ("customer" = String, Path)),
    responses((status = 200, body = TokenLine), (status = 404), (status = 502, description = "The renewal failed")))]
pub(super) async fn refresh_customers(
    State(desk): State<KeeperDesk>,
    Named((credential, customer)): Named<Whose>,
) -> Result<Json<TokenLine>, Problem> {
    desk.refresh(&credential, Some(&customer)).await
}

/// Tells the story of the app's own token: who caused which renewal, when, with what answer.
#[utoipa::path(get, operation_id = "explainToken", path = "/admin/v1/keeper/tokens/{credential}/explain", tag = "keeper",
    params(("credential" = String, Path)), responses((status = 200, body = Story), (status = 404)))]
pub(super) async fn explain_own(
    State(desk): State<KeeperDesk>,
    Named(credential): Named<CredentialName>,
) -> Result<Json<Story>, Problem> {
    desk.explain(&credential, None).await
}

/// Tells the story of a customer's token.
#[utoipa::path(get, operation_id = "explainCustomersToken", path = "/admin/v1/keeper/tokens/{credential}/{customer}/explain",
    tag = "keeper", params(("credential" = String, Path), ("customer" = String, Path)),
    responses((status = 200, body = Story), (status = 404)))]
pub(super) async fn explain_customers(
    State(desk): State<KeeperDesk>,
    Named((credential, customer)): Named<Whose>,
) -> Result<Json<Story>, Problem> {
    desk.explain(&credential, Some(&customer)).await
}

/// Decides of the app's own token if it waits for an operator.
#[utoipa::path(post, operation_id = "resolveToken", path = "/admin/v1/keeper/tokens/{credential}/resolve", tag = "keeper",
    params(("credential" = String, Path)), request_body = Resolve,
    responses((status = 204), (status = 404), (status = 409, description = "It waits for no operator")))]
pub(super) async fn resolve_own(
    State(desk): State<KeeperDesk>,
    arrival: Arrival,
    Named(credential): Named<CredentialName>,
    Asked(asked): Asked<Resolve>,
) -> Result<StatusCode, Problem> {
    desk.resolve(&credential, None, (asked, &arrival)).await
}

/// Decides of a customer's token if it waits for an operator: one whose renewal's answer is lost.
#[utoipa::path(post, operation_id = "resolveCustomersToken", path = "/admin/v1/keeper/tokens/{credential}/{customer}/resolve",
    tag = "keeper", params(("credential" = String, Path), ("customer" = String, Path)), request_body = Resolve,
    responses((status = 204), (status = 404), (status = 409, description = "It waits for no operator")))]
pub(super) async fn resolve_customers(
    State(desk): State<KeeperDesk>,
    arrival: Arrival,
    Named((credential, customer)): Named<Whose>,
    Asked(asked): Asked<Resolve>,
) -> Result<StatusCode, Problem> {
    desk.resolve(&credential, Some(&customer), (asked, &arrival)).await
}

impl KeeperDesk {
    async fn read(
        &self,
        credential: &CredentialName,
        customer: Option<&CustomerId>,
    ) -> Result<Json<TokenRead>, Problem> {
        let account = self.account(credential)?;
        #[expect(clippy::expect_used, reason = "five letters are a name")]
        let consumer = ConsumerName::parse("admin").expect("letters are a name");
        let reading = Reading { customer, min_ttl: Duration::ZERO, consumer: &consumer };
        let leaf = self.keeper.read(&account, &reading).await;
        let now = self.keeper.clock.now();
        let leaf = leaf.map_err(|failure| match failure {
            ReadFailure::Unavailable(denial) => unavailable(denial, now),
            ReadFailure::NoSuchSlot => problem_of(&AdminFailure::NotFound),
        })?;
        let kept = still_good(&leaf, now)?;
        Ok(Json(TokenRead {
            access_token: kept.access.expose().to_owned(),
            expires_at: kept.expires_at,
            expires_in: kept.left(now).as_secs(),
            version: kept.version,
        }))
    }

    async fn refresh(
        &self,
        credential: &CredentialName,
        customer: Option<&CustomerId>,
    ) -> Result<Json<TokenLine>, Problem> {
        let account = self.account(credential)?;
        let leaf = self.keeper.refresh(&account, customer).await.map_err(|f| problem_of(&f))?;
        Ok(Json(self.line(credential, &leaf)))
    }

    async fn explain(
        &self,
        credential: &CredentialName,
        customer: Option<&CustomerId>,
    ) -> Result<Json<Story>, Problem> {
        let account = self.account(credential)?;
        let told = self.keeper.explain(&account, customer).await.map_err(|f| problem_of(&f))?;
        if told.leaf.is_none() && customer.is_some() {
            return Err(problem_of(&AdminFailure::NotFound));
        }
        let calls = told.calls.iter().map(|(kind, calls)| CallsToday { kind: kind.name(), calls: *calls });
        Ok(Json(Story {
            token: told.leaf.as_deref().map(|leaf| self.line(credential, leaf)),
            history: told.history,
            calls_today: calls.collect(),
            daily_limit: told.daily_limit,
        }))
    }

    async fn resolve(
        &self,
        credential: &CredentialName,
        customer: Option<&CustomerId>,
        (asked, arrival): (Resolve, &Arrival),
    ) -> Result<StatusCode, Problem> {
        let account = self.account(credential)?;
        let resolution = match asked.decision {
            Decision::PresentAgain => Resolution::PresentAgain,
            Decision::AskConsent => Resolution::AskConsent,
        };
        let resolved = self.keeper.resolve(&account, customer, (resolution, &by(arrival))).await;
        resolved.map_err(|f| problem_of(&f))?;
        Ok(StatusCode::NO_CONTENT)
    }

    fn line(&self, credential: &CredentialName, leaf: &Leaf) -> TokenLine {
        TokenLine::of_leaf(credential, leaf, &self.keeper)
    }
}
