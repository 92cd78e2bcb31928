//! What a listener counts. No label comes from a caller, and no request makes a new one's text.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram};
use ::metrics::{Unit, gauge, histogram};
use ahash::HashMap;

use crate::note::AnswerNote;

/// The histogram of handlers' times, for which the exporter is given buckets.
pub const REQUEST_SECONDS: &str = "mintkeep_http_request_seconds";

/// Says what the metrics of all listeners mean. Call it once, after the recorder is installed.
pub fn describe() {
    describe_counter!("mintkeep_http_requests_total", "Requests by listener, endpoint, status and code.");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "From a request's whole head to its answer.");
    describe_gauge!("mintkeep_http_connections", "Open connections.");
    describe_counter!(
        "mintkeep_access_log_lines_dropped_total",
        "Lines dropped because the log's writer was slow."
    );
}

/// A counter for each status and note that was answered.
type Counters = HashMap<(u16, Option<AnswerNote>), Counter>;

/// One listener's counters, registered before they are needed, or when an endpoint first says a new code.
pub struct HttpMetrics {
    listener: &'static str,
    requests: RwLock<Counters>,
    request_seconds: Histogram,
    connections: Gauge,
}

impl HttpMetrics {
    /// Registers the metrics of the listener of this name.
    #[must_use]
    pub fn new(listener: &'static str) -> Self {
        Self {
            listener,
            requests: RwLock::default(),
            request_seconds: histogram!(REQUEST_SECONDS, "listener" => listener),
            connections: gauge!("mintkeep_http_connections", "listener" => listener),
        }
    }

    /// Counts an answer. `status` is 0 for a connection dropped without one.
    pub fn answered(&self, status: u16, note: Option<AnswerNote>, duration: Duration) {
        self.request_seconds.record(duration);
        let key = (status, note);
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = requests.get(&key) {
            counter.increment(1);
            return;
        }
        drop(requests);
        let counter = self.register(status, note);
        counter.increment(1);
        self.requests.write().unwrap_or_else(PoisonError::into_inner).insert(key, counter);
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.increment(1);
        Connected(self.connections.clone())
    }

    fn register(&self, status: u16, note: Option<AnswerNote>) -> Counter {
        let AnswerNote { endpoint, code } = note.unwrap_or(AnswerNote { endpoint: "other", code: "" });
        counter!(
            "mintkeep_http_requests_total",
            "listener" => self.listener, "endpoint" => endpoint, "status" => status.to_string(), "code" => code
        )
    }
}

/// An open connection, as long as it is counted.
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn answers_are_counted_by_endpoint_status_and_code() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let rendered = ::metrics::with_local_recorder(&recorder, || {
            let metrics = HttpMetrics::new("issuer");
            let note = AnswerNote { endpoint: "wechat", code: "granted" };
            let open = (metrics.connected(), metrics.connected());
            drop(open.1);
            for _ in 0..3 {
                metrics.answered(200, Some(note), Duration::from_millis(1));
            }
            metrics.answered(404, None, Duration::from_millis(1));
            recorder.handle().render()
        });
        for line in [
            r#"mintkeep_http_requests_total{listener="issuer",endpoint="wechat",status="200",code="granted"} 3"#,
            r#"mintkeep_http_requests_total{listener="issuer",endpoint="other",status="404",code=""} 1"#,
            r#"mintkeep_http_connections{listener="issuer"} 1"#,
            r#"mintkeep_http_request_seconds_count{listener="issuer"} 4"#,
        ] {
            assert!(rendered.contains(line), "no {line} in\n{rendered}");
        }
    }
}
