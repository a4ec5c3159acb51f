//! A watched folder: a file that is dropped in it is a job.
//!
//! The other program may still be writing, so a file is taken when it has not changed from one look to the next;
//! names that begin with a point or end in `.tmp` or `.part` are left until they are renamed. It is moved to `taken/`
//! before it is read, so that a program that writes the same name again takes nothing away, and to `done/` when its
//! owner says so: after a power cut it is found again.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::transport::LinkError;

/// Where files go that are being read.
const TAKEN: &str = "taken";
/// Where files go that are done with.
const DONE: &str = "done";
/// Most names that are tried for a file in `done/`.
const MAX_NAMES: u32 = 10_000;

/// A file that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its name.
    pub name: OsString,
    /// What is in it, up to the limit.
    pub bytes: Vec<u8>,
    /// Bytes beyond the limit.
    pub lost: u64,
}

/// Length, time of change: what tells that a file is still written.
type Look = (u64, i64, i64);

/// A folder that is looked at from time to time; once a second is enough.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    max: usize,
    before: BTreeMap<OsString, Look>,
}

impl Folder {
    /// Opens a folder, with `taken/` and `done/` in it. Of each file at most `max` bytes are read.
    ///
    /// # Errors
    /// It is not there, or may not be written.
    pub fn open(path: impl Into<PathBuf>, max: usize) -> Result<Self, LinkError> {
        let folder = Self {
            path: path.into(),
            max,
            before: BTreeMap::new(),
        };
        for name in [TAKEN, DONE] {
            let inner = folder.path.join(name);
            match fs::create_dir(&inner) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && inner.is_dir() => {}
                Err(error) => {
                    return Err(LinkError::Open {
                        link: folder.path.display().to_string(),
                        why: format!("{error}; the folder must be there and be ours to write"),
                    });
                }
            }
        }
        Ok(folder)
    }

    /// Looks once: the first file by name that is whole, if there is one. The same file comes again until it is
    /// [`Self::done`].
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn look(&mut self) -> Result<Option<Dropped>, LinkError> {
        let taken = files(&self.path.join(TAKEN)).map_err(|error| self.lost(&error))?;
        if let Some(name) = taken.keys().next() {
            return self.read(name).map(Some).map_err(|error| self.lost(&error));
        }
        let now = files(&self.path).map_err(|error| self.lost(&error))?;
        let whole = now
            .iter()
            .find(|(name, look)| self.before.get(*name) == Some(look))
            .map(|(name, _)| name.clone());
        self.before = now;
        let Some(name) = whole else {
            return Ok(None);
        };
        match self.moved(&self.path.join(&name), TAKEN, &name) {
            Ok(()) => {}
            // Whoever dropped it has taken it away again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.lost(&error)),
        }
        self.before.remove(&name);
        self.look()
    }

    /// Moves a file into one of the inner folders; another of the same name there stays.
    fn moved(&self, from: &Path, inner: &str, name: &OsStr) -> io::Result<()> {
        let inner = self.path.join(inner);
        let free = (0..MAX_NAMES)
            .map(|n| inner.join(numbered(name, n)))
            .find(|path| fs::symlink_metadata(path).is_err());
        fs::rename(from, free.ok_or(io::ErrorKind::AlreadyExists)?)
    }

    /// Moves a file to `done/`; another of the same name there stays.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn done(&mut self, name: &OsStr) -> Result<(), LinkError> {
        let from = self.path.join(TAKEN).join(name);
        self.moved(&from, DONE, name)
            .map_err(|error| self.lost(&error))
    }

    fn read(&self, name: &OsStr) -> io::Result<Dropped> {
        let file = File::open(self.path.join(TAKEN).join(name))?;
        let size = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.take(u64::try_from(self.max).unwrap_or(u64::MAX))
            .read_to_end(&mut bytes)?;
        let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Dropped {
            name: name.to_owned(),
            bytes,
            lost: size.saturating_sub(read),
        })
    }

    fn lost(&self, error: &io::Error) -> LinkError {
        LinkError::Lost {
            link: self.path.display().to_string(),
            why: error.to_string(),
        }
    }
}

fn files(folder: &Path) -> io::Result<BTreeMap<OsString, Look>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        match entry.metadata() {
            Ok(data) if data.is_file() && data.len() > 0 && !is_unfinished(&name) => {
                out.insert(name, look(&data));
            }
            _ => {}
        }
    }
    Ok(out)
}

fn look(data: &Metadata) -> Look {
    (data.len(), data.mtime(), data.mtime_nsec())
}

fn is_unfinished(name: &OsStr) -> bool {
    let end = Path::new(name).extension();
    name.as_encoded_bytes().starts_with(b".")
        || end.is_some_and(|end| end == "tmp" || end == "part")
}

fn numbered(name: &OsStr, n: u32) -> OsString {
    let mut out = name.to_owned();
    if n > 0 {
        out.push(format!(".{n}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file is taken when it rests, comes again until it is done, and keeps its name or gets a new one.
    #[test]
    fn files_are_taken_whole() {
        let room = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(room.path(), 10).unwrap();
        assert_eq!(folder.look(), Ok(None));
        let file = room.path().join("a.prn");
        fs::write(&file, "one").unwrap();
        fs::write(room.path().join("b.tmp"), "half").unwrap();
        fs::write(room.path().join(".c"), "hidden").unwrap();
        assert_eq!(folder.look(), Ok(None));
        fs::write(&file, "one, two").unwrap();
        assert_eq!(folder.look(), Ok(None), "it has changed");
        let dropped = folder.look().unwrap().unwrap();
        assert_eq!(
            (dropped.bytes.as_slice(), dropped.lost),
            (&b"one, two"[..], 0)
        );
        assert_eq!(folder.look(), Ok(Some(dropped.clone())));
        // The program writes the same name again before we are done: both are papers.
        fs::write(&file, "again").unwrap();
        folder.done(&dropped.name).unwrap();
        assert_eq!(folder.look(), Ok(None));
        let again = folder.look().unwrap().unwrap();
        assert_eq!(again.bytes, b"again");
        // After a power cut it is found again.
        let mut folder = Folder::open(room.path(), 10).unwrap();
        assert_eq!(folder.look(), Ok(Some(again.clone())));
        folder.done(&again.name).unwrap();
        assert_eq!(folder.look(), Ok(None));

        fs::write(&file, "a longer one").unwrap();
        let mut folder = Folder::open(room.path(), 10).unwrap();
        assert_eq!(folder.look(), Ok(None));
        let dropped = folder.look().unwrap().unwrap();
        assert_eq!((dropped.bytes.len(), dropped.lost), (10, 2));
        folder.done(&dropped.name).unwrap();
        let done = |name| fs::read_to_string(room.path().join("done").join(name)).unwrap();
        assert_eq!(done("a.prn"), "one, two");
        assert_eq!(done("a.prn.1"), "again");
        assert_eq!(done("a.prn.2"), "a longer one");
    }

    /// A folder that is not there is said to be so.
    #[test]
    fn no_folder() {
        let error = Folder::open("/nonexistent/drop", 10).unwrap_err();
        assert!(matches!(error, LinkError::Open { .. }));
    }
}
