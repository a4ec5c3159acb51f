//! One printer and one job at a time, as a state machine: what happened goes in, what is to be done comes out.
//!
//! It is told [`Event`]s and asked for the next [`Todo`]; it does no I/O and knows no time but the one that it
//! is given. What it takes care of:
//!
//! - A state is kept before the byte that it stands for. If it cannot be kept, nothing is sent.
//! - A new link is greeted with `10 04 01` alone, and a job begins only after the printer has answered and has
//!   no fault. A job that meets a fault is held, and asked for anew when the fault is gone: it is still an
//!   original, or is no longer wanted.
//! - A fault after the first byte, with the link alive, is waited for: the printer finishes by itself.
//! - A loss after the first byte makes the job unknown. The printer may then stand in the middle of a line or
//!   of a picture: before the next job it gets as many 00 as a picture can lack, which mean nothing elsewhere,
//!   and a line feed; and more of them until it answers a question behind them, if it answers any.
//! - An answer to GS r has no name on it. Where one of an earlier job may still come, it is flushed out by a
//!   question before the job; and a job's own is believed once a second one has come, asked for a while after
//!   the first: a byte of noise confirms nothing, nor does what was read ahead and never printed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::escpos::ack::{ending, proves};
use crate::escpos::request::Request;
use crate::escpos::status::{Facts, Parser, Reply};
use crate::job::{Condition, HeldReason, JobId, JobState, Level, UnknownReason};
use crate::profile::{Ack, Profile};

mod backoff;
mod block;
mod check;
mod pulse;
mod ticks;
mod words;

use backoff::Backoff;
use check::Check;
use pulse::Passing;
use ticks::{FLUSHED, REFILL};
pub use words::{Event, Settings, Todo};

/// After an error of the spool, how long until it is asked again.
const SPOOL_PAUSE: Duration = Duration::from_secs(1);
/// A link that takes nothing for so long is shown as a printer off line.
const STALLED: Duration = Duration::from_secs(5);
/// So long after the first answer to GS r it is asked again. Answers within this time count as one; and a
/// printer answers some lines before they are on paper, so this is longer than it prints what it has read
/// ahead. If paper or power go before that, the second answer stays out.
const FAST: Duration = Duration::from_secs(2);
const SLOW: Duration = Duration::from_secs(5);
/// No job: a question that belongs to none.
const NO_JOB: JobId = JobId(i64::MIN);

/// A printer's job machine.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    ack: Ack,
    /// How long after the first answer to GS r it is asked again.
    settle: Duration,
    open: bool,
    /// The link is to be dropped.
    close: bool,
    backoff: Backoff,
    /// Questions and fillers that are to be written, never amid a job.
    control: VecDeque<u8>,
    parser: Parser,
    facts: Facts,
    check: Check,
    /// Checks without an answer, one after the other.
    deaf: u32,
    /// When the printer was last heard.
    heard: Duration,
    condition: Condition,
    job: Option<Current>,
    /// A drawer's pulse that passes the papers.
    pulse: Option<Passing>,
    /// Why the job at the head of the queue is held.
    held: Option<HeldReason>,
    keeps: VecDeque<(JobId, JobState)>,
    /// When the spool may be asked to keep, and to give a job.
    keep_after: Duration,
    fetch_after: Duration,
    /// There may be a job.
    fetch: bool,
    /// A line may be half written.
    interrupted: bool,
    /// So many bytes a command of an interrupted job may lack.
    lacks: usize,
    /// When it was last given them before a job.
    filled: Duration,
    /// Answers to GS r of earlier jobs may still come.
    doubt: bool,
}

/// The job that is being worked at.
#[derive(Debug)]
struct Current {
    id: JobId,
    bytes: Vec<u8>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for a check of the printer. No byte has been sent.
    Check,
    /// Waits for answers to earlier jobs: since when, and when the last one came. No byte has been sent.
    Flush(Duration, Option<Duration>),
    /// Waits until `Sending` is kept. No byte has been sent.
    Start,
    /// Is being sent: so many bytes are, and the last ones went then.
    Send(usize, Duration),
    /// Waits for its answer.
    Await(Waiting),
    /// Waits until its last state is kept.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    /// Since when.
    since: Duration,
    /// Since when the printer has had no fault.
    calm: Duration,
    /// When the first answer to GS r came, until it is asked again.
    first: Option<Duration>,
    /// It has been asked again.
    again: bool,
}

impl Machine {
    /// A machine that has just been started; its link is closed.
    #[must_use]
    pub fn new(profile: &Profile, settings: Settings) -> Self {
        Self {
            settings,
            ack: profile.ack,
            settle: if profile.impact { SLOW } else { FAST },
            open: false,
            close: false,
            backoff: Backoff::new(),
            control: VecDeque::new(),
            parser: Parser::new(),
            facts: Facts::default(),
            check: Check::new(),
            deaf: 0,
            heard: Duration::ZERO,
            condition: Condition::default(),
            job: None,
            pulse: None,
            held: None,
            keeps: VecDeque::new(),
            keep_after: Duration::ZERO,
            fetch_after: Duration::ZERO,
            fetch: true,
            interrupted: settings.cut_short,
            lacks: if settings.cut_short {
                block::most(profile)
            } else {
                0
            },
            filled: Duration::ZERO,
            doubt: settings.cut_short,
        }
    }

    /// How the printer is.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Whether a job is under way: then it is better to wait a little than to stop.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.pulse.is_some()
            || matches!(
                self.stage(),
                Some(Stage::Start | Stage::Send(..) | Stage::Await(_) | Stage::End)
            )
    }

    /// Takes what has happened.
    pub fn handle(&mut self, now: Duration, event: Event<'_>) {
        match event {
            Event::Opened => self.opened(now),
            Event::OpenFailed(why) => {
                self.condition.link_error = Some(why.to_owned());
                self.backoff.failed(now);
                self.gone();
            }
            Event::Lost(why) => {
                self.condition.link_error = Some(why.to_owned());
                self.lost(now);
            }
            Event::Received(bytes) => self.received(now, bytes),
            Event::Written(count) => self.written(now, count),
            Event::Kept => self.kept(now),
            Event::KeepFailed => self.keep_after = now.saturating_add(SPOOL_PAUSE),
            Event::Job(id, bytes) => self.take(now, id, bytes),
            Event::Refused(id, why) => {
                self.job = Some(Current::new(id, Vec::new(), Stage::Check));
                self.finish(JobState::Failed(why));
            }
            Event::Pulse(id, bytes) => self.take_pulse(id, bytes),
            Event::NoJob => {
                self.fetch = false;
                self.held = None;
            }
            Event::FetchFailed => self.fetch_after = now.saturating_add(SPOOL_PAUSE),
            Event::Awake => self.fetch = true,
        }
        self.refresh(now);
    }

    /// What is to be done now.
    pub fn next(&mut self, now: Duration) -> Todo<'_> {
        self.tick(now);
        self.refresh(now);
        if self.close {
            self.close = false;
            return Todo::Close;
        }
        if !self.keeps.is_empty() && now >= self.keep_after {
            return match self.keeps.front() {
                Some((id, state)) => Todo::Keep(*id, state),
                None => Todo::Wait(now),
            };
        }
        if !self.open && self.backoff.is_due(now) {
            return Todo::Open;
        }
        if self.open && !self.control.is_empty() {
            return Todo::Write(self.control.make_contiguous());
        }
        let until = self.deadline(now);
        if let Some(Current {
            stage: Stage::Send(sent, _),
            bytes,
            ..
        }) = &self.job
        {
            return Todo::Write(bytes.get(*sent..).unwrap_or_default());
        }
        // Answers are read as they come: one that is read late belongs to no question any more.
        let asking = self.open && self.two_way() && !self.check.rests();
        if asking || !self.may_fetch() {
            return Todo::Wait(until);
        }
        if !self.fetch {
            return Todo::Idle(until);
        }
        if now >= self.fetch_after {
            return Todo::Fetch;
        }
        Todo::Wait(until.min(self.fetch_after))
    }

    fn two_way(&self) -> bool {
        self.ack != Ack::OneWay
    }

    /// What keeps the printer from printing; a link that has not been tried yet is no fault.
    fn fault(&self) -> Option<HeldReason> {
        if !self.open {
            return self.backoff.has_failed().then_some(HeldReason::Unreachable);
        }
        if self.condition.answers == Some(false) {
            return Some(HeldReason::Unreachable);
        }
        self.facts.fault()
    }

    /// Whether a job would get somewhere: printed, or held for a reason that its owner does not know yet.
    fn may_fetch(&self) -> bool {
        let known = if self.open {
            !self.two_way() || self.condition.answers.is_some()
        } else {
            self.backoff.has_failed()
        };
        self.job.is_none()
            && self.keeps.is_empty()
            && known
            && (self.held.is_none() || self.held != self.fault())
    }

    fn opened(&mut self, now: Duration) {
        self.open = true;
        self.backoff.opened(now);
        self.condition.link_error = None;
        self.condition.answers = None;
        self.parser.forget();
        self.facts = Facts::default();
        self.control.clear();
        self.check = Check::new();
        self.deaf = 0;
        self.heard = now;
        if !self.two_way() {
            self.held = None;
            self.fetch = true;
        }
    }

    /// The link is gone: what that means for the job.
    fn lost(&mut self, now: Duration) {
        self.backoff.lost(now);
        self.lost_pulse();
        match self.job.as_ref().map(|job| job.stage) {
            Some(Stage::Send(..) | Stage::Await(_)) => {
                self.finish(JobState::Unknown(UnknownReason::LinkLost));
            }
            Some(Stage::Check | Stage::Flush(..) | Stage::Start) => {
                self.hold(HeldReason::Unreachable);
            }
            Some(Stage::End) | None => {}
        }
        self.gone();
    }

    fn gone(&mut self) {
        self.open = false;
        self.control.clear();
        self.condition.answers = None;
        // The head of the queue may not know yet.
        self.fetch = true;
    }

    /// We give the link up.
    fn give_up(&mut self, now: Duration, why: &str) {
        self.condition.link_error = Some(why.to_owned());
        self.close = true;
        self.lost(now);
    }

    fn take(&mut self, now: Duration, id: JobId, mut bytes: Vec<u8>) {
        self.fetch = false;
        if let Some(question) = ending(self.ack, id) {
            bytes.extend(question.bytes());
        }
        self.job = Some(Current::new(id, bytes, Stage::Check));
        if !self.open {
            self.hold(HeldReason::Unreachable);
        } else if self.two_way() {
            self.check.hurry(now);
        } else {
            self.start();
        }
    }

    /// The job waits, with no byte of it sent.
    fn hold(&mut self, reason: HeldReason) {
        self.held = Some(reason);
        self.finish(JobState::Held(reason));
    }

    /// The job leaves the machine with this state.
    fn finish(&mut self, state: JobState) {
        let Some(job) = &mut self.job else { return };
        if matches!(job.stage, Stage::Start) {
            // No byte was sent: whether the spool has kept that one might be or not, this one is true.
            let id = job.id;
            self.keeps.retain(|(kept, _)| *kept != id);
        }
        match (job.stage, &state) {
            (Stage::Send(..) | Stage::Await(_), JobState::Unknown(_)) => {
                self.interrupted = true;
                self.doubt = true;
                self.lacks = self.lacks.max(block::longest(&job.bytes));
            }
            (_, JobState::Done(_)) => {
                self.interrupted = false;
                self.lacks = 0;
            }
            _ => {}
        }
        job.stage = Stage::End;
        self.keeps.push_back((job.id, state));
    }

    /// The printer is well: the job may begin.
    fn start(&mut self) {
        let Some(job) = &mut self.job else { return };
        if self.interrupted {
            // It stays so until an answer proves that these bytes have arrived.
            let mut bytes = vec![0; self.lacks];
            bytes.push(b'\n');
            bytes.append(&mut job.bytes);
            job.bytes = bytes;
        }
        job.stage = Stage::Start;
        self.keeps.push_back((job.id, JobState::Sending));
    }

    /// Asks for an answer that comes after all that were still to come.
    fn flush(&mut self, now: Duration) {
        let Some(job) = &mut self.job else { return };
        job.stage = Stage::Flush(now, None);
        self.fill(now);
    }

    /// Gives the printer what a picture may lack, and asks behind it.
    fn fill(&mut self, now: Duration) {
        self.filled = now;
        self.control.extend(std::iter::repeat_n(0, self.lacks));
        self.control.push_back(b'\n');
        self.ask(Request::Worked(NO_JOB));
    }

    fn ask(&mut self, question: Request) {
        self.control.extend(question.bytes());
        self.parser.asked(question);
    }

    fn kept(&mut self, now: Duration) {
        let Some((id, state)) = self.keeps.pop_front() else {
            return;
        };
        if self.kept_pulse(id) {
            return;
        }
        let Some(job) = &mut self.job else { return };
        match (state, job.stage) {
            (JobState::Sending, Stage::Start) => job.stage = Stage::Send(0, now),
            (JobState::Sending | JobState::AwaitAck, _) => {}
            _ => {
                self.job = None;
                self.fetch = true;
            }
        }
    }

    fn written(&mut self, now: Duration, count: usize) {
        if !self.control.is_empty() {
            let count = count.min(self.control.len());
            self.control.drain(..count);
            if self.control.is_empty() {
                self.wrote_pulse();
            }
            return;
        }
        let Some(job) = &mut self.job else { return };
        let Stage::Send(sent, moved) = &mut job.stage else {
            return;
        };
        if count == 0 {
            return;
        }
        *sent = sent.saturating_add(count);
        *moved = now;
        if *sent < job.bytes.len() {
            return;
        }
        let id = job.id;
        if self.ack == Ack::OneWay {
            self.finish(JobState::Done(Level::Sent));
            return;
        }
        job.stage = Stage::Await(Waiting {
            since: now,
            calm: now,
            first: None,
            again: false,
        });
        self.keeps.push_back((id, JobState::AwaitAck));
        self.heard = now;
        self.check.hurry(now);
        if let Some(question) = ending(self.ack, id) {
            self.parser.asked(question);
        }
    }

    fn received(&mut self, now: Duration, bytes: &[u8]) {
        for reply in self.parser.read(bytes) {
            if !matches!(reply, Reply::Noise(_)) {
                self.heard = now;
                self.backoff.heard();
            }
            self.facts.take(&reply);
            self.answered(now, &reply);
            if let Reply::RealTime(what, _) = reply {
                self.check.answered(now, what);
            }
        }
    }

    /// What an answer means for the job.
    fn answered(&mut self, now: Duration, reply: &Reply) {
        let Some(job) = &mut self.job else { return };
        let level = proves(reply, job.id);
        match &mut job.stage {
            Stage::Flush(_, last) => {
                let single = matches!(reply, Reply::Noise(byte) if byte & 0x90 == 0);
                if single || matches!(reply, Reply::Worked(..)) {
                    *last = Some(now);
                }
            }
            Stage::Await(waiting) => match level {
                Some(Level::Processed) if !waiting.again => {
                    waiting.first.get_or_insert(now);
                }
                // It stood still meanwhile, and has only now begun to print what it had read ahead.
                Some(Level::Processed) if passed(now, waiting.calm) < self.settle => {
                    waiting.first = Some(now);
                    waiting.again = false;
                }
                Some(level) => self.finish(JobState::Done(level)),
                None => {}
            },
            _ => {}
        }
    }

    fn stage(&self) -> Option<Stage> {
        self.job.as_ref().map(|job| job.stage)
    }

    /// The next time at which something is to be done if nothing happens before.
    fn deadline(&self, now: Duration) -> Duration {
        let mut times = Vec::new();
        if !self.keeps.is_empty() {
            times.push(self.keep_after);
        }
        if !self.open {
            times.push(self.backoff.due());
        } else if self.two_way() {
            times.push(self.check.deadline(&self.settings));
        }
        match self.stage() {
            Some(Stage::Flush(since, last)) => {
                times.push(since.saturating_add(self.settings.patience));
                times.push(self.filled.saturating_add(REFILL));
                times.extend(last.map(|last| last.saturating_add(FLUSHED)));
            }
            Some(Stage::Await(waiting)) => {
                times.push(waiting.since.saturating_add(self.settings.patience));
                if self.facts.fault().is_none() {
                    times.push(waiting.calm.saturating_add(self.settings.calm));
                }
                if !waiting.again {
                    times.extend(waiting.first.map(|first| first.saturating_add(self.settle)));
                }
            }
            _ => {}
        }
        let soonest = times.into_iter().filter(|time| *time > now).min();
        soonest.unwrap_or_else(|| now.saturating_add(self.settings.idle_poll))
    }

    /// Brings what people see up to date.
    fn refresh(&mut self, now: Duration) {
        self.facts.tell(&mut self.condition);
        let stalled = match self.stage() {
            Some(Stage::Send(_, moved)) => passed(now, moved) >= STALLED,
            _ => false,
        };
        self.condition.connected = self.open;
        self.condition.fault = self.fault().or(stalled.then_some(HeldReason::Offline));
        if self.held.is_some()
            && self.open
            && self.fault().is_none()
            && self.condition.answers.is_some()
        {
            self.held = None;
            self.fetch = true;
        }
    }
}

impl Current {
    fn new(id: JobId, bytes: Vec<u8>, stage: Stage) -> Self {
        Self { id, bytes, stage }
    }
}

/// How much time has passed.
fn passed(now: Duration, since: Duration) -> Duration {
    now.saturating_sub(since)
}

#[cfg(test)]
mod tests;
