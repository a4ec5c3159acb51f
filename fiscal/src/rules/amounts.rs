//! Rules of sums: tax rows, totals, payments.

use super::Judge;
use crate::compose::tax_rows;
use crate::receipt::TaxKey;
use crate::{Cents, Code};

impl Judge<'_> {
    /// Each tax row against the lines it sums.
    pub(super) fn taxes(&mut self) {
        let receipt = self.receipt;
        if receipt.taxes.is_empty() {
            return;
        }
        let computed = tax_rows(&receipt.lines, receipt.lines_tax_inclusive);
        for (place, row) in receipt.taxes.iter().enumerate() {
            let at = format!("/receiptTaxes/{place}");
            let repeated = receipt.taxes.iter().take(place).any(|r| r.tax == row.tax);
            let ours = computed.iter().find(|ours| ours.tax == row.tax);
            let Some(ours) = ours.filter(|_| !repeated) else {
                let message = if repeated {
                    format!("a second row for {}", show(&row.tax))
                } else {
                    format!("no line has {}", show(&row.tax))
                };
                self.found(Code::Rcpt027, format!("{at}/salesAmountWithTax"), message);
                continue;
            };
            if row.tax_amount != ours.tax_amount {
                let message = format!(
                    "is {}, but the lines give {}",
                    row.tax_amount, ours.tax_amount
                );
                self.found(Code::Rcpt026, format!("{at}/taxAmount"), message);
            }
            if row.sales_amount_with_tax != ours.sales_amount_with_tax {
                let message = format!(
                    "is {}, but the lines give {}",
                    row.sales_amount_with_tax, ours.sales_amount_with_tax
                );
                self.found(Code::Rcpt027, format!("{at}/salesAmountWithTax"), message);
            }
        }
        for ours in &computed {
            if !receipt.taxes.iter().any(|row| row.tax == ours.tax) {
                let message = format!("no row for {}, which the lines have", show(&ours.tax));
                self.found(Code::Rcpt027, "/receiptTaxes", message);
            }
        }
    }

    pub(super) fn totals(&mut self) {
        let receipt = self.receipt;
        if receipt.lines.is_empty() || receipt.taxes.is_empty() {
            return;
        }
        let lines: Cents = receipt.lines.iter().map(|line| line.total).sum();
        let taxes: Cents = receipt.taxes.iter().map(|row| row.tax_amount).sum();
        let sales: Cents = receipt.taxes.iter().map(|r| r.sales_amount_with_tax).sum();
        let total = receipt.total;
        let at = "/receiptTotal";
        if receipt.lines_tax_inclusive && total != lines {
            let message = format!("is {total}, but the lines sum to {lines}");
            self.found(Code::Rcpt019, at, message);
        }
        if !receipt.lines_tax_inclusive && total != lines + taxes {
            let message = format!("is {total}, but lines and taxes sum to {}", lines + taxes);
            self.found(Code::Rcpt037, at, message);
        }
        if total != sales {
            let message = format!("is {total}, but salesAmountWithTax sums to {sales}");
            self.found(Code::Rcpt038, at, message);
        }
        if total.signum() == -receipt.receipt_type.sign() {
            let message = format!("{total} has the wrong sign for a {}", receipt.receipt_type);
            self.found(Code::Rcpt040, at, message);
        }
        if total.abs() > Cents::MAX || sales.abs() > Cents::MAX {
            let message = format!("{total} is larger than {}", Cents::MAX);
            self.found(Code::NumberTooLarge, at, message);
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

fn show(tax: &TaxKey) -> String {
    let percent = tax
        .percent
        .map_or("exempt".to_owned(), |p| format!("{p} %"));
    let code = tax.code.as_deref().map(|c| format!(", code {c}"));
    format!("tax {} ({percent}{})", tax.id, code.unwrap_or_default())
}
