//! The platform's side: the authorization server that mints tokens in four dialects.
//!
//! A request goes down once and comes up once: [`routes`] decode it, [`issuer`] reads the clock, loads,
//! has a rule of the protocol decide, and commits; the routes encode the outcome.

pub mod admin;
pub mod consent;
pub mod console;
pub mod faults;
pub mod issuer;
pub mod routes;
