//! Small helpers between rows and types. A value that cannot be read is damage, said with its place.

use fiscal::DateTime;
use fiscal::receipt::Hash;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::StorageError;

/// SQLite's page cache at most, in KiB (negative: KiB instead of pages).
const CACHE_KIB: i64 = -8 * 1024;
/// How long another process's short write (a command of the technician) is waited for.
pub(super) const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

/// Opens the ledger for writing, with everything that durability rests on.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StorageError> {
    // Buyers, sales and token hashes are nobody else's business: SQLite gives its other files this mode too.
    let mut private = std::fs::OpenOptions::new();
    private.write(true).create(true).truncate(false).mode(0o600);
    private
        .open(path)
        .map_err(|error| unwritable(path, &error))?;
    // One thread at a time uses a connection: SQLite need not lock it for each call.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    // A statement is planned once, and not anew for other values.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "cache_size", CACHE_KIB)?;
    // Checkpoints are made beside the sale path, not by whichever COMMIT happens to reach a limit.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// Opens the ledger for reading: snapshots, never a lock that a sale would wait for.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    // A statement is planned once, and not anew for other values.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "cache_size", -512_i64)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

/// A new, empty file that nobody but its owner may read; never one that is there.
pub(super) fn new_file(path: &Path) -> Result<std::fs::File, StorageError> {
    let mut private = std::fs::OpenOptions::new();
    private.write(true).create_new(true).mode(0o600);
    private.open(path).map_err(|error| unwritable(path, &error))
}

/// A file that cannot be written; a full disk is told as such.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> StorageError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => StorageError::Full,
        _ => StorageError::Unwritable {
            path: path.to_owned(),
            user: rustix::process::geteuid().as_raw(),
            why: error.to_string(),
        },
    }
}

/// Opens an empty file that is to become a copy: it counts for nothing until it is whole, so nothing guards it.
pub(super) fn open_copy(path: &Path) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.pragma_update(None, "journal_mode", "OFF")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.pragma_update(None, "cache_size", -2048_i64)?;
    Ok(conn)
}

/// Makes a copy one file that can be read where nothing can be written: the ledger's own mode needs a log beside it.
pub(super) fn seal_copy(path: &Path) -> Result<(), StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode != "delete" {
        return Err(damaged(format!("{} stays in mode {mode}", path.display())));
    }
    conn.close().map_err(|(_, error)| StorageError::from(error))
}

/// What the ledger keeps once under a name.
pub(super) fn meta(conn: &Connection, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
    Ok(conn
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

/// The same of a database that is attached.
pub(super) fn meta_of(
    conn: &Connection,
    database: &str,
    name: &str,
) -> Result<Option<Vec<u8>>, StorageError> {
    let text = format!("SELECT value FROM {database}.meta WHERE name = ?1");
    Ok(conn.query_row(&text, [name], |row| row.get(0)).optional()?)
}

pub(super) fn damaged(what: impl Into<String>) -> StorageError {
    StorageError::Damaged(what.into())
}

pub(super) fn date(text: &str, place: &str) -> Result<DateTime, StorageError> {
    text.parse()
        .map_err(|_| damaged(format!("{place} holds \"{text}\", which is no date")))
}

pub(super) fn hash(bytes: &[u8], place: &str) -> Result<Hash, StorageError> {
    let bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|_| damaged(format!("{place} holds {} bytes, not a hash", bytes.len())))?;
    Ok(Hash(bytes))
}

/// A number of FDMS's kind out of SQLite's 64 bits.
pub(super) fn number<T>(
    value: i64,
    make: impl FnOnce(u32) -> Option<T>,
    place: &str,
) -> Result<T, StorageError> {
    u32::try_from(value)
        .ok()
        .and_then(make)
        .ok_or_else(|| damaged(format!("{place} holds {value}")))
}

/// Copies the log into the database; whether nobody was in the way.
pub(super) fn wal_checkpoint(conn: &Connection, mode: &str) -> bool {
    let busy: rusqlite::Result<i64> =
        conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            row.get(0)
        });
    match busy {
        Ok(busy) => busy == 0,
        Err(error) => {
            tracing::warn!(%error, "the ledger's log could not be copied into the database");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place that cannot be written is no damage of the ledger, and a full disk is told as such.
    #[test]
    fn a_place_that_cannot_be_written_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        new_file(&file).unwrap();
        let below = file.join("copy.db");
        for error in [
            new_file(&file).unwrap_err(),
            new_file(&below).unwrap_err(),
            open_writer(&below).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, StorageError::Unwritable { .. }), "{text}");
            assert!(
                text.contains("cannot be written") && !text.contains("damaged"),
                "{text}"
            );
        }
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(matches!(unwritable(&file, &full), StorageError::Full));
    }
}
