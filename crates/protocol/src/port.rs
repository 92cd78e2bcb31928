//! What the rules need from outside, as traits.

pub mod entropy;
pub mod issuer_store;
pub mod keeper_store;
pub mod upstream;
