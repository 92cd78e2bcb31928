//! `/admin/v1/keeper/tokens`: what is held, and how it is doing. Never a token's text.

use axum::Json;
use axum::extract::State;
use mintkeep_protocol::ident::{CredentialName, CustomerId};
use mintkeep_protocol::keep::slot::{Slot, SlotKey, TokenVersion, Trouble, Upkeep};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::asked::Filter;
use mintkeep_web::listing::{next_of, page_size};
use mintkeep_web::problem::{Problem, unfit};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{KeeperDesk, problem_of};
use crate::admin::AdminFailure;
use crate::keeper::Keeper;
use crate::shelf::Leaf;

/// Which tokens to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TokenFilter {
    /// Only those of this credential.
    #[param(value_type = Option<String>)]
    credential: Option<CredentialName>,
    /// What `next` of the page before said.
    after: Option<String>,
    /// How many at most, 1 to 1000; left out: 100.
    most: Option<u32>,
}

/// One token, without its text.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenLine {
    /// Whose credential.
    #[schema(value_type = String)]
    credential: CredentialName,
    /// Which customer's; `null`: the app's own.
    #[schema(value_type = Option<String>)]
    customer: Option<CustomerId>,
    /// Which of its tokens; it only grows. `null`: none was ever held.
    #[schema(value_type = Option<i64>)]
    version: Option<TokenVersion>,
    /// Whether it can be served now.
    good: bool,
    /// Its end.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Timestamp>,
    /// Until when it can be renewed without the customer.
    #[schema(value_type = Option<i64>)]
    refresh_expires_at: Option<Timestamp>,
    /// `idle`, `renewing`, `backoff`, `needs_consent` or `needs_operator`.
    state: &'static str,
    /// What is wrong, a word such as `in_doubt`.
    #[schema(value_type = Option<String>)]
    trouble: Option<Trouble>,
    /// The same as a sentence.
    trouble_text: Option<String>,
    /// When the keeper renews it next by itself, by the timetable of the process that is asked.
    #[schema(value_type = Option<i64>)]
    due_at: Option<Timestamp>,
    /// How many renewals failed since the last that did not.
    failures: u32,
}

/// Some tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenPage {
    /// In the order in which their credentials were added.
    tokens: Vec<TokenLine>,
    /// What to give as `after` for the next page; `null`: this is the last one.
    next: Option<String>,
}

impl TokenLine {
    /// As it is served.
    pub(super) fn of_leaf(credential: &CredentialName, leaf: &Leaf, keeper: &Keeper) -> Self {
        let (kept, now) = (leaf.kept.as_ref(), keeper.clock.now());
        Self {
            version: kept.map(|kept| kept.version),
            good: leaf.good(now).is_some(),
            expires_at: kept.map(|kept| kept.expires_at),
            refresh_expires_at: kept.and_then(|kept| kept.refresh_expires_at),
            due_at: keeper.next_look(&leaf.key, &leaf.upkeep),
            ..Self::of_upkeep(credential, &leaf.key, (&leaf.upkeep, leaf.failures))
        }
    }

    /// As it is stored.
    fn of_slot(credential: &CredentialName, slot: &Slot, keeper: &Keeper) -> Self {
        let (held, now) = (slot.held.as_ref(), keeper.clock.now());
        Self {
            version: held.map(|held| held.version),
            good: slot.good(now).is_some(),
            expires_at: held.map(|held| held.expires_at),
            refresh_expires_at: held.and_then(|held| held.refresh_expires_at),
            due_at: keeper.next_look(&slot.key, &slot.upkeep),
            ..Self::of_upkeep(credential, &slot.key, (&slot.upkeep, slot.failures))
        }
    }

    fn of_upkeep(credential: &CredentialName, key: &SlotKey, (upkeep, failures): (&Upkeep, u32)) -> Self {
        Self {
            credential: credential.clone(),
            customer: key.customer.clone(),
            version: None,
            good: false,
            expires_at: None,
            refresh_expires_at: None,
            state: state_name(upkeep),
            trouble: upkeep.trouble(),
            trouble_text: upkeep.trouble().map(|trouble| trouble.to_string()),
            due_at: None,
            failures,
        }
    }
}

const fn state_name(upkeep: &Upkeep) -> &'static str {
    match upkeep {
        Upkeep::Idle { .. } => "idle",
        Upkeep::Renewing { .. } => "renewing",
        Upkeep::Backoff { .. } => "backoff",
        Upkeep::NeedsConsent { .. } => "needs_consent",
        Upkeep::NeedsOperator { .. } => "needs_operator",
    }
}

/// Lists the tokens that are held, and how they are doing. Never a token's text.
#[utoipa::path(get, operation_id = "listTokens", path = "/admin/v1/keeper/tokens", tag = "keeper", params(TokenFilter),
    responses((status = 200, body = TokenPage)))]
pub(super) async fn list(
    State(desk): State<KeeperDesk>,
    Filter(filter): Filter<TokenFilter>,
) -> Result<Json<TokenPage>, Problem> {
    let most = page_size(filter.most)?;
    let of = filter.credential.as_ref().map(|name| desk.account(name)).transpose()?;
    let after = filter.after.as_deref().map(|text| desk.slot_named(text)).transpose()?;
    let keeper = &desk.keeper;
    let found = keeper.store.slots(of.map(|account| account.credential.no), after.as_ref(), most).await;
    let found = found.map_err(|error| problem_of(&AdminFailure::Store(error)))?;
    // The slot of a credential that was removed this moment has no name any more.
    let name_of =
        |slot: &Slot| Some(keeper.roster.account_by_no(slot.key.credential)?.credential.name.clone());
    let next =
        next_of(&found, most).and_then(|slot| Some(cursor(&name_of(slot)?, slot.key.customer.as_ref())));
    let lines = found.iter().filter_map(|slot| Some(TokenLine::of_slot(&name_of(slot)?, slot, keeper)));
    Ok(Json(TokenPage { tokens: lines.collect(), next }))
}

fn cursor(credential: &CredentialName, customer: Option<&CustomerId>) -> String {
    customer.map_or_else(|| credential.to_string(), |customer| format!("{credential}/{customer}"))
}

impl KeeperDesk {
    /// The slot that a [`cursor`] names.
    fn slot_named(&self, text: &str) -> Result<SlotKey, Problem> {
        let illegal = || unfit("after must be what `next` of the page before said");
        let (credential, customer) = match text.split_once('/') {
            Some((credential, customer)) => {
                (credential, Some(CustomerId::parse(customer).map_err(|_| illegal())?))
            }
            None => (text, None),
        };
        let name = CredentialName::parse(credential).map_err(|_| illegal())?;
        Ok(SlotKey { credential: self.account(&name)?.credential.no, customer })
    }
}
