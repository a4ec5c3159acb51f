//! Below the items: payments, currency, the tax table.

use std::ops::Range;

use super::fields::Rows;
use super::{Doubtful, Sheet};
use crate::capture::sale::{CapturedLine, Currency, Number, Payment, TaxRow};

impl Sheet<'_> {
    /// Discounts on the whole receipt become lines of the only tax that there is.
    pub(super) fn total_discounts(&mut self, rows: Range<usize>, lines: &mut Vec<CapturedLine>) {
        let grid = self.grid;
        let patterns = self.patterns("discount");
        for row in rows {
            let text = grid.rows().get(row).map_or("", String::as_str);
            let Some(found) = patterns.iter().find_map(|p| p.captures(text)) else {
                continue;
            };
            let name = self.text_of(row, &found, "name");
            let amount = self.amount_of(row, &found, "discount");
            let (Some(name), Some(amount)) = (name, amount) else {
                continue;
            };
            let Some(tax) = lines.first().map(|line| line.tax.clone()) else {
                continue;
            };
            if lines.iter().any(|line| line.tax.rate != tax.rate) {
                let what = "a discount on the whole receipt, and its lines have different taxes"
                    .to_owned();
                self.doubt(Some(row), Doubtful::Tax, what);
            }
            lines.push(CapturedLine {
                name,
                quantity: None,
                price: None,
                total: Number {
                    value: -amount.value.abs(),
                    at: amount.at,
                },
                tax,
            });
        }
    }

    /// The payments, with what was handed over and what was given back.
    pub(super) fn payments(
        &mut self,
        rows: Range<usize>,
    ) -> (Vec<Payment>, Option<Number>, Option<Number>) {
        let template = self.template;
        let grid = self.grid;
        let Some(payments) = &template.payments else {
            return (Vec::new(), None, None);
        };
        let mut out = Vec::new();
        for row in rows.clone() {
            let text = grid.rows().get(row).map_or("", String::as_str);
            let Some(found) = payments.rows.iter().find_map(|p| p.captures(text)) else {
                continue;
            };
            let written = self.text_of(row, &found, "method");
            let amount = self.amount_of(row, &found, "amount");
            let method = written.as_ref().and_then(|w| payments.map.get(&w.text));
            if let (Some(method), Some(amount)) = (method, amount) {
                out.push(Payment {
                    written,
                    method: method.clone(),
                    amount: self.signed(amount),
                });
            }
        }
        let below: Rows = rows.collect();
        let tendered = self
            .optional_amount("tendered", &below)
            .map(|n| self.signed(n));
        let change = self.optional_amount("change", &below).map(|n| Number {
            value: n.value.abs(),
            at: n.at,
        });
        if let (true, Some(method), Some(amount)) = (out.is_empty(), &payments.usual, tendered) {
            out.push(Payment {
                written: None,
                method: method.clone(),
                amount,
            });
        }
        (out, tendered, change)
    }

    /// The currency that is printed, or the usual one.
    pub(super) fn currency(&mut self, rows: &Rows) -> Option<Currency> {
        let template = self.template;
        let currency = &template.currency;
        let written = self.optional("currency", rows);
        let code = match &written {
            Some(written) => currency.map.get(&written.text),
            None => currency.usual.as_ref(),
        };
        if code.is_none() {
            let (row, what) = match &written {
                Some(w) => (
                    Some(w.at.row),
                    format!("currency.map does not say what `{}` means", w.text),
                ),
                None => (
                    None,
                    "no line tells the currency, and there is no currency.default".to_owned(),
                ),
            };
            self.doubt(row, Doubtful::Missing, what);
        }
        Some(Currency {
            written,
            code: code?.clone(),
        })
    }

    /// The tax table.
    pub(super) fn tax_rows(&mut self, rows: Range<usize>) -> Vec<TaxRow> {
        let template = self.template;
        let grid = self.grid;
        let mut out = Vec::new();
        for row in rows {
            let text = grid.rows().get(row).map_or("", String::as_str);
            let Some(found) = template.tax.rows.iter().find_map(|p| p.captures(text)) else {
                continue;
            };
            let mark = self.text_of(row, &found, "tax");
            let Some(tax) = self.tax(mark, row) else {
                continue;
            };
            let Some(amount) = self.amount_of(row, &found, "tax_amount") else {
                continue;
            };
            let net = self.amount_of(row, &found, "net").map(|n| self.signed(n));
            let gross = self.amount_of(row, &found, "gross").map(|n| self.signed(n));
            out.push(TaxRow {
                tax,
                net,
                amount: self.signed(amount),
                gross,
            });
        }
        out
    }
}
