//! X and Z reports of a fiscal day: figures, and the same as paper (docs/FDMS.md section 9).
//!
//! Everything comes from the day's counters, so that the paper can never say something else than what is
//! reported to FDMS. Net is each …ByTax counter less its …TaxByTax, over sales, credit and debit notes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::counters::{By, CounterType, DayTotals, Documents};
use crate::paper::{Block, facts, seller};
use crate::taxpayer::Taxpayer;
use crate::{Cents, Currency, DateTime, DeviceId, FiscalDayNo, Percent, ReceiptType, TaxId};

/// Everything that a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct DayReport<'a> {
    /// The seller.
    pub taxpayer: &'a Taxpayer,
    /// The till.
    pub device: DeviceId,
    /// The fiscal day.
    pub fiscal_day: FiscalDayNo,
    /// When it was opened.
    pub opened: DateTime,
    /// When it was closed: then it is a Z report, else an X report.
    pub closed: Option<DateTime>,
    /// The day's sums.
    pub totals: &'a DayTotals,
    /// Whether the till is one of the test environment: headed TEST.
    pub test: bool,
}

/// The figures of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrencyFigures {
    /// The currency.
    pub currency: Currency,
    /// By tax: the highest percent first, exempt last.
    pub taxes: Vec<TaxFigures>,
    /// Sum of the net amounts.
    pub net: Cents,
    /// Sum of the taxes.
    pub tax: Cents,
    /// Sum of the gross amounts.
    pub gross: Cents,
    /// Invoices.
    pub invoices: Documents,
    /// Credit notes.
    pub credit_notes: Documents,
    /// Debit notes.
    pub debit_notes: Documents,
    /// All documents.
    pub documents: Documents,
}

/// The figures of one tax in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaxFigures {
    /// The tax.
    #[serde(rename = "taxID")]
    pub tax_id: TaxId,
    /// Its name as the authority writes it.
    pub tax_name: String,
    /// Its percent; absent for exempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_percent: Option<Percent>,
    /// Sales less tax.
    pub net: Cents,
    /// The tax.
    pub tax: Cents,
    /// Sales, tax included.
    pub gross: Cents,
}

/// The figures of a day, by currency in alphabetical order. Currencies without documents are left out.
#[must_use]
pub fn figures(taxpayer: &Taxpayer, opened: DateTime, totals: &DayTotals) -> Vec<CurrencyFigures> {
    let currencies: BTreeSet<Currency> = totals.documents.keys().map(|key| key.0).collect();
    currencies
        .into_iter()
        .map(|currency| {
            let taxes = tax_figures(taxpayer, opened, totals, currency);
            let of = |receipt_type| {
                let documents = totals.documents.get(&(currency, receipt_type));
                documents.copied().unwrap_or_default()
            };
            let invoices = of(ReceiptType::FiscalInvoice);
            let credit_notes = of(ReceiptType::CreditNote);
            let debit_notes = of(ReceiptType::DebitNote);
            CurrencyFigures {
                currency,
                net: taxes.iter().map(|tax| tax.net).sum(),
                tax: taxes.iter().map(|tax| tax.tax).sum(),
                gross: taxes.iter().map(|tax| tax.gross).sum(),
                taxes,
                invoices,
                credit_notes,
                debit_notes,
                documents: Documents {
                    quantity: invoices.quantity + credit_notes.quantity + debit_notes.quantity,
                    total: invoices.total + credit_notes.total + debit_notes.total,
                },
            }
        })
        .collect()
}

fn tax_figures(
    taxpayer: &Taxpayer,
    opened: DateTime,
    totals: &DayTotals,
    currency: Currency,
) -> Vec<TaxFigures> {
    let mut sums: BTreeMap<(TaxId, Option<Percent>), (Cents, Cents)> = BTreeMap::new();
    for (key, value) in totals.counters.non_zero() {
        let By::Tax(id, percent) = key.by else {
            continue;
        };
        if key.currency != currency {
            continue;
        }
        let sum = sums.entry((id, percent)).or_default();
        match key.counter_type {
            CounterType::SaleByTax | CounterType::CreditNoteByTax | CounterType::DebitNoteByTax => {
                sum.1 += value;
            }
            CounterType::SaleTaxByTax
            | CounterType::CreditNoteTaxByTax
            | CounterType::DebitNoteTaxByTax => sum.0 += value,
            CounterType::BalanceByMoneyType => {}
        }
    }
    let mut rows: Vec<TaxFigures> = sums
        .into_iter()
        .map(|((id, percent), (tax, gross))| TaxFigures {
            tax_id: id,
            tax_name: tax_name(taxpayer, opened, id, percent),
            tax_percent: percent,
            net: gross - tax,
            tax,
            gross,
        })
        .collect();
    // The sort is stable: taxes of one percent stay in order of their numbers. Exempt is less than any.
    rows.sort_by_key(|row| std::cmp::Reverse(row.tax_percent));
    rows
}

/// The name of a tax at a percent, which may be one that the tax has no longer.
fn tax_name(taxpayer: &Taxpayer, opened: DateTime, id: TaxId, percent: Option<Percent>) -> String {
    let same = |tax: &&crate::taxpayer::Tax| tax.id == id && tax.percent == percent;
    let valid = |tax: &&crate::taxpayer::Tax| tax.is_valid_at(opened);
    let mut taxes = taxpayer.taxes.iter().filter(same);
    let tax = taxes.clone().find(valid).or_else(|| taxes.next());
    match (tax, percent) {
        (Some(tax), _) => tax.name.clone(),
        (None, Some(percent)) => format!("tax {id}, {percent}%"),
        (None, None) => format!("tax {id}, exempt"),
    }
}

/// The report as blocks.
#[must_use]
pub fn report(day: &DayReport<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    if day.test {
        blocks.push(Block::banner("TEST"));
    }
    blocks.extend(seller(day.taxpayer));
    blocks.push(Block::Rule);
    blocks.push(Block::title(if day.closed.is_some() {
        "Z REPORT"
    } else {
        "X REPORT"
    }));
    blocks.push(Block::Rule);
    let mut fact = |name: &str, value: String| blocks.push(Block::row(name, value));
    fact("Fiscal day No:", day.fiscal_day.to_string());
    fact("Fiscal day opened:", facts::long_date(day.opened));
    if let Some(closed) = day.closed {
        fact("Fiscal day closed:", facts::long_date(closed));
    }
    fact("Device Serial No:", day.taxpayer.device_serial_no.clone());
    fact("Device Id:", day.device.to_string());
    blocks.push(Block::Rule);
    blocks.push(Block::title("Daily totals"));
    let all = figures(day.taxpayer, day.opened, day.totals);
    for figures in &all {
        blocks.push(Block::Rule);
        blocks.push(Block::title(figures.currency.as_str()));
        currency_blocks(figures, &mut blocks);
    }
    if all.is_empty() {
        blocks.push(Block::Rule);
        blocks.push(Block::row("Total documents", "0"));
    }
    blocks.push(Block::Cut);
    blocks
}

fn currency_blocks(figures: &CurrencyFigures, blocks: &mut Vec<Block>) {
    let mut part = |heading: &str, prefix: &str, total: (&str, Cents), rows: &[(&str, Cents)]| {
        blocks.push(Block::bold_row(heading, ""));
        for (name, amount) in rows {
            blocks.push(Block::row(format!("{prefix}, {name}"), amount.grouped()));
        }
        blocks.push(Block::bold_row(total.0, total.1.grouped()));
        blocks.push(Block::Blank);
    };
    let taxes = &figures.taxes;
    let net: Vec<_> = taxes
        .iter()
        .map(|tax| (tax.tax_name.as_str(), tax.net))
        .collect();
    part(
        "Total net sales",
        "Net",
        ("Total net amount", figures.net),
        &net,
    );
    let taxed: Vec<_> = taxes
        .iter()
        .filter(|tax| tax.tax_percent.is_some_and(|p| p > Percent::ZERO))
        .map(|tax| (tax.tax_name.as_str(), tax.tax))
        .collect();
    if !taxed.is_empty() {
        let total = ("Total tax amount", figures.tax);
        part("Total taxes", "Tax", total, &taxed);
    }
    let gross: Vec<_> = taxes
        .iter()
        .map(|tax| (tax.tax_name.as_str(), tax.gross))
        .collect();
    let total = ("Total gross amount", figures.gross);
    part("Total gross sales", "Total", total, &gross);
    let row = |name: &str, documents: Documents| {
        vec![
            name.to_owned(),
            documents.quantity.to_string(),
            documents.total.grouped(),
        ]
    };
    blocks.push(Block::Table {
        head: ["Documents", "Quantity", "Total amount"]
            .map(str::to_owned)
            .to_vec(),
        rows: vec![
            row("Invoices", figures.invoices),
            row("Credit notes", figures.credit_notes),
            row("Debit notes", figures.debit_notes),
            row("Total documents", figures.documents),
        ],
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::CounterKey;
    use crate::taxpayer::Tax;

    fn tax(id: u32, name: &str, percent: Option<u32>, year: i16) -> Tax {
        Tax {
            id: TaxId::new(id).unwrap(),
            name: name.to_owned(),
            percent: percent.and_then(Percent::from_hundredths),
            valid_from: jiff::civil::date(year, 1, 1).at(0, 0, 0, 0),
            valid_till: Some(jiff::civil::date(year, 12, 31).at(23, 59, 59, 0)),
        }
    }

    /// A tax is named as it was at its percent, at the day's opening if it had several names.
    #[test]
    fn names_of_taxes() {
        let mut taxpayer = crate::testing::sample_taxpayer();
        taxpayer.taxes = vec![
            tax(3, "VAT 2025", Some(1500), 2025),
            tax(7, "Levy of old", Some(1550), 2024),
            tax(3, "VAT 2026", Some(1550), 2026),
            tax(3, "VAT 2026, renamed", Some(1500), 2026),
            tax(1, "Exempt", None, 2026),
        ];
        let opened = jiff::civil::date(2026, 6, 1).at(8, 0, 0, 0);
        let name = |id, percent: Option<u32>| {
            let percent = percent.and_then(Percent::from_hundredths);
            tax_name(&taxpayer, opened, TaxId::new(id).unwrap(), percent)
        };
        assert_eq!(name(3, Some(1550)), "VAT 2026");
        assert_eq!(name(3, Some(1500)), "VAT 2026, renamed");
        assert_eq!(name(7, Some(1550)), "Levy of old");
        assert_eq!(name(1, None), "Exempt");
        assert_eq!(name(3, Some(1400)), "tax 3, 14%");
        assert_eq!(name(7, None), "tax 7, exempt");
    }

    /// Sales, credits and debits all count into net, tax and gross, and into the documents; the highest
    /// percent comes first; another currency's stay out of it.
    #[test]
    fn figures_of_all_types() {
        let mut totals = DayTotals::default();
        let (low, high) = (
            Percent::from_hundredths(500),
            Percent::from_hundredths(1550),
        );
        for (counter_type, percent, value) in [
            (CounterType::SaleByTax, high, 11_550),
            (CounterType::SaleTaxByTax, high, 1550),
            (CounterType::CreditNoteByTax, high, -2310),
            (CounterType::CreditNoteTaxByTax, high, -310),
            (CounterType::DebitNoteByTax, low, 105),
            (CounterType::DebitNoteTaxByTax, low, 5),
        ] {
            for currency in [Currency::USD, Currency::ZWG] {
                let by = By::Tax(TaxId::new(9).unwrap(), percent);
                totals.counters.add(
                    CounterKey {
                        counter_type,
                        currency,
                        by,
                    },
                    Cents::new(value),
                );
            }
        }
        for (receipt_type, quantity, total) in [
            (ReceiptType::FiscalInvoice, 5, 11_550),
            (ReceiptType::CreditNote, 3, -2310),
            (ReceiptType::DebitNote, 2, 105),
        ] {
            let documents = Documents {
                quantity,
                total: Cents::new(total),
            };
            totals
                .documents
                .insert((Currency::USD, receipt_type), documents);
        }
        let taxpayer = crate::testing::sample_taxpayer();
        let all = figures(&taxpayer, DateTime::default(), &totals);
        let [usd] = all.as_slice() else {
            panic!("{all:?}");
        };
        let rows: Vec<_> = usd
            .taxes
            .iter()
            .map(|t| (t.net.get(), t.tax.get(), t.gross.get()))
            .collect();
        assert_eq!(rows, [(8000, 1240, 9240), (100, 5, 105)]);
        assert_eq!(
            (usd.net.get(), usd.tax.get(), usd.gross.get()),
            (8100, 1245, 9345)
        );
        assert_eq!(
            usd.documents,
            Documents {
                quantity: 10,
                total: Cents::new(9345)
            }
        );
        assert_eq!(
            usd.debit_notes,
            Documents {
                quantity: 2,
                total: Cents::new(105)
            }
        );
    }
}
