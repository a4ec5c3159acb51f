//! Whether what was read adds up.

use rust_decimal::{Decimal, RoundingStrategy};

use super::{Doubtful, Sheet};
use crate::capture::sale::{CapturedLine, CapturedSale, Number, Rate, TaxRow};

/// What printed and recomputed tax may differ by, per tax.
const CENT: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

impl Sheet<'_> {
    /// Lines make the total, payments pay it, printed tax is right, nothing is below zero.
    pub(super) fn check(&mut self, sale: &CapturedSale) {
        if sale.lines.is_empty() {
            self.doubt(
                None,
                Doubtful::Missing,
                "the receipt has no items".to_owned(),
            );
        }
        let total = sale.total.value;
        if total.is_sign_negative() && !total.is_zero() {
            let what = format!("the total is {total}, below zero");
            self.doubt_at(sale.total.at, Doubtful::Sign, what);
        }
        self.check_total(sale);
        self.check_payments(sale);
        self.check_taxes(sale);
    }

    fn check_total(&mut self, sale: &CapturedSale) {
        let lines: Decimal = sale.lines.iter().map(|line| line.total.value).sum();
        let tax: Decimal = if sale.tax_inclusive {
            Decimal::ZERO
        } else {
            sale.taxes.iter().map(|row| row.amount.value).sum()
        };
        if lines + tax != sale.total.value {
            let what = format!(
                "the total is {}, but the lines{} make {}",
                sale.total.value,
                if sale.tax_inclusive {
                    ""
                } else {
                    " and the taxes"
                },
                lines + tax
            );
            self.doubt_at(sale.total.at, Doubtful::Total, what);
        }
    }

    fn check_payments(&mut self, sale: &CapturedSale) {
        if self.template.payments.is_none() {
            return;
        }
        let change = sale.change.map_or(Decimal::ZERO, |n| n.value);
        let paid: Decimal = sale.payments.iter().map(|p| p.amount.value).sum();
        if sale.payments.is_empty() {
            let what = "no line tells how it was paid; see payments.row, payments.map".to_owned();
            self.doubt(None, Doubtful::Payments, what);
            return;
        }
        if paid - change != sale.total.value {
            let what = format!(
                "the payments make {paid}, change {change}; that is not the total of {}",
                sale.total.value
            );
            self.doubt_at(sale.total.at, Doubtful::Payments, what);
        }
        for payment in sale
            .payments
            .iter()
            .filter(|p| p.amount.value.is_sign_negative())
        {
            let what = format!("a payment of {}, below zero", payment.amount.value);
            self.doubt_at(payment.amount.at, Doubtful::Sign, what);
        }
        if let Some(tendered) = sale.tendered.filter(|t| t.value != paid) {
            let what = format!("{} was given, but the payments make {paid}", tendered.value);
            self.doubt_at(tendered.at, Doubtful::Payments, what);
        }
    }

    fn check_taxes(&mut self, sale: &CapturedSale) {
        if sale.taxes.is_empty() {
            if !sale.tax_inclusive {
                let what = "prices are without tax, and no line tells the tax".to_owned();
                self.doubt(None, Doubtful::Missing, what);
            }
            return;
        }
        let mut rates: Vec<Rate> = Vec::new();
        for row in &sale.taxes {
            if rates.contains(&row.tax.rate) {
                let what = "the same tax has two rows in the tax table".to_owned();
                self.doubt_at(row.amount.at, Doubtful::Tax, what);
            }
            rates.push(row.tax.rate);
            self.check_tax_row(row, &sale.lines, sale.tax_inclusive);
        }
        let missing = sale
            .lines
            .iter()
            .find(|line| !rates.contains(&line.tax.rate));
        if let Some(line) = missing.filter(|line| is_taxed(line.tax.rate)) {
            let what = format!(
                "the tax table has no row for the tax of `{}`",
                line.name.text
            );
            self.doubt_at(line.name.at, Doubtful::Tax, what);
        }
    }

    fn check_tax_row(&mut self, row: &TaxRow, lines: &[CapturedLine], inclusive: bool) {
        let amount: Decimal = lines
            .iter()
            .filter(|line| line.tax.rate == row.tax.rate)
            .map(|line| line.total.value)
            .sum();
        let Some(tax) = tax_of(amount, row.tax.rate, inclusive) else {
            let what = format!("the tax of {amount} cannot be computed");
            self.doubt_at(row.amount.at, Doubtful::Tax, what);
            return;
        };
        let (net, gross) = if inclusive {
            (amount - row.amount.value, amount)
        } else {
            (amount, amount + row.amount.value)
        };
        let mut expect = |printed: Option<Number>, expected: Decimal, what: &str| {
            if let Some(printed) = printed.filter(|p| (p.value - expected).abs() > CENT) {
                let text = format!("{what} is {}, but the lines make {expected}", printed.value);
                self.doubt_at(printed.at, Doubtful::Tax, text);
            }
        };
        expect(Some(row.amount), tax, "the tax");
        expect(row.net, net, "the amount without tax");
        expect(row.gross, gross, "the amount with tax");
    }
}

fn is_taxed(rate: Rate) -> bool {
    matches!(rate, Rate::Percent(percent) if !percent.is_zero())
}

/// The tax in an amount, or on it, rounded half away from zero.
fn tax_of(amount: Decimal, rate: Rate, inclusive: bool) -> Option<Decimal> {
    let percent = match rate {
        Rate::Exempt => Decimal::ZERO,
        Rate::Percent(percent) => percent,
    };
    let base = if inclusive {
        Decimal::ONE_HUNDRED + percent
    } else {
        Decimal::ONE_HUNDRED
    };
    let tax = amount.checked_mul(percent)?.checked_div(base)?;
    Some(tax.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero))
}
