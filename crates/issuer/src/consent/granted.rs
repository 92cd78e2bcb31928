//! `/authorize/granted`: what a customer granted, and its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use mintkeep_protocol::crypto::same_bytes;
use mintkeep_protocol::ident::{CustomerId, RecordId};
use mintkeep_protocol::port::issuer_store::{Commit, GrantQuery, StoreError, Stored};
use mintkeep_protocol::record::{Grant, GrantStage};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::body::read;
use mintkeep_web::browser::see_other;
use mintkeep_web::fields::Fields;

use super::Desk;
use super::page::{GrantedApp, GrantedPage, send};
use super::session::Session;
use super::words::{Words, wanted};
use crate::issuer::Failure;

/// How many grants are read at once.
const GRANTS_A_READ: u32 = 200;

/// How many reads a list may take: of 2,000 grants the live ones are shown.
const READS_MAX: usize = 10;

/// How often the end of a grant that is changing meanwhile is tried.
const END_TRIES: usize = 3;

const HERE: &str = "/authorize/granted";

/// `GET /authorize/granted`.
pub(super) async fn show(
    State(desk): State<Desk>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let words = wanted(&headers);
    let Ok(fields) = Fields::parse(query.unwrap_or_default().as_bytes()) else {
        return desk.error(words, StatusCode::BAD_REQUEST, words.error_asking);
    };
    if let Some(token) = fields.get("assertion") {
        return desk.sign_in(token, HERE, words).await;
    }
    let Some(session) = desk.session(&headers, desk.0.issuer.now()) else {
        return desk.to_wallet(HERE, words);
    };
    match desk.granted_apps(&session, words).await {
        Ok((apps, has_more)) => {
            let was_ended = fields.get("ended").is_some();
            let customer = session.customer.as_str();
            let page = GrantedPage { words, customer, apps: &apps, has_more, was_ended };
            send(&page, StatusCode::OK, words, &desk.policy())
        }
        Err(error) => desk.store_trouble(words, &error.into()),
    }
}

/// `POST /authorize/granted`: ends all that the customer granted one app.
pub(super) async fn end(State(desk): State<Desk>, arrival: Arrival, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let words = wanted(&head.headers);
    let forged = || desk.error(words, StatusCode::FORBIDDEN, words.error_forged);
    if !desk.is_own_form(&head.headers) {
        return forged();
    }
    let Some(session) = desk.session(&head.headers, desk.0.issuer.now()) else {
        return desk.to_wallet(HERE, words);
    };
    let body = read(body, &desk.0.issuer.limits).await.unwrap_or_default();
    let fields = Fields::parse(&body).unwrap_or_default();
    let app = fields.get("app").and_then(|app| app.parse().ok()).map(RecordId::from_number);
    let Some(app) = app else { return forged() };
    let proof = fields.get("proof").unwrap_or_default();
    if !same_bytes(desk.0.seals.revocation(&session, app).as_bytes(), proof.as_bytes()) {
        return forged();
    }
    match desk.end_access(&session.customer, app, &arrival).await {
        Ok(()) => see_other(&format!("{HERE}?ended=1")),
        Err(failure) => desk.store_trouble(words, &failure),
    }
}

/// Whether a grant still lets its app do something, or can come to, unless all of the app's tokens were ended since.
fn is_live(grant: &Grant, now: Timestamp) -> bool {
    match grant.stage {
        GrantStage::Issued { .. } => now < grant.code_expires_at,
        GrantStage::Active { tokens, .. } => {
            now < tokens.access.expires_at || now < tokens.refresh_expires_at
        }
        GrantStage::Revoked { .. } => false,
    }
}

impl Desk {
    fn store_trouble(&self, words: &'static Words, failure: &Failure) -> Response {
        tracing::error!(%failure, "the page of grants could not use its store");
        self.error(words, StatusCode::SERVICE_UNAVAILABLE, words.error_busy)
    }

    /// The customer's live grants, and whether there are more than were read.
    async fn live_grants(&self, customer: &CustomerId) -> Stored<(Vec<Arc<Grant>>, bool)> {
        let now = self.0.issuer.now();
        let mut live = Vec::new();
        let mut query =
            GrantQuery { app: None, customer: Some(customer.clone()), after: None, most: GRANTS_A_READ };
        for _read in 0..READS_MAX {
            let grants = self.0.issuer.store.grants(&query).await?;
            query.after = grants.last().map(|grant| grant.id);
            let is_last = u32::try_from(grants.len()).is_ok_and(|count| count < GRANTS_A_READ);
            live.extend(grants.into_iter().filter(|grant| is_live(grant, now)));
            if is_last {
                return Ok((live, false));
            }
        }
        Ok((live, true))
    }

    /// One entry for each app, the first granted first.
    async fn granted_apps(
        &self,
        session: &Session,
        words: &'static Words,
    ) -> Result<(Vec<GrantedApp>, bool), StoreError> {
        let (live, has_more) = self.live_grants(&session.customer).await?;
        let mut by_app: BTreeMap<RecordId, Vec<Arc<Grant>>> = BTreeMap::new();
        for grant in live {
            by_app.entry(grant.app).or_default().push(grant);
        }
        let mut apps = Vec::new();
        for (no, grants) in by_app {
            let Some(app) = self.0.issuer.store.app_by_no(no).await? else { continue };
            let grants: Vec<_> =
                grants.into_iter().filter(|grant| grant.token_epoch == app.token_epoch).collect();
            let Some(first) = grants.first() else { continue };
            let mut scopes: Vec<String> = Vec::new();
            for scope in grants.iter().flat_map(|grant| &grant.scopes) {
                let text = words.scope(scope.as_str());
                if !scopes.contains(&text) {
                    scopes.push(text);
                }
            }
            apps.push(GrantedApp {
                name: app.name.clone(),
                scopes,
                since: date(first.id.made_at()),
                app_no: no.number(),
                proof: self.0.seals.revocation(session, no),
            });
        }
        Ok((apps, has_more))
    }

    /// Ends the customer's grants to the app, each by itself: what was ended stays so if a later one fails.
    async fn end_access(
        &self,
        customer: &CustomerId,
        app: RecordId,
        arrival: &Arrival,
    ) -> Result<(), Failure> {
        let actor = format!("customer {customer}");
        let mut query =
            GrantQuery { app: Some(app), customer: Some(customer.clone()), after: None, most: GRANTS_A_READ };
        loop {
            let grants = self.0.issuer.store.grants(&query).await?;
            let Some(last) = grants.last() else { return Ok(()) };
            query.after = Some(last.id);
            for grant in &grants {
                self.end_one(&actor, grant, arrival).await?;
            }
        }
    }

    /// Ends one grant, which its app may be refreshing meanwhile.
    async fn end_one(&self, actor: &str, grant: &Arc<Grant>, arrival: &Arrival) -> Result<(), Failure> {
        let mut current = Some(Arc::clone(grant));
        for _try in 0..END_TRIES {
            let Some(grant) = &current else { return Ok(()) };
            if self.0.issuer.end_grant(actor, grant, arrival).await? == Commit::Done {
                return Ok(());
            }
            current = self.0.issuer.store.grant(grant.id).await?;
        }
        Err(Failure::Busy)
    }
}

/// The day of an instant, in UTC.
fn date(instant: Timestamp) -> String {
    let second = instant.unix_s().clamp(jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    jiff::Timestamp::from_second(second).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}
