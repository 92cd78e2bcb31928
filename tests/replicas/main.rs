//! Several processes of the built binary over one PostgreSQL, and what happens to them.

#![cfg(test)]

mod calls;
#[path = "../issuer_e2e/client.rs"]
mod client;
mod history;
#[path = "../serve/server.rs"]
#[expect(dead_code, reason = "the tests of one server need more of it")]
mod process;
mod race;
mod seen;
#[path = "../../crates/store/tests/conformance/server.rs"]
mod server;
mod site;
