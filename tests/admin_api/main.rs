//! The issuer's admin API over a store in memory: who is let in, what is refused, what each change does.

#[cfg(test)]
mod apps;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod console;
#[cfg(test)]
mod console_rooms;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
#[path = "../console/visitor.rs"]
mod visitor;
