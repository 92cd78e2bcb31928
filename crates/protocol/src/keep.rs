//! The keeper's rules: what is held, when it is renewed, who may have it.
//!
//! * What is stored: [`credential`], [`consumer`], [`slot`], [`exchange`], [`history`].
//! * What is known of each platform: [`semantics`], one typed table.
//! * What is decided: [`plan`] (reads and reports), [`renew`] (one renewal, step by step),
//!   [`timetable`] (when, how often, how many calls).
//! * What is sealed before it is sent and before it is parsed: [`intent`].

pub mod consumer;
pub mod credential;
pub mod exchange;
pub mod history;
pub mod intent;
pub mod plan;
pub mod renew;
pub mod semantics;
pub mod slot;
pub mod timetable;
