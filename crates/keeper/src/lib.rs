//! The developer's side: the central control server that obtains, renews and hands out tokens.
//!
//! * What is in memory: [`roster`] (credentials and consumers), [`shelf`] (tokens).
//! * What goes on by itself: the refresher's timetable, and following other replicas.
//! * One renewal at a time: flights (one per slot), leases (over all replicas), [`Keeper`]'s one door
//!   for first fetches, the timetable and reports; exchanges of codes likewise.
//! * What callers ask: [`reader`], [`reporter`], [`exchanger`], over HTTP by [`routes`] and
//!   in the platforms' own dialects by [`dropin`]; by calling through [`proxy`], or, as a library with one base URL
//!   does, through `relay`; operators by [`admin`], over HTTP by [`admin_routes`], and by [`rotation`]; watchers by
//!   [`events`].
//! * The way out: [`upstream`], behind a breaker per platform.

pub mod admin;
pub mod admin_routes;
mod breaker;
pub mod console;
pub mod dropin;
pub mod events;
pub mod exchanger;
mod flight;
mod follow;
mod gauges;
mod keeper;
mod lease;
pub mod metrics;
mod platform;
pub mod proxy;
pub mod reader;
mod refresher;
mod relay;
mod renewal;
pub mod reporter;
pub mod roster;
pub mod rotation;
pub mod routes;
mod seals;
pub mod settings;
mod sharded;
pub mod shelf;
pub mod upstream;
mod wire;

pub use keeper::{Keeper, KeeperParts, StartFault};
