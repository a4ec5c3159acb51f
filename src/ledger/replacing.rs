//! A restore that did not come to its end: what it leaves beside the ledger, and why no other ledger is begun there.
//!
//! Two files cannot change their names at once. For a moment the ledger that was there has another name already, and the
//! backup has not its own yet; a machine that goes down in it is left without a ledger. Whoever made an empty one then
//! would have its tills sell from their first number on. So none is made while anything of a restore lies there.

use std::path::{Path, PathBuf};

use super::StorageError;

/// How the name of a ledger begins that was set aside for a backup.
const ASIDE: &str = "ledger-replaced-";

/// Where a backup lies until it takes the ledger's place.
#[must_use]
pub fn coming(ledger: &Path) -> PathBuf {
    ledger.with_extension("restoring")
}

/// Where the ledger goes that a backup replaces, at the time `stamp`.
#[must_use]
pub fn aside(ledger: &Path, stamp: &str) -> PathBuf {
    ledger.with_file_name(format!("{ASIDE}{stamp}.db"))
}

/// The ledger that was set aside last.
#[must_use]
pub fn last_aside(ledger: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(ledger.parent()?).ok()?;
    let is_aside = |name: &str| name.starts_with(ASIDE) && name.ends_with(".db");
    // The times in their names rise.
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let last = names.filter(|name| is_aside(name)).max()?;
    Some(ledger.with_file_name(last))
}

/// The name of a file that SQLite keeps beside a database: `-wal`, `-shm`.
#[must_use]
pub fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Whether a ledger may be made at this path, should there be none.
///
/// # Errors
/// [`StorageError::SetAside`]: there was one, or is to be one, that a restore has not brought to its place.
pub fn may_begin(ledger: &Path) -> Result<(), StorageError> {
    if ledger.exists() {
        return Ok(());
    }
    let (coming, place) = (coming(ledger), ledger.display());
    let (left, instead) = match last_aside(ledger) {
        Some(aside) => {
            let log = beside(&aside, "-wal");
            let and_log = match log.exists() {
                true => format!(" and {} to {place}-wal", log.display()),
                false => String::new(),
            };
            let instead = format!(
                "To go on with the ledger that was to be replaced, rename {} to {place}{and_log} instead",
                aside.display()
            );
            (aside, instead)
        }
        None if coming.exists() => {
            let instead = format!(
                "Only for a new store, which has never sold, move {} away instead",
                coming.display()
            );
            (coming, instead)
        }
        None => return Ok(()),
    };
    Err(StorageError::SetAside {
        ledger: ledger.to_owned(),
        left,
        instead,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(ledger: &Path) -> String {
        may_begin(ledger).unwrap_err().to_string()
    }

    /// Nothing is begun beside what a restore has left, and the text names it and both ways on.
    #[test]
    fn none_is_begun_beside_what_a_restore_has_left() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("ledger.db");
        may_begin(&ledger).unwrap();
        let missing = dir.path().join("not/made/ledger.db");
        may_begin(&missing).unwrap();

        std::fs::write(coming(&ledger), "").unwrap();
        let text = refused(&ledger);
        assert!(
            text.contains("ledger.restoring") && text.contains("`fiscald restore`"),
            "{text}"
        );

        let (first, last) = (
            aside(&ledger, "20260301-080000Z"),
            aside(&ledger, "20260528-080000Z"),
        );
        for path in [&first, &last] {
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(beside(&first, "-wal"), "").unwrap();
        assert_eq!(last_aside(&ledger).as_ref(), Some(&last));
        let text = refused(&ledger);
        assert!(
            text.contains(&format!("rename {}", last.display())),
            "{text}"
        );
        assert!(!text.contains("-wal"), "{text}");
        std::fs::write(beside(&last, "-wal"), "").unwrap();
        let text = refused(&ledger);
        assert!(
            text.contains(&format!("to {}-wal", ledger.display())),
            "{text}"
        );

        std::fs::write(&ledger, "").unwrap();
        may_begin(&ledger).unwrap();
    }
}
