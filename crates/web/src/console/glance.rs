//! The overview: what needs a hand first, then how much of everything there is.

use std::sync::Arc;
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
    visit.page("Overview", &look_around(&house.0.glances).await)
}

/// Asks each role in turn; one that takes too long is left out, and the page says so.
async fn look_around(glances: &[Arc<dyn Glance>]) -> OverviewBody {
    let mut body = OverviewBody { alerts: vec![], counts: vec![], has_given_up: false };
    for glance in glances {
        match tokio::time::timeout(PATIENCE, glance.glance()).await {
            Ok(seen) => {
                body.alerts.extend(seen.alerts);
                body.counts.extend(seen.counts);
            }
            Err(_elapsed) => body.has_given_up = true,
        }
    }
    body.alerts.sort_by_key(|alert| !alert.is_urgent);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A role with these alerts, each urgent or not; `None`: it never answers.
    struct Role(Option<Vec<(&'static str, bool)>>);

    #[async_trait]
    impl Glance for Role {
        async fn glance(&self) -> Seen {
            let Some(alerts) = &self.0 else { return std::future::pending().await };
            let alert = |(text, is_urgent): &(&str, bool)| Alert {
                text: (*text).to_owned(),
                is_urgent: *is_urgent,
                link: "/".to_owned(),
                link_text: "there".to_owned(),
            };
            Seen { alerts: alerts.iter().map(alert).collect(), counts: vec![] }
        }
    }

    fn roles(of: Vec<Role>) -> Vec<Arc<dyn Glance>> {
        of.into_iter().map(|role| -> Arc<dyn Glance> { Arc::new(role) }).collect()
    }

    #[tokio::test]
    async fn what_is_urgent_stands_on_top_whichever_role_says_it() {
        let issuer = Role(Some(vec![("a", false), ("b", true)]));
        let keeper = Role(Some(vec![("c", false), ("d", true)]));
        let body = look_around(&roles(vec![issuer, keeper])).await;
        let told: Vec<&str> = body.alerts.iter().map(|alert| alert.text.as_str()).collect();
        assert_eq!(told, ["b", "d", "a", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_that_does_not_answer_is_left_out_and_said_to_be() {
        let body = look_around(&roles(vec![Role(None), Role(Some(vec![("c", false)]))])).await;
        assert_eq!((body.alerts.len(), body.has_given_up), (1, true));
        let html = body.render().unwrap();
        assert!(html.contains("takes too long") && !html.contains("Nobody waits for you"), "{html}");
        let quiet = look_around(&roles(vec![Role(Some(vec![]))])).await.render().unwrap();
        assert!(quiet.contains("Nobody waits for you") && !quiet.contains("takes too long"), "{quiet}");
    }
}
