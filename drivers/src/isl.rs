//! Datecs ISL: the fiscal printer that much POS software of the region drives. We look like one.
//!
//! Two kinds of frames, told apart by themselves: "P" (FP-800, FP-2000, FP-650, PF-550 and the printers of
//! Incotex, Eltrade and Daisy that speak the same) and "X" (FP-700X and its kin).
//!
//! ```text
//! P  01 LEN SEQ CMD DATA 05 BCC*4 03         reply: 01 LEN SEQ CMD DATA 04 S0..S5 05 BCC*4 03
//! X  01 LEN*4 SEQ CMD*4 DATA 05 BCC*4 03     reply: the same with S0..S7, DATA begins {error} TAB
//! ```
//!
//! LEN is 20h and the number of bytes from LEN to 05; BCC is the sum of the same bytes, each nibble and 30h.
//! A broken frame is answered by NAK (15h); while a command takes long SYN (16h) goes out every 50 ms, for
//! the software may give up after 60. A frame that is byte for byte the last one gets the last reply and is
//! not executed.
//!
//! **Pointing software at it.** Serial: a null-modem cable from its port to ours, 8N1 at the speed that it
//! is set to (9600 is usual), without flow control: XON/XOFF would eat bytes of frames. TCP: the port that
//! is configured; one connection at a time. In the software choose "Datecs", model FP-800, FP-2000 (P) or
//! FP-700X (X). Any operator and password will do: who may reach the port is the gateway's business.
//!
//! **Letters.** `taxes.A = "15.5%"` and so on for every letter that the software sends (X sends 1 to 8 for A
//! to H); what is not mapped is refused as a syntax error. The languages name no currency: give each
//! currency a port of its own, or a payment code its currency, `payments.I = { money = "Cash", currency =
//! "ZWG" }`.
//!
//! **Commands.** 21h 23h 2Fh display; 26h 2Ah 27h service receipt; 30h open; 2Eh (P) and 2Bh (X) storno;
//! 31h 34h sale; 33h subtotal; 35h payment; 36h text; 38h close; 39h customer; 3Ch cancel; 3Dh (refused)
//! 3Eh clock; 45h reports; 4Ah status; 4Ch 67h open receipt; 50h (X) 61h tax rates; 5Ah identity; 63h
//! taxpayer; 6Ah drawer; 6Dh copy; 6Eh payments; 71h last document; 74h QR code of the last receipt.
//!
//! **Not implemented**, and answered as unknown commands: articles programmed in the printer (6Bh, 3Ah),
//! cash in and out (46h), reports of the fiscal memory, header, footer and logo, barcodes, the journal,
//! everything that programs a printer. The error codes of X beside 0 are the maker's as far as they are
//! known; software looks only at whether they are below zero.

mod frame;
mod p;
mod status;
mod wire;
mod x;

pub use frame::{Frame, Variant};
pub use wire::IslWire;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::register::{
    Answer, Codes, Desk, Language, Refusal, Register, Request, Rules, Step, View, Wire,
};
use crate::transport::{Link, LinkError, Monotonic};

/// The language of both kinds of frames.
#[derive(Debug, Clone)]
pub struct Isl {
    rules: Arc<Rules>,
}

impl Isl {
    /// The language under the rules of a port.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules }
    }
}

impl Language for Isl {
    fn request(&self, frame: &[u8]) -> Result<Request, Refusal> {
        let frame = Frame::decode(frame).ok_or_else(|| Refusal::syntax("no frame"))?;
        match frame.variant {
            Variant::P => p::request(&self.rules, &frame),
            Variant::X => x::request(&self.rules, &frame),
        }
    }

    fn reply(&self, frame: &[u8], outcome: &Result<Answer, Refusal>, view: &View) -> Vec<u8> {
        let Some(frame) = Frame::decode(frame) else {
            return vec![frame::NAK];
        };
        let class = outcome.as_ref().err().map(|refusal| refusal.class);
        let status = status::bytes(frame.variant, view, class);
        let data = match frame.variant {
            Variant::P => p::reply(&self.rules, &frame, outcome),
            Variant::X => x::reply(&self.rules, &frame, outcome, &status),
        };
        frame.reply(&data, &status)
    }

    fn codes(&self, frame: &[u8]) -> &Codes {
        let variant = Frame::decode(frame).map(|frame| frame.variant);
        match variant {
            Some(Variant::X) => &self.rules.profile.isl_x.codes,
            _ => &self.rules.profile.isl_p.codes,
        }
    }
}

/// A session without threads: commands are carried out at once. For tests, and for callers with a loop of
/// their own.
#[derive(Debug)]
pub struct Session {
    wire: IslWire,
    language: Isl,
    desk: Desk,
}

impl Session {
    /// Takes up what the register kept.
    ///
    /// # Errors
    /// It cannot be read or kept.
    pub fn start(rules: Arc<Rules>, register: &mut dyn Register) -> Result<Self, Refusal> {
        let language = Isl::new(Arc::clone(&rules));
        let desk = Desk::start(rules, &language, register)?;
        Ok(Self {
            wire: IslWire::default(),
            language,
            desk,
        })
    }

    /// Takes bytes, gives the bytes to write.
    pub fn receive(&mut self, now: Duration, bytes: &[u8], register: &mut dyn Register) -> Vec<u8> {
        let mut out = Vec::new();
        // Byte by byte, so that a frame behind another one finds us idle again.
        for byte in bytes {
            for step in self.wire.receive(now, &[*byte]) {
                match step {
                    Step::Write(bytes) => out.extend(bytes),
                    Step::Execute(frame) => {
                        out.extend(self.desk.answer(&frame, &self.language, register));
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

/// Why serving ended before the link did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The link is lost.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What was kept cannot be taken up.
    #[error("the register's state cannot be taken up: {0}")]
    Register(#[from] Refusal),
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
    let language = Isl::new(Arc::clone(rules));
    let mut desk = Desk::start(Arc::clone(rules), &language, register)?;
    let mut answer = |frame: &[u8]| desk.answer(frame, &language, register);
    let mut wire = IslWire::default();
    crate::register::serve(link, &mut wire, &mut answer, time, stop)?;
    Ok(())
}
