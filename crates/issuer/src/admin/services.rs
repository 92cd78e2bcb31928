//! `/admin/v1/services`: the resource servers that introspect, and the wallets that ask for codes.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_protocol::app::StoredSecret;
use mintkeep_protocol::crypto::RsaPublicKey;
use mintkeep_protocol::ident::ServiceId;
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::{AuditAction, Service, ServiceRole};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Filter, Named};
use mintkeep_web::listing::{next_of, page_size};
use mintkeep_web::problem::{Problem, unfit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::apps::drawn_secret;
use super::{AdminDesk, PageFilter, unavailable};

/// A new resource server or wallet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceCreate {
    /// Its name in Basic authentication.
    #[schema(value_type = String, example = "gateway")]
    id: ServiceId,
    /// `resource_server` or `wallet`.
    #[schema(value_type = String, example = "resource_server")]
    role: ServiceRole,
    /// For a wallet: the key of its assertions, a `PUBLIC KEY` PEM block.
    assertion_key_pem: Option<String>,
    /// Put it in the place of the one of this name, whose secret then ends.
    #[serde(default)]
    replace: bool,
}

/// A service, and the secret that is shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceCreated {
    /// The service.
    #[serde(flatten)]
    pub service: ServiceView,
    /// Its secret.
    pub secret: String,
}

/// A service.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceView {
    /// Its name in Basic authentication.
    #[schema(value_type = String)]
    pub id: ServiceId,
    /// `resource_server` or `wallet`.
    #[schema(value_type = String)]
    pub role: ServiceRole,
    /// For a wallet: the key of its assertions.
    pub assertion_key_pem: Option<String>,
}

impl ServiceView {
    fn of(service: &Service) -> Self {
        Self {
            id: service.id.clone(),
            role: service.role,
            assertion_key_pem: service.assertion_key_pem.clone(),
        }
    }
}

/// Makes a resource server or a wallet. Its secret is shown once.
#[utoipa::path(post, operation_id = "createService", path = "/admin/v1/services", tag = "services", request_body = ServiceCreate,
    responses((status = 201, body = ServiceCreated), (status = 409, description = "The name is taken")))]
pub(crate) async fn create(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Asked(asked): Asked<ServiceCreate>,
) -> Result<(StatusCode, Json<ServiceCreated>), Problem> {
    let assertion_key_pem = match (asked.assertion_key_pem, asked.role) {
        (None, _) => None,
        (Some(_), ServiceRole::ResourceServer) => {
            return Err(unfit("only a wallet has assertion_key_pem; leave it out"));
        }
        (Some(pem), ServiceRole::Wallet) => {
            let key = RsaPublicKey::from_pem(&pem);
            Some(key.map_err(|rejected| unfit(format!("assertion_key_pem is {rejected}")))?.to_pem())
        }
    };
    let store = &desk.issuer.store;
    let secret = drawn_secret(&desk);
    let mac = desk.issuer.service_secret_mac(&asked.id, &secret);
    let service = Service {
        id: asked.id,
        role: asked.role,
        secret: StoredSecret { mac, expires_at: None },
        assertion_key_pem,
    };
    let view = ServiceView::of(&service);
    let audit = desk.audit(AuditAction::ServicePut, &service.id, &arrival);
    if asked.replace {
        store.put_service(service, audit).await.map_err(unavailable)?;
    } else if store.add_service(service, audit).await.map_err(unavailable)? == Commit::Lost {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "id-taken",
            "There is a service of this name",
            "choose another name, or send \"replace\": true to end its secret and give it a new one",
        ));
    }
    let created = ServiceCreated { service: view, secret: secret.expose().to_owned() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Shows a resource server or a wallet.
#[utoipa::path(get, operation_id = "showService", path = "/admin/v1/services/{id}", tag = "services",
    params(("id" = String, Path)),
    responses((status = 200, body = ServiceView), (status = 404, description = "No such service")))]
pub(crate) async fn show(
    State(desk): State<AdminDesk>,
    Named(id): Named<ServiceId>,
) -> Result<Json<ServiceView>, Problem> {
    let service = desk.issuer.store.service(&id).await.map_err(unavailable)?;
    service.map(|service| Json(ServiceView::of(&service))).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "service-unknown",
            "There is no such service",
            "make it with POST /admin/v1/services",
        )
    })
}

/// Some services.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServicePage {
    /// By id.
    pub services: Vec<ServiceView>,
    /// What to give as `after` for the next page; `null`: this is the last one.
    #[schema(value_type = Option<String>)]
    pub next: Option<ServiceId>,
}

/// Lists resource servers and wallets, by id.
#[utoipa::path(get, operation_id = "listServices", path = "/admin/v1/services", tag = "services", params(PageFilter<ServiceId>),
    responses((status = 200, body = ServicePage)))]
pub(crate) async fn list(
    State(desk): State<AdminDesk>,
    Filter(filter): Filter<PageFilter<ServiceId>>,
) -> Result<Json<ServicePage>, Problem> {
    let most = page_size(filter.most)?;
    let found = desk.issuer.store.services(filter.after.as_ref(), most).await.map_err(unavailable)?;
    let next = next_of(&found, most).map(|service| service.id.clone());
    Ok(Json(ServicePage { services: found.iter().map(|found| ServiceView::of(found)).collect(), next }))
}
