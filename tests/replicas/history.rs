//! What was asked about one code or refresh token, and whether one thing that is spent once could have
//! answered so.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::Answer;

/// What came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These tokens.
    Spent(String),
    /// "Somebody else spent it."
    Used,
    /// "It is not known", or no answer: it may have been spent, or may be yet.
    Unknown,
    /// Anything else, none of which is true of a good code.
    Wrong(String),
}

impl Outcome {
    /// What an answer to an exchange or a refresh says.
    pub fn of(answer: std::io::Result<Answer>) -> Self {
        let Ok(answer) = answer else { return Self::Unknown };
        if answer.status >= 500 {
            return Self::Unknown;
        }
        match (answer.text("/result/resultStatus").as_str(), answer.text("/result/resultCode").as_str()) {
            ("S", "SUCCESS") => Self::Spent(answer.text("/refreshToken")),
            ("F", "USED_CODE" | "USED_REFRESH_TOKEN") => Self::Used,
            ("U", _) => Self::Unknown,
            _ => Self::Wrong(answer.body),
        }
    }
}

/// One call. Times are places in the order of all beginnings and ends.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which request; the same one may be sent again.
    pub request: usize,
    pub began: u64,
    pub ended: u64,
    pub outcome: Outcome,
}

/// All calls about all codes and refresh tokens.
#[derive(Default)]
pub struct History {
    time: AtomicU64,
    calls: Mutex<HashMap<String, Vec<Call>>>,
}

impl History {
    /// Makes a call about `thing` and notes it.
    pub fn call(
        &self,
        thing: &str,
        request: usize,
        call: impl FnOnce() -> std::io::Result<Answer>,
    ) -> Outcome {
        let began = self.time.fetch_add(1, Ordering::SeqCst);
        let outcome = Outcome::of(call());
        let ended = self.time.fetch_add(1, Ordering::SeqCst);
        let noted = Call { request, began, ended, outcome: outcome.clone() };
        self.calls.lock().unwrap().entry(thing.to_owned()).or_default().push(noted);
        outcome
    }

    /// Fails if anything was answered that a thing which is spent once could not have answered. Gives how
    /// many things there were.
    pub fn check(&self) -> usize {
        let calls = self.calls.lock().unwrap();
        for calls in calls.values() {
            assert!(is_linearizable(calls), "not spent once: {calls:#?}");
        }
        calls.len()
    }
}

/// A code or refresh token: `None` until it is spent, then by which request, and for what if anybody was told.
type State = Option<(usize, Option<String>)>;

/// Whether the calls can be put in an order, each between its beginning and its end, in which a thing that is
/// spent once gives these answers. A call of unknown outcome may take effect at any time after its beginning,
/// or never.
pub fn is_linearizable(calls: &[Call]) -> bool {
    search(&calls.iter().collect::<Vec<_>>(), &None)
}

fn search(left: &[&Call], state: &State) -> bool {
    // Nobody can be put after somebody who ended before he began.
    let Some(first_end) =
        left.iter().filter(|call| call.outcome != Outcome::Unknown).map(|call| call.ended).min()
    else {
        return true;
    };
    let mut next = left.iter().enumerate().filter(|(_, call)| call.began < first_end);
    let without = |place: usize| {
        let mut rest = left.to_vec();
        rest.remove(place);
        rest
    };
    // One that fits and changes nothing is put here at once: it can stand in nobody's way.
    if let Some((place, _)) = next.clone().find(|(_, call)| after(call, state).as_ref() == Some(state)) {
        return search(&without(place), state);
    }
    next.any(|(place, call)| after(call, state).is_some_and(|state| search(&without(place), &state)))
}

/// The state after a call that takes effect now; `None`: it would have answered otherwise.
fn after(call: &Call, state: &State) -> Option<State> {
    match (&call.outcome, state) {
        (Outcome::Spent(tokens), None) => Some(Some((call.request, Some(tokens.clone())))),
        // The identical request gets the identical tokens.
        (Outcome::Spent(tokens), Some((by, told))) if *by == call.request => {
            let is_same = told.as_ref().is_none_or(|told| told == tokens);
            is_same.then(|| Some((*by, Some(tokens.clone()))))
        }
        (Outcome::Used, Some((by, _))) if *by != call.request => Some(state.clone()),
        (Outcome::Unknown, None) => Some(Some((call.request, None))),
        (Outcome::Unknown, Some(_)) => Some(state.clone()),
        (Outcome::Spent(_), Some(_)) | (Outcome::Used | Outcome::Wrong(_), _) => None,
    }
}

#[test]
fn the_checker_knows_what_one_thing_that_is_spent_once_can_answer() {
    let spent = |tokens: &str| Outcome::Spent(tokens.to_owned());
    let wrong = || Outcome::Wrong("INVALID_CODE".to_owned());
    #[rustfmt::skip]
    let cases = [
        ("one winner among overlapping calls",    vec![(1, 0, 9, spent("a")), (2, 1, 8, Outcome::Used)], true),
        ("two winners",                           vec![(1, 0, 9, spent("a")), (2, 1, 8, spent("b"))], false),
        ("the same request twice, the same pair", vec![(1, 0, 3, spent("a")), (1, 4, 5, spent("a"))], true),
        ("the same request twice, two pairs",     vec![(1, 0, 3, spent("a")), (1, 4, 5, spent("b"))], false),
        ("used before anybody asked",             vec![(2, 0, 1, Outcome::Used), (1, 2, 3, spent("a"))], false),
        ("used by nobody",                        vec![(1, 0, 1, Outcome::Used)], false),
        ("used, told to the one who used it",     vec![(1, 0, 1, spent("a")), (1, 2, 3, Outcome::Used)], false),
        ("used by one who never heard",           vec![(1, 0, 1, Outcome::Unknown), (2, 2, 3, Outcome::Used)], true),
        ("by one who never heard, and late",      vec![(1, 0, 1, Outcome::Unknown), (2, 2, 3, spent("b")), (3, 4, 5, Outcome::Used)], true),
        ("spent by one who never heard, twice",   vec![(1, 0, 1, Outcome::Unknown), (2, 2, 3, Outcome::Used), (3, 4, 5, spent("c"))], false),
        ("who never heard asks again",            vec![(1, 0, 1, Outcome::Unknown), (2, 2, 3, Outcome::Used), (1, 4, 5, spent("a"))], true),
        ("who never heard begins later",          vec![(2, 0, 1, Outcome::Used), (1, 2, 3, Outcome::Unknown)], false),
        ("a good code called invalid",            vec![(1, 0, 1, wrong())], false),
    ];
    for (case, calls, expected) in cases {
        let calls: Vec<_> = calls
            .into_iter()
            .map(|(request, began, ended, outcome)| Call { request, began, ended, outcome })
            .collect();
        assert_eq!(is_linearizable(&calls), expected, "{case}");
    }
}
