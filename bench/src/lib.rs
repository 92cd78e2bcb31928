//! What the bins of the load harness share: how long something took, and how they tell.

use std::time::{Duration, Instant};

/// A stopwatch. Its home is here because a harness that measures can't take the time as a value.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts one.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "measuring time is what this crate is for")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The value below which `percent` of `sorted` lies; zero of nothing.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// Tells the harness something, as a line of JSON on the standard output.
#[expect(clippy::print_stdout, reason = "the harness reads it from there")]
pub fn tell(what: &serde_json::Value) {
    println!("{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_measured_value() {
        let measured: Vec<Duration> = (1..=200).map(Duration::from_micros).collect();
        let cases = [(50, 100), (99, 198), (100, 200), (0, 1)];
        for (percent, micros) in cases {
            assert_eq!(percentile(&measured, percent), Duration::from_micros(micros), "{percent} %");
        }
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
