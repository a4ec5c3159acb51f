//! Whether the ledger's file is the one that was written last, or a copy of it.
//!
//! A copied ledger does not know that it is a copy. So it keeps which file it lives in (inode and time of
//! birth), and beside it, in a file of its own, lies how far it had come: its id and the last numbers of each
//! till. Where either does not agree, no till sells before FDMS has been asked (docs/FDMS.md section 4).

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::{Ledger, LedgerError, Reader, StorageError, sql};
use crate::crash::{self, Point};

/// The name of the file that it lives in.
const FILE: &str = "file";
/// The name of the ledger's id.
pub(super) const LEDGER_ID: &str = "ledger_id";
/// How often the numbers are written beside the ledger at most.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// How far a ledger had come, kept outside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Epoch {
    /// The ledger's id.
    pub(super) ledger: String,
    /// The last day and receipt of each till, by the till's row.
    pub(super) tills: BTreeMap<i64, (u32, u32)>,
}

/// Where the file beside a ledger is.
pub(super) fn epoch_path(ledger: &Path) -> PathBuf {
    ledger.with_extension("epoch")
}

impl Epoch {
    /// Reads the file; none where it is missing or was cut off by a power cut.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes the file anew, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        use std::io::Write as _;
        let draft = path.with_extension("epoch.new");
        let mut file = crate::private::file_anew(&draft)?;
        // Numbers and texts always serialise.
        file.write_all(&serde_json::to_vec(self).unwrap_or_default())?;
        file.sync_data()?;
        crash::at(Point::EpochWritten);
        std::fs::rename(&draft, path)?;
        crash::at(Point::EpochRenamed);
        Ok(())
    }

    /// What of `self`, kept outside, the ledger has not.
    fn beyond(&self, ledger: &Self) -> Option<String> {
        if self.ledger != ledger.ledger {
            return Some("another ledger was here before".to_owned());
        }
        self.tills.iter().find_map(|(till, (day, receipt))| {
            let (own_day, own_receipt) = ledger.tills.get(till).copied().unwrap_or_default();
            (*day > own_day || *receipt > own_receipt).then(|| {
                format!("it ends at receipt {own_receipt}, but this store had come to {receipt}")
            })
        })
    }
}

/// The file's inode and, where the file system tells, its time of birth.
fn identity(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    let born = meta.created().ok();
    let born = born.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    Some(format!(
        "{} {}",
        meta.ino(),
        born.map_or(0, |at| at.as_nanos())
    ))
}

impl Core {
    /// Compares the ledger with what is known of it outside, and holds its tills where that does not agree.
    pub(super) fn check_file(&mut self, path: &Path) -> Result<(), StorageError> {
        let Some(identity) = identity(path) else {
            return Ok(());
        };
        let known = sql::meta(&self.conn, FILE)?;
        let moved = known
            .as_ref()
            .is_some_and(|known| known != identity.as_bytes());
        if sql::meta(&self.conn, LEDGER_ID)?.is_none() {
            self.set_meta(LEDGER_ID, super::tills::random_name()?.as_bytes())?;
        }
        let own = epoch(&self.conn)?;
        let beyond = Epoch::read(&epoch_path(path)).and_then(|kept| kept.beyond(&own));
        if let Some(why) = beyond {
            self.hold_unchecked(&why)?;
        } else if moved {
            self.hold_unchecked("its file is another one than before")?;
        }
        if known.as_deref() != Some(identity.as_bytes()) {
            self.set_meta(FILE, identity.as_bytes())?;
        }
        Ok(())
    }
}

/// How far the ledger has come.
fn epoch(conn: &Connection) -> Result<Epoch, StorageError> {
    let ledger = sql::meta(conn, LEDGER_ID)?.unwrap_or_default();
    let mut statement =
        conn.prepare_cached("SELECT till_id, last_day_no, last_global_no FROM head")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(Epoch {
        ledger: String::from_utf8_lossy(&ledger).into_owned(),
        tills: rows.collect::<Result<_, _>>()?,
    })
}

/// Why a ledger may be a copy of another, or an older state of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileDoubt {
    /// What lies beside it knows of other or later numbers.
    Behind(String),
    /// Its file is another one than before.
    Moved,
}

impl Reader {
    /// Why the ledger at `path`, which is this one, may be a copy; none if nothing speaks for it. The gateway decides
    /// this at its start, and puts it right once FDMS has answered.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn file_doubt(&self, path: &Path) -> Result<Option<FileDoubt>, LedgerError> {
        let (own, known) = self.with(|conn| Ok((epoch(conn)?, sql::meta(conn, FILE)?)))?;
        if let Some(why) = Epoch::read(&epoch_path(path)).and_then(|kept| kept.beyond(&own)) {
            return Ok(Some(FileDoubt::Behind(why)));
        }
        let identity = identity(path).map(String::into_bytes);
        let moved = known.is_some() && identity.is_some() && known != identity;
        Ok(moved.then_some(FileDoubt::Moved))
    }

    fn epoch(&self) -> Result<Epoch, LedgerError> {
        self.with(|conn| Ok(epoch(conn)?))
    }
}

impl Ledger {
    /// Keeps, beside the ledger, how far it has come, until `stop`: every few seconds while receipts are issued,
    /// and at the end.
    pub async fn keep_epoch(&self, path: &Path, stop: CancellationToken) {
        let path = epoch_path(path);
        let mut committed = self.committed();
        let mut kept = None;
        loop {
            let stopping = stop.is_cancelled();
            committed.mark_unchanged();
            if let Ok(epoch) = self.ask(Reader::epoch).await
                && kept.as_ref() != Some(&epoch)
            {
                let (path, epoch_now) = (path.clone(), epoch.clone());
                let written = tokio::task::spawn_blocking(move || epoch_now.write(&path)).await;
                match written {
                    Ok(Ok(())) => kept = Some(epoch),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the numbers beside the ledger cannot be written");
                    }
                    Err(error) => tracing::warn!(%error, "writing beside the ledger failed"),
                }
            }
            if stopping {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                changed = committed.changed() => {
                    if changed.is_err() { return; }
                    stop.run_until_cancelled(self.time().clock().sleep(WRITE_EVERY)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(ledger: &str, numbers: (u32, u32)) -> Epoch {
        Epoch {
            ledger: ledger.to_owned(),
            tills: BTreeMap::from([(1, numbers)]),
        }
    }

    /// What was kept outside may be behind the ledger, never beyond it.
    #[test]
    fn only_a_ledger_that_fell_back_is_told() {
        let kept = epoch("a", (3, 120));
        assert_eq!(kept.beyond(&epoch("a", (3, 120))), None);
        assert_eq!(kept.beyond(&epoch("a", (4, 150))), None);
        assert!(kept.beyond(&epoch("a", (3, 119))).unwrap().contains("119"));
        assert!(kept.beyond(&epoch("a", (2, 120))).is_some());
        assert!(kept.beyond(&epoch("b", (3, 120))).is_some());
    }

    /// A file that was cut off is none; a whole one comes back.
    #[test]
    fn written_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = epoch_path(&dir.path().join("ledger.db"));
        assert_eq!(Epoch::read(&path), None);
        epoch("a", (3, 120)).write(&path).unwrap();
        assert_eq!(Epoch::read(&path), Some(epoch("a", (3, 120))));
        std::fs::write(&path, "{\"ledger\":\"a\",\"ti").unwrap();
        assert_eq!(Epoch::read(&path), None);
    }
}
