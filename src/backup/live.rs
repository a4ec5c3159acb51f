//! The live copy: a second file, on another disk or a stick, that follows the ledger within seconds.
//!
//! It has a thread of its own that comes last, and reads snapshots: a stick that is slow, full or gone holds nobody up.
//! How far it is behind is shown; when the stick is back, it goes on where it was.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{BackupError, BackupView, Pause, aside, carry, file_error, on_same_disk, sync_folder};
use crate::crash::{self, Point};
use crate::ledger::mirror::{Mirror, MirrorError};
use crate::ledger::{Ledger, copies};

/// How soon after a sale it is in the copy, at the earliest: sales of this time share a commit on the stick.
const AFTER: Duration = Duration::from_secs(1);
/// How often it is tried again where it does not go; also how often changes without events are looked for.
const AGAIN: Duration = Duration::from_secs(10);

/// How the live copy stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveStanding {
    /// The file.
    pub path: PathBuf,
    /// The last event that is in it.
    pub copied: Option<i64>,
    /// When it was last the same as the ledger.
    pub at: Option<Timestamp>,
    /// It is being made anew: pages done, of so many.
    pub running: Option<(u64, u64)>,
    /// Why it does not follow, and since when.
    pub trouble: Option<(String, Timestamp)>,
}

/// Why the copy does not follow.
#[derive(Debug, thiserror::Error)]
enum LiveError {
    #[error(
        "{path} would lie on the same disk as the ledger: is the disk or stick in its place and mounted? A copy there would be lost together with it",
        path = path.display()
    )]
    SameDisk { path: PathBuf },
    #[error("the live copy {path}: {error}", path = path.display())]
    Mirror { path: PathBuf, error: MirrorError },
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Keeps the copy `to` of the ledger at `path` until the stop signal, and once more then.
pub(super) async fn keep(
    view: &BackupView,
    ledger: &Ledger,
    path: &Path,
    to: &Path,
    stop: &CancellationToken,
) {
    let mut committed = ledger.committed();
    let mut mirror = None;
    view.live(|live| live.path = to.to_owned());
    loop {
        let stopping = stop.is_cancelled();
        committed.mark_unchanged();
        let now = ledger.time().now();
        let (kept, result) = round(view, ledger, path, to, mirror.take(), stop).await;
        mirror = kept;
        let pause = match result {
            Ok(copied) => {
                view.live(|live| {
                    live.copied = Some(copied);
                    live.at = Some(now);
                    live.trouble = None;
                });
                AFTER
            }
            Err(LiveError::Backup(BackupError::Stopped)) => return,
            Err(error) => {
                let is_new = view
                    .standing()
                    .live
                    .is_none_or(|live| live.trouble.is_none());
                if is_new {
                    tracing::warn!(%error, "the live copy does not follow");
                }
                view.live(|live| {
                    let since = live.trouble.as_ref().map_or(now, |(_, since)| *since);
                    live.trouble = Some((error.to_string(), since));
                });
                AGAIN
            }
        };
        if stopping {
            return;
        }
        let clock = ledger.time().clock();
        stop.run_until_cancelled(async {
            clock.sleep(pause).await;
            tokio::select! {
                _ = committed.changed() => {}
                () = clock.sleep(AGAIN) => {}
            }
        })
        .await;
    }
}

/// Brings the copy up to date, on a thread of its own.
async fn round(
    view: &BackupView,
    ledger: &Ledger,
    path: &Path,
    to: &Path,
    mirror: Option<Mirror>,
    stop: &CancellationToken,
) -> (Option<Mirror>, Result<i64, LiveError>) {
    let (ledger_path, to, view) = (path.to_owned(), to.to_owned(), view.clone());
    let (mut pause, stopper) = Pause::new(ledger.time().clock());
    let work = aside("live copy", move || {
        let mut anew = || {
            make(&ledger_path, &to, &mut |done, total| {
                view.live(|live| live.running = Some((done, total)));
                pause.rest()
            })
        };
        let mut mirror = mirror.filter(|_| to.exists());
        let mut result = follow(&mut mirror, &ledger_path, &to, &mut anew);
        // Taken away meanwhile: what was written went into a file that nobody can open any more.
        if result.is_ok() && !to.exists() {
            mirror = None;
            result = follow(&mut mirror, &ledger_path, &to, &mut anew);
        }
        view.live(|live| live.running = None);
        // One that failed is opened anew: the stick may be another one by then.
        (mirror.filter(|_| result.is_ok()), result)
    });
    tokio::pin!(work);
    let done = tokio::select! {
        done = &mut work => done,
        () = stop.cancelled() => {
            drop(stopper);
            work.await
        }
    };
    match done {
        Ok(done) => done,
        Err(why) => (None, Err(file_error(path)(why).into())),
    }
}

fn follow(
    mirror: &mut Option<Mirror>,
    ledger: &Path,
    to: &Path,
    anew: &mut dyn FnMut() -> Result<(), LiveError>,
) -> Result<i64, LiveError> {
    let failed = |error| LiveError::Mirror {
        path: to.to_owned(),
        error,
    };
    if mirror.is_none() {
        // A mount point without its stick is a folder on the ledger's own disk.
        let folder = to.parent().unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(BackupError::NoFolder {
                path: folder.to_owned(),
            }
            .into());
        }
        if on_same_disk(folder, ledger) {
            return Err(LiveError::SameDisk {
                path: to.to_owned(),
            });
        }
        // Whoever can lay a link there would have the copy written over whatever it leads to.
        if std::fs::symlink_metadata(to).is_ok_and(|found| found.is_symlink()) {
            let why = std::io::Error::other("it is a link to another file; take it away");
            return Err(file_error(to)(why).into());
        }
        let opened = match Mirror::open(to, ledger) {
            Err(MirrorError::Anew) => {
                anew()?;
                Mirror::open(to, ledger)
            }
            other => other,
        };
        *mirror = Some(opened.map_err(failed)?);
    }
    match mirror {
        Some(mirror) => {
            let copied = mirror.follow().map_err(failed)?;
            for (file, sha256) in mirror.archives().map_err(failed)? {
                let beside = to.with_file_name(&file);
                // It was checked when it was copied, and never changes.
                if !beside.exists() {
                    carry(&ledger.with_file_name(&file), &beside, &sha256)?;
                }
            }
            Ok(copied)
        }
        None => Err(failed(MirrorError::Anew)),
    }
}

/// Makes the whole copy, under another name until it is whole.
fn make(
    ledger: &Path,
    to: &Path,
    pace: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(), LiveError> {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    if part.exists() {
        std::fs::remove_file(&part).map_err(file_error(&part))?;
    }
    let made = copies::copy(ledger, &part, &mut |done, total| {
        pace(done, total).is_continue()
    })
    .map_err(BackupError::from)?;
    if made.is_none() {
        return Err(BackupError::Stopped.into());
    }
    crash::at(Point::LiveMade);
    std::fs::rename(&part, to).map_err(file_error(to))?;
    let folder = to.parent().unwrap_or(Path::new("."));
    Ok(sync_folder(folder).map_err(file_error(folder))?)
}
