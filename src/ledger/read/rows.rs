//! Rows and look-ups that both the writer and readers need.

use fiscal::receipt::{Hash, Receipt};
use fiscal::taxpayer::Taxpayer;
use fiscal::{
    Cents, Currency, DateTime, DeviceId, FiscalDayNo, ReceiptGlobalNo, ReceiptType, rules,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Original, money, receipt_of};
use crate::ledger::stream::load_stream;
use crate::ledger::{
    Environment, LedgerError, OriginalFacts, Seq, StorageError, TillId, TillInfo, archived, chain,
    sql,
};

/// Which receipts a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only receipts before this number: for the next page.
    pub before: Option<ReceiptGlobalNo>,
    /// Only of this type.
    pub receipt_type: Option<ReceiptType>,
    /// Only in this currency.
    pub currency: Option<Currency>,
    /// Only of this fiscal day.
    pub fiscal_day_no: Option<FiscalDayNo>,
    /// Only from this moment on.
    pub from: Option<DateTime>,
    /// Only up to this moment.
    pub till: Option<DateTime>,
    /// How many at most.
    pub limit: u32,
}

/// A receipt in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Its event.
    pub seq: Seq,
    /// Its number.
    pub global_no: ReceiptGlobalNo,
    /// Its number in its day.
    pub counter: u32,
    /// Its fiscal day.
    pub fiscal_day_no: FiscalDayNo,
    /// What kind.
    pub receipt_type: ReceiptType,
    /// The shop's number.
    pub invoice_no: String,
    /// Its date.
    pub date: DateTime,
    /// Its currency.
    pub currency: Currency,
    /// Its total.
    pub total: Cents,
    /// Whether FDMS has it, and the worst colour that FDMS gave it.
    pub submitted: Option<Option<String>>,
}

/// What of a receipt can still be credited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditableFacts {
    /// The original's total, less credits, plus debits.
    pub remaining: Cents,
    /// Its notes so far: number, type, total.
    pub notes: Vec<(ReceiptGlobalNo, ReceiptType, Cents)>,
}

/// What FDMS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionRow {
    /// When, in milliseconds since 1970.
    pub finished_at: i64,
    /// FDMS's number of the operation.
    pub operation_id: Option<String>,
    /// The worst colour.
    pub color: Option<String>,
    /// The answer as received.
    pub answer: String,
    /// Whether FDMS's own signature fits: `valid`, `invalid` or `unchecked`.
    pub server_signature: Option<String>,
}

/// What of a till's stream FDMS has not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Openings of days.
    pub openings: u32,
    /// Receipts.
    pub receipts: u32,
    /// Closes of days.
    pub closes: u32,
}

impl Backlog {
    /// All of it.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.openings + self.receipts + self.closes
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its number.
    pub seq: Seq,
    /// When, in milliseconds since 1970 on the trusted clock.
    pub at: i64,
    /// Whose.
    pub till: Option<TillId>,
    /// What happened.
    pub kind: String,
    /// More of it.
    pub detail: Option<String>,
}

/// A sale that a key or an `invoiceNo` stands for.
pub(in crate::ledger) struct Earlier {
    pub(in crate::ledger) seq: Seq,
    pub(in crate::ledger) fingerprint: Hash,
    pub(in crate::ledger) invoice_no: String,
    till: TillId,
    has_key: bool,
}

/// The look-ups that every sale makes.
pub(in crate::ledger) const BY_KEY: &str =
    "SELECT seq FROM sale_key WHERE till_id = ?1 AND key = ?2";
pub(in crate::ledger) const BY_INVOICE_NO: &str =
    "SELECT seq, fingerprint, invoice_no, till_id, has_key FROM receipt
     WHERE invoice_no = ?1 AND environment = ?2";

/// The sale that a till's key stands for: an `Idempotency-Key`, or an `invoiceNo` sold without one.
pub(in crate::ledger) fn by_key(
    conn: &Connection,
    till: &TillInfo,
    key: &str,
) -> Result<Option<Earlier>, StorageError> {
    let named: Option<i64> = conn
        .prepare_cached(BY_KEY)?
        .query_row(params![till.id.0, key], |row| row.get(0))
        .optional()?;
    if let Some(seq) = named {
        let query =
            "SELECT seq, fingerprint, invoice_no, till_id, has_key FROM receipt WHERE seq = ?1";
        return earlier(conn, query, params![seq]);
    }
    let invoice_no = format!("{}{key}", till.invoice_prefix);
    let found = by_invoice_no(conn, till.environment, &invoice_no)?;
    Ok(found.filter(|earlier| earlier.till == till.id && !earlier.has_key))
}

/// The sale with an `invoiceNo`, prefix and all, on whichever till.
pub(in crate::ledger) fn by_invoice_no(
    conn: &Connection,
    environment: Environment,
    invoice_no: &str,
) -> Result<Option<Earlier>, StorageError> {
    earlier(
        conn,
        BY_INVOICE_NO,
        params![invoice_no, environment.as_str()],
    )
}

fn earlier(
    conn: &Connection,
    query: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Option<Earlier>, StorageError> {
    let mut statement = conn.prepare_cached(query)?;
    let mut rows = statement.query(values)?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(Earlier {
        seq: Seq(row.get(0)?),
        fingerprint: sql::hash(&row.get::<_, Vec<u8>>(1)?, "receipt.fingerprint")?,
        invoice_no: row.get(2)?,
        till: TillId(row.get(3)?),
        has_key: row.get(4)?,
    }))
}

pub(in crate::ledger) fn has_till(
    conn: &Connection,
    environment: Environment,
    device: DeviceId,
) -> Result<bool, StorageError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM till WHERE environment = ?1 AND device_id = ?2)",
        )?
        .query_row(params![environment.as_str(), device.get()], |row| {
            row.get(0)
        })?)
}

const ORIGINAL: &str = "SELECT r.seq, t.device_id, d.fiscal_day_no, r.body, t.serial_no, r.till_id
     FROM receipt r JOIN day d USING (day_id) JOIN till t ON t.till_id = r.till_id WHERE ";

/// The invoice with this number, if `till` may refer to it.
pub(in crate::ledger) fn original_by_number(
    conn: &Connection,
    till: &TillInfo,
    device: DeviceId,
    number: ReceiptGlobalNo,
) -> Result<Option<Original>, StorageError> {
    let found = original(
        conn,
        "r.till_id = (SELECT till_id FROM till WHERE environment = ?1 AND device_id = ?2)
         AND r.global_no = ?3 AND r.receipt_type = 'FiscalInvoice'",
        params![till.environment.as_str(), device.get(), number.get()],
    )?;
    of_same_taxpayer(conn, till, found)
}

/// The invoice that the shop gave this number, if `till` may refer to it.
pub(in crate::ledger) fn original_by_invoice(
    conn: &Connection,
    till: &TillInfo,
    invoice_no: &str,
) -> Result<Option<Original>, StorageError> {
    let found = original(
        conn,
        "r.invoice_no = ?1 AND r.environment = ?2 AND r.receipt_type = 'FiscalInvoice'",
        params![invoice_no, till.environment.as_str()],
    )?;
    of_same_taxpayer(conn, till, found)
}

/// A store may have tills of several taxpayers; for FDMS the others' receipts are no originals (RCPT032,
/// docs/FDMS.md section 8).
fn of_same_taxpayer(
    conn: &Connection,
    till: &TillInfo,
    found: Option<Original>,
) -> Result<Option<Original>, StorageError> {
    let Some(original) = found else {
        return Ok(None);
    };
    if original.till == till.id {
        return Ok(Some(original));
    }
    let tin = |till| -> Result<_, StorageError> {
        Ok(chain::load_config(conn, till)?.map(|config| config.taxpayer.tin.clone()))
    };
    Ok((tin(original.till)? == tin(till.id)?).then_some(original))
}

pub(super) fn original_by_seq(
    conn: &Connection,
    seq: Seq,
) -> Result<Option<Original>, StorageError> {
    original(conn, "r.seq = ?1", params![seq.0])
}

fn original(
    conn: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Option<Original>, StorageError> {
    let mut statement = conn.prepare_cached(&format!("{ORIGINAL}{condition}"))?;
    let mut rows = statement.query(values)?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let seq = Seq(row.get(0)?);
    let place = format!("receipt {seq}");
    let receipt = receipt_of(&archived::body(conn, seq.0, row.get(3)?)?, &place)?;
    Ok(Some(Original {
        seq,
        till: TillId(row.get(5)?),
        device_id: sql::number(row.get(1)?, DeviceId::new, &place)?,
        fiscal_day_no: sql::number(row.get(2)?, FiscalDayNo::new, &place)?,
        judged: rules::Original {
            date: receipt.date,
            currency: receipt.currency,
            taxes: receipt
                .taxes
                .iter()
                .map(|row| (row.tax.id, row.tax.percent))
                .collect(),
            remaining: receipt.total + notes_total(conn, seq)?,
        },
        facts: OriginalFacts {
            global_no: receipt.global_no,
            date: receipt.date,
            invoice_no: receipt.invoice_no,
            serial_no: row.get(4)?,
        },
    }))
}

/// Credits are negative, debits positive.
fn notes_total(conn: &Connection, seq: Seq) -> Result<Cents, StorageError> {
    let sum: i64 = conn
        .prepare_cached("SELECT coalesce(sum(total), 0) FROM receipt WHERE original_seq = ?1")?
        .query_row([seq.0], |row| row.get(0))?;
    Ok(Cents::new(sum))
}

pub(super) fn creditable(conn: &Connection, seq: Seq) -> Result<CreditableFacts, LedgerError> {
    let total: i64 = conn
        .prepare_cached("SELECT total FROM receipt WHERE seq = ?1")?
        .query_row([seq.0], |row| row.get(0))?;
    let mut statement = conn.prepare_cached(
        "SELECT global_no, receipt_type, total FROM receipt WHERE original_seq = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([seq.0])?;
    let mut notes = Vec::new();
    while let Some(row) = rows.next()? {
        notes.push((
            sql::number(row.get(0)?, ReceiptGlobalNo::new, "receipt.global_no")?,
            receipt_type(&row.get::<_, String>(1)?)?,
            Cents::new(row.get(2)?),
        ));
    }
    Ok(CreditableFacts {
        remaining: Cents::new(total) + notes.iter().map(|note| note.2).sum(),
        notes,
    })
}

fn receipt_type(text: &str) -> Result<ReceiptType, StorageError> {
    ReceiptType::parse(text).ok_or_else(|| sql::damaged("receipt.receipt_type"))
}

pub(super) fn submission(
    conn: &Connection,
    seq: Seq,
) -> Result<Option<SubmissionRow>, LedgerError> {
    let found = conn
        .prepare_cached(
            "SELECT finished_at, operation_id, color, answer, server_signature FROM submission
             WHERE seq = ?1",
        )?
        .query_row([seq.0], |row| {
            Ok(SubmissionRow {
                finished_at: row.get(0)?,
                operation_id: row.get(1)?,
                color: row.get(2)?,
                answer: row.get(3)?,
                server_signature: row.get(4)?,
            })
        })
        .optional()?;
    let Some(mut found) = found else {
        return Ok(None);
    };
    found.answer = archived::answer(conn, seq.0, found.answer)?;
    Ok(Some(found))
}

pub(super) fn list(
    conn: &Connection,
    till: TillId,
    filter: &Filter,
) -> Result<Vec<ReceiptRow>, LedgerError> {
    let mut statement = conn.prepare_cached(
        "SELECT r.seq, r.global_no, r.counter, d.fiscal_day_no, r.receipt_type, r.invoice_no, r.date,
                r.currency, r.total, s.seq IS NOT NULL, s.color
         FROM receipt r JOIN day d USING (day_id) LEFT JOIN submission s ON s.seq = r.seq
         WHERE r.till_id = ?1 AND r.global_no < ?2
           AND (?3 IS NULL OR r.receipt_type = ?3)
           AND (?4 IS NULL OR r.currency = ?4)
           AND (?5 IS NULL OR d.fiscal_day_no = ?5)
           AND (?6 IS NULL OR r.date >= ?6)
           AND (?7 IS NULL OR r.date <= ?7)
         ORDER BY r.global_no DESC LIMIT ?8",
    )?;
    let mut rows = statement.query(params![
        till.0,
        filter.before.map_or(i64::MAX, |no| i64::from(no.get())),
        filter.receipt_type.map(ReceiptType::as_str),
        filter.currency.map(|currency| currency.to_string()),
        filter.fiscal_day_no.map(FiscalDayNo::get),
        filter.from.map(|date| date.to_string()),
        filter.till.map(|date| date.to_string()),
        filter.limit
    ])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(receipt_row(row)?);
    }
    Ok(all)
}

fn receipt_row(row: &Row<'_>) -> Result<ReceiptRow, StorageError> {
    let (currency, total) = money(&row.get::<_, String>(7)?, row.get(8)?, "receipt")?;
    let is_submitted: bool = row.get(9)?;
    Ok(ReceiptRow {
        seq: Seq(row.get(0)?),
        global_no: sql::number(row.get(1)?, ReceiptGlobalNo::new, "receipt.global_no")?,
        counter: row.get(2)?,
        fiscal_day_no: sql::number(row.get(3)?, FiscalDayNo::new, "day.fiscal_day_no")?,
        receipt_type: receipt_type(&row.get::<_, String>(4)?)?,
        invoice_no: row.get(5)?,
        date: sql::date(&row.get::<_, String>(6)?, "receipt.date")?,
        currency,
        total,
        submitted: if is_submitted {
            Some(row.get(10)?)
        } else {
            None
        },
    })
}

/// The configuration under which a receipt was issued, with the taxes of earlier ones, as it was then.
pub(super) fn taxpayer_of(
    conn: &Connection,
    till: TillId,
    config_id: i64,
) -> Result<Taxpayer, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT body FROM config WHERE till_id = ?1 AND config_id <= ?2 ORDER BY config_id",
    )?;
    let mut rows = statement.query([till.0, config_id])?;
    let mut newest: Option<Taxpayer> = None;
    while let Some(row) = rows.next()? {
        let body: String = row.get(0)?;
        let mut taxpayer = Taxpayer::from_config(body.as_bytes())
            .map_err(|error| sql::damaged(format!("config up to {config_id}: {error}")))?;
        if let Some(earlier) = &newest {
            taxpayer.keep_old_taxes(earlier);
        }
        newest = Some(taxpayer);
    }
    newest.ok_or_else(|| sql::damaged(format!("config {config_id} is missing")))
}

/// The notes on a receipt, oldest first.
pub(super) fn notes(conn: &Connection, original: Seq) -> Result<Vec<(Seq, Receipt)>, LedgerError> {
    let mut statement =
        conn.prepare_cached("SELECT seq, body FROM receipt WHERE original_seq = ?1 ORDER BY seq")?;
    let mut rows = statement.query([original.0])?;
    let mut notes = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = Seq(row.get(0)?);
        let body = archived::body(conn, seq.0, row.get(1)?)?;
        notes.push((seq, receipt_of(&body, &format!("receipt {seq}"))?));
    }
    Ok(notes)
}

/// How much of a till's stream FDMS has not taken yet.
pub(in crate::ledger) fn backlog(conn: &Connection, till: TillId) -> Result<Backlog, LedgerError> {
    let head = chain::load_head(conn, till)?;
    let state = load_stream(conn, till)?;
    // Receipts and days are numbered without gaps.
    let between = |last: u32, sent: u32| last.saturating_sub(sent);
    let closes: u32 = conn
        .prepare_cached(
            "SELECT count(*) FROM day d JOIN day_close c USING (day_id)
             WHERE d.till_id = ?1 AND d.fiscal_day_no >= ?2 AND c.seq > ?3",
        )?
        .query_row(
            params![till.0, state.last_day_no.get(), state.cursor.0],
            |row| row.get(0),
        )?;
    Ok(Backlog {
        openings: between(head.last_day_no.get(), state.last_day_no.get()),
        receipts: between(head.last_global_no.get(), state.last_global_no.get()),
        closes,
    })
}

pub(super) fn events(
    conn: &Connection,
    after: Seq,
    till: Option<TillId>,
    limit: u32,
) -> Result<Vec<EventRow>, LedgerError> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, at, till_id, kind, detail FROM event
         WHERE seq > ?1 AND (?2 IS NULL OR till_id IS NULL OR till_id = ?2) ORDER BY seq LIMIT ?3",
    )?;
    let rows = statement.query_map(params![after.0, till.map(|till| till.0), limit], |row| {
        Ok(EventRow {
            seq: Seq(row.get(0)?),
            at: row.get(1)?,
            till: row.get::<_, Option<i64>>(2)?.map(TillId),
            kind: row.get(3)?,
            detail: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<Vec<_>, _>>()?)
}
