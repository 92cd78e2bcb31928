//! `mintkeep serve` and `mintkeep config`, from outside.
#![cfg(test)]

mod browsers;
mod config;
mod server;
mod serving;
