//! The seven fiscal counters of a day, and what a Z report needs beside them (docs/FDMS.md section 6).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::ids::word_type;
use crate::receipt::{Receipt, ReceiptType};
use crate::{Cents, Currency, MoneyType, Percent, TaxId};

word_type!(
    /// A counter's type (`fiscalCounterType`), in the order of the signing string.
    CounterType {
        /// Sales, tax included, by tax.
        SaleByTax,
        /// The tax of sales, by tax.
        SaleTaxByTax,
        /// Credit notes, tax included, by tax; negative.
        CreditNoteByTax,
        /// The tax of credit notes, by tax; negative.
        CreditNoteTaxByTax,
        /// Debit notes, tax included, by tax.
        DebitNoteByTax,
        /// The tax of debit notes, by tax.
        DebitNoteTaxByTax,
        /// What was paid, by money type.
        BalanceByMoneyType,
    }
);

/// What a counter is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// A tax: its number and percent (`None` is exempt). Two codes of one tax count together.
    Tax(TaxId, Option<Percent>),
    /// A money type.
    Money(MoneyType),
}

/// Which counter; the order is that of the signing string: type, currency, then tax or money type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// Its type.
    pub counter_type: CounterType,
    /// Its currency.
    pub currency: Currency,
    /// Its tax or money type.
    pub by: By,
}

impl CounterKey {
    /// TYPE, CURRENCY and percent or MONEYTYPE, as they stand in the signing string.
    #[must_use]
    pub fn signing_prefix(&self) -> String {
        let by = match self.by {
            By::Tax(_, percent) => percent.map(Percent::fixed).unwrap_or_default(),
            By::Money(money) => money.as_str().to_ascii_uppercase(),
        };
        format!(
            "{}{}{by}",
            self.counter_type.as_str().to_ascii_uppercase(),
            self.currency
        )
    }
}

/// The counters of one fiscal day, zero at its opening.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters(BTreeMap<CounterKey, Cents>);

impl Counters {
    /// Adds a value to a counter.
    pub fn add(&mut self, key: CounterKey, value: Cents) {
        *self.0.entry(key).or_default() += value;
    }

    /// Adds all that a receipt feeds.
    pub fn add_receipt(&mut self, receipt: &Receipt) {
        let (sales, taxes) = match receipt.receipt_type {
            ReceiptType::FiscalInvoice => (CounterType::SaleByTax, CounterType::SaleTaxByTax),
            ReceiptType::CreditNote => (
                CounterType::CreditNoteByTax,
                CounterType::CreditNoteTaxByTax,
            ),
            ReceiptType::DebitNote => (CounterType::DebitNoteByTax, CounterType::DebitNoteTaxByTax),
        };
        let currency = receipt.currency;
        for row in &receipt.taxes {
            let by = By::Tax(row.tax.id, row.tax.percent);
            let key = |counter_type| CounterKey {
                counter_type,
                currency,
                by,
            };
            self.add(key(sales), row.sales_amount_with_tax);
            self.add(key(taxes), row.tax_amount);
        }
        for payment in &receipt.payments {
            let key = CounterKey {
                counter_type: CounterType::BalanceByMoneyType,
                currency,
                by: By::Money(payment.money_type),
            };
            self.add(key, payment.amount);
        }
    }

    /// The counters that are sent and signed: those that are not zero, in order.
    pub fn non_zero(&self) -> impl Iterator<Item = (&CounterKey, Cents)> {
        self.0
            .iter()
            .filter(|(_, value)| **value != Cents::ZERO)
            .map(|(key, value)| (key, *value))
    }

    /// The value of a counter; zero when nothing fed it.
    #[must_use]
    pub fn get(&self, key: &CounterKey) -> Cents {
        self.0.get(key).copied().unwrap_or_default()
    }
}

/// How many documents of a type and currency a day had, and their total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Documents {
    /// How many.
    pub quantity: u32,
    /// Sum of `receiptTotal`.
    pub total: Cents,
}

/// Everything that is summed over a fiscal day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayTotals {
    /// The counters that FDMS wants.
    pub counters: Counters,
    /// Documents by currency and type, for X and Z reports (docs/FDMS.md section 9).
    pub documents: BTreeMap<(Currency, ReceiptType), Documents>,
}

impl DayTotals {
    /// Adds a receipt.
    pub fn add_receipt(&mut self, receipt: &Receipt) {
        self.counters.add_receipt(receipt);
        let documents = self
            .documents
            .entry((receipt.currency, receipt.receipt_type))
            .or_default();
        documents.quantity += 1;
        documents.total += receipt.total;
    }

    /// The totals as compact text for the ledger; [`DayTotals::parse`] reads it back.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(256);
        // Writing to a String cannot fail.
        for (key, value) in &self.counters.0 {
            let _ = write!(out, "{} {} ", key.counter_type, key.currency);
            let _ = match key.by {
                By::Tax(id, None) => write!(out, "{id}"),
                By::Tax(id, Some(percent)) => write!(out, "{id}@{percent}"),
                By::Money(money) => write!(out, "{money}"),
            };
            let _ = writeln!(out, " {}", value.get());
        }
        for ((currency, receipt_type), documents) in &self.documents {
            let (quantity, total) = (documents.quantity, documents.total.get());
            let _ = writeln!(out, "{receipt_type} {currency} {quantity} {total}");
        }
        out
    }

    /// Reads what [`DayTotals::to_text`] wrote; `None` if the text is damaged.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut totals = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (kind, currency) = (words.next()?, Currency::parse(words.next()?)?);
            let (by, value) = (words.next()?, Cents::new(words.next()?.parse().ok()?));
            if let Some(counter_type) = CounterType::parse(kind) {
                let key = CounterKey {
                    counter_type,
                    currency,
                    by: parse_by(by)?,
                };
                totals.counters.0.insert(key, value);
            } else {
                let documents = Documents {
                    quantity: by.parse().ok()?,
                    total: value,
                };
                totals
                    .documents
                    .insert((currency, ReceiptType::parse(kind)?), documents);
            }
        }
        Some(totals)
    }
}

fn parse_by(text: &str) -> Option<By> {
    if let Some(money) = MoneyType::parse(text) {
        return Some(By::Money(money));
    }
    let (id, percent) = match text.split_once('@') {
        Some((id, percent)) => (id, Some(Percent::parse(percent).ok()?)),
        None => (text, None),
    };
    Some(By::Tax(TaxId::new(id.parse().ok()?)?, percent))
}
