//! The keeper's part of the overview, out of memory: what waits for a person comes first.

use async_trait::async_trait;
use mintkeep_protocol::keep::slot::{Trouble, Upkeep};
use mintkeep_web::console::{Alert, Count, Glance, Seen};

use super::{Room, page_of};
use crate::shelf::Leaf;

/// How many tokens of each kind of trouble are named; the rest are counted.
const NAMED_MAX: usize = 10;

/// How much trouble a token is in, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plight {
    InDoubt,
    NeedsOperator,
    NeedsConsent,
    Failing,
}

impl Plight {
    const ALL: [Self; 4] = [Self::InDoubt, Self::NeedsOperator, Self::NeedsConsent, Self::Failing];

    const fn of(upkeep: &Upkeep) -> Option<Self> {
        match upkeep {
            Upkeep::NeedsOperator { because: Trouble::InDoubt, .. } => Some(Self::InDoubt),
            Upkeep::NeedsOperator { .. } => Some(Self::NeedsOperator),
            // Whoever asked for it to be forgotten does not wait for it.
            Upkeep::NeedsConsent { because: Trouble::Forgotten, .. }
            | Upkeep::Idle { .. }
            | Upkeep::Renewing { .. } => None,
            Upkeep::NeedsConsent { .. } => Some(Self::NeedsConsent),
            Upkeep::Backoff { .. } => Some(Self::Failing),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::InDoubt => "In doubt: a one-time token was presented and its answer is lost.",
            Self::NeedsOperator => "Needs you: renewals stopped.",
            Self::NeedsConsent => "Needs the customer’s consent anew.",
            Self::Failing => "Renewals fail, and go on being tried.",
        }
    }
}

impl Room {
    /// A token's page, and what it is called.
    fn place(&self, leaf: &Leaf) -> Option<(String, String)> {
        let name = &self.0.roster.account_by_no(leaf.key.credential)?.credential.name;
        let customer = leaf.key.customer.as_ref();
        let called = customer.map_or_else(|| name.to_string(), |customer| format!("{name}/{customer}"));
        Some((page_of(name, customer), called))
    }
}

#[async_trait]
impl Glance for Room {
    async fn glance(&self) -> Seen {
        let now = self.0.clock.now();
        let (mut good, mut renewing, mut troubled) = (0_usize, 0_usize, Vec::new());
        for leaf in self.0.shelf.all() {
            good = good.saturating_add(usize::from(leaf.good(now).is_some()));
            renewing = renewing.saturating_add(usize::from(matches!(leaf.upkeep, Upkeep::Renewing { .. })));
            if let Some(plight) = Plight::of(&leaf.upkeep) {
                troubled.push((plight, leaf));
            }
        }
        troubled.sort_by(|(_, left), (_, right)| left.key.cmp(&right.key));
        let mut alerts = Vec::new();
        for plight in Plight::ALL {
            let of_it: Vec<_> = troubled.iter().filter(|(its, _)| *its == plight).collect();
            let is_urgent = plight != Plight::Failing;
            for (_, leaf) in of_it.iter().take(NAMED_MAX) {
                let Some((link, link_text)) = self.place(leaf) else { continue };
                alerts.push(Alert { text: plight.words().to_owned(), is_urgent, link, link_text });
            }
            let rest = of_it.len().saturating_sub(NAMED_MAX);
            if rest > 0 {
                let text = format!("{} {rest} more are so.", plight.words());
                let (link, link_text) = ("/credentials".to_owned(), "Credentials".to_owned());
                alerts.push(Alert { text, is_urgent, link, link_text });
            }
        }
        let count = |of, number: usize| Count { of, number: number.to_string(), link: "/credentials" };
        let counts = vec![
            count("Credentials", self.0.credentials().len()),
            count("Good tokens", good),
            count("Being renewed", renewing),
        ];
        Seen { alerts, counts }
    }
}
