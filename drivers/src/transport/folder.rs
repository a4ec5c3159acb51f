//! A watched folder: a file that is dropped in it is a job.
//!
//! The other program may still be writing, so a file is taken when it has not changed from one look to the next;
//! names that begin with a point or end in `.tmp` or `.part` are left until they are renamed. A file is moved to
//! `done/` only when its owner says so: after a power cut it is found again.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::transport::LinkError;

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
    /// Opens a folder, with `done/` in it. Of each file at most `max` bytes are read.
    ///
    /// # Errors
    /// It is not there, or may not be written.
    pub fn open(path: impl Into<PathBuf>, max: usize) -> Result<Self, LinkError> {
        let folder = Self {
            path: path.into(),
            max,
            before: BTreeMap::new(),
        };
        let done = folder.path.join(DONE);
        match fs::create_dir(&done) {
            Ok(()) => Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && done.is_dir() => {
                Ok(folder)
            }
            Err(error) => Err(LinkError::Open {
                link: folder.path.display().to_string(),
                why: format!("{error}; the folder must be there and be ours to write"),
            }),
        }
    }

    /// Looks once: the first file by name that is whole, if there is one. The same file comes again until it is
    /// [`Self::done`].
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn look(&mut self) -> Result<Option<Dropped>, LinkError> {
        let now = self.files().map_err(|error| self.lost(&error))?;
        let whole = now
            .iter()
            .find(|(name, look)| self.before.get(*name) == Some(look))
            .map(|(name, _)| name.clone());
        self.before = now;
        let Some(name) = whole else {
            return Ok(None);
        };
        match self.read(&name) {
            Ok(dropped) => Ok(Some(dropped)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Moves a file to `done/`; another of the same name there stays.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn done(&mut self, name: &OsStr) -> Result<(), LinkError> {
        self.before.remove(name);
        let from = self.path.join(name);
        let done = self.path.join(DONE);
        let free = (0..MAX_NAMES)
            .map(|n| done.join(numbered(name, n)))
            .find(|path| fs::symlink_metadata(path).is_err());
        let to = free.ok_or_else(|| self.lost(&io::ErrorKind::AlreadyExists.into()))?;
        fs::rename(from, to).map_err(|error| self.lost(&error))
    }

    fn files(&self) -> io::Result<BTreeMap<OsString, Look>> {
        let mut out = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
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

    fn read(&self, name: &OsStr) -> io::Result<Dropped> {
        let file = File::open(self.path.join(name))?;
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
        folder.done(&dropped.name).unwrap();
        assert_eq!(folder.look(), Ok(None));

        fs::write(&file, "a longer one").unwrap();
        let mut folder = Folder::open(room.path(), 10).unwrap();
        assert_eq!(folder.look(), Ok(None));
        let dropped = folder.look().unwrap().unwrap();
        assert_eq!((dropped.bytes.len(), dropped.lost), (10, 2));
        folder.done(&dropped.name).unwrap();
        let done = |name| fs::read_to_string(room.path().join("done").join(name)).unwrap();
        assert_eq!(done("a.prn"), "one, two");
        assert_eq!(done("a.prn.1"), "a longer one");
    }

    /// A folder that is not there is said to be so.
    #[test]
    fn no_folder() {
        let error = Folder::open("/nonexistent/drop", 10).unwrap_err();
        assert!(matches!(error, LinkError::Open { .. }));
    }
}
