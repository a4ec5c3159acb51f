//! Counting and measuring for Prometheus: histograms made of atomics, and the text that it reads.
//!
//! Store and head office both tell how they are in this way. Nothing is kept but numbers, nothing waits for anybody,
//! and nothing grows until somebody asks: a sale pays a few additions for it. There are no floats: durations are whole
//! microseconds, written as seconds.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper end of a bucket: microseconds, and seconds as Prometheus writes them.
pub type End = (u64, &'static str);

/// How long something took, sorted into buckets.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    ends: [End; N],
    /// Those that ended in this bucket and in none before it.
    within: [AtomicU64; N],
    count: AtomicU64,
    micros: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// Nothing measured yet; the ends rise.
    #[must_use]
    pub const fn new(ends: [End; N]) -> Self {
        Self {
            ends,
            within: [const { AtomicU64::new(0) }; N],
            count: AtomicU64::new(0),
            micros: AtomicU64::new(0),
        }
    }

    /// Something took so long.
    pub fn observe(&self, took: Duration) {
        self.observe_many(took, 1);
    }

    /// So many things took so long each.
    pub fn observe_many(&self, took: Duration, times: u64) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = self.ends.iter().position(|(end, _)| micros <= *end);
        if let Some(bucket) = place.and_then(|place| self.within.get(place)) {
            bucket.fetch_add(times, Ordering::Relaxed);
        }
        self.count.fetch_add(times, Ordering::Relaxed);
        let sum = micros.saturating_mul(times);
        self.micros.fetch_add(sum, Ordering::Relaxed);
    }

    /// How many were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Its lines; `labels` as [`labels()`] makes them, without an end.
    pub fn write(&self, text: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bucket = format!("{name}_bucket");
        // Read last, so that the buckets never hold more than the count says.
        let mut up_to = 0;
        for ((_, end), within) in self.ends.iter().zip(&self.within) {
            up_to += within.load(Ordering::Relaxed);
            let labels = format!("{labels}{comma}le=\"{end}\"");
            line(text, &bucket, &labels, up_to);
        }
        let count = self.count().max(up_to);
        line(text, &bucket, &format!("{labels}{comma}le=\"+Inf\""), count);
        let micros = self.micros.load(Ordering::Relaxed);
        let seconds = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        line(text, &format!("{name}_sum"), labels, seconds);
        line(text, &format!("{name}_count"), labels, count);
    }
}

/// Says what a metric is: its kind is `counter`, `gauge` or `histogram`.
pub fn head(text: &mut String, name: &str, kind: &str, about: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {about}\n# TYPE {name} {kind}");
}

/// A value of a metric.
pub fn line(text: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = if labels.is_empty() {
        writeln!(text, "{name} {value}")
    } else {
        writeln!(text, "{name}{{{labels}}} {value}")
    };
}

/// Labels as they stand between the braces; what would break out of its quotes is escaped.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' | '"' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each duration is in every bucket that it fits; the end itself belongs to it.
    #[test]
    fn durations_are_sorted_into_buckets() {
        let histogram = Histogram::new([(1_000, "0.001"), (20_000, "0.02"), (500_000, "0.5")]);
        histogram.observe(Duration::from_millis(20));
        histogram.observe_many(Duration::from_micros(400), 3);
        histogram.observe(Duration::from_secs(100));
        let mut text = String::new();
        histogram.write(&mut text, "took", "step=\"x\"");
        assert_eq!(
            text,
            "took_bucket{step=\"x\",le=\"0.001\"} 3\ntook_bucket{step=\"x\",le=\"0.02\"} 4\n\
             took_bucket{step=\"x\",le=\"0.5\"} 4\ntook_bucket{step=\"x\",le=\"+Inf\"} 5\n\
             took_sum{step=\"x\"} 100.021200\ntook_count{step=\"x\"} 5\n"
        );
    }

    /// A name that holds quotes stays one label.
    #[test]
    fn labels_are_escaped() {
        let labels = labels(&[("printer", "a\"b\\c\nd"), ("till", "7")]);
        assert_eq!(labels, r#"printer="a\"b\\c\nd",till="7""#);
        let mut text = String::new();
        head(&mut text, "up", "gauge", "Whether.");
        line(&mut text, "up", "", 1);
        line(&mut text, "up", &labels, 0);
        assert!(text.starts_with("# HELP up Whether.\n# TYPE up gauge\nup 1\nup{printer="));
    }
}
