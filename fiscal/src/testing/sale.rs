//! One random valid sale, and what it must come to.

use std::collections::BTreeMap;

use jiff::Span;

use super::{Issued, Random};
use crate::taxpayer::Taxpayer;
use crate::{Currency, DateTime, DeviceId, MoneyType, ReceiptType};

mod json;

/// What a sale is drawn for.
#[derive(Debug, Clone, Copy)]
pub struct GenOptions<'a> {
    /// The till, where the sale should name it.
    pub device: Option<DeviceId>,
    /// The sale's `invoiceNo`.
    pub invoice_no: &'a str,
    /// When it will be issued, within a day or so: taxes must be valid then.
    pub date: DateTime,
    /// Currencies to draw from.
    pub currencies: &'a [Currency],
    /// Invoices that notes may refer to; with none of them only invoices are drawn.
    pub originals: &'a [Issued],
}

/// A sale and what it must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// What the POS sends.
    pub json: String,
    /// Its type.
    pub receipt_type: ReceiptType,
    /// Its currency.
    pub currency: Currency,
    /// Whether its lines contain tax.
    pub inclusive: bool,
    /// Its total in cents.
    pub total: i64,
    /// Its tax rows in FDMS's order.
    pub taxes: Vec<SaleTax>,
    /// Place of a note's original in [`GenOptions::originals`].
    pub original: Option<usize>,
}

/// A tax row that a sale must come to; amounts in cents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleTax {
    /// The tax.
    pub id: u32,
    /// Its code.
    pub code: Option<String>,
    /// Its percent in hundredths; `None` is exempt.
    pub percent: Option<u32>,
    /// The tax in cents.
    pub amount: i64,
    /// Sales with tax in cents.
    pub with_tax: i64,
}

/// A tax that a line may have.
#[derive(Debug, Clone, Copy)]
struct Choice {
    id: u32,
    percent: Option<u32>,
    /// Whether its percent alone names it.
    percent_is_enough: bool,
}

/// A line; `total` and `price` carry the receipt's sign.
#[derive(Debug, Clone)]
struct Row {
    is_discount: bool,
    /// In hundredths of a cent.
    price: Option<i64>,
    /// In thousandths.
    quantity: i64,
    total: i64,
    tax: Choice,
    code: Option<String>,
}

/// Draws a valid sale: any type, tax-inclusive or -exclusive, several taxes, discounts, prices left out,
/// weights, buyers, several payments; numbers spelt in any way that JSON allows.
#[must_use]
pub fn random_sale(random: &mut Random, taxpayer: &Taxpayer, options: &GenOptions<'_>) -> Sale {
    let original = draw_original(random, options);
    let receipt_type = match original {
        None => ReceiptType::FiscalInvoice,
        Some(_) if random.chance(70) => ReceiptType::CreditNote,
        Some(_) => ReceiptType::DebitNote,
    };
    let issued = original.and_then(|place| options.originals.get(place));
    let currency = issued.map_or_else(
        || *random.pick(options.currencies).unwrap_or(&Currency::USD),
        |original| original.currency,
    );
    let choices = choices(taxpayer, issued, options.date);
    let limit = issued
        .filter(|_| receipt_type == ReceiptType::CreditNote)
        .map(|original| original.remaining.get());
    let inclusive = limit.is_some_and(|limit| limit < 100) || random.chance(70);
    let rows = draw_rows(random, &choices, receipt_type, inclusive, limit);
    let taxes = sum_taxes(&rows, inclusive);
    let total = taxes.iter().map(|row| row.with_tax).sum();
    let payments = draw_payments(random, total);
    let mut sale = Sale {
        json: String::new(),
        receipt_type,
        currency,
        inclusive,
        total,
        taxes,
        original,
    };
    sale.json = json::write(
        random,
        &json::Parts {
            taxpayer,
            options,
            issued,
            sale: &sale,
            rows: &rows,
            payments: &payments,
        },
    );
    sale
}

/// An original with something left, not too old; in a third of the sales, if there is one.
fn draw_original(random: &mut Random, options: &GenOptions<'_>) -> Option<usize> {
    if !random.chance(33) {
        return None;
    }
    let oldest = options.date.saturating_sub(Span::new().months(11));
    let fitting: Vec<usize> = (0..options.originals.len())
        .filter(|place| {
            options
                .originals
                .get(*place)
                .is_some_and(|o| o.remaining.get() > 0 && o.date > oldest)
        })
        .collect();
    random.pick(&fitting).copied()
}

/// The taxes that may be used: those of the original, else those valid at the date.
fn choices(taxpayer: &Taxpayer, issued: Option<&Issued>, date: DateTime) -> Vec<Choice> {
    let valid: Vec<_> = taxpayer
        .taxes
        .iter()
        .filter(|tax| tax.is_valid_at(date))
        .map(|tax| (tax.id, tax.percent))
        .collect();
    let usable: Vec<_> = match issued {
        Some(original) => original.taxes.clone(),
        None => taxpayer
            .taxes
            .iter()
            .filter(|tax| tax.is_valid_at(date))
            .filter(|tax| taxpayer.is_vat_payer() || !tax.is_vat_above_zero())
            .map(|tax| (tax.id, tax.percent))
            .collect(),
    };
    let named_among = if issued.is_some() { &usable } else { &valid };
    usable
        .iter()
        .map(|(id, percent)| Choice {
            id: id.get(),
            percent: percent.map(|p| p.hundredths()),
            percent_is_enough: percent.is_some()
                && named_among.iter().filter(|t| t.1 == *percent).count() == 1,
        })
        .collect()
}

fn draw_rows(
    random: &mut Random,
    choices: &[Choice],
    receipt_type: ReceiptType,
    inclusive: bool,
    limit: Option<i64>,
) -> Vec<Row> {
    let sign = receipt_type.sign();
    let with_codes = random.chance(50);
    // What the lines may come to: of an exclusive note the tax is kept free, and a cent for each row.
    let mut left = match limit {
        Some(limit) if inclusive => limit,
        Some(limit) => (limit - 20) * 10_000 / 20_000,
        None => i64::MAX,
    };
    let most = if random.chance(5) { 40 } else { 6 };
    let mut rows = Vec::new();
    for place in 0..=random.below(most) {
        if left <= 0 {
            break;
        }
        let Some(tax) = random.pick(choices).copied() else {
            break;
        };
        let code = with_codes.then(|| draw_code(random, choices, tax));
        let usual = if random.chance(3) {
            900_000_000
        } else {
            50_000
        };
        let wanted = if place == 0 && random.chance(10) && left < usual {
            left
        } else {
            random.between(1, usual.min(left))
        };
        let (price, quantity, total) = draw_line(random, wanted);
        left -= total;
        rows.push(Row {
            is_discount: false,
            price: price.map(|price| price * sign),
            quantity,
            total: total * sign,
            tax,
            code: code.clone(),
        });
        if total > 0 && random.chance(15) {
            let off = if random.chance(20) {
                total
            } else {
                random.between(1, total)
            };
            rows.push(Row {
                is_discount: true,
                price: random.chance(60).then_some(-off * 100 * sign),
                quantity: 1000,
                total: -off * sign,
                tax,
                code,
            });
        }
    }
    rows
}

/// A letter for each tax; now and then a second one, which makes a second row of the same tax.
fn draw_code(random: &mut Random, choices: &[Choice], tax: Choice) -> String {
    let place = choices.iter().position(|c| c.id == tax.id).unwrap_or(0);
    let letters = ["A", "B", "C", "D", "E", "VAT"];
    let letter = letters.get(place).copied().unwrap_or("F");
    if random.chance(10) {
        "Z".to_owned()
    } else {
        letter.to_owned()
    }
}

/// Price in hundredths of a cent, quantity in thousandths and total of a line of at most `wanted` cents.
fn draw_line(random: &mut Random, wanted: i64) -> (Option<i64>, i64, i64) {
    let count = random.between(2, 24);
    let weight = random.between(1, 5000);
    match random.below(5) {
        // "3 each @ 1.20"
        0 if wanted >= count => {
            let each = wanted / count;
            (Some(each * 100), count * 1000, each * count)
        }
        // "0.555 @ 1081.08"
        1 if wanted * 1000 >= weight => {
            let each = wanted * 1000 / weight;
            (
                Some(each * 100),
                weight,
                round(i128::from(each * weight), 1000),
            )
        }
        // "12 each @ 0.0833"
        2 => {
            let each = (wanted * 100 / count).max(1);
            (
                Some(each),
                count * 1000,
                round(i128::from(each * count), 100),
            )
        }
        // "3 for 1.00", "0.555 for 1.00"
        3 => {
            let quantity = if random.chance(50) {
                count * 1000
            } else {
                weight
            };
            (None, quantity, wanted)
        }
        _ => (Some(wanted * 100), 1000, wanted),
    }
}

/// Half away from zero, in the schoolbook way.
fn round(dividend: i128, divisor: i128) -> i64 {
    let magnitude = (dividend.abs() * 2 + divisor) / (divisor * 2);
    i64::try_from(magnitude * dividend.signum()).unwrap_or(i64::MAX)
}

fn sum_taxes(rows: &[Row], inclusive: bool) -> Vec<SaleTax> {
    let mut sums: BTreeMap<(u32, Option<String>, Option<u32>), i64> = BTreeMap::new();
    for row in rows {
        let key = (row.tax.id, row.code.clone(), row.tax.percent);
        *sums.entry(key).or_default() += row.total;
    }
    sums.into_iter()
        .map(|((id, code, percent), sum)| {
            let rate = i128::from(percent.unwrap_or(0));
            let divisor = if inclusive { 10_000 + rate } else { 10_000 };
            let amount = round(i128::from(sum) * rate, divisor);
            SaleTax {
                id,
                code,
                percent,
                amount,
                with_tax: if inclusive { sum } else { sum + amount },
            }
        })
        .collect()
}

fn draw_payments(random: &mut Random, total: i64) -> Vec<(MoneyType, i64)> {
    let mut left = total.abs();
    let mut payments = Vec::new();
    let draw = |random: &mut Random| *random.pick(MoneyType::ALL).unwrap_or(&MoneyType::Cash);
    while left > 1 && random.chance(30) && payments.len() < 4 {
        let part = random.between(0, left);
        payments.push((draw(random), part * total.signum()));
        left -= part;
    }
    payments.push((draw(random), left * total.signum()));
    payments
}
