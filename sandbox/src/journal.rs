//! What is written down: every request with FDMS's answer, and every change at the authority's desk.
//!
//! One format, two uses. The *journal* (`journal.jsonl` in the data folder) is how the world outlives
//! the program: each line is on the disk before its answer is sent, and at the next start they are all
//! played again. A *record* is for people: every request that came, those that faults have hit
//! included, with secrets blanked; it can be played on a new world to see what has become different.
//!
//! Lines are written in the order in which the world changed, so one thing at a time is done and
//! written; waiting for the disk is shared by all that are waiting.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::fault::FaultKind;
use crate::settings::Settings;

mod arrival;
mod blank;
mod change;
mod compare;
mod file;
mod held;
mod play;

pub(crate) use arrival::Arrival;
pub(crate) use change::Change;
pub use compare::Difference;
pub(crate) use file::{Journal, Lines};
pub(crate) use held::HeldClock;
pub(crate) use play::{Played, Player};

use blank::Blanker;
use file::append_to;

/// The version of the format; a file of a later one is not read.
pub(crate) const VERSION: u32 = 1;

/// A line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    Start(Start),
    Change(Changed),
    Exchange(Box<Exchange>),
}

/// The program has started. The first line of every file is one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) at: Timestamp,
    /// Of the format.
    pub(crate) version: u32,
    /// The program's own version.
    pub(crate) program: String,
    /// Where operation IDs and receiptIDs begin.
    pub(crate) seed: u64,
    /// With these a new world begins; none: the one of the lines before goes on.
    pub(crate) settings: Option<Box<Settings>>,
}

impl Start {
    pub(crate) fn new(at: Timestamp, seed: u64, settings: Option<Settings>) -> Self {
        Self {
            at,
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            settings: settings.map(Box::new),
        }
    }
}

/// Something was changed from the admin port or the library.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) at: Timestamp,
    pub(crate) what: Change,
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// When it was processed.
    pub(crate) at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<Call>,
    pub(crate) operation: String,
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    /// The address it came from.
    pub(crate) sender: IpAddr,
    /// SHA-256 of the client's certificate, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) body: String,
    /// Its body was too long or no text, so that it is not here as it came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_body_lost: bool,
    /// What FDMS answered; none: a fault hit the request before it was processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) answer: String,
    /// What went wrong on the line, on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<FaultKind>,
}

/// The files that are written.
#[derive(Debug)]
pub(crate) struct Log {
    clock: Arc<HeldClock>,
    pen: Mutex<Pen>,
    /// The journal once more, to wait for the disk without the pen.
    journal: Option<File>,
    /// How many lines of the journal are on the disk.
    synced: Mutex<u64>,
}

#[derive(Debug)]
struct Pen {
    journal: Option<File>,
    record: Option<(File, Blanker)>,
    /// How many lines of the journal have been written.
    written: u64,
    /// The journal lacks something that has happened.
    is_broken: bool,
}

impl Log {
    /// Goes on with a journal and begins a record, or goes on with one.
    ///
    /// # Errors
    /// The record cannot be written to.
    pub(crate) fn new(
        clock: Arc<HeldClock>,
        journal: Option<File>,
        record: Option<&Path>,
    ) -> Result<Self> {
        let open = |path: &Path| {
            let file = append_to(path).with_context(|| format!("opening {}", path.display()))?;
            anyhow::Ok((file, Blanker::new()?))
        };
        Ok(Self {
            clock,
            journal: journal.as_ref().map(File::try_clone).transpose()?,
            pen: Mutex::new(Pen {
                journal,
                record: record.map(open).transpose()?,
                written: 0,
                is_broken: false,
            }),
            synced: Mutex::new(0),
        })
    }

    /// Does something at one moment of the clock and writes down what it says; what the journal holds
    /// is on the disk when this returns. Blocks.
    ///
    /// # Errors
    /// The journal cannot be written, now or before. Nothing may be answered then: after a restart the
    /// thing would not have happened.
    pub(crate) fn perform<T>(
        &self,
        does: impl FnOnce(Timestamp) -> (T, Option<Entry>),
    ) -> io::Result<T> {
        let mut pen = self.pen();
        if pen.is_broken {
            let what = "the journal could not be written before: start the sandbox again";
            return Err(io::Error::other(what));
        }
        let held = self.clock.hold();
        let (value, entry) = does(held.at());
        if let Some(entry) = entry {
            pen.record(&entry);
            pen.keep(&entry)?;
        }
        let written = pen.written;
        drop(held);
        drop(pen);
        self.sync(written)?;
        Ok(value)
    }

    /// Writes something into the record alone.
    pub(crate) fn note(&self, entry: impl FnOnce(Timestamp) -> Entry) {
        let mut pen = self.pen();
        if pen.record.is_some() {
            let entry = entry(self.clock.hold().at());
            pen.record(&entry);
        }
    }

    fn pen(&self) -> MutexGuard<'_, Pen> {
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the first `lines` lines are on the disk. Whoever comes first does it for all that
    /// have been written by then.
    fn sync(&self, lines: u64) -> io::Result<()> {
        let Some(journal) = &self.journal else {
            return Ok(());
        };
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= lines {
            return Ok(());
        }
        let written = self.pen().written;
        journal.sync_data().inspect_err(|_| {
            self.pen().is_broken = true;
        })?;
        *synced = written;
        Ok(())
    }
}

impl Pen {
    fn keep(&mut self, entry: &Entry) -> io::Result<()> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        let done = file::write_line(journal, entry);
        self.is_broken = done.is_err();
        self.written += 1;
        done
    }

    /// A record that cannot be written is no reason to stop.
    fn record(&mut self, entry: &Entry) {
        let Some((file, blanker)) = &mut self.record else {
            return;
        };
        if let Err(error) = file::write_line(file, &blanker.entry(entry)) {
            tracing::warn!(%error, "the record cannot be written");
        }
    }
}
