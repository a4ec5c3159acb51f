//! Rules of sums: tax rows, totals, payments.

use super::Judge;
use crate::receipt::{TaxKey, TaxRow};
use crate::{Cents, Code};

impl Judge<'_> {
    /// Each tax row against what its lines give.
    pub(super) fn taxes(&mut self, computed: &[TaxRow]) {
        let receipt = self.receipt;
        for (place, row) in receipt.taxes.iter().enumerate() {
            let ours = computed.iter().find(|ours| ours.tax == row.tax);
            let Some(ours) = ours.filter(|_| !is_repeated(&receipt.taxes, place)) else {
                continue;
            };
            let at = format!("/receiptTaxes/{place}");
            if row.tax_amount != ours.tax_amount {
                let message = format!(
                    "is {}, but the lines give {}",
                    row.tax_amount, ours.tax_amount
                );
                self.found(Code::Rcpt026, format!("{at}/taxAmount"), message);
            }
            // With the tax on top, the row's own taxAmount is in it, right or wrong.
            let sales = if receipt.lines_tax_inclusive {
                ours.sales_amount_with_tax
            } else {
                ours.sales_amount_with_tax - ours.tax_amount + row.tax_amount
            };
            if row.sales_amount_with_tax != sales {
                let message = format!(
                    "is {}, but the lines give {sales}",
                    row.sales_amount_with_tax
                );
                self.found(Code::Rcpt027, format!("{at}/salesAmountWithTax"), message);
            }
        }
    }

    /// The total against lines and rows, and the rows against the lines' taxes. A row too many or too few
    /// shows in the total; only where the total is right all the same it is RCPT027.
    pub(super) fn totals(&mut self, computed: &[TaxRow]) {
        let receipt = self.receipt;
        let total = receipt.total;
        let lines: Cents = receipt.lines.iter().map(|line| line.total).sum();
        let taxes: Cents = receipt.taxes.iter().map(|row| row.tax_amount).sum();
        let sales: Cents = receipt.taxes.iter().map(|r| r.sales_amount_with_tax).sum();
        let (have_lines, have_rows) = (!receipt.lines.is_empty(), !receipt.taxes.is_empty());
        let at = "/receiptTotal";
        let found = self.findings.len();
        if have_lines && receipt.lines_tax_inclusive && total != lines {
            let message = format!("is {total}, but the lines sum to {lines}");
            self.found(Code::Rcpt019, at, message);
        }
        if have_lines && have_rows && !receipt.lines_tax_inclusive && total != lines + taxes {
            let message = format!("is {total}, but lines and taxes sum to {}", lines + taxes);
            self.found(Code::Rcpt037, at, message);
        }
        if have_rows && total != sales {
            let message = format!("is {total}, but salesAmountWithTax sums to {sales}");
            self.found(Code::Rcpt038, at, message);
        }
        if have_lines && have_rows && self.findings.len() == found {
            self.rows_without_lines(computed);
        }
        if total.signum() == -receipt.receipt_type.sign() {
            let message = format!("{total} has the wrong sign for a {}", receipt.receipt_type);
            self.found(Code::Rcpt040, at, message);
        }
        let rows = receipt.taxes.iter();
        let amounts = rows.flat_map(|row| [row.tax_amount, row.sales_amount_with_tax]);
        let largest = amounts.chain([total, sales]).map(Cents::abs).max();
        if let Some(largest) = largest.filter(|largest| *largest > Cents::MAX) {
            let message = format!("{largest} is larger than {}", Cents::MAX);
            self.found(Code::NumberTooLarge, at, message);
        }
    }

    /// Rows that no line has, a second row for a tax, and lines without a row.
    fn rows_without_lines(&mut self, computed: &[TaxRow]) {
        let receipt = self.receipt;
        for (place, row) in receipt.taxes.iter().enumerate() {
            let message = if is_repeated(&receipt.taxes, place) {
                format!("a second row for {}", show(&row.tax))
            } else if computed.iter().all(|ours| ours.tax != row.tax) {
                format!("no line has {}", show(&row.tax))
            } else {
                continue;
            };
            let at = format!("/receiptTaxes/{place}/salesAmountWithTax");
            self.found(Code::Rcpt027, at, message);
        }
        for ours in computed {
            if !receipt.taxes.iter().any(|row| row.tax == ours.tax) {
                let message = format!("no row for {}, which the lines have", show(&ours.tax));
                self.found(Code::Rcpt027, "/receiptTaxes", message);
            }
        }
    }

    pub(super) fn payments(&mut self) {
        let receipt = self.receipt;
        if receipt.payments.is_empty() {
            return;
        }
        for (place, payment) in receipt.payments.iter().enumerate() {
            if payment.amount.signum() == -receipt.receipt_type.sign() {
                let message = format!(
                    "{} has the wrong sign for a {}",
                    payment.amount, receipt.receipt_type
                );
                let at = format!("/receiptPayments/{place}/paymentAmount");
                self.found(Code::Rcpt028, at, message);
            }
        }
        let paid: Cents = receipt.payments.iter().map(|payment| payment.amount).sum();
        if paid != receipt.total {
            let message = format!("payments sum to {paid}, the total is {}", receipt.total);
            self.found(Code::Rcpt039, "/receiptPayments", message);
        }
    }
}

/// Whether a row before this one has the same tax.
fn is_repeated(rows: &[TaxRow], place: usize) -> bool {
    let tax = rows.get(place).map(|row| &row.tax);
    rows.iter().take(place).any(|row| Some(&row.tax) == tax)
}

fn show(tax: &TaxKey) -> String {
    let percent = tax
        .percent
        .map_or("exempt".to_owned(), |p| format!("{p} %"));
    let code = tax.code.as_deref().map(|c| format!(", code {c}"));
    format!("tax {} ({percent}{})", tax.id, code.unwrap_or_default())
}
