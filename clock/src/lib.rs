//! The one clock of the workspace.
//!
//! Nothing else in it reads the time: parts are given a [`Clock`] and ask it. [`SystemClock`] is the
//! machine's; [`TestClock`] (feature `test-clock`) stands still until a test moves it and can be shared
//! by several processes over a Unix socket, so that simulated days pass in seconds and every failure
//! can be replayed. FDMS wants local time without zone: [`local`] gives Zimbabwe's, UTC+2 all year.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use jiff::Timestamp;
pub use jiff::civil::DateTime;

#[cfg(feature = "test-clock")]
mod test_clock;
#[cfg(feature = "test-clock")]
pub use test_clock::TestClock;

/// A clock that is handed to every part which needs the time.
pub trait Clock: Send + Sync + Debug {
    /// The wall clock, as the machine believes it to be. It may be wrong, and it may jump.
    fn wall(&self) -> Timestamp;
    /// Time since the machine started, counted on through sleep. It never jumps and never goes back
    /// while [`Clock::boot_id`] stays the same.
    fn boot(&self) -> Duration;
    /// A name for this start of the machine; another one after a reboot.
    fn boot_id(&self) -> String;
    /// Waits until [`Clock::boot`] has advanced by `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A clock shared between threads and tasks.
pub type SharedClock = Arc<dyn Clock>;

/// Zimbabwe's local time (UTC+2, no daylight saving), in whole seconds, as FDMS writes it.
#[must_use]
pub fn local(at: Timestamp) -> DateTime {
    let civil = jiff::tz::Offset::constant(2).to_datetime(at);
    civil.with().subsec_nanosecond(0).build().unwrap_or(civil)
}

/// The instant of a local time of Zimbabwe. Times beyond the calendar's end are clipped to it.
#[must_use]
pub fn instant(local: DateTime) -> Timestamp {
    jiff::tz::Offset::constant(2)
        .to_timestamp(local)
        .unwrap_or(Timestamp::MAX)
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let nanos = i32::try_from(now.tv_nsec).unwrap_or(0);
        Timestamp::new(now.tv_sec, nanos).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn boot(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            u64::try_from(now.tv_sec).unwrap_or(0),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        )
    }

    fn boot_id(&self) -> String {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_default()
    }

    #[expect(clippy::disallowed_methods, reason = "this is what all others ask")]
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FDMS's times are two hours ahead of UTC and carry no fraction.
    #[test]
    fn local_time_is_utc_plus_two() {
        let at: Timestamp = "2026-05-28T05:42:19.75Z".parse().unwrap();
        assert_eq!(local(at).to_string(), "2026-05-28T07:42:19");
        assert_eq!(instant(local(at)).to_string(), "2026-05-28T05:42:19Z");
    }

    /// The boot clock of the machine runs forward.
    #[test]
    fn boot_clock_runs() {
        let clock = SystemClock;
        let first = clock.boot();
        assert!(clock.boot() >= first);
        assert!(!clock.boot_id().is_empty());
    }
}
