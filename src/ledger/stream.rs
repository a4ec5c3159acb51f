//! The stream of a till to FDMS: openings, receipts and closes, in the order of their events.
//!
//! What has been sent is a cursor; only the item at the head has a state: attempts, when to try next, the
//! last error, or why sending is parked. Nothing is ever taken out of a stream.

use clock::Timestamp;
use fiscal::{DateTime, FiscalDayNo, ReceiptGlobalNo, wire};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use sync_wire::entry::AttemptKind;

use super::core::Core;
use super::holds::load_block;
use super::{LedgerError, Refusal, Seq, StorageError, TillId, sql};

mod taken;

pub use taken::{Proof, Submission, Tried};

/// One thing that FDMS must hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its event.
    pub seq: Seq,
    /// What it is.
    pub kind: ItemKind,
    /// It is not sent before this moment (local time): FDMS must not see the future.
    pub due: DateTime,
    /// The body to send, byte for byte the same on every try.
    pub body: String,
    /// A note's original on another till that FDMS has not taken yet, or a debit of it: sent before them,
    /// the note would be marked Red (RCPT032, RCPT035, docs/FDMS.md section 8).
    pub waits_for: Option<Seq>,
}

/// What FDMS must hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// The opening of a day.
    Open(FiscalDayNo),
    /// A receipt.
    Receipt(ReceiptGlobalNo),
    /// The close of a day.
    Close(FiscalDayNo),
}

impl ItemKind {
    /// In head office's words, with its number.
    #[must_use]
    pub const fn named(self) -> (AttemptKind, u32) {
        match self {
            Self::Open(no) => (AttemptKind::OpenDay, no.get()),
            Self::Receipt(no) => (AttemptKind::SubmitReceipt, no.get()),
            Self::Close(no) => (AttemptKind::CloseDay, no.get()),
        }
    }
}

impl std::fmt::Display for ItemKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(no) => write!(formatter, "opening of day {no}"),
            Self::Receipt(no) => write!(formatter, "receipt {no}"),
            Self::Close(no) => write!(formatter, "close of day {no}"),
        }
    }
}

/// Where the item at the head stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It is to be sent.
    #[default]
    Send,
    /// It may have arrived: GetStatus tells.
    Ask,
    /// A close was taken: GetStatus tells when it is done.
    Poll,
}

/// Why sending is parked, and what a person may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// A sentence.
    pub reason: String,
    /// FDMS's code, or `HTTP 401` and its kin, or the closing error.
    pub code: String,
    /// What FDMS answered, as received.
    pub answer: Option<String>,
    /// What may be done: `retry`.
    pub actions: Vec<String>,
    /// Whether the gateway itself asks FDMS now and then if it is over; at the state's `next_attempt`.
    #[serde(default)]
    pub probing: bool,
    /// When.
    pub since: Timestamp,
}

/// What kind of thing has parked a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedKind {
    /// A person has paused it.
    Paused,
    /// FDMS has refused a close after looking at the day.
    CloseFailed,
    /// FDMS has refused a message, or the till.
    Refused,
}

/// The errors with which a close fails, as FDMS names them (docs/FDMS.md section 4).
const CLOSING_ERRORS: [&str; 5] = [
    "BadCertificateSignature",
    "MissingReceipts",
    "ReceiptsWithValidationErrors",
    "CountersMismatch",
    "CloseFailed",
];

impl Parked {
    /// What kind of thing it was.
    #[must_use]
    pub fn kind(&self) -> ParkedKind {
        match self.code.as_str() {
            PAUSED => ParkedKind::Paused,
            code if CLOSING_ERRORS.contains(&code) => ParkedKind::CloseFailed,
            _ => ParkedKind::Refused,
        }
    }

    /// Paused: nothing is sent until a person lets it try again.
    pub(super) fn paused(reason: String, since: Timestamp) -> Self {
        Self {
            reason,
            code: PAUSED.to_owned(),
            answer: None,
            actions: vec!["retry".to_owned()],
            probing: false,
            since,
        }
    }
}

/// How far a till's stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// The till.
    pub till: TillId,
    /// The event of the last item that FDMS has taken.
    pub cursor: Seq,
    /// The last day whose opening FDMS has taken.
    pub last_day_no: FiscalDayNo,
    /// The last receipt that FDMS has taken.
    pub last_global_no: ReceiptGlobalNo,
    /// Where the head stands.
    pub step: Step,
    /// How often the head was tried in vain.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt: Timestamp,
    /// Why the last try was in vain.
    pub last_error: Option<String>,
    /// Why nothing is sent until a person has acted.
    pub parked: Option<Parked>,
    /// Head office has blocked the till, or switched its environment off. No state of the stream's own: it is never written.
    pub shut: Option<Shut>,
}

/// A closed gate: nothing is sent but controlled test receipts and what is before them; of a blocked till nothing at all
/// (docs/HQ.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shut {
    /// Up to this event things pass.
    pub upto: Seq,
}

/// The code of a stream that a person has paused.
const PAUSED: &str = "paused";

impl StreamState {
    /// Whether a closed gate keeps something from being sent.
    #[must_use]
    pub fn is_shut_for(&self, seq: Seq) -> bool {
        self.shut.is_some_and(|shut| seq > shut.upto)
    }

    /// Why a person has paused it.
    fn pause(&self) -> Option<&Parked> {
        self.parked
            .as_ref()
            .filter(|parked| parked.kind() == ParkedKind::Paused)
    }

    pub(super) fn new(till: TillId) -> Self {
        Self {
            till,
            cursor: Seq(0),
            last_day_no: FiscalDayNo::ZERO,
            last_global_no: ReceiptGlobalNo::ZERO,
            step: Step::Send,
            attempts: 0,
            next_attempt: Timestamp::UNIX_EPOCH,
            last_error: None,
            parked: None,
            shut: None,
        }
    }
}

impl Core {
    /// Keeps where the head stands: another step, a failed attempt. The cursor does not move.
    ///
    /// # Errors
    /// The stream has moved on meanwhile.
    pub fn update_stream(&mut self, state: &StreamState) -> Result<(), LedgerError> {
        let present = load_stream(&self.conn, state.till)?;
        if present.cursor != state.cursor {
            return Err(Refusal::Stream("the queue has moved on".to_owned()).into());
        }
        // What was under way when a person paused the stream ends no pause.
        let state = &StreamState {
            parked: present.pause().cloned().or_else(|| state.parked.clone()),
            ..state.clone()
        };
        if present.parked != state.parked {
            let (kind, detail) = match &state.parked {
                Some(parked) => ("stream.parked", parked.reason.as_str()),
                None => ("stream.resumed", ""),
            };
            let seq = self.take_seq();
            self.append_event(seq, Some(state.till), kind, Some(detail))?;
            self.audit("system", kind, Some(state.till), detail)?;
        }
        store_stream(&self.conn, state)?;
        Ok(())
    }

    /// A till's stream as it is within this piece of work: its state and the item at its head.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn stream(&self, till: TillId) -> Result<(StreamState, Option<Item>), LedgerError> {
        let state = load_stream(&self.conn, till)?;
        let item = next_item(&self.conn, &state)?;
        Ok((state, item))
    }

    /// Tells of something that concerns a till and is in no table.
    ///
    /// # Errors
    /// No such till.
    pub fn tell(&mut self, till: TillId, kind: &str, detail: &str) -> Result<(), LedgerError> {
        self.till(till)?;
        let seq = self.take_seq();
        Ok(self.append_event(seq, Some(till), kind, Some(detail))?)
    }

    /// The authority has changed the till's operating mode: a stream that was shut out for the other one goes on.
    ///
    /// # Errors
    /// No such till.
    pub fn mode_changed(&mut self, till: TillId) -> Result<(), LedgerError> {
        let state = load_stream(&self.conn, till)?;
        let code = state.parked.as_ref().map(|parked| parked.code.as_str());
        if matches!(code, Some("DEV01" | "FILE03")) {
            self.retry_stream(till, "system")?;
        }
        Ok(())
    }

    /// A person pauses a stream: nothing of it is sent until somebody lets it try again.
    ///
    /// # Errors
    /// No such till.
    pub fn pause_stream(
        &mut self,
        till: TillId,
        reason: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        self.till(till)?;
        let mut state = load_stream(&self.conn, till)?;
        state.parked = Some(Parked {
            answer: state.parked.and_then(|parked| parked.answer),
            ..Parked::paused(reason.to_owned(), self.now)
        });
        store_stream(&self.conn, &state)?;
        let seq = self.take_seq();
        self.append_event(seq, Some(till), "stream.parked", Some(reason))?;
        self.audit(actor, "stream.pause", Some(till), reason)?;
        Ok(())
    }

    /// A person lets a parked stream try again.
    ///
    /// # Errors
    /// No such till.
    pub fn retry_stream(&mut self, till: TillId, actor: &str) -> Result<StreamState, LedgerError> {
        self.till(till)?;
        let mut state = load_stream(&self.conn, till)?;
        let was_parked = state.parked.take().is_some();
        state.attempts = 0;
        state.next_attempt = Timestamp::UNIX_EPOCH;
        // What was refused may have arrived all the same: openings and closes ask first.
        state.step = if was_parked { Step::Ask } else { state.step };
        store_stream(&self.conn, &state)?;
        let seq = self.take_seq();
        self.append_event(seq, Some(till), "stream.resumed", None)?;
        self.audit(actor, "stream.retry", Some(till), "")?;
        Ok(state)
    }
}

/// What head office keeps from being sent: all of a blocked till, or what is behind the closed gate of its environment.
fn load_shut(conn: &Connection, till: TillId) -> Result<Option<Shut>, StorageError> {
    if load_block(conn, till)?.is_some() {
        return Ok(Some(Shut { upto: Seq(0) }));
    }
    // In production nothing passes, whatever was ordered.
    let upto: Option<i64> = conn
        .prepare_cached(
            "SELECT CASE t.environment WHEN 'test' THEN coalesce(s.controlled, 0) ELSE 0 END
             FROM till t JOIN gate g USING (environment) LEFT JOIN till_state s ON s.till_id = t.till_id
             WHERE t.till_id = ?1 AND g.enabled = 0",
        )?
        .query_row([till.0], |row| row.get(0))
        .optional()?;
    Ok(upto.map(|upto| Shut { upto: Seq(upto) }))
}

/// The state of a till's stream.
pub(super) fn load_stream(conn: &Connection, till: TillId) -> Result<StreamState, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT cursor, last_day_no, last_global_no, step, attempts, next_attempt, last_error, parked
         FROM stream WHERE till_id = ?1",
    )?;
    let mut rows = statement.query([till.0])?;
    let Some(row) = rows.next()? else {
        return Ok(StreamState {
            shut: load_shut(conn, till)?,
            ..StreamState::new(till)
        });
    };
    let step: String = row.get(3)?;
    let parked: Option<String> = row.get(7)?;
    Ok(StreamState {
        till,
        cursor: Seq(row.get(0)?),
        last_day_no: sql::number(row.get(1)?, FiscalDayNo::new, "stream.last_day_no")?,
        last_global_no: sql::number(row.get(2)?, ReceiptGlobalNo::new, "stream.last_global_no")?,
        step: match step.as_str() {
            "send" => Step::Send,
            "ask" => Step::Ask,
            "poll" => Step::Poll,
            other => return Err(sql::damaged(format!("stream.step is {other}"))),
        },
        attempts: row.get(4)?,
        next_attempt: Timestamp::from_millisecond(row.get(5)?)
            .map_err(|_| sql::damaged("stream.next_attempt"))?,
        last_error: row.get(6)?,
        parked: parked
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| sql::damaged("stream.parked"))?,
        shut: load_shut(conn, till)?,
    })
}

pub(super) fn store_stream(conn: &Connection, state: &StreamState) -> Result<(), StorageError> {
    let step = match state.step {
        Step::Send => "send",
        Step::Ask => "ask",
        Step::Poll => "poll",
    };
    let parked = state
        .parked
        .as_ref()
        // Texts and a time always serialise.
        .map(|parked| serde_json::to_string(parked).unwrap_or_default());
    conn.prepare_cached(
        "INSERT OR REPLACE INTO stream VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        state.till.0,
        state.cursor.0,
        state.last_day_no.get(),
        state.last_global_no.get(),
        step,
        state.attempts,
        state.next_attempt.as_millisecond(),
        state.last_error,
        parked
    ])?;
    Ok(())
}

/// For planted defects that send what does not come next.
#[cfg(any(test, feature = "simulation"))]
impl super::Reader {
    /// What would come next if so many receipts more had been sent; as many as there are at most.
    pub(crate) fn past_receipts(
        &self,
        state: &mut StreamState,
        receipts: u32,
    ) -> Result<Option<Item>, LedgerError> {
        let till = state.till;
        let (last, _) = self.last_receipt(till)?;
        let past = state.last_global_no.get().saturating_add(receipts);
        let past = ReceiptGlobalNo::new(past.min(last.get()));
        state.last_global_no = past.unwrap_or(state.last_global_no);
        self.with(|conn| Ok(next_item(conn, state)?))
    }
}

/// The first thing that FDMS has not taken yet.
pub(super) fn next_item(
    conn: &Connection,
    state: &StreamState,
) -> Result<Option<Item>, StorageError> {
    let candidates = [
        next_receipt(conn, state)?,
        next_open(conn, state)?,
        next_close(conn, state)?,
    ];
    Ok(candidates.into_iter().flatten().min_by_key(|item| item.seq))
}

fn next_receipt(conn: &Connection, state: &StreamState) -> Result<Option<Item>, StorageError> {
    let row = conn
        .prepare_cached(
            "SELECT seq, global_no, date, body, original_seq FROM receipt
             WHERE till_id = ?1 AND global_no = ?2 + 1",
        )?
        .query_row(
            [state.till.0, i64::from(state.last_global_no.get())],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, String>(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )
        .optional()?;
    let Some((seq, number, date, body, original)) = row else {
        return no_gap(conn, state).map(|()| None);
    };
    let waits_for = match original {
        Some(original) => unsent_elsewhere(conn, state.till, Seq(seq), Seq(original))?,
        None => None,
    };
    let number = sql::number(number, ReceiptGlobalNo::new, "receipt.global_no")?;
    Ok(Some(Item {
        seq: Seq(seq),
        kind: ItemKind::Receipt(number),
        due: sql::date(&date, "receipt.date")?,
        body,
        waits_for,
    }))
}

/// The next number is not there: then none beyond it may be, or a close would be sent past receipts.
fn no_gap(conn: &Connection, state: &StreamState) -> Result<(), StorageError> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT last_global_no FROM head WHERE till_id = ?1")?
        .query_row([state.till.0], |row| row.get(0))
        .optional()?;
    let sent = state.last_global_no;
    if last.unwrap_or(0) > i64::from(sent.get()) {
        return Err(sql::damaged(format!(
            "receipt {} of a till is missing; nothing is sent past it",
            sent.next()
        )));
    }
    Ok(())
}

/// What must have reached FDMS before a note of this till, and is another till's: the original, and debits
/// of it that were issued before the note, since they make room for credits.
fn unsent_elsewhere(
    conn: &Connection,
    till: TillId,
    note: Seq,
    original: Seq,
) -> Result<Option<Seq>, StorageError> {
    let unsent = conn
        .prepare_cached(
            "SELECT r.seq FROM receipt r
             WHERE (r.seq = ?1 OR (r.original_seq = ?1 AND r.seq < ?2 AND r.receipt_type = 'DebitNote'))
               AND r.till_id <> ?3 AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.seq = r.seq)
             ORDER BY r.seq LIMIT 1",
        )?
        .query_row([original.0, note.0, till.0], |row| row.get(0))
        .optional()?;
    Ok(unsent.map(Seq))
}

fn next_open(conn: &Connection, state: &StreamState) -> Result<Option<Item>, StorageError> {
    let row = conn
        .prepare_cached(
            "SELECT day_id, fiscal_day_no, opened FROM day
             WHERE till_id = ?1 AND fiscal_day_no > ?2 ORDER BY fiscal_day_no LIMIT 1",
        )?
        .query_row([state.till.0, i64::from(state.last_day_no.get())], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((seq, no, opened)) = row else {
        return Ok(None);
    };
    let no = sql::number(no, FiscalDayNo::new, "day.fiscal_day_no")?;
    let opened = sql::date(&opened, "day.opened")?;
    Ok(Some(Item {
        seq: Seq(seq),
        kind: ItemKind::Open(no),
        due: opened,
        body: wire::open_day_body(no, opened),
        waits_for: None,
    }))
}

fn next_close(conn: &Connection, state: &StreamState) -> Result<Option<Item>, StorageError> {
    let row = conn
        .prepare_cached(
            "SELECT c.seq, c.closed, c.body FROM day d JOIN day_close c USING (day_id)
             WHERE d.till_id = ?1 AND d.fiscal_day_no = ?2 AND c.seq > ?3",
        )?
        .query_row(
            params![state.till.0, state.last_day_no.get(), state.cursor.0],
            |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)),
        )
        .optional()?;
    let Some((seq, closed, body)) = row else {
        return Ok(None);
    };
    Ok(Some(Item {
        seq: Seq(seq),
        kind: ItemKind::Close(state.last_day_no),
        due: sql::date(&closed, "day_close.closed")?,
        body,
        waits_for: None,
    }))
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
