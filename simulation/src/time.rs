//! The simulated clocks: time passes only when the simulation lets it, from one moment at which somebody wakes to the next.
//!
//! [`Hours`] is the true time, which FDMS goes by. The store's machine has a wall clock beside it, which may be set and
//! may drift, and a boot clock, which begins anew with each reboot.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use clock::{Clock, Timestamp};

#[derive(Debug)]
struct State {
    start: Timestamp,
    /// True time since the start.
    passed: Duration,
    /// When the machine was started, in the same time.
    booted: Duration,
    reboots: u64,
    /// Wall clock less true time, milliseconds.
    wall_off: i64,
    /// Parts in a million by which the wall clock is too fast, since `passed` was so much.
    drift: (i64, Duration),
    next_timer: u64,
    timers: BTreeMap<(Duration, u64), Option<Waker>>,
    /// So often somebody has gone to sleep since the time passed.
    sleeps: u32,
    /// Who is told when that is too often.
    watcher: Option<Waker>,
}

/// So often somebody goes to sleep at one moment at most; whoever has not come to rest by then never does.
const MOST_SLEEPS: u32 = 10_000;

/// The time of a simulated world. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Hours(Arc<Mutex<State>>);

impl Hours {
    /// Time begins.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(State {
            start,
            passed: Duration::ZERO,
            booted: Duration::ZERO,
            reboots: 0,
            wall_off: 0,
            drift: (0, Duration::ZERO),
            next_timer: 0,
            timers: BTreeMap::new(),
            sleeps: 0,
            watcher: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True time since the beginning.
    #[must_use]
    pub fn passed(&self) -> Duration {
        self.lock().passed
    }

    /// When somebody wakes next, in true time since the beginning.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.lock().timers.keys().next().map(|(at, _)| *at)
    }

    /// Whether somebody goes to sleep and wakes at one moment again and again.
    pub(crate) fn spins(&self) -> bool {
        self.lock().sleeps > MOST_SLEEPS
    }

    /// Who is woken as soon as that is so.
    pub(crate) fn watch(&self, watcher: &Waker) {
        self.lock().watcher = Some(watcher.clone());
    }

    /// Lets the time pass up to a moment, and wakes whose time has come, in order.
    pub fn pass_to(&self, at: Duration) {
        let woken = {
            let mut state = self.lock();
            state.passed = state.passed.max(at);
            state.sleeps = 0;
            let now = state.passed;
            let later = state.timers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut state.timers, later)
        };
        for waker in woken.into_values().flatten() {
            waker.wake();
        }
    }

    /// The machine starts anew: its boot clock too.
    pub fn reboot(&self) {
        let mut state = self.lock();
        state.booted = state.passed;
        state.reboots += 1;
    }

    /// The store's wall clock is set by so much.
    pub fn set_wall_by(&self, seconds: i64) {
        let mut state = self.lock();
        state.wall_off = state.wall_off.saturating_add(seconds.saturating_mul(1000));
    }

    /// The store's wall clock goes right from now on.
    pub fn set_wall_right(&self) {
        let mut state = self.lock();
        state.wall_off = 0;
        state.drift = (0, state.passed);
    }

    /// The store's wall clock is too fast by so many parts in a million from now on.
    pub fn drift(&self, ppm: i64) {
        let mut state = self.lock();
        let drifted = state.drifted();
        state.wall_off += drifted;
        state.drift = (ppm, state.passed);
    }

    /// The true time as a clock: FDMS's.
    #[must_use]
    pub fn true_clock(&self) -> TrueClock {
        TrueClock(self.clone())
    }

    /// The clocks of the store's machine.
    #[must_use]
    pub fn machine(&self) -> Machine {
        Machine(self.clone())
    }
}

impl State {
    fn drifted(&self) -> i64 {
        let (ppm, since) = self.drift;
        let millis = i64::try_from(self.passed.saturating_sub(since).as_millis()).unwrap_or(0);
        millis.saturating_mul(ppm) / 1_000_000
    }

    fn now(&self) -> Timestamp {
        self.start
            .checked_add(self.passed)
            .unwrap_or(Timestamp::MAX)
    }
}

/// FDMS's clock: the true time.
#[derive(Debug, Clone)]
pub struct TrueClock(Hours);

impl Clock for TrueClock {
    fn wall(&self) -> Timestamp {
        self.0.lock().now()
    }

    fn boot(&self) -> Duration {
        self.0.passed()
    }

    fn boot_id(&self) -> String {
        "fdms".to_owned()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Sleep::new(&self.0, duration))
    }
}

/// The clocks of the store's machine.
#[derive(Debug, Clone)]
pub struct Machine(Hours);

impl Clock for Machine {
    fn wall(&self) -> Timestamp {
        let state = self.0.lock();
        let off = jiff::SignedDuration::from_millis(state.wall_off + state.drifted());
        state.now().checked_add(off).unwrap_or(Timestamp::MAX)
    }

    fn boot(&self) -> Duration {
        let state = self.0.lock();
        state.passed.saturating_sub(state.booted)
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.0.lock().reboots)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Sleep::new(&self.0, duration))
    }
}

/// Somebody sleeps.
struct Sleep {
    hours: Hours,
    key: (Duration, u64),
    /// Nobody wakes without having let the others go on: who sleeps for no time, again and again, would hold them up.
    has_yielded: bool,
}

impl Sleep {
    fn new(hours: &Hours, duration: Duration) -> Self {
        let mut state = hours.lock();
        let key = (state.passed.saturating_add(duration), state.next_timer);
        state.next_timer += 1;
        state.sleeps += 1;
        if state.sleeps > MOST_SLEEPS
            && let Some(watcher) = &state.watcher
        {
            watcher.wake_by_ref();
        }
        state.timers.insert(key, None);
        drop(state);
        Self {
            hours: hours.clone(),
            key,
            has_yielded: !duration.is_zero(),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.has_yielded, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut state = self.hours.lock();
        if self.key.0 <= state.passed {
            state.timers.remove(&self.key);
            return Poll::Ready(());
        }
        state.timers.insert(self.key, Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.hours.lock().timers.remove(&self.key);
    }
}
