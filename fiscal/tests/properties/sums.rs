//! Taxes, totals, rules and counters.

use std::collections::BTreeMap;

use fiscal::compose::{Known, compose};
use fiscal::counters::{By, Counters, DayTotals};
use fiscal::draft::Draft;
use fiscal::number::divide_half_away;
use fiscal::receipt::{Line, TaxRow};
use fiscal::rules::judge;
use fiscal::sums::tax_rows;
use fiscal::{Cents, Finding, Percent, Receipt, ReceiptType};
use proptest::prelude::*;

use crate::shop::{Shop, Sold, currencies};
use crate::{Verdict, assert_caught, fail, same};

type TaxFn = fn(&[Line], bool) -> Vec<TaxRow>;

/// Tax rows and total are those that were worked out beside the core, to the cent.
fn check_taxes(seed: u64, taxes: TaxFn) -> Verdict {
    let mut shop = Shop::new(seed);
    for _ in 0..8 {
        let Sold { sale, receipt, .. } = shop.sell();
        let rows = taxes(&receipt.lines, receipt.lines_tax_inclusive);
        let ours: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    (row.tax.id.get(), row.tax.code.clone()),
                    row.tax.percent.map(Percent::hundredths),
                    (row.tax_amount.get(), row.sales_amount_with_tax.get()),
                )
            })
            .collect();
        let wanted: Vec<_> = sale
            .taxes
            .iter()
            .map(|row| {
                (
                    (row.id, row.code.clone()),
                    row.percent,
                    (row.amount, row.with_tax),
                )
            })
            .collect();
        same("tax rows", &ours, &wanted)?;
        let total: Cents = rows.iter().map(|row| row.sales_amount_with_tax).sum();
        same("total", &total.get(), &sale.total)?;
        same("receiptTotal", &receipt.total.get(), &sale.total)?;
    }
    Ok(())
}

fn rows_with(
    lines: &[Line],
    inclusive: bool,
    per_line: bool,
    divide: fn(i128, i128) -> i128,
) -> Vec<TaxRow> {
    let mut rows = tax_rows(lines, inclusive);
    for row in &mut rows {
        let hundredths = i128::from(row.tax.percent.map_or(0, Percent::hundredths));
        let divisor = if inclusive {
            10_000 + hundredths
        } else {
            10_000
        };
        let totals = lines.iter().filter(|l| l.tax == row.tax).map(|l| l.total);
        let tax = |sum: Cents| {
            let amount = divide(i128::from(sum.get()) * hundredths, divisor);
            Cents::new(i64::try_from(amount).unwrap_or(0))
        };
        let sum: Cents = totals.clone().sum();
        row.tax_amount = if per_line {
            totals.map(tax).sum()
        } else {
            tax(sum)
        };
        row.sales_amount_with_tax = if inclusive { sum } else { sum + row.tax_amount };
    }
    rows
}

fn divide_half_even(dividend: i128, divisor: i128) -> i128 {
    let rounded = divide_half_away(dividend, divisor);
    let is_tie = (dividend % divisor).abs() * 2 == divisor;
    if is_tie && rounded % 2 != 0 {
        rounded - dividend.signum()
    } else {
        rounded
    }
}

fn divide_half_up(dividend: i128, divisor: i128) -> i128 {
    (dividend * 2 + divisor).div_euclid(divisor * 2)
}

/// Rounding of the wrong kind, or of the wrong thing, is seen.
#[test]
fn defective_taxes_are_caught() {
    assert_caught("cut instead of rounded", |seed| {
        check_taxes(seed, |lines, inclusive| {
            rows_with(lines, inclusive, false, |a, b| a / b)
        })
    });
    assert_caught("halves to even", |seed| {
        check_taxes(seed, |lines, inclusive| {
            rows_with(lines, inclusive, false, divide_half_even)
        })
    });
    assert_caught("halves up, also below zero", |seed| {
        check_taxes(seed, |lines, inclusive| {
            rows_with(lines, inclusive, false, divide_half_up)
        })
    });
    assert_caught("rounded line by line", |seed| {
        check_taxes(seed, |lines, inclusive| {
            rows_with(lines, inclusive, true, divide_half_away)
        })
    });
    assert_caught("exclusive taken for inclusive", |seed| {
        check_taxes(seed, |lines, _| tax_rows(lines, true))
    });
    assert!((0..200).all(|seed| {
        check_taxes(seed, |lines, inclusive| {
            rows_with(lines, inclusive, false, divide_half_away)
        })
        .is_ok()
    }));
}

// ---- the rules ----

type ComposeFn = fn(&Draft, &Known<'_>) -> (Receipt, Vec<Finding>);

/// Every valid sale is judged clean.
fn check_clean(seed: u64, compose: ComposeFn) -> Verdict {
    let mut shop = Shop::new(seed);
    let currencies = currencies();
    for _ in 0..8 {
        let sold = shop.sell();
        let known = Known {
            numbers: Some(shop.numbers()),
            taxpayer: Some(&shop.taxpayer),
            original: sold.original.as_ref(),
            ..Known::default()
        };
        let (receipt, mut findings) = compose(&sold.draft, &known);
        findings.extend(judge(&receipt, &sold.facts(&shop, &currencies)));
        same(&sold.sale.json, &findings, &Vec::new())?;
    }
    Ok(())
}

/// A receipt put together wrongly is not judged clean.
#[test]
fn defective_receipts_are_caught() {
    let defects: [(&str, ComposeFn); 3] = [
        ("a cent too much tax", |draft, known| {
            let (mut receipt, findings) = compose(draft, known);
            if let Some(row) = receipt.taxes.first_mut() {
                row.tax_amount += Cents::new(1);
            }
            (receipt, findings)
        }),
        (
            "line totals of credit notes without sign",
            |draft, known| {
                let (mut receipt, findings) = compose(draft, known);
                for line in &mut receipt.lines {
                    line.total = line.total.abs();
                }
                (receipt, findings)
            },
        ),
        ("the original forgotten", |draft, known| {
            let (mut receipt, findings) = compose(draft, known);
            receipt.credit_debit_note = None;
            (receipt, findings)
        }),
    ];
    for (defect, compose) in defects {
        assert_caught(defect, |seed| check_clean(seed, compose));
    }
}

// ---- counters ----

type CountFn = fn(&mut Counters, &Receipt);

/// After any sequence of receipts each counter is the sum of what the receipts feed it, and both the
/// counters by tax and the balance come to the sum of the totals.
fn check_counters(seed: u64, count: CountFn) -> Verdict {
    let mut shop = Shop::new(seed);
    let mut counters = Counters::default();
    let mut wanted: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut totals: BTreeMap<String, i64> = BTreeMap::new();
    for _ in 0..25 {
        let Sold { sale, receipt, .. } = shop.sell();
        count(&mut counters, &receipt);
        let currency = sale.currency.to_string();
        let (by_tax, tax_by_tax) = match sale.receipt_type {
            ReceiptType::FiscalInvoice => ("SaleByTax", "SaleTaxByTax"),
            ReceiptType::CreditNote => ("CreditNoteByTax", "CreditNoteTaxByTax"),
            ReceiptType::DebitNote => ("DebitNoteByTax", "DebitNoteTaxByTax"),
        };
        let mut add = |kind: &str, by: String, value: i64| {
            let key = (kind.to_owned(), format!("{currency} {by}"));
            *wanted.entry(key).or_default() += value;
        };
        for row in &sale.taxes {
            let by = format!("{} {:?}", row.id, row.percent);
            add(by_tax, by.clone(), row.with_tax);
            add(tax_by_tax, by, row.amount);
        }
        for payment in &receipt.payments {
            add(
                "BalanceByMoneyType",
                payment.money_type.to_string(),
                payment.amount.get(),
            );
        }
        *totals.entry(currency).or_default() += sale.total;
    }
    wanted.retain(|_, value| *value != 0);
    let ours: BTreeMap<(String, String), i64> = counters
        .non_zero()
        .map(|(key, value)| {
            let by = match key.by {
                By::Tax(id, percent) => format!("{id} {:?}", percent.map(Percent::hundredths)),
                By::Money(money) => money.to_string(),
            };
            let name = key.counter_type.to_string();
            ((name, format!("{} {by}", key.currency)), value.get())
        })
        .collect();
    same("counters", &ours, &wanted)?;
    for (currency, total) in totals {
        let sum = |kinds: &[&str]| -> i64 {
            ours.iter()
                .filter(|((kind, by), _)| kinds.contains(&&**kind) && by.starts_with(&currency))
                .map(|(_, value)| *value)
                .sum()
        };
        let by_tax = sum(&["SaleByTax", "CreditNoteByTax", "DebitNoteByTax"]);
        same("sum of the counters by tax", &by_tax, &total)?;
        same("balance", &sum(&["BalanceByMoneyType"]), &total)?;
    }
    Ok(())
}

fn count_altered(counters: &mut Counters, receipt: &Receipt, alter: fn(&mut Receipt)) {
    let mut receipt = receipt.clone();
    alter(&mut receipt);
    counters.add_receipt(&receipt);
}

/// Counters fed wrongly are seen.
#[test]
fn defective_counters_are_caught() {
    let defects: [(&str, CountFn); 5] = [
        ("notes counted as sales", |counters, receipt| {
            count_altered(counters, receipt, |receipt| {
                receipt.receipt_type = ReceiptType::FiscalInvoice;
            });
        }),
        ("currencies thrown together", |counters, receipt| {
            count_altered(counters, receipt, |r| r.currency = fiscal::Currency::USD);
        }),
        ("the last payment forgotten", |counters, receipt| {
            count_altered(counters, receipt, |receipt| {
                let _ = receipt.payments.pop();
            });
        }),
        ("a second code of a tax not counted", |counters, receipt| {
            count_altered(counters, receipt, |receipt| {
                receipt.taxes.dedup_by_key(|row| row.tax.id);
            });
        }),
        ("exempt counted as zero-rated", |counters, receipt| {
            count_altered(counters, receipt, |receipt| {
                for row in &mut receipt.taxes {
                    row.tax.percent = row.tax.percent.or(Some(Percent::ZERO));
                }
            });
        }),
    ];
    for (defect, count) in defects {
        assert_caught(defect, |seed| check_counters(seed, count));
    }
}

type WriteFn = fn(&DayTotals) -> String;

/// A day's totals survive being written into the ledger and read again.
fn check_totals_text(seed: u64, write: WriteFn) -> Verdict {
    let mut shop = Shop::new(seed);
    let mut totals = DayTotals::default();
    for _ in 0..10 {
        totals.add_receipt(&shop.sell().receipt);
        let again = DayTotals::parse(&write(&totals));
        same("totals", &again, &Some(totals.clone()))?;
    }
    Ok(())
}

/// Totals written wrongly are seen.
#[test]
fn defective_totals_text_is_caught() {
    let defects: [(&str, WriteFn); 3] = [
        ("percents lost", |t| t.to_text().replace("@15.5", "")),
        ("a line lost", |t| {
            t.to_text()
                .lines()
                .skip(1)
                .map(|l| format!("{l}\n"))
                .collect()
        }),
        ("signs lost", |t| t.to_text().replace('-', "")),
    ];
    for (defect, write) in defects {
        assert_caught(defect, |seed| check_totals_text(seed, write));
    }
}

proptest! {
    /// Tax rows and totals, inclusive and exclusive: rounded once per row, half away from zero.
    #[test]
    fn taxes_and_totals(seed: u64) {
        check_taxes(seed, tax_rows).map_err(fail)?;
    }

    /// Every valid sale passes every rule.
    #[test]
    fn valid_sales_are_clean(seed: u64) {
        check_clean(seed, compose).map_err(fail)?;
    }

    /// Counters are the sum of the receipts, whatever their sequence.
    #[test]
    fn counters_are_sums(seed: u64) {
        check_counters(seed, Counters::add_receipt).map_err(fail)?;
    }

    /// Totals of a day are kept in the ledger as text and read back.
    #[test]
    fn totals_round_trip(seed: u64) {
        check_totals_text(seed, DayTotals::to_text).map_err(fail)?;
    }
}
