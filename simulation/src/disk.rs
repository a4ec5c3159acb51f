//! The simulated disk: what was written is there, what was not synced may be lost.
//!
//! SQLite's own files lie on a real (memory) file system; a shim before its file layer ([`vfs`]) tells this module of
//! every write, and asks before every one. The disk knows of each file what a sync has made durable and what was
//! written since. At a power cut the unsynced writes are dropped, kept or torn, and the files are written anew as they
//! would be found. Room can run out, and a page can go bad.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fiscal::testing::Random;
use serde::{Deserialize, Serialize};

mod vfs;

/// Sectors are written whole or not at all.
const SECTOR: usize = 512;

/// What becomes of what was written and not synced, when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unsynced {
    /// None of it reached the disk.
    Lost,
    /// All of it did; also what a killed process leaves to the kernel.
    Kept,
    /// Some of it, in any order, some sectors of it; of the last write nothing whole.
    Torn,
}

/// When the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// At the sync after so many others.
    pub after_syncs: u64,
    /// The sync itself has still taken place, but nobody has heard of it.
    pub is_synced: bool,
}

/// A file, as far as the disk remembers it.
#[derive(Debug)]
struct Kept {
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Kept>,
    is_off: bool,
    cut: Option<PowerCut>,
    is_full: bool,
    /// The next sync fails.
    fails: bool,
    has_failed: bool,
    syncs: u64,
}

/// The disk under a folder. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Disk {
    folder: PathBuf,
    state: Arc<Mutex<State>>,
}

/// Disks that the shim knows.
static DISKS: Mutex<Vec<Disk>> = Mutex::new(Vec::new());

/// How the disk answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    Off,
    Full,
    Broken,
}

impl Disk {
    /// A disk under a folder, for every database that is opened in it from now on.
    #[must_use]
    pub fn under(folder: &Path) -> Self {
        vfs::install();
        let disk = Self {
            folder: folder.to_owned(),
            state: Arc::default(),
        };
        disks().push(disk.clone());
        disk
    }

    /// Forgets the disk; its databases must be closed.
    pub fn remove(&self) {
        disks().retain(|disk| !Arc::ptr_eq(&disk.state, &self.state));
    }

    fn of(path: &Path) -> Option<Self> {
        let disks = disks();
        disks
            .iter()
            .find(|disk| path.starts_with(&disk.folder))
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power will go.
    pub fn cut_power(&self, cut: PowerCut) {
        self.lock().cut = Some(cut);
    }

    /// It goes now.
    pub fn power_off(&self) {
        self.lock().is_off = true;
    }

    /// Whether the power is off: nothing that happens now has happened.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.lock().is_off
    }

    /// True: nothing can be written. Whether a log that begins anew would still have room depends on the length of
    /// signatures, which no seed decides.
    pub fn fill(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// The next sync fails, as on a disk that cannot write a block: what it should have made durable is in the kernel's
    /// memory, counts as written, and never reaches the disk.
    pub fn fail_sync(&self) {
        self.lock().fails = true;
    }

    /// Whether a sync has failed since this was asked.
    #[must_use]
    pub fn take_failed(&self) -> bool {
        std::mem::take(&mut self.lock().has_failed)
    }

    /// The same; it is told again.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// How many syncs there were.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// The process was killed and the machine runs on: files are as they were written, synced or not. All databases
    /// under the folder must be closed.
    pub fn survive(&self) {
        let mut state = self.lock();
        state.is_off = false;
        state.cut = None;
    }

    /// Makes the files what they are after the power cut, and switches the power on again. All databases under the
    /// folder must be closed.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn restore(&self, fate: Unsynced, random: &mut Random) -> std::io::Result<()> {
        let mut state = self.lock();
        for (path, kept) in &mut state.files {
            let last = kept.unsynced.len().saturating_sub(1);
            for (no, change) in std::mem::take(&mut kept.unsynced).into_iter().enumerate() {
                match fate {
                    Unsynced::Lost => {}
                    Unsynced::Kept => change.apply(&mut kept.durable),
                    Unsynced::Torn => change.tear(&mut kept.durable, no == last, random),
                }
            }
            std::fs::write(path, &kept.durable)?;
            let mut shared = path.clone().into_os_string();
            shared.push("-shm");
            let shared = PathBuf::from(shared);
            if shared.exists() {
                std::fs::remove_file(shared)?;
            }
        }
        state.is_off = false;
        state.cut = None;
        Ok(())
    }

    fn opened(&self, path: &Path) {
        let mut state = self.lock();
        if !state.files.contains_key(path) {
            // What is there already is durable.
            let durable = std::fs::read(path).unwrap_or_default();
            let kept = Kept {
                durable,
                unsynced: Vec::new(),
            };
            state.files.insert(path.to_owned(), kept);
        }
    }

    fn deleted(&self, path: &Path) -> Answer {
        let mut state = self.lock();
        if state.is_off {
            return Answer::Off;
        }
        state.files.remove(path);
        Answer::Done
    }

    fn written(&self, path: &Path, at: u64, bytes: &[u8]) -> Answer {
        let mut state = self.lock();
        if state.is_off {
            return Answer::Off;
        }
        if state.is_full {
            return Answer::Full;
        }
        let Some(kept) = state.files.get_mut(path) else {
            return Answer::Done;
        };
        kept.unsynced.push(Change::Write {
            at: usize::try_from(at).unwrap_or(usize::MAX),
            bytes: bytes.to_vec(),
        });
        Answer::Done
    }

    fn cut_to(&self, path: &Path, size: u64) -> Answer {
        let mut state = self.lock();
        if state.is_off {
            return Answer::Off;
        }
        if let Some(kept) = state.files.get_mut(path) {
            kept.unsynced
                .push(Change::Size(usize::try_from(size).unwrap_or(usize::MAX)));
        }
        Answer::Done
    }

    fn synced(&self, path: &Path) -> Answer {
        let mut state = self.lock();
        if state.is_off {
            return Answer::Off;
        }
        state.syncs += 1;
        if std::mem::take(&mut state.fails) {
            state.has_failed = true;
            if let Some(kept) = state.files.get_mut(path) {
                kept.unsynced.clear();
            }
            return Answer::Broken;
        }
        let cut = match &mut state.cut {
            Some(cut) if cut.after_syncs == 0 => Some(*cut),
            Some(cut) => {
                cut.after_syncs -= 1;
                None
            }
            None => None,
        };
        state.is_off = cut.is_some();
        if cut.is_none_or(|cut| cut.is_synced)
            && let Some(kept) = state.files.get_mut(path)
        {
            for change in std::mem::take(&mut kept.unsynced) {
                change.apply(&mut kept.durable);
            }
        }
        if cut.is_some() {
            Answer::Off
        } else {
            Answer::Done
        }
    }
}

fn disks() -> MutexGuard<'static, Vec<Disk>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Size(size) => file.resize(*size, 0),
            Self::Write { at, bytes } => put(file, *at, bytes),
        }
    }

    /// What reached the disk of it: all, nothing, or some sectors. Of the last one at most a part, so that a
    /// transaction whose sync did not take place is never whole.
    fn tear(&self, file: &mut Vec<u8>, is_last: bool, random: &mut Random) {
        let fate = random.below(4);
        match self {
            Self::Write { at, bytes } if is_last || fate == 0 => {
                let sectors = u64::try_from(bytes.len() / SECTOR).unwrap_or(0);
                let whole = usize::try_from(random.below(sectors.max(1))).unwrap_or(0) * SECTOR;
                if let Some(part) = bytes.get(..whole).filter(|part| !part.is_empty()) {
                    put(file, *at, part);
                }
            }
            _ if fate == 1 => {}
            change => change.apply(file),
        }
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    if let Some(place) = file.get_mut(at..end) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    struct Bench {
        dir: tempfile::TempDir,
        disk: Disk,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let disk = Disk::under(dir.path());
            let bench = Self { dir, disk };
            let conn = bench.open("FULL");
            conn.execute_batch("CREATE TABLE t (a INTEGER)").unwrap();
            bench
        }

        fn open(&self, synchronous: &str) -> Connection {
            let conn = Connection::open(self.dir.path().join("t.db")).unwrap();
            conn.pragma_update(None, "journal_mode", "WAL").unwrap();
            conn.pragma_update(None, "synchronous", synchronous)
                .unwrap();
            conn
        }

        /// What is there after the power has gone, and whether the file is whole.
        fn after(&self, fate: Unsynced) -> (i64, String) {
            self.disk.restore(fate, &mut Random::new(7)).unwrap();
            let conn = self.open("FULL");
            let count = conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
            let whole = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0));
            (count.unwrap(), whole.unwrap())
        }
    }

    fn insert(conn: &Connection) -> rusqlite::Result<usize> {
        conn.execute("INSERT INTO t VALUES (1)", [])
    }

    /// What was synced survives every power cut; what was not is there or not, as it was to be.
    #[test]
    fn unsynced_writes_are_lost_or_kept() {
        for (synchronous, fate, left) in [
            ("FULL", Unsynced::Lost, 2),
            ("FULL", Unsynced::Torn, 2),
            ("OFF", Unsynced::Lost, 0),
            ("OFF", Unsynced::Kept, 2),
        ] {
            let bench = Bench::new();
            let conn = bench.open(synchronous);
            insert(&conn).unwrap();
            insert(&conn).unwrap();
            bench.disk.power_off();
            assert!(insert(&conn).is_err());
            drop(conn);
            let found = bench.after(fate);
            assert_eq!(found, (left, "ok".to_owned()), "{synchronous} {fate:?}");
        }
    }

    /// The power goes in a sync, or behind it.
    #[test]
    fn the_power_goes_at_a_sync() {
        for (is_synced, left) in [(false, 1), (true, 2)] {
            let bench = Bench::new();
            let conn = bench.open("FULL");
            let before = bench.disk.syncs();
            insert(&conn).unwrap();
            let syncs = bench.disk.syncs() - before;
            assert!(syncs > 0);
            bench.disk.cut_power(PowerCut {
                after_syncs: 0,
                is_synced,
            });
            assert!(insert(&conn).is_err());
            assert!(bench.disk.is_off());
            drop(conn);
            let found = bench.after(Unsynced::Torn);
            assert_eq!(found, (left, "ok".to_owned()), "{is_synced}");
        }
    }

    /// A sync that fails: what is written is read, until the power goes.
    #[test]
    fn a_failed_sync() {
        let bench = Bench::new();
        let conn = bench.open("FULL");
        insert(&conn).unwrap();
        bench.disk.fail_sync();
        assert!(insert(&conn).is_err());
        assert!(bench.disk.take_failed() && !bench.disk.take_failed());
        bench.disk.power_off();
        drop(conn);
        assert_eq!(bench.after(Unsynced::Kept).0, 1);
    }

    /// After a sync that failed the log has a hole on the disk, though every program reads it whole: what is written
    /// behind it is lost with the next power cut, synced or not. Folding the log in at a start mends it.
    #[test]
    fn a_failed_sync_leaves_a_hole() {
        for (folds, left) in [(false, 1), (true, 3)] {
            let bench = Bench::new();
            let conn = bench.open("FULL");
            insert(&conn).unwrap();
            bench.disk.fail_sync();
            assert!(insert(&conn).is_err());
            bench.disk.power_off();
            drop(conn);
            bench.disk.survive();
            let conn = bench.open("FULL");
            if folds {
                conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
                    .unwrap();
            }
            insert(&conn).unwrap();
            bench.disk.power_off();
            drop(conn);
            assert_eq!(bench.after(Unsynced::Lost), (left, "ok".to_owned()));
        }
    }

    /// A full disk takes nothing and loses nothing.
    #[test]
    fn a_full_disk() {
        let bench = Bench::new();
        let conn = bench.open("FULL");
        insert(&conn).unwrap();
        bench.disk.fill(true);
        let error = insert(&conn).unwrap_err();
        assert_eq!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DiskFull)
        );
        bench.disk.fill(false);
        insert(&conn).unwrap();
        drop(conn);
        assert_eq!(bench.after(Unsynced::Lost).0, 2);
    }
}
