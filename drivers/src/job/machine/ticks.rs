//! What the time brings: questions that are due, answers that stay out, patience that ends.

use std::time::Duration;

use super::check::Outcome;
use super::{Machine, Stage, Waiting, passed};
use crate::escpos::ack::healthy;
use crate::escpos::request::Request;
use crate::job::{HeldReason, JobState, UnknownReason};
use crate::profile::Ack;

/// So long after the last answer to the question before a job, no older one comes any more.
pub(super) const FLUSHED: Duration = Duration::from_millis(300);
/// A printer that is well and has not answered by then still swallows: the first status request on the new
/// link may have become the size of a picture whose command broke off. It is given twice as much.
pub(super) const REFILL: Duration = Duration::from_secs(5);
/// The most that it is given at once.
const MOST: usize = 1 << 20;
/// Checks without an answer after which the link is opened anew.
const DEAF: u32 = 2;

impl Machine {
    /// What the time brings.
    pub(super) fn tick(&mut self, now: Duration) {
        if !self.open {
            return;
        }
        if self.two_way() && !matches!(self.stage(), Some(Stage::Send(..))) {
            self.tick_check(now);
        }
        match self.stage() {
            Some(Stage::Flush(since, last)) => self.tick_flush(now, since, last),
            Some(Stage::Send(_, moved)) if passed(now, moved) >= self.settings.patience => {
                self.finish(JobState::Unknown(UnknownReason::Timeout));
                self.give_up(now, "it takes no bytes any more");
            }
            Some(Stage::Await(waiting)) => self.tick_await(now, waiting),
            _ => {}
        }
    }

    fn tick_check(&mut self, now: Duration) {
        let all = self.facts.offline
            || self.facts.error
            || matches!(self.stage(), Some(Stage::Await(_))) && self.ack == Ack::RealTime;
        match self.check.tick(now, &self.settings, all) {
            Outcome::Nothing => {}
            // A question that the link has not even taken is not asked twice at once.
            Outcome::Ask(what) => {
                self.parser.forget_real_time();
                if self.control.is_empty() {
                    self.ask(Request::RealTime(what));
                }
            }
            Outcome::Well => {
                self.deaf = 0;
                self.condition.answers = Some(true);
                self.checked(now);
            }
            Outcome::Deaf => {
                self.parser.forget_real_time();
                self.condition.answers = Some(false);
                self.deaf = self.deaf.saturating_add(1);
                self.unheard(now);
            }
        }
    }

    /// The printer has answered all questions.
    fn checked(&mut self, now: Duration) {
        let fault = self.facts.fault();
        let busy =
            fault.is_some() || matches!(self.stage(), Some(Stage::Await(_) | Stage::Flush(..)));
        self.check.again(
            now,
            if busy {
                self.settings.busy_poll
            } else {
                self.settings.idle_poll
            },
        );
        match (self.stage(), fault) {
            (Some(Stage::Check | Stage::Flush(..)), Some(fault)) => self.hold(fault),
            (Some(Stage::Check), None) if self.is_unsure() => self.flush(now),
            (Some(Stage::Check), None) => self.start(),
            (Some(Stage::Await(_)), None) if self.ack == Ack::RealTime => {
                if let Some(level) = healthy(&self.facts) {
                    self.finish(JobState::Done(level));
                }
            }
            _ => {}
        }
    }

    /// Whether something of an earlier job may still be in the printer's way, and an answer can clear it up.
    fn is_unsure(&self) -> bool {
        match self.ack {
            Ack::Status => self.doubt || self.interrupted,
            Ack::ProcessId => self.interrupted,
            Ack::RealTime | Ack::OneWay => false,
        }
    }

    /// The printer has not answered.
    fn unheard(&mut self, now: Duration) {
        self.check.again(now, self.settings.busy_poll);
        match self.stage() {
            Some(Stage::Await(_)) => {}
            Some(Stage::Check | Stage::Flush(..)) => {
                self.hold(HeldReason::Unreachable);
                if self.deaf >= DEAF {
                    self.give_up(now, "it does not answer");
                }
            }
            _ if self.deaf >= DEAF => self.give_up(now, "it does not answer"),
            _ => {}
        }
    }

    fn tick_flush(&mut self, now: Duration, since: Duration, last: Option<Duration>) {
        let swallows = last.is_none() && self.control.is_empty() && self.facts.fault().is_none();
        if swallows && self.lacks < MOST && passed(now, self.filled) >= REFILL {
            self.lacks = self.lacks.saturating_mul(2).max(1024);
            self.fill(now);
        }
        let flushed = last.is_some_and(|last| passed(now, last) >= FLUSHED);
        if flushed || passed(now, since) >= self.settings.patience {
            if flushed {
                // It has answered what was sent behind the fillers.
                self.doubt = false;
                self.interrupted = false;
                self.lacks = 0;
            }
            self.parser.forget();
            self.start();
        }
    }

    fn tick_await(&mut self, now: Duration, mut waiting: Waiting) {
        let fault = self.facts.fault();
        if fault.is_some() {
            waiting.calm = now;
        }
        if !waiting.again
            && waiting
                .first
                .is_some_and(|first| passed(now, first) >= self.settle)
        {
            waiting.again = true;
            if let Some(id) = self.job.as_ref().map(|job| job.id) {
                self.ask(Request::Worked(id));
            }
        }
        if let Some(job) = &mut self.job {
            job.stage = Stage::Await(waiting);
        }
        if fault.is_none() && self.deaf > 0 && passed(now, self.heard) >= self.settings.silence {
            self.give_up(now, "it does not answer any more");
        } else if passed(now, waiting.since) >= self.settings.patience
            || self.deaf == 0 && passed(now, waiting.calm) >= self.settings.calm
        {
            self.finish(JobState::Unknown(UnknownReason::Timeout));
        }
    }
}
