//! Rules of credit and debit notes, against their original.

use jiff::Span;

use super::{Judge, Original, OriginalFact};
use crate::{Cents, Code, ReceiptType};

/// How long after its issue a receipt may be credited or debited (docs/FDMS.md section 5).
const MONTHS: i64 = 12;

impl Judge<'_> {
    pub(super) fn notes(&mut self) {
        let receipt = self.receipt;
        if !receipt.receipt_type.is_note() {
            if receipt.credit_debit_note.is_some() {
                let message = "a FiscalInvoice has no original";
                self.found(Code::Rcpt029, "/creditDebitNote", message);
            }
            return;
        }
        if receipt.notes.is_none() {
            let message = format!("a {} needs its reason", receipt.receipt_type);
            self.found(Code::Rcpt034, "/receiptNotes", message);
        }
        let Some(reference) = &receipt.credit_debit_note else {
            let message = format!("a {} needs its original", receipt.receipt_type);
            self.found(Code::Rcpt015, "/creditDebitNote", message);
            return;
        };
        let by_number = reference.device_id.is_some()
            && reference.receipt_global_no.is_some()
            && reference.fiscal_day_no.is_some();
        if reference.receipt_id.is_none() && !by_number {
            let message = "deviceID, receiptGlobalNo and fiscalDayNo are all needed";
            self.found(Code::Rcpt032, "/creditDebitNote", message);
            return;
        }
        match self.facts.original {
            OriginalFact::Unknown => {}
            OriginalFact::Missing => {
                let message = "no invoice of this taxpayer with these numbers is in this ledger";
                self.found(Code::Rcpt032, "/creditDebitNote", message);
            }
            OriginalFact::Found(original) => self.against(original),
        }
    }

    fn against(&mut self, original: &Original) {
        let receipt = self.receipt;
        let limit = original.date.saturating_add(Span::new().months(MONTHS));
        if receipt.date > limit {
            let message = format!(
                "the original is of {}, this note of {}",
                original.date, receipt.date
            );
            self.found(Code::Rcpt033, "/creditDebitNote", message);
        }
        if receipt.currency != original.currency {
            let message = format!(
                "the note is in {}, the original in {}",
                receipt.currency, original.currency
            );
            self.found(Code::Rcpt042, "/receiptCurrency", message);
        } else {
            self.within_the_rest(original);
        }
        for (id, percent) in self.used_taxes() {
            if !original.has(id, percent) {
                let percent = percent.map_or("exempt".to_owned(), |p| format!("{p} %"));
                let message = format!("the original has no tax {id} ({percent})");
                self.found(Code::Rcpt036, "/receiptLines", message);
            }
        }
    }

    /// Credits within what is left of the original; only amounts of one currency can be compared.
    fn within_the_rest(&mut self, original: &Original) {
        let receipt = self.receipt;
        if receipt.receipt_type == ReceiptType::CreditNote
            && original.remaining + receipt.total < Cents::ZERO
        {
            let message = format!(
                "the note credits {}, but only {} of the original is left",
                receipt.total.abs(),
                original.remaining
            );
            self.found(Code::Rcpt035, "/receiptTotal", message);
        }
    }
}
