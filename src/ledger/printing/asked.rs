//! The printers' queue, as it is read: what waits, what was printed, and which events are to be.

use drivers::job::JobId;
use fiscal::draft::PrintOnly;
use fiscal::{Cents, DeviceId, ReceiptGlobalNo};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{CURSOR, OPEN};
use crate::ledger::{Environment, LedgerError, Reader, Seq, StorageError, TillId, sql};

/// A job as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintRow {
    /// Its number.
    pub id: JobId,
    /// The printer.
    pub printer: String,
    /// `receipt`, `z_report`, `blocks`, `captured`.
    pub kind: String,
    /// Whose paper it is.
    pub till: Option<TillId>,
    /// The receipt's number.
    pub receipt: Option<ReceiptGlobalNo>,
    /// What it was headed with, once taken.
    pub heading: Option<String>,
    /// The state's word.
    pub state: String,
    /// More of it: the grade, the reason.
    pub detail: Option<String>,
    /// When it was queued, milliseconds since 1970.
    pub created_at: i64,
    /// When its state changed.
    pub changed_at: i64,
}

/// An event that may be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintableEvent {
    /// Its number.
    pub seq: Seq,
    /// The till.
    pub till: TillId,
    /// The till as FDMS knows it.
    pub device: (Environment, DeviceId),
    /// A day's close; else a receipt.
    pub is_close: bool,
    /// What the sale said of printing.
    pub print: Option<bool>,
    /// A receipt's currency and total, for the customer's display.
    pub total: Option<(String, Cents)>,
}

/// Events after a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintableEvents {
    /// Those that may be printed.
    pub events: Vec<PrintableEvent>,
    /// The last that was looked at; none if there is none after the place.
    pub upto: Option<Seq>,
    /// Whether there may be more.
    pub is_full: bool,
}

impl Reader {
    /// Where the printers stand among the events; none in a ledger that never printed.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn print_cursor(&self) -> Result<Option<Seq>, LedgerError> {
        self.with(|conn| {
            let Some(bytes) = sql::meta(conn, CURSOR)? else {
                return Ok(None);
            };
            let bytes: [u8; 8] = bytes
                .as_slice()
                .try_into()
                .map_err(|_| sql::damaged("meta.print_cursor is no number"))?;
            Ok(Some(Seq(i64::from_be_bytes(bytes))))
        })
    }

    /// Receipts and closes after a place among the events, oldest first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn printable_events(&self, after: Seq, limit: u32) -> Result<PrintableEvents, LedgerError> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT e.seq, e.till_id, t.environment, t.device_id, r.seq IS NOT NULL, c.seq IS NOT NULL, r.print,
                        r.currency, r.total
                 FROM event e LEFT JOIN till t USING (till_id) LEFT JOIN receipt r ON r.seq = e.seq
                 LEFT JOIN day_close c ON c.seq = e.seq
                 WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2",
            )?;
            let mut rows = statement.query(params![after.0, limit])?;
            let (mut events, mut upto, mut count) = (Vec::new(), None, 0);
            while let Some(row) = rows.next()? {
                let seq = Seq(row.get(0)?);
                (upto, count) = (Some(seq), count + 1);
                events.extend(printable(seq, row)?);
            }
            Ok(PrintableEvents {
                events,
                upto,
                is_full: count == limit,
            })
        })
    }

    /// The state of the last job of a printer of which a byte may have been sent. A drawer's pulse that passed the papers
    /// says nothing of what a paper before it has left in the printer.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn last_sent_print(&self, printer: &str) -> Result<Option<String>, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached(
                    "SELECT CASE detail WHEN 'seen' THEN 'unknown' ELSE state END FROM print_job
                     WHERE printer = ?1 AND state NOT IN ('queued', 'held', 'failed')
                     AND NOT (kind = 'drawer' AND detail IS 'sent') ORDER BY job_id DESC LIMIT 1",
                )?
                .query_row([printer], |row| row.get(0))
                .optional()?)
        })
    }

    /// Whether a printer has a job before it.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn has_print(&self, printer: &str) -> Result<bool, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached(&format!(
                    "SELECT EXISTS (SELECT 1 FROM print_job WHERE printer = ?1 AND {OPEN})"
                ))?
                .query_row([printer], |row| row.get(0))?)
        })
    }

    /// Whether a pulse of a printer's drawer waits.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn has_drawer(&self, printer: &str) -> Result<bool, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached(&format!(
                    "SELECT EXISTS (SELECT 1 FROM print_job WHERE printer = ?1 AND {OPEN}
                     AND state IN ('queued', 'held') AND kind = 'drawer')"
                ))?
                .query_row([printer], |row| row.get(0))?)
        })
    }

    /// A printer's jobs that are not at their end, oldest first; of all printers if none is named.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn open_prints(&self, printer: Option<&str>) -> Result<Vec<PrintRow>, LedgerError> {
        let open = format!(
            "SELECT job_id FROM print_job WHERE {OPEN} UNION ALL
             SELECT d.job_id FROM print_job d WHERE d.state = 'unknown' AND NOT EXISTS (
               SELECT 1 FROM print_job later
               WHERE later.subject = d.subject AND later.job_id > d.job_id AND later.state <> 'failed')"
        );
        self.with(|conn| {
            Ok(rows(
                conn,
                &format!("(?1 IS NULL OR j.printer = ?1) AND j.job_id IN ({open})"),
                &[&printer],
            )?)
        })
    }

    /// The last jobs, newest first, of one printer or of all, and of the papers of some tills or of all.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn last_prints(
        &self,
        printer: Option<&str>,
        tills: Option<&[TillId]>,
        limit: u32,
    ) -> Result<Vec<PrintRow>, LedgerError> {
        let tills = tills.map(|tills| {
            let ids: Vec<String> = tills.iter().map(|till| till.0.to_string()).collect();
            format!("[{}]", ids.join(","))
        });
        self.with(|conn| {
            let mut rows = rows(
                conn,
                "j.job_id IN (
                   SELECT job_id FROM print_job WHERE (?1 IS NULL OR printer = ?1)
                   AND (?3 IS NULL OR till_id IN (SELECT value FROM json_each(?3))) ORDER BY job_id DESC LIMIT ?2)",
                &[&printer, &limit, &tills],
            )?;
            rows.reverse();
            Ok(rows)
        })
    }

    /// The last paper that was queued under a key of somebody: `actor:…`.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn last_print_of(&self, actor: &str) -> Result<Option<PrintRow>, LedgerError> {
        let (from, upto) = (format!("{actor}:"), format!("{actor};"));
        self.with(|conn| {
            Ok(rows(
                conn,
                "j.job_id = (SELECT max(job_id) FROM print_job WHERE key >= ?1 AND key < ?2 AND kind <> 'drawer')",
                &[&from, &upto],
            )?
            .pop())
        })
    }

    /// A job by its number.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn print_job(&self, job: JobId) -> Result<Option<PrintRow>, LedgerError> {
        self.with(|conn| Ok(rows(conn, "j.job_id = ?1", &[&job.0])?.pop()))
    }

    /// What was printed of a receipt or a report, oldest first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn prints_of(&self, seq: Seq) -> Result<Vec<PrintRow>, LedgerError> {
        self.with(|conn| Ok(rows(conn, "j.seq = ?1", &[&seq.0])?))
    }
}

fn printable(seq: Seq, row: &Row<'_>) -> Result<Option<PrintableEvent>, StorageError> {
    let (is_receipt, is_close): (bool, bool) = (row.get(4)?, row.get(5)?);
    let Some(till) = row
        .get::<_, Option<i64>>(1)?
        .filter(|_| is_receipt || is_close)
    else {
        return Ok(None);
    };
    let environment: String = row.get(2)?;
    let environment = Environment::parse(&environment)
        .ok_or_else(|| sql::damaged(format!("till.environment holds \"{environment}\"")))?;
    let print: Option<String> = row.get(6)?;
    let print = print
        .map(|json| serde_json::from_str::<PrintOnly>(&json))
        .transpose()
        .map_err(|error| sql::damaged(format!("receipt.print: {error}")))?;
    Ok(Some(PrintableEvent {
        seq,
        till: TillId(till),
        device: (
            environment,
            sql::number(row.get(3)?, DeviceId::new, "till.device_id")?,
        ),
        is_close,
        print: print.and_then(|print| print.print),
        total: match (row.get(7)?, row.get::<_, Option<i64>>(8)?) {
            (Some(currency), Some(total)) => Some((currency, Cents::new(total))),
            _ => None,
        },
    }))
}

pub(super) fn rows(
    conn: &Connection,
    which: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<PrintRow>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT j.job_id, j.printer, j.kind, j.till_id, r.global_no, j.heading, j.state, j.detail, j.created_at,
                j.changed_at
         FROM print_job j LEFT JOIN receipt r ON r.seq = j.seq
         WHERE {which} ORDER BY j.job_id"
    ))?;
    let rows = statement.query_map(values, |row| {
        let number: Option<u32> = row.get(4)?;
        Ok(PrintRow {
            id: JobId(row.get(0)?),
            printer: row.get(1)?,
            kind: row.get(2)?,
            till: row.get::<_, Option<i64>>(3)?.map(TillId),
            receipt: number.and_then(ReceiptGlobalNo::new),
            heading: row.get(5)?,
            state: row.get(6)?,
            detail: row.get(7)?,
            created_at: row.get(8)?,
            changed_at: row.get(9)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
