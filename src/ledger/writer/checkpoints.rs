//! When the write-ahead log is copied into the database: beside the sales, and only if that does not keep up, by the writer.

use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use crate::ledger::core::Core;
use crate::ledger::sql;

/// From so many pages in the write-ahead log on, it is copied into the database beside the sales (16 MB):
/// a page that many sales have written is then copied once.
const CHECKPOINT_PAGES: i32 = 4_000;
/// From so many on the writer itself stops to copy and starts the log anew (64 MB).
const RESTART_PAGES: i32 = 16_000;
/// From how many pages on it is worth trying again, where a long reader was in the way.
#[derive(Default)]
pub(super) struct Later {
    restart: i32,
    nudge: i32,
}

/// Keeps the write-ahead log short without making a sale wait.
pub(super) fn checkpoint(
    core: &Core,
    wal_pages: &AtomicI32,
    later: &mut Later,
    nudge: &std::sync::mpsc::SyncSender<()>,
) {
    let pages = wal_pages.load(Ordering::Relaxed);
    if pages >= RESTART_PAGES.max(later.restart) {
        // Whoever reads a long snapshot (a backup, an export, `verify`) is not waited for: the log grows meanwhile.
        let unhurried = core.conn.busy_timeout(Duration::ZERO);
        let is_new = unhurried.is_ok() && sql::wal_checkpoint(&core.conn, "RESTART");
        if let Err(error) = core.conn.busy_timeout(sql::BUSY) {
            tracing::warn!(%error, "other processes are not waited for any more");
        }
        later.restart = if is_new { 0 } else { pages + CHECKPOINT_PAGES };
        wal_pages.store(0, Ordering::Relaxed);
    } else if pages < CHECKPOINT_PAGES {
        later.nudge = 0;
    } else if pages < 2 * CHECKPOINT_PAGES || pages >= later.nudge {
        // Full: the thread is at it already. Each time it sorts the whole log, so a long one is left alone for a while.
        later.nudge = pages + CHECKPOINT_PAGES / 4;
        let _ = nudge.try_send(());
    }
}

/// Copies the log into the database whenever it is nudged, until the writer is gone.
pub(super) fn checkpoint_beside(path: &Path, nudged: &std::sync::mpsc::Receiver<()>) {
    let conn = match sql::open_writer(path) {
        Ok(conn) => conn,
        Err(error) => {
            tracing::warn!(%error, "no checkpoints beside the sales");
            return;
        }
    };
    while nudged.recv().is_ok() {
        sql::wal_checkpoint(&conn, "PASSIVE");
    }
}
