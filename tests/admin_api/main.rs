//! The issuer's admin API over a store in memory: who is let in, what is refused, what each change does.

#[cfg(test)]
mod apps;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod console;
#[cfg(test)]
mod console_makes;
#[cfg(test)]
mod console_rooms;
#[cfg(test)]
mod console_sessions;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod grants;
#[cfg(test)]
#[path = "../issuer/ledger.rs"]
#[expect(dead_code, reason = "the issuer's own tests need more of it")]
mod ledger;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
#[path = "../console/visitor.rs"]
mod visitor;
