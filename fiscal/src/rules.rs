//! The authority's rules for a receipt, judged before it is sent (docs/FDMS.md section 8).
//!
//! One function serves the gateway, which refuses a sale that FDMS would mark, and `fiscald inspect`.
//! Facts that are not known are not judged. Each finding has FDMS's code, the field it points at and both
//! values where two disagree.

use std::collections::BTreeSet;

use crate::day::last_moment;
use crate::receipt::Receipt;
use crate::sums::tax_rows;
use crate::taxpayer::Taxpayer;
use crate::{
    Cents, Code, Currency, DateTime, Finding, Percent, ReceiptCounter, ReceiptGlobalNo, TaxId,
};

mod amounts;
mod lines;
mod notes;

/// The original of a note, as far as it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// When it was issued.
    pub date: DateTime,
    /// Its currency.
    pub currency: Currency,
    /// Its taxes.
    pub taxes: Vec<(TaxId, Option<Percent>)>,
    /// Its total, less earlier credits, plus earlier debits.
    pub remaining: Cents,
}

impl Original {
    /// Whether a note may use a tax because this has it (docs/FDMS.md section 5).
    fn has(&self, id: TaxId, percent: Option<Percent>) -> bool {
        self.taxes.contains(&(id, percent))
    }
}

/// What is known of a note's original.
#[derive(Debug, Clone, Copy, Default)]
pub enum OriginalFact<'a> {
    /// Nothing: it is in another ledger, or nobody has looked.
    #[default]
    Unknown,
    /// It does not exist.
    Missing,
    /// Here it is.
    Found(&'a Original),
}

/// The receipt before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// Its number in this day; zero when this is the day's first.
    pub counter: ReceiptCounter,
    /// Its number for the device's life; zero when this is the device's first.
    pub global_no: ReceiptGlobalNo,
    /// Its date; `None` when this is the device's first.
    pub date: Option<DateTime>,
}

/// The fiscal day that the receipt belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// When it was opened.
    pub opened: DateTime,
    /// How long it may last.
    pub max_hours: u32,
}

/// What a receipt is judged against; what is `None` is not judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The taxpayer and the taxes.
    pub taxpayer: Option<&'a Taxpayer>,
    /// The currencies that may be used.
    pub currencies: Option<&'a [Currency]>,
    /// The receipt before.
    pub previous: Option<Previous>,
    /// The fiscal day.
    pub day: Option<Day>,
    /// The time that is trusted.
    pub now: Option<DateTime>,
    /// The original of a note.
    pub original: OriginalFact<'a>,
    /// Whether `invoiceNo` has never been used.
    pub invoice_no_is_new: Option<bool>,
}

/// Judges a receipt. An empty answer means that FDMS will find nothing either, as far as the facts reach.
#[must_use]
pub fn judge(receipt: &Receipt, facts: &Facts<'_>) -> Vec<Finding> {
    let mut judge = Judge {
        receipt,
        facts,
        findings: Vec::new(),
    };
    judge.head();
    judge.rows_there();
    judge.buyer();
    judge.lines();
    let computed = tax_rows(&receipt.lines, receipt.lines_tax_inclusive);
    judge.taxes(&computed);
    judge.totals(&computed);
    judge.payments();
    judge.notes();
    judge.sequence();
    judge.findings
}

struct Judge<'a> {
    receipt: &'a Receipt,
    facts: &'a Facts<'a>,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn found(&mut self, code: Code, pointer: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding::new(code, pointer, message));
    }

    fn head(&mut self) {
        let currency = self.receipt.currency;
        // What was sold in a currency can be taken back in it, also when nothing is sold in it any more.
        let is_originals = matches!(self.facts.original, OriginalFact::Found(original) if original.currency == currency);
        if let Some(all) = self.facts.currencies
            && !all.contains(&currency)
            && !is_originals
        {
            let all: Vec<&str> = all.iter().map(Currency::as_str).collect();
            let message = format!("{currency} is not one of {}", all.join(", "));
            self.found(Code::Rcpt010, "/receiptCurrency", message);
        }
        if self.facts.invoice_no_is_new == Some(false) {
            let message = format!("\"{}\" has been used before", self.receipt.invoice_no);
            self.found(Code::Rcpt013, "/invoiceNo", message);
        }
    }

    fn rows_there(&mut self) {
        let receipt = self.receipt;
        if receipt.lines.is_empty() {
            self.found(Code::Rcpt016, "/receiptLines", "the receipt has no lines");
        }
        if receipt.taxes.is_empty() {
            self.found(
                Code::Rcpt017,
                "/receiptTaxes",
                "the receipt has no tax rows",
            );
        }
        if receipt.payments.is_empty() {
            self.found(
                Code::Rcpt018,
                "/receiptPayments",
                "the receipt has no payments",
            );
        }
    }

    fn buyer(&mut self) {
        let Some(buyer) = &self.receipt.buyer else {
            return;
        };
        if buyer.buyer_register_name.is_none() {
            self.found(
                Code::Rcpt043,
                "/buyerData/buyerRegisterName",
                "the buyer has no name",
            );
        }
        if buyer.buyer_tin.is_none() {
            self.found(Code::Rcpt043, "/buyerData/buyerTIN", "the buyer has no TIN");
        }
    }

    /// Numbers and dates: the gateway's own, so a finding here is a defect unless it is RCPT041.
    fn sequence(&mut self) {
        let receipt = self.receipt;
        if let Some(previous) = self.facts.previous {
            if receipt.counter != previous.counter.next() {
                let message = format!(
                    "is {}, the receipt before has {}",
                    receipt.counter, previous.counter
                );
                self.found(Code::Rcpt011, "/receiptCounter", message);
            }
            let restarts = receipt.global_no.get() == 1 && previous.counter == ReceiptCounter::ZERO;
            if receipt.global_no != previous.global_no.next() && !restarts {
                let message = format!(
                    "is {}, the receipt before has {}",
                    receipt.global_no, previous.global_no
                );
                self.found(Code::Rcpt012, "/receiptGlobalNo", message);
            }
            if let Some(before) = previous.date
                && receipt.date <= before
            {
                let message = format!("{} is not later than {before}", receipt.date);
                self.found(Code::Rcpt030, "/receiptDate", message);
            }
        }
        if let Some(day) = self.facts.day {
            if receipt.date <= day.opened {
                let message = format!("{} is not after the opening {}", receipt.date, day.opened);
                self.found(Code::Rcpt014, "/receiptDate", message);
            }
            let last = last_moment(day.opened, day.max_hours);
            if receipt.date > last {
                let message = format!(
                    "{} is more than {} hours after the opening {}",
                    receipt.date, day.max_hours, day.opened
                );
                self.found(Code::Rcpt041, "/receiptDate", message);
            }
        }
        if let Some(now) = self.facts.now
            && receipt.date > now
        {
            let message = format!("{} is in the future of {now}", receipt.date);
            self.found(Code::Rcpt031, "/receiptDate", message);
        }
    }

    /// The taxes of the receipt, each once.
    fn used_taxes(&self) -> BTreeSet<(TaxId, Option<Percent>)> {
        let lines = self.receipt.lines.iter().map(|l| (l.tax.id, l.tax.percent));
        let rows = self.receipt.taxes.iter().map(|r| (r.tax.id, r.tax.percent));
        lines.chain(rows).collect()
    }
}
