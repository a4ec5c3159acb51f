//! What an interrupted backup has left behind: a part, or a manifest whose backup never got its name.

use std::path::Path;

use super::{BackupError, PREFIX, SUFFIX, file_error, manifest};

/// Takes it away, so that room is there again and no manifest tells of a backup that there is not.
pub(super) fn clear(folder: &Path) -> Result<(), BackupError> {
    let entries = std::fs::read_dir(folder).map_err(file_error(folder))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_part = name.starts_with(&format!(".{PREFIX}")) && name.contains(".part");
        if is_part || is_draft(&name) || is_of_nothing(&path, &name) {
            std::fs::remove_file(&path).map_err(file_error(&path))?;
        }
    }
    Ok(())
}

/// A manifest that was not written to its end.
fn is_draft(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(".json.new")
}

/// A manifest of ours, and no backup beside it. Other files that are called so are not touched.
fn is_of_nothing(path: &Path, name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".json") else {
        return false;
    };
    let backup = path.with_file_name(format!("{stem}{SUFFIX}"));
    // What cannot be looked for may be there.
    let is_away = backup.try_exists().is_ok_and(|is_there| !is_there);
    name.starts_with(PREFIX) && is_away && manifest(&backup).is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Manifest, list};
    use super::*;
    use crate::ledger::copies::Ends;

    fn describe(folder: &Path, name: &str) {
        let about = Manifest {
            file: format!("{name}.db"),
            made: "2026-05-28T00:30:00Z".parse().unwrap(),
            version: String::new(),
            sha256: String::new(),
            bytes: 0,
            archives: BTreeMap::new(),
            ends: Ends {
                ledger: String::new(),
                last_event: 0,
                last_audit: 0,
                audit_hash: None,
                tills: Vec::new(),
            },
        };
        let text = serde_json::to_vec(&about).unwrap();
        std::fs::write(folder.join(format!("{name}.json")), text).unwrap();
    }

    /// What was left of backups that never came to be goes; backups, and what others have put there, stay.
    #[test]
    fn what_belongs_to_no_backup_goes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        describe(folder, "ledger-whole");
        describe(folder, "ledger-never");
        let others = [
            "ledger-whole.db",
            "ledger-prices.json",
            "stock.json",
            ".ledger-never.db.part",
            "ledger-never.json.new",
        ];
        for name in others {
            std::fs::write(folder.join(name), "{}").unwrap();
        }
        let names = |all: Vec<Manifest>| all.into_iter().map(|one| one.file).collect::<Vec<_>>();
        assert_eq!(names(list(folder)), ["ledger-whole.db"]);
        clear(folder).unwrap();
        let entries = std::fs::read_dir(folder).unwrap();
        let mut left: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let stays = [
            "ledger-prices.json",
            "ledger-whole.db",
            "ledger-whole.json",
            "stock.json",
        ];
        assert_eq!(left, stays);
    }
}
