//! Files and folders that hold sales, buyers and numbers: nobody but their owner may read them, and no link that
//! somebody has laid in a folder leads a write to another file.
//!
//! What is written here often lies in folders that others may write too: a stick, a share, a folder for auditors.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A new file; never one that is there, and never through a link.
///
/// # Errors
/// It is there, or cannot be made.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    let mut private = OpenOptions::new();
    private.write(true).create_new(true).mode(0o600);
    private.open(path)
}

/// A new file in place of what an interrupted try, or somebody else, has left under this name.
///
/// # Errors
/// What is there cannot be taken away, or the file not be made.
pub(crate) fn file_anew(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    new_file(path)
}

/// A new folder, and those above it that are missing; never one that is there.
///
/// # Errors
/// It is there, or cannot be made.
pub(crate) fn new_folder(path: &Path) -> io::Result<()> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        private.recursive(true).create(above)?;
    }
    private.recursive(false).create(path)
}

/// From now on other users of this machine get no rights to any file that this process makes, unless it is told so for
/// that file: logs and whatever a library writes too. What the group gets is left to whoever starts the process.
pub(crate) fn shut_others_out() {
    let others = rustix::fs::Mode::RWXO;
    let before = rustix::process::umask(others);
    rustix::process::umask(before | others);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A link that was laid where a file is to be written is replaced, and what it leads to stays as it is.
    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (precious, trap) = (dir.path().join("ledger.db"), dir.path().join("a.part"));
        std::fs::write(&precious, "receipts").unwrap();
        symlink(&precious, &trap).unwrap();
        assert!(new_file(&trap).is_err());
        drop(file_anew(&trap).unwrap());
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "receipts");
        let made = std::fs::symlink_metadata(&trap).unwrap();
        assert!(made.is_file());
        assert_eq!(made.permissions().mode() & 0o777, 0o600);
        symlink(dir.path(), dir.path().join("folder")).unwrap();
        assert!(new_folder(&dir.path().join("folder")).is_err());
        let deep = dir.path().join("a/b/c");
        new_folder(&deep).unwrap();
        for folder in [deep.as_path(), deep.parent().unwrap()] {
            let mode = std::fs::metadata(folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}
