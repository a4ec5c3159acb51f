//! Files of an offline device: a closed day, cut into pieces that FDMS takes, one after the other.
//!
//! A file is a span of the till's stream: the receipts from one number to another, and the footer if the day's
//! close is in it. It is kept before it is sent, and built from the ledger each time, byte for byte the same. While
//! one is under way there is no other (docs/FDMS.md section 7).

use std::collections::BTreeMap;

use clock::Timestamp;
use fiscal::counters::DayTotals;
use fiscal::receipt::Signature;
use fiscal::wire::{FileFooter, file_body};
use fiscal::{DateTime, DeviceId, FiscalDayNo, ReceiptCounter};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::core::Core;
use super::stream::{ItemKind, Submission, load_stream, next_item};
use super::{LedgerError, Reader, Refusal, Seq, StorageError, TillId, archived, sql};

/// Receipts in a file, bytes. FDMS takes 3 MB in whatever form the file travels; base64 makes a third more of it.
pub const CONTENT_MAX: usize = 2_000_000;

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileStep {
    /// It is to be sent, and may have been.
    Sending,
    /// FDMS has it and has yet to look at it.
    Sent,
    /// FDMS has taken everything in it.
    Done,
    /// FDMS has not taken everything in it.
    Failed,
}

impl FileStep {
    /// The word in the ledger and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Sending, Self::Sent, Self::Done, Self::Failed]
            .into_iter()
            .find(|step| step.as_str() == text)
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Its row.
    pub file_id: i64,
    /// The event of its day's opening.
    pub day_id: Seq,
    /// Its day.
    pub day_no: FiscalDayNo,
    /// Its place among the files of the day, from 1.
    pub sequence: u32,
    /// Its receipts: the first and last number, none if it is the footer alone.
    pub receipts: Option<(u32, u32)>,
    /// Whether the day's close is in it.
    pub has_footer: bool,
    /// Where it stands.
    pub step: FileStep,
    /// When it was made, and from when on FDMS may have it.
    pub created_at: Timestamp,
    /// FDMS's number of the hand-in.
    pub operation_id: Option<String>,
    /// FDMS's error, of a failed one.
    pub error: Option<String>,
}

/// A file to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub row: FileRow,
    /// The file itself.
    pub body: String,
    /// It is not sent before: the day's close.
    pub due: DateTime,
    /// The event of the day's close.
    pub close: Seq,
}

/// What FDMS came to about a file.
#[derive(Debug, Clone, Default)]
pub struct FileOutcome {
    /// FDMS's number of the hand-in.
    pub operation_id: Option<String>,
    /// FDMS's error; none if everything was taken.
    pub error: Option<String>,
    /// Whether its receipts were taken, whatever became of the footer.
    pub content_taken: bool,
    /// Whether its footer was taken.
    pub footer_taken: bool,
    /// Whether its number counts: the next file has the number after it.
    pub counts: bool,
    /// Receipts that FDMS has marked, with the worst colour and each mark.
    pub marked: BTreeMap<u32, (String, Vec<String>)>,
    /// What FDMS said, as it came.
    pub answer: String,
}

impl Core {
    /// The file that is under way, or else the next one, kept now. None if no closed day waits.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn next_file(&mut self, till: TillId) -> Result<Option<File>, LedgerError> {
        let device = self.till(till)?.info.device_id;
        if let Some(row) = open_file(&self.conn, till)? {
            return Ok(Some(build(&self.conn, device, row)?));
        }
        let state = load_stream(&self.conn, till)?;
        let Some(day) = closed_day(&self.conn, till, state.cursor)? else {
            return Ok(None);
        };
        let from = state.last_global_no.get() + 1;
        let (last, is_whole) = span(&self.conn, day.id, from)?;
        let row = FileRow {
            file_id: 0,
            day_id: day.id,
            day_no: day.no,
            sequence: next_sequence(&self.conn, till, day.id)?,
            receipts: last.map(|last| (from, last)),
            has_footer: is_whole,
            step: FileStep::Sending,
            created_at: self.now,
            operation_id: None,
            error: None,
        };
        self.conn
            .prepare_cached(
                "INSERT INTO file (till_id, day_id, sequence, first_no, last_no, has_footer, step, counts, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)",
            )?
            .execute(params![
                till.0,
                row.day_id.0,
                row.sequence,
                row.receipts.map(|(first, _)| first),
                row.receipts.map(|(_, last)| last),
                row.has_footer,
                row.step.as_str(),
                self.now_ms()
            ])?;
        let file_id = self.conn.last_insert_rowid();
        let row = FileRow { file_id, ..row };
        Ok(Some(build(&self.conn, device, row)?))
    }

    /// FDMS has a file, and will look at it.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn file_sent(
        &mut self,
        till: TillId,
        file_id: i64,
        operation_id: Option<&str>,
    ) -> Result<(), LedgerError> {
        self.conn
            .prepare_cached(
                "UPDATE file SET step = 'sent', operation_id = coalesce(?2, operation_id) WHERE file_id = ?1",
            )?
            .execute(params![file_id, operation_id])?;
        let detail = serde_json::json!({ "file": file_id, "operationID": operation_id });
        let seq = self.take_seq();
        Ok(self.append_event(seq, Some(till), "file.sent", Some(&detail.to_string()))?)
    }

    /// FDMS has come to an end with a file: what it has taken is finished in the stream.
    ///
    /// # Errors
    /// The stream is not where the file says.
    pub fn file_done(
        &mut self,
        till: TillId,
        file_id: i64,
        outcome: &FileOutcome,
    ) -> Result<(), LedgerError> {
        let row = open_file(&self.conn, till)?.filter(|row| row.file_id == file_id);
        let row = row.ok_or_else(|| Refusal::Stream("the file is not under way".to_owned()))?;
        let step = match outcome.error {
            None => FileStep::Done,
            Some(_) => FileStep::Failed,
        };
        self.conn
            .prepare_cached(
                "UPDATE file SET step = ?2, error = ?3, answer = ?4, counts = ?5,
                 operation_id = coalesce(?6, operation_id) WHERE file_id = ?1",
            )?
            .execute(params![
                file_id,
                step.as_str(),
                outcome.error,
                outcome.answer,
                outcome.counts,
                outcome.operation_id
            ])?;
        if outcome.content_taken || outcome.footer_taken {
            self.finish_span(till, &row, outcome)?;
        }
        let detail = serde_json::json!({
            "file": file_id,
            "fiscalDayNo": row.day_no,
            "fileSequence": row.sequence,
            "error": outcome.error,
        });
        let kind = if step == FileStep::Done {
            "file.done"
        } else {
            "file.failed"
        };
        let seq = self.take_seq();
        Ok(self.append_event(seq, Some(till), kind, Some(&detail.to_string()))?)
    }

    /// Everything of the stream that a file has brought to FDMS.
    fn finish_span(
        &mut self,
        till: TillId,
        row: &FileRow,
        outcome: &FileOutcome,
    ) -> Result<(), LedgerError> {
        let last = row.receipts.map_or(0, |(_, last)| last);
        loop {
            let state = load_stream(&self.conn, till)?;
            let Some(item) = next_item(&self.conn, &state)? else {
                return Ok(());
            };
            let mark = match item.kind {
                ItemKind::Open(no) if no == row.day_no && outcome.content_taken => None,
                ItemKind::Receipt(no) if outcome.content_taken && no.get() <= last => {
                    outcome.marked.get(&no.get())
                }
                ItemKind::Close(no) if no == row.day_no && outcome.footer_taken => None,
                _ => return Ok(()),
            };
            let submission = Submission {
                operation_id: outcome.operation_id.clone(),
                color: mark.map(|(color, _)| color.clone()),
                marks: mark.map(|(_, marks)| marks.clone()).unwrap_or_default(),
                answer: match item.kind {
                    ItemKind::Receipt(_) => String::new(),
                    _ => outcome.answer.clone(),
                },
                ..Submission::default()
            };
            self.finish_item(till, &item, &submission)?;
        }
    }
}

/// A closed day that FDMS does not have as a whole.
struct ClosedDay {
    id: Seq,
    no: FiscalDayNo,
}

fn closed_day(
    conn: &Connection,
    till: TillId,
    cursor: Seq,
) -> Result<Option<ClosedDay>, StorageError> {
    let row = conn
        .prepare_cached(
            "SELECT d.day_id, d.fiscal_day_no FROM day d JOIN day_close c USING (day_id)
             WHERE d.till_id = ?1 AND c.seq > ?2 ORDER BY d.fiscal_day_no LIMIT 1",
        )?
        .query_row(params![till.0, cursor.0], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    row.map(|(id, no)| {
        Ok(ClosedDay {
            id: Seq(id),
            no: sql::number(no, FiscalDayNo::new, "day.fiscal_day_no")?,
        })
    })
    .transpose()
}

/// How far the next file reaches: its last receipt, and whether nothing of the day is left behind it.
fn span(conn: &Connection, day: Seq, from: u32) -> Result<(Option<u32>, bool), StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT global_no, octet_length(body) FROM receipt WHERE day_id = ?1 AND global_no >= ?2
         ORDER BY global_no",
    )?;
    let mut rows = statement.query(params![day.0, from])?;
    let (mut bytes, mut last) = (0_usize, None);
    while let Some(row) = rows.next()? {
        bytes = bytes
            .saturating_add(usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX))
            .saturating_add(1);
        if bytes > CONTENT_MAX && last.is_some() {
            return Ok((last, false));
        }
        last = Some(row.get(0)?);
    }
    Ok((last, true))
}

/// Files of a day have numbers without a gap; one that left nothing at FDMS is sent again under its number.
fn next_sequence(conn: &Connection, till: TillId, day: Seq) -> Result<u32, StorageError> {
    Ok(conn
        .prepare_cached(
            "SELECT coalesce(max(sequence), 0) + 1 FROM file
             WHERE till_id = ?1 AND day_id = ?2 AND counts = 1",
        )?
        .query_row(params![till.0, day.0], |row| row.get(0))?)
}

const COLUMNS: &str =
    "f.file_id, f.day_id, d.fiscal_day_no, f.sequence, f.first_no, f.last_no, f.has_footer,
     f.step, f.created_at, f.operation_id, f.error FROM file f JOIN day d USING (day_id)";

fn file_row(row: &rusqlite::Row<'_>) -> Result<FileRow, StorageError> {
    let step: String = row.get(7)?;
    let (first, last): (Option<u32>, Option<u32>) = (row.get(4)?, row.get(5)?);
    Ok(FileRow {
        file_id: row.get(0)?,
        day_id: Seq(row.get(1)?),
        day_no: sql::number(row.get(2)?, FiscalDayNo::new, "day.fiscal_day_no")?,
        sequence: row.get(3)?,
        receipts: first.zip(last),
        has_footer: row.get(6)?,
        step: FileStep::parse(&step).ok_or_else(|| sql::damaged("file.step"))?,
        created_at: Timestamp::from_millisecond(row.get(8)?)
            .map_err(|_| sql::damaged("file.created_at"))?,
        operation_id: row.get(9)?,
        error: row.get(10)?,
    })
}

fn open_file(conn: &Connection, till: TillId) -> Result<Option<FileRow>, StorageError> {
    let text = format!(
        "SELECT {COLUMNS} WHERE f.till_id = ?1 AND f.step IN ('sending', 'sent') ORDER BY f.file_id LIMIT 1"
    );
    let mut statement = conn.prepare_cached(&text)?;
    let mut rows = statement.query([till.0])?;
    rows.next()?.map(file_row).transpose()
}

/// The file itself, from the ledger.
fn build(conn: &Connection, device: DeviceId, row: FileRow) -> Result<File, StorageError> {
    let (first, last) = row.receipts.unwrap_or((1, 0));
    let mut statement = conn.prepare_cached(
        "SELECT seq, body FROM receipt WHERE day_id = ?1 AND global_no BETWEEN ?2 AND ?3 ORDER BY global_no",
    )?;
    let rows = statement.query_map(params![row.day_id.0, first, last], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let bodies: Vec<String> = rows
        .map(|row| {
            row.map_err(StorageError::from)
                .and_then(|(seq, body)| archived::body(conn, seq, body))
        })
        .collect::<Result<_, _>>()?;
    let (opened, closed, counter, totals, hash, signature, close) = conn
        .prepare_cached(
            "SELECT d.opened, c.closed, c.receipt_counter, c.totals, c.hash, c.signature, c.seq
             FROM day d JOIN day_close c USING (day_id) WHERE d.day_id = ?1",
        )?
        .query_row([row.day_id.0], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, Vec<u8>>(4)?,
                row.get::<_, Vec<u8>>(5)?,
                Seq(row.get(6)?),
            ))
        })?;
    let opened = sql::date(&opened, "day.opened")?;
    let closed = sql::date(&closed, "day_close.closed")?;
    let totals = DayTotals::parse(&totals).ok_or_else(|| sql::damaged("day_close.totals"))?;
    let signature = Signature {
        hash: sql::hash(&hash, "day_close.hash")?,
        bytes: signature,
    };
    let footer = FileFooter {
        counters: &totals.counters,
        signature: &signature,
        last_counter: Some(sql::number(
            counter,
            ReceiptCounter::new,
            "day_close.receipt_counter",
        )?),
        closed,
    };
    let footer = row.has_footer.then_some(&footer);
    let day = (row.day_no, opened);
    Ok(File {
        body: file_body(device, day, row.sequence, &bodies, footer),
        due: closed,
        close,
        row,
    })
}

impl Reader {
    /// The files of a day in their order, as they were and would be sent; those that are not made yet too.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn day_files(&self, till: TillId, day: Seq) -> Result<Vec<FileRow>, LedgerError> {
        self.with(|conn| {
            let text = format!(
                "SELECT {COLUMNS} WHERE f.till_id = ?1 AND f.day_id = ?2 ORDER BY f.file_id"
            );
            let mut statement = conn.prepare_cached(&text)?;
            let mut rows = statement.query(params![till.0, day.0])?;
            let mut files = Vec::new();
            while let Some(row) = rows.next()? {
                files.push(file_row(row)?);
            }
            Ok(files)
        })
    }

    /// A closed day as files for upload by hand, in their order, whatever FDMS has of it already: it knows what it
    /// has again.
    ///
    /// # Errors
    /// The day is open, or a fault of the storage.
    pub fn export_day(
        &self,
        till: TillId,
        device: DeviceId,
        day: Seq,
    ) -> Result<Vec<File>, LedgerError> {
        self.with(|conn| {
            let first: Option<u32> = conn
                .prepare_cached("SELECT min(global_no) FROM receipt WHERE day_id = ?1")?
                .query_row([day.0], |row| row.get(0))?;
            let no: i64 = conn
                .prepare_cached(
                    "SELECT fiscal_day_no FROM day JOIN day_close USING (day_id) WHERE day_id = ?1 AND till_id = ?2",
                )?
                .query_row(params![day.0, till.0], |row| row.get(0))
                .optional()?
                .ok_or_else(|| Refusal::Stream("the fiscal day is open; close it first".to_owned()))?;
            let mut files = Vec::new();
            let mut from = first.unwrap_or(1);
            loop {
                let (last, is_whole) = span(conn, day, from)?;
                let sequence = u32::try_from(files.len()).unwrap_or(u32::MAX).saturating_add(1);
                let row = FileRow {
                    file_id: 0,
                    day_id: day,
                    day_no: sql::number(no, FiscalDayNo::new, "day.fiscal_day_no")?,
                    sequence,
                    receipts: last.map(|last| (from, last)),
                    has_footer: is_whole,
                    step: FileStep::Sending,
                    created_at: Timestamp::UNIX_EPOCH,
                    operation_id: None,
                    error: None,
                };
                files.push(build(conn, device, row)?);
                match last {
                    Some(last) if !is_whole => from = last + 1,
                    _ => return Ok(files),
                }
            }
        })
    }
}
