//! A watched folder: a file that is dropped in it is a job.
//!
//! The other program may still be writing, so a file is taken when it has not changed from one look to the next;
//! names that begin with a point or end in `.tmp` or `.part` are left until they are renamed. It is moved to `taken/`
//! before it is read, so that a program that writes the same name again takes nothing away, and to `done/` when its
//! owner says so: after a power cut it is found again.
//!
//! Whoever may write in the folder may also lay links in it, to files that only we may read, or put one in the place of
//! an inner folder. So the folders are held open and everything in them is named from there, links are never followed,
//! and a file that has a second name is left.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

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
type Look = (i64, i64, u64);

/// A folder that is looked at from time to time; once a second is enough.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    max: usize,
    main: OwnedFd,
    taken: OwnedFd,
    done: OwnedFd,
    before: BTreeMap<OsString, Look>,
}

impl Folder {
    /// Opens a folder, with `taken/` and `done/` in it. Of each file at most `max` bytes are read.
    ///
    /// # Errors
    /// It is not there, may not be written, or a link stands where an inner folder should be.
    pub fn open(path: impl Into<PathBuf>, max: usize) -> Result<Self, LinkError> {
        let path = path.into();
        let refused = |error: Errno| LinkError::Open {
            link: path.display().to_string(),
            why: format!("{error}; the folder must be there and be ours to write"),
        };
        let main = rustix::fs::open(&path, folder_flags(), Mode::empty()).map_err(refused)?;
        let taken = inner(&main, TAKEN).map_err(refused)?;
        let done = inner(&main, DONE).map_err(refused)?;
        Ok(Self {
            path,
            max,
            main,
            taken,
            done,
            before: BTreeMap::new(),
        })
    }

    /// Looks once: the first file by name that is whole, if there is one. The same file comes again until it is
    /// [`Self::done`].
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn look(&mut self) -> Result<Option<Dropped>, LinkError> {
        self.is_still_there()?;
        let taken = files(&self.taken).map_err(|error| self.lost(&error))?;
        if let Some(name) = taken.keys().next() {
            return self.read(name).map(Some).map_err(|error| self.lost(&error));
        }
        let now = files(&self.main).map_err(|error| self.lost(&error))?;
        let whole = now
            .iter()
            .find(|(name, look)| self.before.get(*name) == Some(look))
            .map(|(name, _)| name.clone());
        self.before = now;
        let Some(name) = whole else {
            return Ok(None);
        };
        match moved(&self.main, &name, &self.taken) {
            Ok(()) => {}
            // Whoever dropped it has taken it away again.
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.lost(&error)),
        }
        self.before.remove(&name);
        self.look()
    }

    /// Moves a file to `done/`; another of the same name there stays.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn done(&mut self, name: &OsStr) -> Result<(), LinkError> {
        moved(&self.taken, name, &self.done).map_err(|error| self.lost(&error))
    }

    /// Whether the folders that are held open are still those that stand under their names.
    fn is_still_there(&self) -> Result<(), LinkError> {
        let here = [
            (rustix::fs::stat(&self.path), &self.main),
            (named(&self.main, OsStr::new(TAKEN)), &self.taken),
            (named(&self.main, OsStr::new(DONE)), &self.done),
        ];
        for (found, held) in here {
            let found = found.map_err(|error| self.lost(&error))?;
            let held = rustix::fs::fstat(held).map_err(|error| self.lost(&error))?;
            if (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino) {
                return Err(self.lost(&"the folder, or one in it, was replaced by another"));
            }
        }
        Ok(())
    }

    fn read(&self, name: &OsStr) -> io::Result<Dropped> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.taken, name, flags, Mode::empty())?;
        let file = File::from(opened);
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("what was dropped is no file any more"));
        }
        let size = about.len();
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

    fn lost(&self, error: &dyn Display) -> LinkError {
        LinkError::Lost {
            link: self.path.display().to_string(),
            why: error.to_string(),
        }
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// A folder in the watched one, made if it is not there; a link in its place is not followed.
fn inner(main: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(main, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    rustix::fs::openat(main, name, folder_flags() | OFlags::NOFOLLOW, Mode::empty())
}

/// What stands under a name; of a link the link itself.
fn named(folder: &OwnedFd, name: &OsStr) -> Result<Stat, Errno> {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Moves a file into another folder; another of the same name there stays.
fn moved(from: &OwnedFd, name: &OsStr, to: &OwnedFd) -> Result<(), Errno> {
    let free = (0..MAX_NAMES)
        .map(|n| numbered(name, n))
        .find(|free| named(to, free).is_err());
    rustix::fs::renameat(from, name, to, free.ok_or(Errno::EXIST)?)
}

/// The files in a folder that may be taken: whole, and with one name only, so that none is another's.
fn files(folder: &OwnedFd) -> Result<BTreeMap<OsString, Look>, Errno> {
    let mut out = BTreeMap::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let Ok(found) = named(folder, name) else {
            continue;
        };
        let is_file = FileType::from_raw_mode(found.st_mode).is_file() && found.st_nlink == 1;
        if is_file && found.st_size > 0 && !is_unfinished(name) {
            let look = (found.st_size, found.st_mtime, found.st_mtime_nsec);
            out.insert(name.to_owned(), look);
        }
    }
    Ok(out)
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
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Whoever may write in the folder gets nothing to read, and moved, that he may not: links and second names are
    /// left, and an inner folder that he has replaced ends the port instead of being followed.
    #[test]
    fn links_lead_nowhere() {
        let (room, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ledger = store.path().join("ledger.db");
        fs::write(&ledger, "receipts").unwrap();
        for name in [TAKEN, DONE] {
            let trap = room.path().join(name);
            symlink(store.path(), &trap).unwrap();
            let refused = Folder::open(room.path(), 100).unwrap_err();
            assert!(matches!(refused, LinkError::Open { .. }), "{refused:?}");
            fs::remove_file(&trap).unwrap();
        }
        let mut folder = Folder::open(room.path(), 100).unwrap();
        symlink(&ledger, room.path().join("a.prn")).unwrap();
        fs::hard_link(&ledger, room.path().join("b.prn")).unwrap();
        symlink(&ledger, room.path().join(TAKEN).join("c.prn")).unwrap();
        for _ in 0..3 {
            assert_eq!(folder.look(), Ok(None));
        }
        for name in [TAKEN, DONE] {
            let inner = room.path().join(name);
            fs::rename(&inner, room.path().join("away")).unwrap();
            symlink(store.path(), &inner).unwrap();
            let lost = folder.look().unwrap_err();
            assert!(matches!(lost, LinkError::Lost { .. }), "{lost:?}");
            fs::remove_file(&inner).unwrap();
            fs::rename(room.path().join("away"), &inner).unwrap();
        }
        assert_eq!(fs::read_to_string(&ledger).unwrap(), "receipts");
        assert_eq!(folder.look(), Ok(None));
    }

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
