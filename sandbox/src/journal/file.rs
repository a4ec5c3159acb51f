//! The files themselves: appending lines, reading them, and what a crash leaves at the end.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Entry;

/// The journal's name in its folder.
const NAME: &str = "journal.jsonl";

/// A journal that nobody else has open.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal of a folder, or begins one.
    ///
    /// # Errors
    /// It cannot be opened, or another sandbox has it open.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let opening = || format!("opening {}", path.display());
        let file = append_to(&path).with_context(opening)?;
        // A new file's name is on the disk too.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .with_context(opening)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another sandbox uses the folder {}: end it, or give this one another folder",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(opening),
        }
    }

    /// All its lines from the first on.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn lines(&self) -> Result<Lines> {
        Lines::open(&self.path)
    }

    /// The file, to be written on, without the torn line that `lines`, read to their end, have found.
    ///
    /// # Errors
    /// The torn line cannot be cut off.
    pub(crate) fn continued(self, lines: &Lines) -> Result<File> {
        if lines.torn > 0 {
            tracing::warn!(
                bytes = lines.torn,
                "the journal's last line is torn: cut off"
            );
            self.file
                .set_len(lines.offset)
                .and_then(|()| self.file.sync_all())
                .with_context(|| format!("cutting a torn line off {}", self.path.display()))?;
        }
        Ok(self.file)
    }
}

/// Opens a file to append to; only its owner may read it, for a journal holds activation keys.
pub(super) fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options.open(path)
}

/// Appends a line, in one piece.
pub(super) fn write_line(file: &mut File, entry: &Entry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// The lines of a journal or a record. A last one that is torn, as a crash leaves it, is no line.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    /// The number of the line that was read last, from 1.
    pub(crate) number: usize,
    /// Where the next line begins.
    pub(crate) offset: u64,
    /// How many bytes from there on are of a torn line.
    torn: u64,
}

impl Lines {
    /// Opens a file to read.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(file),
            number: 0,
            offset: 0,
            torn: 0,
        })
    }

    /// How long the file is now.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub(crate) fn length(&self) -> Result<u64> {
        Ok(self.reader.get_ref().metadata()?.len())
    }

    /// The next line; none at the end, or where the rest is a torn line.
    ///
    /// # Errors
    /// The file cannot be read, or something that is no line is followed by more lines.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut line = Vec::new();
        self.reader
            .read_until(b'\n', &mut line)
            .with_context(|| format!("reading {}", self.path.display()))?;
        if line.is_empty() {
            return Ok(None);
        }
        let length = u64::try_from(line.len())?;
        let entry = serde_json::from_slice(&line);
        match entry {
            Ok(entry) if line.ends_with(b"\n") => {
                self.number += 1;
                self.offset += length;
                Ok(Some(entry))
            }
            Ok(_) => {
                self.torn = length;
                Ok(None)
            }
            Err(error) if self.reader.fill_buf()?.is_empty() => {
                tracing::debug!(%error, "a torn line");
                self.torn = length;
                Ok(None)
            }
            Err(error) => {
                let place = format!("{} line {}", self.path.display(), self.number + 1);
                Err(error).context(place)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Start;
    use clock::Timestamp;

    fn start(seed: u64) -> Entry {
        Entry::Start(Start::new(Timestamp::UNIX_EPOCH, seed, None))
    }

    fn seeds(journal: &Journal) -> (Vec<u64>, Lines) {
        let mut lines = journal.lines().unwrap();
        let mut seeds = Vec::new();
        while let Some(entry) = lines.next_entry().unwrap() {
            match entry {
                Entry::Start(start) => seeds.push(start.seed),
                other => panic!("{other:?}"),
            }
        }
        (seeds, lines)
    }

    /// What a crash leaves of the last line is cut off, and lines are written on behind the whole ones.
    #[test]
    fn a_torn_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let tails: [&[u8]; 4] = [b"{\"start\":{\"at\"", b"\0\0\0\0", b"{\"sta\n", b"{}"];
        for (no, tail) in (1..).zip(tails) {
            let journal = Journal::open(folder.path()).unwrap();
            let (_, lines) = seeds(&journal);
            let mut file = journal.continued(&lines).unwrap();
            write_line(&mut file, &start(no)).unwrap();
            file.write_all(tail).unwrap();
        }
        let journal = Journal::open(folder.path()).unwrap();
        let (found, lines) = seeds(&journal);
        assert_eq!(found, [1, 2, 3, 4]);
        let length = lines.offset;
        let file = journal.continued(&lines).unwrap();
        assert_eq!(file.metadata().unwrap().len(), length);
    }

    /// Damage in the middle is an error that names the line: what came after it would be wrong.
    #[test]
    fn damage_in_the_middle_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = append_to(&folder.path().join(NAME)).unwrap();
        write_line(&mut file, &start(1)).unwrap();
        file.write_all(b"{\"sta\n").unwrap();
        write_line(&mut file, &start(2)).unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let mut lines = journal.lines().unwrap();
        lines.next_entry().unwrap();
        let error = format!("{:#}", lines.next_entry().unwrap_err());
        assert!(error.contains("journal.jsonl line 2: "), "{error}");
    }

    /// A folder is one sandbox's at a time.
    #[test]
    fn a_folder_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let first = Journal::open(folder.path()).unwrap();
        let error = Journal::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.starts_with("another sandbox uses the folder"),
            "{error}"
        );
        drop(first);
        Journal::open(folder.path()).unwrap();
    }
}
