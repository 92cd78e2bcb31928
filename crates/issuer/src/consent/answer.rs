//! `/authorize`: the question, and what becomes of the answer.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use mintkeep_protocol::ident::{RecordId, Scope};
use mintkeep_protocol::issue::check::customer_may;
use mintkeep_protocol::issue::code::Consent;
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::record::Customer;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::body::read;
use mintkeep_web::browser::see_other;
use mintkeep_web::fields::Fields;
use serde::Serialize;

use super::Desk;
use super::asking::{Asking, AskingRefused, KnownAsking};
use super::fault::Fault;
use super::page::{AskPage, DonePage, Policy, logo, send};
use super::session::{Session, Ticket, TicketRejected};
use super::way_back::{WayBack, origin_of, with_answer};
use super::words::{Words, wanted};
use crate::issuer::Failure;

/// What the customer, or a rule, said.
enum Verdict {
    /// Yes: the code.
    Allowed(mintkeep_protocol::secret::AuthCode),
    /// No, said the customer.
    Refused,
    /// It can't be: the app may not ask for this, or the customer may not grant.
    Impossible,
}

/// What `my.getAuthCode` gets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'m> {
    state: Option<&'m str>,
    #[serde(flatten)]
    said: Said<'m>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Said<'m> {
    #[serde(rename_all = "camelCase")]
    Success {
        auth_code: &'m str,
        auth_success_scopes: &'m [Scope],
        auth_error_scopes: BTreeMap<&'m str, &'static str>,
    },
    #[serde(rename_all = "camelCase")]
    Fail { error: u8, error_message: &'static str },
}

/// `GET /authorize`: signs in, or shows the question, or answers it if it needs no asking.
pub(super) async fn show(
    State(desk): State<Desk>,
    RawQuery(query): RawQuery,
    arrival: Arrival,
    headers: HeaderMap,
) -> Response {
    let words = wanted(&headers);
    let fields = Fields::parse_all(query.unwrap_or_default().as_bytes());
    let known = match desk.asked(&fields).await {
        Ok(known) => known,
        Err(trouble) => return desk.trouble(words, &trouble),
    };
    let here = here(&fields);
    if let Some(token) = fields.get("assertion") {
        return desk.sign_in(token, &here, words).await;
    }
    let Some(session) = desk.session(&headers, desk.0.issuer.now()) else {
        return desk.to_wallet(&here, words);
    };
    let customer = match desk.0.issuer.store.customer(&session.customer).await {
        Ok(customer) => customer,
        Err(error) => return desk.trouble(words, &Trouble::Failed(error.into())),
    };
    let customer = match customer_may(customer.as_deref()) {
        Ok(customer) if known.can_be_granted() => customer,
        Ok(_) | Err(_) => return desk.back(words, &known, &Verdict::Impossible),
    };
    if known.is_silent() {
        let page = desk.new_ticket().page;
        return desk.allow(words, &known, &session, (page, &arrival)).await;
    }
    desk.question(words, &known, &session, customer)
}

/// `POST /authorize`: takes the answer of our own page's form.
pub(super) async fn take(State(desk): State<Desk>, arrival: Arrival, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let words = wanted(&head.headers);
    let forged = || desk.error(words, StatusCode::FORBIDDEN, words.error_forged);
    if !desk.is_own_form(&head.headers) {
        return forged();
    }
    let Ok(body) = read(body, &desk.0.issuer.limits).await else {
        return desk.trouble(words, &Trouble::Refused(AskingRefused::Malformed));
    };
    let fields = Fields::parse_all(&body);
    let known = match desk.asked(&fields).await {
        Ok(known) => known,
        Err(trouble) => return desk.trouble(words, &trouble),
    };
    let now = desk.0.issuer.now();
    let here = here(&fields);
    let expired = || desk.error_again(words, StatusCode::BAD_REQUEST, words.error_expired, Some(&here));
    let Some(session) = desk.session(&head.headers, now) else { return expired() };
    let text = fields.get("ticket").unwrap_or_default();
    let ticket = match desk.0.seals.open_ticket(text, &session, &known.asking, now) {
        Ok(ticket) => ticket,
        Err(TicketRejected::Expired) => return expired(),
        Err(TicketRejected::Forged) => return forged(),
    };
    match fields.get("decision") {
        // The app may have lost a scope since the question was shown.
        Some("confirm") if !known.can_be_granted() => desk.back(words, &known, &Verdict::Impossible),
        Some("confirm") => desk.allow(words, &known, &session, (ticket.page, &arrival)).await,
        Some("refuse") => desk.back(words, &known, &Verdict::Refused),
        Some(_) | None => desk.trouble(words, &Trouble::Refused(AskingRefused::Malformed)),
    }
}

/// The page of the same asking, without what signed the customer in and without their answer.
fn here(fields: &Fields) -> String {
    format!("/authorize?{}", fields.query_without(&["assertion", "ticket", "decision"]))
}

/// Why there is no page to show and nobody to tell.
enum Trouble {
    Refused(AskingRefused),
    Failed(Failure),
}

impl Desk {
    /// Who asks for what, out of a query or a form.
    async fn asked(&self, fields: &Fields) -> Result<KnownAsking, Trouble> {
        let asking = Asking::read(fields).map_err(Trouble::Refused)?;
        let app = self.0.issuer.store.app(&asking.client_id).await;
        let app = app.map_err(|error| Trouble::Failed(error.into()))?;
        KnownAsking::check(app, asking).map_err(Trouble::Refused)
    }

    fn trouble(&self, words: &'static Words, trouble: &Trouble) -> Response {
        let text = match trouble {
            Trouble::Failed(failure) => {
                tracing::error!(%failure, "the authorization page could not use its store");
                return self.error(words, StatusCode::SERVICE_UNAVAILABLE, words.error_busy);
            }
            Trouble::Refused(AskingRefused::Malformed) => words.error_asking,
            Trouble::Refused(AskingRefused::ClientUnknown | AskingRefused::ClientDisabled) => words.error_app,
            Trouble::Refused(AskingRefused::WayUnknown) => words.error_way,
        };
        self.error(words, StatusCode::BAD_REQUEST, text)
    }

    fn new_ticket(&self) -> Ticket {
        let now = self.0.issuer.now();
        Ticket { shown_at: now, page: self.0.issuer.new_record(now) }
    }

    fn question(
        &self,
        words: &'static Words,
        known: &KnownAsking,
        session: &Session,
        customer: &Customer,
    ) -> Response {
        let ticket = self.0.seals.ticket(self.new_ticket(), session, &known.asking);
        let scopes: Vec<String> = known.allowed.iter().map(|scope| words.scope(scope.as_str())).collect();
        let picture = logo(&known.app);
        let page = AskPage {
            words,
            app: &known.app.name,
            logo: picture.map(|picture| picture.url),
            customer: customer.id.as_str(),
            nick_name: customer.profile.nick_name.as_deref(),
            scopes: &scopes,
            fields: &known.asking.fields(),
            ticket: &ticket,
        };
        let form_leads_to = known.asking.way.url().and_then(origin_of);
        let policy = Policy { picture, form_leads_to, ..self.policy() };
        send(&page, StatusCode::OK, words, &policy)
    }

    /// Makes the code of this page, and tells the app.
    async fn allow(
        &self,
        words: &'static Words,
        known: &KnownAsking,
        session: &Session,
        (page, arrival): (RecordId, &Arrival),
    ) -> Response {
        let consent = Consent {
            customer: session.customer.clone(),
            scopes: known.allowed.clone(),
            redirect_uri: known.asking.way.url().map(str::to_owned),
            challenge: known.asking.challenge,
        };
        match self.0.issuer.issue_code_of_page(page, &known.app.id, &consent, arrival).await {
            Ok(issued) => self.back(words, known, &Verdict::Allowed(issued.code)),
            Err(Failure::Refused(Refusal::CodeUsed | Refusal::CodeExpired | Refusal::CodeInvalid)) => {
                self.error(words, StatusCode::CONFLICT, words.error_used)
            }
            Err(Failure::Refused(_)) => self.back(words, known, &Verdict::Impossible),
            Err(failure) => self.trouble(words, &Trouble::Failed(failure)),
        }
    }

    /// Tells the app, by the way it wants.
    fn back(&self, words: &'static Words, known: &KnownAsking, verdict: &Verdict) -> Response {
        match &known.asking.way {
            WayBack::Redirect(url) => see_other(&redirect(url, known.asking.state.as_deref(), verdict)),
            WayBack::Standard(uri) => {
                see_other(&standard_redirect(uri, known, verdict, &self.0.issuer.public_url))
            }
            WayBack::Message { origin } => {
                let message = Message { state: known.asking.state.as_deref(), said: said(known, verdict) };
                let message = serde_json::to_string(&message).unwrap_or_default();
                let is_allowed = matches!(verdict, Verdict::Allowed(_));
                let page = DonePage { words, origin, message: &message, is_allowed };
                let policy = Policy { script: true, ..self.policy() };
                send(&page, StatusCode::OK, words, &policy)
            }
        }
    }
}

/// The app's URL with the answer in its query.
///
/// Source: AlipayHK, `authCode` and `authResult` = `SUCCESS`, `FAIL` or `ERROR` "in the redirect url". No page has an
/// `iss` there, so there is none.
fn redirect(url: &str, state: Option<&str>, verdict: &Verdict) -> String {
    let mut answer = Vec::new();
    match verdict {
        Verdict::Allowed(code) => answer.extend([("authCode", code.expose()), ("authResult", "SUCCESS")]),
        Verdict::Refused => answer.push(("authResult", "FAIL")),
        Verdict::Impossible => answer.push(("authResult", "ERROR")),
    }
    answer.extend(state.map(|state| ("state", state)));
    with_answer(url, &answer)
}

/// The app's URI with the standard's answer in its query, and in each the `issuer` of the metadata.
///
/// Source: RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207, section 2, "In authorization responses to the client,
/// including error responses", `iss`.
fn standard_redirect(uri: &str, known: &KnownAsking, verdict: &Verdict, issuer: &str) -> String {
    let mut answer = match (verdict, known.fault().map(Fault::told)) {
        (Verdict::Allowed(code), _) => vec![("code", code.expose())],
        (Verdict::Impossible, Some((error, text))) => vec![("error", error), ("error_description", text)],
        (Verdict::Refused, _) | (Verdict::Impossible, None) => vec![("error", "access_denied")],
    };
    answer.extend(known.asking.state.as_deref().map(|state| ("state", state)));
    answer.push(("iss", issuer));
    with_answer(uri, &answer)
}

/// The JSAPI's answer. Source: `my.getAuthCode`, error 11: the user cancels; 4 is ours.
fn said<'m>(known: &'m KnownAsking, verdict: &'m Verdict) -> Said<'m> {
    match verdict {
        Verdict::Allowed(code) => Said::Success {
            auth_code: code.expose(),
            auth_success_scopes: &known.allowed,
            auth_error_scopes: known.denied.iter().map(|scope| (scope.as_str(), "ACCESS_DENIED")).collect(),
        },
        Verdict::Refused => Said::Fail { error: 11, error_message: "the user cancelled the authorization" },
        Verdict::Impossible => {
            Said::Fail { error: 4, error_message: "the app may not ask this user for these scopes" }
        }
    }
}
