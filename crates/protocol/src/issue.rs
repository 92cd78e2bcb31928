//! The issuer's rules.
