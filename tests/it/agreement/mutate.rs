//! Changes a sale at random, the way a POS gets things wrong: signs, cents, taxes, rows too many or too few.

use fiscal::Cents;
use fiscal::testing::{Random, Sale as Drawn};
use serde_json::{Value, json};

/// Amounts, prices, quantities.
const NUMBERS: [&str; 7] = [
    "receiptLinePrice",
    "receiptLineQuantity",
    "receiptLineTotal",
    "taxAmount",
    "salesAmountWithTax",
    "paymentAmount",
    "receiptTotal",
];

/// A drawn sale with one to three changes. `used` are invoice numbers that have been used.
pub(super) fn mutate(random: &mut Random, drawn: &Drawn, used: &[String]) -> Value {
    let mut sale: Value = serde_json::from_str(&drawn.json).unwrap();
    if random.chance(50) {
        fill_in(&mut sale, drawn);
    }
    for _ in 0..random.between(1, 3) {
        match random.below(10) {
            0 => change_rows(random, &mut sale),
            1 => change_head(random, &mut sale, used),
            _ => change_leaf(random, &mut sale),
        }
    }
    sale
}

/// Puts in the sums that a POS may leave out.
fn fill_in(sale: &mut Value, drawn: &Drawn) {
    let amount = |cents: i64| Value::from(Cents::new(cents).to_string());
    let rows = drawn.taxes.iter().map(|tax| {
        let percent = tax.percent.map(|percent| amount(i64::from(percent)));
        json!({
            "taxID": tax.id,
            "taxCode": tax.code,
            "taxPercent": percent,
            "taxAmount": amount(tax.amount),
            "salesAmountWithTax": amount(tax.with_tax),
        })
    });
    sale["receiptTaxes"] = rows.collect();
    sale["receiptTotal"] = amount(drawn.total);
}

/// Takes a row out of a list, doubles one, turns them round, or empties the list.
fn change_rows(random: &mut Random, sale: &mut Value) {
    let lists = ["receiptLines", "receiptTaxes", "receiptPayments"];
    let name = random.pick(&lists).unwrap();
    let Some(rows) = sale.get_mut(name).and_then(Value::as_array_mut) else {
        return;
    };
    let place = usize::try_from(random.below(rows.len() as u64)).unwrap();
    match random.below(7) {
        0 => rows.clear(),
        1 | 2 if !rows.is_empty() => {
            rows.remove(place);
        }
        3 | 4 if !rows.is_empty() => rows.push(rows[place].clone()),
        _ => rows.reverse(),
    }
}

fn change_head(random: &mut Random, sale: &mut Value, used: &[String]) {
    match random.below(6) {
        0 => sale["receiptType"] = pick(random, &["FiscalInvoice", "CreditNote", "DebitNote"]),
        1 => sale["receiptCurrency"] = pick(random, &["USD", "ZWG", "ZAR", "XXX", "ZWL"]),
        2 => {
            let inclusive = sale["receiptLinesTaxInclusive"] == true;
            sale["receiptLinesTaxInclusive"] = (!inclusive).into();
        }
        3 => sale["receiptNotes"] = Value::Null,
        4 => sale["creditDebitNote"] = Value::Null,
        _ => {
            if let Some(invoice_no) = random.pick(used) {
                sale["invoiceNo"] = invoice_no.as_str().into();
            }
        }
    }
}

fn pick(random: &mut Random, words: &[&str]) -> Value {
    (*random.pick(words).unwrap()).into()
}

/// Changes a number or word somewhere, or takes it out.
fn change_leaf(random: &mut Random, sale: &mut Value) {
    let mut pointers = Vec::new();
    leaves(sale, String::new(), &mut pointers);
    let Some(pointer) = random.pick(&pointers) else {
        return;
    };
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let value = sale.pointer_mut(pointer).unwrap();
    *value = match name {
        // Whatever they are, they are not judged.
        "deviceID" | "receiptLineNo" | "tendered" | "change" => return,
        "taxID" => (*random.pick(&[1, 2, 514, 515, 517, 999]).unwrap()).into(),
        "taxPercent" => {
            let percents = [json!(null), json!(0), json!(5), json!(15), json!(15.5)];
            random.pick(&percents).unwrap().clone()
        }
        "taxCode" => [json!(null), json!("A"), json!("Q")][at_most(random, 2)].clone(),
        "receiptLineHSCode" => pick(random, &["", "1905", "190590", "19059090", "1905909012"]),
        "receiptLineType" => pick(random, &["Sale", "Discount"]),
        "receiptGlobalNo" | "fiscalDayNo" => {
            let number = value.as_i64().unwrap_or(0) + random.between(-1, 1);
            number.max(0).into()
        }
        _ if NUMBERS.contains(&name) => number(random, value),
        _ if random.chance(20) => Value::Null,
        _ => return,
    };
}

fn at_most(random: &mut Random, last: u64) -> usize {
    usize::try_from(random.below(last + 1)).unwrap()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Another sign, nothing, a cent more or less, a hundred times as much.
fn number(random: &mut Random, value: &Value) -> Value {
    let text = text_of(value).unwrap_or_default();
    let negated = text
        .strip_prefix('-')
        .map_or_else(|| format!("-{text}"), str::to_owned);
    let cents = Cents::parse(&text).ok();
    let changed = match (random.below(6), cents) {
        (0, _) => negated,
        (1, _) => "0".to_owned(),
        (2 | 3, Some(cents)) => (cents + Cents::new(1)).to_string(),
        (4, Some(cents)) => (cents - Cents::new(1)).to_string(),
        (5, Some(cents)) => Cents::new(cents.get() * 100).to_string(),
        _ => return Value::Null,
    };
    changed.into()
}

fn leaves(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                leaves(value, format!("{at}/{name}"), found);
            }
        }
        Value::Array(rows) => {
            for (place, row) in rows.iter().enumerate() {
                leaves(row, format!("{at}/{place}"), found);
            }
        }
        _ => found.push(at),
    }
}
