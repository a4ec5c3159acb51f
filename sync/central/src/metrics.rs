//! What this instance counts, as Prometheus reads it: requests by path and status with how long they took, lines
//! taken from stores. How the stores are is read from the database when it is asked for ([`crate::serve`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use meter::{End, Histogram, labels};
pub use meter::{head, line};

/// Upper ends of what durations are sorted into.
const ENDS: [End; 7] = [
    (5_000, "0.005"),
    (25_000, "0.025"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
    (60_000_000, "60"),
];
/// Kinds of request that are told apart; further ones are counted together.
const MAX_KINDS: usize = 2_000;

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    method: String,
    route: String,
    status: u16,
}

/// The counters.
#[derive(Debug)]
pub struct Metrics {
    requests: Mutex<BTreeMap<Kind, Histogram<7>>>,
    entries: AtomicU64,
}

/// The counters of this process.
pub static METRICS: Metrics = Metrics::new();

impl Metrics {
    /// All at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            requests: Mutex::new(BTreeMap::new()),
            entries: AtomicU64::new(0),
        }
    }

    /// So many lines of stores were taken and committed.
    pub fn entries_taken(&self, count: u64) {
        self.entries.fetch_add(count, Ordering::Relaxed);
    }

    /// A request was answered. `route` is the path as it stands in the router, never what was asked for.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut kind = Kind {
            method: method.to_owned(),
            route: route.to_owned(),
            status,
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() >= MAX_KINDS && !requests.contains_key(&kind) {
            "other".clone_into(&mut kind.method);
            "other".clone_into(&mut kind.route);
        }
        let times = requests.entry(kind).or_insert_with(|| Histogram::new(ENDS));
        times.observe(took);
    }

    /// As Prometheus reads them.
    pub fn write(&self, text: &mut String) {
        head(
            text,
            "fiscal_hq_entries_taken_total",
            "counter",
            "Lines of stores that were taken.",
        );
        line(
            text,
            "fiscal_hq_entries_taken_total",
            "",
            self.entries.load(Ordering::Relaxed),
        );
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "fiscal_hq_request_seconds";
        head(
            text,
            name,
            "histogram",
            "How long requests took, by path and status.",
        );
        for (kind, times) in requests.iter() {
            let labels = labels(&[
                ("method", &kind.method),
                ("route", &kind.route),
                ("status", &kind.status.to_string()),
            ]);
            times.write(text, name, &labels);
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each duration is in every bucket that it fits; kinds beyond the limit are counted together.
    #[test]
    fn durations_are_sorted_into_buckets() {
        let metrics = Metrics::new();
        metrics.entries_taken(3);
        metrics.answered("GET", "/a", 200, Duration::from_millis(20));
        metrics.answered("GET", "/a", 200, Duration::from_secs(100));
        let mut text = String::new();
        metrics.write(&mut text);
        let labels = "method=\"GET\",route=\"/a\",status=\"200\"";
        for wanted in [
            "fiscal_hq_entries_taken_total 3\n".to_owned(),
            format!("fiscal_hq_request_seconds_bucket{{{labels},le=\"0.005\"}} 0\n"),
            format!("fiscal_hq_request_seconds_bucket{{{labels},le=\"0.025\"}} 1\n"),
            format!("fiscal_hq_request_seconds_bucket{{{labels},le=\"60\"}} 1\n"),
            format!("fiscal_hq_request_seconds_bucket{{{labels},le=\"+Inf\"}} 2\n"),
            format!("fiscal_hq_request_seconds_sum{{{labels}}} 100.020000\n"),
            format!("fiscal_hq_request_seconds_count{{{labels}}} 2\n"),
        ] {
            assert!(text.contains(&wanted), "{wanted} in {text}");
        }
        for no in 0..MAX_KINDS + 5 {
            metrics.answered("GET", &format!("/{no}"), 200, Duration::ZERO);
        }
        let mut text = String::new();
        metrics.write(&mut text);
        assert!(text.contains("route=\"other\""));
    }
}
