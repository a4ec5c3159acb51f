//! What the machine is told, what it says, and how patient it is.

use std::time::Duration;

use crate::job::{JobId, JobState};

/// The times that a printer is given. The defaults suit all that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a job that has been begun may stand still, be it for want of paper, before nobody waits for it
    /// any longer.
    pub patience: Duration,
    /// How long a printer that is well may leave a job unanswered after its last byte.
    pub calm: Duration,
    /// How long the answer to a status request may take; it is asked twice.
    pub reply: Duration,
    /// How often an idle printer is asked how it is.
    pub idle_poll: Duration,
    /// How often a printer with a fault, or with a job in it, is asked.
    pub busy_poll: Duration,
    /// How long a printer that was well may say nothing at all, with a job in it, before its link is given up.
    pub silence: Duration,
    /// The last job that this printer was sent, before we were started, did not end in `Done`: the spool holds
    /// it as `Sending`, `AwaitAck` or `Unknown`. Then the printer may still wait for the rest of a picture,
    /// and is given one, which takes seconds on a slow line. Where nothing is known, true is the safe answer.
    pub cut_short: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(600),
            calm: Duration::from_secs(120),
            reply: Duration::from_millis(500),
            idle_poll: Duration::from_secs(5),
            busy_poll: Duration::from_secs(1),
            silence: Duration::from_secs(30),
            cut_short: true,
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The link is open.
    Opened,
    /// It could not be opened, and why.
    OpenFailed(&'a str),
    /// The link is lost, and why.
    Lost(&'a str),
    /// Bytes have come.
    Received(&'a [u8]),
    /// The link has taken so many of the bytes that were to be written; 0: it takes none now.
    Written(usize),
    /// The state has been kept.
    Kept,
    /// The state could not be kept.
    KeepFailed,
    /// The next job, encoded, without the question at its end.
    Job(JobId, Vec<u8>),
    /// The next job, which cannot be printed, and why.
    Refused(JobId, String),
    /// A drawer's pulse in real time, which is not to wait for papers that stand still; asked for while
    /// [`Machine::may_pulse`](super::Machine::may_pulse).
    Pulse(JobId, Vec<u8>),
    /// No job waits.
    NoJob,
    /// The spool could not be asked for a job.
    FetchFailed,
    /// There may be a job now.
    Awake,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Todo<'a> {
    /// Keep this state, and tell [`Event::Kept`] or [`Event::KeepFailed`].
    Keep(JobId, &'a JobState),
    /// Open the link, and tell [`Event::Opened`] or [`Event::OpenFailed`].
    Open,
    /// Drop the link.
    Close,
    /// Write these bytes, as many as the link takes, and tell [`Event::Written`].
    Write(&'a [u8]),
    /// Ask the spool for a job, and tell what it said.
    Fetch,
    /// Wait for a job until this time at most; then tell [`Event::Awake`].
    Idle(Duration),
    /// Read what comes until this time at most. No job is wanted.
    Wait(Duration),
}
