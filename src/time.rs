//! The time that is trusted for receipts.
//!
//! A shop's wall clock is set by hand, by a flat battery, by a child. So the wall clock is believed only
//! as long as it agrees with the boot clock, which nobody can set: a leap while running is not followed
//! until FDMS or a technician confirms it, and after a reboot at most seven days are believed. Selling
//! goes on, on the time that is trusted (docs/ARCHITECTURE.md, Time).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clock::{SharedClock, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// How far wall and boot clock may drift apart before the wall clock is no longer believed. NTP steps
/// clocks by less; a person sets them by more.
pub const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);
/// How often the two are tied together anew, so that a slow quartz does not add up to a leap.
const ANCHOR_EVERY: Duration = Duration::from_secs(3600);
/// How long a machine may have been off.
const BELIEVED_AFTER_REBOOT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// An answer that took longer says little about the time at which it was given.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(5);

/// A moment at which wall and boot clock were tied together. Kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The trusted time then.
    pub trusted: Timestamp,
    /// The boot clock then, in milliseconds.
    pub boot_ms: u64,
    /// Which start of the machine it was.
    pub boot_id: String,
}

/// Why the wall clock is not believed, or only with a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFlag {
    /// The wall clock was set while the machine ran; it is not followed.
    WallLeapt,
    /// After a reboot the wall clock stands before the last receipt; it is not followed.
    BehindLastReceipt,
    /// After a reboot more than seven days have passed; the wall clock is not followed.
    LongAfterReboot,
    /// After a reboot the wall clock is followed, but nobody has confirmed it yet.
    UnconfirmedAfterReboot,
    /// FDMS's time differed by more than a minute; FDMS's is followed.
    FdmsDiffers,
}

/// What `GET /v1/status` says of the time.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeStatus {
    /// The time that receipts are dated by, local.
    pub trusted: clock::DateTime,
    /// The machine's wall clock, local.
    pub wall: clock::DateTime,
    /// Wall clock less trusted time, in seconds.
    pub skew_seconds: i64,
    /// What is wrong or unconfirmed.
    pub flag: Option<TimeFlag>,
}

/// Keeps the trusted time.
#[derive(Debug)]
pub struct TimeKeeper {
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    anchor: Anchor,
    flag: Option<TimeFlag>,
    #[cfg(test)]
    follows_wall: bool,
}

impl State {
    fn new(anchor: Anchor, flag: Option<TimeFlag>) -> Self {
        Self {
            anchor,
            flag,
            #[cfg(test)]
            follows_wall: false,
        }
    }
}

impl TimeKeeper {
    /// Starts from what the ledger kept: the last anchor and the last receipt's date.
    #[must_use]
    pub fn start(clock: SharedClock, saved: Option<Anchor>, last_date: Option<Timestamp>) -> Self {
        let wall = clock.wall();
        let boot_id = clock.boot_id();
        let state = match saved {
            Some(anchor) if anchor.boot_id == boot_id => State::new(anchor, None),
            Some(anchor) => {
                let known = last_date.map_or(anchor.trusted, |date| date.max(anchor.trusted));
                after_reboot(&clock, known)
            }
            None => match last_date {
                Some(known) => after_reboot(&clock, known),
                None => State::new(anchor_at(&clock, wall), None),
            },
        };
        Self {
            clock,
            state: Mutex::new(state),
        }
    }

    /// Plants a defect: the wall clock is followed, whatever it says.
    #[cfg(test)]
    pub(crate) fn plant(&self) {
        self.lock().follows_wall = true;
    }

    /// The clock underneath.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// The time that is trusted.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let mut state = self.lock();
        #[cfg(test)]
        if state.follows_wall {
            return self.clock.wall();
        }
        let boot = self.clock.boot();
        let anchored = Duration::from_millis(state.anchor.boot_ms);
        if boot < anchored {
            // Only a reboot sets the boot clock back; a running process sees one only in simulation.
            *state = after_reboot(&self.clock, state.anchor.trusted);
            return state.anchor.trusted;
        }
        let wall = self.clock.wall();
        let (trusted, leapt) = trusted(&state.anchor, wall, boot);
        if leapt {
            state.flag = state.flag.or(Some(TimeFlag::WallLeapt));
        } else if state.flag != Some(TimeFlag::UnconfirmedAfterReboot) {
            state.flag = None;
        }
        if boot - anchored >= ANCHOR_EVERY {
            state.anchor = anchor_at(&self.clock, trusted);
        }
        trusted
    }

    /// The trusted time as FDMS writes it.
    #[must_use]
    pub fn local(&self) -> clock::DateTime {
        clock::local(self.now())
    }

    /// FDMS said what time it is. It judges our dates, so a difference of more than a minute is settled
    /// in its favour.
    pub fn learn(&self, fdms: Timestamp, round_trip: Duration) {
        if round_trip > LONGEST_ROUND_TRIP {
            return;
        }
        let trusted = self.now();
        let mut state = self.lock();
        if fdms.duration_since(trusted).abs() > TOLERANCE {
            let wall = self.clock.wall();
            let wall_agrees = fdms.duration_since(wall).abs() <= TOLERANCE;
            let time = if wall_agrees { wall } else { fdms };
            state.anchor = anchor_at(&self.clock, time);
            state.flag = (!wall_agrees).then_some(TimeFlag::FdmsDiffers);
        } else if state.flag == Some(TimeFlag::UnconfirmedAfterReboot) {
            state.flag = None;
        }
    }

    /// A technician says that the wall clock is right.
    pub fn confirm_wall(&self) {
        let mut state = self.lock();
        state.anchor = anchor_at(&self.clock, self.clock.wall());
        state.flag = None;
    }

    /// What to keep in the ledger, so that a restart goes on from here.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        let now = self.now();
        anchor_at(&self.clock, now)
    }

    /// What is known of the time.
    #[must_use]
    pub fn status(&self) -> TimeStatus {
        let trusted = self.now();
        let wall = self.clock.wall();
        TimeStatus {
            trusted: clock::local(trusted),
            wall: clock::local(wall),
            skew_seconds: wall.duration_since(trusted).as_secs(),
            flag: self.lock().flag,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trusted time, and whether the wall clock has leapt away from it.
fn trusted(anchor: &Anchor, wall: Timestamp, boot: Duration) -> (Timestamp, bool) {
    let passed = boot.saturating_sub(Duration::from_millis(anchor.boot_ms));
    let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
    let expected = anchor.trusted.checked_add(passed).unwrap_or(anchor.trusted);
    let leapt = wall.duration_since(expected).abs() > TOLERANCE;
    (if leapt { expected } else { wall }, leapt)
}

fn after_reboot(clock: &SharedClock, known: Timestamp) -> State {
    let wall = clock.wall();
    let passed = wall.duration_since(known);
    let (time, flag) = if passed < -TOLERANCE {
        (known, TimeFlag::BehindLastReceipt)
    } else if passed > BELIEVED_AFTER_REBOOT {
        (known, TimeFlag::LongAfterReboot)
    } else {
        (wall.max(known), TimeFlag::UnconfirmedAfterReboot)
    };
    State::new(anchor_at(clock, time), Some(flag))
}

fn anchor_at(clock: &SharedClock, trusted: Timestamp) -> Anchor {
    Anchor {
        trusted,
        boot_ms: u64::try_from(clock.boot().as_millis()).unwrap_or(u64::MAX),
        boot_id: clock.boot_id(),
    }
}

#[cfg(test)]
#[cfg(feature = "test-clock")]
mod tests {
    use super::*;
    use clock::TestClock;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A wall clock that is set while the machine runs is not followed, in either direction.
    #[test]
    fn leaps_are_not_followed() {
        let clock = TestClock::new(at("2026-05-28T05:00:00Z"));
        let keeper = TimeKeeper::start(clock.clone(), None, None);
        clock.advance(HOUR);
        for wrong in ["2026-05-28T05:00:00Z", "2026-05-29T06:00:00Z"] {
            clock.set_wall(at(wrong));
            assert_eq!(keeper.now(), at("2026-05-28T06:00:00Z"));
            assert_eq!(keeper.status().flag, Some(TimeFlag::WallLeapt));
        }
        clock.set_wall(at("2026-05-28T06:00:10Z"));
        assert_eq!(keeper.now(), at("2026-05-28T06:00:10Z"));
        assert_eq!(keeper.status().flag, None);
    }

    /// FDMS confirms a leap; so does a technician.
    #[test]
    fn leaps_are_followed_once_confirmed() {
        let clock = TestClock::new(at("2026-05-28T05:00:00Z"));
        let keeper = TimeKeeper::start(clock.clone(), None, None);
        clock.set_wall(at("2026-05-29T05:00:00Z"));
        assert_eq!(keeper.now(), at("2026-05-28T05:00:00Z"));
        keeper.learn(at("2026-05-29T05:00:02Z"), Duration::from_secs(60));
        assert_eq!(
            keeper.now(),
            at("2026-05-28T05:00:00Z"),
            "a slow answer says nothing"
        );
        keeper.learn(at("2026-05-29T05:00:02Z"), Duration::from_millis(80));
        assert_eq!(keeper.now(), at("2026-05-29T05:00:00Z"));
        clock.set_wall(at("2026-05-28T04:00:00Z"));
        assert_eq!(keeper.now(), at("2026-05-29T05:00:00Z"));
        keeper.confirm_wall();
        assert_eq!(keeper.now(), at("2026-05-28T04:00:00Z"));
    }

    /// After a reboot: a week is believed and flagged, more is not, and never less than the last receipt.
    #[test]
    fn reboots() {
        let clock = TestClock::new(at("2026-05-28T05:00:00Z"));
        let saved = TimeKeeper::start(clock.clone(), None, None).anchor();
        let last = at("2026-05-28T06:00:00Z");
        clock.reboot();
        let table = [
            (
                "2026-05-30T05:00:00Z",
                "2026-05-30T05:00:00Z",
                TimeFlag::UnconfirmedAfterReboot,
            ),
            (
                "2026-05-28T01:00:00Z",
                "2026-05-28T06:00:00Z",
                TimeFlag::BehindLastReceipt,
            ),
            (
                "2026-07-28T01:00:00Z",
                "2026-05-28T06:00:00Z",
                TimeFlag::LongAfterReboot,
            ),
        ];
        for (wall, trusted, flag) in table {
            clock.set_wall(at(wall));
            let keeper = TimeKeeper::start(clock.clone(), Some(saved.clone()), Some(last));
            assert_eq!(
                (keeper.now(), keeper.status().flag),
                (at(trusted), Some(flag))
            );
        }
    }

    /// A restart of the daemon alone goes on where it was, even if the wall clock was set meanwhile.
    #[test]
    fn restarts_keep_the_anchor() {
        let clock = TestClock::new(at("2026-05-28T05:00:00Z"));
        let saved = TimeKeeper::start(clock.clone(), None, None).anchor();
        clock.advance(HOUR);
        clock.set_wall(at("2026-06-28T05:00:00Z"));
        let keeper = TimeKeeper::start(clock.clone(), Some(saved), None);
        assert_eq!(keeper.now(), at("2026-05-28T06:00:00Z"));
    }
}
