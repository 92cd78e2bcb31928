//! The keeper of the built binary, from outside: its own process beside an issuer's, killed, stopped and
//! lied to.

#![cfg(test)]

#[path = "../issuer_e2e/client.rs"]
mod client;
mod crash;
mod dev;
mod keeper;
#[path = "../serve/patience.rs"]
mod patience;
#[path = "../../crates/store/tests/conformance/port.rs"]
mod port;
#[path = "../serve/server.rs"]
#[expect(dead_code, reason = "the tests of one server need more of it")]
mod process;
mod replicas;
#[path = "../issuer_e2e/sandbox.rs"]
#[expect(dead_code, reason = "the issuer's tests need more of it")]
mod sandbox;
mod secrets;
#[path = "../../crates/store/tests/conformance/server.rs"]
mod server;
