//! `/admin/v1/keeper/consumers`: who may take tokens from the keeper.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::crypto::RsaPublicKey;
use mintkeep_protocol::ident::{ConsumerName, CredentialName};
use mintkeep_protocol::keep::consumer::{Consumer, CredentialScope, Verb};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Named};
use mintkeep_web::problem::{Problem, unfit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{KeeperDesk, by, not_found, problem_of};
use crate::admin::{AdminFailure, NewConsumer};

/// Most public keys of one consumer.
const KEYS_MAX: usize = 16;
/// Longest margin that a client library can have, in seconds. It is told of a minute more, and so never of more
/// than WeChat's page allows: "Its value is within 7,200 seconds". pywe-token's is 6,600 of them.
const MARGIN_FLOOR_S_MAX: u32 = 7_140;

/// A new consumer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumerCreate {
    /// What it is called.
    #[schema(value_type = String, example = "checkout")]
    name: ConsumerName,
    /// Which credentials it may use. They need not exist yet.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["wechat-shop"]))]
    credentials: Vec<CredentialName>,
    /// Instead of `credentials`: that it may use all of them, those that are added later too.
    #[serde(default)]
    all_credentials: bool,
    /// What it may do: `read`, `report`, `exchange`, `forget`, `proxy`; left out: `read` and `report`.
    #[schema(value_type = Option<Vec<String>>)]
    verbs: Option<Vec<Verb>>,
    /// For a client library that drops a token early: by how many seconds at most. The drop-in endpoints tell
    /// it of more than that while the token lives longer. At most 7140.
    #[serde(default)]
    margin_floor_s: u32,
    /// Its public keys, for the drop-in endpoints of the signed dialects.
    #[serde(default)]
    drop_in_keys: Vec<DropInKey>,
}

/// A consumer's public key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropInKey {
    /// Its `keyVersion`; left out: 1.
    version: Option<u32>,
    /// A `PUBLIC KEY` PEM block.
    public_key_pem: String,
}

/// A consumer. Never its keys.
#[derive(Serialize, ToSchema)]
pub(super) struct ConsumerView {
    /// What it is called.
    #[schema(value_type = String)]
    name: ConsumerName,
    /// Which credentials it may use; `null`: all.
    #[schema(value_type = Option<Vec<String>>)]
    credentials: Option<Vec<CredentialName>>,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    verbs: Vec<Verb>,
    /// By how many seconds its client library drops a token early, at most.
    margin_floor_s: u32,
    /// The `keyVersion`s that it may sign with at the drop-in endpoints.
    drop_in_key_versions: Vec<u32>,
    /// When it was made.
    #[schema(value_type = i64)]
    created_at: Timestamp,
}

/// A new consumer, and what is shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsumerCreated {
    /// The consumer.
    consumer: ConsumerView,
    /// Its bearer key, shown once.
    key: String,
    /// Its secret for the drop-in endpoints, shown once.
    drop_in_secret: String,
    /// With `drop_in_keys`: the key that answers of the signed drop-in endpoints are signed with.
    answers_public_key_pem: Option<String>,
}

/// All consumers.
#[derive(Serialize, ToSchema)]
pub(super) struct ConsumerList {
    /// By name.
    consumers: Vec<ConsumerView>,
}

impl ConsumerView {
    fn of(consumer: &Consumer) -> Self {
        let keys = consumer.drop_in_keys.as_ref().map_or(&[][..], |keys| &keys.consumer);
        Self {
            name: consumer.name.clone(),
            credentials: match &consumer.credentials {
                CredentialScope::All => None,
                CredentialScope::Named(names) => Some(names.clone()),
            },
            verbs: consumer.verbs.clone(),
            margin_floor_s: consumer.margin_floor_s,
            drop_in_key_versions: keys.iter().map(|key| key.version).collect(),
            created_at: consumer.created_at,
        }
    }
}

/// Makes a consumer. Its key and its drop-in secret are shown once.
#[utoipa::path(post, operation_id = "createConsumer", path = "/admin/v1/keeper/consumers", tag = "keeper",
    request_body = ConsumerCreate,
    responses((status = 201, body = ConsumerCreated), (status = 409, description = "The name is taken")))]
pub(super) async fn create(
    State(desk): State<KeeperDesk>,
    arrival: Arrival,
    Asked(asked): Asked<ConsumerCreate>,
) -> Result<(StatusCode, Json<ConsumerCreated>), Problem> {
    let new = asked.read()?;
    let made = desk.keeper.create_consumer(new, &by(&arrival)).await.map_err(|f| problem_of(&f))?;
    let created = ConsumerCreated {
        consumer: ConsumerView::of(&made.consumer),
        key: made.key.to_string(),
        drop_in_secret: made.drop_in_secret.to_string(),
        answers_public_key_pem: made.answers_public_pem,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

impl ConsumerCreate {
    /// Who is to be made.
    pub(crate) fn read(self) -> Result<NewConsumer, Problem> {
        let credentials = match (self.all_credentials, self.credentials) {
            (true, named) if named.is_empty() => CredentialScope::All,
            (false, named) if !named.is_empty() => CredentialScope::Named(named),
            (true | false, _) => {
                return Err(unfit("name its credentials, or say all_credentials, one of the two"));
            }
        };
        let verbs = self.verbs.unwrap_or_else(|| vec![Verb::Read, Verb::Report]);
        if verbs.is_empty() {
            return Err(unfit("verbs must name one at least, or be left out"));
        }
        if self.margin_floor_s > MARGIN_FLOOR_S_MAX {
            return Err(unfit(format!("margin_floor_s must be {MARGIN_FLOOR_S_MAX} or less")));
        }
        if self.drop_in_keys.len() > KEYS_MAX {
            return Err(unfit(format!("drop_in_keys must be {KEYS_MAX} or fewer")));
        }
        Ok(NewConsumer {
            name: self.name,
            credentials,
            verbs,
            margin_floor_s: self.margin_floor_s,
            drop_in_keys: self.drop_in_keys.iter().map(app_key).collect::<Result<_, _>>()?,
        })
    }
}

fn app_key(given: &DropInKey) -> Result<AppKey, Problem> {
    let public = RsaPublicKey::from_pem(&given.public_key_pem)
        .map_err(|rejected| unfit(format!("public_key_pem is {rejected}")))?;
    Ok(AppKey { version: given.version.unwrap_or(1), public })
}

/// Lists consumers, by name.
#[utoipa::path(get, operation_id = "listConsumers", path = "/admin/v1/keeper/consumers", tag = "keeper",
    responses((status = 200, body = ConsumerList)))]
pub(super) async fn list(State(desk): State<KeeperDesk>) -> Json<ConsumerList> {
    let consumers = desk.keeper.consumers();
    Json(ConsumerList { consumers: consumers.iter().map(|consumer| ConsumerView::of(consumer)).collect() })
}

/// Ends a consumer's rights at once.
#[utoipa::path(delete, operation_id = "revokeConsumer", path = "/admin/v1/keeper/consumers/{name}", tag = "keeper",
    params(("name" = String, Path)),
    responses((status = 204), (status = 404, description = "No such consumer")))]
pub(super) async fn revoke(
    State(desk): State<KeeperDesk>,
    arrival: Arrival,
    Named(name): Named<ConsumerName>,
) -> Result<StatusCode, Problem> {
    match desk.keeper.revoke_consumer(&name, &by(&arrival)).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(AdminFailure::NotFound) => Err(not_found(
            "consumer-unknown",
            "There is no such consumer",
            "GET /admin/v1/keeper/consumers lists them",
        )),
        Err(failure) => Err(problem_of(&failure)),
    }
}
