//! Whole fiscal days of a till, with everything that proves them, in the order of the chain: for auditors.

use fiscal::receipt::{Hash, Receipt, Signature};
use fiscal::{DateTime, FiscalDayNo, sign};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::chain::till_infos;
use super::{LedgerError, Reader, TillInfo, archived, read, sql};

/// A piece of a till's chain.
#[derive(Debug)]
pub enum Piece {
    /// A day begins.
    Day {
        /// Its number.
        no: FiscalDayNo,
        /// When it was opened, local.
        opened: DateTime,
    },
    /// A receipt of the day that began last.
    Receipt(Box<ReceiptPiece>),
    /// The day that began last ends.
    Close(Box<ClosePiece>),
}

/// A receipt with what proves it.
#[derive(Debug)]
pub struct ReceiptPiece {
    /// Its fiscal day.
    pub day_no: FiscalDayNo,
    /// The receipt.
    pub receipt: Receipt,
    /// Byte for byte what FDMS was sent, or will be.
    pub body: String,
    /// What was signed.
    pub signed: String,
    /// The hash of the receipt before it in its day.
    pub previous: Option<Hash>,
    /// Our signature.
    pub signature: Signature,
    /// The row of the key that signed it.
    pub key_id: i64,
    /// What FDMS said, once it has it.
    pub taken: Option<Taken>,
}

/// A close with what proves it.
#[derive(Debug)]
pub struct ClosePiece {
    /// The day.
    pub day_no: FiscalDayNo,
    /// When it was closed, local.
    pub closed: DateTime,
    /// `receiptCounter` of its last receipt.
    pub receipt_counter: u32,
    /// Byte for byte what FDMS was sent, or will be.
    pub body: String,
    /// What was signed.
    pub signed: String,
    /// Our signature.
    pub signature: Signature,
    /// The row of the key that signed it.
    pub key_id: i64,
    /// What FDMS said, once it has it.
    pub taken: Option<Taken>,
}

/// What FDMS said of an item.
#[derive(Debug)]
pub struct Taken {
    /// FDMS's number of the operation.
    pub operation_id: Option<String>,
    /// The worst mark; none: it had nothing to say against it.
    pub color: Option<String>,
}

/// A certificate of a till with the row of its key.
#[derive(Debug)]
pub struct CertificateOf {
    /// The key's row.
    pub key_id: i64,
    /// The certificate, PEM.
    pub pem: String,
}

/// How the caller's own error is told from the ledger's.
pub type Sink<'a, E> = dyn FnMut(Piece) -> Result<(), E> + 'a;

impl Reader {
    /// Hands out a till's days from one number to another, in one snapshot. It blocks.
    ///
    /// # Errors
    /// A fault of the storage, or the sink's own.
    pub fn extract<E: From<LedgerError>>(
        &self,
        till: &TillInfo,
        days: (u32, u32),
        sink: &mut Sink<'_, E>,
    ) -> Result<(), E> {
        let mut own = None;
        let done = self.with(|conn| walk(conn, till, days, sink, &mut own));
        match own {
            Some(error) => Err(error),
            None => done.map_err(E::from),
        }
    }

    /// The certificates of a till, oldest first; of a key that was renewed the latest one counts.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn certificates_of(&self, till: &TillInfo) -> Result<Vec<CertificateOf>, LedgerError> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT c.key_id, c.pem FROM certificate c JOIN device_key k USING (key_id)
                 WHERE k.till_id = ?1 ORDER BY c.certificate_id",
            )?;
            let rows = statement.query_map([till.id.0], |row| {
                Ok(CertificateOf {
                    key_id: row.get(0)?,
                    pem: row.get(1)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How many receipts of these days there are.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn receipts_within(&self, till: &TillInfo, days: (u32, u32)) -> Result<u64, LedgerError> {
        self.with(|conn| {
            let count: i64 = conn
                .prepare_cached(
                    "SELECT count(*) FROM receipt WHERE day_id IN
                     (SELECT day_id FROM day WHERE till_id = ?1 AND fiscal_day_no BETWEEN ?2 AND ?3)",
                )?
                .query_row(params![till.id.0, days.0, days.1], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    /// The days of a till that were opened within two dates (`2026-05-28`), as first and last number; none: there is
    /// no such day.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn days_within(
        &self,
        till: &TillInfo,
        from: Option<jiff::civil::Date>,
        until: Option<jiff::civil::Date>,
    ) -> Result<Option<(u32, u32)>, LedgerError> {
        self.with(|conn| {
            let (first, last): (Option<u32>, Option<u32>) = conn
                .prepare_cached(
                    "SELECT min(fiscal_day_no), max(fiscal_day_no) FROM day WHERE till_id = ?1
                     AND (?2 IS NULL OR substr(opened, 1, 10) >= ?2)
                     AND (?3 IS NULL OR substr(opened, 1, 10) <= ?3)",
                )?
                .query_row(
                    params![
                        till.id.0,
                        from.map(|date| date.to_string()),
                        until.map(|date| date.to_string())
                    ],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
            Ok(first.zip(last))
        })
    }
}

fn walk<E>(
    conn: &Connection,
    till: &TillInfo,
    days: (u32, u32),
    sink: &mut Sink<'_, E>,
    own: &mut Option<E>,
) -> Result<(), LedgerError> {
    // False: the sink has had enough.
    let mut hand = |piece| match sink(piece) {
        Ok(()) => true,
        Err(error) => {
            *own = Some(error);
            false
        }
    };
    let mut statement = conn.prepare(
        "SELECT day_id, fiscal_day_no, opened FROM day
         WHERE till_id = ?1 AND fiscal_day_no BETWEEN ?2 AND ?3 ORDER BY fiscal_day_no",
    )?;
    let mut rows = statement.query(params![till.id.0, days.0, days.1])?;
    while let Some(row) = rows.next()? {
        let day_id: i64 = row.get(0)?;
        let no = sql::number(row.get(1)?, FiscalDayNo::new, "day.fiscal_day_no")?;
        let opened = sql::date(&row.get::<_, String>(2)?, "day.opened")?;
        let go_on = hand(Piece::Day { no, opened })
            && receipts(conn, till, (day_id, no), &mut hand)?
            && match close(conn, till, (day_id, no), opened)? {
                Some(piece) => hand(Piece::Close(Box::new(piece))),
                None => true,
            };
        if !go_on {
            break;
        }
    }
    Ok(())
}

fn receipts(
    conn: &Connection,
    till: &TillInfo,
    (day_id, day_no): (i64, FiscalDayNo),
    hand: &mut dyn FnMut(Piece) -> bool,
) -> Result<bool, LedgerError> {
    // A day that was taken over from other software goes on from that software's last hash.
    let mut previous = adopted_hash(conn, till, day_id)?;
    let mut number = first_number(conn, day_id)?;
    let mut statement = conn.prepare_cached(
        "SELECT r.seq, r.body, r.hash, r.signature, r.key_id, s.seq IS NOT NULL, s.operation_id, s.color
         FROM receipt r LEFT JOIN submission s ON s.seq = r.seq
         WHERE r.till_id = ?1 AND r.global_no = ?2 AND r.day_id = ?3",
    )?;
    while let Some(no) = number {
        let mut rows = statement.query(params![till.id.0, no, day_id])?;
        let Some(row) = rows.next()? else {
            break;
        };
        let place = format!("receipt {no} of till {}", till.device_id);
        let kept = (row.get(1)?, row.get(3)?, None);
        let (body, bytes, _) = archived::whole(conn, row.get(0)?, kept)?;
        let receipt = read::receipt_of(&body, &place)?;
        let signed = sign::receipt_string(till.device_id, &receipt, previous.as_ref());
        let hash = sql::hash(&row.get::<_, Vec<u8>>(2)?, &place)?;
        let piece = ReceiptPiece {
            day_no,
            receipt,
            body,
            signed,
            previous: previous.replace(hash),
            signature: Signature { hash, bytes },
            key_id: row.get(4)?,
            taken: taken(row, 5)?,
        };
        if !hand(Piece::Receipt(Box::new(piece))) {
            return Ok(false);
        }
        number = Some(no + 1);
    }
    Ok(true)
}

fn taken(row: &rusqlite::Row<'_>, at: usize) -> Result<Option<Taken>, LedgerError> {
    let is_taken: bool = row.get(at)?;
    Ok(match is_taken {
        false => None,
        true => Some(Taken {
            operation_id: row.get(at + 1)?,
            color: row.get(at + 2)?,
        }),
    })
}

fn adopted_hash(
    conn: &Connection,
    till: &TillInfo,
    day_id: i64,
) -> Result<Option<Hash>, LedgerError> {
    let hash: Option<Option<Vec<u8>>> = conn
        .prepare_cached(
            "SELECT last_hash FROM adoption WHERE till_id = ?1 AND day_opened IS NOT NULL AND seq < ?2
             AND NOT EXISTS (SELECT 1 FROM day d WHERE d.till_id = ?1 AND d.day_id > adoption.seq AND d.day_id < ?2)
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![till.id.0, day_id], |row| row.get(0))
        .optional()?;
    let hash = hash
        .flatten()
        .map(|hash| sql::hash(&hash, "adoption.last_hash"));
    Ok(hash.transpose()?)
}

/// The first number that a day has issued.
fn first_number(conn: &Connection, day_id: i64) -> Result<Option<i64>, LedgerError> {
    // Events rise, so the day's first receipt is the first of its till behind the day's own event.
    Ok(conn
        .prepare_cached(
            "SELECT global_no FROM receipt WHERE day_id = ?1 AND seq > ?1 ORDER BY seq LIMIT 1",
        )?
        .query_row([day_id], |row| row.get(0))
        .optional()?)
}

fn close(
    conn: &Connection,
    till: &TillInfo,
    (day_id, day_no): (i64, FiscalDayNo),
    opened: DateTime,
) -> Result<Option<ClosePiece>, LedgerError> {
    let mut statement = conn.prepare_cached(
        "SELECT c.closed, c.receipt_counter, c.body, c.totals, c.hash, c.signature, c.key_id,
                s.seq IS NOT NULL, s.operation_id, s.color
         FROM day_close c LEFT JOIN submission s ON s.seq = c.seq WHERE c.day_id = ?1",
    )?;
    let mut rows = statement.query([day_id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let totals = fiscal::counters::DayTotals::parse(&row.get::<_, String>(3)?)
        .ok_or_else(|| sql::damaged("day_close.totals"))?;
    Ok(Some(ClosePiece {
        day_no,
        closed: sql::date(&row.get::<_, String>(0)?, "day_close.closed")?,
        receipt_counter: row.get(1)?,
        body: row.get(2)?,
        signed: sign::day_string(till.device_id, day_no, opened, &totals.counters),
        signature: Signature {
            hash: sql::hash(&row.get::<_, Vec<u8>>(4)?, "day_close.hash")?,
            bytes: row.get(5)?,
        },
        key_id: row.get(6)?,
        taken: taken(row, 7)?,
    }))
}

impl Reader {
    /// The till with this device ID; the environment may be left out where only one has it.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn tills_named(
        &self,
        device: Option<u32>,
        environment: Option<super::Environment>,
    ) -> Result<Vec<TillInfo>, LedgerError> {
        self.with(|conn| {
            let mut tills = till_infos(conn)?;
            tills.retain(|till| {
                device.is_none_or(|device| till.device_id.get() == device)
                    && environment.is_none_or(|environment| till.environment == environment)
            });
            Ok(tills)
        })
    }
}
