//! Tremol ZFP: the other fiscal printer's language. We look like one.
//!
//! ```text
//! host   02 LEN NBL CMD DATA CS CS 0A     LEN = 20h + bytes from LEN to DATA, CS = their XOR as two nibbles + 30h
//! reply  06 NBL STE1 STE2 CS CS 0A        done, or why not; CS = XOR of NBL STE1 STE2
//!        02 LEN NBL CMD DATA CS CS 0A     an answer with data
//! ```
//!
//! A broken frame is answered by NACK (15h), a frame that comes while we are busy by RETRY (0Eh). 04h is
//! answered by itself, 09h by 40h and a bit for each trouble: 1 busy, 2 no paper, 4 hot. A frame that is byte
//! for byte the last one gets the last reply and is not executed.
//!
//! **Pointing software at it.** Serial: null-modem cable, 115200 8N1 (older software 9600), no flow control.
//! TCP: port 8000 is usual; if a `password` is set, a connection begins with it and 0Ah, and until then 09h is
//! answered by 50h, after a wrong one by 70h. In the software choose "Tremol", an FP or ZFP model.
//!
//! **Letters.** As in [`crate::isl`]: `taxes.A = "15.5%"`. Payment types are the numbers 0 to 11. Departments
//! come as a byte 80h and more, or as digits.
//!
//! **Commands.** 20h status, 21h version, 24h to 27h display, 2Eh and 2Fh service receipt, 30h open (a storno
//! by its print field), 31h sale, 33h subtotal, 34h sale by department, 35h payment, 36h paid in cash and
//! closed, 37h text, 38h close, 39h cancel, 3Ah copy, 48h (refused) and 68h clock, 2Ah drawer, 60h numbers,
//! 61h taxpayer, 62h tax rates, 6Eh payments of the day, 71h last receipt, 72h open receipt or, with `B`, QR
//! code of the last one, 7Ch reports.
//!
//! **Not implemented**, and answered as unknown commands: articles, cash in and out (3Bh), customers'
//! data bases, graphics, reports of the fiscal memory, the journal, everything that programs a printer.
//! The order of fields in the answers to 6Eh and 72h is simplified: sums by payment type, and open,
//! items, total, paid.

mod command;
mod frame;
mod wire;

pub use frame::Frame;
pub use wire::ZfpWire;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::isl::ServeError;
use crate::job::{Condition, HeldReason};
use crate::register::{
    Answer, Codes, Desk, Language, Refusal, Register, Request, Rules, Step, View, Wire,
};
use crate::transport::{Link, Monotonic};

/// The language.
#[derive(Debug, Clone)]
pub struct Zfp {
    rules: Arc<Rules>,
}

impl Zfp {
    /// The language under the rules of a port.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules }
    }

    /// Answers a frame, or the question 09h.
    fn answer(&self, desk: &mut Desk, frame: &[u8], register: &mut dyn Register) -> Vec<u8> {
        match frame {
            [frame::PING] => vec![ready(&register.status())],
            frame => desk.answer(frame, self, register),
        }
    }
}

/// The answer to 09h when we are idle.
fn ready(condition: &Condition) -> u8 {
    frame::READY
        | match condition.fault {
            None => 0,
            Some(HeldReason::PaperOut | HeldReason::CoverOpen) => 2,
            Some(_) => 4,
        }
}

impl Language for Zfp {
    fn request(&self, frame: &[u8]) -> Result<Request, Refusal> {
        let frame = Frame::decode(frame).ok_or_else(|| Refusal::syntax("no frame"))?;
        command::request(&self.rules, &frame)
    }

    fn reply(&self, frame: &[u8], outcome: &Result<Answer, Refusal>, view: &View) -> Vec<u8> {
        match Frame::decode(frame) {
            Some(frame) => command::reply(&self.rules, &frame, outcome, view),
            None => vec![frame::NACK],
        }
    }

    fn codes(&self, _: &[u8]) -> &Codes {
        &self.rules.profile.zfp.codes
    }
}

/// A session without threads: commands are carried out at once. For tests, and for callers with a loop of
/// their own.
#[derive(Debug)]
pub struct Session {
    wire: ZfpWire,
    language: Zfp,
    desk: Desk,
}

impl Session {
    /// Takes up what the register kept.
    ///
    /// # Errors
    /// It cannot be read or kept.
    pub fn start(rules: Arc<Rules>, register: &mut dyn Register) -> Result<Self, Refusal> {
        let language = Zfp::new(Arc::clone(&rules));
        let wire = ZfpWire::new(rules.settings.password.as_deref());
        let desk = Desk::start(rules, &language, register)?;
        Ok(Self {
            wire,
            language,
            desk,
        })
    }

    /// Takes bytes, gives the bytes to write.
    pub fn receive(&mut self, now: Duration, bytes: &[u8], register: &mut dyn Register) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            for step in self.wire.receive(now, &[*byte]) {
                match step {
                    Step::Write(bytes) => out.extend(bytes),
                    Step::Execute(frame) => {
                        out.extend(self.language.answer(&mut self.desk, &frame, register));
                        self.wire.done();
                    }
                }
            }
        }
        out
    }

    /// The state behind it.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }
}

/// Serves a link until it is lost or `stop` is set; blocks, for a thread of its own.
///
/// # Errors
/// The link is lost, or the state cannot be taken up.
pub fn serve(
    link: &mut dyn Link,
    register: &mut dyn Register,
    rules: &Arc<Rules>,
    time: &dyn Monotonic,
    stop: &AtomicBool,
) -> Result<(), ServeError> {
    let language = Zfp::new(Arc::clone(rules));
    let mut wire = ZfpWire::new(rules.settings.password.as_deref());
    let mut desk = Desk::start(Arc::clone(rules), &language, register)?;
    let mut answer = |frame: &[u8]| language.answer(&mut desk, frame, register);
    crate::register::serve(link, &mut wire, &mut answer, time, stop)?;
    Ok(())
}
