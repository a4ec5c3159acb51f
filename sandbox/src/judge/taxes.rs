//! Rules of the taxes: which may be used, and what each row must amount to.
//!
//! A row belongs to the lines with the same taxID, percent and code, and is rounded once, halves away
//! from zero. A row without lines, or lines without a row, show in the totals (RCPT019, RCPT037,
//! RCPT038); where the totals come out right nevertheless, they are RCPT027.

use std::collections::BTreeMap;

use super::lines::within_tolerance;
use super::{Facts, amounts};
use crate::micro::Micro;
use crate::receipt::{Receipt, TaxKey, TaxRow};
use crate::settings::ExpiredTaxOnNote;
use crate::spec::TaxSpec;

pub(super) fn judge(receipt: &Receipt, facts: &Facts<'_>, codes: &mut Vec<u8>) {
    for tax in used(receipt) {
        judge_use(receipt, tax, facts, codes);
    }
    if has_mixed_codes(receipt) {
        codes.push(25);
    }
    if receipt.taxes.is_empty() {
        codes.push(17);
    } else if !receipt.lines.is_empty() {
        judge_rows(receipt, facts, codes);
    }
}

/// The taxes of lines and rows.
fn used(receipt: &Receipt) -> impl Iterator<Item = &TaxKey> {
    let lines = receipt.lines.iter().map(|line| &line.tax);
    lines.chain(receipt.taxes.iter().map(|row| &row.tax))
}

/// Whether the tax may be used on this receipt at all.
fn judge_use(receipt: &Receipt, tax: &TaxKey, facts: &Facts<'_>, codes: &mut Vec<u8>) {
    let mut configured = facts.taxes.iter().filter(|known| matches(known, tax));
    let of_original = facts
        .original
        .as_ref()
        .map(|original| original.has_tax(tax));
    if of_original == Some(false) {
        codes.push(36);
    }
    let excused = of_original == Some(true)
        && facts.settings.expired_tax_on_note == ExpiredTaxOnNote::OriginalCounts;
    let valid = configured
        .clone()
        .any(|known| known.is_valid_at(receipt.date));
    if (!valid && !excused) || tax.code.as_deref() == Some("") {
        codes.push(25);
    }
    let vat = configured.any(TaxSpec::is_vat_above_zero);
    if vat && !facts.vat_payer && of_original != Some(true) {
        codes.push(21);
    }
}

fn matches(known: &TaxSpec, tax: &TaxKey) -> bool {
    known.tax_id == tax.id && known.tax_percent == tax.percent
}

/// Codes are on all lines or on none.
fn has_mixed_codes(receipt: &Receipt) -> bool {
    let with = receipt.lines.iter().filter(|line| line.tax.code.is_some());
    let with = with.count();
    with != 0 && with != receipt.lines.len()
}

fn judge_rows(receipt: &Receipt, facts: &Facts<'_>, codes: &mut Vec<u8>) {
    let mut groups: BTreeMap<&TaxKey, Micro> = BTreeMap::new();
    for line in &receipt.lines {
        let sum = groups.entry(&line.tax).or_default();
        *sum = *sum + line.total;
    }
    let mut orphans = false;
    for row in &receipt.taxes {
        match groups.remove(&row.tax) {
            Some(sum) => judge_row(receipt.inclusive, row, sum, facts, codes),
            None => orphans = true,
        }
    }
    orphans |= !groups.is_empty();
    if orphans && !amounts::totals_disagree(receipt) {
        codes.push(27);
    }
}

fn judge_row(inclusive: bool, row: &TaxRow, sum: Micro, facts: &Facts<'_>, codes: &mut Vec<u8>) {
    let settings = facts.settings;
    let tax = expected_tax(inclusive, sum, row.tax.percent);
    if !tax.is_some_and(|tax| within_tolerance(tax, row.tax_amount, settings)) {
        codes.push(26);
    }
    let sales = if inclusive { sum } else { sum + row.tax_amount };
    if !within_tolerance(sales, row.sales_with_tax, settings) {
        codes.push(27);
    }
}

/// The tax in, or on top of, the sum of a row's lines; none when it is beyond all bounds.
fn expected_tax(inclusive: bool, sum: Micro, percent: Option<Micro>) -> Option<Micro> {
    let hundred = Micro::from_cents(10_000);
    match percent {
        Some(percent) if percent.signum() > 0 => {
            let base = if inclusive {
                hundred + percent
            } else {
                hundred
            };
            sum.share_to_cents(percent, base)
        }
        _ => Some(Micro::ZERO),
    }
}
