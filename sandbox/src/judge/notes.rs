//! Rules of credit and debit notes: the original, its age, what is left of it, its currency and taxes.

use jiff::ToSpan;
use jiff::civil::DateTime;

use super::Facts;
use crate::micro::Micro;
use crate::receipt::{Receipt, ReceiptType, TaxKey};

/// What must be known of the invoice that a note refers to.
#[derive(Debug, Clone)]
pub(crate) struct Original {
    pub(crate) date: DateTime,
    pub(crate) currency: String,
    /// What can still be credited: the total, less earlier credits, plus earlier debits.
    pub(crate) left: Micro,
    /// taxID and percent of its rows.
    pub(crate) taxes: Vec<(i32, Option<Micro>)>,
}

impl Original {
    /// Whether the tax is one of the original's, whatever its code.
    pub(crate) fn has_tax(&self, tax: &TaxKey) -> bool {
        self.taxes.contains(&(tax.id, tax.percent))
    }
}

pub(super) fn judge(receipt: &Receipt, facts: &Facts<'_>, codes: &mut Vec<u8>) {
    if !receipt.kind.is_note() {
        return;
    }
    if receipt
        .notes
        .as_deref()
        .is_none_or(|notes| notes.trim().is_empty())
    {
        codes.push(34);
    }
    let Some(original) = &facts.original else {
        if receipt.reference.is_some() {
            codes.push(32);
        }
        return;
    };
    if receipt.date > original.date.saturating_add(12.months()) {
        codes.push(33);
    }
    if receipt.currency != original.currency {
        codes.push(42);
    } else if receipt.kind == ReceiptType::CreditNote && -receipt.total > original.left {
        codes.push(35);
    }
}
