//! What a listener takes and how long it waits.

use std::time::Duration;

/// The limits of one listener. All can be set in the configuration's `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest request body, in bytes.
    pub body_bytes_max: usize,
    /// All of a request's header lines together, in bytes.
    pub header_bytes_max: usize,
    /// Longest request line (method, target, version), in bytes.
    pub request_line_bytes_max: usize,
    /// How long a request's head may take from its first byte on, and again its body, and a TLS handshake.
    pub read_timeout: Duration,
    /// How long a connection may lie still between two requests, or while the peer takes no bytes of an
    /// answer. Longer than the 60 s for which a usual reverse proxy keeps one, so that the proxy is the one
    /// to close it.
    pub idle_timeout: Duration,
    /// How long a handler may take until the head of its answer.
    pub request_deadline: Duration,
    /// How many connections are open at once. Further ones wait in the operating system's backlog.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            header_bytes_max: 16 * 1024,
            request_line_bytes_max: 8 * 1024,
            read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            request_deadline: Duration::from_secs(30),
            connections_max: 16_384,
        }
    }
}
