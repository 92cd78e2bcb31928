//! The issuer's part of the overview.

use async_trait::async_trait;
use mintkeep_protocol::app::AppStatus;
use mintkeep_protocol::port::issuer_store::{GrantQuery, Stored};
use mintkeep_web::console::wording::length;
use mintkeep_web::console::{Alert, Count, Glance, Seen};

use crate::admin::AdminDesk;

/// How many of a kind are counted; past that the overview says "or more".
const COUNTED_MAX: u32 = 1_000;

fn count(of: &'static str, link: &'static str, found: usize) -> Count {
    let is_all = u32::try_from(found).is_ok_and(|found| found < COUNTED_MAX);
    let number = if is_all { found.to_string() } else { "1,000 or more".to_owned() };
    Count { of, number, link }
}

fn look(text: String, link: &str, link_text: &str) -> Alert {
    Alert { text, is_urgent: false, link: link.to_owned(), link_text: link_text.to_owned() }
}

#[async_trait]
impl Glance for AdminDesk {
    async fn glance(&self) -> Seen {
        let mut seen = match self.counted().await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(%error, "the console could not use the issuer's store");
                let text = "The issuer’s store does not answer: nothing is issued.".to_owned();
                let mut alert = look(text, "/", "Look again");
                alert.is_urgent = true;
                Seen { alerts: vec![alert], counts: vec![] }
            }
        };
        if let Some(sandbox) = &self.sandbox {
            let ahead = sandbox.clock.offset();
            if !ahead.is_zero() {
                let text = format!("The sandbox’s clock is {} ahead.", length(ahead));
                seen.alerts.push(look(text, "/sandbox", "Sandbox"));
            }
            let rules = sandbox.faults.list().len();
            if rules > 0 {
                let text = format!("Fault rules in force: {rules}.");
                seen.alerts.push(look(text, "/sandbox", "Sandbox"));
            }
        }
        seen
    }
}

impl AdminDesk {
    async fn counted(&self) -> Stored<Seen> {
        let store = &self.issuer.store;
        let apps = store.apps(None, COUNTED_MAX).await?;
        let grants = store.grants(&GrantQuery { most: COUNTED_MAX, ..GrantQuery::default() }).await?;
        let mut seen = Seen {
            alerts: vec![],
            counts: vec![count("Apps", "/apps", apps.len()), count("Grants", "/grants", grants.len())],
        };
        let resting = apps.iter().filter(|app| app.status != AppStatus::Active).count();
        if resting > 0 {
            let text = format!("Apps that are disabled or whose secret is frozen: {resting}.");
            seen.alerts.push(look(text, "/apps", "Apps"));
        }
        Ok(seen)
    }
}
