//! What is known of a printer, out of all that it has said.
//!
//! Bytes are never compared as a whole: a drawer's sensor alone turns the 12 of a healthy printer into 16.

use super::Reply;
use crate::escpos::request::RealTime;
use crate::job::{Condition, HeldReason};

/// What is known. Each answer replaces what it tells of, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// It is off line, for whatever reason.
    pub offline: bool,
    /// It waits for a person before it goes on line again.
    pub waits: bool,
    /// The cover is open.
    pub cover_open: bool,
    /// It has stopped for lack of paper.
    pub stopped_by_paper: bool,
    /// The sensor sees no paper.
    pub paper_out: bool,
    /// The sensor sees that paper is near its end.
    pub paper_low: bool,
    /// Some error, of a kind that has not been told.
    pub error: bool,
    /// A mechanical error, such as a jam.
    pub mechanical: bool,
    /// The cutter is stuck.
    pub cutter: bool,
    /// It must be switched off and on.
    pub unrecoverable: bool,
    /// An error that passes by itself: the head is hot.
    pub hot: bool,
    /// The pin of the drawer's sensor.
    pub drawer_high: Option<bool>,
}

impl Facts {
    /// Takes what an answer tells.
    pub fn take(&mut self, reply: &Reply) {
        match reply {
            Reply::RealTime(RealTime::Printer, byte) => self.printer(*byte),
            Reply::RealTime(RealTime::Offline, byte) => {
                self.cover_open = bit(*byte, 2);
                self.stopped_by_paper = bit(*byte, 5);
                self.error = bit(*byte, 6);
            }
            Reply::RealTime(RealTime::Error, byte) => {
                self.mechanical = bit(*byte, 2);
                self.cutter = bit(*byte, 3);
                self.unrecoverable = bit(*byte, 5);
                self.hot = bit(*byte, 6);
            }
            Reply::RealTime(RealTime::Paper, byte) => {
                self.paper_low = byte & 0x0C != 0;
                self.paper_out = byte & 0x60 != 0;
            }
            Reply::Worked(_, byte) => {
                self.paper_low = byte & 0x03 != 0;
                self.paper_out = byte & 0x0C != 0;
            }
            Reply::Automatic(bytes) => self.automatic(*bytes),
            Reply::Printed(_)
            | Reply::Cleared
            | Reply::ModelNumber(_)
            | Reply::About(..)
            | Reply::XOn
            | Reply::XOff
            | Reply::Noise(_) => {}
        }
    }

    /// What keeps it from printing; the first thing to mend, if there are several.
    #[must_use]
    pub fn fault(&self) -> Option<HeldReason> {
        [
            (self.unrecoverable, HeldReason::Fault),
            // An open cover often reads as no paper, too.
            (self.cover_open, HeldReason::CoverOpen),
            (
                self.paper_out || self.stopped_by_paper,
                HeldReason::PaperOut,
            ),
            (self.cutter, HeldReason::Cutter),
            (self.hot, HeldReason::Hot),
            (self.mechanical, HeldReason::Fault),
            (
                self.error || self.offline || self.waits,
                HeldReason::Offline,
            ),
        ]
        .into_iter()
        .find_map(|(is, reason)| is.then_some(reason))
    }

    /// Writes what is known into the condition that people see.
    pub fn tell(&self, condition: &mut Condition) {
        condition.fault = self.fault();
        condition.paper_low = self.paper_low;
        condition.drawer_high = self.drawer_high;
    }

    fn printer(&mut self, byte: u8) {
        self.drawer_high = Some(bit(byte, 2));
        self.offline = bit(byte, 3);
        self.waits = bit(byte, 5);
        if !self.offline {
            // What would keep it off line is over. Paper has an answer of its own: some stay on line without.
            *self = Self {
                waits: self.waits,
                paper_out: self.paper_out,
                paper_low: self.paper_low,
                drawer_high: self.drawer_high,
                ..Self::default()
            };
        }
    }

    fn automatic(&mut self, [first, second, third, _]: [u8; 4]) {
        let offline = bit(first, 3);
        let paper_out = third & 0x0C != 0;
        *self = Self {
            offline,
            waits: bit(second, 0),
            cover_open: bit(first, 5),
            stopped_by_paper: offline && paper_out,
            paper_out,
            paper_low: third & 0x03 != 0,
            error: false,
            mechanical: bit(second, 2),
            cutter: bit(second, 3),
            unrecoverable: bit(second, 5),
            hot: bit(second, 6),
            drawer_high: Some(bit(first, 2)),
        };
    }
}

fn bit(byte: u8, number: u8) -> bool {
    byte >> number & 1 == 1
}
