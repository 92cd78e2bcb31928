//! Flights: one piece of work per key, under way beside whoever wants its result.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

type Aboard<K, T> = Mutex<HashMap<K, Arc<Board<T>>>>;

/// The flights that are under way.
pub(crate) struct Flights<K, T>(Arc<Aboard<K, T>>);

/// Where a flight's result is put up, for all who wait.
///
/// Not a `watch` channel: whoever waits is woken in the order of coming, not in an order by chance.
struct Board<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

struct State<T> {
    result: Option<T>,
    is_over: bool,
}

/// What waits for a flight's result.
pub(crate) struct Ticket<T>(Arc<Board<T>>);

/// Who has to do the work. When it is dropped, the flight has ended, and another one may begin.
pub(crate) struct Pilot<K: Eq + Hash, T> {
    aboard: Arc<Aboard<K, T>>,
    key: K,
    board: Arc<Board<T>>,
}

/// How one comes aboard.
pub(crate) enum Boarding<K: Eq + Hash, T> {
    /// A flight was under way.
    Joined(Ticket<T>),
    /// There was none; somebody must spawn the work now.
    First(Pilot<K, T>, Ticket<T>),
}

impl<K: Eq + Hash + Clone, T: Clone> Flights<K, T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn board(&self, key: &K) -> Boarding<K, T> {
        let mut aboard = lock(&self.0);
        if let Some(board) = aboard.get(key) {
            return Boarding::Joined(Ticket(Arc::clone(board)));
        }
        let state = Mutex::new(State { result: None, is_over: false });
        let board = Arc::new(Board { state, changed: Notify::new() });
        aboard.insert(key.clone(), Arc::clone(&board));
        let pilot = Pilot { aboard: Arc::clone(&self.0), key: key.clone(), board: Arc::clone(&board) };
        Boarding::First(pilot, Ticket(board))
    }

    /// Waits until the flight that is under way, if one is, has ended.
    pub(crate) async fn ended(&self, key: &K) {
        let Some(board) = lock(&self.0).get(key).cloned() else { return };
        loop {
            let mut changed = pin!(board.changed.notified());
            changed.as_mut().enable();
            if lock(&board.state).is_over {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn is_under_way(&self, key: &K) -> bool {
        lock(&self.0).contains_key(key)
    }
}

impl<T: Clone> Ticket<T> {
    /// The result; `None` if the flight ended without one, which only a panic or a shutdown does.
    pub(crate) async fn landed(self) -> Option<T> {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            {
                let state = lock(&self.0.state);
                if state.result.is_some() || state.is_over {
                    return state.result.clone();
                }
            }
            changed.await;
        }
    }
}

impl<K: Eq + Hash, T> Pilot<K, T> {
    /// Tells everybody the result. What is left to be done may go on after it.
    pub(crate) fn land(&self, result: T) {
        lock(&self.board.state).result = Some(result);
        self.board.changed.notify_waiters();
    }

    pub(crate) fn has_landed(&self) -> bool {
        lock(&self.board.state).result.is_some()
    }
}

impl<K: Eq + Hash, T> Drop for Pilot<K, T> {
    fn drop(&mut self) {
        lock(&self.aboard).remove(&self.key);
        lock(&self.board.state).is_over = true;
        self.board.changed.notify_waiters();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_aboard_gets_the_one_result_and_the_next_flight_begins_after_it() {
        let flights = Flights::<u8, u32>::new();
        let Boarding::First(pilot, first) = flights.board(&1) else { panic!("nobody flies yet") };
        let Boarding::Joined(second) = flights.board(&1) else { panic!("the first flies") };
        assert!(matches!(flights.board(&2), Boarding::First(..)), "another key");
        pilot.land(7);
        let Boarding::Joined(late) = flights.board(&1) else { panic!("landed, not ended") };
        assert_eq!(
            (first.landed().await, second.landed().await, late.landed().await),
            (Some(7), Some(7), Some(7))
        );
        drop(pilot);
        let Boarding::First(pilot, ticket) = flights.board(&1) else { panic!("ended") };
        drop(pilot);
        assert_eq!(ticket.landed().await, None, "it ended without a result");
        assert!(!flights.is_under_way(&1));
    }
}
