//! A receipt's sales as an invoice has them: one line each, discounts as lines or spread.

use rust_decimal::Decimal;

use super::amount::share;
use super::{Entry, OpenReceipt, Sale, SubtotalDiscounts};

/// What kind a line of [`OpenReceipt::flat`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlatKind {
    /// A sale, or a surcharge.
    Sale,
    /// A discount, or a sale taken back; its total is below zero.
    Discount,
}

/// A line as an invoice has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatLine {
    /// What kind.
    pub kind: FlatKind,
    /// What it is.
    pub name: String,
    /// Tax letter.
    pub tax: char,
    /// Price of one; `None` where price times quantity is not the total.
    pub price: Option<Decimal>,
    /// How many.
    pub quantity: Decimal,
    /// Total.
    pub total: Decimal,
}

impl OpenReceipt {
    /// The sales as an invoice has them. Their totals add up to [`OpenReceipt::total`].
    #[must_use]
    pub fn flat(&self, how: SubtotalDiscounts) -> Vec<FlatLine> {
        match how {
            SubtotalDiscounts::Lines => self.flat_lines(),
            SubtotalDiscounts::Spread => self.flat_spread(),
        }
    }

    fn flat_lines(&self) -> Vec<FlatLine> {
        let mut lines = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Sale(sale, total) => {
                    let gross = sale.gross().unwrap_or(*total);
                    lines.push(FlatLine::sale(sale, gross));
                    lines.extend(FlatLine::adjustment(sale.tax, *total - gross));
                }
                Entry::Subtotal(discount) => {
                    let shares = discount.shares.iter();
                    lines.extend(shares.filter_map(|s| FlatLine::adjustment(s.tax, s.by)));
                }
                Entry::Text(_) => {}
            }
        }
        lines
    }

    fn flat_spread(&self) -> Vec<FlatLine> {
        let mut lines: Vec<FlatLine> = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Sale(sale, total) => lines.push(FlatLine::sale(sale, *total)),
                Entry::Subtotal(discount) => {
                    for share in &discount.shares {
                        spread(&mut lines, share.tax, share.by);
                    }
                }
                Entry::Text(_) => {}
            }
        }
        lines
    }
}

impl FlatLine {
    fn sale(sale: &Sale, total: Decimal) -> Self {
        Self {
            kind: kind_of(total),
            name: sale.name.clone(),
            tax: sale.tax,
            price: (sale.gross() == Ok(total)).then_some(sale.price),
            quantity: sale.quantity,
            total,
        }
    }

    fn adjustment(tax: char, by: Decimal) -> Option<Self> {
        let kind = kind_of(by);
        let name = match kind {
            FlatKind::Sale => "Surcharge",
            FlatKind::Discount => "Discount",
        };
        (!by.is_zero()).then(|| Self {
            kind,
            name: name.to_owned(),
            tax,
            price: Some(by),
            quantity: Decimal::ONE,
            total: by,
        })
    }
}

fn kind_of(total: Decimal) -> FlatKind {
    if total < Decimal::ZERO {
        FlatKind::Discount
    } else {
        FlatKind::Sale
    }
}

/// Spreads a sum over the lines of a tax letter.
fn spread(lines: &mut [FlatLine], tax: char, by: Decimal) {
    let of_tax = |line: &FlatLine| match line.tax == tax {
        true => line.total,
        false => Decimal::ZERO,
    };
    let weights: Vec<Decimal> = lines.iter().map(of_tax).collect();
    for (line, by) in lines.iter_mut().zip(share(by, &weights)) {
        if !by.is_zero() {
            line.total += by;
            line.price = None;
        }
    }
}
