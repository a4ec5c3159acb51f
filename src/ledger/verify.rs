//! Verification of a whole ledger: everything that can be computed again is, and must agree.
//!
//! Hashes, signatures (each with the key that was in use, across renewed certificates), numbers, dates,
//! counters, totals, the audit's chain and the cached ends of chains. It reads one snapshot, also beside a
//! running daemon, and names the first thing that is wrong.
//!
//! What cannot be found from inside: rows cut off at the end of every table alike, or an older copy put in
//! the ledger's place, leave a ledger that agrees with itself (FDMS or a backup knows better). A token's
//! hash, the text of an `Idempotency-Key` and what only a slip prints are written down nowhere twice.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;

use clock::Timestamp;
use fiscal::counters::DayTotals;
use fiscal::receipt::{Hash, Receipt, Signature};
use fiscal::rules::{Day, Facts, Previous, judge};
use fiscal::{FiscalDayNo, ReceiptCounter, sign, wire};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::adoption::{Adopted, AdoptedDay, adoptions};
use super::chain::{self, Head, OpenDay};
use super::stream::ItemKind;
use super::{Seq, StorageError, TillId, TillInfo, archived, read, sql};
use crate::keys::PublicKey;

mod archives;
mod file;
mod hq;
mod quick;
mod sent;
mod setup;
mod signatures;
mod tables;
#[cfg(test)]
#[cfg(feature = "demo")]
mod tests;

use archives::verify_archives;
use file::verify_file;
use hq::verify_hq;
pub use quick::verify_quick;
use sent::{Sent, verify_submissions};
use setup::{verify_acts, verify_configs, verify_sale_keys};
use signatures::{Waiting, check_all};
use tables::{last_numbers, public_keys, verify_audit, verify_events};

/// Receipts whose signatures are checked together, on all cores.
const CHUNK: usize = 512;

/// What has been verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Tills.
    pub tills: u64,
    /// Fiscal days, open ones too.
    pub days: u64,
    /// Receipts.
    pub receipts: u64,
    /// Rows of the audit.
    pub audit: u64,
}

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something does not agree.
    #[error("{place}: {what}")]
    Wrong {
        /// Which till, day, receipt or row.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// The ledger cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for VerifyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

type Checked = Result<(), VerifyError>;

fn wrong(place: impl Into<String>, what: impl Into<String>) -> VerifyError {
    VerifyError::Wrong {
        place: place.into(),
        what: what.into(),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    place: &str,
    what: &str,
    found: &T,
    computed: &T,
) -> Checked {
    if found == computed {
        return Ok(());
    }
    Err(wrong(
        place,
        format!("{what} is {found:?}, computed again it is {computed:?}"),
    ))
}

/// Verifies the ledger at `path`; `progress` hears of receipts done and receipts in all.
///
/// # Errors
/// The first thing that is wrong, or the ledger cannot be read.
pub fn verify(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, VerifyError> {
    let conn = sql::open_reader(path)?;
    conn.execute_batch("BEGIN")?;
    verify_file(&conn)?;
    verify_archives(&conn)?;
    let total: i64 = conn.query_row("SELECT count(*) FROM receipt", [], |row| row.get(0))?;
    let audit = verify_audit(&conn)?;
    let mut verified = Verified {
        audit: audit.rows,
        ..Verified::default()
    };
    verify_events(&conn)?;
    verify_acts(&conn, &audit.acts)?;
    verify_sale_keys(&conn)?;
    verify_hq(&conn)?;
    let submissions = verify_submissions(&conn)?;
    let configs = verify_configs(&conn)?;
    let keys = public_keys(&conn)?;
    let last_numbers = last_numbers(&conn)?;
    for info in chain::till_infos(&conn)? {
        let mut walk = Walk {
            conn: &conn,
            keys: &keys,
            bodies: &audit.bodies,
            last_numbers: &last_numbers,
            configs: &configs,
            sent: Sent::new(&conn, info.id)?,
            adoptions: adoptions(&conn, info.id)?.into(),
            adopted_day: None,
            place: format!("till {} ({})", info.device_id, info.environment),
            info,
            head: Head::default(),
            waiting: Vec::new(),
        };
        let mut days = walk.days()?.into_iter().peekable();
        while let Some(day) = days.next() {
            verified.days += 1;
            walk.adopt(Some(day.day_id))?;
            walk.open(&day)?;
            verified.receipts += walk.receipts(&day, &mut |done| {
                progress(verified.receipts + done, u64::try_from(total).unwrap_or(0));
            })?;
            if !walk.close(&day)? && days.peek().is_some() {
                return Err(wrong(
                    walk.day_place(day.no),
                    "it was never closed, but a later day was opened",
                ));
            }
        }
        walk.check_waiting()?;
        walk.adopt(None)?;
        walk.end()?;
        walk.sent.end(&conn, &walk.place, &submissions)?;
        verified.tills += 1;
    }
    if verified.receipts != u64::try_from(total).unwrap_or(0) {
        return Err(wrong(
            "receipts",
            format!(
                "{total} are in the table, but {} belong to a till's chain",
                verified.receipts
            ),
        ));
    }
    Ok(verified)
}

/// The walk along one till's chain.
struct Walk<'a> {
    conn: &'a Connection,
    keys: &'a BTreeMap<i64, (TillId, PublicKey)>,
    bodies: &'a HashMap<(TillId, i64), Hash>,
    last_numbers: &'a BTreeMap<TillId, i64>,
    configs: &'a HashMap<i64, TillId>,
    sent: Sent,
    /// Those that are still to come along the chain.
    adoptions: VecDeque<Adopted>,
    /// The start of a day that was open when the till was taken over.
    adopted_day: Option<AdoptedDay>,
    info: TillInfo,
    place: String,
    head: Head,
    waiting: Vec<Waiting>,
}

impl Walk<'_> {
    fn day_place(&self, no: FiscalDayNo) -> String {
        format!("{}, fiscal day {no}", self.place)
    }

    fn days(&self) -> Result<Vec<OpenDay>, VerifyError> {
        let mut statement = self.conn.prepare(
            "SELECT day_id, fiscal_day_no, opened, is_vat_payer FROM day
             WHERE till_id = ?1 ORDER BY fiscal_day_no",
        )?;
        let mut rows = statement.query([self.info.id.0])?;
        let mut days = Vec::new();
        while let Some(row) = rows.next()? {
            days.push(OpenDay {
                day_id: Seq(row.get(0)?),
                no: sql::number(row.get(1)?, FiscalDayNo::new, "day.fiscal_day_no")?,
                opened: sql::date(&row.get::<_, String>(2)?, "day.opened")?,
                is_vat_payer: row.get(3)?,
            });
        }
        Ok(days)
    }

    /// The till went on from other numbers, before the day with this event.
    fn adopt(&mut self, before: Option<Seq>) -> Checked {
        let comes = |adopted: &Adopted| before.is_none_or(|before| adopted.seq < before);
        while let Some(adopted) = self.adoptions.pop_front_if(|adopted| comes(adopted)) {
            let place = format!("{}, its adoption {}", self.place, adopted.seq);
            let own = (adopted.own_day_no, adopted.own_global_no);
            let walked = (self.head.last_day_no, self.head.last_global_no);
            same(&place, "where the ledger was", &own, &walked)?;
            let to = adopted.to;
            self.head.last_day_no = to.last_day_no;
            self.head.last_global_no = to.last_global_no;
            self.head.last_date = self.head.last_date.max(to.last_date);
            self.sent
                .adopt(adopted.seq, to.last_day_no, to.last_global_no);
            self.adopted_day = to.day;
        }
        Ok(())
    }

    fn open(&mut self, day: &OpenDay) -> Checked {
        let place = self.day_place(day.no);
        same(&place, "its number", &day.no, &self.head.last_day_no.next())?;
        let is_adopted = self.adopted_day.is_some();
        if !is_adopted && self.head.last_date.is_some_and(|last| day.opened < last) {
            return Err(wrong(
                place,
                "it was opened before the last receipt of the day before",
            ));
        }
        // Not after the close before it: that has the time of a clock which may have been wrong, and has been put right since.
        self.head = Head {
            last_day_no: day.no,
            day: Some(*day),
            last_global_no: self.head.last_global_no,
            last_date: self.head.last_date,
            ..Head::default()
        };
        if let Some(adopted) = self.adopted_day.take() {
            same(&place, "its opening", &day.opened, &adopted.opened)?;
            self.head.last_counter = adopted.last_counter;
            self.head.last_hash = adopted.last_hash;
            self.head.totals = adopted.totals;
            self.sent.adopt_day(day.day_id, day.no);
            return Ok(());
        }
        let kind = ItemKind::Open(day.no);
        self.sent.item(self.conn, &place, day.day_id, kind)
    }

    fn receipts(
        &mut self,
        day: &OpenDay,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, VerifyError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT seq, global_no, counter, receipt_type, currency, total, date, invoice_no, hash,
                    signature, key_id, body, original_seq, environment, config_id
             FROM receipt WHERE till_id = ?1 AND global_no = ?2 AND day_id = ?3",
        )?;
        let mut count = 0;
        loop {
            let next = self.head.last_global_no.next().get();
            let mut rows = statement.query(params![self.info.id.0, next, day.day_id.0])?;
            let Some(row) = rows.next()? else {
                self.no_gap(next)?;
                break;
            };
            self.receipt(day, row)?;
            count += 1;
            if self.waiting.len() >= CHUNK {
                self.check_waiting()?;
                progress(count);
            }
        }
        Ok(count)
    }

    /// The day has no receipt of this number: another day begins with it, or the till has none beyond.
    fn no_gap(&self, next: u32) -> Checked {
        let last = self.last_numbers.get(&self.info.id).copied().unwrap_or(0);
        let is_there: bool = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM receipt WHERE till_id = ?1 AND global_no = ?2)",
            )?
            .query_row(params![self.info.id.0, next], |row| row.get(0))?;
        let is_adopted = |adopted: &Adopted| adopted.to.last_global_no.get() >= next;
        if is_there || i64::from(next) > last || self.adoptions.front().is_some_and(is_adopted) {
            return Ok(());
        }
        let place = format!("{}, receipt {next}", self.place);
        Err(wrong(
            place,
            format!("it is missing, but receiptGlobalNo goes on to {last}"),
        ))
    }

    fn receipt(&mut self, day: &OpenDay, row: &rusqlite::Row<'_>) -> Checked {
        let number: i64 = row.get(1)?;
        let place = format!("{}, receipt {number}", self.place);
        let kept = (row.get(11)?, row.get(9)?, None);
        let (body, bytes, _) = archived::whole(self.conn, row.get(0)?, kept)?;
        let receipt = read::receipt_of(&body, &place)?;
        let columns = (
            number,
            row.get::<_, i64>(2)?,
            row.get::<_, String>(3)?,
            row.get::<_, String>(4)?,
            row.get::<_, i64>(5)?,
            row.get::<_, String>(6)?,
            row.get::<_, String>(7)?,
        );
        let from_body = (
            i64::from(receipt.global_no.get()),
            i64::from(receipt.counter.get()),
            receipt.receipt_type.to_string(),
            receipt.currency.to_string(),
            receipt.total.get(),
            receipt.date.to_string(),
            receipt.invoice_no.clone(),
        );
        same(&place, "the row", &columns, &from_body)?;
        self.rules(&place, day, &receipt)?;
        let seq = Seq(row.get(0)?);
        self.original(&place, seq, &receipt, row.get(12)?)?;
        let environment = self.info.environment.to_string();
        same(
            &place,
            "its environment",
            &row.get::<_, String>(13)?,
            &environment,
        )?;
        let config: i64 = row.get(14)?;
        if self.configs.get(&config) != Some(&self.info.id) {
            return Err(wrong(
                place,
                format!("its configuration {config} is another till's"),
            ));
        }
        let kind = ItemKind::Receipt(receipt.global_no);
        self.sent.item(self.conn, &place, seq, kind)?;
        let text =
            sign::receipt_string(self.info.device_id, &receipt, self.head.last_hash.as_ref());
        let signature = Signature {
            hash: sql::hash(&row.get::<_, Vec<u8>>(8)?, &place)?,
            bytes,
        };
        same(&place, "its hash", &signature.hash, &sign::hash(&text))?;
        let rebuilt = wire::submit_receipt_body(&receipt, &signature);
        same(&place, "its body", &body, &rebuilt)?;
        let audited = self.bodies.get(&(self.info.id, number)).copied();
        same(
            &place,
            "the body's hash in the audit",
            &audited,
            &Some(sign::hash(&body)),
        )?;
        self.head.last_hash = Some(signature.hash);
        self.head.last_global_no = receipt.global_no;
        self.head.last_counter = receipt.counter;
        self.head.last_date = Some(receipt.date);
        self.head.totals.add_receipt(&receipt);
        self.waiting.push(Waiting {
            place,
            key_id: row.get(10)?,
            text,
            signature: signature.bytes,
        });
        Ok(())
    }

    /// Sums, signs, numbers and dates. What needs yesterday's configuration was judged when it was issued.
    fn rules(&self, place: &str, day: &OpenDay, receipt: &Receipt) -> Checked {
        let facts = Facts {
            previous: Some(Previous {
                counter: self.head.last_counter,
                global_no: self.head.last_global_no,
                date: self.head.last_date,
            }),
            day: Some(Day {
                opened: day.opened,
                max_hours: u32::MAX,
            }),
            ..Facts::default()
        };
        match judge(receipt, &facts).first() {
            Some(finding) => Err(wrong(place, finding.to_string())),
            None => Ok(()),
        }
    }

    /// A note's original is the receipt that its numbers name. Only one that no till of this ledger has
    /// issued before it is left out.
    fn original(&self, place: &str, seq: Seq, receipt: &Receipt, original: Option<i64>) -> Checked {
        let Some(named) = &receipt.credit_debit_note else {
            return same(place, "its original", &original, &None);
        };
        let expected: Option<i64> = self
            .conn
            .prepare_cached(
                "SELECT r.seq FROM till t JOIN receipt r ON r.till_id = t.till_id AND r.global_no = ?3
                 JOIN day d USING (day_id)
                 WHERE t.environment = ?1 AND t.device_id = ?2 AND d.fiscal_day_no = ?4
                   AND r.receipt_type = 'FiscalInvoice' AND r.seq < ?5",
            )?
            .query_row(
                params![
                    self.info.environment.as_str(),
                    named.device_id.map(|id| id.get()),
                    named.receipt_global_no.map(|no| no.get()),
                    named.fiscal_day_no.map(|no| no.get()),
                    seq.0
                ],
                |row| row.get(0),
            )
            .optional()?;
        same(place, "its original", &original, &expected)
    }

    /// Checks the close of a day; false if it is still open.
    fn close(&mut self, day: &OpenDay) -> Result<bool, VerifyError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT c.seq, c.closed, c.receipt_counter, c.totals, c.hash, c.signature, c.key_id, c.body,
                    e.at
             FROM day_close c JOIN event e ON e.seq = c.seq WHERE c.day_id = ?1",
        )?;
        let mut rows = statement.query([day.day_id.0])?;
        let Some(row) = rows.next()? else {
            return Ok(false);
        };
        let place = format!("{}, its close", self.day_place(day.no));
        let closed = sql::date(&row.get::<_, String>(1)?, &place)?;
        if closed < day.opened || self.head.last_date.is_some_and(|last| closed < last) {
            return Err(wrong(place, "it is earlier than the day's last receipt"));
        }
        // A day is closed at once, but never before its last receipt, whose date may run ahead.
        let at = Timestamp::from_millisecond(row.get(8)?)
            .map(clock::local)
            .map_err(|_| wrong(&*place, "its event has no time"))?;
        let latest = self.head.last_date.max(Some(day.opened));
        let expected = latest.map_or(at, |latest| at.max(latest));
        same(
            &place,
            "its time",
            &closed.to_string(),
            &expected.to_string(),
        )?;
        let kind = ItemKind::Close(day.no);
        self.sent.item(self.conn, &place, Seq(row.get(0)?), kind)?;
        let counter = i64::from(self.head.last_counter.get());
        same(&place, "receiptCounter", &row.get::<_, i64>(2)?, &counter)?;
        let totals: String = row.get(3)?;
        let found =
            DayTotals::parse(&totals).ok_or_else(|| wrong(&*place, "its totals are damaged"))?;
        same(&place, "the counters", &found, &self.head.totals)?;
        let text = sign::day_string(
            self.info.device_id,
            day.no,
            day.opened,
            &self.head.totals.counters,
        );
        let signature = Signature {
            hash: sql::hash(&row.get::<_, Vec<u8>>(4)?, &place)?,
            bytes: row.get(5)?,
        };
        same(&place, "its hash", &signature.hash, &sign::hash(&text))?;
        let rebuilt = wire::close_day_body(
            day.no,
            &self.head.totals.counters,
            &signature,
            Some(self.head.last_counter),
        );
        same(&place, "its body", &row.get::<_, String>(7)?, &rebuilt)?;
        self.waiting.push(Waiting {
            place,
            key_id: row.get(6)?,
            text,
            signature: signature.bytes,
        });
        self.head.day = None;
        self.head.last_counter = ReceiptCounter::ZERO;
        self.head.last_hash = None;
        self.head.totals = DayTotals::default();
        Ok(true)
    }

    /// The end that the writer goes on from is the end that the rows lead to.
    fn end(&self) -> Checked {
        let stored = chain::load_head(self.conn, self.info.id)?;
        let place = format!("{}, the end of its chain", self.place);
        same(&place, "the open day", &stored.day, &self.head.day)?;
        same(
            &place,
            "the last day",
            &stored.last_day_no,
            &self.head.last_day_no,
        )?;
        same(
            &place,
            "the last number",
            &stored.last_global_no,
            &self.head.last_global_no,
        )?;
        same(
            &place,
            "the last counter",
            &stored.last_counter,
            &self.head.last_counter,
        )?;
        same(
            &place,
            "the last date",
            &stored.last_date,
            &self.head.last_date,
        )?;
        same(
            &place,
            "the last hash",
            &stored.last_hash,
            &self.head.last_hash,
        )?;
        same(&place, "the counters", &stored.totals, &self.head.totals)
    }

    /// Checks the signatures that wait, on all cores.
    fn check_waiting(&mut self) -> Checked {
        let waiting = std::mem::take(&mut self.waiting);
        check_all(&waiting, self.keys, self.info.id)
    }
}
