//! `/admin/v1/customers`: the people that grants are about.

use axum::Json;
use axum::extract::State;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::record::{AuditAction, Customer, CustomerStatus, Profile};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Filter, Named};
use mintkeep_web::listing::{next_of, page_size};
use mintkeep_web::problem::{Problem, unfit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AdminDesk, PageFilter, customer_unknown, unavailable};

/// Longest text of a profile, in characters.
const PROFILE_CHARS_MAX: usize = 1_024;

/// A customer's state and profile.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomerPut {
    /// `active`, `frozen` or `deleted`; left out: `active`.
    #[serde(default = "active")]
    #[schema(value_type = Option<String>, example = "active")]
    pub status: CustomerStatus,
    /// What `inquiryUserInfo` tells.
    #[serde(default)]
    pub profile: ProfileWords,
}

const fn active() -> CustomerStatus {
    CustomerStatus::Active
}

/// What an app may learn of a customer under `auth_user`.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileWords {
    /// The name they chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nick_name: Option<String>,
    /// A picture's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// `m`, `f`, or what the platform has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    /// ISO 3166 country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nationality: Option<String>,
}

impl ProfileWords {
    fn checked(self) -> Result<Profile, Problem> {
        let texts = [&self.nick_name, &self.avatar, &self.gender, &self.nationality];
        if texts.into_iter().flatten().any(|text| text.chars().count() > PROFILE_CHARS_MAX) {
            return Err(unfit("each text of the profile must be 1024 characters or fewer"));
        }
        Ok(Profile {
            nick_name: self.nick_name,
            avatar: self.avatar,
            gender: self.gender,
            nationality: self.nationality,
        })
    }
}

/// A customer.
#[derive(Serialize, ToSchema)]
pub(crate) struct CustomerView {
    /// What the platform calls them.
    #[schema(value_type = String, example = "2160000000000001")]
    pub id: CustomerId,
    /// `active`, `frozen` or `deleted`.
    #[schema(value_type = String)]
    pub status: CustomerStatus,
    /// What `inquiryUserInfo` tells.
    pub profile: ProfileWords,
}

impl CustomerView {
    fn of(customer: &Customer) -> Self {
        let Profile { nick_name, avatar, gender, nationality } = customer.profile.clone();
        Self {
            id: customer.id.clone(),
            status: customer.status,
            profile: ProfileWords { nick_name, avatar, gender, nationality },
        }
    }
}

/// Makes a customer, or puts another state and profile in place of its own.
#[utoipa::path(put, operation_id = "putCustomer", path = "/admin/v1/customers/{id}", tag = "customers",
    params(("id" = String, Path)), request_body = CustomerPut,
    responses((status = 200, body = CustomerView)))]
pub(crate) async fn put(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<CustomerId>,
    Asked(asked): Asked<CustomerPut>,
) -> Result<Json<CustomerView>, Problem> {
    let customer = Customer { id, status: asked.status, profile: asked.profile.checked()? };
    let view = CustomerView::of(&customer);
    let audit = desk.audit(AuditAction::CustomerPut, &customer.id, &arrival);
    desk.issuer.store.put_customer(customer, audit).await.map_err(unavailable)?;
    Ok(Json(view))
}

/// Shows a customer.
#[utoipa::path(get, operation_id = "showCustomer", path = "/admin/v1/customers/{id}", tag = "customers",
    params(("id" = String, Path)),
    responses((status = 200, body = CustomerView), (status = 404, description = "No such customer")))]
pub(crate) async fn show(
    State(desk): State<AdminDesk>,
    Named(id): Named<CustomerId>,
) -> Result<Json<CustomerView>, Problem> {
    let customer = desk.issuer.store.customer(&id).await.map_err(unavailable)?;
    customer.map(|customer| Json(CustomerView::of(&customer))).ok_or_else(customer_unknown)
}

/// Some customers.
#[derive(Serialize, ToSchema)]
pub(crate) struct CustomerPage {
    /// By id.
    pub customers: Vec<CustomerView>,
    /// What to give as `after` for the next page; `null`: this is the last one.
    #[schema(value_type = Option<String>)]
    pub next: Option<CustomerId>,
}

/// Lists customers, by id.
#[utoipa::path(get, operation_id = "listCustomers", path = "/admin/v1/customers", tag = "customers", params(PageFilter<CustomerId>),
    responses((status = 200, body = CustomerPage)))]
pub(crate) async fn list(
    State(desk): State<AdminDesk>,
    Filter(filter): Filter<PageFilter<CustomerId>>,
) -> Result<Json<CustomerPage>, Problem> {
    let most = page_size(filter.most)?;
    let found = desk.issuer.store.customers(filter.after.as_ref(), most).await.map_err(unavailable)?;
    let next = next_of(&found, most).map(|customer| customer.id.clone());
    Ok(Json(CustomerPage { customers: found.iter().map(|found| CustomerView::of(found)).collect(), next }))
}
