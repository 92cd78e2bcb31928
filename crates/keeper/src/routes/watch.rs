//! `/v1/watch`: what happens to a credential's tokens, as server-sent events. Never a token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mintkeep_protocol::dialect::alipay::format_instant;
use mintkeep_protocol::ident::{CredentialName, CustomerId};
use mintkeep_protocol::keep::consumer::{KeyDigest, Verb};
use mintkeep_protocol::keep::slot::{TokenVersion, Trouble};
use mintkeep_web::problem::Problem;
use mintkeep_web::tasks::Tasks;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, interval};

use super::access::Access;
use crate::events::{Event, What};
use crate::keeper::Keeper;

/// nginx keeps an answer back until it has some kilobytes of it, if the answer does not say `no` here.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What watching works on.
#[derive(Clone)]
pub(super) struct WatchDesk {
    pub(super) keeper: Arc<Keeper>,
    /// The listener's tasks: watching ends when they begin to stop, not when the keeper's do.
    pub(super) tasks: Tasks,
    /// How often a watcher hears something at least.
    pub(super) beat_every: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchQuery {
    credential: String,
}

/// What is told of an event.
#[derive(Serialize)]
struct Told<'e> {
    credential: &'e CredentialName,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'e CustomerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<TokenVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<Trouble>,
}

pub(super) async fn watch(
    State(desk): State<WatchDesk>,
    query: Result<Query<WatchQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|_| {
        let detail = "name the one credential to watch, and nothing else: ?credential=NAME; watch others by connections of their own";
        Problem::new(StatusCode::BAD_REQUEST, "query-malformed", "The query is malformed", detail)
    })?;
    let access = Access::grant(&desk.keeper, &headers, (Verb::Read, &query.credential))?;
    // Watching begins before the present state is looked at, so that nothing falls between the two.
    let events = desk.keeper.watch();
    let credential = access.account.credential.name.clone();
    let held = desk.keeper.leaf(&access.account, None).and_then(|leaf| leaf.kept.clone());
    let first = held.map_or_else(beat, |kept| {
        let what = What::NewVersion { version: kept.version, expires_at: kept.expires_at };
        frame(&Event { credential: credential.clone(), customer: None, what })
    });
    let mut beats = interval(desk.beat_every);
    beats.reset();
    let watcher = Watcher { desk, events, credential, key: access.consumer.key, beats };
    let stream = futures_util::stream::unfold((Some(first), watcher), |(first, mut watcher)| async move {
        let told = match first {
            Some(first) => first,
            None => watcher.next().await?,
        };
        Some((Ok::<_, std::convert::Infallible>(told), (None, watcher)))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

struct Watcher {
    desk: WatchDesk,
    events: Receiver<Event>,
    credential: CredentialName,
    /// Whose: a consumer that is revoked hears no more.
    key: KeyDigest,
    beats: Interval,
}

impl Watcher {
    /// What to tell next; `None`: nothing any more.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let heard = tokio::select! {
                biased;
                () = self.desk.tasks.stopping() => return None,
                heard = self.events.recv() => Some(heard),
                _ = self.beats.tick() => None,
            };
            if !self.may_watch() {
                return None;
            }
            let told = match heard {
                Some(Ok(event)) if event.credential != self.credential => continue,
                Some(Ok(event)) => frame(&event),
                Some(Err(RecvError::Lagged(events))) => missed(events),
                Some(Err(RecvError::Closed)) => return None,
                None => beat(),
            };
            self.beats.reset();
            return Some(told);
        }
    }

    fn may_watch(&self) -> bool {
        let consumer = self.desk.keeper.roster.consumer(&self.key);
        consumer.is_some_and(|consumer| consumer.may(Verb::Read, &self.credential))
    }
}

fn beat() -> Bytes {
    Bytes::from_static(b": still here\n\n")
}

/// The watcher took its events too slowly and some are gone: it should read the tokens anew.
fn missed(events: u64) -> Bytes {
    format!("event: missed\ndata: {{\"events\":{events}}}\n\n").into()
}

fn frame(event: &Event) -> Bytes {
    let bare = Told {
        credential: &event.credential,
        customer: event.customer.as_ref(),
        version: None,
        expires_at: None,
        because: None,
    };
    let (name, told) = match event.what {
        What::NewVersion { version, expires_at } => {
            let expires_at = Some(format_instant(expires_at, 0));
            ("version", Told { version: Some(version), expires_at, ..bare })
        }
        What::ReauthorizationNeeded { because } => {
            ("reauthorization_needed", Told { because: Some(because), ..bare })
        }
        What::Forgotten => ("forgotten", bare),
    };
    // Names and numbers: there is nothing that JSON can't show.
    let data = serde_json::to_string(&told).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}
