//! The one place that decides whether a transaction is tried again.

use super::fault::Fault;

/// How often a transaction is tried that the engine undid because of another one.
const TRIES_MAX: u32 = 5;

/// How often one transaction was tried.
#[derive(Default)]
pub struct Tries(u32);

impl Tries {
    /// Whether the transaction that ended in `fault` is to be tried once more: the engine undid it, and it
    /// was not undone too often.
    pub fn allow_another(&mut self, fault: &Fault) -> bool {
        self.0 = self.0.saturating_add(1);
        fault.is_conflict() && self.0 < TRIES_MAX
    }
}
