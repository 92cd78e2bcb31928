//! What the process tells of itself: log lines on standard error, metrics in Prometheus' form.
//!
//! No secret gets into a line by three rules: the types of secrets can't be printed; of other libraries,
//! which print what passes through them when they are asked for details, only warnings are written; and a
//! panic is told by its place, with its message only if that is a constant.

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use mintkeep_web::access_log::{AccessLog, Format};
use mintkeep_web::tasks::Tasks;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogSettings;

/// How often the histograms' samples are gathered into their buckets, so that they take no memory.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// The upper bounds of the request histogram's buckets, in seconds.
const REQUEST_SECONDS_BUCKETS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Starts log and metrics, once in a process. Events go where requests leave their lines, so that nobody waits for whoever
/// reads the log.
pub fn install(log: LogSettings, shared: &AccessLog) -> Result<Metrics> {
    let ours = Targets::new().with_default(LevelFilter::WARN).with_target("mintkeep", log.level);
    let shared = shared.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || shared.events());
    let lines = match log.format {
        Format::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(ours)).try_init()?;
    std::panic::set_hook(Box::new(tell_panic));

    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full(mintkeep_web::metrics::REQUEST_SECONDS.to_owned()),
            &REQUEST_SECONDS_BUCKETS,
        )
        .and_then(PrometheusBuilder::install_recorder)
        .context("the metrics can't be started")?;
    mintkeep_web::metrics::describe();
    mintkeep_keeper::metrics::describe();
    metrics::describe_gauge!("mintkeep_build_info", "1, labelled with the version that runs.");
    metrics::gauge!("mintkeep_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    Ok(Metrics(handle))
}

impl Metrics {
    /// `GET /metrics`.
    pub fn router(&self) -> Router {
        let handle = self.0.clone();
        let text = "text/plain; version=0.0.4; charset=utf-8";
        Router::new().route("/metrics", get(async move || ([(CONTENT_TYPE, text)], handle.render())))
    }

    /// Gathers samples until the process stops.
    pub fn keep_up(&self, tasks: &Tasks) {
        let (handle, of_task) = (self.0.clone(), tasks.clone());
        tasks.spawn(async move {
            while tokio::time::timeout(UPKEEP_PERIOD, of_task.stopping()).await.is_err() {
                handle.run_upkeep();
            }
        });
    }
}

/// Logs a panic without what it was formatted from, which may be anything.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let message = panic.payload().downcast_ref::<&'static str>().copied();
    tracing::error!(
        place = place.as_deref().unwrap_or("unknown"),
        message = message.unwrap_or("(formatted at run time, left out)"),
        "a panic; this is a bug"
    );
}
