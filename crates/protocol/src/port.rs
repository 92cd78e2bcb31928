//! What the rules need from outside, as traits.

pub mod entropy;
pub mod issuer_store;
