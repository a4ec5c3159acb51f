//! A till goes on from numbers that are not this ledger's own.
//!
//! A device that was used with other software is taken over; a ledger that was put back from a backup, while
//! FDMS has more of it, is brought to where FDMS is. Between two fiscal days that takes the last numbers
//! alone; within a day also its opening, the last counter and hash, and the sums so far (docs/FDMS.md sections
//! 4 and 6). What this ledger had not sent by then is never sent: FDMS has other receipts under these numbers.
//! It stays, and is shown as such.

use fiscal::counters::DayTotals;
use fiscal::receipt::Hash;
use fiscal::{DateTime, FiscalDayNo, ReceiptCounter, ReceiptGlobalNo};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::core::Core;
use super::holds::HoldKind;
use super::stream::store_stream;
use super::{LedgerError, Reader, Refusal, Seq, StorageError, TillId, sql};

/// From where a till goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The last fiscal day that is over.
    pub last_day_no: FiscalDayNo,
    /// The last receipt.
    pub last_global_no: ReceiptGlobalNo,
    /// The last receipt's date, or another moment that it is certainly not later than.
    pub last_date: Option<DateTime>,
    /// The day after `last_day_no`, where it is open.
    pub day: Option<AdoptedDay>,
}

/// A fiscal day that other software has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedDay {
    /// When it was opened, as FDMS was told: the close is signed over this date.
    pub opened: DateTime,
    /// `receiptCounter` of its last receipt.
    pub last_counter: ReceiptCounter,
    /// Hash of its last receipt; none where it has none.
    pub last_hash: Option<Hash>,
    /// Its sums so far.
    pub totals: DayTotals,
}

/// An adoption as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Its event.
    pub seq: Seq,
    /// The ledger's own last day until then.
    pub own_day_no: FiscalDayNo,
    /// The ledger's own last receipt until then.
    pub own_global_no: ReceiptGlobalNo,
    /// From where the till goes on.
    pub to: Adoption,
}

impl Adopted {
    /// What the audit keeps of it.
    pub(super) fn detail(&self) -> String {
        let to = &self.to;
        let date = |date: Option<DateTime>| date.map_or("-".to_owned(), |date| date.to_string());
        let mut text = format!(
            "from {} {} to {} {} {}",
            self.own_day_no,
            self.own_global_no,
            to.last_day_no,
            to.last_global_no,
            date(to.last_date)
        );
        if let Some(day) = &to.day {
            let hash = day
                .last_hash
                .map_or("-".to_owned(), |hash| hash.to_string());
            let totals = fiscal::sign::hash(&day.totals.to_text());
            text.push_str(&format!(
                " open {} {} {hash} {totals}",
                day.opened, day.last_counter
            ));
        }
        text
    }
}

/// Why a till cannot go on from these numbers.
fn refused(why: String) -> LedgerError {
    Refusal::Stream(why).into()
}

impl Core {
    /// Lets a till go on from other numbers. A day that is open here is closed here, and not sent.
    ///
    /// # Errors
    /// The numbers would go back, or the till is retired.
    pub fn adopt(
        &mut self,
        till: TillId,
        to: &Adoption,
        actor: &str,
    ) -> Result<Adopted, LedgerError> {
        let state = self.till(till)?;
        let hold = state.hold.as_ref().map(|hold| hold.kind);
        if let (Some(HoldKind::Retired), Some(hold)) = (hold, &state.hold) {
            return Err(hold.refusal(state.info.device_id).into());
        }
        let head = &state.head;
        if to.last_day_no < head.last_day_no || to.last_global_no < head.last_global_no {
            return Err(refused(format!(
                "this ledger has come to day {} and receipt {}; a till never goes back to day {} and receipt {}",
                head.last_day_no, head.last_global_no, to.last_day_no, to.last_global_no
            )));
        }
        let adopted = Adopted {
            own_day_no: head.last_day_no,
            own_global_no: head.last_global_no,
            to: to.clone(),
            seq: Seq(0),
        };
        if head.day.is_some() {
            self.close_day(till, actor)?;
        }
        let adopted = Adopted {
            seq: self.take_seq(),
            ..adopted
        };
        let detail = adopted.detail();
        self.append_event(adopted.seq, Some(till), "till.adopted", Some(&detail))?;
        insert(&self.conn, till, &adopted)?;
        self.audit(actor, "till.adopt", Some(till), &detail)?;
        self.go_on_from(till, &adopted, actor)?;
        if let Some(kind) = hold {
            self.release_till(till, kind, actor)?;
        }
        Ok(adopted)
    }

    /// Chain and stream stand where the adoption says.
    fn go_on_from(
        &mut self,
        till: TillId,
        adopted: &Adopted,
        actor: &str,
    ) -> Result<(), LedgerError> {
        let to = &adopted.to;
        let state = self.tills.get_mut(&till).ok_or(Refusal::NoSuchTill)?;
        let head = &mut state.head;
        head.last_day_no = to.last_day_no;
        head.last_global_no = to.last_global_no;
        head.last_date = head.last_date.max(to.last_date);
        head.dirty = true;
        let mut stream = super::stream::StreamState {
            cursor: adopted.seq,
            last_day_no: to.last_day_no,
            last_global_no: to.last_global_no,
            ..super::stream::StreamState::new(till)
        };
        if let Some(day) = &to.day {
            let opened = self.open_day_at(till, day.opened, actor)?;
            let state = self.tills.get_mut(&till).ok_or(Refusal::NoSuchTill)?;
            state.head.last_counter = day.last_counter;
            state.head.last_hash = day.last_hash;
            state.head.totals = day.totals.clone();
            stream.cursor = opened.day_id;
            stream.last_day_no = opened.no;
        }
        store_stream(&self.conn, &stream)?;
        // A release reads the ends of the chains again: they must be there.
        self.store_heads()?;
        Ok(())
    }

    /// How far a till has come in this ledger: its last day and receipt.
    ///
    /// # Errors
    /// No such till.
    pub fn last_numbers(
        &self,
        till: TillId,
    ) -> Result<(FiscalDayNo, ReceiptGlobalNo), LedgerError> {
        let head = &self.till(till)?.head;
        Ok((head.last_day_no, head.last_global_no))
    }
}

pub(super) fn insert(
    conn: &Connection,
    till: TillId,
    adopted: &Adopted,
) -> Result<(), StorageError> {
    let to = &adopted.to;
    let day = to.day.as_ref();
    conn.prepare_cached(
        "INSERT INTO adoption VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        adopted.seq.0,
        till.0,
        adopted.own_day_no.get(),
        adopted.own_global_no.get(),
        to.last_day_no.get(),
        to.last_global_no.get(),
        to.last_date.map(|date| date.to_string()),
        day.map(|day| day.opened.to_string()),
        day.map(|day| day.last_counter.get()),
        day.and_then(|day| day.last_hash.map(|hash| hash.0)),
        day.map(|day| day.totals.to_text()),
    ])?;
    Ok(())
}

/// A till's adoptions, oldest first.
pub(super) fn adoptions(conn: &Connection, till: TillId) -> Result<Vec<Adopted>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, own_day_no, own_global_no, last_day_no, last_global_no, last_date, day_opened,
                last_counter, last_hash, totals
         FROM adoption WHERE till_id = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([till.0])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let date: Option<String> = row.get(5)?;
        let opened: Option<String> = row.get(6)?;
        let day = match opened {
            None => None,
            Some(opened) => Some(AdoptedDay {
                opened: sql::date(&opened, "adoption.day_opened")?,
                last_counter: sql::number(
                    row.get(7)?,
                    ReceiptCounter::new,
                    "adoption.last_counter",
                )?,
                last_hash: row
                    .get::<_, Option<Vec<u8>>>(8)?
                    .map(|hash| sql::hash(&hash, "adoption.last_hash"))
                    .transpose()?,
                totals: DayTotals::parse(&row.get::<_, String>(9)?)
                    .ok_or_else(|| sql::damaged("adoption.totals"))?,
            }),
        };
        all.push(Adopted {
            seq: Seq(row.get(0)?),
            own_day_no: sql::number(row.get(1)?, FiscalDayNo::new, "adoption.own_day_no")?,
            own_global_no: sql::number(
                row.get(2)?,
                ReceiptGlobalNo::new,
                "adoption.own_global_no",
            )?,
            to: Adoption {
                last_day_no: sql::number(row.get(3)?, FiscalDayNo::new, "adoption.last_day_no")?,
                last_global_no: sql::number(
                    row.get(4)?,
                    ReceiptGlobalNo::new,
                    "adoption.last_global_no",
                )?,
                last_date: date
                    .map(|date| sql::date(&date, "adoption.last_date"))
                    .transpose()?,
                day,
            },
        });
    }
    Ok(all)
}

impl Reader {
    /// A till's adoptions, oldest first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn adoptions(&self, till: TillId) -> Result<Vec<Adopted>, LedgerError> {
        self.with(|conn| Ok(adoptions(conn, till)?))
    }

    /// Whether something of this till was never sent, and never will be: a later adoption has passed it.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn is_passed_over(&self, till: TillId, seq: Seq) -> Result<bool, LedgerError> {
        self.with(|conn| {
            let passed: Option<i64> = conn
                .prepare_cached(
                    "SELECT 1 FROM adoption WHERE till_id = ?1 AND seq > ?2
                     AND NOT EXISTS (SELECT 1 FROM submission WHERE seq = ?2) LIMIT 1",
                )?
                .query_row(params![till.0, seq.0], |row| row.get(0))
                .optional()?;
            Ok(passed.is_some())
        })
    }
}
