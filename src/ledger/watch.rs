//! What alarms want to know of the ledger, beside what is shown anyway.

use std::collections::BTreeSet;

use fiscal::ReceiptGlobalNo;
use rusqlite::{Connection, params};

use super::{LedgerError, Reader, Seq, StorageError, TillId, sql};

/// Receipts of a day that FDMS has taken with a remark.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remarked {
    /// Marked Red.
    pub red: Vec<ReceiptGlobalNo>,
    /// Marked Grey, and the day was not sent again with success since: FDMS lacks one before them.
    pub grey: Vec<ReceiptGlobalNo>,
    /// FDMS's own signature over them does not fit.
    pub unproven: Vec<ReceiptGlobalNo>,
}

impl Reader {
    /// The receipts of a till since an opening that FDMS has remarked upon, as long as it has not taken that day's
    /// close.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn remarked(&self, till: TillId, day: Seq) -> Result<Remarked, LedgerError> {
        self.with(|conn| {
            let is_over: bool = conn
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM day_close c JOIN submission s ON s.seq = c.seq WHERE c.day_id = ?1)",
                )?
                .query_row([day.0], |row| row.get(0))?;
            let mut found = Remarked::default();
            if is_over {
                return Ok(found);
            }
            let mut statement = conn.prepare_cached(
                "SELECT r.global_no, s.color, s.server_signature FROM submission s JOIN receipt r ON r.seq = s.seq
                 WHERE s.seq > ?1 AND s.till_id = ?2 AND (s.color IN ('Red', 'Grey') OR s.server_signature = 'invalid')
                 ORDER BY s.seq",
            )?;
            let mut rows = statement.query(params![day.0, till.0])?;
            while let Some(row) = rows.next()? {
                let no = sql::number(row.get(0)?, ReceiptGlobalNo::new, "receipt.global_no")?;
                match row.get::<_, Option<String>>(1)?.as_deref() {
                    Some("Red") => found.red.push(no),
                    Some("Grey") => found.grey.push(no),
                    _ => {}
                }
                if row.get::<_, Option<String>>(2)?.as_deref() == Some("invalid") {
                    found.unproven.push(no);
                }
            }
            if !found.grey.is_empty() {
                let healed = healed(conn, till, day)?;
                found.grey.retain(|no| !healed.contains(no));
            }
            Ok(found)
        })
    }

    /// Papers of old POS software that were put aside, at whichever port, and neither sold nor dropped since.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn put_aside(&self) -> Result<u32, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached("SELECT count(*) FROM captured WHERE state = 'quarantined'")?
                .query_row([], |row| row.get(0))?)
        })
    }

    /// Bytes that are free for this process on the ledger's disk; none where the system does not tell.
    #[must_use]
    pub fn disk_free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(self.path()).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// How many wrong PINs in a row were typed at the operator's page before this moment. What is no number counts as
    /// very many: the ledger was tampered with.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn wrong_pins(&self) -> Result<u32, LedgerError> {
        self.with(|conn| {
            let Some(kept) = sql::meta(conn, super::tills::WRONG_PINS)? else {
                return Ok(0);
            };
            let count = std::str::from_utf8(&kept).ok();
            Ok(count
                .and_then(|count| count.parse().ok())
                .unwrap_or(u32::MAX))
        })
    }

    /// The PIN of the operator's page, as it is kept: an argon2id hash.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn page_pin(&self) -> Result<Option<String>, LedgerError> {
        self.with(|conn| {
            let kept = sql::meta(conn, super::tills::PAGE_PIN)?.filter(|kept| !kept.is_empty());
            let text = kept.map(String::from_utf8).transpose();
            Ok(text.map_err(|_| StorageError::Damaged("meta.page_pin is no text".to_owned()))?)
        })
    }
}

/// The receipts of a day that FDMS had marked Grey before it got what it lacked.
fn healed(
    conn: &Connection,
    till: TillId,
    day: Seq,
) -> Result<BTreeSet<ReceiptGlobalNo>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT json_extract(g.detail, '$.receiptGlobalNo') FROM event g
         WHERE g.seq > ?1 AND g.till_id = ?2 AND g.kind = 'receipt.grey' AND EXISTS
         (SELECT 1 FROM event h WHERE h.seq > g.seq AND h.till_id = ?2 AND CASE h.kind WHEN 'day.healed'
          THEN json_extract(h.detail, '$.day') = ?1 AND json_extract(h.detail, '$.resent') > 0 ELSE 0 END)",
    )?;
    let mut rows = statement.query(params![day.0, till.0])?;
    let mut found = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let no = sql::number(row.get(0)?, ReceiptGlobalNo::new, "receipt.grey")?;
        found.insert(no);
    }
    Ok(found)
}
