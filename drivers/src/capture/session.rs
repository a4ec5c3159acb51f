//! One POS at our printer port: its questions are answered, its stream is cut into jobs.
//!
//! A POS asks for the printer's state and waits, so answers are made here at once from what the real printer
//! last said; but the question that ends a job is answered only when the owner says that the job is done, or
//! the POS would believe in a receipt that is not signed yet. A job ends with a cut, a form feed, the end of
//! the connection, or when nothing comes for a while after a complete line. Drawer pulses do not wait for
//! anything. Bytes are taken at all times: a POS whose writes block is a till that hangs.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::capture::job::{CapturedJob, EndedBy};
use crate::capture::status::{self, Identity};
use crate::capture::token::{DLE, ESC, FS, GS, Kind, Scanner, Step, selects_printer};
use crate::job::Condition;

/// Longest job, in bytes.
pub const MAX_JOB: usize = 1024 * 1024;
/// In the middle of a command this many times the silence is needed: a job cut there could not be printed.
const INSIDE_COMMAND: u32 = 10;

/// Who answers the printer's real-time commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// We do, from the printer's last known state.
    #[default]
    Virtual,
    /// The printer itself: they go through at once, both ways.
    Relay,
}

/// How a port is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who answers.
    pub mode: Mode,
    /// How long nothing may come before a job is taken to be complete; `None`: never.
    pub idle: Option<Duration>,
    /// Longest job, in bytes.
    pub max_job: usize,
    /// Whether this till may open its drawer. If not, its pulses are dropped.
    pub pulses: bool,
    /// Who we say that we are.
    pub identity: Identity,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Virtual,
            idle: Some(Duration::from_millis(1500)),
            max_job: MAX_JOB,
            pulses: true,
            identity: Identity::default(),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write this to the POS.
    Reply(Vec<u8>),
    /// Send this to the printer, before anything that waits.
    Relay(Vec<u8>),
    /// Send this drawer pulse to the printer, before anything that waits.
    Pulse(Vec<u8>),
    /// A job is complete.
    Job(CapturedJob),
}

/// A question that waits for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    Paper,
    Drawer,
    Process([u8; 4]),
}

/// One connection. No I/O, no clock.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    condition: Condition,
    scanner: Scanner,
    job: Growing,
    /// The last two bytes, for questions inside pictures.
    recent: [u8; 2],
    /// Number of the job that grows.
    number: u64,
    /// Jobs that the owner has not settled.
    open: BTreeSet<u64>,
    waiting: Vec<(u64, Question)>,
    automatic: bool,
    page_mode: bool,
    /// What comes is for another device behind the printer.
    elsewhere: bool,
    last_byte: Duration,
}

/// The job that comes in.
#[derive(Debug, Default)]
struct Growing {
    bytes: Vec<u8>,
    taken: Vec<std::ops::Range<usize>>,
    lost: u64,
    /// Where the piece that is read began.
    token: usize,
    /// Something in it makes a mark on paper.
    marks: bool,
    /// A line with a mark came to its end.
    line: bool,
    /// Something in it moves paper.
    feeds: bool,
}

impl Session {
    /// A new connection, with the printer as it is.
    #[must_use]
    pub fn new(settings: Settings, condition: Condition) -> Self {
        Self {
            settings,
            condition,
            scanner: Scanner::default(),
            job: Growing::default(),
            recent: [0; 2],
            number: 1,
            open: BTreeSet::new(),
            waiting: Vec::new(),
            automatic: false,
            page_mode: false,
            elsewhere: false,
            last_byte: Duration::ZERO,
        }
    }

    /// Bytes of the POS.
    pub fn bytes(&mut self, now: Duration, bytes: &[u8]) -> Vec<Output> {
        let mut out = Vec::new();
        if !bytes.is_empty() {
            self.last_byte = now;
        }
        for byte in bytes {
            self.byte(*byte, &mut out);
        }
        out
    }

    /// Time goes by.
    pub fn tick(&mut self, now: Duration) -> Vec<Output> {
        let mut out = Vec::new();
        if self.deadline().is_some_and(|at| now >= at) {
            self.end(EndedBy::Idle, &mut out);
        }
        out
    }

    /// When [`Self::tick`] has something to do, if nothing comes.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let idle = self.settings.idle.filter(|_| self.job.line)?;
        let patience = if self.scanner.is_inside() {
            idle.saturating_mul(INSIDE_COMMAND)
        } else {
            idle
        };
        Some(self.last_byte.saturating_add(patience))
    }

    /// The POS has closed the connection. What neither marks nor moves paper (questions, settings) is no job.
    pub fn closed(&mut self) -> Vec<Output> {
        let mut out = Vec::new();
        if self.job.marks || self.job.feeds {
            self.end(EndedBy::Closed, &mut out);
        }
        out
    }

    /// The printer's condition, whenever it was told.
    pub fn condition(&mut self, condition: &Condition) -> Vec<Output> {
        let before = status::automatic(&self.condition);
        self.condition = condition.clone();
        let after = status::automatic(condition);
        if self.automatic && before != after {
            vec![Output::Reply(after.to_vec())]
        } else {
            Vec::new()
        }
    }

    /// Bytes of the printer; they go to the POS where it talks to the printer itself.
    pub fn from_printer(&mut self, bytes: &[u8]) -> Vec<Output> {
        if self.settings.mode == Mode::Relay && !bytes.is_empty() {
            vec![Output::Reply(bytes.to_vec())]
        } else {
            Vec::new()
        }
    }

    /// A job is done with. `printed`: its paper is out, and the POS may be told; else its question stays
    /// without an answer, as at a printer that stands still.
    pub fn settled(&mut self, number: u64, printed: bool) -> Vec<Output> {
        self.open.remove(&number);
        if !printed {
            self.waiting.retain(|(after, _)| *after != number);
        }
        let mut out = Vec::new();
        let first = self.open.first().copied().unwrap_or(self.number);
        let waiting = std::mem::take(&mut self.waiting);
        for (after, question) in waiting {
            if after < first {
                out.push(Output::Reply(self.answer(&question)));
            } else {
                self.waiting.push((after, question));
            }
        }
        out
    }

    /// Whether jobs are not settled yet.
    #[must_use]
    pub fn has_open_jobs(&self) -> bool {
        !self.open.is_empty()
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<Output>) {
        if self.settings.mode == Mode::Virtual && self.recent == [DLE, 0x04] {
            out.extend(status::real_time(&self.condition, byte).map(|b| Output::Reply(vec![b])));
        }
        self.recent = [self.recent[1], byte];
        let mut step = self.scanner.push(byte);
        if let Step::EndBefore(kind) = step {
            self.token(kind, out);
            step = self.scanner.push(byte);
        }
        if self.job.bytes.len() < self.settings.max_job {
            self.job.bytes.push(byte);
        } else {
            self.job.lost = self.job.lost.saturating_add(1);
        }
        if let Step::End(kind) = step {
            if kind == Kind::Text {
                self.job.marks |= byte != b' ' && !self.elsewhere;
                self.job.token = self.job.bytes.len();
            } else {
                self.token(kind, out);
            }
        }
    }

    /// A piece that is no text has ended with the last byte.
    fn token(&mut self, kind: Kind, out: &mut Vec<Output>) {
        let ended = match kind {
            Kind::Text => None,
            Kind::Control(control) => self.control(control),
            Kind::Command => self.command(out),
            Kind::RealTime => {
                self.real_time(out);
                None
            }
        };
        self.job.token = self.job.bytes.len();
        if let Some(ended_by) = ended {
            self.end(ended_by, out);
        }
    }

    fn control(&mut self, control: u8) -> Option<EndedBy> {
        match control {
            _ if self.elsewhere => {}
            b'\n' => {
                self.job.feeds = true;
                self.job.line |= self.job.marks;
            }
            0x0C if self.page_mode => self.page_mode = false,
            0x0C => return Some(EndedBy::FormFeed),
            _ => {}
        }
        None
    }

    fn command(&mut self, out: &mut Vec<Output>) -> Option<EndedBy> {
        let head = self.scanner.head().to_vec();
        if let Some(selected) = selects_printer(&head) {
            self.elsewhere = !selected;
        }
        match *head.as_slice() {
            [GS, b'V', ..] | [ESC, b'i' | b'm'] => {
                self.job.feeds = true;
                return Some(EndedBy::Cut);
            }
            [GS, b'r', n] => {
                self.take();
                match n {
                    1 | 49 => self.ask(Question::Paper, out),
                    2 | 50 => self.ask(Question::Drawer, out),
                    _ => {}
                }
            }
            [ESC, b'v'] => {
                self.take();
                self.ask(Question::Paper, out);
            }
            [ESC, b'u', _] => {
                self.take();
                self.ask(Question::Drawer, out);
            }
            [GS, b'(', b'H', 6, 0, 48, 48, a, b, c, d] => {
                self.take();
                self.ask(Question::Process([a, b, c, d]), out);
            }
            [GS, b'I', n] => {
                self.take();
                out.extend(status::identity(&self.settings.identity, n).map(Output::Reply));
            }
            [GS, b'a', n] => {
                self.take();
                self.automatic = n != 0;
                if self.automatic {
                    out.push(Output::Reply(status::automatic(&self.condition).to_vec()));
                }
            }
            [ESC, b'p', ..] => self.pulse(&head, out),
            [ESC, b'L'] => self.page_mode = true,
            [ESC, b'S' | b'@'] => self.page_mode = false,
            [ESC, b'd' | b'J', ..] => {
                self.job.feeds = true;
                self.job.line |= self.job.marks;
            }
            [ESC, b'*', ..]
            | [GS, b'v' | b'k' | b'8' | b'/' | b'Q', ..]
            | [GS, b'(', b'L' | b'k', ..]
            | [FS, b'p', ..] => self.job.marks = true,
            _ => {}
        }
        None
    }

    fn real_time(&mut self, out: &mut Vec<Output>) {
        let head = self.scanner.head().to_vec();
        if let [DLE, 0x14, 1, ..] = *head.as_slice() {
            self.pulse(&head, out);
        } else if self.settings.mode == Mode::Relay {
            self.take();
            out.push(Output::Relay(head));
        } else if head == [DLE, 0x14, 8, 1, 3, 20, 1, 6, 2, 8] {
            // "Clear the buffer": what was sent and not cut is not to be printed.
            let number = self.number;
            self.waiting.retain(|(after, _)| *after < number);
            self.job = Growing::default();
            out.push(Output::Reply(vec![0x37, 0x25, 0x00]));
        } else {
            self.take();
        }
    }

    fn pulse(&mut self, command: &[u8], out: &mut Vec<Output>) {
        self.take();
        if self.settings.pulses {
            out.push(Output::Pulse(command.to_vec()));
        }
    }

    /// The piece that just ended does not go to the printer.
    fn take(&mut self) {
        let range = self.job.token..self.job.bytes.len();
        if !range.is_empty() {
            self.job.taken.push(range);
        }
    }

    /// Answers a question, or keeps it until all that was sent before it is done.
    fn ask(&mut self, question: Question, out: &mut Vec<Output>) {
        let after = if self.job.marks {
            Some(self.number)
        } else {
            self.open.last().copied()
        };
        match after {
            Some(after) => self.waiting.push((after, question)),
            None => out.push(Output::Reply(self.answer(&question))),
        }
    }

    fn answer(&self, question: &Question) -> Vec<u8> {
        match *question {
            Question::Paper => vec![status::paper(&self.condition)],
            Question::Drawer => vec![status::drawer(&self.condition)],
            Question::Process([a, b, c, d]) => vec![0x37, 0x22, a, b, c, d, 0],
        }
    }

    fn end(&mut self, ended_by: EndedBy, out: &mut Vec<Output>) {
        let job = std::mem::take(&mut self.job);
        self.scanner = Scanner::default();
        self.page_mode = false;
        self.open.insert(self.number);
        out.push(Output::Job(CapturedJob {
            number: self.number,
            bytes: job.bytes,
            taken: job.taken,
            lost: job.lost,
            ended_by,
        }));
        self.number += 1;
    }
}

/// A file that was dropped: one job, whatever cuts it holds. Questions have nobody to hear the answer, and
/// pulses of a file come too late to be wanted; both are taken out.
#[must_use]
pub fn file(number: u64, bytes: Vec<u8>) -> CapturedJob {
    let taken = super::token::tokens(&bytes)
        .filter(|token| {
            token.kind == Kind::RealTime
                || matches!(
                    *token.bytes,
                    [GS, b'r' | b'I' | b'a', ..]
                        | [ESC, b'v' | b'u' | b'p', ..]
                        | [GS, b'(', b'H', ..]
                )
        })
        .map(|token| token.at..token.at + token.bytes.len())
        .collect();
    CapturedJob {
        number,
        bytes,
        taken,
        lost: 0,
        ended_by: EndedBy::File,
    }
}
