//! A folder that old software prints files into: each whole file is a paper.
//!
//! A file is whole when nothing about it has changed between two looks. Taken files go to `done/` beside them, never
//! away: whoever doubts can look.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Stop;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Longest file that is taken whole.
const MAX_FILE: u64 = 1024 * 1024;

/// A folder that is watched.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// What was seen at the last look.
    seen: BTreeMap<PathBuf, (u64, Option<std::time::Duration>)>,
}

/// A file that was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Where it lies.
    pub path: PathBuf,
    /// What is in it, up to a megabyte.
    pub bytes: Vec<u8>,
    /// Bytes beyond that.
    pub lost: u64,
}

impl Folder {
    /// Watches a folder; it is made, with `done/` in it, if it is not there.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(path.join("done"))?;
        std::fs::read_dir(path)?;
        Ok(Self {
            path: path.to_owned(),
            seen: BTreeMap::new(),
        })
    }

    /// Waits for the next whole file, in the order of names; none when it is to stop.
    ///
    /// # Errors
    /// The folder cannot be read any more.
    pub fn next(&mut self, stop: &Stop) -> std::io::Result<Option<Dropped>> {
        while !stop.is_set() {
            if let Some(path) = self.look()? {
                return read(&path).map(Some);
            }
            stop.wait(LOOK);
        }
        Ok(None)
    }

    /// The first file that is as it was at the last look.
    fn look(&mut self) -> std::io::Result<Option<PathBuf>> {
        let mut now = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let Ok(facts) = entry.metadata() else {
                continue;
            };
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if facts.is_file() && facts.len() > 0 && !is_hidden {
                let changed = facts.modified().ok();
                #[expect(
                    clippy::disallowed_types,
                    reason = "a file's time is only compared with itself"
                )]
                let since = changed
                    .and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
                now.insert(entry.path(), (facts.len(), since));
            }
        }
        let whole = now
            .iter()
            .find(|(path, facts)| self.seen.get(*path) == Some(facts));
        let whole = whole.map(|(path, _)| path.clone());
        self.seen = now;
        Ok(whole)
    }

    /// Puts a file away that has been dealt with.
    ///
    /// # Errors
    /// It cannot be moved; it will be found again.
    pub fn done(&mut self, dropped: &Dropped) -> std::io::Result<()> {
        let name = dropped.path.file_name().unwrap_or_default();
        let folder = self.path.join("done");
        let mut to = folder.join(name);
        let mut again = 1;
        while to.exists() {
            again += 1;
            to = folder.join(format!("{}.{again}", name.to_string_lossy()));
        }
        std::fs::rename(&dropped.path, to)?;
        self.seen.remove(&dropped.path);
        Ok(())
    }
}

fn read(path: &Path) -> std::io::Result<Dropped> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(Dropped {
        path: path.to_owned(),
        bytes,
        lost: length.saturating_sub(MAX_FILE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file is taken once it rests, in the order of names, and lies in `done/` afterwards; one of the same name
    /// takes nothing away.
    #[test]
    fn files_are_taken_once_they_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut folder = Folder::open(&path).unwrap();
        std::fs::write(path.join("b.prn"), "second").unwrap();
        std::fs::write(path.join("a.prn"), "first").unwrap();
        std::fs::write(path.join(".hidden"), "no").unwrap();
        assert_eq!(folder.look().unwrap(), None, "seen once only");
        std::fs::write(path.join("a.prn"), "first, longer").unwrap();
        assert_eq!(
            folder.look().unwrap(),
            Some(path.join("b.prn")),
            "a has grown"
        );
        let stop = Stop::new();
        let first = folder.next(&stop).unwrap().unwrap();
        assert_eq!(
            (first.bytes.as_slice(), first.lost),
            (b"first, longer".as_slice(), 0)
        );
        folder.done(&first).unwrap();
        let second = folder.next(&stop).unwrap().unwrap();
        folder.done(&second).unwrap();
        std::fs::write(path.join("a.prn"), "again").unwrap();
        let again = folder.next(&stop).unwrap().unwrap();
        folder.done(&again).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(path.join("done"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["a.prn", "a.prn.2", "b.prn"]);
        stop.set();
        assert_eq!(folder.next(&stop).unwrap(), None);
    }
}
