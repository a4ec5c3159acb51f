//! A second file that follows the ledger: what happened since the last time is copied row by row, in one transaction.
//!
//! Most tables only grow, so their new rows are those beyond the last one that the copy has. Small tables are compared
//! whole; of the few that grow and change, the rows that may still change. All of it comes from one snapshot, so after
//! each transaction the copy is the ledger as it was at one moment. The writer never hears of it.
//!
//! A copy that has more than the ledger, or another past, is never touched: the ledger may have been put back from an
//! older backup, and then the copy is the better one.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::file_id::LEDGER_ID;
use super::{StorageError, schema, sql};
use crate::crash::{self, Point};

/// Why a file does not follow the ledger.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// There is none, or one of an earlier version: it must be made anew.
    #[error("there is no copy yet")]
    Anew,
    /// It is another ledger's, or has more.
    #[error("{0}")]
    Unlike(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for MirrorError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Tables that only grow, with their number.
const GROWING: [(&str, &str); 8] = [
    ("event", "seq"),
    ("audit", "audit_id"),
    ("device_key", "key_id"),
    ("config", "config_id"),
    ("day", "day_id"),
    ("day_close", "seq"),
    ("receipt", "seq"),
    ("adoption", "seq"),
];

/// Small tables, with their key.
const SMALL: [(&str, &str); 13] = [
    ("meta", "name"),
    ("till", "till_id"),
    ("certificate", "certificate_id"),
    ("head", "till_id"),
    ("stream", "till_id"),
    ("till_state", "till_id"),
    ("token", "token_id"),
    ("register", "port"),
    ("hq", "one"),
    ("hq_command", "no"),
    ("gate", "environment"),
    ("file", "file_id"),
    ("archive", "file"),
];

/// Tables that grow and change: their number, and which rows may still change, once they are in the copy.
const CHANGING: [(&str, &str, &str); 3] = [
    ("print_body", "body_id", "0"),
    (
        "print_job",
        "job_id",
        "state IN ('queued', 'held', 'sending', 'await_ack', 'unknown')",
    ),
    (
        "captured",
        "captured_id",
        "state IN ('new', 'passed', 'quarantined')",
    ),
];

/// A copy that follows the ledger.
#[derive(Debug)]
pub struct Mirror {
    /// The copy is `main`, the ledger `src`.
    conn: Connection,
}

impl Mirror {
    /// Opens a copy that is there, if it is one of this very ledger.
    ///
    /// # Errors
    /// See [`MirrorError`].
    pub fn open(copy: &Path, ledger: &Path) -> Result<Self, MirrorError> {
        if !copy.exists() {
            return Err(MirrorError::Anew);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(copy, flags)?;
        conn.busy_timeout(sql::BUSY)?;
        // One file, on a medium that may be pulled out at any moment: a rollback journal, and every commit on disk.
        conn.pragma_update(None, "journal_mode", "DELETE")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "foreign_keys", false)?;
        conn.pragma_update(None, "cache_size", -2048_i64)?;
        conn.execute("ATTACH ?1 AS src", [uri(ledger)])?;
        let mirror = Self { conn };
        mirror.fits()?;
        Ok(mirror)
    }

    /// Whether the copy is an earlier moment of this ledger.
    fn fits(&self) -> Result<(), MirrorError> {
        let conn = &self.conn;
        let version: i64 = conn.query_row("PRAGMA src.user_version", [], |row| row.get(0))?;
        if schema::version(conn)? != version {
            return Err(MirrorError::Anew);
        }
        let name = |database: &str| sql::meta_of(conn, database, LEDGER_ID);
        if name("main")? != name("src")? {
            let what = "it is the copy of another ledger; it is left alone. Move it away, or name another file";
            return Err(MirrorError::Unlike(what.to_owned()));
        }
        let last: Option<(i64, Vec<u8>)> = conn
            .query_row(
                "SELECT audit_id, hash FROM main.audit ORDER BY audit_id DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((id, hash)) = last else {
            return Ok(());
        };
        let ours: Option<Vec<u8>> = conn
            .query_row(
                "SELECT hash FROM src.audit WHERE audit_id = ?1",
                [id],
                |row| row.get(0),
            )
            .optional()?;
        if ours.as_ref() == Some(&hash) {
            return Ok(());
        }
        let what = if ours.is_none() {
            "more"
        } else {
            "another past"
        };
        Err(MirrorError::Unlike(format!(
            "it has {what} than the ledger: the ledger was put back from an older backup, and this copy may be the better \
             one. It is left alone. Once that is settled, move it away"
        )))
    }

    /// The archives that belong to the ledger, with their SHA-256.
    ///
    /// # Errors
    /// The copy cannot be read.
    pub fn archives(&self) -> Result<Vec<(String, String)>, MirrorError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT file, sha256 FROM main.archive")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Copies what has happened since the last time; the last event that the copy has now.
    ///
    /// # Errors
    /// The ledger cannot be read, or the copy cannot be written; then it is what it was before.
    pub fn follow(&mut self) -> Result<i64, MirrorError> {
        let tx = self.conn.transaction()?;
        let before = last(&tx, "main", "event", "seq")?;
        for (table, id) in GROWING {
            let from = last(&tx, "main", table, id)?;
            tx.prepare_cached(&format!(
                "INSERT INTO main.{table} SELECT * FROM src.{table} WHERE {id} > ?1 ORDER BY {id}"
            ))?
            .execute([from])?;
        }
        follow_events(&tx, before)?;
        for (table, id) in SMALL {
            tx.prepare_cached(&format!(
                "DELETE FROM main.{table} WHERE {id} NOT IN (SELECT {id} FROM src.{table})"
            ))?
            .execute([])?;
            tx.prepare_cached(&format!(
                "INSERT OR REPLACE INTO main.{table} SELECT * FROM src.{table} EXCEPT SELECT * FROM main.{table}"
            ))?
            .execute([])?;
        }
        for (table, id, open) in CHANGING {
            follow_changes(&tx, table, id, open)?;
        }
        let now = last(&tx, "main", "event", "seq")?;
        crash::at(Point::LiveWritten);
        tx.commit()?;
        crash::at(Point::LiveKept);
        Ok(now)
    }
}

/// What hangs on events and has no rising number of its own.
fn follow_events(tx: &Connection, before: i64) -> Result<(), StorageError> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO main.sale_key SELECT k.* FROM src.event e
           JOIN src.sale_key k ON k.till_id = e.till_id AND k.key = e.detail AND k.seq = e.seq
         WHERE e.seq > ?1 AND e.kind = 'receipt.issued' AND e.detail IS NOT NULL",
    )?
    .execute([before])?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO main.submission SELECT s.* FROM src.event e
           JOIN src.submission s ON s.seq = CASE WHEN json_valid(e.detail) THEN json_extract(e.detail, '$.seq') END
         WHERE e.seq > ?1 AND e.kind IN ('fdms.opened', 'fdms.receipt', 'fdms.closed')",
    )?
    .execute([before])?;
    Ok(())
}

/// New rows, and those of the copy that were not at their end and have moved on. They are taken out first: a heading
/// that goes from one paper to another is at none of them in between.
fn follow_changes(tx: &Connection, table: &str, id: &str, open: &str) -> Result<(), StorageError> {
    let from = last(tx, "main", table, id)?;
    if open != "0" {
        let moved: Vec<i64> = tx
            .prepare_cached(&format!(
                "SELECT c.{id} FROM main.{table} c LEFT JOIN src.{table} s ON s.{id} = c.{id}
                 WHERE c.{open} AND (s.{id} IS NULL OR s.state <> c.state OR s.changed_at <> c.changed_at
                   OR s.{differs} IS NOT c.{differs})",
                differs = if table == "print_job" { "heading" } else { "receipt" }
            ))?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for row in &moved {
            tx.prepare_cached(&format!("DELETE FROM main.{table} WHERE {id} = ?1"))?
                .execute([row])?;
        }
        for row in &moved {
            tx.prepare_cached(&format!(
                "INSERT INTO main.{table} SELECT * FROM src.{table} WHERE {id} = ?1"
            ))?
            .execute([row])?;
        }
    }
    tx.prepare_cached(&format!(
        "INSERT INTO main.{table} SELECT * FROM src.{table} WHERE {id} > ?1"
    ))?
    .execute(params![from])?;
    Ok(())
}

fn last(conn: &Connection, database: &str, table: &str, id: &str) -> Result<i64, StorageError> {
    let text = format!("SELECT coalesce(max({id}), 0) FROM {database}.{table}");
    Ok(conn
        .prepare_cached(&text)?
        .query_row([], |row| row.get(0))?)
}

/// The ledger as a name that SQLite opens for reading only.
pub(super) fn uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri + "?mode=ro"
}
