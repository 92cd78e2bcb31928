//! The passive update: "this token is dead". A compare first; one renewal at most, shared by all who ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mintkeep_protocol::ident::{CustomerId, RecordId};
use mintkeep_protocol::keep::consumer::Consumer;
use mintkeep_protocol::keep::history::Cause;
use mintkeep_protocol::keep::plan::{Denial, Outlook, ReportPlan, Reported, TooSoon, plan_report};
use mintkeep_protocol::keep::slot::{SlotKey, Trouble, Upkeep};
use mintkeep_protocol::time::Timestamp;

use crate::keeper::Keeper;
use crate::renewal::Errand;
use crate::roster::Account;
use crate::shelf::{Kept, Leaf};

/// What came of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// There was a newer token already.
    AlreadyNewer,
    /// There is a new token.
    Renewed,
    /// The platform itself gave the same token again: it is good there.
    StillGood,
    /// Nothing was done.
    TooSoon(TooSoon),
}

/// Why a reporter gets no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFailure {
    /// No such token was ever held here.
    NeverHeld,
    /// There is no slot to report.
    NoSuchSlot,
    /// There is no good token.
    Unavailable(Denial),
}

/// How often each consumer has had the platform asked about each slot, within the hour.
#[derive(Default)]
pub(crate) struct Budgets(Mutex<HashMap<(RecordId, SlotKey), Spent>>);

#[derive(Debug, Clone, Copy)]
struct Spent {
    since: Timestamp,
    count: u32,
}

/// How many renewals a consumer may cause by reports of one slot, and by looks into it, within [`BUDGET_WINDOW`].
const BUDGET: u32 = 12;
/// The window in which reports are counted.
const BUDGET_WINDOW: Duration = Duration::from_hours(1);
/// Past so many counts, those whose window is over are thrown away.
const BUDGETS_MAX: usize = 10_000;

impl Budgets {
    fn has_left(&self, who: &(RecordId, SlotKey), now: Timestamp) -> bool {
        let spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = spent.get(who).filter(|spent| is_current(spent, now)).map_or(0, |spent| spent.count);
        count < BUDGET
    }

    fn spend(&self, who: (RecordId, SlotKey), now: Timestamp) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= BUDGETS_MAX {
            spent.retain(|_, spent| is_current(spent, now));
        }
        let entry = spent.entry(who).or_insert(Spent { since: now, count: 0 });
        if !is_current(entry, now) {
            *entry = Spent { since: now, count: 0 };
        }
        entry.count = entry.count.saturating_add(1);
    }
}

fn is_current(spent: &Spent, now: Timestamp) -> bool {
    spent.since <= now && now < spent.since.after(BUDGET_WINDOW)
}

impl Keeper {
    /// Takes a report in. Of any number of reports of one token, the first begins a renewal and the others
    /// share its end.
    ///
    /// # Errors
    ///
    /// [`ReportFailure`].
    pub async fn report(
        self: &Arc<Self>,
        account: &Account,
        customer: Option<&CustomerId>,
        reported: Reported,
        consumer: &Consumer,
    ) -> Result<(Action, Arc<Leaf>), ReportFailure> {
        let key = account.slot(customer).ok_or(ReportFailure::NoSuchSlot)?;
        let leaf = self.shelf.get(&key).ok_or(ReportFailure::NoSuchSlot)?;
        let plan = self.plan(account, &leaf, reported, (consumer, &self.reports));
        let plan = plan.ok_or(ReportFailure::NoSuchSlot)?;
        metrics::counter!("mintkeep_keeper_reports_total", "consumer" => consumer.name.to_string(), "plan" => plan_name(plan))
            .increment(1);
        match plan {
            ReportPlan::NeverHeld => Err(ReportFailure::NeverHeld),
            ReportPlan::AlreadyNewer => self.still_served(&key, Action::AlreadyNewer, leaf),
            ReportPlan::TooSoon(why) => self.still_served(&key, Action::TooSoon(why), leaf),
            ReportPlan::Renew => {
                let cause = Cause::Report { consumer: consumer.name.clone() };
                self.fly_and_wait(&key, Errand::new(cause)).await;
                let after = self.shelf.get(&key).unwrap_or_else(|| Arc::clone(&leaf));
                let action = action_between(&leaf, &after);
                self.still_served(&key, action, after)
            }
        }
    }

    /// Has the platform asked about a token that may be dead, which was not said.
    ///
    /// It costs the asker no report: a consumer has as many looks in an hour as it has reports.
    pub(crate) async fn look_into(
        self: &Arc<Self>,
        account: &Account,
        leaf: Arc<Leaf>,
        consumer: &Consumer,
    ) -> Arc<Leaf> {
        let Some(known) = leaf.known() else { return leaf };
        let reported = Reported::Version(known.version);
        if self.plan(account, &leaf, reported, (consumer, &self.looks)) != Some(ReportPlan::Renew) {
            return leaf;
        }
        let cause = Cause::Read { consumer: Some(consumer.name.clone()) };
        self.fly_and_wait(&leaf.key, Errand::new(cause)).await;
        let after = self.shelf.get(&leaf.key).filter(|after| after.good(self.clock.now()).is_some());
        after.unwrap_or(leaf)
    }

    /// What to do about a token that may be dead; `None`: none was ever held. Who begins a renewal pays for it.
    fn plan(
        &self,
        account: &Account,
        leaf: &Leaf,
        reported: Reported,
        (consumer, budgets): (&Consumer, &Budgets),
    ) -> Option<ReportPlan> {
        let (now, who) = (self.clock.now(), (consumer.no, leaf.key.clone()));
        let is_flying = self.flights.is_under_way(&leaf.key);
        let known = leaf.known()?;
        let outlook = Outlook { upkeep: joinable(leaf, is_flying, self), ..leaf.outlook() };
        let has_budget = budgets.has_left(&who, now);
        let plan = plan_report(reported, &known, (&outlook, &account.terms), has_budget, now);
        if plan == ReportPlan::Renew && !is_flying {
            budgets.spend(who, now);
        }
        Some(plan)
    }

    fn still_served(
        &self,
        key: &SlotKey,
        action: Action,
        leaf: Arc<Leaf>,
    ) -> Result<(Action, Arc<Leaf>), ReportFailure> {
        let leaf = self.shelf.get(key).unwrap_or(leaf);
        if leaf.good(self.clock.now()).is_some() {
            return Ok((action, leaf));
        }
        let because = leaf.upkeep.trouble().unwrap_or(Trouble::Ambiguous);
        Err(ReportFailure::Unavailable(Denial { because, retry_at: leaf.upkeep.due_at() }))
    }
}

/// The upkeep as a report sees it: a renewal of our own that is under way can be joined.
fn joinable(leaf: &Leaf, is_flying: bool, keeper: &Keeper) -> Upkeep {
    if is_flying { Upkeep::Renewing { by: keeper.me, since: keeper.clock.now() } } else { leaf.upkeep }
}

fn action_between(before: &Leaf, after: &Leaf) -> Action {
    let digest = |leaf: &Leaf| leaf.kept.as_ref().map(|kept| kept.digest);
    let asked = |kept: &Kept| kept.obtained_at;
    if digest(before) != digest(after) {
        return Action::Renewed;
    }
    if before.kept.as_ref().map(asked) != after.kept.as_ref().map(asked) {
        return Action::StillGood;
    }
    Action::TooSoon(TooSoon::after_failure(&after.upkeep))
}

const fn plan_name(plan: ReportPlan) -> &'static str {
    match plan {
        ReportPlan::AlreadyNewer => "already_newer",
        ReportPlan::TooSoon(_) => "too_soon",
        ReportPlan::Renew => "renew",
        ReportPlan::NeverHeld => "never_held",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_has_twelve_reports_of_a_slot_an_hour() {
        const BEGAN: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
        let who = |consumer| {
            let key = SlotKey { credential: RecordId::from_number(1), customer: None };
            (RecordId::from_number(consumer), key)
        };
        let budgets = Budgets::default();
        for report in 1..=12 {
            assert!(budgets.has_left(&who(1), BEGAN), "report {report}");
            budgets.spend(who(1), BEGAN);
        }
        let after = |ms| BEGAN.after(Duration::from_millis(ms));
        #[rustfmt::skip]
        let cases = [
            ("one more",               1, BEGAN,            false),
            ("another consumer",       2, BEGAN,            true),
            ("within the hour",        1, after(3_599_999), false),
            ("in the next",            1, after(3_600_000), true),
            ("by a clock set back",    1, BEGAN.before(Duration::from_millis(1)), true),
        ];
        for (case, consumer, now, has_left) in cases {
            assert_eq!(budgets.has_left(&who(consumer), now), has_left, "{case}");
        }
        budgets.spend(who(1), after(3_600_000));
        assert!(budgets.has_left(&who(1), after(3_600_000)), "the count began anew");

        for consumer in 2..10_001 {
            budgets.spend(who(consumer), BEGAN);
        }
        budgets.spend(who(1), after(3_600_000));
        assert_eq!(budgets.0.lock().unwrap().len(), 1, "those of past hours make room");
    }
}
