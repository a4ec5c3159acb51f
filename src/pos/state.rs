//! How the ports are: whether POS software can connect, why not and what to do, and what will not work once it does.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use drivers::transport::{LinkConfig, LinkError};

use super::letters;
use crate::config::{Listen, Plays, PosSetup};
use crate::ledger::captured::CapturedRow;
use crate::ledger::printing::PrintRow;
use crate::ledger::{Ledger, LedgerError, Reader, TillId};

/// Whether POS software can connect to a port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// It is about to be opened.
    #[default]
    Starting,
    /// It can.
    Open,
    /// It cannot; the port is tried again every two seconds.
    Shut {
        /// What is wrong.
        why: String,
        /// What a person can do.
        action: String,
    },
}

impl Standing {
    /// The word in answers.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Open => "open",
            Self::Shut { .. } => "cannot_open",
        }
    }
}

/// How all ports stand, by their names.
#[derive(Debug, Default)]
pub(super) struct Standings(Mutex<BTreeMap<String, Standing>>);

impl Standings {
    pub(super) fn of(&self, port: &str) -> Standing {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(port).cloned().unwrap_or_default()
    }

    /// Keeps how a port stands; whether that is another standing than before.
    pub(super) fn set(&self, port: &str, standing: Standing) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.insert(port.to_owned(), standing.clone());
        before != Some(standing)
    }
}

/// Why a port cannot be served now.
#[derive(Debug, thiserror::Error)]
pub(super) enum PortError {
    /// It cannot be opened, or was lost.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The till is not in this store.
    #[error("the till {0} is not in this store")]
    NoTill(String),
    /// A folder cannot be watched.
    #[error("{0}")]
    Folder(String),
    /// What the software at the other end needs cannot be had.
    #[error("{0}")]
    Serving(String),
}

impl PortError {
    /// What a person can do about it.
    pub(super) fn action(&self, listen: &Listen) -> &'static str {
        match (self, listen) {
            (Self::NoTill(_), _) => {
                "Register the till (`fiscald register`), or mend device_id and environment of the port in [[pos]] and restart the gateway."
            }
            (Self::Ledger(_) | Self::Serving(_), _) => {
                "Nothing at the port: the gateway itself could not go on. See its log, and `fiscald verify`; the port is tried again by itself."
            }
            (Self::Folder(_), _) | (Self::Link(_), Listen::Folder(_)) => {
                "Give the gateway's user the right to write into the folder (it moves what it has read), or name another one in `listen`."
            }
            (Self::Link(_), Listen::Link(LinkConfig::Serial(_))) => {
                "Check the cable; `fiscald port list` shows what is plugged in, with the name for `listen`. The gateway's user must be in the group that owns the device (dialout)."
            }
            (Self::Link(_), Listen::Link(LinkConfig::Unix(_))) => {
                "Give the gateway's user the right to make a socket there, or name another path in `listen`."
            }
            (Self::Link(_), Listen::Link(_)) => {
                "End the program that listens there (`ss -ltnp` names it), or write a free port of an address of this machine into `listen`; below 1024 the gateway may not listen."
            }
        }
    }
}

/// The last paper of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastPaper {
    /// What software printed that believes to have a receipt printer.
    Captured(CapturedRow),
    /// What a fiscal printer that we play has put on paper.
    Printed(PrintRow),
}

/// What the ledger tells of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFacts {
    /// What will be refused or put aside as long as nobody mends it.
    pub warnings: Vec<String>,
    /// Its last paper.
    pub last: Option<LastPaper>,
    /// Papers that were put aside and neither sold nor dropped since.
    pub quarantined: u32,
}

impl PortFacts {
    /// Looks a port up; blocks.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn of(setup: &PosSetup, ledger: &Ledger, reader: &Reader) -> Result<Self, LedgerError> {
        let last = match setup.plays {
            Plays::Printer(_) => reader.last_paper(&setup.name)?.map(LastPaper::Captured),
            Plays::Isl(_) | Plays::Zfp(_) => reader
                .last_print_of(&super::actor(setup))?
                .map(LastPaper::Printed),
        };
        Ok(Self {
            warnings: warnings(setup, ledger, reader)?,
            last,
            quarantined: reader.quarantined(&setup.name)?,
        })
    }
}

/// What will not work at a port, though it is open.
pub(super) fn warnings(
    setup: &PosSetup,
    ledger: &Ledger,
    reader: &Reader,
) -> Result<Vec<String>, LedgerError> {
    let rules = match &setup.plays {
        Plays::Printer(templates) => {
            let broken = templates.current().err().map(|why| {
                format!("papers are put aside, for the templates cannot be read: {why}; mend them, then `fiscald capture replay --all`")
            });
            return Ok(broken.into_iter().collect());
        }
        Plays::Isl(rules) | Plays::Zfp(rules) => rules,
    };
    let Some(till) = selling(setup, reader)? else {
        return Ok(Vec::new());
    };
    // What FDMS lists no more it refuses, though receipts of before still have it.
    let Some(taxpayer) = reader.configured(till)? else {
        return Ok(vec![
            "nothing can be sold: the configuration of the till is missing; `fiscald till config --fetch` asks FDMS for it"
                .to_owned(),
        ]);
    };
    let now = ledger.time().local();
    Ok(letters::doubts(rules, &taxpayer, &ledger.settings(), now))
}

/// The till that a port sells on now: its own, or the one that was put in its place.
fn selling(setup: &PosSetup, reader: &Reader) -> Result<Option<TillId>, LedgerError> {
    let tills = reader.tills()?;
    let own = tills
        .iter()
        .find(|till| (till.environment, till.device_id) == setup.till);
    let Some(own) = own else { return Ok(None) };
    let switched = reader
        .switches()?
        .into_iter()
        .find(|(from, _)| *from == own.id);
    Ok(Some(switched.map_or(own.id, |(_, to)| to)))
}
