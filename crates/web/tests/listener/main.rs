//! A listener on loopback, spoken to over raw sockets.
#![cfg(test)]

mod leaving;
mod requests;
mod rig;
mod shortcuts;
mod tls;
