//! The seven counters of a fiscal day: the sandbox's own sums, and what a device reports.
//!
//! Each stored receipt adds to the sums; at the close the device's list must be the same
//! (docs/FDMS.md section 6). Rows are keyed and ordered as the close signature wants them: type,
//! currency, then tax or money type.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::json::{self, Errors, Object};
use crate::micro::Micro;
use crate::receipt::{MoneyType, Receipt, ReceiptType};

/// The kinds of counters, in the order of the signing string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum CounterType {
    #[default]
    SaleByTax,
    SaleTaxByTax,
    CreditNoteByTax,
    CreditNoteTaxByTax,
    DebitNoteByTax,
    DebitNoteTaxByTax,
    BalanceByMoneyType,
    PayoutByTax,
    PayoutTaxByTax,
}

impl CounterType {
    const NAMES: [(&'static str, Self); 9] = [
        ("SaleByTax", Self::SaleByTax),
        ("SaleTaxByTax", Self::SaleTaxByTax),
        ("CreditNoteByTax", Self::CreditNoteByTax),
        ("CreditNoteTaxByTax", Self::CreditNoteTaxByTax),
        ("DebitNoteByTax", Self::DebitNoteByTax),
        ("DebitNoteTaxByTax", Self::DebitNoteTaxByTax),
        ("BalanceByMoneyType", Self::BalanceByMoneyType),
        ("PayoutByTax", Self::PayoutByTax),
        ("PayoutTaxByTax", Self::PayoutTaxByTax),
    ];

    fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }

    /// The counters of sales and of their taxes that a receipt of this type adds to.
    fn of_receipt(kind: ReceiptType) -> (Self, Self) {
        match kind {
            ReceiptType::FiscalInvoice => (Self::SaleByTax, Self::SaleTaxByTax),
            ReceiptType::CreditNote => (Self::CreditNoteByTax, Self::CreditNoteTaxByTax),
            ReceiptType::DebitNote => (Self::DebitNoteByTax, Self::DebitNoteTaxByTax),
        }
    }
}

/// What a counter counts. The order of the fields is the order of the signing string.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CounterKey {
    pub(crate) kind: CounterType,
    pub(crate) currency: String,
    pub(crate) tax_id: Option<i32>,
    pub(crate) percent: Option<Micro>,
    pub(crate) money: Option<MoneyType>,
}

/// Sums by key; those that are zero may be in it and mean nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters(pub(crate) BTreeMap<CounterKey, Micro>);

impl Counters {
    /// Adds what a receipt contributes.
    pub(crate) fn add(&mut self, receipt: &Receipt) {
        let (sales, taxes) = CounterType::of_receipt(receipt.kind);
        for row in &receipt.taxes {
            let key = |kind| CounterKey {
                kind,
                currency: receipt.currency.clone(),
                tax_id: Some(row.tax.id),
                percent: row.tax.percent,
                money: None,
            };
            self.increase(key(sales), row.sales_with_tax);
            self.increase(key(taxes), row.tax_amount);
        }
        for payment in &receipt.payments {
            let key = CounterKey {
                kind: CounterType::BalanceByMoneyType,
                currency: receipt.currency.clone(),
                tax_id: None,
                percent: None,
                money: Some(payment.money),
            };
            self.increase(key, payment.amount);
        }
    }

    fn increase(&mut self, key: CounterKey, by: Micro) {
        let value = self.0.entry(key).or_default();
        *value = *value + by;
    }

    /// Those that are not zero, in the order of the signing string.
    pub(crate) fn non_zero(&self) -> impl Iterator<Item = (&CounterKey, Micro)> {
        self.0
            .iter()
            .filter(|(_, value)| value.signum() != 0)
            .map(|(key, value)| (key, *value))
    }

    /// As GetStatus lists them.
    pub(crate) fn list(&self) -> Vec<CounterRow> {
        self.non_zero()
            .map(|(key, value)| CounterRow {
                fiscal_counter_type: key.kind.name(),
                fiscal_counter_currency: key.currency.clone(),
                fiscal_counter_tax_percent: key.percent,
                fiscal_counter_tax_id: key.tax_id,
                fiscal_counter_money_type: key.money.map(MoneyType::name),
                fiscal_counter_value: value,
            })
            .collect()
    }

    /// The counters' part of the close signature.
    pub(crate) fn signing_text(&self) -> String {
        let mut text = String::new();
        for (key, value) in self.non_zero() {
            text.push_str(&key.kind.name().to_uppercase());
            text.push_str(&key.currency.to_uppercase());
            match (key.money, key.percent) {
                (Some(money), _) => text.push_str(&money.name().to_uppercase()),
                (None, Some(percent)) => text.push_str(&percent.two_decimals()),
                (None, None) => {}
            }
            text.push_str(&value.cents().to_string());
        }
        text
    }
}

/// A counter as it travels.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CounterRow {
    fiscal_counter_type: &'static str,
    fiscal_counter_currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fiscal_counter_tax_percent: Option<Micro>,
    #[serde(rename = "fiscalCounterTaxID", skip_serializing_if = "Option::is_none")]
    fiscal_counter_tax_id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fiscal_counter_money_type: Option<&'static str>,
    fiscal_counter_value: Micro,
}

/// The counters of a CloseDay message, and whether a row came twice or was zero.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReportedCounters {
    pub(crate) counters: Counters,
    pub(crate) has_repeated: bool,
    pub(crate) has_zero: bool,
}

impl ReportedCounters {
    pub(crate) fn read(message: &Object<'_>, errors: &mut Errors) -> Self {
        let rows = message.required_list(errors, "fiscalDayCounters", read_row);
        let mut reported = Self::default();
        for (key, value) in rows {
            reported.has_zero |= value.signum() == 0;
            reported.has_repeated |= reported.counters.0.insert(key, value).is_some();
        }
        reported
    }

    /// Whether these are the sandbox's own sums.
    pub(crate) fn agree_with(&self, own: &Counters) -> bool {
        !self.has_repeated && self.counters.non_zero().eq(own.non_zero())
    }
}

fn read_row(item: &Object<'_>, errors: &mut Errors) -> (CounterKey, Micro) {
    let key = CounterKey {
        kind: item.required(
            errors,
            "fiscalCounterType",
            json::one_of(&CounterType::NAMES),
        ),
        currency: item.required(errors, "fiscalCounterCurrency", json::text(3)),
        tax_id: item.optional(errors, "fiscalCounterTaxID", json::integer),
        percent: item.optional(errors, "fiscalCounterTaxPercent", json::percent),
        money: item.optional(
            errors,
            "fiscalCounterMoneyType",
            json::one_of(&MoneyType::NAMES),
        ),
    };
    let value = item.required(errors, "fiscalCounterValue", json::amount);
    (key, value)
}
