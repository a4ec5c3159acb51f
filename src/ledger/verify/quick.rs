//! Whether a copy of a ledger is whole, without computing every receipt again: for backups, each time one is made.

use std::path::Path;

use fiscal::ReceiptGlobalNo;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::file::verify_pages;
use super::{Checked, VerifyError, same, wrong};
use crate::ledger::audit::{Entry, GENESIS};
use crate::ledger::copies::{Ends, ends_of};
use crate::ledger::{TillId, chain, read, sql};

/// Every page, row, index and reference of the file is whole, each till's last receipt is the one that its chain ends
/// with, and the audit ends as its last row says. Its tables may be an earlier version's. What the file ends with.
///
/// # Errors
/// The first thing that is wrong, or the file cannot be read.
pub fn verify_quick(path: &Path) -> Result<Ends, VerifyError> {
    let conn = sql::open_reader(path)?;
    conn.execute_batch("BEGIN")?;
    verify_pages(&conn)?;
    for till in chain::till_infos(&conn)? {
        let place = format!("till {} ({})", till.device_id, till.environment);
        last_receipt(&conn, till.id, &place)?;
    }
    last_audit(&conn)?;
    Ok(ends_of(&conn)?)
}

/// The chain ends with the receipt of the highest number.
fn last_receipt(conn: &Connection, till: TillId, place: &str) -> Checked {
    let head = chain::load_head(conn, till)?;
    let last: Option<(i64, String, Vec<u8>)> = conn
        .prepare_cached(
            "SELECT global_no, body, hash FROM receipt WHERE till_id = ?1 AND global_no <= ?2
             ORDER BY global_no DESC LIMIT 1",
        )?
        .query_row(params![till.0, head.last_global_no.get()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let beyond: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM receipt WHERE till_id = ?1 AND global_no > ?2)",
        )?
        .query_row(params![till.0, head.last_global_no.get()], |row| row.get(0))?;
    if beyond {
        let last = head.last_global_no;
        return Err(wrong(
            place,
            format!("its chain ends at {last}, but there are receipts beyond"),
        ));
    }
    let Some((number, body, hash)) = last else {
        return Ok(());
    };
    let place = format!("{place}, receipt {number}");
    let hash = sql::hash(&hash, &place)?;
    // In an open day the next receipt continues its hash, unless the day is another till's software's.
    if head.day.is_some() && head.last_counter.get() > 0 && is(number, head.last_global_no) {
        same(&place, "its hash", &Some(hash), &head.last_hash)?;
    }
    if !body.is_empty() {
        let receipt = read::receipt_of(&body, &place)?;
        same(
            &place,
            "its number",
            &i64::from(receipt.global_no.get()),
            &number,
        )?;
    }
    Ok(())
}

fn is(number: i64, last: ReceiptGlobalNo) -> bool {
    number == i64::from(last.get())
}

/// The last row of the audit has the hash that it should.
fn last_audit(conn: &Connection) -> Checked {
    let mut statement = conn.prepare(
        "SELECT audit_id, at, actor, action, till_id, detail, hash FROM audit ORDER BY audit_id DESC LIMIT 2",
    )?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(());
    };
    let id: i64 = row.get(0)?;
    let place = format!("audit row {id}");
    let (at, till): (i64, Option<i64>) = (row.get(1)?, row.get(4)?);
    let (actor, action, detail): (String, String, String) = (row.get(2)?, row.get(3)?, row.get(5)?);
    let found = sql::hash(&row.get::<_, Vec<u8>>(6)?, &place)?;
    let previous = match rows.next()? {
        None => GENESIS,
        Some(row) => sql::hash(&row.get::<_, Vec<u8>>(6)?, &place)?,
    };
    let entry = Entry {
        at,
        actor: &actor,
        action: &action,
        till: till.map(TillId),
        detail: &detail,
    };
    same(&place, "its hash", &found, &entry.hash(id, &previous))
}
