//! The authorization page from outside, over the model of a store: what a browser sees, sends and is refused.

#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

#[cfg(test)]
mod answers;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod exchanges;
#[cfg(test)]
mod granted;
#[cfg(test)]
mod refusals;
