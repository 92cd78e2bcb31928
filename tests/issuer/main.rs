//! The issuer's routes over the store's model, with a clock that is moved by hand.

#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

#[cfg(test)]
mod dingtalk;
#[cfg(test)]
mod facade;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod habits;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod race;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod tickets;
#[cfg(test)]
mod token_endpoint;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod wechat;
