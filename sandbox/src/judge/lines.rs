//! Rules of the lines: signs, quantities, totals, HS codes.

use super::Facts;
use crate::micro::Micro;
use crate::receipt::{Line, LineType, Receipt, ReceiptType};
use crate::settings::Settings;

pub(super) fn judge(receipt: &Receipt, facts: &Facts<'_>, codes: &mut Vec<u8>) {
    if receipt.lines.is_empty() {
        codes.push(16);
    }
    for line in &receipt.lines {
        if line
            .price
            .is_some_and(|price| has_wrong_sign(receipt.kind, line.kind, price))
        {
            codes.push(22);
        }
        if line.quantity.signum() <= 0 {
            codes.push(23);
        }
        if line
            .price
            .is_some_and(|price| !is_product(line, price, facts.settings))
        {
            codes.push(24);
        }
        codes.extend(judge_hs_code(line, facts.vat_payer));
    }
}

/// Sales are above zero on invoices and debit notes and below on credit notes; discounts are below zero
/// on invoices, and no rule covers them on notes.
fn has_wrong_sign(receipt: ReceiptType, line: LineType, price: Micro) -> bool {
    match line {
        LineType::Sale => price.signum() != receipt.sign(),
        LineType::Discount => receipt == ReceiptType::FiscalInvoice && price.signum() >= 0,
    }
}

fn is_product(line: &Line, price: Micro, settings: &Settings) -> bool {
    let product = price.times_to_cents(line.quantity);
    product.is_some_and(|product| within_tolerance(product, line.total, settings))
}

/// Whether two amounts are the same, up to the setting's cents.
pub(super) fn within_tolerance(expected: Micro, sent: Micro, settings: &Settings) -> bool {
    let tolerance = Micro::from_cents(i64::from(settings.rounding_tolerance_cents));
    (expected - sent).abs() <= tolerance
}

/// A VAT payer's line has an HS code of four or eight digits, eight where it is not taxed; others may
/// leave it out.
fn judge_hs_code(line: &Line, vat_payer: bool) -> Option<u8> {
    let code = line.hs_code.as_deref().unwrap_or_default();
    if vat_payer && code.is_empty() {
        return Some(47);
    }
    line.hs_code.as_ref()?;
    let taxed = line.tax.percent.is_some_and(|percent| percent.signum() > 0);
    let length_fits = match code.len() {
        8 => true,
        4 => taxed || !vat_payer,
        _ => false,
    };
    let digits = code.bytes().all(|c| c.is_ascii_digit());
    (!length_fits || !digits).then_some(48)
}
