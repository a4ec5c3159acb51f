//! What is to be printed, and what it is headed with.

use std::fmt;

use drivers::job::JobId;
use fiscal::paper::Block;

use crate::ledger::{Seq, TillId};

/// What a job puts on paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrintWhat {
    /// The receipt with this event.
    Receipt(Seq),
    /// The Z report of the day whose close has this event.
    ZReport(Seq),
    /// Blocks, as JSON: an X report, a slip, a test page.
    Blocks(String),
    /// No paper: the drawer is opened.
    Drawer,
    /// What an old POS printed: the bytes before the place for the fiscal block, the receipt that was issued for
    /// them (none: passed on untouched), and the bytes after that place.
    Captured {
        /// Bytes before.
        before: Vec<u8>,
        /// The receipt.
        receipt: Option<Seq>,
        /// Bytes after.
        after: Vec<u8>,
    },
}

impl PrintWhat {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Receipt(_) => "receipt",
            Self::ZReport(_) => "z_report",
            Self::Blocks(_) => "blocks",
            Self::Drawer => "drawer",
            Self::Captured { .. } => "captured",
        }
    }

    pub(super) const fn seq(&self) -> Option<Seq> {
        match self {
            Self::Receipt(seq) | Self::ZReport(seq) => Some(*seq),
            Self::Captured { receipt, .. } => *receipt,
            Self::Blocks(_) | Self::Drawer => None,
        }
    }

    pub(super) fn bodies(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        match self {
            Self::Blocks(json) => (Some(json.as_bytes()), None),
            Self::Captured { before, after, .. } => (Some(before), Some(after)),
            Self::Receipt(_) | Self::ZReport(_) | Self::Drawer => (None, None),
        }
    }
}

/// What the paper is headed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    /// Nothing: the one original.
    Original,
    /// COPY.
    Copy,
}

impl Heading {
    /// The word in the ledger and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Copy => "copy",
        }
    }
}

/// A job to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrint {
    /// The printer, by its name in the configuration.
    pub printer: String,
    /// Whose paper it is.
    pub till: Option<TillId>,
    /// What is to be printed.
    pub what: PrintWhat,
    /// What is printed of the same thing shares this name; none: a thing of its own.
    pub subject: Option<String>,
    /// A job that was queued under the same key is this one, and nothing new is queued.
    pub key: Option<String>,
}

impl NewPrint {
    /// A receipt's paper.
    #[must_use]
    pub fn receipt(printer: &str, till: TillId, seq: Seq) -> Self {
        Self {
            printer: printer.to_owned(),
            till: Some(till),
            what: PrintWhat::Receipt(seq),
            subject: Some(subject_of(seq)),
            key: None,
        }
    }

    /// A day's Z report, by the event of its close.
    #[must_use]
    pub fn z_report(printer: &str, till: TillId, close: Seq) -> Self {
        Self {
            what: PrintWhat::ZReport(close),
            ..Self::receipt(printer, till, close)
        }
    }

    /// A paper of its own, which is in no other table.
    #[must_use]
    pub fn blocks(printer: &str, till: Option<TillId>, blocks: &[Block]) -> Self {
        Self {
            printer: printer.to_owned(),
            till,
            // Blocks hold only texts and words: they always serialise.
            what: PrintWhat::Blocks(serde_json::to_string(blocks).unwrap_or_default()),
            subject: None,
            key: None,
        }
    }
}

/// The name that everything printed of a receipt or a day's close shares.
#[must_use]
pub fn subject_of(seq: Seq) -> String {
    format!("event {seq}")
}

/// A job, taken to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenPrint {
    /// Its number.
    pub id: JobId,
    /// What it is headed with; claimed for good once a byte may have been sent.
    pub heading: Heading,
    /// Whose paper it is.
    pub till: Option<TillId>,
    /// What is to be printed.
    pub what: PrintWhat,
}

impl fmt::Display for Heading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
