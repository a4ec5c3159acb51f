//! The file itself: its pages, its references, and the tables that this version of the program makes.

use rusqlite::Connection;

use super::{Checked, VerifyError, wrong};
use crate::ledger::{StorageError, schema};

/// Pages, rows, indexes and references are whole, and nothing was added to or taken from the schema.
///
/// `integrity_check` and not `quick_check`: with an index that does not find its rows an `invoiceNo` could
/// be used twice, and only the full check compares the two. It costs some microseconds
/// per receipt, a small part of checking its signature.
pub(super) fn verify_file(conn: &Connection) -> Checked {
    verify_schema(conn)?;
    verify_pages(conn)
}

/// Pages, rows, indexes and references are whole; the tables may be an earlier version's.
pub(super) fn verify_pages(conn: &Connection) -> Checked {
    let check: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(wrong("database file", check));
    }
    let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(());
    };
    let (table, rowid, parent): (String, Option<i64>, String) =
        (row.get(0)?, row.get(1)?, row.get(2)?);
    let place = match rowid {
        Some(rowid) => format!("table {table}, row {rowid}"),
        None => format!("table {table}"),
    };
    Err(wrong(
        place,
        format!("the {parent} that it refers to is missing"),
    ))
}

/// A trigger could write beside every sale, and a dropped index lets a number be given twice.
fn verify_schema(conn: &Connection) -> Checked {
    let mut fresh = Connection::open_in_memory()?;
    schema::migrate(&mut fresh)?;
    let (found, known) = (schema::version(conn)?, schema::version(&fresh)?);
    if found > known {
        return Err(StorageError::Newer { found, known }.into());
    }
    if found != known {
        return Err(wrong(
            "user_version",
            format!(
                "it is {found}, this program's is {known}; a ledger of an older version is brought up to it by starting fiscald"
            ),
        ));
    }
    let (found, expected) = (objects(conn)?, objects(&fresh)?);
    for object in &expected {
        if !found.contains(object) {
            let text = "it is missing or was changed";
            return Err(wrong(format!("schema, {} {}", object.0, object.1), text));
        }
    }
    for object in &found {
        if !expected.contains(object) {
            let text = "it is none of the ledger's";
            return Err(wrong(format!("schema, {} {}", object.0, object.1), text));
        }
    }
    Ok(())
}

/// Type, name and text of everything that was created; SQLite's own statistics and automatic indexes aside.
fn objects(conn: &Connection) -> Result<Vec<(String, String, Option<String>)>, VerifyError> {
    let mut statement = conn.prepare(
        r"SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\'
          ORDER BY type, name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
