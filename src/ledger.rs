//! The one door to the store's SQLite database.
//!
//! Callers see verbs, never a connection. [`core`] is synchronous and free of threads, so that it can be
//! simulated; [`writer`] puts one thread and a bounded queue before it and commits many sales at once;
//! [`read`] answers questions from snapshots of its own. Everything of a sale is one transaction with
//! `synchronous=FULL`, and is answered only after COMMIT (docs/ARCHITECTURE.md, Storage).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use fiscal::draft::{Draft, PrintOnly};
use fiscal::receipt::{Hash, Receipt, Signature};
use fiscal::taxpayer::Taxpayer;
use fiscal::{DateTime, DeviceId, Finding, FiscalDayNo, ReceiptGlobalNo};
use serde::{Deserialize, Serialize};

pub mod adoption;
mod archived;
pub mod archiving;
mod audit;
mod batch;
pub mod captured;
pub mod certificates;
mod chain;
pub mod configs;
pub mod copies;
pub mod core;
pub mod days;
pub mod extract;
mod file_id;
pub mod files;
mod holding;
pub mod holds;
pub mod hq;
mod issue;
pub mod lock;
mod look;
mod migrating;
pub mod mirror;
pub mod policy;
pub mod printing;
pub mod read;
pub mod rebuild;
pub mod recount;
pub mod red;
#[cfg(test)]
#[cfg(feature = "demo")]
mod refusal_tests;
pub mod replacing;
mod schema;
pub mod settings;
mod signers;
mod sql;
pub mod stream;
#[cfg(test)]
#[cfg(feature = "demo")]
mod tests;
pub mod tills;
pub mod verify;
pub mod watch;
pub mod writer;
#[cfg(test)]
#[cfg(feature = "demo")]
mod writer_tests;

pub use file_id::FileDoubt;
pub use migrating::Migrated;
pub use policy::{Answers, DayClosing, DayOpening, DayPolicy, PrintPolicy};
pub use read::Reader;
pub use settings::{Settings, TillSettings};
pub use writer::Ledger;

/// The number of an event, and of the receipt, day or close that it tells of. It rises for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// A till's row in this ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TillId(pub i64);

/// Which FDMS a till belongs to, for life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// The authority's test server; receipts are not valid and say so.
    Test,
    /// The real one.
    Production,
}

impl Environment {
    /// The word in the ledger, the configuration and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Production => "production",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "test" => Some(Self::Test),
            "production" => Some(Self::Production),
            _ => None,
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What never changes about a till.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TillInfo {
    /// Its row.
    pub id: TillId,
    /// Test or production.
    pub environment: Environment,
    /// Its number at FDMS.
    pub device_id: DeviceId,
    /// Serial number of the device.
    pub serial_no: String,
    /// `DeviceModelName` as registered.
    pub model_name: String,
    /// `DeviceModelVersion` as registered.
    pub model_version: String,
    /// Put in front of every `invoiceNo`.
    pub invoice_prefix: String,
}

impl TillInfo {
    /// Its row and its number at FDMS.
    #[must_use]
    pub fn ids(&self) -> (TillId, DeviceId) {
        (self.id, self.device_id)
    }
}

/// A sale for the writer.
#[derive(Debug)]
pub struct Sale {
    /// The till.
    pub till: TillId,
    /// What the POS sent.
    pub draft: Draft,
    /// `Idempotency-Key`; without it `invoiceNo` is the key.
    pub key: Option<String>,
    /// Who sells, for the audit: `token:NAME`, `uid:1000`, `system`.
    pub actor: Arc<str>,
    /// A controlled test receipt that head office has ordered: it passes a closed gate, in the test environment
    /// alone (docs/HQ.md).
    pub controlled: bool,
    /// What idempotency compares.
    fingerprint: Hash,
}

impl Sale {
    /// A sale on a till, its fingerprint taken here: the writer has no time for it.
    #[must_use]
    pub fn new(
        (till, device): (TillId, DeviceId),
        mut draft: Draft,
        key: Option<String>,
        actor: Arc<str>,
    ) -> Self {
        // Named for the moment, so that nothing is copied for it.
        let sent = draft.device_id.replace(device);
        let fingerprint = draft.fingerprint(device);
        draft.device_id = sent;
        Self {
            fingerprint,
            till,
            draft,
            key,
            actor,
            controlled: false,
        }
    }
}

/// A sale that has been issued, as it is kept.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its event.
    pub seq: Seq,
    /// The till.
    pub till: Arc<TillInfo>,
    /// The taxpayer as configured when it was issued.
    pub taxpayer: Arc<Taxpayer>,
    /// Its fiscal day.
    pub fiscal_day_no: FiscalDayNo,
    /// The receipt.
    pub receipt: Receipt,
    /// Our signature.
    pub signature: Signature,
    /// What is only printed.
    pub print: PrintOnly,
    /// The original of a note, when it is in this ledger.
    pub original: Option<OriginalFacts>,
}

/// What a note prints of its original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalFacts {
    /// Its number.
    pub global_no: ReceiptGlobalNo,
    /// Its date.
    pub date: DateTime,
    /// The shop's number of it.
    pub invoice_no: String,
    /// Serial number of the device that issued it.
    pub serial_no: String,
}

/// How a sale ended.
#[derive(Debug)]
pub enum SaleDone {
    /// Issued now.
    Issued(Box<Issued>),
    /// It had been issued before, under the same key.
    Repeated(Seq),
}

/// Why the ledger did not do what was asked, with nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The sale breaks rules.
    #[error("{}", findings.first().map(ToString::to_string).unwrap_or_default())]
    Findings {
        /// What is wrong.
        findings: Vec<Finding>,
    },
    /// The key was used for another sale.
    #[error("the key \"{key}\" was used for another sale, {invoice_no}")]
    KeyConflict {
        /// The key.
        key: String,
        /// The other sale's `invoiceNo`.
        invoice_no: String,
    },
    /// No such till in this ledger.
    #[error("there is no such till in this store")]
    NoSuchTill,
    /// The till cannot sell yet.
    #[error("the till {device} cannot sell yet: {missing}")]
    NotReady {
        /// The till.
        device: DeviceId,
        /// What it lacks.
        missing: &'static str,
    },
    /// Something keeps the till from selling until FDMS or a person has said otherwise.
    #[error("the till {device} takes no sales: {reason}")]
    Held {
        /// The till.
        device: DeviceId,
        /// What kind of thing.
        kind: holds::HoldKind,
        /// Why, and what to do.
        reason: String,
    },
    /// No day is open, and days are opened by hand.
    #[error("no fiscal day is open on the till {device}")]
    DayNotOpen {
        /// The till.
        device: DeviceId,
    },
    /// The taxpayer has become a VAT payer while the day was open, and days are opened by hand.
    #[error(
        "the taxpayer of the till {device} pays VAT since after the fiscal day {no} was opened; it takes no more receipts"
    )]
    VatChanged {
        /// The till.
        device: DeviceId,
        /// The open day.
        no: FiscalDayNo,
    },
    /// A day is open already.
    #[error("the fiscal day {no} is open already on the till {device}")]
    DayOpen {
        /// The till.
        device: DeviceId,
        /// The day.
        no: FiscalDayNo,
    },
    /// The till's stream is not where the caller thinks.
    #[error("{0}")]
    Stream(String),
    /// There is such a thing already.
    #[error("{0}")]
    Exists(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    NotNow(String),
}

/// What can go wrong with the storage itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// No room on the disk. Nothing was written.
    #[error("the disk is full; make room on the disk of the ledger, selling goes on by itself")]
    Full,
    /// COMMIT failed: it is not known whether the sale is in the ledger.
    #[error("the ledger could not confirm the write ({0}); ask again with the same key")]
    CommitUnknown(String),
    /// After a storage fault nothing is written until a restart.
    #[error(
        "the ledger takes no writes since a storage fault ({0}); run `fiscald verify`, then restart"
    )]
    ReadOnly(String),
    /// Too many sales wait.
    #[error("too many sales are waiting; try again in a second")]
    Busy,
    /// The daemon is stopping.
    #[error("the daemon is stopping; try again with the same key once it runs")]
    Stopping,
    /// A newer version has written this ledger.
    #[error(
        "this ledger was written by a newer version (its tables are at step {found}, this version knows {known}); install that version"
    )]
    Newer {
        /// Step found.
        found: i64,
        /// Step known.
        known: i64,
    },
    /// An older ledger could not be copied before its tables are changed. Nothing was changed.
    #[error(
        "this ledger is of an older version, and could not be copied to {backup} before it is brought to this one, so nothing was changed: {why}. Mend that (room on the disk? the disk itself?) and start again"
    )]
    NotCopied {
        /// Where the copy was to be.
        backup: String,
        /// Why not.
        why: String,
    },
    /// A file may not or cannot be written. That says nothing against the ledger.
    #[error(
        "{path} cannot be written: {why}. This runs as user {user}: may that user write there, and is the disk mounted and not write-protected?",
        path = path.display()
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The number of the user who tried.
        user: u32,
        /// What the system says.
        why: String,
    },
    /// There is no ledger, and a restore has left something in its place. None is begun anew.
    #[error(
        "there is no ledger at {ledger}, but {left} lies there: a restore was cut short. An empty ledger would use the numbers of its tills again, so none is made. Give the same `fiscald restore` once more: it begins anew, and what is there is kept. {instead}",
        ledger = ledger.display(), left = left.display()
    )]
    SetAside {
        /// Where the ledger should be.
        ledger: PathBuf,
        /// What lies there.
        left: PathBuf,
        /// What else can be done, a sentence.
        instead: String,
    },
    /// The ledger contradicts itself.
    #[error("the ledger is damaged: {0}; run `fiscald verify`")]
    Damaged(String),
    /// What is asked for was moved into an archive that is not there.
    #[error(
        "that is in the archive {0}, which is not beside the ledger; put it back from where it is kept"
    )]
    ArchiveGone(String),
    /// A key cannot be used.
    #[error("{0}")]
    Key(Arc<crate::keys::KeyError>),
    /// Anything else that SQLite says.
    #[error("the ledger's database says: {0}")]
    Sqlite(Arc<rusqlite::Error>),
}

impl From<crate::keys::KeyError> for StorageError {
    fn from(error: crate::keys::KeyError) -> Self {
        Self::Key(Arc::new(error))
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as C;
        /// `SQLITE_IOERR_SHMSIZE`: the shared-memory file cannot grow, which is a full disk.
        const IOERR_SHMSIZE: i32 = 10 | (19 << 8);
        match error.sqlite_error() {
            Some(e) if e.code == C::DiskFull || e.extended_code == IOERR_SHMSIZE => Self::Full,
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

impl StorageError {
    /// Whether the file itself is damaged, or is no ledger.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode as C;
        match self {
            Self::Damaged(_) => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(C::DatabaseCorrupt | C::NotADatabase)
            ),
            _ => false,
        }
    }

    /// Whether the storage can no longer be trusted: nothing more is written until a restart.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        use rusqlite::ErrorCode as C;
        match self {
            Self::CommitUnknown(_) | Self::Damaged(_) => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    // Our own numbers or keys contradict each other: rather stop than guess.
                    C::ConstraintViolation
                        | C::SystemIoFailure
                        | C::DatabaseCorrupt
                        | C::NotADatabase
                        | C::CannotOpen
                        | C::ReadOnly
                )
            ),
            _ => false,
        }
    }
}

/// A refusal, or a fault of the storage.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Nothing was changed, for this reason.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// What a day's report needs.
#[derive(Debug, Clone)]
pub struct DayFacts {
    /// Its event.
    pub day_id: Seq,
    /// Its number.
    pub fiscal_day_no: FiscalDayNo,
    /// When it was opened.
    pub opened: DateTime,
    /// When it was closed, and how that was signed.
    pub close: Option<CloseFacts>,
    /// Its sums, so far or for good.
    pub totals: fiscal::counters::DayTotals,
    /// `receiptCounter` of its last receipt.
    pub receipt_counter: u32,
}

/// How a day was closed.
#[derive(Debug, Clone)]
pub struct CloseFacts {
    /// Its event.
    pub seq: Seq,
    /// When.
    pub closed: DateTime,
    /// Our signature.
    pub signature: Signature,
}

/// The hash of the receipt that the next one continues; `None` at the start of a day.
pub type PreviousHash = Option<Hash>;
