//! The end of a run: everything that went wrong is over, people do what is theirs, and all must come together.
//!
//! FDMS, the ledger and head office hold the same; the ledger verifies; every sale that was ever asked for is one receipt;
//! every day is closed by the device's own close.

use std::collections::BTreeSet;

use fdms_sandbox::ReconciliationMode;
use fiscald::ledger::Refusal;
use fiscald::ledger::verify::verify;

use super::check::read;
use super::{Checked, World, fair_weather};
use crate::script::TILLS;

/// So many times ten minutes may pass until the queues are empty: receipts of a burst, and those dated ahead after a
/// wrong clock, wait for their dates.
const PATIENCE: usize = 200;

impl World {
    /// Ends a run.
    pub(super) fn calm_down(&mut self) -> Checked {
        fair_weather(&self.store);
        self.store.line.reseed(1);
        self.store.office.reseed(2);
        self.fill(false);
        self.store.hours.set_wall_right();
        for till in 0..TILLS {
            self.block(till, false)?;
        }
        // A power cut that still waits for its sync.
        self.pass(60)?;
        self.check()?;
        self.drain()?;
        self.ask_for_all()?;
        for till in 0..TILLS {
            self.close(till)?;
        }
        self.drain()?;
        self.pass(120)?;
        self.check()?;
        // What was written in the last seconds is on its way to head office.
        for _ in 0..60 {
            if self.is_drained()? {
                break;
            }
            self.pass(7)?;
        }
        self.compare_all()
    }

    /// Every sale in doubt is asked for again, until none is.
    fn ask_for_all(&mut self) -> Checked {
        for till in 0..TILLS {
            let mut tries = 0;
            while !self.memories[till].in_doubt.is_empty() {
                self.ask_again(till)?;
                self.pass(1)?;
                tries += 1;
                if tries > 2000 {
                    return Err(format!("till {till}: sales stay in doubt"));
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, till: usize) -> Checked {
        let id = self.store.tills[till].id;
        for _ in 0..20 {
            let Some(running) = &self.store.running else {
                return Err("nobody runs".to_owned());
            };
            let day = read(running.ledger.reader().day(id, None))?;
            if day.is_none_or(|day| day.close.is_some()) {
                return Ok(());
            }
            self.act(till, |core, id| match core.close_day(id, "sim") {
                Ok(_) | Err(fiscald::ledger::LedgerError::Refused(Refusal::DayNotOpen { .. })) => {
                    Ok(())
                }
                Err(error) => Err(error),
            })?;
            self.pass(1)?;
        }
        Err(format!("till {till}: the day cannot be closed"))
    }

    /// Lets time pass until FDMS and head office have everything; people let go on what is parked.
    fn drain(&mut self) -> Checked {
        for _ in 0..PATIENCE {
            if self.is_drained()? {
                return Ok(());
            }
            for till in 0..TILLS {
                let Some(running) = &self.store.running else {
                    continue;
                };
                let id = self.store.tills[till].id;
                let (state, _) = read(running.ledger.reader().stream(id))?;
                if state.parked.is_some() {
                    self.act(till, |core, id| core.retry_stream(id, "sim").map(drop))?;
                }
            }
            self.pass(600)?;
            self.check()?;
        }
        Err(format!("it does not come together: {}", self.whats_left()?))
    }

    fn is_drained(&self) -> Result<bool, String> {
        let Some(running) = &self.store.running else {
            return Ok(false);
        };
        let reader = running.ledger.reader();
        for till in &self.store.tills {
            let (state, head) = read(reader.stream(till.id))?;
            if head.is_some() || state.parked.is_some() {
                return Ok(false);
            }
        }
        let last = running.ledger.committed().borrow().0;
        let (_, kept, _) = self.store.office.look(crate::office::Books::end);
        Ok(last <= kept)
    }

    fn whats_left(&self) -> Result<String, String> {
        let running = self.store.running.as_ref().ok_or("nobody runs")?;
        let mut left = Vec::new();
        for (no, till) in self.store.tills.iter().enumerate() {
            let (state, head) = read(running.ledger.reader().stream(till.id))?;
            let Some(head) = head else { continue };
            let parked = state.parked.map(|parked| parked.reason);
            let receipts = self
                .store
                .line
                .inside
                .receipts_from(till.device.get(), 0, usize::MAX);
            let marked = receipts
                .iter()
                .filter(|one| !one.validation_errors.is_empty());
            left.extend(marked.map(|one| {
                format!(
                    "FDMS has marked receipt {} of till {no}, a {:?}: {:?}",
                    one.receipt_global_no, one.receipt_type, one.validation_errors
                )
            }));
            left.push(format!(
                "till {no} stands at the {}, {}",
                head.kind,
                parked.unwrap_or_else(|| format!(
                    "not parked, tried {} times: {:?}",
                    state.attempts, state.last_error
                ))
            ));
        }
        let last = running.ledger.committed().borrow().0;
        let (_, kept, _) = self.store.office.look(crate::office::Books::end);
        left.push(format!("head office has {kept} of {last} lines"));
        Ok(left.join("; "))
    }

    fn compare_all(&mut self) -> Checked {
        for till in 0..TILLS {
            self.compare_answers(till)?;
            self.compare_fdms(till)?;
            self.compare_days(till)?;
        }
        self.compare_office()?;
        let violations = self.store.line.inside.schema_violations();
        if let Some(violation) = violations.first() {
            return Err(format!("a request broke FDMS's schema: {violation}"));
        }
        let verified = verify(&self.store.path(), &mut |_, _| {});
        let verified = verified.map_err(|error| format!("the ledger does not verify: {error}"))?;
        let told: usize = self
            .memories
            .iter()
            .map(|memory| memory.answered.len())
            .sum();
        if usize::try_from(verified.receipts).unwrap_or(0) != told {
            return Err(format!(
                "{told} sales were answered, {} receipts verified",
                verified.receipts
            ));
        }
        Ok(())
    }

    /// Every answer is a receipt, every receipt an answer, and the numbers have no gap.
    fn compare_answers(&self, till: usize) -> Checked {
        let running = self.store.running.as_ref().ok_or("nobody runs")?;
        let (id, memory) = (self.store.tills[till].id, &self.memories[till]);
        for (place, (number, key)) in (1..).zip(&memory.by_number) {
            let answered = &memory.answered[key];
            if *number != place {
                return Err(format!(
                    "till {till}: the number {place} was never given out"
                ));
            }
            let issued = read(running.ledger.reader().by_number(id, answered.number))?;
            let prefixed = |invoice_no: &str| invoice_no.ends_with(&format!("-{key}"));
            let is_same = issued.is_some_and(|issued| {
                issued.signature.hash == answered.hash
                    && issued.receipt.total == answered.total
                    && prefixed(&issued.receipt.invoice_no)
            });
            if !is_same {
                return Err(format!(
                    "till {till}: receipt {number} ({key}) is not in the ledger as it was answered"
                ));
            }
        }
        let (last, _) = read(running.ledger.reader().last_receipt(id))?;
        if last.get() != memory.last_number() {
            return Err(format!(
                "till {till}: the ledger ends at {last}, the answers at {}",
                memory.last_number()
            ));
        }
        Ok(())
    }

    /// FDMS holds the same receipts, each once, in order, without a mark.
    fn compare_fdms(&self, till: usize) -> Checked {
        let device = self.store.tills[till].device.get();
        let memory = &self.memories[till];
        let theirs = self.store.line.inside.receipts_from(device, 0, usize::MAX);
        let mut numbers = BTreeSet::new();
        for receipt in &theirs {
            let number = u32::try_from(receipt.receipt_global_no).unwrap_or(0);
            if !numbers.insert(number) {
                return Err(format!("till {till}: FDMS has receipt {number} twice"));
            }
            let ours = memory.by_number.get(&number);
            let ours = ours.and_then(|key| memory.answered.get(key));
            if ours.is_none_or(|ours| ours.hash.to_string() != receipt.hash) {
                return Err(format!("till {till}: FDMS's receipt {number} is not ours"));
            }
            if !receipt.validation_errors.is_empty() || receipt.is_grey {
                return Err(format!(
                    "till {till}: FDMS has marked receipt {number}: {:?} grey: {}",
                    receipt.validation_errors, receipt.is_grey
                ));
            }
        }
        if numbers.len() != memory.by_number.len() {
            return Err(format!(
                "till {till}: FDMS has {} receipts, {} were answered",
                numbers.len(),
                memory.by_number.len()
            ));
        }
        Ok(())
    }

    /// All days are closed by the device, and the sums that were frozen are those of the receipts.
    fn compare_days(&self, till: usize) -> Checked {
        let running = self.store.running.as_ref().ok_or("nobody runs")?;
        let till_info = self.store.tills[till];
        let days = self.store.line.inside.days(till_info.device.get());
        for day in &days {
            if day.reconciliation_mode != Some(ReconciliationMode::Auto) {
                return Err(format!("till {till}: FDMS has not closed a day: {day:?}"));
            }
        }
        let is_forgetful = self.store.line.is_forgetful(till_info.device.get());
        let reader = running.ledger.reader();
        let mut receipts = 0;
        let mut own_days = 0;
        let last = read(reader.day(till_info.id, None))?;
        let mut no = last.as_ref().map(|day| day.fiscal_day_no);
        while let Some(day) = no
            .map(|no| read(reader.day(till_info.id, Some(no))))
            .transpose()?
        {
            let Some(day) = day else { break };
            let recount = read(reader.recount(day.day_id))?;
            let is_same = recount.totals == day.totals;
            // What was Grey once is kept as it was said, also when the gap is filled.
            let is_marked = !recount.marked.is_empty() && !is_forgetful;
            if !is_same || recount.unsent > 0 || is_marked {
                return Err(format!(
                    "till {till}: day {} counted anew is another one: {recount:?}",
                    day.fiscal_day_no
                ));
            }
            receipts += day.receipt_counter;
            own_days += 1;
            let before = day.fiscal_day_no.get() - 1;
            no = fiscal::FiscalDayNo::new(before).filter(|no| no.get() > 0);
        }
        if own_days != days.len() {
            return Err(format!(
                "till {till}: {own_days} days here, {} at FDMS",
                days.len()
            ));
        }
        let (last, _) = read(reader.last_receipt(till_info.id))?;
        if receipts != last.get() {
            return Err(format!(
                "till {till}: the days have {receipts} receipts, the till {last}"
            ));
        }
        Ok(())
    }

    /// Head office holds the ledger's lines, each once.
    fn compare_office(&self) -> Checked {
        let running = self.store.running.as_ref().ok_or("nobody runs")?;
        let lines = read(running.ledger.reader().hq_lines(0, 1 << 30, 1 << 40))?;
        let is_same = self.store.office.look(|books| {
            let theirs = books.lines().map(|line| (line.seq, &line.bytes));
            let ours = lines.iter().map(|line| (line.seq, &line.bytes));
            ours.eq(theirs)
        });
        if is_same {
            return Ok(());
        }
        let count = self.store.office.look(|books| books.lines().count());
        Err(format!(
            "head office holds {count} lines, the ledger {}, and they are not the same",
            lines.len()
        ))
    }

    /// A page of a copy goes bad: it is found, or nothing was lost by it.
    pub(super) fn bad_page(&mut self) -> Checked {
        crate::damage::bad_page(&self.store, &mut self.random).map(|found| {
            self.done.bad_pages += u64::from(found);
        })
    }
}
