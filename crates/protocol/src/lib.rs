//! The words, rules and wire formats of the four dialects: pure, without IO.
