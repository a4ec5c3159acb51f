//! A printer's own thread: opens its link, takes jobs from the spool, and does what the [`Machine`] says.

use std::time::Duration;

use super::machine::{Event, Machine, Settings, Todo};
use super::{Condition, Spool};
use crate::escpos::{encode, real_time_pulse};
use crate::profile::Profile;
use crate::transport::{Link, Monotonic, Opener, Stop};

/// How long one write may wait: then the stop signal is looked at.
const WRITE: Duration = Duration::from_millis(100);
/// How long one wait may last, for the same reason, and so that a link that is lost is noticed.
const LOOK: Duration = Duration::from_millis(500);
/// How long a job that is under way may still take when we are to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Prints the jobs of one printer until the stop signal is given, and then the one that is under way, if that
/// takes no longer than five seconds. Never ends for a fault: links are opened anew, a spool that cannot be
/// written is asked again later.
pub fn run(
    opener: &mut dyn Opener,
    profile: &Profile,
    spool: &mut dyn Spool,
    time: &dyn Monotonic,
    stop: &Stop,
    settings: Settings,
) {
    let mut runner = Runner {
        machine: Machine::new(profile, settings),
        opener,
        profile,
        spool,
        time,
        stop,
        link: None,
        told: None,
    };
    let mut stopped_at = None;
    loop {
        if stop.is_set() {
            let now = time.now();
            let since = *stopped_at.get_or_insert(now);
            if !runner.machine.is_busy() || now.saturating_sub(since) >= DRAIN {
                break;
            }
        }
        runner.step();
    }
    tracing::debug!(printer = opener.name(), "the printer's thread ends");
}

struct Runner<'a> {
    machine: Machine,
    opener: &'a mut dyn Opener,
    profile: &'a Profile,
    spool: &'a mut dyn Spool,
    time: &'a dyn Monotonic,
    stop: &'a Stop,
    link: Option<Box<dyn Link>>,
    /// The condition that was told last.
    told: Option<Condition>,
}

impl Runner<'_> {
    fn step(&mut self) {
        let now = self.time.now();
        // What has come belongs to the time before: an answer that is there is not late, even if we are.
        self.read(Duration::ZERO);
        self.pulse();
        match self.machine.next(now) {
            Todo::Keep(id, state) => {
                let kept = self.spool.keep(id, state);
                match kept {
                    Ok(()) => self.handle(Event::Kept),
                    Err(error) => {
                        tracing::warn!(
                            job = id.0,
                            "the state of a print job cannot be kept: {error}"
                        );
                        self.handle(Event::KeepFailed);
                    }
                }
            }
            Todo::Open => self.open(),
            Todo::Close => self.link = None,
            Todo::Write(bytes) => {
                let written = match &mut self.link {
                    Some(link) => link.write(bytes, WRITE),
                    None => Ok(0),
                };
                match written {
                    Ok(count) => self.handle(Event::Written(count)),
                    Err(error) => self.lost(&error.to_string()),
                }
            }
            Todo::Fetch => self.fetch(),
            Todo::Idle(until) => {
                self.spool.wait(until.saturating_sub(now).min(LOOK));
                self.handle(Event::Awake);
            }
            Todo::Wait(until) => {
                let at_most = until.saturating_sub(now).min(LOOK);
                if self.link.is_some() {
                    self.read(at_most);
                } else {
                    self.stop.wait(at_most);
                }
            }
        }
        self.tell();
    }

    fn handle(&mut self, event: Event<'_>) {
        let now = self.time.now();
        self.machine.handle(now, event);
    }

    /// Lets a drawer's pulse pass papers that stand still.
    fn pulse(&mut self) {
        if !self.machine.may_pulse() {
            return;
        }
        match self.spool.pulse() {
            Ok(None) => {}
            Ok(Some((id, pulse))) => self.handle(Event::Pulse(id, real_time_pulse(pulse).to_vec())),
            // The queue is asked again at the next step.
            Err(error) => tracing::warn!("the print queue cannot be read: {error}"),
        }
    }

    fn open(&mut self) {
        match self.opener.open() {
            Ok(link) => {
                tracing::info!(printer = self.opener.name(), "the printer's link is open");
                self.link = Some(link);
                self.handle(Event::Opened);
            }
            Err(error) => self.handle(Event::OpenFailed(&error.to_string())),
        }
    }

    fn fetch(&mut self) {
        match self.spool.next() {
            Ok(None) => self.handle(Event::NoJob),
            Ok(Some(job)) => match encode(&job.page, self.profile) {
                Ok(bytes) => self.handle(Event::Job(job.id, bytes)),
                Err(error) => self.handle(Event::Refused(job.id, error.to_string())),
            },
            Err(error) => {
                tracing::warn!(
                    printer = self.opener.name(),
                    "the print queue cannot be read: {error}"
                );
                self.handle(Event::FetchFailed);
            }
        }
    }

    /// Reads what has come.
    fn read(&mut self, at_most: Duration) {
        let Some(link) = &mut self.link else {
            return;
        };
        let mut buffer = [0; 256];
        match link.read(&mut buffer, at_most) {
            Ok(0) => {}
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                self.handle(Event::Received(bytes));
            }
            Err(error) => self.lost(&error.to_string()),
        }
    }

    fn lost(&mut self, why: &str) {
        tracing::warn!("{why}");
        self.link = None;
        self.handle(Event::Lost(why));
    }

    /// Tells the spool of a change of the printer's condition.
    fn tell(&mut self) {
        let condition = self.machine.condition();
        if self.told.as_ref() != Some(condition) {
            self.spool.condition(condition);
            self.told = Some(condition.clone());
        }
    }
}
