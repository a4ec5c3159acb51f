//! The signal to stop, which also ends a wait for a POS at once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::port::pause_or_stop;

/// Tells a printer's or a POS's thread to end. All clones are one signal; it is never taken back.
#[derive(Debug, Clone)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    set: AtomicBool,
    /// Readable once the signal is given; absent if the system had no descriptor left, and then a wait ends
    /// a little later.
    wake: Option<OwnedFd>,
}

impl Stop {
    /// A signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                set: AtomicBool::new(false),
                wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok(),
            }),
        }
    }

    /// Gives it.
    pub fn set(&self) {
        self.inner.set.store(true, Ordering::SeqCst);
        if let Some(wake) = &self.inner.wake {
            // A counter that is full is as readable as one that is not.
            let _ = rustix::io::write(wake, &1_u64.to_ne_bytes());
        }
    }

    /// Whether it was given.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.inner.set.load(Ordering::SeqCst)
    }

    /// Waits for it, at most so long.
    pub fn wait(&self, at_most: Duration) {
        if !self.is_set() {
            pause_or_stop(self.wake(), at_most);
        }
    }

    /// The same for a loop that looks at a flag.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.inner.set
    }

    /// What becomes readable with the signal.
    pub(super) fn wake(&self) -> Option<BorrowedFd<'_>> {
        self.inner.wake.as_ref().map(AsFd::as_fd)
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
