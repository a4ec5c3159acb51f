//! A POS is served: bytes from its link to the session, jobs through the door to their owner, answers back.
//!
//! The owner keeps a job before anything else, so that what a POS believes to have printed is never lost; then
//! reads it, sells it, prints it, and at the end tells that it is done. All of that may take its time: the loop
//! goes on taking bytes and answering questions meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::capture::job::CapturedJob;
use crate::capture::session::{Output, Session, Settings};
use crate::job::Condition;
use crate::transport::{Link, LinkError, Monotonic};

/// Longest wait for bytes: how late the door's news may be.
const STEP: Duration = Duration::from_millis(20);
/// Longest time that a POS may refuse an answer before it is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const CHUNK: usize = 4096;

/// What the owner has to tell a POS' session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A job is done with.
    Settled {
        /// Its number.
        job: u64,
        /// Its paper is out (of a sale, or of the slip that says why it was none); the POS may know.
        printed: bool,
    },
    /// The printer's condition has changed.
    Condition(Condition),
    /// Bytes of the printer, for a port in relay mode.
    FromPrinter(Vec<u8>),
}

/// A job could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("the job cannot be kept: {0}")]
pub struct DoorError(pub String);

/// The owner of what a POS prints, as one connection sees it.
pub trait Door {
    /// The printer's condition when the POS connects.
    fn condition(&mut self) -> Condition;

    /// A job has come. Returns when it is kept durably; what is done with it comes later, as
    /// [`News::Settled`].
    ///
    /// # Errors
    /// It could not be kept. The connection is then closed without an answer: nothing is printed, and the POS
    /// knows that it was not.
    fn job(&mut self, job: CapturedJob) -> Result<(), DoorError>;

    /// Sends a drawer pulse to the printer, before all that waits.
    fn pulse(&mut self, bytes: &[u8]);

    /// Sends real-time bytes to the printer, before all that waits (relay mode).
    fn relay(&mut self, bytes: &[u8]);

    /// What has happened since the last call. Must not block.
    fn news(&mut self) -> Vec<News>;
}

/// How serving a POS ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The POS closed, or the link was lost. Its last job was handed over if there was one.
    Closed,
    /// We are to stop.
    Stopped,
}

/// Serving a POS failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A job could not be kept.
    #[error(transparent)]
    Door(#[from] DoorError),
}

/// Serves one connection until it ends or `stop` is set; what has come by then is handed over.
///
/// # Errors
/// A job could not be kept.
pub fn serve(
    link: Box<dyn Link>,
    settings: Settings,
    door: &mut dyn Door,
    time: &dyn Monotonic,
    stop: &AtomicBool,
) -> Result<Ended, ServeError> {
    let session = Session::new(settings, door.condition());
    let mut server = Server {
        link,
        session,
        door,
        time,
        unsent: Vec::new(),
        stuck_since: None,
    };
    let mut buffer = [0; CHUNK];
    while !stop.load(Ordering::Relaxed) {
        if server.step(&mut buffer)? {
            return Ok(Ended::Closed);
        }
    }
    // What has come must not be lost: software that never reads answers does not send it a second time. Half a paper
    // adds up to nothing and is put aside.
    let out = server.session.closed();
    server.carry_out(out)?;
    Ok(Ended::Stopped)
}

struct Server<'a> {
    link: Box<dyn Link>,
    session: Session,
    door: &'a mut dyn Door,
    time: &'a dyn Monotonic,
    /// Answers that the POS has not taken yet.
    unsent: Vec<u8>,
    stuck_since: Option<Duration>,
}

impl Server<'_> {
    /// One round. Whether the connection has ended.
    fn step(&mut self, buffer: &mut [u8]) -> Result<bool, ServeError> {
        for news in self.door.news() {
            let out = match news {
                News::Settled { job, printed } => self.session.settled(job, printed),
                News::Condition(condition) => self.session.condition(&condition),
                News::FromPrinter(bytes) => self.session.from_printer(&bytes),
            };
            self.carry_out(out)?;
        }
        let read = match self.link.read(buffer, STEP) {
            Ok(read) => read,
            Err(error) => return self.lost(&error),
        };
        let now = self.time.now();
        let bytes = buffer.get(..read).unwrap_or_default();
        let mut out = self.session.bytes(now, bytes);
        if read == 0 {
            out.extend(self.session.tick(now));
        }
        self.carry_out(out)?;
        match self.send(now) {
            Ok(()) => Ok(false),
            Err(error) => self.lost(&error),
        }
    }

    fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), DoorError> {
        for output in outputs {
            match output {
                Output::Reply(bytes) => self.unsent.extend_from_slice(&bytes),
                Output::Relay(bytes) => self.door.relay(&bytes),
                Output::Pulse(bytes) => self.door.pulse(&bytes),
                Output::Job(job) => self.door.job(job)?,
            }
        }
        Ok(())
    }

    /// Sends what waits. A POS that takes no answers for a while does not want them: a one-way driver that
    /// never reads must be able to print all the same.
    fn send(&mut self, now: Duration) -> Result<(), LinkError> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let sent = self.link.write(&self.unsent, STEP)?;
        self.unsent.drain(..sent.min(self.unsent.len()));
        if self.unsent.is_empty() || sent > 0 {
            self.stuck_since = None;
            return Ok(());
        }
        let since = *self.stuck_since.get_or_insert(now);
        if now.saturating_sub(since) >= PATIENCE {
            tracing::debug!(
                bytes = self.unsent.len(),
                "the POS does not take its printer's answers"
            );
            self.unsent.clear();
            self.stuck_since = None;
        }
        Ok(())
    }

    /// The POS is gone: what it had sent is its last job.
    fn lost(&mut self, error: &LinkError) -> Result<bool, ServeError> {
        tracing::debug!(%error, "a POS has closed its printer connection");
        let out = self.session.closed();
        self.carry_out(out)?;
        Ok(true)
    }
}
