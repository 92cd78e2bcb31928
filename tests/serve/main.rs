//! `mintkeep serve` and `mintkeep config`, from outside.
#![cfg(test)]

mod config;
mod server;
mod serving;
