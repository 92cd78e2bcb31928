//! The issuer's listener: the four dialects, and the standard facade.

pub(crate) mod described;
mod secret_dialects;
mod signed_dialects;
mod standard;
pub(crate) mod wallet;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use mintkeep_protocol::app::Behaviour;
use mintkeep_protocol::dialect::alipay::Gateway;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::outcome::{Outcome, Refusal};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::body::read;
use mintkeep_web::note::{AnswerNote, Noted, no_answer};
use mintkeep_web::problem::{self, Problem};
use mintkeep_web::serve::RefusalForm;
use mintkeep_web::shortcut::{Answering, Shortcut};

use crate::faults::{Faults, Strike};
use crate::issuer::Issuer;

/// What the routes work on.
#[derive(Clone)]
pub struct Desk {
    /// The use-cases.
    pub issuer: Arc<Issuer>,
    /// The sandbox's fault rules; `None` in production.
    pub faults: Option<Arc<Faults>>,
}

/// The issuer's routes.
pub fn router(issuer: Arc<Issuer>, faults: Option<Arc<Faults>>) -> Router {
    Router::new()
        .route("/oauth2/token", post(standard::token::token))
        .route(INTROSPECT, post(standard::introspect::<Body>))
        .route("/oauth2/revoke", post(standard::revoke))
        .route("/.well-known/oauth-authorization-server", get(standard::metadata))
        .route("/authz", get(standard::authz).head(standard::authz))
        .route(AUTHZ_ROOT, any(standard::authz_below))
        .route(BELOW_AUTHZ, any(standard::authz_below))
        .route("/wallet/v1/codes", post(wallet::issue_code))
        .method_not_allowed_fallback(problem::wrong_method)
        .fallback(dialects::<Body>)
        .with_state(Desk { issuer, faults })
}

const INTROSPECT: &str = "/oauth2/introspect";
const AUTHZ_ROOT: &str = "/authz/";
const BELOW_AUTHZ: &str = "/authz/{*guarded}";

/// The dialects and introspection, past the router.
impl Shortcut for Desk {
    fn takes(&self, method: &Method, uri: &Uri) -> bool {
        dialect_of(uri.path()).is_some() || (method == Method::POST && uri.path() == INTROSPECT)
    }

    fn answer(&self, request: mintkeep_web::shortcut::Request, arrival: Arrival) -> Answering {
        let desk = State(self.clone());
        if request.uri().path() == INTROSPECT {
            Box::pin(standard::introspect(desk, request))
        } else {
            Box::pin(dialects(desk, arrival, request))
        }
    }
}

/// What of the issuer's routes its listener serves past the router.
#[must_use]
pub fn shortcut(issuer: Arc<Issuer>, faults: Option<Arc<Faults>>) -> Arc<dyn Shortcut> {
    Arc::new(Desk { issuer, faults })
}

/// How the issuer's listener words what it refuses before or instead of a route.
#[must_use]
pub fn refusal_form(issuer: &Arc<Issuer>) -> RefusalForm {
    let issuer = Arc::clone(issuer);
    Arc::new(move |request, refused| {
        let issuer = Arc::clone(&issuer);
        Box::pin(async move {
            let Some(dialect) = dialect_of(request.uri().path()) else {
                return refused.into_response();
            };
            let arrival = Arrival::of(&request);
            let request = request.map(|()| Bytes::new());
            answer(&issuer, dialect, &request, (Some(Told::of(refused.outcome())), &arrival))
                .await
                .into_response()
        })
    })
}

/// Whose path this is. Unknown paths under a dialect's own root are answered in its form.
fn dialect_of(path: &str) -> Option<Dialect> {
    // A public client of WeChat's doubles the slash.
    let mut segments = path.as_bytes().split(|&byte| byte == b'/');
    match segments.find(|segment| !segment.is_empty())? {
        b"cgi-bin" => Some(Dialect::WeChat),
        b"v1.0" | b"gettoken" | b"get_jsapi_ticket" => Some(Dialect::DingTalk),
        b"v1" => Some(Dialect::MiniProgram),
        b"api" => Some(Dialect::AlipayHk),
        _ => None,
    }
}

/// Any dialect's endpoint: read, strike, decode, do, encode. Knows no field and no error code.
fn dialects<B: HttpBody<Data = Bytes> + Send + Unpin>(
    State(desk): State<Desk>,
    arrival: Arrival,
    mut request: Request<B>,
) -> impl Future<Output = Noted> + Send {
    let dialect = dialect_of(request.uri().path());
    // A block, since an `async fn` would hold the request twice.
    async move {
        let Some(dialect) = dialect else { return nothing_here().into_response().into() };
        let (body, unread) = match read(request.body_mut(), &desk.issuer.limits).await {
            Ok(body) => (body, None),
            Err(refused) => (Bytes::new(), Some(refused.into())),
        };
        let request = request.map(|_read| body);
        let path = request.uri().path();

        let strike = desk.faults.as_ref().and_then(|faults| faults.strike(dialect, path)).unwrap_or_default();
        if !strike.delay.is_zero() {
            tokio::time::sleep(strike.delay).await;
        }
        if strike.drop_before {
            return no_answer().into();
        }
        let told = told_before_work((dialect, &arrival), &strike, unread);
        let noted = answer(&desk.issuer, dialect, &request, (told, &arrival)).await;
        if strike.drop_after { no_answer().into() } else { noted }
    }
}

/// Decodes, does and encodes; only encodes if the outcome is told.
async fn answer(
    issuer: &Arc<Issuer>,
    dialect: Dialect,
    request: &Request<Bytes>,
    told: (Option<Told>, &Arrival),
) -> Noted {
    let (response, note) = match Gateway::of(dialect) {
        None => secret_dialects::answer(issuer, dialect, request, told).await,
        // Beside a signature an allocation is nothing, and the others' future is the smaller for it.
        Some(gateway) => Box::pin(signed_dialects::answer(issuer, gateway, request, told)).await,
    };
    Noted { response: response.map(Body::from), note: Some(note) }
}

/// What is answered without doing anything.
struct Told {
    /// Boxed: every request has the place for one, and few have one.
    outcome: Box<Outcome>,
    /// A fault rule's code may be of another profile than the app's.
    profile: Option<Behaviour>,
}

impl Told {
    fn of(outcome: Outcome) -> Self {
        Self { outcome: Box::new(outcome), profile: None }
    }
}

/// What is answered without doing anything: a body that could not be read, or a fault rule's code.
fn told_before_work(
    (dialect, arrival): (Dialect, &Arrival),
    strike: &Strike,
    unread: Option<Refusal>,
) -> Option<Told> {
    if let Some(code) = &strike.answer {
        let outcome = match outcome_of_code(dialect, code) {
            // Its message names the address.
            Some(Outcome::Refused(Refusal::AddressNotAllowed(_))) => {
                Outcome::Refused(Refusal::AddressNotAllowed(arrival.peer))
            }
            outcome => outcome.unwrap_or(Outcome::Unknown),
        };
        let profile = Some(wechat::profile_of_code(code));
        return Some(Told { profile, ..Told::of(outcome) });
    }
    unread.map(|refusal| Told::of(Outcome::Refused(refusal)))
}

/// What a code of a dialect means; `None` if the dialect has no such code.
#[must_use]
pub fn outcome_of_code(dialect: Dialect, code: &str) -> Option<Outcome> {
    match dialect {
        Dialect::WeChat => wechat::outcome_of_code(code),
        Dialect::DingTalk => dingtalk::outcome_of_code(code),
        Dialect::MiniProgram => Gateway::MiniProgram.outcome_of_code(code),
        Dialect::AlipayHk => Gateway::AlipayHk.outcome_of_code(code),
    }
}

fn nothing_here() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is nothing here",
        "see docs/dialect for the paths of each dialect, and /.well-known/oauth-authorization-server",
    )
}

/// What the access log and the metrics say of an answer.
const fn note(dialect: Dialect, outcome: &Outcome) -> AnswerNote {
    AnswerNote { endpoint: dialect.name(), code: outcome.name() }
}
