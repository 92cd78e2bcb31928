//! The drop-in endpoints: a platform's token endpoints in the platform's own dialect, answered from what is
//! held. An existing client library changes its base URL and its secret, and nothing else.
//!
//! The caller's id is the app's. Its secret is a consumer's: the drop-in secret, or the bearer key. In the
//! signed dialects it is a key pair whose public half the consumer was made with. Calls that a library makes
//! with its token are not here: [`crate::relay`] sends those on.

mod given;
mod secrets;
mod signed;
mod signer;
mod usable;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::StatusCode;
use mintkeep_protocol::app::{App, AppSettings, Behaviour};
use mintkeep_protocol::dialect::alipay::Gateway;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use mintkeep_protocol::ident::{AppId, CustomerId, Dialect, RecordId};
use mintkeep_protocol::keep::consumer::{Consumer, Verb};
use mintkeep_protocol::keep::plan::Reported;
use mintkeep_protocol::outcome::{Outcome, Refusal};
use mintkeep_protocol::secret::AccessToken;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::body::read;
use mintkeep_web::note::{AnswerNote, Noted};
use mintkeep_web::problem::Problem;
use mintkeep_web::serve::RefusalForm;
use mintkeep_web::throttle::Throttle;

use self::given::Given;
use crate::keeper::Keeper;
use crate::reader::{ReadFailure, Reading};
use crate::roster::Account;
use crate::shelf::Leaf;

/// How long somebody waits who is given a token again that may be dead to it, while the platform is asked.
const SUSPECT_WAIT_MAX: Duration = Duration::from_secs(1);

/// What the endpoints work on.
pub struct DropIn {
    keeper: Arc<Keeper>,
    /// By address and the app that the caller says it is. A good proof is never refused for them.
    failures: Throttle<(IpAddr, AppId)>,
    given: Given,
}

impl DropIn {
    /// The endpoints of a keeper. They remember who failed and who was given what; make one for each keeper.
    #[must_use]
    pub fn new(keeper: Arc<Keeper>) -> Arc<Self> {
        Arc::new(Self { keeper, failures: Throttle::default(), given: Given::default() })
    }

    /// How a listener words what it refuses by itself, in the dialect of the path.
    #[must_use]
    pub fn refusal_form(self: &Arc<Self>) -> RefusalForm {
        let desk = Arc::clone(self);
        Arc::new(move |request, refused| {
            let desk = Arc::clone(&desk);
            Box::pin(async move {
                let Some(dialect) = dialect_of(request.uri().path()) else {
                    return refused.into_response();
                };
                let arrival = Arrival::of(&request);
                let told = Some(refused.outcome());
                desk.answer(dialect, &request.map(|()| Bytes::new()), (told, &arrival)).await.into_response()
            })
        })
    }

    /// Answers in a dialect; `told` is what to say where that is known already.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        dialect: Dialect,
        request: &http::Request<Bytes>,
        (told, arrival): (Option<Outcome>, &Arrival),
    ) -> Noted {
        let (response, note) = match Gateway::of(dialect) {
            None => secrets::answer(self, dialect, request, (told, arrival)).await,
            Some(gateway) => signed::answer(self, gateway, request, (told, arrival)).await,
        };
        Noted { response: response.map(Body::from), note: Some(note) }
    }

    /// The credential of an app that this consumer may use; of several, the one that was added first.
    ///
    /// An app that is not kept here and one that the consumer may not use are answered alike.
    fn account(
        &self,
        dialect: Dialect,
        app: &AppId,
        (consumer, verb): (&Consumer, Verb),
    ) -> Option<Arc<Account>> {
        let may = |account: &Arc<Account>| consumer.may(verb, &account.credential.name);
        let first = self.keeper.roster.account_of_app(dialect, app)?;
        if may(&first) {
            return Some(first);
        }
        let usable = self.keeper.roster.accounts_of_app(dialect, app).filter(may);
        usable.min_by_key(|account| account.credential.no)
    }

    /// A good token for a consumer that asks in a platform's words.
    ///
    /// Such a caller can't say that a token is dead: its library asks again. So whoever asks again soon for
    /// what it was just given has reported it, within the bounds of every report. Whoever asks again later may
    /// only have kept nothing: that is looked into now and then, and not waited for long.
    async fn token(
        &self,
        account: &Account,
        customer: Option<&CustomerId>,
        (consumer, arrival): (&Consumer, &Arrival),
        is_forced: bool,
    ) -> Result<Arc<Leaf>, ReadFailure> {
        let reading = Reading { customer, min_ttl: Duration::ZERO, consumer: &consumer.name };
        let leaf = self.keeper.read(account, &reading).await?;
        let now = self.keeper.clock.now();
        let Some(kept) = leaf.good(now) else { return Ok(leaf) };
        let whom = (consumer.no, arrival.peer, leaf.key.clone());
        let times = self.given.note(whom.clone(), kept.digest, now);
        let repeat = account.terms.semantics.repeat;
        let is_dead_to_it = is_forced || given::is_report(times, repeat);
        let margin = Duration::from_secs(u64::from(consumer.margin_floor_s));
        let is_suspect = given::may_be_report(times, repeat, now.since(kept.obtained_at))
            && !usable::is_near_end(kept.left(now), margin);
        if !(is_dead_to_it || is_suspect) || !consumer.may(Verb::Report, &account.credential.name) {
            return Ok(leaf);
        }
        let told = if is_dead_to_it {
            let reported = Reported::Version(kept.version);
            self.keeper.report(account, customer, reported, consumer).await.ok().map(|(_, leaf)| leaf)
        } else {
            // What is begun goes on without the asker.
            let looked = self.keeper.look_into(account, Arc::clone(&leaf), consumer);
            tokio::time::timeout(SUSPECT_WAIT_MAX, looked).await.ok()
        };
        // Otherwise what is held is still what there is.
        let given = told.unwrap_or_else(|| Arc::clone(&leaf));
        if let Some(other) = given.good(now).filter(|other| other.digest != kept.digest) {
            self.given.note(whom, other.digest, now);
        }
        Ok(given)
    }

    fn now(&self) -> Timestamp {
        self.keeper.clock.now()
    }

    /// A refusal of a caller that has not proved itself; one that fails again and again is told so instead.
    fn strangers(&self, refusal: Refusal, (app, arrival): (&AppId, &Arrival)) -> Refusal {
        metrics::counter!("mintkeep_keeper_refused_total", "kind" => "drop_in").increment(1);
        let is_over = self.failures.failed((arrival.peer, app.clone()), self.now());
        if is_over { Refusal::RateLimited } else { refusal }
    }
}

/// Any drop-in endpoint: read, decode, do, encode. Paths of no dialect end here too.
pub async fn endpoints<B: HttpBody<Data = Bytes> + Unpin>(
    State(desk): State<Arc<DropIn>>,
    arrival: Arrival,
    mut request: http::Request<B>,
) -> Noted {
    let Some(dialect) = dialect_of(request.uri().path()) else {
        return nothing_here().into_response().into();
    };
    let (body, unread) = match read(request.body_mut(), &desk.keeper.settings.limits).await {
        Ok(body) => (body, None),
        Err(refused) => (Bytes::new(), Some(Outcome::Refused(refused.into()))),
    };
    desk.answer(dialect, &request.map(|_read| body), (unread, &arrival)).await
}

/// Whose path this is. Of `/v1` only what the wallets' pages have there; the rest is our own API's.
pub(crate) fn dialect_of(path: &str) -> Option<Dialect> {
    // A public client of WeChat's doubles the slash.
    let mut segments = path.trim_start_matches('/').split('/');
    match segments.next()? {
        "cgi-bin" | "wxa" => Some(Dialect::WeChat),
        "v1.0" | "gettoken" | "get_jsapi_ticket" => Some(Dialect::DingTalk),
        "v1" if segments.next() == Some("authorizations") => Some(Dialect::MiniProgram),
        "api" => Some(Dialect::AlipayHk),
        _ => None,
    }
}

/// Whether this is where a token is asked for, which is answered here; every other path of a platform is a call.
pub(crate) fn hands_out(path: &str) -> bool {
    trades_secrets(path) || dialect_of(path).and_then(Gateway::of).is_some()
}

/// Whether this is where WeChat or DingTalk gives a token for a secret.
pub(crate) fn trades_secrets(path: &str) -> bool {
    use dingtalk::Endpoint::{AccessToken, CorpToken, LegacyToken, UserAccessToken};
    let of_dingtalk = [AccessToken, CorpToken, LegacyToken, UserAccessToken];
    wechat::Endpoint::at(path).is_some_and(|endpoint| endpoint.pool().is_some())
        || dingtalk::Endpoint::at(path).is_some_and(|endpoint| of_dingtalk.contains(&endpoint))
}

fn nothing_here() -> Problem {
    let detail =
        "docs/keeper.md has the paths: /v1/…, /proxy/{credential}/…, and the platforms' token endpoints";
    Problem::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", detail)
}

/// The app as far as an answer's form needs one.
///
/// A wrong secret is answered as the live platform does, with WeChat's 40125: at the page's 40001 a public
/// client takes its token for dead and asks again without end.
fn shape(dialect: Dialect, id: &AppId) -> App {
    let settings = AppSettings { profile: Behaviour::Observed, ..AppSettings::default() };
    let nowhere = App::new(RecordId::from_number(0), id.clone(), dialect, Timestamp::from_unix_ms(0));
    App { settings, ..nowhere }
}

/// What the access log and the metrics say of an answer.
const fn note(dialect: Dialect, outcome: &Outcome) -> AnswerNote {
    let endpoint = match dialect {
        Dialect::WeChat => "drop_in/wechat",
        Dialect::DingTalk => "drop_in/dingtalk",
        Dialect::MiniProgram => "drop_in/miniprogram",
        Dialect::AlipayHk => "drop_in/alipayhk",
    };
    AnswerNote { endpoint, code: outcome.name() }
}

/// A copy of a token, which leaves with the answer.
fn copy(token: &AccessToken) -> AccessToken {
    AccessToken::new(token.expose().to_owned())
}
