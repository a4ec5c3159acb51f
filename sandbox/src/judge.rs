//! The judge: which rules of docs/FDMS.md section 8 a receipt breaks.
//!
//! Pure: no clock, no storage, no network; all it must know comes in as facts. Rules that look at the
//! receipt alone and at what was known when it came ([`alone`]) are judged once; those that need the
//! previous receipt ([`chain()`]) are judged again when a missing one arrives.

use jiff::civil::DateTime;

use crate::finding::Finding;
use crate::receipt::{Receipt, ReceiptType};
use crate::settings::Settings;
use crate::spec::TaxSpec;

mod amounts;
mod chain;
mod lines;
mod notes;
mod taxes;

pub(crate) use chain::{ChainFacts, Previous, chain};
pub(crate) use notes::Original;

/// What must be known to judge a receipt by itself.
pub(crate) struct Facts<'a> {
    pub(crate) settings: &'a Settings,
    /// The sandbox's local time.
    pub(crate) now: DateTime,
    /// When the fiscal day was opened.
    pub(crate) opened: DateTime,
    /// How long it may be.
    pub(crate) day_max_hrs: u16,
    /// The device's taxes, past ones included.
    pub(crate) taxes: &'a [TaxSpec],
    /// Whether the taxpayer was a VAT payer at the receipt's date.
    pub(crate) vat_payer: bool,
    /// Whether the taxpayer has used the invoice number before.
    pub(crate) invoice_no_taken: bool,
    /// The receipt that a note refers to.
    pub(crate) original: Option<Original>,
}

/// The findings of everything but the chain, in the order of their codes.
pub(crate) fn alone(receipt: &Receipt, facts: &Facts<'_>) -> Vec<Finding> {
    let mut codes = Vec::new();
    head(receipt, facts, &mut codes);
    lines::judge(receipt, facts, &mut codes);
    taxes::judge(receipt, facts, &mut codes);
    amounts::judge(receipt, facts, &mut codes);
    notes::judge(receipt, facts, &mut codes);
    codes.sort_unstable();
    codes.dedup();
    codes.into_iter().map(Finding::of).collect()
}

/// Currency, invoice number, dates and buyer.
fn head(receipt: &Receipt, facts: &Facts<'_>, codes: &mut Vec<u8>) {
    let known = &facts.settings.currencies;
    if !known
        .iter()
        .any(|c| c.code == receipt.currency && c.is_valid_at(receipt.date))
    {
        codes.push(10);
    }
    if facts.invoice_no_taken {
        codes.push(13);
    }
    if receipt.date <= facts.opened {
        codes.push(14);
    }
    let tolerance = jiff::Span::new().seconds(facts.settings.future_tolerance_secs);
    if receipt.date > facts.now.saturating_add(tolerance) {
        codes.push(31);
    }
    let longest = jiff::Span::new().hours(facts.day_max_hrs);
    if receipt.date > facts.opened.saturating_add(longest) {
        codes.push(41);
    }
    if let Some(buyer) = &receipt.buyer {
        let empty = |text: &Option<String>| text.as_deref().is_none_or(|t| t.trim().is_empty());
        if empty(&buyer.name) || empty(&buyer.tin) {
            codes.push(43);
        }
    }
    match (receipt.kind, &receipt.reference) {
        (ReceiptType::FiscalInvoice, Some(_)) => codes.push(29),
        (ReceiptType::CreditNote | ReceiptType::DebitNote, None) => codes.push(15),
        _ => {}
    }
}
