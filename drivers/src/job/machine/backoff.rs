//! When a link is opened again: at once, then after pauses that grow.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);
/// The longest. Once a cable is back, a printer is found again within five seconds.
const LONGEST: Duration = Duration::from_secs(4);
/// A link that has lived so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// The pauses between attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    due: Duration,
    pause: Duration,
    opened: Duration,
    failed: bool,
}

impl Backoff {
    /// Due at once.
    pub(super) fn new() -> Self {
        Self {
            due: Duration::ZERO,
            pause: FIRST,
            opened: Duration::ZERO,
            failed: false,
        }
    }

    /// Whether an attempt is due.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.due
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// Whether the link is closed because an attempt failed or it was lost.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, now: Duration) {
        self.failed = true;
        self.due = now.saturating_add(self.pause);
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
    }

    /// The link is open.
    pub(super) fn opened(&mut self, now: Duration) {
        self.failed = false;
        self.opened = now;
    }

    /// The printer was heard: the link is a good one.
    pub(super) fn heard(&mut self) {
        self.pause = FIRST;
    }

    /// The link is lost.
    pub(super) fn lost(&mut self, now: Duration) {
        if now.saturating_sub(self.opened) >= GOOD {
            self.pause = FIRST;
        }
        self.failed(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses grow up to their limit, and begin anew after a good link only.
    #[test]
    fn pauses_grow() {
        let mut backoff = Backoff::new();
        let mut now = Duration::ZERO;
        assert!(backoff.is_due(now));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            backoff.failed(now);
            pauses.push((backoff.due() - now).as_millis());
            now = backoff.due();
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 4000]);
        backoff.opened(now);
        backoff.lost(now);
        assert_eq!(backoff.due() - now, LONGEST, "it was lost at once");
        backoff.opened(now);
        backoff.heard();
        backoff.lost(now);
        assert_eq!(backoff.due() - now, FIRST, "it was a good one");
        backoff.opened(now);
        backoff.lost(now + GOOD);
        assert_eq!(backoff.due() - now - GOOD, FIRST, "it was a good one, too");
    }
}
