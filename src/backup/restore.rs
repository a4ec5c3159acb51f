//! A backup is put back: where a ledger was lost, or on another machine.
//!
//! What is dangerous about it: a ledger that sells on from old numbers uses them twice, and two ledgers of the same
//! tills do so for certain. So nothing that is newer than the backup is replaced unasked, what is replaced is kept, and
//! no till sells before FDMS has been asked (docs/ARCHITECTURE.md, A copied ledger).

use std::path::{Path, PathBuf};

use clock::SharedClock;

use super::{BackupError, Manifest, archives, carry, check, file_error, manifest, sync_folder};
use crate::config::Config;
use crate::crash::{self, Point};
use crate::keys::{KeyError, RecoveryPassphrase, SealingKey};
use crate::ledger::copies::{Ends, ends, fold, recovery, try_key, undo_unfinished};
use crate::ledger::core::Core;
use crate::ledger::lock::only_one;
use crate::ledger::replacing::{aside, beside, coming, last_aside};
use crate::ledger::verify::{VerifyError, verify};
use crate::ledger::{LedgerError, StorageError};

/// Why a backup was not put back; each text says what to do. The ledger that was there is there still.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A gateway runs on the ledger's folder.
    #[error("{0}")]
    Running(String),
    /// The backup is no good.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// There is a ledger that has more than the backup.
    #[error(
        "there is a ledger already, {path}, and it has what the backup has not:\n  {}\nSelling on from the backup would use its numbers again. If it is sound, keep it and start it. If it is to be replaced all the same, say so by its name: `--over {name}`; it is kept beside the new one",
        beyond.join("\n  "), path = path.display()
    )]
    HasMore {
        /// The ledger that is there.
        path: PathBuf,
        /// Its name.
        name: String,
        /// What it has, a sentence each.
        beyond: Vec<String>,
    },
    /// There is a ledger that cannot be read.
    #[error(
        "there is a ledger already, {path}, and it cannot be read ({why}), so nobody knows whether it has more than the backup. If it is to be replaced all the same: `--over damaged`; it is kept beside the new one",
        path = path.display()
    )]
    Unreadable {
        /// The ledger that is there.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The sealing key that is there belongs to another ledger.
    #[error(
        "the sealing key {path} is not the backup's ({why}). Move it away, if nothing else needs it, and restore again with the recovery passphrase",
        path = path.display()
    )]
    OtherKey {
        /// The key's file.
        path: PathBuf,
        /// What it says.
        why: String,
    },
    /// No key, and no passphrase can open the backup.
    #[error(
        "the backup was made before its store had a recovery passphrase: it can only be put back where its sealing key is"
    )]
    NoRecovery,
    /// A key or the passphrase.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The passphrase was not given.
    #[error("{0}")]
    Asking(String),
    /// The ledger that came out of the backup is wrong.
    #[error("the backup does not verify: {0}. Nothing was replaced; take an earlier backup")]
    Wrong(Box<VerifyError>),
    /// The storage.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The configuration.
    #[error("{0}")]
    Config(String),
}

impl From<StorageError> for RestoreError {
    fn from(error: StorageError) -> Self {
        Self::Ledger(error.into())
    }
}

/// What is to be restored, and how.
pub struct Restoring<'a> {
    /// The store that it is put back into.
    pub config: &'a Config,
    /// The backup.
    pub backup: &'a Path,
    /// The name of a ledger that may be replaced though it has more; `damaged` for one that cannot be read.
    pub over: Option<&'a str>,
    /// Asks for the recovery passphrase, where the sealing key is not there.
    pub passphrase: &'a mut dyn FnMut() -> Result<RecoveryPassphrase, RestoreError>,
    /// Hears how many receipts are verified, of so many.
    pub progress: &'a mut dyn FnMut(u64, u64),
    /// The clock.
    pub clock: SharedClock,
    /// Who does it, for the audit.
    pub actor: &'a str,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// How far the restored ledger has come.
    pub ends: Ends,
    /// What the manifest beside the backup says.
    pub manifest: Option<Manifest>,
    /// Where the ledger is now that was there before.
    pub replaced: Option<PathBuf>,
    /// The sealing key came out of the recovery passphrase, into this file.
    pub recovered_key: Option<PathBuf>,
}

/// Puts a backup back. It blocks, for as long as it takes to verify every receipt. Interrupted, it is done again.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(restoring: &mut Restoring<'_>) -> Result<Restored, RestoreError> {
    let config = restoring.config;
    let (folder, ledger) = (config.data_dir(), config.ledger_path());
    make_folder(&folder)?;
    let _lock = only_one(&folder).map_err(|error| RestoreError::Running(error.to_string()))?;
    let ends = check(restoring.backup)?;
    may_replace(&ledger, &ends, restoring.over)?;
    let (sealing, recovered_key) = sealing_key(restoring)?;
    let settings = config.settings().map_err(RestoreError::Config)?;
    let new = coming(&ledger);
    for (file, sha256) in &archives(restoring.backup)? {
        carry(
            &restoring.backup.with_file_name(file),
            &ledger.with_file_name(file),
            sha256,
        )?;
    }
    place(restoring.backup, &new)?;
    crash::at(Point::RestorePlaced);
    let manifest = manifest(restoring.backup);
    let detail = serde_json::json!({
        "backup": restoring.backup.file_name().map(|name| name.to_string_lossy()),
        "made": manifest.as_ref().map(|manifest| manifest.made),
        "lastEvent": ends.last_event,
    });
    let mut core = Core::open_copy(&new, sealing, restoring.clock.clone(), settings)?;
    core.write(|core| core.restored(&detail.to_string(), restoring.actor))?;
    // The last connection that is closed leaves everything in the one file.
    drop(core);
    verify(&new, restoring.progress).map_err(|error| RestoreError::Wrong(Box::new(error)))?;
    clear_log(&new)?;
    crash::at(Point::RestoreVerified);
    let stamp = restoring
        .clock
        .wall()
        .strftime("%Y%m%d-%H%M%SZ")
        .to_string();
    let replaced = set_aside(&ledger, &stamp)?;
    crash::at(Point::RestoreAside);
    std::fs::rename(&new, &ledger).map_err(file_error(&ledger))?;
    crash::at(Point::RestoreNamed);
    sync_folder(&folder).map_err(file_error(&folder))?;
    Ok(Restored {
        ends,
        manifest,
        replaced,
        recovered_key,
    })
}

fn make_folder(folder: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(folder).map_err(file_error(folder))
}

/// Nothing that has more than the backup is replaced unasked.
fn may_replace(ledger: &Path, backup: &Ends, over: Option<&str>) -> Result<(), RestoreError> {
    if !ledger.exists() {
        return Ok(());
    }
    let path = ledger.to_owned();
    // Power that went in the middle of setting it aside leaves a journal, which only a writer can undo.
    match undo_unfinished(ledger).and_then(|()| ends(ledger)) {
        Ok(present) => {
            let beyond = present.beyond(backup);
            if beyond.is_empty() || over == Some(present.ledger.as_str()) {
                return Ok(());
            }
            Err(RestoreError::HasMore {
                path,
                name: present.ledger,
                beyond,
            })
        }
        Err(_) if over == Some("damaged") => Ok(()),
        Err(error) => Err(RestoreError::Unreadable {
            path,
            why: error.to_string(),
        }),
    }
}

/// The key that opens the backup: the one that is there, or the one that the passphrase gives back, written where it
/// belongs.
fn sealing_key(
    restoring: &mut Restoring<'_>,
) -> Result<(SealingKey, Option<PathBuf>), RestoreError> {
    let path = restoring.config.sealing_key_path();
    match restoring.config.sealing_key() {
        Ok(key) => {
            try_key(restoring.backup, &key).map_err(|error| RestoreError::OtherKey {
                path: restoring.config.sealing_key_origin(),
                why: error.to_string(),
            })?;
            Ok((key, None))
        }
        Err(KeyError::SealingKeyFile { .. }) if !path.exists() => {
            let wrap = recovery(restoring.backup)?.ok_or(RestoreError::NoRecovery)?;
            let key = wrap.unwrap_with(&(restoring.passphrase)()?)?;
            try_key(restoring.backup, &key)?;
            key.write_new(&path)?;
            Ok((key, Some(path)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Copies the backup to where it is opened first; what an interrupted try has left there goes.
fn place(backup: &Path, new: &Path) -> Result<(), BackupError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    for leftover in [new.to_owned(), beside(new, "-wal"), beside(new, "-shm")] {
        match std::fs::remove_file(&leftover) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error(&leftover)(error));
            }
            _ => {}
        }
    }
    let mut source = std::fs::File::open(backup).map_err(file_error(backup))?;
    let mut private = std::fs::OpenOptions::new();
    private.write(true).create_new(true).mode(0o600);
    let mut target = private.open(new).map_err(file_error(new))?;
    std::io::copy(&mut source, &mut target)
        .and_then(|_| target.flush())
        .and_then(|()| target.sync_all())
        .map_err(file_error(new))
}

/// Takes away the empty log that reading has left; one that is not empty belongs to what is to be renamed.
fn clear_log(new: &Path) -> Result<(), BackupError> {
    let log = beside(new, "-wal");
    if std::fs::metadata(&log).is_ok_and(|meta| meta.len() > 0) {
        let why = std::io::Error::other("the log could not be written into the ledger");
        return Err(file_error(&log)(why));
    }
    for leftover in [log, beside(new, "-shm")] {
        if leftover.exists() {
            std::fs::remove_file(&leftover).map_err(file_error(&leftover))?;
        }
    }
    Ok(())
}

/// The ledger that was there is kept under another name, with its log.
fn set_aside(ledger: &Path, stamp: &str) -> Result<Option<PathBuf>, BackupError> {
    let was_there = ledger.exists();
    // A log that a restore has left behind which was cut short belongs to what that one has set aside.
    let begun = match was_there {
        true => None,
        false => last_aside(ledger).filter(|begun| !beside(begun, "-wal").exists()),
    };
    let aside = begun.unwrap_or_else(|| aside(ledger, stamp));
    if was_there {
        // Two files cannot be renamed at once. What cannot be folded is damaged, and keeps its log beside it.
        if let Err(error) = fold(ledger) {
            tracing::warn!(%error, "the ledger that is replaced is set aside together with its log");
        }
        std::fs::rename(ledger, &aside).map_err(file_error(ledger))?;
    }
    crash::at(Point::RestoreHalfAside);
    // A log that stayed behind would be read into the ledger that comes next.
    let log = beside(ledger, "-wal");
    if log.exists() {
        std::fs::rename(&log, beside(&aside, "-wal")).map_err(file_error(&log))?;
    }
    let index = beside(ledger, "-shm");
    if index.exists() {
        std::fs::remove_file(&index).map_err(file_error(&index))?;
    }
    Ok(was_there.then_some(aside))
}
