//! What a running till tells and asks FDMS beside its stream: that it is on, and what its configuration is.
//!
//! Ping goes out at the period that FDMS names. The configuration is fetched at the start, every hour
//! while no day is open (so that the next day opens on fresh taxes), and once a day otherwise. The
//! certificate is looked after at every turn.

use std::sync::Arc;
use std::time::Duration;

use super::line::Line;
use super::renew::Renewal;
use crate::fdms::Outcome;

/// Period of Ping until FDMS has named one.
const PING_EVERY: Duration = Duration::from_secs(5 * 60);
/// Shortest and longest period that is believed.
const PING_LIMITS: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(24 * 60 * 60));
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs for ever; whoever started it stops it by dropping it.
pub(super) async fn run(line: Arc<Line>) {
    let mut renewal = Renewal::default();
    loop {
        if let Err(pause) = line.breaker.pass(line.clock().boot()) {
            line.clock().sleep(pause).await;
            continue;
        }
        if config_is_due(line.config_age(), is_day_open(&line).await) {
            line.fetch_config().await;
        }
        renewal.turn(&line).await;
        let pong = line.ask(line.fdms.ping()).await;
        let named = match pong.outcome {
            Outcome::Accepted(pong) => pong.reporting_frequency_minutes,
            _ => None,
        };
        line.clock().sleep(period(named)).await;
    }
}

/// FDMS's period, within reason.
fn period(minutes: Option<u32>) -> Duration {
    let named = minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
    let (shortest, longest) = PING_LIMITS;
    named.unwrap_or(PING_EVERY).clamp(shortest, longest)
}

fn config_is_due(age: Option<Duration>, day_is_open: bool) -> bool {
    let longest = if day_is_open { DAY } else { HOUR };
    age.is_none_or(|age| age >= longest)
}

async fn is_day_open(line: &Line) -> bool {
    let till = line.till.id;
    let day = line.ledger.ask(move |reader| reader.day(till, None)).await;
    // A ledger that cannot be read says so elsewhere.
    day.is_ok_and(|day| day.is_some_and(|day| day.close.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A period that would flood FDMS, or never come, is cut to reason.
    #[test]
    fn periods_are_believed_within_reason() {
        let table = [
            (None, 300),
            (Some(0), 60),
            (Some(5), 300),
            (Some(60), 3600),
            (Some(u32::MAX), 86_400),
        ];
        for (minutes, seconds) in table {
            assert_eq!(period(minutes), Duration::from_secs(seconds), "{minutes:?}");
        }
    }

    /// Configuration: at the start, hourly between days, daily within one.
    #[test]
    fn configuration_is_fetched_when_due() {
        let hours = |hours| Some(HOUR * hours);
        assert!(config_is_due(None, true));
        assert!(!config_is_due(hours(1), true));
        assert!(config_is_due(hours(24), true));
        assert!(!config_is_due(Some(HOUR / 2), false));
        assert!(config_is_due(hours(1), false));
    }
}
