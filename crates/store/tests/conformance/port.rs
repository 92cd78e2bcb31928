//! Ports for what can't be told to take any that is free.

use std::net::TcpListener;

use mintkeep_protocol::port::entropy::{SystemEntropy, draw};

/// Below the ports that a system gives to those who ask for any: nobody comes by one of these between its choice and
/// its use.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port of 127.0.0.1 on which nobody listens.
pub fn free() -> u16 {
    loop {
        let port = FIRST.saturating_add(u16::from_be_bytes(draw(&SystemEntropy)) % COUNT);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
