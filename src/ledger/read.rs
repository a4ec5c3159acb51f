//! Answers from the ledger: short snapshots on read-only connections, never in the way of a sale.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fiscal::compose::{Known, compose};
use fiscal::counters::DayTotals;
use fiscal::draft::{Draft, PrintOnly};
use fiscal::receipt::{Receipt, Signature};
use fiscal::taxpayer::Taxpayer;
use fiscal::{Cents, Currency, DateTime, DeviceId, FiscalDayNo, ReceiptGlobalNo, rules};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::chain::IN_USE;
use super::stream::{Item, StreamState, load_stream, next_item};
use super::tills::{TokenInfo, token_hash};
use super::{
    CloseFacts, DayFacts, Issued, LedgerError, OriginalFacts, Seq, StorageError, TillId, TillInfo,
    archived, chain, sql,
};

mod rows;
#[cfg(test)]
pub(super) use rows::{BY_INVOICE_NO, BY_KEY};
pub use rows::{Backlog, CreditableFacts, EventRow, Filter, ReceiptRow, SubmissionRow};
pub(super) use rows::{
    backlog, by_invoice_no, by_key, has_till, original_by_invoice, original_by_number,
};

/// Questions that are asked at once. Each has a connection and a thread; more of them would cost memory and
/// be no faster.
pub(super) const READERS: usize = 4;

/// The reading side of the ledger. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Reader {
    path: PathBuf,
    pool: Arc<Mutex<Vec<Connection>>>,
}

/// The original of a note, with what is judged and what is printed.
#[derive(Debug, Clone)]
pub(super) struct Original {
    pub(super) seq: Seq,
    pub(super) till: TillId,
    pub(super) device_id: DeviceId,
    pub(super) fiscal_day_no: FiscalDayNo,
    pub(super) facts: OriginalFacts,
    pub(super) judged: rules::Original,
}

impl Reader {
    /// A reader of the ledger at `path`, which a writer has made.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            pool: Arc::default(),
        }
    }

    /// Runs a query on a connection of the pool, in one snapshot. It blocks: asynchronous callers use
    /// `spawn_blocking`.
    pub(super) fn with<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let pooled = self.lock().pop();
        let conn = match pooled {
            Some(conn) => conn,
            None => sql::open_reader(&self.path)?,
        };
        conn.execute_batch("BEGIN").map_err(StorageError::from)?;
        let result = query(&conn);
        let ended = conn.execute_batch("COMMIT");
        if ended.is_ok() {
            let mut pool = self.lock();
            if pool.len() < READERS {
                pool.push(conn);
            }
        }
        result
    }

    /// The ledger's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All tills.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn tills(&self) -> Result<Vec<TillInfo>, LedgerError> {
        self.with(|conn| Ok(chain::till_infos(conn)?))
    }

    /// The configuration of a till, with every tax ever seen.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn taxpayer(&self, till: TillId) -> Result<Option<Arc<Taxpayer>>, LedgerError> {
        self.with(|conn| Ok(chain::load_config(conn, till)?.map(|config| config.taxpayer)))
    }

    /// The certificate that a till uses, as PEM.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn certificate_pem(&self, till: TillId) -> Result<Option<String>, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached(&format!("SELECT c.pem {IN_USE}"))?
                .query_row([till.0], |row| row.get(0))
                .optional()?)
        })
    }

    /// A receipt by its event.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn by_seq(&self, seq: Seq) -> Result<Option<Issued>, LedgerError> {
        self.with(|conn| issued(conn, "r.seq = ?1", params![seq.0]))
    }

    /// A receipt by its number.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn by_number(
        &self,
        till: TillId,
        number: ReceiptGlobalNo,
    ) -> Result<Option<Issued>, LedgerError> {
        self.with(|conn| {
            issued(
                conn,
                "r.till_id = ?1 AND r.global_no = ?2",
                params![till.0, number.get()],
            )
        })
    }

    /// A receipt by the shop's number; the till's prefix may be left out.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn by_invoice_no(
        &self,
        till: &TillInfo,
        invoice_no: &str,
    ) -> Result<Option<Issued>, LedgerError> {
        self.with(|conn| {
            for name in [
                format!("{}{invoice_no}", till.invoice_prefix),
                invoice_no.to_owned(),
            ] {
                let found = issued(
                    conn,
                    "r.invoice_no = ?1 AND r.environment = ?2",
                    params![name, till.environment.as_str()],
                )?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
    }

    /// A receipt by its idempotency key.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn by_key(&self, till: TillId, key: &str) -> Result<Option<Issued>, LedgerError> {
        self.with(|conn| match by_key(conn, &till_info(conn, till)?, key)? {
            Some(earlier) => issued(conn, "r.seq = ?1", params![earlier.seq.0]),
            None => Ok(None),
        })
    }

    /// Receipts in a list, newest first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn list(&self, till: TillId, filter: &Filter) -> Result<Vec<ReceiptRow>, LedgerError> {
        self.with(|conn| rows::list(conn, till, filter))
    }

    /// What of a receipt can still be credited.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn creditable(&self, seq: Seq) -> Result<CreditableFacts, LedgerError> {
        self.with(|conn| rows::creditable(conn, seq))
    }

    /// The number of the receipt with this event.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn receipt_no(&self, seq: Seq) -> Result<Option<ReceiptGlobalNo>, LedgerError> {
        self.with(|conn| {
            let number: Option<i64> = conn
                .prepare_cached("SELECT global_no FROM receipt WHERE seq = ?1")?
                .query_row([seq.0], |row| row.get(0))
                .optional()?;
            let number =
                number.map(|no| sql::number(no, ReceiptGlobalNo::new, "receipt.global_no"));
            Ok(number.transpose()?)
        })
    }

    /// The notes on a receipt, oldest first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn notes(&self, original: Seq) -> Result<Vec<(Seq, Receipt)>, LedgerError> {
        self.with(|conn| rows::notes(conn, original))
    }

    /// How much of a till's stream FDMS has not taken yet.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn backlog(&self, till: TillId) -> Result<Backlog, LedgerError> {
        self.with(|conn| rows::backlog(conn, till))
    }

    /// What FDMS said to a receipt, an opening or a close.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn submission(&self, seq: Seq) -> Result<Option<SubmissionRow>, LedgerError> {
        self.with(|conn| rows::submission(conn, seq))
    }

    /// A fiscal day by its number, or the latest.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn day(
        &self,
        till: TillId,
        no: Option<FiscalDayNo>,
    ) -> Result<Option<DayFacts>, LedgerError> {
        self.with(|conn| day(conn, till, no))
    }

    /// The fiscal day whose close has this event.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn day_closed_by(&self, till: TillId, close: Seq) -> Result<Option<DayFacts>, LedgerError> {
        self.with(|conn| {
            let no: Option<i64> = conn
                .prepare_cached(
                    "SELECT d.fiscal_day_no FROM day_close c JOIN day d USING (day_id)
                     WHERE c.seq = ?1 AND d.till_id = ?2",
                )?
                .query_row([close.0, till.0], |row| row.get(0))
                .optional()?;
            let Some(no) = no else { return Ok(None) };
            day(
                conn,
                till,
                Some(sql::number(no, FiscalDayNo::new, "day.fiscal_day_no")?),
            )
        })
    }

    /// The end of a till's chain: last receipt's number and date.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn last_receipt(
        &self,
        till: TillId,
    ) -> Result<(ReceiptGlobalNo, Option<DateTime>), LedgerError> {
        self.with(|conn| {
            let head = chain::load_head(conn, till)?;
            Ok((head.last_global_no, head.last_date))
        })
    }

    /// A till's stream: its state and the item at its head.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn stream(&self, till: TillId) -> Result<(StreamState, Option<Item>), LedgerError> {
        self.with(|conn| {
            let state = load_stream(conn, till)?;
            let item = next_item(conn, &state)?;
            Ok((state, item))
        })
    }

    /// The token with this text, unless it is revoked.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn token(&self, token: &str) -> Result<Option<TokenInfo>, LedgerError> {
        self.token_by_hash(&token_hash(token))
    }

    /// The token with this hash (see [`token_hash`]), unless it is revoked.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<TokenInfo>, LedgerError> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached(
                    "SELECT token_id, name, till_id, revoked_at IS NOT NULL FROM token
                     WHERE hash = ?1 AND revoked_at IS NULL",
                )?
                .query_row([hash], token_info)
                .optional()?)
        })
    }

    /// All tokens, revoked ones too.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn tokens(&self) -> Result<Vec<TokenInfo>, LedgerError> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT token_id, name, till_id, revoked_at IS NOT NULL FROM token ORDER BY token_id",
            )?;
            let rows = statement.query_map([], token_info)?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })
    }

    /// Events after a number, oldest first, of one till or of all.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn events(
        &self,
        after: Seq,
        till: Option<TillId>,
        limit: u32,
    ) -> Result<Vec<EventRow>, LedgerError> {
        self.with(|conn| rows::events(conn, after, till, limit))
    }
}

fn token_info(row: &Row<'_>) -> rusqlite::Result<TokenInfo> {
    Ok(TokenInfo {
        token_id: row.get(0)?,
        name: row.get(1)?,
        till: row.get::<_, Option<i64>>(2)?.map(TillId),
        revoked: row.get(3)?,
    })
}

pub(super) fn till_info(conn: &Connection, till: TillId) -> Result<TillInfo, LedgerError> {
    let infos = chain::till_infos(conn)?;
    Ok(infos
        .into_iter()
        .find(|info| info.id == till)
        .ok_or(super::Refusal::NoSuchTill)?)
}

/// The body of a receipt, read back as the receipt that it was written from.
pub(super) fn receipt_of(body: &str, place: &str) -> Result<Receipt, StorageError> {
    let inner = body
        .strip_prefix("{\"receipt\":")
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or_else(|| sql::damaged(format!("{place} is no receipt")))?;
    let (draft, findings) = Draft::read(inner.as_bytes());
    let (receipt, more) = compose(&draft, &Known::default());
    match findings.first().or(more.first()) {
        Some(finding) => Err(sql::damaged(format!("{place}: {finding}"))),
        None => Ok(receipt),
    }
}

fn issued(
    conn: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Option<Issued>, LedgerError> {
    let text = format!(
        "SELECT r.seq, r.till_id, d.fiscal_day_no, r.body, r.hash, r.signature, r.print,
                r.config_id, r.original_seq
         FROM receipt r JOIN day d USING (day_id) WHERE {condition}"
    );
    let mut statement = conn.prepare_cached(&text)?;
    let mut found = statement.query(values)?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let seq = Seq(row.get(0)?);
    let till = TillId(row.get(1)?);
    let place = format!("receipt {seq}");
    let hash: Vec<u8> = row.get(4)?;
    let kept = (row.get(3)?, row.get(5)?, row.get(6)?);
    let (body, bytes, print) = archived::whole(conn, seq.0, kept)?;
    let original: Option<i64> = row.get(8)?;
    let original = original
        .map(|original| rows::original_by_seq(conn, Seq(original)))
        .transpose()?
        .flatten();
    Ok(Some(Issued {
        seq,
        till: Arc::new(till_info(conn, till)?),
        taxpayer: Arc::new(rows::taxpayer_of(conn, till, row.get(7)?)?),
        fiscal_day_no: sql::number(row.get(2)?, FiscalDayNo::new, &place)?,
        receipt: receipt_of(&body, &place)?,
        signature: Signature {
            hash: sql::hash(&hash, &place)?,
            bytes,
        },
        print: match print {
            None => PrintOnly::default(),
            Some(text) => serde_json::from_str(&text).map_err(|_| sql::damaged(&*place))?,
        },
        original: original.map(|original| original.facts),
    }))
}

fn day(
    conn: &Connection,
    till: TillId,
    no: Option<FiscalDayNo>,
) -> Result<Option<DayFacts>, LedgerError> {
    let mut statement = conn.prepare_cached(
        "SELECT d.day_id, d.fiscal_day_no, d.opened, c.seq, c.closed, c.totals, c.hash, c.signature,
                c.receipt_counter
         FROM day d LEFT JOIN day_close c USING (day_id)
         WHERE d.till_id = ?1 AND (?2 IS NULL OR d.fiscal_day_no = ?2)
         ORDER BY d.fiscal_day_no DESC LIMIT 1",
    )?;
    let mut found = statement.query(params![till.0, no.map(FiscalDayNo::get)])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let head = chain::load_head(conn, till)?;
    let close_seq: Option<i64> = row.get(3)?;
    let (close, totals, receipt_counter) = match close_seq {
        None => (None, head.totals, head.last_counter.get()),
        Some(seq) => {
            let totals: String = row.get(5)?;
            let hash: Vec<u8> = row.get(6)?;
            let close = CloseFacts {
                seq: Seq(seq),
                closed: sql::date(&row.get::<_, String>(4)?, "day_close.closed")?,
                signature: Signature {
                    hash: sql::hash(&hash, "day_close.hash")?,
                    bytes: row.get(7)?,
                },
            };
            let totals =
                DayTotals::parse(&totals).ok_or_else(|| sql::damaged("day_close.totals"))?;
            (Some(close), totals, row.get(8)?)
        }
    };
    Ok(Some(DayFacts {
        day_id: Seq(row.get(0)?),
        fiscal_day_no: sql::number(row.get(1)?, FiscalDayNo::new, "day.fiscal_day_no")?,
        opened: sql::date(&row.get::<_, String>(2)?, "day.opened")?,
        close,
        totals,
        receipt_counter,
    }))
}

/// A currency and an amount out of a row.
fn money(currency: &str, total: i64, place: &str) -> Result<(Currency, Cents), StorageError> {
    let currency =
        Currency::parse(currency).ok_or_else(|| sql::damaged(format!("{place}.currency")))?;
    Ok((currency, Cents::new(total)))
}
