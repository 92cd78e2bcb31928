//! The words, rules and wire formats of Mintkeep: pure, without IO.
//!
//! Nothing in this crate reads a clock, draws a random number, opens a socket or knows SQL. Time and
//! entropy come in as values; what a rule decides goes out as a value, which a store then commits.
//!
//! * Words: [`time`], [`ident`], [`secret`], [`crypto`], [`token`], [`app`], [`binding`], [`record`].
//! * What is asked and answered: [`request`], [`outcome`].
//! * The issuer's rules: [`issue`]. The keeper's rules: [`keep`].
//! * Wire formats: [`dialect`]. What the rules need from outside: [`port`].

pub mod app;
pub mod binding;
pub mod crypto;
pub mod dialect;
pub mod ident;
pub mod issue;
pub mod keep;
pub mod outcome;
pub mod port;
pub mod record;
pub mod request;
pub mod secret;
pub mod time;
pub mod token;
