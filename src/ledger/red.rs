//! Receipts that FDMS marked Red: each costs its fiscal day, which the device cannot close any more.

use fiscal::ReceiptGlobalNo;
use serde::{Deserialize, Serialize};

use super::core::Core;
use super::{LedgerError, Reader, Seq, StorageError, TillId, sql};

/// What a person is to do about a day with a Red receipt (docs/FDMS.md section 4).
pub const WAY_OUT: &str = "sell on; when the day is over close it here, then by hand in the authority's portal, and let the queue go \
     on (`fiscald queue retry`)";

/// A receipt that FDMS marked Red.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedReceipt {
    /// Its number.
    pub receipt_global_no: ReceiptGlobalNo,
    /// The rules that FDMS found broken, each with its colour: `RCPT025 Red`.
    pub marks: Vec<String>,
}

/// Where a day's Red receipts are kept.
fn name(day: Seq) -> String {
    format!("red.{}", day.0)
}

impl Core {
    /// Keeps that FDMS marked a receipt Red, and raises the alarm.
    pub(super) fn mark_red(
        &mut self,
        till: TillId,
        receipt: Seq,
        no: ReceiptGlobalNo,
        marks: &[String],
    ) -> Result<(), StorageError> {
        let day: i64 = self
            .conn
            .prepare_cached("SELECT day_id FROM receipt WHERE seq = ?1")?
            .query_row([receipt.0], |row| row.get(0))?;
        let red = RedReceipt {
            receipt_global_no: no,
            marks: marks.to_vec(),
        };
        self.keep_red(Seq(day), red)?;
        let detail = serde_json::json!({
            "receiptGlobalNo": no,
            "marks": marks,
            "action": WAY_OUT,
        });
        let seq = self.take_seq();
        self.append_event(seq, Some(till), "receipt.red", Some(&detail.to_string()))
    }
}

impl Core {
    /// Keeps a Red receipt with its day.
    pub(super) fn keep_red(&mut self, day: Seq, red: RedReceipt) -> Result<(), StorageError> {
        let name = name(day);
        let mut all = parse(sql::meta(&self.conn, &name)?)?;
        all.push(red);
        // Texts and numbers always serialise.
        self.set_meta(&name, &serde_json::to_vec(&all).unwrap_or_default())
    }
}

impl Reader {
    /// The receipts of a day that FDMS marked Red: with one, the device cannot close the day.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn red_receipts(&self, day: Seq) -> Result<Vec<RedReceipt>, LedgerError> {
        self.with(|conn| Ok(parse(sql::meta(conn, &name(day))?)?))
    }
}

fn parse(kept: Option<Vec<u8>>) -> Result<Vec<RedReceipt>, StorageError> {
    let Some(kept) = kept else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&kept).map_err(|_| sql::damaged("meta.red"))
}
