//! A clock that stands still while one thing is done, so that all that looks at it there, and all that
//! plays it again, sees the same moment.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::{Clock, SharedClock, Timestamp};

/// See the module.
#[derive(Debug)]
pub(crate) struct HeldClock {
    inner: SharedClock,
    held: Mutex<Option<Timestamp>>,
}

/// The clock goes on when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    clock: &'a HeldClock,
    at: Timestamp,
}

impl HeldClock {
    pub(crate) fn new(inner: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            inner,
            held: Mutex::new(None),
        })
    }

    /// Holds the clock at this moment. One may do so at a time.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.hold_at(self.inner.wall())
    }

    /// Holds the clock at a moment of the past.
    pub(crate) fn hold_at(&self, at: Timestamp) -> Held<'_> {
        self.set(Some(at));
        Held { clock: self, at }
    }

    fn set(&self, held: Option<Timestamp>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

impl Held<'_> {
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.clock.set(None);
    }
}

impl Clock for HeldClock {
    fn wall(&self) -> Timestamp {
        let held = *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.unwrap_or_else(|| self.inner.wall())
    }

    fn boot(&self) -> Duration {
        self.inner.boot()
    }

    fn boot_id(&self) -> String {
        self.inner.boot_id()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.inner.sleep(duration)
    }
}
