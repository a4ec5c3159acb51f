//! Fiscal days and reports as they are answered.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Exact, Fdms, Print};

/// A fiscal day.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Day {
    /// The till.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// The till's serial number.
    pub device_serial_no: String,
    /// Its number.
    pub fiscal_day_no: u32,
    /// `open` or `closed`.
    pub state: String,
    /// When it was opened.
    pub fiscal_day_opened: String,
    /// When it was closed.
    pub fiscal_day_closed: Option<String>,
    /// Of an open day: the last moment at which it takes receipts.
    pub longest_until: Option<String>,
    /// Number of its last receipt within it.
    pub receipt_counter: u32,
    /// The counters that FDMS is sent.
    pub fiscal_day_counters: Vec<Counter>,
    /// Of a closed day: SHA-256 of what was signed, base64.
    pub hash: Option<String>,
    /// Of a closed day: the till's signature, base64.
    pub signature: Option<String>,
    /// Where opening and close stand with FDMS.
    pub fdms: DayFdms,
    /// Of a day that was closed by hand at FDMS: what FDMS has otherwise.
    pub reconciliation: Option<super::Reconciliation>,
    /// Of a day that FDMS did not close: why, and what there is to compare.
    pub close_failed: Option<super::CloseFailed>,
}

/// Where a day stands with FDMS.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DayFdms {
    /// Its opening.
    pub opening: Fdms,
    /// Its close.
    pub close: Option<Fdms>,
}

/// A fiscal counter.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counter {
    /// Which one.
    pub fiscal_counter_type: String,
    /// Its currency.
    pub fiscal_counter_currency: String,
    /// The tax's percent; absent for exempt.
    pub fiscal_counter_tax_percent: Option<Exact>,
    /// The tax.
    #[serde(rename = "fiscalCounterTaxID")]
    pub fiscal_counter_tax_id: Option<u32>,
    /// How it was paid, on balances.
    pub fiscal_counter_money_type: Option<String>,
    /// Its value.
    pub fiscal_counter_value: Exact,
}

/// An X or Z report.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// `X` or `Z`.
    pub report: String,
    /// The till.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// The till's serial number.
    pub device_serial_no: String,
    /// The day.
    pub fiscal_day_no: u32,
    /// `open` or `closed`.
    pub state: String,
    /// When it was opened.
    pub fiscal_day_opened: String,
    /// When it was closed.
    pub fiscal_day_closed: Option<String>,
    /// Of an open day: the last moment at which it takes receipts.
    pub longest_until: Option<String>,
    /// Number of its last receipt within it.
    pub receipt_counter: u32,
    /// The counters that FDMS is sent.
    pub fiscal_day_counters: Vec<Counter>,
    /// Of a closed day: SHA-256 of what was signed, base64.
    pub hash: Option<String>,
    /// Of a closed day: the till's signature, base64.
    pub signature: Option<String>,
    /// Where opening and close stand with FDMS.
    pub fdms: DayFdms,
    /// The figures of each currency, alphabetically.
    pub currencies: Vec<CurrencyFigures>,
    /// The report as paper.
    pub print: Print,
}

/// The figures of one currency.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CurrencyFigures {
    /// The currency.
    pub currency: String,
    /// By tax: the highest percent first, exempt last.
    pub taxes: Vec<TaxFigures>,
    /// Sales less tax.
    pub net: Exact,
    /// The taxes.
    pub tax: Exact,
    /// Sales, tax included.
    pub gross: Exact,
    /// Invoices.
    pub invoices: Documents,
    /// Credit notes.
    pub credit_notes: Documents,
    /// Debit notes.
    pub debit_notes: Documents,
    /// All documents.
    pub documents: Documents,
}

/// The figures of one tax.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaxFigures {
    /// The tax.
    #[serde(rename = "taxID")]
    pub tax_id: u32,
    /// Its name.
    pub tax_name: String,
    /// Its percent; absent for exempt.
    pub tax_percent: Option<Exact>,
    /// Sales less tax.
    pub net: Exact,
    /// The tax.
    pub tax: Exact,
    /// Sales, tax included.
    pub gross: Exact,
}

/// How many documents, and their total.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Documents {
    /// How many.
    pub quantity: u32,
    /// Their total.
    pub total: Exact,
}
