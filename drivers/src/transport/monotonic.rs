//! Real time, the only place of the crate that measures it.

use std::time::{Duration, Instant};

use super::Monotonic;

/// The machine's monotonic clock, counted since this was made.
#[derive(Debug, Clone, Copy)]
pub struct SystemMonotonic {
    begin: Instant,
}

impl SystemMonotonic {
    /// Begins to count.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is what all others ask")]
    pub fn new() -> Self {
        Self {
            begin: Instant::now(),
        }
    }
}

impl Default for SystemMonotonic {
    fn default() -> Self {
        Self::new()
    }
}

impl Monotonic for SystemMonotonic {
    #[expect(clippy::disallowed_methods, reason = "this is what all others ask")]
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It counts, and it never goes back.
    #[test]
    fn goes_forwards() {
        let time = SystemMonotonic::new();
        let first = time.now();
        let mut later = time.now();
        while later == first {
            later = time.now();
        }
        assert!(later > first);
    }
}
