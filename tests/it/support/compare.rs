//! Whether FDMS holds what the ledger holds; in sentences.

use fdms_sandbox::{ReconciliationMode, StoredDay, StoredReceipt};
use fiscal::ReceiptGlobalNo;

use super::store::House;

impl House {
    /// Everything that the ledger and FDMS do not agree on, or that FDMS has marked. Empty is what every
    /// test wants.
    pub(crate) fn disagreements(&self) -> Vec<String> {
        let places = 0..self.count();
        places
            .flat_map(|place| self.compare(place, &self.at_fdms(place)))
            .collect()
    }

    /// Compares a till's receipts here with what FDMS is said to hold of it.
    pub(crate) fn compare(&self, place: usize, stored: &[StoredReceipt]) -> Vec<String> {
        let till = self.till(place);
        let reader = self.ledger().reader();
        let (last, _) = reader.last_receipt(till.id).unwrap();
        let at_fdms = stored.len();
        let mut found = Vec::new();
        if u32::try_from(at_fdms).unwrap() != last.get() {
            found.push(format!(
                "{}: {at_fdms} receipts at FDMS, {last} here",
                till.device
            ));
        }
        let mut before = None;
        for (number, theirs) in (1..).zip(stored) {
            let mut wrong = |what: String| {
                found.push(format!("{} receipt {number}: {what}", till.device));
            };
            let number = ReceiptGlobalNo::new(number).unwrap();
            let Some(ours) = reader.by_number(till.id, number).unwrap() else {
                wrong("is not in the ledger".to_owned());
                continue;
            };
            let is_same = theirs.receipt_global_no.to_string() == number.to_string()
                && theirs.hash == ours.signature.hash.to_string()
                && theirs.receipt_date == ours.receipt.date
                && theirs.fiscal_day_no.to_string() == ours.fiscal_day_no.to_string();
            if !is_same {
                wrong(format!("FDMS has {theirs:?}"));
            }
            if !theirs.validation_errors.is_empty() || theirs.is_grey {
                wrong(format!("marked {:?}", theirs.validation_errors));
            }
            if theirs.server_date < theirs.receipt_date {
                wrong(format!(
                    "of {} came at {}",
                    theirs.receipt_date, theirs.server_date
                ));
            }
            if before.is_some_and(|before| before >= theirs.receipt_date) {
                wrong(format!(
                    "of {} after one of {before:?}",
                    theirs.receipt_date
                ));
            }
            before = Some(theirs.receipt_date);
        }
        found
    }

    /// The till's days at FDMS that are not closed by the device's own close.
    pub(crate) fn open_days_at_fdms(&self, place: usize) -> Vec<String> {
        not_closed(&self.sandbox.days(self.till(place).number()))
    }
}

/// Those of FDMS's days that are not closed by the device's own close.
pub(crate) fn not_closed(days: &[StoredDay]) -> Vec<String> {
    days.iter()
        .filter(|day| day.reconciliation_mode != Some(ReconciliationMode::Auto))
        .map(|day| format!("{day:?}"))
        .collect()
}
