//! `/v1/tokens`: reading a token, and reporting one dead.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use mintkeep_protocol::ident::{CredentialName, CustomerId};
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::keep::plan::Reported;
use mintkeep_protocol::keep::slot::{TokenDigest, TokenVersion};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::note::Noted;
use mintkeep_web::problem::Problem;
use mintkeep_web::shortcut::Request;
use serde::{Deserialize, Serialize};

use super::access::{Access, customer, json, no_such_slot, not_read, still_good, unavailable};
use crate::keeper::Keeper;
use crate::reader::Reading;
use crate::reporter::{Action, ReportFailure};
use crate::shelf::Kept;

#[derive(Deserialize)]
pub(super) struct ReadQuery {
    /// Seconds of life that the caller asks for.
    #[serde(default)]
    min_ttl: u32,
}

/// A token as our own API hands it out.
#[derive(Serialize)]
pub struct TokenBody<'t> {
    /// Left out for a reporter that may not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'t str>,
    expires_at: &'t str,
    /// Whole seconds, rounded down.
    expires_in: u64,
    version: TokenVersion,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'t CredentialName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'t CustomerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'t CustomerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl<'t> TokenBody<'t> {
    pub(super) fn of(kept: &'t Kept, now: Timestamp) -> Self {
        Self {
            access_token: Some(kept.access.expose()),
            expires_at: &kept.expires_at_text,
            expires_in: kept.left(now).as_secs(),
            version: kept.version,
            credential: None,
            customer: None,
            customer_id: None,
            action: None,
            reason: None,
        }
    }

    pub(super) fn for_customer(self, customer_id: &'t CustomerId) -> Self {
        Self { customer_id: Some(customer_id), ..self }
    }

    pub(super) fn into_response(self) -> Response {
        mintkeep_web::json::no_store(&self)
    }
}

pub(super) async fn read_own(
    State(keeper): State<Arc<Keeper>>,
    Path(credential): Path<String>,
    query: Result<Query<ReadQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = Access::grant(&keeper, &headers, (Verb::Read, &credential))?;
    read(&keeper, &access, None, (min_ttl(query)?, &headers)).await
}

/// The credential whose own token is asked for with no parameter; `None` for any other request.
pub(super) fn plainly_read<'u>(method: &Method, uri: &'u Uri) -> Option<&'u str> {
    let credential = uri.path().strip_prefix("/v1/tokens/")?;
    let is_plain = method == Method::GET && uri.query().is_none() && !credential.contains(['/', '%']);
    is_plain.then_some(credential)
}

/// [`read_own`] for what [`plainly_read`] takes, straight from the request.
#[expect(clippy::manual_async_fn, reason = "an async fn would hold the request twice")]
pub(super) fn read_plainly(keeper: Arc<Keeper>, request: Request) -> impl Future<Output = Noted> + Send {
    async move {
        let credential = plainly_read(request.method(), request.uri()).unwrap_or_default();
        let access = Access::grant(&keeper, request.headers(), (Verb::Read, credential));
        let access = match access {
            Ok(access) => access,
            Err(problem) => return problem.into_response().into(),
        };
        let read = read(&keeper, &access, None, (Duration::ZERO, request.headers())).await;
        read.into_response().into()
    }
}

pub(super) async fn read_customers(
    State(keeper): State<Arc<Keeper>>,
    Path((credential, customer_id)): Path<(String, String)>,
    query: Result<Query<ReadQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = Access::grant(&keeper, &headers, (Verb::Read, &credential))?;
    let customer = customer(&customer_id)?;
    read(&keeper, &access, Some(&customer), (min_ttl(query)?, &headers)).await
}

fn min_ttl(
    query: Result<Query<ReadQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Duration, Problem> {
    let Query(query) = query.map_err(|_| {
        let detail = "min_ttl is a whole number of seconds";
        Problem::new(StatusCode::BAD_REQUEST, "query-malformed", "The query is malformed", detail)
    })?;
    Ok(Duration::from_secs(u64::from(query.min_ttl)))
}

async fn read(
    keeper: &Arc<Keeper>,
    access: &Access,
    customer: Option<&CustomerId>,
    (min_ttl, headers): (Duration, &HeaderMap),
) -> Result<Response, Problem> {
    let reading = Reading { customer, min_ttl, consumer: &access.consumer.name };
    let leaf = keeper.read(&access.account, &reading).await;
    let now = keeper.clock.now();
    let leaf = leaf.map_err(|failure| not_read(failure, now))?;
    let kept = still_good(&leaf, now)?;
    if headers.get_all(IF_NONE_MATCH).iter().any(|value| names(value, &kept.etag)) {
        let unchanged = [(ETAG, kept.etag.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        return Ok((StatusCode::NOT_MODIFIED, unchanged).into_response());
    }
    let name = &access.account.credential.name;
    let body = TokenBody { credential: Some(name), customer, ..TokenBody::of(kept, now) };
    let mut response = body.into_response();
    response.headers_mut().insert(ETAG, kept.etag.clone());
    Ok(response)
}

/// Whether an `If-None-Match` names the tag. Weak comparison, RFC 9110 section 13.1.2.
fn names(header: &HeaderValue, etag: &HeaderValue) -> bool {
    let listed = header.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let plain = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    listed.into_iter().any(|tag| tag == b"*" || plain(tag) == etag.as_bytes())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportBody {
    access_token: Option<String>,
    version: Option<TokenVersion>,
    /// What the platform said, for the metrics of days to come; not needed to decide.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted so that callers can pass on what they saw")]
    errcode: Option<serde_json::Value>,
}

pub(super) async fn report_own(
    State(keeper): State<Arc<Keeper>>,
    Path(credential): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let access = Access::grant(&keeper, &headers, (Verb::Report, &credential))?;
    report(&keeper, &access, None, body).await
}

pub(super) async fn report_customers(
    State(keeper): State<Arc<Keeper>>,
    Path((credential, customer_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let access = Access::grant(&keeper, &headers, (Verb::Report, &credential))?;
    let customer = customer(&customer_id)?;
    report(&keeper, &access, Some(&customer), body).await
}

async fn report(
    keeper: &Arc<Keeper>,
    access: &Access,
    customer: Option<&CustomerId>,
    body: Body,
) -> Result<Response, Problem> {
    let body: ReportBody = json(keeper, body).await?;
    let token = body.access_token.map(mintkeep_protocol::secret::AccessToken::new);
    let reported = match (&token, body.version) {
        (Some(token), None) => Reported::Digest(TokenDigest::of(token.expose())),
        (None, Some(version)) => Reported::Version(version),
        (Some(_), Some(_)) | (None, None) => {
            let detail = "name the dead token by access_token or by version, one of the two";
            let title = "The report is malformed";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "report-malformed", title, detail));
        }
    };
    let done = keeper.report(&access.account, customer, reported, &access.consumer).await;
    let now = keeper.clock.now();
    let (action, leaf) = done.map_err(|failure| match failure {
        ReportFailure::NoSuchSlot => no_such_slot(),
        ReportFailure::Unavailable(denial) => unavailable(denial, now),
        ReportFailure::NeverHeld => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "token-never-held",
            "No such token was ever held",
            "report the token that this keeper handed out for this credential",
        ),
    })?;
    let kept = still_good(&leaf, now)?;
    let (action, reason) = match action {
        Action::AlreadyNewer => ("already_newer", None),
        Action::Renewed => ("renewed", None),
        Action::StillGood => ("still_good", None),
        Action::TooSoon(why) => ("too_soon", Some(why.to_string())),
    };
    let told = TokenBody { action: Some(action), reason, ..TokenBody::of(kept, now) };
    let may_read = access.consumer.may(Verb::Read, &access.account.credential.name);
    Ok(TokenBody { access_token: told.access_token.filter(|_| may_read), ..told }.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_names_an_etag_alone_or_in_a_list_weak_or_not() {
        let cases = [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\" , W/\"a\"", true),
            ("*", true),
            ("a", false),
            ("\"b\"", false),
            ("w/\"a\"", false),
        ];
        for (header, is_named) in cases {
            let header = HeaderValue::from_static(header);
            let etag = HeaderValue::from_static("\"a\"");
            assert_eq!(names(&header, &etag), is_named, "{header:?}");
        }
    }
}
