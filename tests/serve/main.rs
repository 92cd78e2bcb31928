//! `mintkeep serve` and `mintkeep config`, from outside.
#![cfg(test)]

mod browsers;
mod config;
mod keeper_alone;
mod log;
mod master_key;
mod open_files;
mod patience;
#[path = "../../crates/store/tests/conformance/port.rs"]
mod port;
mod server;
mod serving;
