//! The sandbox's stand-in for a wallet: asks who you want to be, and vouches for it.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use http::{Request, StatusCode};
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::ident::{CustomerId, ServiceId};
use mintkeep_protocol::port::entropy::draw;
use mintkeep_protocol::record::CustomerStatus;
use mintkeep_web::body::read;
use mintkeep_web::browser::see_other;
use mintkeep_web::fields::Fields;

use super::assertion;
use super::page::{ErrorPage, Policy, send};
use super::way_back::with_answer;
use super::words::{EN, Words};
use crate::issuer::Issuer;

/// How long its assertions are good, in seconds.
const ASSERTION_LIFE_S: i64 = 60;

/// What the stand-in wallet is made of.
pub struct SandboxWallet {
    /// The wallet service whose assertion key is this one's public half.
    pub id: ServiceId,
    /// What it signs with.
    pub key: RsaPrivateKey,
    /// Whom it offers to be.
    pub customers: Vec<CustomerId>,
}

#[derive(Clone)]
struct Counter(Arc<(Arc<Issuer>, SandboxWallet)>);

struct Choice {
    id: String,
    name: String,
    status: &'static str,
}

#[derive(Template)]
#[template(path = "consent/wallet.html")]
struct WalletPage<'p> {
    words: &'static Words,
    choices: &'p [Choice],
    return_to: &'p str,
}

/// The stand-in wallet at `/sandbox/wallet`. For a sandbox only: it asks for no password.
pub fn router(issuer: Arc<Issuer>, wallet: SandboxWallet) -> Router {
    Router::new()
        .route("/sandbox/wallet", get(choose).post(sign_in))
        .with_state(Counter(Arc::new((issuer, wallet))))
}

/// Where the customer goes on to: a page of the issuer's own, or what they granted.
fn destination<'f>(issuer: &Issuer, fields: &'f Fields) -> Option<&'f str> {
    let path = fields.get("return_to").unwrap_or("/authorize/granted");
    let path = path.strip_prefix(&issuer.public_url).unwrap_or(path);
    let is_ours = path == "/authorize/granted" || path.starts_with("/authorize?");
    is_ours.then_some(path)
}

fn trouble(status: StatusCode) -> Response {
    send(&ErrorPage { words: &EN, text: EN.error_asking, again: None }, status, &EN, &Policy::default())
}

async fn choose(State(counter): State<Counter>, RawQuery(query): RawQuery) -> Response {
    let (issuer, wallet) = &*counter.0;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let Some(return_to) = destination(issuer, &fields) else { return trouble(StatusCode::BAD_REQUEST) };
    let mut choices = Vec::new();
    for id in &wallet.customers {
        let Ok(Some(customer)) = issuer.store.customer(id).await else { continue };
        choices.push(Choice {
            id: id.to_string(),
            name: customer.profile.nick_name.clone().unwrap_or_default(),
            status: match customer.status {
                CustomerStatus::Active => "active",
                CustomerStatus::Frozen => "frozen",
                CustomerStatus::Deleted => "deleted",
            },
        });
    }
    let page = WalletPage { words: &EN, choices: &choices, return_to };
    // From here a browser may be led through the authorization page to an app at once, even on plain http.
    let policy = Policy { form_leads_to: Some("http:"), ..Policy::default() };
    send(&page, StatusCode::OK, &EN, &policy)
}

async fn sign_in(State(counter): State<Counter>, request: Request<Body>) -> Response {
    let (issuer, _) = &*counter.0;
    let body = read(request.into_body(), &issuer.limits).await.unwrap_or_default();
    let fields = Fields::parse(&body).unwrap_or_default();
    let (Some(return_to), Some(customer)) = (destination(issuer, &fields), fields.get("customer")) else {
        return trouble(StatusCode::BAD_REQUEST);
    };
    let signed = {
        let (counter, customer) = (counter.clone(), customer.to_owned());
        issuer.tasks.spawn_blocking(move || counter.assert(&customer)).await
    };
    match signed {
        Ok(Some(assertion)) => see_other(&with_answer(return_to, &[("assertion", &assertion)])),
        Ok(None) | Err(_) => trouble(StatusCode::BAD_REQUEST),
    }
}

impl Counter {
    /// An assertion for one of the customers that are offered.
    fn assert(&self, customer: &str) -> Option<String> {
        let (issuer, wallet) = &*self.0;
        wallet.customers.iter().find(|offered| offered.as_str() == customer)?;
        let nonce = format!("{:032x}", u128::from_be_bytes(draw(&*issuer.entropy)));
        let ends_s = issuer.now().unix_s().saturating_add(ASSERTION_LIFE_S);
        let whom = (wallet.id.as_str(), customer);
        assertion::sign(&wallet.key, whom, &issuer.public_url, (ends_s, &nonce)).ok()
    }
}
