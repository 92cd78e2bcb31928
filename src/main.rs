//! Mintkeep: access tokens for super-app mini programs, issued and kept.
fn main() {}
