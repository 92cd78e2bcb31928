//! The keeper's rules.
