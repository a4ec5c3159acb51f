//! The questions that a printer is asked about itself, one after the other.
//!
//! An answer does not say what it answers, so only one question is open at a time, and after a question that
//! had to be asked twice a late answer is given time to come and be ignored.

use std::time::Duration;

use super::Settings;
use crate::escpos::request::RealTime;

/// How often a question is asked.
const TRIES: u32 = 2;
/// How long a late answer is waited for.
const LATE: Duration = Duration::from_millis(250);

/// Where a check stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The next check begins then.
    Rest(Duration),
    /// This question is to be asked, no earlier than then; so many times it has been.
    Next(RealTime, Duration, u32),
    /// It was asked then, and so many times.
    Asked(RealTime, Duration, u32),
    /// It was answered then, after so many times.
    Answered(RealTime, Duration, u32),
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing yet.
    Nothing,
    /// This is to be asked.
    Ask(RealTime),
    /// All has been answered.
    Well,
    /// Nothing has been answered.
    Deaf,
}

impl Check {
    /// Begins at once.
    pub(super) fn new() -> Self {
        Self {
            state: State::Rest(Duration::ZERO),
        }
    }

    /// Whether no question is open.
    pub(super) fn rests(&self) -> bool {
        matches!(self.state, State::Rest(_))
    }

    /// The next check begins after this pause.
    pub(super) fn again(&mut self, now: Duration, pause: Duration) {
        self.state = State::Rest(now.saturating_add(pause));
    }

    /// A check is wanted now. One that is under way is begun anew: what it has heard may be old.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.state = match self.state {
            State::Rest(_) => State::Rest(now),
            State::Next(_, at, _) => State::Next(RealTime::Printer, at, 0),
            State::Answered(..) => State::Next(RealTime::Printer, now.saturating_add(LATE), 0),
            asked @ State::Asked(..) => asked,
        };
    }

    /// An answer came.
    pub(super) fn answered(&mut self, now: Duration, to: RealTime) {
        if let State::Asked(what, _, tries) = self.state
            && what == to
        {
            self.state = State::Answered(what, now, tries);
        }
    }

    /// What is to be done. `all`: which error it is, too.
    pub(super) fn tick(&mut self, now: Duration, settings: &Settings, all: bool) -> Outcome {
        if let State::Rest(at) = self.state
            && now >= at
        {
            self.state = State::Next(RealTime::Printer, now, 0);
        }
        if let State::Answered(what, at, tries) = self.state {
            let Some(next) = after(what, all) else {
                return Outcome::Well;
            };
            let from = if tries > 1 {
                at.saturating_add(LATE)
            } else {
                at
            };
            self.state = State::Next(next, from, 0);
        }
        match self.state {
            State::Next(what, from, tries) if now >= from => {
                self.state = State::Asked(what, now, tries.saturating_add(1));
                Outcome::Ask(what)
            }
            State::Asked(what, at, tries) if now.saturating_sub(at) >= settings.reply => {
                if tries < TRIES {
                    self.state = State::Asked(what, now, tries.saturating_add(1));
                    Outcome::Ask(what)
                } else {
                    Outcome::Deaf
                }
            }
            _ => Outcome::Nothing,
        }
    }

    /// When it must be looked at again.
    pub(super) fn deadline(&self, settings: &Settings) -> Duration {
        match self.state {
            State::Rest(at) | State::Next(_, at, _) | State::Answered(_, at, _) => at,
            State::Asked(_, at, _) => at.saturating_add(settings.reply),
        }
    }
}

/// The question after this one.
fn after(what: RealTime, all: bool) -> Option<RealTime> {
    match what {
        RealTime::Printer => Some(RealTime::Offline),
        RealTime::Offline if all => Some(RealTime::Error),
        RealTime::Offline | RealTime::Error => Some(RealTime::Paper),
        RealTime::Paper => None,
    }
}
