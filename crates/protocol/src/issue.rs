//! The issuer's rules: values in, a decision out. Nothing here happens until a store commits it.

pub mod access;
pub mod authenticate;
pub mod check;
pub mod code;
pub mod refresh;
#[cfg(test)]
mod sample;
pub mod ticket;
