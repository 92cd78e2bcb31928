//! The issuer of the built binary, from outside: `mintkeep dev` and what it says over its sockets.

#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

#[cfg(test)]
mod backup;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod client;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod life;
#[cfg(test)]
mod pages;
#[cfg(test)]
#[path = "../../crates/store/tests/conformance/port.rs"]
mod port;
#[cfg(test)]
#[expect(dead_code, reason = "the keeper's tests need more of it")]
mod sandbox;
