//! The overview: what needs a hand first, then how much of everything there is.

use std::time::Duration;

use askama::Template;
use async_trait::async_trait;
use axum::extract::State;
use axum::response::Response;

use super::{House, Visit};

/// How long a role may take to look around before the overview does without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Something that needs a hand, or an eye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What is the matter.
    pub text: String,
    /// Whether nothing mends it but a person.
    pub is_urgent: bool,
    /// Where to see to it.
    pub link: String,
    /// What the link is called.
    pub link_text: String,
}

/// How many of something there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Of what.
    pub of: &'static str,
    /// How many, such as `12` or `1,000 or more`.
    pub number: String,
    /// Where they are.
    pub link: &'static str,
}

/// What a role sees of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// What needs a hand.
    pub alerts: Vec<Alert>,
    /// What there is.
    pub counts: Vec<Count>,
}

/// A role's part of the overview.
#[async_trait]
pub trait Glance: Send + Sync {
    /// Looks around. A store that does not answer is an alert, not a reason to show nothing.
    async fn glance(&self) -> Seen;
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewBody {
    alerts: Vec<Alert>,
    counts: Vec<Count>,
    has_given_up: bool,
}

/// `GET /`.
pub(super) async fn overview(State(house): State<House>, visit: Visit) -> Response {
    let mut body = OverviewBody { alerts: vec![], counts: vec![], has_given_up: false };
    for glance in &house.0.glances {
        match tokio::time::timeout(PATIENCE, glance.glance()).await {
            Ok(seen) => {
                body.alerts.extend(seen.alerts);
                body.counts.extend(seen.counts);
            }
            Err(_elapsed) => body.has_given_up = true,
        }
    }
    body.alerts.sort_by_key(|alert| !alert.is_urgent);
    visit.page("Overview", &body)
}
