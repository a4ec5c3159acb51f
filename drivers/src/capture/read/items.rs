//! The lines between the header and the totals.

use std::ops::Range;

use regex::{Captures, Regex};
use rust_decimal::Decimal;

use super::{Doubtful, Sheet};
use crate::capture::sale::{CapturedLine, Number, Tax, Text};
use crate::capture::template::{Items, Role};

/// Lines that a receipt may have.
const MAX_LINES: usize = 1000;

/// A void: the name if it is printed, and the amount.
struct Void {
    name: Option<Text>,
    total: Number,
}

enum Entry {
    Line(CapturedLine),
    Discount(CapturedLine),
    Void(Void),
}

impl Sheet<'_> {
    /// The rows of the items: after the first that begins them, before the first that ends them.
    pub(super) fn item_rows(&mut self, items: &Items) -> Option<Range<usize>> {
        let rows = self.grid.rows();
        let is = |patterns: &[Regex], row: &str| patterns.iter().any(|p| p.is_match(row));
        let Some(start) = rows.iter().position(|row| is(&items.start, row)) else {
            let what = format!(
                "no line begins the items; looked for {}",
                list(&items.start)
            );
            self.doubt(None, Doubtful::Missing, what);
            return None;
        };
        let start = start + 1;
        let end = rows.iter().skip(start).position(|row| is(&items.end, row));
        let Some(end) = end else {
            let what = format!(
                "no line after this one ends the items; looked for {}",
                list(&items.end)
            );
            self.doubt(Some(start - 1), Doubtful::Missing, what);
            return None;
        };
        Some(start..start + end)
    }

    /// Reads the items. Every row must be understood.
    pub(super) fn item_lines(&mut self, items: &Items, rows: Range<usize>) -> Vec<CapturedLine> {
        let grid = self.grid;
        let mut lines: Vec<CapturedLine> = Vec::new();
        let mut row = rows.start;
        while row < rows.end {
            let text = grid.rows().get(row).map_or("", String::as_str);
            if let Some((entry, used)) = self.entry(items, row, rows.end, lines.last()) {
                row += used;
                match entry {
                    Some(Entry::Line(line) | Entry::Discount(line)) => lines.push(line),
                    Some(Entry::Void(void)) => self.void(&mut lines, &void),
                    None => {}
                }
                if lines.len() > MAX_LINES {
                    self.doubt(
                        Some(row),
                        Doubtful::NoItem,
                        format!("more than {MAX_LINES} lines"),
                    );
                    return lines;
                }
                continue;
            }
            if !text.trim().is_empty() && !items.skip.iter().any(|p| p.is_match(text)) {
                let what = format!("`{}` is no item of this template", text.trim());
                self.doubt(Some(row), Doubtful::NoItem, what);
            }
            row += 1;
        }
        lines
    }

    /// What begins in a row, and how many rows it takes. The first way to write an item that fits decides.
    fn entry(
        &mut self,
        items: &Items,
        row: usize,
        end: usize,
        before: Option<&CapturedLine>,
    ) -> Option<(Option<Entry>, usize)> {
        let grid = self.grid;
        for (role, patterns) in &items.lines {
            if row + patterns.len() > end {
                continue;
            }
            let rows = grid.rows().get(row..row + patterns.len())?;
            let found: Option<Vec<Captures<'_>>> = patterns
                .iter()
                .zip(rows)
                .map(|(pattern, row)| pattern.captures(row))
                .collect();
            if let Some(found) = found {
                return Some((self.understand(*role, row, &found, before), patterns.len()));
            }
        }
        None
    }

    fn understand(
        &mut self,
        role: Role,
        row: usize,
        found: &[Captures<'_>],
        before: Option<&CapturedLine>,
    ) -> Option<Entry> {
        let total = self.over(row, found, |s, r, f| s.amount_of(r, f, "total"))?;
        let name = self.over(row, found, |s, r, f| s.text_of(r, f, "name"));
        if role == Role::Void {
            return Some(Entry::Void(Void { name, total }));
        }
        let name = name?;
        let quantity = self.over(row, found, |s, r, f| s.number_of(r, f, "qty"));
        let price = self.over(row, found, |s, r, f| s.number_of(r, f, "price"));
        let mark = self.over(row, found, |s, r, f| s.text_of(r, f, "tax"));
        let total = self.signed(total);
        if role == Role::Discount {
            let tax = match mark {
                Some(mark) => self.tax(Some(mark), row)?,
                None => match before {
                    Some(before) => before.tax.clone(),
                    None => {
                        self.doubt(
                            Some(row),
                            Doubtful::NoItem,
                            "a discount without an item before it".into(),
                        );
                        return None;
                    }
                },
            };
            return Some(Entry::Discount(CapturedLine {
                name,
                quantity: None,
                price: None,
                total: Number {
                    value: -total.value.abs(),
                    at: total.at,
                },
                tax,
            }));
        }
        let quantity = quantity.map(|q| self.signed_like(q, total));
        self.check_product(quantity, price, total);
        if total.value.is_sign_negative() && !total.value.is_zero() {
            let what = format!(
                "{} is below zero; voids and discounts need patterns of their own",
                total.value
            );
            self.doubt_at(total.at, Doubtful::Sign, what);
        }
        let tax = self.tax(mark, row)?;
        Some(Entry::Line(CapturedLine {
            name,
            quantity,
            price,
            total,
            tax,
        }))
    }

    /// The first row of an item that has the thing.
    fn over<T>(
        &mut self,
        row: usize,
        found: &[Captures<'_>],
        get: impl Fn(&mut Self, usize, &Captures<'_>) -> Option<T>,
    ) -> Option<T> {
        found
            .iter()
            .enumerate()
            .find_map(|(n, captures)| get(self, row + n, captures))
    }

    /// Amounts of a refund that is written with minus are turned.
    pub(super) fn signed(&self, number: Number) -> Number {
        Number {
            value: if self.template.negative {
                -number.value
            } else {
                number.value
            },
            at: number.at,
        }
    }

    /// A quantity is written with minus where the total is.
    fn signed_like(&self, quantity: Number, total: Number) -> Number {
        let turned = self.template.negative && !total.value.is_sign_negative();
        Number {
            value: if turned {
                quantity.value.abs()
            } else {
                quantity.value
            },
            at: quantity.at,
        }
    }

    fn check_product(&mut self, quantity: Option<Number>, price: Option<Number>, total: Number) {
        let (Some(quantity), Some(price)) = (quantity, price) else {
            return;
        };
        // However the POS rounds, it stays below a cent; where nothing is to be rounded, it must be exact.
        let product = quantity.value.checked_mul(price.value);
        let cent = Decimal::new(1, 2);
        if product.is_none_or(|product| (product - total.value).abs() >= cent) {
            let what = format!(
                "{} x {} is not {}",
                quantity.value, price.value, total.value
            );
            self.doubt_at(total.at, Doubtful::Product, what);
        }
    }

    /// What a tax mark means; without one, the usual tax.
    pub(super) fn tax(&mut self, mark: Option<Text>, row: usize) -> Option<Tax> {
        let tax = &self.template.tax;
        let rate = match &mark {
            Some(mark) => tax.map.get(&mark.text).copied(),
            None => tax.usual,
        };
        if rate.is_none() {
            let what = match &mark {
                Some(mark) => format!("tax.map does not say what `{}` means", mark.text),
                None => "the line has no tax mark, and the template has no tax.default".to_owned(),
            };
            self.doubt(Some(row), Doubtful::NotUnderstood, what);
        }
        Some(Tax {
            written: mark,
            rate: rate?,
        })
    }

    /// Takes out the line that is voided, and the discounts on it.
    fn void(&mut self, lines: &mut Vec<CapturedLine>, void: &Void) {
        let amount = void.total.value.abs();
        let is_it = |line: &CapturedLine| {
            !line.is_discount()
                && line.total.value == amount
                && void.name.as_ref().is_none_or(|n| n.text == line.name.text)
        };
        let last = lines.iter().rposition(|line| !line.is_discount());
        let place = match void.name {
            Some(_) => lines.iter().rposition(is_it),
            None => last.filter(|n| lines.get(*n).is_some_and(is_it)),
        };
        let Some(place) = place else {
            let what = format!("nothing before this line is what it voids ({amount})");
            self.doubt_at(void.total.at, Doubtful::NoItem, what);
            return;
        };
        if lines.get(place + 1).is_some_and(CapturedLine::is_discount) {
            let what = "the voided line has a discount; what is left of it is not clear".to_owned();
            self.doubt_at(void.total.at, Doubtful::NoItem, what);
        }
        lines.remove(place);
    }
}

fn list(patterns: &[Regex]) -> String {
    let all: Vec<String> = patterns.iter().map(|p| format!("`{p}`")).collect();
    all.join(", ")
}
