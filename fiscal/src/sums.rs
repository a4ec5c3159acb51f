//! Sums of a receipt: the tax rows that its lines come to, and the total (docs/FDMS.md section 5).

use std::collections::BTreeMap;

use crate::Cents;
use crate::number::divide_half_away;
use crate::receipt::{Line, TaxKey, TaxRow};

/// One row per tax, in FDMS's order: the tax is taken from the sum of its lines and rounded once, half
/// away from zero (docs/FDMS.md section 5).
#[must_use]
pub fn tax_rows(lines: &[Line], inclusive: bool) -> Vec<TaxRow> {
    let mut sums: BTreeMap<&TaxKey, Cents> = BTreeMap::new();
    for line in lines {
        *sums.entry(&line.tax).or_default() += line.total;
    }
    sums.into_iter()
        .map(|(tax, sum)| {
            let hundredths = i128::from(tax.percent.map_or(0, |p| p.hundredths()));
            let divisor = if inclusive {
                10_000 + hundredths
            } else {
                10_000
            };
            let amount = divide_half_away(i128::from(sum.get()) * hundredths, divisor);
            // A tax is at most ten times the sum, and the sum of 1000 lines fits by a factor of nine; an
            // amount beyond 64 bits is clipped and then refused as too large.
            let tax_amount = Cents::new(i64::try_from(amount).unwrap_or(i64::MAX));
            TaxRow {
                tax: tax.clone(),
                tax_amount,
                sales_amount_with_tax: if inclusive { sum } else { sum + tax_amount },
            }
        })
        .collect()
}

/// The total of a receipt: the sum of its rows, tax included.
#[must_use]
pub fn total(rows: &[TaxRow]) -> Cents {
    rows.iter().map(|row| row.sales_amount_with_tax).sum()
}
