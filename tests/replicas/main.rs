//! Several processes of the built binary over one PostgreSQL, and what happens to them.

#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

mod calls;
#[path = "../issuer_e2e/client.rs"]
mod client;
mod copy;
mod crash;
mod database;
mod failover;
mod history;
mod load;
mod migrate;
mod outage;
#[path = "../serve/patience.rs"]
mod patience;
#[path = "../../crates/store/tests/conformance/port.rs"]
mod port;
#[path = "../serve/server.rs"]
#[expect(dead_code, reason = "the tests of one server need more of it")]
mod process;
mod race;
mod restore;
mod rolling;
mod seen;
#[path = "../../crates/store/tests/conformance/server.rs"]
mod server;
mod site;
