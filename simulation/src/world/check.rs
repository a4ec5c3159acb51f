//! What must hold after every step, as far as it is cheap to see.

use fiscald::ledger::LedgerError;
use fiscald::submit::{Connection, Doing};

use super::{Checked, World};

pub(super) fn read<T>(result: Result<T, LedgerError>) -> Result<T, String> {
    result.map_err(|error| format!("the ledger cannot be read: {error}"))
}

impl World {
    /// Looks at everything that must hold at any moment.
    pub(super) fn check(&mut self) -> Checked {
        if self.store.running.is_none() {
            return Ok(());
        }
        for till in 0..self.memories.len() {
            self.check_till(till)?;
        }
        if let Some(disorder) = self.store.line.disorder() {
            return Err(disorder);
        }
        self.check_office()
    }

    fn check_till(&mut self, till: usize) -> Checked {
        let Some(running) = &self.store.running else {
            return Ok(());
        };
        let (info, memory) = (self.store.tills[till], &self.memories[till]);
        let reader = running.ledger.reader();
        let (last, _) = read(reader.last_receipt(info.id))?;
        if last.get() < memory.last_number() {
            return Err(format!(
                "till {till}: receipt {} was answered, and the ledger ends at {last}",
                memory.last_number()
            ));
        }
        let known = memory.answered.len() + memory.in_doubt.len();
        if usize::try_from(last.get()).unwrap_or(usize::MAX) > known {
            return Err(format!(
                "till {till}: the ledger has {last} receipts, but only {known} sales were made"
            ));
        }
        // The latest answer, looked up whole.
        if let Some((number, key)) = memory.by_number.iter().next_back() {
            let answered = &memory.answered[key];
            let issued = read(reader.by_number(info.id, answered.number))?;
            let is_same = issued.is_some_and(|issued| {
                issued.signature.hash == answered.hash && issued.receipt.total == answered.total
            });
            if !is_same {
                return Err(format!(
                    "till {till}: receipt {number} ({key}) is not in the ledger as it was answered"
                ));
            }
        }
        let at_fdms = self.store.line.inside.receipt_count(info.device.get());
        if at_fdms > usize::try_from(last.get()).unwrap_or(0) {
            return Err(format!(
                "till {till}: FDMS has {at_fdms} receipts, the ledger {last}"
            ));
        }
        let (state, _) = read(reader.stream(info.id))?;
        let link = running.submitter.state(info.id).unwrap_or_default();
        if state.parked.is_some() && link.doing == Doing::Idle {
            return Err(format!(
                "till {till}: the queue is parked and shown as idle"
            ));
        }
        if let Connection::Offline { error, .. } = &link.connection
            && error.is_empty()
        {
            return Err(format!(
                "till {till}: the line is away and nobody is told why"
            ));
        }
        self.note(last.get());
        self.note(u64::try_from(state.cursor.0).unwrap_or(0));
        Ok(())
    }

    /// What counts as acknowledged is kept at head office, unless that was put back from a copy.
    fn check_office(&mut self) -> Checked {
        let Some(running) = &self.store.running else {
            return Ok(());
        };
        let Some(hq) = read(running.ledger.reader().hq())? else {
            return Err("the store has left head office by itself".to_owned());
        };
        if let Some(line) = self.store.office.look(|books| books.doubled) {
            return Err(format!("head office holds line {line} twice"));
        }
        let (_, kept, _) = self.store.office.look(crate::office::Books::end);
        if hq.acked > kept && !self.office_went_back {
            return Err(format!(
                "{} lines count as acknowledged, and head office has {kept}",
                hq.acked
            ));
        }
        self.note(u64::try_from(hq.acked).unwrap_or(0));
        Ok(())
    }
}
