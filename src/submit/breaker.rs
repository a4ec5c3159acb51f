//! A circuit breaker for the way to one FDMS, shared by all tills that go it.
//!
//! After a few failures in a row nobody asks any more. Now and then one till tries, half open, for all of
//! them; when it gets through, all go on at once, whatever pause each of them was in. So a shop without a line
//! costs FDMS one question at a time, and is back within half a minute of its line.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// So many failures in a row open it.
const OPENS_AFTER: u32 = 3;
/// First pause; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(30);
/// A try that nobody has heard of for so long is lost, with whoever made it.
const TRY: Duration = Duration::from_secs(60);

/// The breaker; times are of the boot clock.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    back: watch::Sender<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    failures: u32,
    /// While it is open: nobody asks before this moment.
    open_until: Option<Duration>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            back: watch::Sender::new(0),
        }
    }
}

impl Breaker {
    /// Whether somebody may ask now; else how long to wait. The first to ask after a pause tries for all.
    pub(super) fn pass(&self, now: Duration) -> Result<(), Duration> {
        let mut state = self.lock();
        match state.open_until {
            None => Ok(()),
            Some(until) if until > now => Err(until - now),
            Some(_) => {
                state.open_until = Some(now + TRY);
                Ok(())
            }
        }
    }

    /// How long until somebody may try for all; none while it is closed.
    pub(super) fn next_try(&self, now: Duration) -> Option<Duration> {
        let until = self.lock().open_until;
        until.map(|until| until.saturating_sub(now))
    }

    /// How a question ended: whether FDMS was reached.
    pub(super) fn report(&self, reached: bool, now: Duration) {
        let mut state = self.lock();
        if reached {
            let was_open = state.open_until.is_some();
            *state = State::default();
            drop(state);
            if was_open {
                self.back.send_modify(|times| *times += 1);
            }
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if let Some(beyond) = state.failures.checked_sub(OPENS_AFTER) {
            let pause = FIRST.saturating_mul(1 << beyond.min(8)).min(LONGEST);
            state.open_until = Some(now + pause);
        }
    }

    /// Counts how often the way has come back.
    pub(super) fn back(&self) -> watch::Receiver<u64> {
        self.back.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Three failures open it; then one asks for all, with growing pauses; a success lets everybody go.
    #[test]
    fn one_tries_for_all() {
        let breaker = Breaker::default();
        let back = breaker.back();
        for _ in 0..3 {
            assert_eq!(breaker.pass(secs(0)), Ok(()));
            breaker.report(false, secs(0));
        }
        assert_eq!(breaker.pass(secs(0)), Err(secs(1)));
        assert_eq!(breaker.next_try(secs(0)), Some(secs(1)));
        assert_eq!(breaker.pass(secs(1)), Ok(()));
        assert_eq!(breaker.pass(secs(1)), Err(TRY), "one is trying");
        breaker.report(false, secs(2));
        assert_eq!(breaker.pass(secs(2)), Err(secs(2)));
        for _ in 0..20 {
            breaker.report(false, secs(10));
        }
        assert_eq!(breaker.pass(secs(10)), Err(LONGEST));
        assert_eq!(breaker.pass(secs(40)), Ok(()));
        assert!(!back.has_changed().unwrap());
        breaker.report(true, secs(41));
        assert!(back.has_changed().unwrap());
        assert_eq!(breaker.next_try(secs(41)), None);
        assert_eq!(breaker.pass(secs(41)), Ok(()));
        assert_eq!(breaker.pass(secs(41)), Ok(()));
    }

    /// A try that is never heard of again does not hold the others up for ever.
    #[test]
    fn a_lost_try_is_followed_by_another() {
        let breaker = Breaker::default();
        (0..3).for_each(|_| breaker.report(false, secs(0)));
        assert_eq!(breaker.pass(secs(1)), Ok(()));
        assert_eq!(breaker.pass(secs(30)), Err(secs(31)));
        assert_eq!(breaker.pass(secs(61)), Ok(()));
    }
}
