//! What the gateway counts and measures while it works: the steps of a sale, and what FDMS answers.
//!
//! It lives as long as the process, in atomics; how the store *is* (queues, days, certificates, disk) is read when
//! somebody asks ([`crate::api`]). Labels name tills and steps, never a buyer or a receipt.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fiscal::DeviceId;
use meter::{End, Histogram, head, labels, line};

use crate::ledger::Environment;

/// Ends for the steps of a sale: from a tenth of a millisecond to what a cashier calls broken.
const SALE_ENDS: [End; 13] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (5_000_000, "5"),
];
/// Ends for calls of FDMS, which may take half a minute.
const CALL_ENDS: [End; 8] = [
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
    (35_000_000, "35"),
];

/// A step of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// From the request to a sale of which every field is known.
    Parse,
    /// Waiting for the writer.
    Queue,
    /// Judging, numbering and signing, together with the others of its batch.
    Sign,
    /// Writing the batch until it is durable.
    Commit,
    /// From the request to the answer, without waiting for FDMS.
    Total,
}

impl Step {
    const ALL: [Self; 5] = [
        Self::Parse,
        Self::Queue,
        Self::Sign,
        Self::Commit,
        Self::Total,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Queue => "queue",
            Self::Sign => "sign",
            Self::Commit => "commit",
            Self::Total => "total",
        }
    }
}

/// How a sale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaleEnd {
    /// With a receipt.
    Issued,
    /// With the receipt that it had before.
    Repeated,
    /// It breaks a rule, or the till takes no sales.
    Refused,
    /// The storage failed, or too many waited.
    Failed,
}

impl SaleEnd {
    const ALL: [Self; 4] = [Self::Issued, Self::Repeated, Self::Refused, Self::Failed];

    const fn word(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// How a call of FDMS ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallEnd {
    /// FDMS did it.
    Accepted,
    /// FDMS refused.
    Refused,
    /// Not now.
    Later,
    /// Nobody knows.
    Unknown,
}

impl CallEnd {
    const ALL: [Self; 4] = [Self::Accepted, Self::Refused, Self::Later, Self::Unknown];

    const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Later => "later",
            Self::Unknown => "unknown",
        }
    }
}

/// The counters of a gateway.
#[derive(Debug)]
pub struct Metrics {
    steps: [Histogram<13>; 5],
    sales: [AtomicU64; 4],
    calls: Mutex<BTreeMap<(Environment, DeviceId), [u64; 4]>>,
    call_seconds: Histogram<8>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            steps: [const { Histogram::new(SALE_ENDS) }; 5],
            sales: [const { AtomicU64::new(0) }; 4],
            calls: Mutex::default(),
            call_seconds: Histogram::new(CALL_ENDS),
        }
    }
}

impl Metrics {
    /// A step of so many sales took so long each.
    pub fn step(&self, step: Step, took: Duration, sales: usize) {
        let place = Step::ALL.iter().position(|each| *each == step);
        if let Some(histogram) = place.and_then(|place| self.steps.get(place)) {
            histogram.observe_many(took, u64::try_from(sales).unwrap_or(u64::MAX));
        }
    }

    /// So many sales ended so.
    pub fn sales(&self, end: SaleEnd, count: u64) {
        let place = SaleEnd::ALL.iter().position(|each| *each == end);
        if let Some(counter) = place.and_then(|place| self.sales.get(place)) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// A call of FDMS ended so.
    pub fn call(&self, till: (Environment, DeviceId), end: CallEnd, took: Duration) {
        self.call_seconds.observe(took);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = calls.entry(till).or_default();
        let place = CallEnd::ALL.iter().position(|each| *each == end);
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }

    /// As Prometheus reads them.
    pub fn write(&self, text: &mut String) {
        let name = "fiscald_sale_seconds";
        let about = "How long the steps of a sale took.";
        head(text, name, "histogram", about);
        for (step, histogram) in Step::ALL.iter().zip(&self.steps) {
            histogram.write(text, name, &labels(&[("step", step.word())]));
        }
        let name = "fiscald_sales_total";
        head(text, name, "counter", "Sales by how they ended.");
        for (end, count) in SaleEnd::ALL.iter().zip(&self.sales) {
            let labels = labels(&[("outcome", end.word())]);
            line(text, name, &labels, count.load(Ordering::Relaxed));
        }
        let name = "fiscald_fdms_seconds";
        head(text, name, "histogram", "How long FDMS took to answer.");
        self.call_seconds.write(text, name, "");
        let name = "fiscald_fdms_calls_total";
        head(text, name, "counter", "Calls of FDMS by till and outcome.");
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        for ((environment, device), counts) in calls.iter() {
            for (end, count) in CallEnd::ALL.iter().zip(counts) {
                let labels = labels(&[
                    ("till", &device.to_string()),
                    ("environment", environment.as_str()),
                    ("outcome", end.word()),
                ]);
                line(text, name, &labels, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was counted stands in the text, each under its own labels; a batch counts for each of its sales.
    #[test]
    fn counters_are_told() {
        let metrics = Metrics::default();
        metrics.step(Step::Commit, Duration::from_millis(3), 7);
        metrics.sales(SaleEnd::Refused, 2);
        let till = (Environment::Test, DeviceId::new(42).unwrap());
        metrics.call(till, CallEnd::Later, Duration::from_secs(2));
        let mut text = String::new();
        metrics.write(&mut text);
        for wanted in [
            "fiscald_sale_seconds_bucket{step=\"commit\",le=\"0.0025\"} 0\n",
            "fiscald_sale_seconds_bucket{step=\"commit\",le=\"0.005\"} 7\n",
            "fiscald_sale_seconds_sum{step=\"commit\"} 0.021000\n",
            "fiscald_sale_seconds_count{step=\"total\"} 0\n",
            "fiscald_sales_total{outcome=\"refused\"} 2\n",
            "fiscald_sales_total{outcome=\"issued\"} 0\n",
            "fiscald_fdms_calls_total{till=\"42\",environment=\"test\",outcome=\"later\"} 1\n",
            "fiscald_fdms_calls_total{till=\"42\",environment=\"test\",outcome=\"accepted\"} 0\n",
            "fiscald_fdms_seconds_count 1\n",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }
}
