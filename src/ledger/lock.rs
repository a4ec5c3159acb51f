//! One daemon to a ledger: a lock on a file beside it.

use std::fs::File;
use std::path::{Path, PathBuf};

/// Why the ledger's folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A daemon runs on it.
    #[error("another fiscald runs on {path}; stop it first", path = path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be written.
    #[error("{path} cannot be written: {why}", path = path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
}

/// Two daemons on one ledger would send its receipts twice: the second one is told so. Held as long as the file is.
///
/// # Errors
/// Another one runs, or the folder cannot be written.
pub fn only_one(dir: &Path) -> Result<File, LockError> {
    let path = dir.join("run.lock");
    let file = File::create(&path).map_err(|why| LockError::Folder { path, why })?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
        |_| LockError::Taken {
            path: dir.to_owned(),
        },
    )?;
    Ok(file)
}
