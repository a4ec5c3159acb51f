//! A closed day looked at again: its receipts added up anew, what FDMS has marked, what FDMS does not have.

use fiscal::counters::DayTotals;
use rusqlite::OptionalExtension as _;

use super::{LedgerError, Reader, Seq, archived, read};
use crate::fdms::wire::{ReceiptAccepted, Reply as _, ValidationError};

/// What a day's receipts come to.
#[derive(Debug, Clone, Default)]
pub struct Recount {
    /// Their sums.
    pub totals: DayTotals,
    /// Those that FDMS marked Red or Grey: number, colour, what it found.
    pub marked: Vec<(u32, String, Vec<String>)>,
    /// How many FDMS does not have.
    pub unsent: u32,
}

/// A receipt of a day, to be sent to FDMS once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentReceipt {
    /// Its event.
    pub seq: Seq,
    /// `receiptGlobalNo`.
    pub global_no: u32,
    /// What was sent.
    pub body: String,
    /// What FDMS answered.
    pub answer: String,
}

impl Reader {
    /// Adds a day up from its receipts.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn recount(&self, day: Seq) -> Result<Recount, LedgerError> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT r.global_no, r.body, s.color, s.answer, r.seq FROM receipt r
                 LEFT JOIN submission s ON s.seq = r.seq WHERE r.day_id = ?1
                 ORDER BY r.global_no",
            )?;
            let mut rows = statement.query([day.0])?;
            let mut recount = Recount::default();
            while let Some(row) = rows.next()? {
                let (number, seq): (u32, i64) = (row.get(0)?, row.get(4)?);
                let body = archived::body(conn, seq, row.get(1)?)?;
                let receipt = read::receipt_of(&body, &format!("receipt {number}"))?;
                recount.totals.add_receipt(&receipt);
                let (color, answer): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
                let answer = answer
                    .map(|answer| archived::answer(conn, seq, answer))
                    .transpose()?;
                match (color, answer) {
                    (_, None) => recount.unsent += 1,
                    (Some(color), Some(answer)) if color != "Yellow" => {
                        recount.marked.push((number, color, marks(&answer)));
                    }
                    _ => {}
                }
            }
            Ok(recount)
        })
    }

    /// The day of a receipt, or of a close.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn day_of(&self, seq: Seq) -> Result<Option<Seq>, LedgerError> {
        self.with(|conn| {
            let day: Option<i64> = conn
                .prepare_cached(
                    "SELECT day_id FROM receipt WHERE seq = ?1
                     UNION ALL SELECT day_id FROM day_close WHERE seq = ?1",
                )?
                .query_row([seq.0], |row| row.get(0))
                .optional()?;
            Ok(day.map(Seq))
        })
    }

    /// The receipts of a day that FDMS has taken, from a number on, in their order.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn sent_receipts(
        &self,
        day: Seq,
        from: u32,
        limit: u32,
    ) -> Result<Vec<SentReceipt>, LedgerError> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT r.seq, r.global_no, r.body, s.answer FROM receipt r
                 JOIN submission s ON s.seq = r.seq
                 WHERE r.day_id = ?1 AND r.global_no >= ?2 ORDER BY r.global_no LIMIT ?3",
            )?;
            let rows = statement.query_map(rusqlite::params![day.0, from, limit], |row| {
                Ok(SentReceipt {
                    seq: Seq(row.get(0)?),
                    global_no: row.get(1)?,
                    body: row.get(2)?,
                    answer: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

fn marks(answer: &str) -> Vec<String> {
    let Ok(accepted) = ReceiptAccepted::parse(answer) else {
        return Vec::new();
    };
    let errors = accepted.validation_errors.iter();
    errors.map(ValidationError::mark).collect()
}
