//! Lists that are told page by page.

use crate::problem::{Problem, unfit};

/// How many entries of a list are told unless the caller says, and at most.
const ENTRIES: (u32, u32) = (100, 1_000);

/// How many entries to tell: what was asked for, within the bounds.
///
/// # Errors
///
/// What to ask for instead.
pub fn page_size(asked: Option<u32>) -> Result<u32, Problem> {
    let (usual, most) = ENTRIES;
    let asked = asked.unwrap_or(usual);
    if (1..=most).contains(&asked) { Ok(asked) } else { Err(unfit(format!("most must be 1 to {most}"))) }
}

/// What the next page comes after; `None`: this one was not full, so it is the last.
#[must_use]
pub fn next_of<T>(found: &[T], most: u32) -> Option<&T> {
    found.last().filter(|_| u32::try_from(found.len()).is_ok_and(|count| count == most))
}
