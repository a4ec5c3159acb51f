//! Opening and closing fiscal days, locally and at once; FDMS hears of it in its place in the stream.

use fiscal::day::last_moment;
use fiscal::receipt::Signature;
use fiscal::{DateTime, FiscalDayNo, ReceiptCounter, sign, wire};
use rusqlite::params;

use super::chain::OpenDay;
use super::core::Core;
use super::policy::warned_from;
use super::signers::sign_checked;
use super::{CloseFacts, DayFacts, LedgerError, Refusal, TillId, sql};
use crate::crash::{self, Point};

/// What the cashier is told of a day that nears its longest.
#[must_use]
pub fn warning(longest: DateTime) -> String {
    format!("close the fiscal day by {longest}: after that it takes no more receipts")
}

/// What he is told at a moment; none as long as there is time.
#[must_use]
pub fn warning_at(
    opened: DateTime,
    max_hours: u32,
    notification_hours: u32,
    now: DateTime,
) -> Option<String> {
    let is_time = warned_from(opened, max_hours, notification_hours) <= now;
    is_time.then(|| warning(last_moment(opened, max_hours)))
}

impl Core {
    /// Opens a day now, by hand.
    ///
    /// # Errors
    /// A day is open already, or the till cannot sell yet.
    pub fn open_day(&mut self, till: TillId, actor: &str) -> Result<DayFacts, LedgerError> {
        self.open_day_now(till, false, actor)
    }

    /// The same because head office has ordered it: in the test environment it passes a closed gate.
    ///
    /// # Errors
    /// As [`Core::open_day`].
    pub fn open_controlled_day(
        &mut self,
        till: TillId,
        actor: &str,
    ) -> Result<DayFacts, LedgerError> {
        let passes = self.may_pass(till)?;
        let day = self.open_day_now(till, passes, actor)?;
        if passes {
            self.let_pass(till, day.day_id)?;
        }
        Ok(day)
    }

    fn open_day_now(
        &mut self,
        till: TillId,
        controlled: bool,
        actor: &str,
    ) -> Result<DayFacts, LedgerError> {
        let state = self.till(till)?;
        state.selling(controlled)?;
        if let Some(day) = state.head.day {
            return Err(Refusal::DayOpen {
                device: state.info.device_id,
                no: day.no,
            }
            .into());
        }
        let now = self.now_local();
        let at = state.head.last_date.map_or(now, |date| now.max(date));
        let day = self.open_day_at(till, at, actor)?;
        Ok(DayFacts {
            day_id: day.day_id,
            fiscal_day_no: day.no,
            opened: day.opened,
            close: None,
            totals: fiscal::counters::DayTotals::default(),
            receipt_counter: 0,
        })
    }

    /// Closes the open day now: counters frozen and signed. FDMS is asked to close it in its turn.
    ///
    /// # Errors
    /// No day is open.
    pub fn close_day(&mut self, till: TillId, actor: &str) -> Result<DayFacts, LedgerError> {
        let state = self.till(till)?;
        let now = self.now_local();
        let at = state.head.last_date.map_or(now, |date| now.max(date));
        self.close_day_at(till, at, actor)
    }

    /// The same because head office has ordered it: in the test environment it passes a closed gate.
    ///
    /// # Errors
    /// As [`Core::close_day`].
    pub fn close_controlled_day(
        &mut self,
        till: TillId,
        actor: &str,
    ) -> Result<DayFacts, LedgerError> {
        let passes = self.may_pass(till)?;
        let day = self.close_day(till, actor)?;
        if let (true, Some(close)) = (passes, &day.close) {
            self.let_pass(till, close.seq)?;
        }
        Ok(day)
    }

    /// Closes the open day now if it is this one.
    ///
    /// # Errors
    /// Another day is open, or none.
    pub fn close_day_if(
        &mut self,
        till: TillId,
        no: FiscalDayNo,
        actor: &str,
    ) -> Result<DayFacts, LedgerError> {
        let state = self.till(till)?;
        if state.head.day.map(|day| day.no) != Some(no) {
            let device = state.info.device_id;
            return Err(Refusal::DayNotOpen { device }.into());
        }
        self.close_day(till, actor)
    }

    /// Tells, once, that the open day must be closed soon; true if it was not told before.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn warn_of_day_end(
        &mut self,
        till: TillId,
        no: FiscalDayNo,
        longest: DateTime,
    ) -> Result<bool, LedgerError> {
        let name = format!("day_warned.{}", till.0);
        let told = no.to_string();
        if sql::meta(&self.conn, &name)?.as_deref() == Some(told.as_bytes()) {
            return Ok(false);
        }
        self.set_meta(&name, told.as_bytes())?;
        let detail = serde_json::json!({
            "fiscalDayNo": no,
            "longestUntil": longest.to_string(),
            "action": warning(longest),
        });
        let seq = self.take_seq();
        self.append_event(seq, Some(till), "day.ending", Some(&detail.to_string()))?;
        Ok(true)
    }

    pub(super) fn open_day_at(
        &mut self,
        till: TillId,
        opened: DateTime,
        actor: &str,
    ) -> Result<OpenDay, LedgerError> {
        let seq = self.take_seq();
        let state = self.till(till)?;
        let no = state.head.last_day_no.next();
        let config = state.config.as_ref();
        let is_vat_payer = config.map(|config| config.taxpayer.is_vat_payer());
        self.append_event(seq, Some(till), "day.opened", Some(&no.to_string()))?;
        self.conn
            .prepare_cached("INSERT INTO day VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                seq.0,
                till.0,
                no.get(),
                opened.to_string(),
                is_vat_payer
            ])?;
        self.audit(actor, "day.open", Some(till), &format!("{no} {opened}"))?;
        crash::at(Point::DayOpened);
        let day = OpenDay {
            day_id: seq,
            no,
            opened,
            is_vat_payer,
        };
        let state = self.tills.get_mut(&till).ok_or(Refusal::NoSuchTill)?;
        state.head.day = Some(day);
        state.head.last_day_no = no;
        state.head.last_counter = ReceiptCounter::ZERO;
        state.head.last_hash = None;
        state.head.totals = fiscal::counters::DayTotals::default();
        state.head.dirty = true;
        Ok(day)
    }

    pub(super) fn close_day_at(
        &mut self,
        till: TillId,
        at: DateTime,
        actor: &str,
    ) -> Result<DayFacts, LedgerError> {
        let state = self.till(till)?;
        let device = state.info.device_id;
        let Some(day) = state.head.day else {
            return Err(Refusal::DayNotOpen { device }.into());
        };
        let (key, _) = state.ready()?;
        let totals = state.head.totals.clone();
        let counter = state.head.last_counter;
        let at = at.max(day.opened);
        let text = sign::day_string(device, day.no, day.opened, &totals.counters);
        let signature = Signature {
            hash: sign::hash(&text),
            bytes: sign_checked(&*key.signer, &text)?,
        };
        let body = wire::close_day_body(day.no, &totals.counters, &signature, Some(counter));
        let seq = self.take_seq();
        self.append_event(seq, Some(till), "day.closed", Some(&day.no.to_string()))?;
        self.conn
            .prepare_cached("INSERT INTO day_close VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute(params![
                seq.0,
                day.day_id.0,
                at.to_string(),
                counter.get(),
                totals.to_text(),
                signature.hash.0,
                signature.bytes,
                key.key_id,
                body
            ])?;
        let detail = format!("{} {}", day.no, signature.hash);
        self.audit(actor, "day.close", Some(till), &detail)?;
        crash::at(Point::DayClosed);
        let state = self.tills.get_mut(&till).ok_or(Refusal::NoSuchTill)?;
        state.head.day = None;
        state.head.last_counter = ReceiptCounter::ZERO;
        state.head.last_hash = None;
        state.head.totals = fiscal::counters::DayTotals::default();
        state.head.dirty = true;
        Ok(DayFacts {
            day_id: day.day_id,
            fiscal_day_no: day.no,
            opened: day.opened,
            close: Some(CloseFacts {
                seq,
                closed: at,
                signature,
            }),
            totals,
            receipt_counter: counter.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Store;
    use super::*;

    fn no(number: u32) -> FiscalDayNo {
        FiscalDayNo::new(number).unwrap()
    }

    /// The cashier is told from the warning's first moment on, and by when.
    #[test]
    fn warnings() {
        let opened: DateTime = "2026-05-28T07:00:00".parse().unwrap();
        let at = |now: &str| warning_at(opened, 24, 2, now.parse().unwrap());
        assert_eq!(at("2026-05-29T04:59:59"), None);
        let told = at("2026-05-29T05:00:00").unwrap();
        assert!(told.contains("by 2026-05-29T07:00:00:"), "{told}");
        assert_eq!(at("2026-05-29T08:00:00"), Some(told));
    }

    /// A day is opened once and closed once, and only the one that was meant.
    #[test]
    fn opened_and_closed_once() {
        let mut store = Store::new();
        let till = store.till;
        let is_not_open = |done: Result<DayFacts, LedgerError>| {
            matches!(done, Err(LedgerError::Refused(Refusal::DayNotOpen { .. })))
        };
        assert!(is_not_open(
            store.core.write(|core| core.close_day(till, "test"))
        ));
        let opened = store
            .core
            .write(|core| core.open_day(till, "test"))
            .unwrap();
        assert_eq!((opened.fiscal_day_no, opened.receipt_counter), (no(1), 0));
        let again = store.core.write(|core| core.open_day(till, "test"));
        let Err(LedgerError::Refused(Refusal::DayOpen { no: present, .. })) = again else {
            panic!("opened twice");
        };
        assert_eq!(present, no(1));
        let _ = store.issue(store.sale("A1")).unwrap();
        let other = store
            .core
            .write(|core| core.close_day_if(till, no(2), "test"));
        assert!(is_not_open(other));
        let closed = store
            .core
            .write(|core| core.close_day_if(till, no(1), "test"))
            .unwrap();
        assert_eq!(closed.receipt_counter, 1);
        assert!(
            closed
                .close
                .is_some_and(|close| close.closed >= closed.opened)
        );
        let after = store
            .core
            .write(|core| core.close_day_if(till, no(1), "test"));
        assert!(is_not_open(after));
        let next = store
            .core
            .write(|core| core.open_day(till, "test"))
            .unwrap();
        assert_eq!(next.fiscal_day_no, no(2));
        assert_eq!(store.verify().unwrap().days, 2);
    }

    /// That a day nears its end is told once, also over a restart; of the next day once more.
    #[test]
    fn warned_once() {
        let mut store = Store::new();
        let till = store.till;
        let longest = "2026-05-29T07:00:00".parse().unwrap();
        let warn = |store: &mut Store, day| {
            let warned = store
                .core
                .write(|core| core.warn_of_day_end(till, no(day), longest));
            warned.unwrap()
        };
        assert!(warn(&mut store, 1) && !warn(&mut store, 1));
        store.reopen();
        assert!(!warn(&mut store, 1));
        assert!(warn(&mut store, 2) && !warn(&mut store, 2));
    }
}
