//! What of old receipts lies in an archive: found again by the receipt's event.
//!
//! An archive is a file beside the ledger, written once, read only ([`super::archiving`]). The ledger keeps of an
//! archived receipt everything that a new sale is judged by: number, hash, key, `invoiceNo`, fingerprint, total, original. Its
//! body, signature and what only a slip prints are in the archive, and so is what FDMS answered.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::{StorageError, sql};

/// Body, signature, and what is only printed.
pub(super) type Whole = (String, Vec<u8>, Option<String>);

thread_local! {
    /// Each thread's own connections to archives: a look-up need not open the file each time.
    static OPEN: RefCell<BTreeMap<PathBuf, Connection>> = const { RefCell::new(BTreeMap::new()) };
}

/// A receipt's body: what the row has, or, where it is empty, what its archive has.
pub(super) fn body(conn: &Connection, seq: i64, kept: String) -> Result<String, StorageError> {
    if kept.is_empty() {
        return Ok(find(conn, seq)?.0);
    }
    Ok(kept)
}

/// The same of body, signature and print.
pub(super) fn whole(conn: &Connection, seq: i64, kept: Whole) -> Result<Whole, StorageError> {
    if kept.0.is_empty() {
        return find(conn, seq);
    }
    Ok(kept)
}

/// What FDMS answered to an item: what the row has, or its archive. Only an archive leaves it empty.
pub(super) fn answer(conn: &Connection, seq: i64, kept: String) -> Result<String, StorageError> {
    if !kept.is_empty() {
        return Ok(kept);
    }
    let mut found = None;
    for path in archives_of(conn, seq)? {
        found = on(&path, |archive| {
            archive
                .prepare_cached("SELECT answer FROM submission WHERE seq = ?1")?
                .query_row([seq], |row| row.get(0))
                .optional()
        })?;
        if found.is_some() {
            break;
        }
    }
    // FDMS may have answered with nothing, before there were archives.
    Ok(found.unwrap_or(kept))
}

fn find(conn: &Connection, seq: i64) -> Result<Whole, StorageError> {
    for path in archives_of(conn, seq)? {
        let found = on(&path, |archive| {
            archive
                .prepare_cached("SELECT body, signature, print FROM receipt WHERE seq = ?1")?
                .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()
        })?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(sql::damaged(format!(
        "the body of receipt event {seq} is neither in the ledger nor in an archive"
    )))
}

/// The archives that an event may be in.
fn archives_of(conn: &Connection, seq: i64) -> Result<Vec<PathBuf>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT file FROM archive WHERE first_seq <= ?1 AND last_seq >= ?1 ORDER BY file",
    )?;
    let rows = statement.query_map([seq], |row| row.get::<_, String>(0))?;
    let folder = folder(conn)?;
    rows.map(|name| Ok(folder.join(name?))).collect()
}

/// Where the archives of a ledger are: beside it.
pub(super) fn folder(conn: &Connection) -> Result<PathBuf, StorageError> {
    let path = conn.path().filter(|path| !path.is_empty());
    let folder = path.and_then(|path| Path::new(path).parent());
    Ok(folder
        .ok_or_else(|| sql::damaged("a ledger without a file has no archives"))?
        .to_owned())
}

/// Asks an archive.
fn on<T>(
    path: &Path,
    question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StorageError> {
    OPEN.with(|open| {
        let mut open = open.borrow_mut();
        if !path.exists() {
            open.remove(path);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(StorageError::ArchiveGone(name.into_owned()));
        }
        if let Some(conn) = open.get(path) {
            return Ok(question(conn)?);
        }
        let conn = open_archive(path)?;
        let answer = question(&conn)?;
        open.insert(path.to_owned(), conn);
        Ok(answer)
    })
}

/// Opens an archive for reading.
pub(super) fn open_archive(path: &Path) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.pragma_update(None, "cache_size", -256_i64)?;
    Ok(conn)
}
