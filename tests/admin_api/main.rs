//! The issuer's admin API over a store in memory: who is let in, what is refused, what each change does.

mod apps;
mod bad_input;
mod desk;
mod doors;
mod grants;
mod sandbox;
