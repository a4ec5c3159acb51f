//! The archives of a ledger: each is the very file that was written, and nothing is empty that is in none of them.

use rusqlite::Connection;

use super::{Checked, VerifyError, same, wrong};
use crate::digest;
use crate::ledger::archiving::archives;
use crate::ledger::{StorageError, archived};

/// Each archive's hash is that which was written down; and rows are empty in the years of archives only.
pub(super) fn verify_archives(conn: &Connection) -> Checked {
    let all = archives(conn)?;
    for archive in &all {
        let path = archived::folder(conn)?.join(&archive.file);
        if !path.exists() {
            return Err(VerifyError::Storage(StorageError::ArchiveGone(
                archive.file.clone(),
            )));
        }
        let hashed = digest::of_file(&path, &mut |_, _| true)
            .map_err(|error| wrong(&*archive.file, error.to_string()))?;
        let sha256 = hashed.map(|(sha256, _)| sha256);
        same(
            &archive.file,
            "its SHA-256",
            &sha256,
            &Some(archive.sha256.clone()),
        )?;
    }
    let empty: Option<i64> = conn.query_row(
        "SELECT min(r.seq) FROM receipt r JOIN day d USING (day_id) WHERE r.body = ''
         AND NOT EXISTS (SELECT 1 FROM archive a WHERE a.year = CAST(substr(d.opened, 1, 4) AS INTEGER))",
        [],
        |row| row.get(0),
    )?;
    match empty {
        None => Ok(()),
        Some(seq) => Err(wrong(
            format!("event {seq}"),
            "its receipt has no body, and its year is in no archive",
        )),
    }
}
