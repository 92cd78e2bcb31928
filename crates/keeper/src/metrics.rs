//! What the keeper counts, in words for whoever reads `/metrics`; docs/keeper.md says when to act on which.

use ::metrics::{describe_counter, describe_gauge};

/// Describes the keeper's metrics, once a process.
pub fn describe() {
    describe_gauge!(
        "mintkeep_keeper_seconds_to_expiry",
        "How long the first of a credential's tokens to end lives yet, but for those that wait for people."
    );
    describe_gauge!("mintkeep_keeper_tokens", "Tokens by state.");
    describe_counter!(
        "mintkeep_keeper_renewals_total",
        "Renewals that this process made, by dialect, cause and outcome."
    );
    describe_counter!("mintkeep_keeper_exchanges_total", "Exchanges of codes by outcome.");
    describe_counter!(
        "mintkeep_keeper_stale_serves_total",
        "Tokens served, good still, whose last renewal failed."
    );
    describe_counter!(
        "mintkeep_keeper_reports_total",
        "Reports of dead tokens, by consumer and what was made of them."
    );
    describe_counter!(
        "mintkeep_keeper_refused_total",
        "Callers without a good key, or asking for what is not theirs."
    );
    describe_counter!("mintkeep_keeper_store_errors_total", "Calls that the keeper's store did not answer.");
    describe_counter!("mintkeep_keeper_proxied_total", "Calls through the proxy by outcome.");
    describe_counter!(
        "mintkeep_keeper_proxy_repeats_total",
        "Calls through the proxy made twice for a dead token."
    );
}
