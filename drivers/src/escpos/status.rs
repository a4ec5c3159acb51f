//! What a printer says, out of any mixture of answers in pieces of any size.
//!
//! | byte | is |
//! |---|---|
//! | `00010001`, `00010011` | XON, XOFF |
//! | `0xx1xx10` | the answer to DLE EOT |
//! | `0xx1xx00` | the first of four bytes of automatic status; the other three are `0xx0xxxx` |
//! | `0xx0xxxx` | the answer to GS r and GS I 1 |
//! | `37 22 d1 d2 d3 d4 00` | all up to a process ID has been printed |
//! | `37 25 00` | the buffer has been cleared |
//! | `5F .. 00` | the answer to GS I 65 to 68 |
//!
//! A DLE EOT answer does not tell what it answers, so the questions are remembered in their order; the same
//! holds for GS r. XON, XOFF, DLE EOT and automatic status are also taken out of the middle of other answers.
//! What fits nothing is noise. A line that breaks can read as 00, which is also what GS r answers when all is
//! well: where that can happen, only a process ID is proof.

mod facts;

use std::collections::VecDeque;

use super::request::{About, ProcessId, RealTime, Request};
use crate::job::JobId;

pub use facts::Facts;

/// Questions of a kind that may wait for answers; older ones are given up.
const WAITING: usize = 32;
/// The longest text that a printer tells of itself.
const TEXT: usize = 80;

const XON: u8 = 0x11;
const XOFF: u8 = 0x13;
/// Begins the answers of GS ( H and of clearing the buffer.
const PROCESS: u8 = 0x37;
/// Begins a text.
const ABOUT: u8 = 0x5F;

/// Something that a printer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The answer to DLE EOT: what was asked, and the byte as it came. [`Facts`] knows its bits.
    RealTime(RealTime, u8),
    /// Automatic status, four bytes.
    Automatic([u8; 4]),
    /// GS r: all before it has been worked through, asked after that job; and the paper's bits.
    Worked(JobId, u8),
    /// All before this process ID has been printed.
    Printed(ProcessId),
    /// The buffer has been cleared.
    Cleared,
    /// The number of its model.
    ModelNumber(u8),
    /// What it tells of itself.
    About(About, String),
    /// It takes bytes again.
    XOn,
    /// It takes no bytes now.
    XOff,
    /// A byte that belongs to nothing.
    Noise(u8),
}

/// Reads what a printer says.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    real_time: VecDeque<RealTime>,
    single: VecDeque<Single>,
    about: VecDeque<About>,
    printed: VecDeque<ProcessId>,
    /// Automatic status, as far as it has come.
    automatic: Vec<u8>,
    /// A longer answer, as far as it has come.
    block: Vec<u8>,
}

/// What is answered by one byte in its turn.
#[derive(Debug, Clone, Copy)]
enum Single {
    Worked(JobId),
    ModelNumber,
}

impl Parser {
    /// Nothing asked, nothing read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a question. Called when its bytes have been written.
    pub fn asked(&mut self, request: Request) {
        match request {
            Request::RealTime(what) => remember(&mut self.real_time, what),
            Request::Worked(job) => remember(&mut self.single, Single::Worked(job)),
            Request::ModelNumber => remember(&mut self.single, Single::ModelNumber),
            Request::About(what) => remember(&mut self.about, what),
            Request::Printed(id) => remember(&mut self.printed, id),
        }
    }

    /// Whether an answer to DLE EOT is still to come.
    #[must_use]
    pub fn awaits_real_time(&self) -> bool {
        !self.real_time.is_empty()
    }

    /// Forgets all questions, and answers that have begun: the link is new, or the answers will not come.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets what DLE EOT was asked, for no answer came in time.
    pub fn forget_real_time(&mut self) {
        self.real_time.clear();
    }

    /// Reads bytes as they come, and tells what they say.
    #[must_use]
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let mut out = Vec::new();
        for byte in bytes {
            self.byte(*byte, &mut out);
        }
        out
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<Reply>) {
        match byte {
            XON => out.push(Reply::XOn),
            XOFF => out.push(Reply::XOff),
            _ if !self.automatic.is_empty() => self.in_automatic(byte, out),
            _ => match self.block.first() {
                Some(&ABOUT) => self.in_text(byte, out),
                Some(_) => self.in_process(byte, out),
                None => self.outside(byte, out),
            },
        }
    }

    fn outside(&mut self, byte: u8, out: &mut Vec<Reply>) {
        if byte == PROCESS || byte == ABOUT && !self.about.is_empty() {
            self.block.push(byte);
        } else if !self.status(byte, out) {
            let answered = if is_single(byte) {
                self.single.pop_front()
            } else {
                None
            };
            out.push(match answered {
                Some(Single::Worked(job)) => Reply::Worked(job, byte),
                Some(Single::ModelNumber) => Reply::ModelNumber(byte),
                None => Reply::Noise(byte),
            });
        }
    }

    /// Takes a byte that is an answer to DLE EOT or begins automatic status.
    fn status(&mut self, byte: u8, out: &mut Vec<Reply>) -> bool {
        if is_real_time(byte) {
            out.push(match self.real_time.pop_front() {
                Some(what) => Reply::RealTime(what, byte),
                None => Reply::Noise(byte),
            });
        } else if begins_automatic(byte) {
            self.automatic.push(byte);
        } else {
            return false;
        }
        true
    }

    fn in_automatic(&mut self, byte: u8, out: &mut Vec<Reply>) {
        if is_single(byte) {
            self.automatic.push(byte);
            if let Ok(all) = <[u8; 4]>::try_from(self.automatic.as_slice()) {
                self.automatic.clear();
                out.push(Reply::Automatic(all));
            }
        } else if is_real_time(byte) {
            self.status(byte, out);
        } else {
            out.extend(self.automatic.drain(..).map(Reply::Noise));
            self.byte(byte, out);
        }
    }

    fn in_text(&mut self, byte: u8, out: &mut Vec<Reply>) {
        if byte == 0 {
            let text = self.block.get(1..).unwrap_or_default();
            let text = String::from_utf8_lossy(text).into_owned();
            self.block.clear();
            if let Some(what) = self.about.pop_front() {
                out.push(Reply::About(what, text));
            }
        } else if byte < 0x20 && self.status(byte, out) {
            // Out of turn; the text goes on.
        } else if byte < 0x20 || self.block.len() > TEXT {
            out.extend(self.block.drain(..).map(Reply::Noise));
            self.byte(byte, out);
        } else {
            self.block.push(byte);
        }
    }

    fn in_process(&mut self, byte: u8, out: &mut Vec<Reply>) {
        if self.is_out_of_turn(byte) && self.status(byte, out) {
            return;
        }
        match (self.block.as_slice(), byte) {
            ([_], 0x22 | 0x25) => self.block.push(byte),
            ([_, 0x25], 0) => {
                self.block.clear();
                out.push(Reply::Cleared);
            }
            ([_, 0x22, a, b, c, d], 0) => {
                let id = ProcessId([*a, *b, *c, *d]);
                self.block.clear();
                if let Some(place) = self.printed.iter().position(|asked| *asked == id) {
                    // What was asked before it has been printed before it.
                    self.printed.drain(..=place);
                }
                out.push(Reply::Printed(id));
            }
            ([_, 0x22, digits @ ..], 0x20..=0x7E) if digits.len() < 4 => self.block.push(byte),
            _ => self.give_up(byte, out),
        }
    }

    /// Whether a byte in the middle of a process ID is status: no digit is below 20, and once the beginning is
    /// one that we asked for, no digit looks like a status byte.
    fn is_out_of_turn(&self, byte: u8) -> bool {
        let digits = self.block.get(2..).unwrap_or_default();
        let ours = !digits.is_empty() && self.printed.iter().any(|id| id.0.starts_with(digits));
        let asked = begins_automatic(byte) || !self.real_time.is_empty();
        byte < 0x20 || digits.len() == 4 || ours && asked
    }

    /// The block is none. Another may have begun within it.
    fn give_up(&mut self, byte: u8, out: &mut Vec<Reply>) {
        let mut bytes = std::mem::take(&mut self.block);
        let next = bytes.iter().skip(1).position(|byte| *byte == PROCESS);
        let rest = bytes.split_off(next.map_or(bytes.len(), |place| place + 1));
        out.extend(bytes.into_iter().map(Reply::Noise));
        for byte in rest.into_iter().chain([byte]) {
            self.byte(byte, out);
        }
    }
}

fn remember<T>(queue: &mut VecDeque<T>, what: T) {
    if queue.len() == WAITING {
        queue.pop_front();
    }
    queue.push_back(what);
}

fn is_real_time(byte: u8) -> bool {
    byte & 0b1001_0011 == 0b0001_0010
}

fn begins_automatic(byte: u8) -> bool {
    byte & 0b1001_0011 == 0b0001_0000
}

fn is_single(byte: u8) -> bool {
    byte & 0b1001_0000 == 0
}

#[cfg(test)]
mod tests;
