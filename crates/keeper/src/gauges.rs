//! What is counted as it stands, every so often: how long tokens live yet, and how the slots are doing.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Gauge, gauge};
use mintkeep_protocol::ident::RecordId;
use mintkeep_protocol::keep::plan::Outlook;
use mintkeep_protocol::keep::slot::{Trouble, Upkeep};
use mintkeep_protocol::time::Timestamp;

use crate::keeper::Keeper;

/// How a slot is doing, as it is counted.
const STATES: [&str; 6] = ["idle", "renewing", "backoff", "needs_consent", "needs_operator", "in_doubt"];

/// Runs until the process stops.
pub(crate) async fn run(keeper: Arc<Keeper>) {
    let mut told = Told::new();
    loop {
        tell(&keeper, &mut told).await;
        tokio::select! {
            biased;
            () = keeper.tasks.stopping() => return,
            () = tokio::time::sleep(keeper.settings.gauges_every) => {}
        }
    }
}

/// How many are counted before whoever else waits for the thread has its turn: a fraction of a millisecond.
const COUNTED_AT_ONCE: usize = 500;

/// The credentials whose tokens' life was told last.
type Told = BTreeMap<RecordId, Gauge>;

async fn tell(keeper: &Keeper, told: &mut Told) {
    let leaves = keeper.shelf.all().map(|leaf| (leaf.key.credential, leaf.outlook()));
    let tally = Tally::of(leaves, keeper.clock.now()).await;
    told.retain(|no, gauge| {
        let is_told = tally.seconds_left.contains_key(no);
        if !is_told {
            // A gauge can't be taken back, and its last value would stand for ever.
            gauge.set(f64::NAN);
        }
        is_told
    });
    for (count, (no, left)) in tally.seconds_left.iter().enumerate() {
        give_way(count).await;
        if let Some(account) = keeper.roster.account_by_no(*no) {
            let name = &account.credential.name;
            let new = || gauge!("mintkeep_keeper_seconds_to_expiry", "credential" => name.to_string());
            told.entry(*no).or_insert_with(new).set(*left);
        }
    }
    for state in STATES {
        let count = tally.states.get(state).copied().unwrap_or_default();
        gauge!("mintkeep_keeper_tokens", "state" => state).set(f64::from(count));
    }
}

async fn give_way(count: usize) {
    if count % COUNTED_AT_ONCE == COUNTED_AT_ONCE.saturating_sub(1) {
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
struct Tally {
    /// Of each credential's tokens that are to be renewed, how long the first to end lives yet; zero: it is over.
    seconds_left: BTreeMap<RecordId, f64>,
    states: BTreeMap<&'static str, u32>,
}

impl Tally {
    async fn of(slots: impl Iterator<Item = (RecordId, Outlook)>, now: Timestamp) -> Self {
        let mut tally = Self::default();
        for (seen, (credential, outlook)) in slots.enumerate() {
            give_way(seen).await;
            let count = tally.states.entry(state(&outlook.upkeep)).or_default();
            *count = count.saturating_add(1);
            if let Some(left) = seconds_left(&outlook, now) {
                let least = tally.seconds_left.entry(credential).or_insert(left);
                *least = least.min(left);
            }
        }
        tally
    }
}

/// `None`: nothing is held, or only people can bring the next token.
fn seconds_left(outlook: &Outlook, now: Timestamp) -> Option<f64> {
    let waits_for_people =
        matches!(outlook.upkeep, Upkeep::NeedsConsent { .. } | Upkeep::NeedsOperator { retry_at: None, .. });
    let expires_at = outlook.expires_at.filter(|_| !waits_for_people)?;
    Some(expires_at.since(now).as_secs_f64())
}

const fn state(upkeep: &Upkeep) -> &'static str {
    match upkeep {
        Upkeep::Idle { .. } => "idle",
        Upkeep::Renewing { .. } => "renewing",
        Upkeep::Backoff { .. } => "backoff",
        Upkeep::NeedsConsent { .. } => "needs_consent",
        Upkeep::NeedsOperator { because: Trouble::InDoubt, .. } => "in_doubt",
        Upkeep::NeedsOperator { .. } => "needs_operator",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mintkeep_protocol::keep::slot::HolderId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

    #[tokio::test]
    async fn who_counts_many_tokens_lets_others_work_meanwhile() {
        let upkeep = Upkeep::Idle { renew_at: NOW };
        let idle = Outlook { expires_at: Some(NOW), life: Duration::ZERO, upkeep };
        let slots = (1..=i64::try_from(COUNTED_AT_ONCE * 10).unwrap())
            .map(|credential| (RecordId::from_number(credential), idle));
        let mut turns = 0;
        let other = std::future::poll_fn(|context| {
            turns += 1;
            context.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        });
        let tally = tokio::select! {
            biased;
            tally = Tally::of(slots, NOW) => tally,
            () = other => unreachable!("it never ends"),
        };
        assert_eq!((tally.seconds_left.len(), turns), (COUNTED_AT_ONCE * 10, 10));
    }

    #[tokio::test]
    async fn of_a_credentials_tokens_the_first_to_end_is_told_unless_it_waits_for_people() {
        let because = Trouble::InDoubt;
        let idle = Upkeep::Idle { renew_at: NOW };
        let renewing = Upkeep::Renewing { by: HolderId(1), since: NOW };
        let consent = Upkeep::NeedsConsent { since: NOW, because };
        let doubt = Upkeep::NeedsOperator { since: NOW, because, retry_at: None };
        #[rustfmt::skip]
        let slots = [
            (1, Some(7_500), idle),
            (1, Some(2_500), renewing),
            (1, Some(1_000), consent),
            (1, Some(500),   doubt),
            (2, Some(-1),    idle),
            (3, None,        idle),
        ];
        let slots = slots.map(|(credential, left_ms, upkeep)| {
            let expires_at = left_ms.map(|left| Timestamp::from_unix_ms(NOW.unix_ms() + left));
            (RecordId::from_number(credential), Outlook { expires_at, life: Duration::ZERO, upkeep })
        });
        let tally = Tally::of(slots.into_iter(), NOW).await;
        let left: Vec<_> = tally.seconds_left.into_iter().map(|(no, left)| (no.number(), left)).collect();
        assert_eq!(left, [(1, 2.5), (2, 0.0)]);
        let states: Vec<_> = tally.states.into_iter().collect();
        assert_eq!(states, [("idle", 3), ("in_doubt", 1), ("needs_consent", 1), ("renewing", 1)]);
        assert!(states.iter().all(|(state, _)| STATES.contains(state)));
    }
}
