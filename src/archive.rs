//! Old years leave the ledger for files beside it, so that it stays small: `archive-2024.db`, read only.
//!
//! How it is done, step by step, so that whatever is interrupted is gone on with: the file is written under another name
//! and every hash and signature in it computed again; it gets its name; the ledger writes it down with its hash; then the
//! ledger's rows are emptied, a few at a time. What stays in the ledger, and why, is told in docs/ARCHITECTURE.md
//! (Archives).

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clock::SharedClock;

use crate::crash::{self, Point};
use crate::digest;
use crate::ledger::archiving::{
    Archive, Plan, archive_name, archive_path, verify_archive, write_archive,
};
use crate::ledger::core::Core;
use crate::ledger::{LedgerError, Reader, StorageError};

/// Why a year was not archived; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The ledger, or what is in it does not allow it yet.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file is not the one that was written.
    #[error("the archive {path} is not the file that was written ({what}); nothing more is taken out of the ledger. Put the right file back", path = path.display())]
    Changed {
        /// The archive.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The system.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// It was stopped; it goes on the next time.
    #[error("it was stopped; the next time it goes on from here")]
    Stopped,
}

impl From<StorageError> for ArchiveError {
    fn from(error: StorageError) -> Self {
        Self::Ledger(error.into())
    }
}

/// What archiving is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The file is written, and read back.
    Writing,
    /// The ledger's rows are emptied.
    Emptying,
}

/// Hears how far it is (done, of so many receipts), may wait, and says whether to go on.
pub type Pace<'a> = dyn FnMut(Phase, u64, u64) -> ControlFlow<()> + 'a;

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |why| ArchiveError::File { path, why }
}

/// The years that are old enough: those before the last `keep` whole years, that are not archived yet. An archive that
/// was begun comes first.
///
/// # Errors
/// A fault of the storage.
pub fn due(reader: &Reader, this_year: i16, keep: u16) -> Result<Vec<i16>, ArchiveError> {
    let keep = i16::try_from(keep).unwrap_or(i16::MAX);
    let first_kept = this_year.saturating_sub(keep);
    let begun = reader.archives()?.into_iter().filter(|one| !one.is_emptied);
    let mut years: Vec<i16> = begun.map(|one| one.year).collect();
    years.extend(
        reader
            .years()?
            .into_iter()
            .filter(|year| *year < first_kept),
    );
    Ok(years)
}

/// Archives a year, or goes on with it. `core` may be open beside a running daemon: each step is a short transaction. It
/// blocks.
///
/// # Errors
/// See [`ArchiveError`].
pub fn archive(
    core: &mut Core,
    ledger: &Path,
    year: i16,
    clock: &SharedClock,
    actor: &str,
    pace: &mut Pace<'_>,
) -> Result<Archive, ArchiveError> {
    let reader = Reader::new(ledger);
    let find = || -> Result<Option<Archive>, LedgerError> {
        Ok(reader.archives()?.into_iter().find(|one| one.year == year))
    };
    if find()?.is_none() {
        let plan = reader.plan_archive(year)?;
        write(core, ledger, &plan, clock, actor, pace)?;
    }
    let archive = find()?.ok_or_else(|| StorageError::Damaged("the archive's row".to_owned()))?;
    let path = archive_path(ledger, &archive.file);
    let sha256 = hash(&path)?;
    if sha256 != archive.sha256 {
        return Err(ArchiveError::Changed {
            what: format!("its SHA-256 is {sha256}, the ledger has {}", archive.sha256),
            path,
        });
    }
    empty(core, &archive, pace)?;
    Ok(Archive {
        is_emptied: true,
        ..archive
    })
}

fn hash(path: &Path) -> Result<String, ArchiveError> {
    let hashed = digest::of_file(path, &mut |_, _| true).map_err(file_error(path))?;
    hashed
        .map(|(sha256, _)| sha256)
        .ok_or(ArchiveError::Stopped)
}

fn write(
    core: &mut Core,
    ledger: &Path,
    plan: &Plan,
    clock: &SharedClock,
    actor: &str,
    pace: &mut Pace<'_>,
) -> Result<(), ArchiveError> {
    let name = archive_name(plan.year);
    let (path, part) = (
        archive_path(ledger, &name),
        archive_path(ledger, &format!(".{name}.part")),
    );
    for leftover in [&part, &path] {
        // No row of the ledger knows it: an earlier try has ended before that.
        if leftover.exists() {
            std::fs::remove_file(leftover).map_err(file_error(leftover))?;
        }
    }
    let made = clock::local(clock.wall()).to_string();
    let is_whole = write_archive(ledger, plan, &part, &made, &mut |done, total| {
        pace(Phase::Writing, done, total).is_continue()
    })?;
    if !is_whole {
        std::fs::remove_file(&part).map_err(file_error(&part))?;
        return Err(ArchiveError::Stopped);
    }
    read_only(&part).map_err(file_error(&part))?;
    let sha256 = hash(&part)?;
    crash::at(Point::ArchiveWritten);
    std::fs::rename(&part, &path).map_err(file_error(&path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(file_error(folder))?;
    crash::at(Point::ArchiveNamed);
    core.write(|core| core.archived(plan, &name, &sha256, actor))?;
    crash::at(Point::ArchiveKept);
    Ok(())
}

fn read_only(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400))
}

fn empty(core: &mut Core, archive: &Archive, pace: &mut Pace<'_>) -> Result<(), ArchiveError> {
    let (mut from, mut done) = (archive.first_seq - 1, 0_u64);
    while let Some(last) = core.write(|core| core.empty_archived(archive.year, from))? {
        from = last;
        crash::at(Point::ArchiveEmptying);
        core.fold_log();
        done = (done + 200).min(archive.receipts);
        if pace(Phase::Emptying, done, archive.receipts).is_break() {
            return Err(ArchiveError::Stopped);
        }
    }
    Ok(())
}

/// Reads an archive and computes every hash and signature in it again; how many receipts there are.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<u64, ArchiveError> {
    Ok(verify_archive(path, &mut |done| {
        progress(done);
        true
    })?)
}
