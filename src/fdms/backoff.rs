//! Growing pauses between tries, as a pure function: the plan lies in the ledger's row, not in a loop.

use std::time::Duration;

/// First pause.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause: a shop that comes online again waits no longer than this for its queue to move.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// Longest `Retry-After` that is honoured; a larger one is a mistake of somebody's.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// The pause before the next try, after `attempts` failed ones (1 for the first).
///
/// The ceiling doubles from 1 s to 5 min; `jitter`, a random number, chooses a point between a quarter
/// of it and the whole, so that the tills of a town do not all return in the same second. `retry_after`
/// is FDMS's own wish and is never undercut, up to an hour.
#[must_use]
pub fn backoff(attempts: u32, jitter: u64, retry_after: Option<Duration>) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let ceiling = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let floor = ceiling / 4;
    let room = u64::try_from((ceiling - floor).as_millis()).unwrap_or(u64::MAX);
    let pause = floor + Duration::from_millis(jitter % (room + 1));
    pause.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ceilings: 1, 2, 4 … 256, 300 s and never more.
    #[test]
    fn ceilings_double_to_five_minutes() {
        let highest = |attempts| {
            // The largest jitter that is a multiple of the room + 1, less one.
            (0..4000)
                .map(|step| backoff(attempts, step * 61, None))
                .max()
                .unwrap()
        };
        let expected = [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (9, 256),
            (10, 300),
            (40, 300),
            (u32::MAX, 300),
        ];
        for (attempts, seconds) in expected {
            let highest = highest(attempts);
            let ceiling = Duration::from_secs(seconds);
            assert!(highest <= ceiling, "{attempts}: {highest:?}");
            assert!(
                highest >= ceiling - ceiling / 100,
                "{attempts}: {highest:?}"
            );
        }
    }

    proptest! {
        /// Whatever the jitter, the pause lies between a quarter of the ceiling and the ceiling.
        #[test]
        fn jitter_is_bounded(attempts in 0_u32..64, jitter: u64) {
            let ceiling = Duration::from_secs(1 << attempts.saturating_sub(1).min(9)).min(LONGEST);
            let pause = backoff(attempts, jitter, None);
            prop_assert!(pause <= ceiling && pause >= ceiling / 4, "{pause:?}");
        }

        /// FDMS's wish is never undercut, and a silly one is cut to an hour.
        #[test]
        fn retry_after_is_honoured(attempts in 0_u32..64, jitter: u64, seconds in 0_u64..100_000) {
            let pause = backoff(attempts, jitter, Some(Duration::from_secs(seconds)));
            prop_assert!(pause >= Duration::from_secs(seconds.min(3600)));
            prop_assert!(pause <= Duration::from_secs(3600));
        }
    }

    /// Two jitters, two pauses: tills spread out.
    #[test]
    fn jitter_spreads() {
        let pauses: std::collections::BTreeSet<_> =
            (0..100).map(|j| backoff(9, j * 7919, None)).collect();
        assert!(pauses.len() > 90);
    }
}
