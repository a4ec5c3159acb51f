//! Rules of single lines: prices, quantities, totals, taxes, HS codes.

use std::collections::BTreeSet;

use super::{Judge, OriginalFact};
use crate::receipt::{Line, LineType};
use crate::taxpayer::Tax;
use crate::{Code, DateTime, Percent, ReceiptType, TaxId};

impl Judge<'_> {
    pub(super) fn lines(&mut self) {
        let receipt = self.receipt;
        let mut taxes_judged = BTreeSet::new();
        for (place, line) in receipt.lines.iter().enumerate() {
            let at = format!("/receiptLines/{place}");
            // Before the signs: a quantity below zero turns the total's sign, and is what is wrong.
            if line.quantity.signum() <= 0 {
                let message = format!("{} is not above zero", line.quantity);
                self.found(Code::Rcpt023, format!("{at}/receiptLineQuantity"), message);
            }
            self.signs(line, &at);
            self.line_total(line, &at);
            self.hs_code(line, &at);
            if taxes_judged.insert((line.tax.id, line.tax.percent)) {
                self.tax(line.tax.id, line.tax.percent, &at);
            }
        }
        for (place, row) in receipt.taxes.iter().enumerate() {
            if taxes_judged.insert((row.tax.id, row.tax.percent)) {
                self.tax(
                    row.tax.id,
                    row.tax.percent,
                    &format!("/receiptTaxes/{place}"),
                );
            }
        }
        let coded = receipt
            .lines
            .iter()
            .filter(|l| l.tax.code.is_some())
            .count();
        if coded != 0 && coded != receipt.lines.len() {
            let message = format!("{coded} of {} lines have a taxCode", receipt.lines.len());
            self.found(Code::Rcpt025, "/receiptLines", message);
        }
    }

    /// Sales have the receipt's sign; discounts the opposite (on notes that is our reading of the text,
    /// docs/FDMS.md section 5).
    fn signs(&mut self, line: &Line, at: &str) {
        let sale_sign = self.receipt.receipt_type.sign();
        let wanted = match line.kind {
            LineType::Sale => sale_sign,
            LineType::Discount => -sale_sign,
        };
        let judged_by_fdms =
            line.kind == LineType::Sale || self.receipt.receipt_type == ReceiptType::FiscalInvoice;
        let what = if wanted > 0 { "above" } else { "below" };
        if let Some(price) = line.price
            && i64::from(price.signum()) != wanted
        {
            let code = if judged_by_fdms {
                Code::Rcpt022
            } else {
                Code::LineSign
            };
            let message = format!(
                "{price} must be {what} zero on a {} line of a {}",
                line.kind, self.receipt.receipt_type
            );
            self.found(code, format!("{at}/receiptLinePrice"), message);
        } else if line.total.signum() == -wanted {
            let message = format!("{} must not be {} zero", line.total, other(what));
            self.found(Code::LineSign, format!("{at}/receiptLineTotal"), message);
        }
    }

    fn line_total(&mut self, line: &Line, at: &str) {
        let Some(price) = line.price else { return };
        match price.times(line.quantity) {
            Ok(total) if total == line.total => {}
            Ok(total) => {
                let message = format!(
                    "is {}, but {price} × {} is {total}",
                    line.total, line.quantity
                );
                self.found(Code::Rcpt024, format!("{at}/receiptLineTotal"), message);
            }
            Err(error) => {
                let message = format!("{price} × {} {error}", line.quantity);
                self.found(
                    Code::NumberTooLarge,
                    format!("{at}/receiptLinePrice"),
                    message,
                );
            }
        }
    }

    fn hs_code(&mut self, line: &Line, at: &str) {
        let vat_payer = self
            .facts
            .taxpayer
            .is_some_and(super::Taxpayer::is_vat_payer);
        let at = format!("{at}/receiptLineHSCode");
        let empty = line.hs_code.as_deref().is_none_or(str::is_empty);
        if vat_payer && empty {
            let message = format!("\"{}\" has no HS code", line.name);
            self.found(Code::Rcpt047, at, message);
            return;
        }
        let Some(code) = &line.hs_code else { return };
        let untaxed = line.tax.percent.is_none_or(|p| p == Percent::ZERO);
        if code.len() != 8 && (code.len() != 4 || (vat_payer && untaxed)) {
            let wanted = if vat_payer && untaxed {
                "8 digits on a zero-rated or exempt line"
            } else {
                "4 or 8 digits"
            };
            let message = format!("{code} has {} digits; it needs {wanted}", code.len());
            self.found(Code::Rcpt048, at, message);
        }
    }

    /// A tax against the configuration, or against the original of a note.
    fn tax(&mut self, id: TaxId, percent: Option<Percent>, at: &str) {
        let Some(taxpayer) = self.facts.taxpayer else {
            return;
        };
        let date = self.receipt.date;
        // A note takes its taxes from its original, whatever the configuration says today.
        let is_note = self.receipt.receipt_type.is_note();
        if is_note
            && let OriginalFact::Found(original) = self.facts.original
            && original.has(id, percent)
        {
            return;
        }
        let same: Vec<_> = taxpayer.taxes.iter().filter(|tax| tax.id == id).collect();
        let elsewhere = is_note && matches!(self.facts.original, OriginalFact::Unknown);
        let configured = same.iter().filter(|tax| tax.percent == percent);
        let is_usable = |tax: &&&Tax| elsewhere || tax.is_valid_at(date);
        if !configured.clone().any(|tax| is_usable(&tax)) {
            let message = tax_message(id, percent, &same, date);
            self.found(Code::Rcpt025, format!("{at}/taxID"), message);
        }
        let vat = configured.clone().find(|tax| tax.is_vat_above_zero());
        if let Some(tax) = vat.filter(|_| !taxpayer.is_vat_payer() && !elsewhere) {
            let message = format!(
                "tax {id} ({}) is VAT, and the taxpayer has no VAT number",
                tax.name
            );
            self.found(Code::Rcpt021, format!("{at}/taxID"), message);
        }
    }
}

fn other(what: &str) -> &'static str {
    if what == "above" { "below" } else { "above" }
}

fn tax_message(
    id: TaxId,
    percent: Option<Percent>,
    same: &[&crate::taxpayer::Tax],
    date: DateTime,
) -> String {
    let show = |percent: Option<Percent>| percent.map_or("exempt".to_owned(), |p| format!("{p} %"));
    match same {
        [] => format!("tax {id} is not configured for this taxpayer"),
        [tax, ..] if tax.percent != percent => format!(
            "tax {id} is {}, but {} was sent",
            show(tax.percent),
            show(percent)
        ),
        [tax, ..] => {
            let till = tax
                .valid_till
                .map_or("open end".to_owned(), |t| t.to_string());
            format!(
                "tax {id} is valid from {} to {till}, not at {date}",
                tax.valid_from
            )
        }
    }
}
