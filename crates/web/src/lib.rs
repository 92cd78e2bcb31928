//! HTTP manners that both roles share: limits, request id, deadline, redaction, TLS, problem+json.
