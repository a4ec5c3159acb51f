//! Backups: copies of the ledger that are checked after writing, rotated, and put back with care.
//!
//! A backup is one SQLite file and, beside it, a manifest in JSON that says what is in it. It appears under its name
//! only when it is whole, on disk and checked, so whatever is there can be relied on. Making one never holds up a sale:
//! it reads a snapshot, on a thread of its own that comes last, in small steps with pauses between them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crash::{self, Point};
use crate::digest;
use crate::ledger::archiving::{Archive, archive_name};
use crate::ledger::copies::{self, Ends};
use crate::ledger::verify::{VerifyError, verify_quick};
use crate::ledger::{LedgerError, Reader, StorageError};
use crate::private;

mod keeper;
mod leftovers;
mod live;
mod restore;
mod rotation;

pub use keeper::{BackupView, Backups, Standing};
pub use live::LiveStanding;
pub use restore::{RestoreError, Restored, Restoring, restore};
pub use rotation::surplus;

pub use crate::config::Keep;

/// How the names of backups begin.
const PREFIX: &str = "ledger-";
/// How a backup's name ends.
const SUFFIX: &str = ".db";
/// The time in a backup's name.
const STAMP: &str = "%Y%m%d-%H%M%SZ";
/// Bytes of a manifest; one of a store with a hundred tills has some ten thousand.
const MAX_MANIFEST: u64 = 1 << 20;
/// Room that must be left on the disk beside the backup itself: 64 MiB.
const MARGIN: u64 = 64 << 20;

/// Why there is no backup, or none to go by; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder is not there.
    #[error(
        "the folder {path} for backups is not there: is the disk or stick in its place and mounted? It is not made by itself, or backups would land on the wrong disk",
        path = path.display()
    )]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// No room.
    #[error(
        "there is no room for a backup in {path}: {needed} MiB are needed, {free} MiB are free. Make room, or keep fewer backups",
        path = path.display()
    )]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// MiB that are needed.
        needed: u64,
        /// MiB that are free.
        free: u64,
    },
    /// The copy does not hold what was read.
    #[error("the backup {path} is not what was written ({what}): the disk under it is not to be trusted; take another one", path = path.display())]
    Unlike {
        /// The backup.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The copy is damaged.
    #[error("the backup {path} is no good: {why}", path = path.display())]
    Bad {
        /// The backup.
        path: PathBuf,
        /// What is wrong.
        why: Box<VerifyError>,
    },
    /// The copy's last commit is not whole, and cannot be undone.
    #[error(
        "the machine or the disk of {path} went away in the middle of a commit. Its journal {path}-journal lies beside it and puts it back to the commit before, but that failed ({why}). Copy both files to a folder where you may write, and use them there",
        path = path.display()
    )]
    CutShort {
        /// The copy.
        path: PathBuf,
        /// What failed.
        why: StorageError,
    },
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] StorageError),
    /// The system.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// It was stopped half-way.
    #[error("the backup was stopped before it was whole; nothing of it was kept")]
    Stopped,
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |why| BackupError::File { path, why }
}

/// What is in a backup: the manifest beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The file's name.
    pub file: String,
    /// When it was made, on the trusted clock.
    pub made: Timestamp,
    /// The version that made it.
    pub version: String,
    /// SHA-256 of the file, as `sha256sum` prints it.
    pub sha256: String,
    /// The file's length.
    pub bytes: u64,
    /// The archives that belong to it, by the name of their file, with their SHA-256. They lie beside it.
    #[serde(default)]
    pub archives: BTreeMap<String, String>,
    /// How far the ledger had come.
    pub ends: Ends,
}

/// What a backup is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Pages are copied.
    Copying,
    /// The copy is checked.
    Checking,
}

/// Hears how far a backup is (done, of so many), may wait, and says whether to go on.
pub type Pace<'a> = dyn FnMut(Phase, u64, u64) -> ControlFlow<()> + 'a;

/// Makes a backup of the ledger in `folder`, checks it and takes away what is no longer kept. It blocks.
///
/// # Errors
/// See [`BackupError`]; what was there before is there still.
pub fn take(
    ledger: &Path,
    folder: &Path,
    now: Timestamp,
    keep: Keep,
    pace: &mut Pace<'_>,
) -> Result<Manifest, BackupError> {
    if !folder.is_dir() {
        return Err(BackupError::NoFolder {
            path: folder.to_owned(),
        });
    }
    leftovers::clear(folder)?;
    room(ledger, folder)?;
    let name = format!("{PREFIX}{}{SUFFIX}", now.strftime(STAMP));
    let part = folder.join(format!(".{name}.part"));
    let made = write(ledger, &part, &name, now, pace);
    let manifest = match made {
        Ok(manifest) => manifest,
        Err(error) => {
            // The error is what is told; a part that stays is cleared the next time.
            let _ = std::fs::remove_file(&part);
            return Err(error);
        }
    };
    for (file, sha256) in &manifest.archives {
        carry(&ledger.with_file_name(file), &folder.join(file), sha256)?;
    }
    crash::at(Point::BackupChecked);
    let path = folder.join(&name);
    // Manifest first: a backup that is there has one.
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    write_whole(&manifest_path(&path), &text)?;
    crash::at(Point::BackupDescribed);
    std::fs::rename(&part, &path).map_err(file_error(&path))?;
    sync_folder(folder).map_err(file_error(folder))?;
    crash::at(Point::BackupNamed);
    for old in surplus(&list(folder), keep) {
        remove(folder, &old.file);
    }
    Ok(manifest)
}

fn write(
    ledger: &Path,
    part: &Path,
    name: &str,
    now: Timestamp,
    pace: &mut Pace<'_>,
) -> Result<Manifest, BackupError> {
    let mut copying = |done, total| pace(Phase::Copying, done, total).is_continue();
    let ends = copies::copy(ledger, part, &mut copying)?.ok_or(BackupError::Stopped)?;
    crash::at(Point::BackupCopied);
    let (sha256, bytes) = digest(part, &mut |done, total| {
        pace(Phase::Checking, done, total).is_continue()
    })?;
    let found = check_file(part)?;
    if found != ends {
        return Err(BackupError::Unlike {
            path: part.to_owned(),
            what: format!("{found:?} instead of {ends:?}"),
        });
    }
    Ok(Manifest {
        file: name.to_owned(),
        made: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sha256,
        bytes,
        archives: archives(part)?,
        ends,
    })
}

/// The archives that belong to a ledger, with their hashes.
fn archives(ledger: &Path) -> Result<BTreeMap<String, String>, BackupError> {
    let archives = Reader::new(ledger)
        .archives()
        .map_err(|error| match error {
            LedgerError::Storage(error) => error,
            LedgerError::Refused(refusal) => StorageError::Damaged(refusal.to_string()),
        })?;
    // A backup may come from anywhere: a name that leads out of its folder would have other files written over.
    let is_ours = |archive: &Archive| archive.file == archive_name(archive.year);
    if let Some(wrong) = archives.iter().find(|archive| !is_ours(archive)) {
        let what = format!("{:?} is no name of an archive", wrong.file);
        return Err(StorageError::Damaged(what).into());
    }
    Ok(archives
        .into_iter()
        .map(|one| (one.file, one.sha256))
        .collect())
}

/// Copies an archive to where it is not yet, and makes sure that it is the right one. It never changes, so once is
/// enough.
pub(crate) fn carry(from: &Path, to: &Path, sha256: &str) -> Result<(), BackupError> {
    if to.exists() && digest(to, &mut |_, _| true)?.0 == sha256 {
        return Ok(());
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let (mut source, mut target) = (
        std::fs::File::open(from).map_err(file_error(from))?,
        private::file_anew(&part).map_err(file_error(&part))?,
    );
    std::io::copy(&mut source, &mut target)
        .and_then(|_| target.sync_all())
        .map_err(file_error(&part))?;
    let (found, _) = digest(&part, &mut |_, _| true)?;
    if found != sha256 {
        return Err(BackupError::Unlike {
            path: from.to_owned(),
            what: format!("its SHA-256 is {found}, the ledger has {sha256}"),
        });
    }
    std::fs::rename(&part, to).map_err(file_error(to))
}

fn check_file(path: &Path) -> Result<Ends, BackupError> {
    verify_quick(path).map_err(|why| BackupError::Bad {
        path: path.to_owned(),
        why: Box::new(why),
    })
}

/// Whether a backup is whole: its pages, the ends of its chains, and, where a manifest lies beside it, that it is the
/// very file that was written.
///
/// A live copy whose machine went down in the middle of a commit is put back to the one before it.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &Path) -> Result<Ends, BackupError> {
    copies::undo_unfinished(path).map_err(|why| BackupError::CutShort {
        path: path.to_owned(),
        why,
    })?;
    let ends = check_file(path)?;
    let Some(manifest) = manifest(path) else {
        return Ok(ends);
    };
    let (sha256, _) = digest(path, &mut |_, _| true)?;
    if sha256 != manifest.sha256 {
        return Err(BackupError::Unlike {
            path: path.to_owned(),
            what: format!(
                "its SHA-256 is {sha256}, its manifest says {}",
                manifest.sha256
            ),
        });
    }
    Ok(ends)
}

/// The backups in a folder with what their manifests say, oldest first. What has no manifest is not ours.
#[must_use]
pub fn list(folder: &Path) -> Vec<Manifest> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<Manifest> = entries
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(PREFIX) && name.ends_with(SUFFIX)
        })
        .filter_map(|entry| manifest(&entry.path()))
        .collect();
    all.sort_by(|a, b| (a.made, &a.file).cmp(&(b.made, &b.file)));
    all
}

/// The manifest beside a backup.
fn manifest(backup: &Path) -> Option<Manifest> {
    let path = manifest_path(backup);
    // Whoever may write there may leave a pipe, or a mountain, in its place: neither is waited for.
    let about = std::fs::metadata(&path).ok()?;
    if !about.is_file() || about.len() > MAX_MANIFEST {
        return None;
    }
    let manifest: Manifest = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let name = backup.file_name()?.to_str()?;
    (manifest.file == name).then_some(manifest)
}

fn manifest_path(backup: &Path) -> PathBuf {
    backup.with_extension("json")
}

/// Takes a backup away with its manifest. That it stays is no reason to have no backup.
fn remove(folder: &Path, name: &str) {
    let path = folder.join(name);
    for path in [manifest_path(&path), path] {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "an old backup cannot be taken away");
        }
    }
}

/// Bytes that must be free for a backup of the ledger.
#[must_use]
pub fn needed(ledger: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    length(ledger) + length(&ledger.with_extension("db-wal")) + MARGIN
}

fn room(ledger: &Path, folder: &Path) -> Result<(), BackupError> {
    let needed = needed(ledger);
    let free = free_bytes(folder).map_err(file_error(folder))?;
    if free < needed {
        return Err(BackupError::NoRoom {
            path: folder.to_owned(),
            needed: needed >> 20,
            free: free >> 20,
        });
    }
    Ok(())
}

/// Bytes that may still be written below a folder.
///
/// # Errors
/// The system does not tell.
pub fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// SHA-256 of a file and its length.
fn digest(
    path: &Path,
    pace: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<(String, u64), BackupError> {
    let hashed = digest::of_file(path, pace).map_err(file_error(path))?;
    hashed.ok_or(BackupError::Stopped)
}

/// Writes a small file, whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    use std::io::Write as _;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut file = private::file_anew(&draft).map_err(file_error(&draft))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(file_error(&draft))?;
    std::fs::rename(&draft, path).map_err(file_error(path))
}

/// Names in a folder are on disk when this returns.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Whether two paths lie on the same disk, as far as the system tells: then a dead disk takes both.
#[must_use]
pub fn on_same_disk(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.dev());
    matches!((device(one), device(other)), (Some(one), Some(other)) if one == other)
}

/// Runs blocking work on a thread of its own that comes after everything else on this machine.
pub(crate) async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<T> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            step_back();
            // Nobody waits any more: the work is done all the same.
            let _ = reply.send(work());
        })?;
    answer
        .await
        .map_err(|_| std::io::Error::other("its thread has failed"))
}

/// Lowers the priority of this thread: sales come first.
pub(crate) fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

/// A pause between steps that ends when somebody stops it.
#[derive(Debug)]
pub(crate) struct Pause {
    clock: clock::SharedClock,
    stopped: std::sync::mpsc::Receiver<()>,
    step_began: std::time::Duration,
}

/// Ends the pauses: dropped, it stops the work.
#[derive(Debug)]
pub(crate) struct Stopper(
    #[expect(dead_code, reason = "its end is what counts")] std::sync::mpsc::Sender<()>,
);

impl Pause {
    pub(crate) fn new(clock: &clock::SharedClock) -> (Self, Stopper) {
        let (stopper, stopped) = std::sync::mpsc::channel();
        let pause = Self {
            step_began: clock.boot(),
            clock: Arc::clone(clock),
            stopped,
        };
        (pause, Stopper(stopper))
    }

    /// Waits as long as the step has taken, so that half of the disk's time is left to others, at most a second.
    pub(crate) fn rest(&mut self) -> ControlFlow<()> {
        use std::sync::mpsc::RecvTimeoutError as E;
        let longest = std::time::Duration::from_secs(1);
        let took = self.clock.boot().saturating_sub(self.step_began);
        let ended = self.stopped.recv_timeout(took.min(longest));
        self.step_began = self.clock.boot();
        match ended {
            Err(E::Timeout) => ControlFlow::Continue(()),
            Ok(()) | Err(E::Disconnected) => ControlFlow::Break(()),
        }
    }
}
