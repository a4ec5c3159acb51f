//! The VAT of each line. FDMS knows tax only by rate (docs/FDMS.md section 5): it is rounded once for all
//! lines of a rate, and a column of taxes rounded one by one could come to a cent more or less.
//!
//! So each line's tax is rounded, and the cents that are left go to the lines that rounding moved
//! furthest: every line shows its exact tax rounded up or down, and the column comes to the total below.

use fiscal::Cents;
use fiscal::number::divide_half_away;
use fiscal::receipt::{Line, Receipt, TaxRow};

/// The tax of each line, in order.
pub(crate) fn line_taxes(receipt: &Receipt) -> Vec<Cents> {
    let mut taxes = vec![Cents::ZERO; receipt.lines.len()];
    for row in &receipt.taxes {
        let of_row = receipt.lines.iter().enumerate();
        let of_row: Vec<(usize, &Line)> = of_row.filter(|(_, line)| line.tax == row.tax).collect();
        for (place, tax) in share(row, &of_row, receipt.lines_tax_inclusive) {
            if let Some(slot) = taxes.get_mut(place) {
                *slot = tax;
            }
        }
    }
    taxes
}

fn share(row: &TaxRow, lines: &[(usize, &Line)], inclusive: bool) -> Vec<(usize, Cents)> {
    let hundredths = i128::from(row.tax.percent.map_or(0, |percent| percent.hundredths()));
    let divisor = if inclusive {
        10_000 + hundredths
    } else {
        10_000
    };
    // Place, tax in cents, and what rounding took away from it (positive: it was rounded down).
    let mut shares: Vec<(usize, i128, i128)> = lines
        .iter()
        .map(|(place, line)| {
            let exact = i128::from(line.total.get()) * hundredths;
            let rounded = divide_half_away(exact, divisor);
            (*place, rounded, exact - rounded * divisor)
        })
        .collect();
    let sum: i128 = shares.iter().map(|share| share.1).sum();
    let missing = i128::from(row.tax_amount.get()) - sum;
    let step = missing.signum();
    shares.sort_by_key(|share| -share.2 * step);
    let mut left = missing.abs();
    for share in &mut shares {
        if left > 0 && share.2 * step > 0 {
            share.1 += step;
            left -= 1;
        }
    }
    let cents = |cents: i128| Cents::from_i128(cents).unwrap_or_default();
    shares
        .into_iter()
        .map(|(place, tax, _)| (place, cents(tax)))
        .collect()
}
