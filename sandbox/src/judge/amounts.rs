//! Rules of the totals and payments.

use super::Facts;
use crate::micro::Micro;
use crate::receipt::Receipt;

pub(super) fn judge(receipt: &Receipt, _facts: &Facts<'_>, codes: &mut Vec<u8>) {
    if let Some(code) = against_lines(receipt) {
        codes.push(code);
    }
    if disagrees_with_rows(receipt) {
        codes.push(38);
    }
    let against_sign = |amount: Micro| amount.signum() == -receipt.kind.sign();
    if receipt.payments.is_empty() {
        codes.push(18);
    } else if receipt.payments.iter().map(|p| p.amount).sum::<Micro>() != receipt.total {
        codes.push(39);
    }
    if receipt.payments.iter().any(|p| against_sign(p.amount)) {
        codes.push(28);
    }
    if against_sign(receipt.total) {
        codes.push(40);
    }
}

/// Whether a rule on the receipt's total is broken.
pub(super) fn totals_disagree(receipt: &Receipt) -> bool {
    against_lines(receipt).is_some() || disagrees_with_rows(receipt)
}

/// RCPT019 or RCPT037. A receipt without lines, or an exclusive one without taxes, has nothing to be
/// compared with.
fn against_lines(receipt: &Receipt) -> Option<u8> {
    let lines: Micro = receipt.lines.iter().map(|line| line.total).sum();
    let taxes: Micro = receipt.taxes.iter().map(|row| row.tax_amount).sum();
    if receipt.lines.is_empty() || (!receipt.inclusive && receipt.taxes.is_empty()) {
        return None;
    }
    if receipt.inclusive {
        (receipt.total != lines).then_some(19)
    } else {
        (receipt.total != lines + taxes).then_some(37)
    }
}

/// RCPT038; a receipt without tax rows has nothing to be compared with.
fn disagrees_with_rows(receipt: &Receipt) -> bool {
    let rows: Micro = receipt.taxes.iter().map(|row| row.sales_with_tax).sum();
    !receipt.taxes.is_empty() && rows != receipt.total
}
