//! What counting and measuring for Prometheus takes of a sale: the clock that is read at each step, and the histograms.

use std::time::Duration;

use clock::{Clock as _, SystemClock};

use super::report::cores;
use crate::metrics::{Metrics, SaleEnd, Step};

/// Sales between two looks at the clock.
const BETWEEN_LOOKS: u32 = 1_000;

/// Nanoseconds of each sale, while every core counts on the same counters: no sale pays more.
///
/// A batch tells its signing and its commit once for all its sales; here each sale does.
pub(super) fn ns_per_sale(duration: Duration) -> anyhow::Result<f64> {
    let metrics = Metrics::default();
    let rates = std::thread::scope(|scope| {
        let count = || count(&metrics, duration);
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(count)).collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.collect::<Result<Vec<f64>, _>>()
    });
    let mut rates = rates.map_err(|_| anyhow::anyhow!("a thread that counts has failed"))?;
    Ok(super::quantile(&mut rates, 0.5))
}

/// Counts like a sale after the other; nanoseconds each.
#[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
fn count(metrics: &Metrics, duration: Duration) -> f64 {
    let start = SystemClock.boot();
    let (mut sales, mut last) = (0_u32, start);
    while last.saturating_sub(start) < duration {
        for _ in 0..BETWEEN_LOOKS {
            let begun = SystemClock.boot();
            last = begun;
            for step in [Step::Parse, Step::Queue, Step::Sign, Step::Commit] {
                let now = SystemClock.boot();
                metrics.step(step, now.saturating_sub(last), 1);
                last = now;
            }
            last = SystemClock.boot();
            metrics.step(Step::Total, last.saturating_sub(begun), 1);
            metrics.sales(SaleEnd::Issued, 1);
        }
        sales = sales.saturating_add(BETWEEN_LOOKS);
    }
    last.saturating_sub(start).as_secs_f64() * 1e9 / f64::from(sales.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It takes time, and less than a sale on any machine.
    #[test]
    fn counting_takes_time() {
        let ns = ns_per_sale(Duration::from_millis(5)).unwrap();
        assert!(ns > 1.0 && ns < 1e6, "{ns}");
    }
}
