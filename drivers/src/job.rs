//! A print job on its way to paper: its states, the grades of "did it print?", and the spool it comes from.
//!
//! `Queued → Sending → AwaitAck → Done | Held | Unknown`. A state is kept before the byte is sent, or after
//! the reply has come, that it stands for: whoever reads it after a power cut knows no less than happened. A
//! job that is found in `Sending` or `AwaitAck` after a start is `Unknown`, and what is printed of the same
//! receipt from then on is a copy. An original is never sent twice.

use std::time::Duration;

use crate::page::{Page, Pulse};

mod machine;
mod runner;

pub use machine::{Event, Machine, Settings, Todo};
pub use runner::run;

/// A job's number in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub i64);

/// How sure it is that a job is on paper; the later the surer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The link took the bytes; nobody answered.
    Sent,
    /// The link took the bytes, and the printer had no fault to tell of afterwards.
    SentHealthy,
    /// The printer has worked through the bytes (GS r answered).
    Processed,
    /// The printer has printed them (process ID answered).
    Printed,
}

/// Why a job waits at a printer that has had no byte of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeldReason {
    /// No paper.
    PaperOut,
    /// The cover is open.
    CoverOpen,
    /// The cutter is stuck.
    Cutter,
    /// The print head is too hot; it cools down by itself.
    Hot,
    /// Off line for another reason.
    Offline,
    /// A fault that needs the power switched off and on.
    Fault,
    /// The printer cannot be reached.
    Unreachable,
}

/// Why nobody knows whether a job is on paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownReason {
    /// The link was lost after the first byte.
    LinkLost,
    /// The printer was switched off or lost its buffer.
    PowerCycled,
    /// No answer came in time.
    Timeout,
    /// We were stopped after the first byte.
    Restarted,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Waits for its turn. Nothing has been sent.
    Queued,
    /// Waits for the printer. Nothing has been sent.
    Held(HeldReason),
    /// Bytes may have been sent from here on.
    Sending,
    /// All bytes are sent; the printer has not answered yet.
    AwaitAck,
    /// At its end.
    Done(Level),
    /// At its end, and nobody knows whether paper came out.
    Unknown(UnknownReason),
    /// At its end without a byte sent: it cannot be printed at all, and why.
    Failed(String),
}

/// A job, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What is to stand on paper. Whether that is an original or a copy is decided when the job is taken.
    pub page: Page,
}

/// What a printer tells of itself, for people to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// Whether the link is open.
    pub connected: bool,
    /// Whether it answers status requests; `None` until it was asked.
    pub answers: Option<bool>,
    /// What keeps it from printing.
    pub fault: Option<HeldReason>,
    /// Paper is near its end.
    pub paper_low: bool,
    /// The drawer's sensor: whether its pin is high.
    pub drawer_high: Option<bool>,
    /// What the last attempt to open the link said.
    pub link_error: Option<String>,
}

/// The spool refused: it cannot keep a state, and so nothing may be sent.
#[derive(Debug, thiserror::Error)]
#[error("the print queue cannot be written: {0}")]
pub struct SpoolError(pub String);

/// Where one printer's jobs come from and their states are kept.
pub trait Spool: Send {
    /// The next job for this printer, if one waits: the one that is held, or the oldest that is queued. Called
    /// when the printer is idle.
    ///
    /// # Errors
    /// The queue cannot be read.
    fn next(&mut self) -> Result<Option<Job>, SpoolError>;

    /// A drawer's pulse that waits, before or among the papers. Called while papers stand still at a printer that
    /// obeys pulses all the same.
    ///
    /// # Errors
    /// The queue cannot be read.
    fn pulse(&mut self) -> Result<Option<(JobId, Pulse)>, SpoolError> {
        Ok(None)
    }

    /// Keeps a state durably before it returns.
    ///
    /// # Errors
    /// It could not be kept: then the byte that it stands for must not be sent.
    fn keep(&mut self, job: JobId, state: &JobState) -> Result<(), SpoolError>;

    /// Waits until a job may be there, at most so long.
    fn wait(&mut self, at_most: Duration);

    /// Tells of a change of the printer's condition.
    fn condition(&mut self, condition: &Condition);
}
