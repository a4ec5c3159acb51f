//! How far the trusted time may be ahead of FDMS's clock: a receipt that arrives before its own date is marked
//! (docs/FDMS.md section 4, RCPT031), so it is not sent before FDMS's clock must have reached that.
//!
//! FDMS's `Date` has whole seconds and was written at some moment of the round trip. So one answer says only how much the
//! lead is at most; of many answers the lowest word holds, less and less surely as time passes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clock::Timestamp;
use jiff::SignedDuration;

use crate::time::TOLERANCE;

/// Two quartz clocks go apart by no more than so many milliseconds a minute: 200 parts in a million. It is counted in whole
/// minutes, so that who waits for a moment finds it come when it has come.
const DRIFT_MS: u64 = 12;
/// What was known once grows by no more than this: a till that has been quiet for days waits no longer.
const MOST_DRIFT: Duration = Duration::from_secs(1);
/// More than this is no lead: what is believed of clocks, the second that `Date` is cut to, and the drift.
const MOST: SignedDuration = SignedDuration::from_secs(TOLERANCE.as_secs() + 2);

/// The lead of a till's line.
#[derive(Debug, Default)]
pub(super) struct Lead(Mutex<Option<Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    at_most: SignedDuration,
    /// The trusted time, and the boot clock, when that was known.
    now: Timestamp,
    boot: Duration,
}

impl Known {
    /// What it comes to later: with the steps of our own clock, which the boot clock tells, and the drift.
    fn later(self, now: Timestamp, boot: Duration) -> SignedDuration {
        let passed = boot.saturating_sub(self.boot);
        let drift = Duration::from_millis((passed.as_secs() / 60).saturating_mul(DRIFT_MS));
        let drift = SignedDuration::try_from(drift.min(MOST_DRIFT)).unwrap_or_default();
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        let stepped = now.duration_since(self.now).saturating_sub(passed);
        self.at_most.saturating_add(stepped).saturating_add(drift)
    }
}

impl Lead {
    /// FDMS's answer came at this moment with this `Date`.
    pub(super) fn learn(&self, date: Timestamp, now: Timestamp, boot: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = now.duration_since(date);
        let at_most = known.map_or(told, |known| told.min(known.later(now, boot)));
        *known = Some(Known { at_most, now, boot });
    }

    /// So much at most; beyond [`MOST`] FDMS's time is trusted, and there is none.
    pub(super) fn at_most(&self, now: Timestamp, boot: Duration) -> SignedDuration {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lead = known.map_or(SignedDuration::ZERO, |known| known.later(now, boot));
        match lead.is_positive() && lead <= MOST {
            true => lead,
            false => SignedDuration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_780_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(START + ms).unwrap()
    }

    /// Our clock is 300 ms ahead. Whatever the answers' place within their second, no lead below that is believed, and of
    /// some answers it is known closely.
    #[test]
    fn the_lowest_word_holds() {
        let lead = Lead::default();
        assert_eq!(lead.at_most(at(0), Duration::ZERO), SignedDuration::ZERO);
        for place in 0..40_i64 {
            let fdms = place * 1_730;
            let date = at(fdms - fdms.rem_euclid(1_000));
            let (now, boot) = (
                at(fdms + 300 + 40),
                Duration::from_millis(fdms.unsigned_abs()),
            );
            lead.learn(date, now, boot);
            let most = lead.at_most(now, boot).as_millis();
            assert!((300..=1_340).contains(&most), "{most}");
        }
        let boot = Duration::from_millis(39 * 1_730);
        let most = lead.at_most(at(39 * 1_730 + 340), boot).as_millis();
        assert!((300..=400).contains(&most), "{most}");
        // Our clock is set by a second, then the other way.
        for (step, expected) in [(1_000, 1_300..=1_400), (-2_000, 0..=0)] {
            let most = lead.at_most(at(39 * 1_730 + 340 + step), boot).as_millis();
            assert!(expected.contains(&most), "{step}: {most}");
        }
        // After a quiet week it is known to a second.
        let week = 7 * 86_400_000;
        let boot = boot + Duration::from_millis(week);
        let now = at(39 * 1_730 + 340 + i64::try_from(week).unwrap());
        let most = lead.at_most(now, boot).as_millis();
        assert!((1_300..=1_400).contains(&most), "{most}");
    }

    /// A clock that is far off is no lead.
    #[test]
    fn what_is_not_believed_is_no_lead() {
        let lead = Lead::default();
        lead.learn(at(0), at(3_600_000), Duration::ZERO);
        assert_eq!(
            lead.at_most(at(3_600_000), Duration::ZERO),
            SignedDuration::ZERO
        );
    }
}
