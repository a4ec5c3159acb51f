//! The printer at the other end of the cable: the model, what has come for it, and what it has to say.

use std::time::Duration;

use drivers::job::JobId;
use vprinter::{Fault, Printer, PrinterSetup};

use crate::cable::Cable;
use crate::plan::{Hit, Pull};

/// What every job's bytes begin with; before it there may be filler, for a command that was cut short.
const ESC: u8 = 0x1B;
/// What the kernel takes from the host at once. It is read whole: a rest that is in the kernel when the cable is
/// pulled is freed there, and used all the same after the next plugging.
const WHOLE: usize = 8192;
/// Nothing happens for so long: then all is looked at once more.
const LOOK: Duration = Duration::from_millis(20);

/// The job whose bytes arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) id: JobId,
    /// How many bytes it has, from its first command to the question at its end.
    pub(crate) length: usize,
    /// How many of them the printer has taken.
    pub(crate) taken: usize,
    begun: bool,
}

/// A printer on a cable.
pub(crate) struct Device<'a> {
    pub(crate) printer: Printer,
    pub(crate) cable: &'a mut Cable,
    pub(crate) job: Option<Progress>,
    /// Read from the cable, and not taken yet.
    inbox: Vec<u8>,
    /// Said, and not on the cable yet.
    outbox: Vec<u8>,
    /// The host has spoken since the cable was plugged in: now it listens, too.
    spoken_to: bool,
}

impl<'a> Device<'a> {
    /// A printer that has just been switched on, and is not plugged in.
    pub(crate) fn new(setup: PrinterSetup, cable: &'a mut Cable) -> Self {
        Self {
            printer: Printer::new(setup),
            cable,
            job: None,
            inbox: Vec::new(),
            outbox: Vec::new(),
            spoken_to: false,
        }
    }

    /// Which job is under way now, and how long it is.
    pub(crate) fn follow(&mut self, job: Option<(JobId, usize)>) {
        let same = |(id, _): (JobId, usize)| self.job.is_some_and(|job| job.id == id);
        match job {
            Some(job) if same(job) => {}
            other => {
                self.job = other.map(|(id, length)| Progress {
                    id,
                    length,
                    taken: 0,
                    begun: false,
                });
            }
        }
    }

    /// Reads from the cable, if all that came before has been taken.
    pub(crate) fn fetch(&mut self, now: Duration) -> Result<(), String> {
        self.printer.advance(now);
        if self.inbox.is_empty() {
            let mut buffer = [0; WHOLE];
            let count = self.cable.read(&mut buffer)?;
            self.inbox.extend(buffer.iter().take(count));
            self.spoken_to |= count > 0;
        }
        Ok(())
    }

    /// Works, until it is time to pull the cable: then true. `stop` is the byte of the job for a pull amid it.
    pub(crate) fn work(
        &mut self,
        now: Duration,
        hit: Option<Hit>,
        stop: usize,
    ) -> Result<bool, String> {
        if hit == Some(Hit::First) && self.job.is_some() && !self.inbox.is_empty() {
            return Ok(true);
        }
        self.take(
            now,
            match hit {
                Some(Hit::Middle) => stop,
                Some(Hit::Last | Hit::Printed) => self.job.map_or(usize::MAX, |job| job.length),
                _ => usize::MAX,
            },
        );
        self.outbox.extend(self.printer.take_replies());
        let taken = self.job.map_or(0, |job| job.taken);
        let ended = self.job.is_some_and(|job| job.taken >= job.length);
        match hit {
            Some(Hit::Middle) if taken >= stop && taken > 0 => return Ok(true),
            Some(Hit::Last) if ended => return Ok(true),
            Some(Hit::Printed) if ended => return Ok(self.printer.is_idle()),
            _ => {}
        }
        let said = self.say()?;
        Ok(hit == Some(Hit::Answered) && ended && proves(&said))
    }

    /// Takes what has come, up to this byte of the job.
    fn take(&mut self, now: Duration, limit: usize) {
        let mut count = self.inbox.len();
        if let Some(job) = &mut self.job {
            if !job.begun {
                match self.inbox.iter().position(|byte| *byte == ESC) {
                    Some(0) => job.begun = true,
                    Some(filler) => count = filler,
                    None => {}
                }
            }
            if job.begun {
                count = count.min(limit.saturating_sub(job.taken));
            }
        }
        let bytes = self.inbox.get(..count).unwrap_or_default();
        let taken = self.printer.receive(now, bytes);
        self.inbox.drain(..taken);
        if let Some(job) = self.job.as_mut().filter(|job| job.begun) {
            job.taken += taken;
        }
    }

    /// Puts on the cable what it has to say; gives what went.
    fn say(&mut self) -> Result<Vec<u8>, String> {
        if !self.spoken_to {
            return Ok(Vec::new());
        }
        let count = self.cable.write(&self.outbox)?;
        Ok(self.outbox.drain(..count).collect())
    }

    /// Waits for something to happen; false: it is to be waited for elsewhere, so long.
    pub(crate) fn wait(&self, now: Duration) -> Result<(), Duration> {
        let event = self.printer.next_event();
        let pause = event.map_or(LOOK, |at| at.saturating_sub(now).min(LOOK));
        let has_said = self.outbox.is_empty() || !self.spoken_to;
        if self.inbox.is_empty() && has_said && self.cable.wait(pause) {
            return Ok(());
        }
        Err(pause.max(Duration::from_millis(1)))
    }

    /// Whether it has printed and said all.
    pub(crate) fn is_idle(&self) -> bool {
        self.printer.is_idle() && self.inbox.is_empty() && self.outbox.is_empty()
    }

    /// The cable is pulled.
    pub(crate) fn pull(&mut self, now: Duration, pull: &Pull) -> Result<(), String> {
        self.cable.pull()?;
        self.inbox.clear();
        self.job = None;
        self.spoken_to = false;
        self.go_on(now, pull);
        Ok(())
    }

    /// The power goes, if it is to go with this pull and has not gone yet.
    pub(crate) fn fade(&mut self, now: Duration, pull: &Pull) {
        if pull.power_lost && self.printer.is_on() {
            self.printer.suffer(now, Fault::PowerOff);
        }
    }

    /// Prints what it has, with the cable out.
    pub(crate) fn go_on(&mut self, now: Duration, pull: &Pull) {
        self.printer.advance(now);
        self.outbox.extend(self.printer.take_replies());
        if !pull.late {
            self.outbox.clear();
        }
    }

    /// The cable is plugged in, and with it the printer is switched on if it was off.
    pub(crate) fn plug(&mut self, now: Duration) -> Result<(), String> {
        if !self.printer.is_on() {
            self.printer.suffer(now, Fault::PowerOn);
        }
        self.cable.plug()
    }
}

/// Whether there is an answer to a job's question in it: a process ID, or a byte as GS r brings it.
fn proves(said: &[u8]) -> bool {
    let process_id = said.windows(2).any(|pair| pair == [0x37, 0x22]);
    process_id || said.iter().any(|byte| byte & 0x90 == 0)
}
