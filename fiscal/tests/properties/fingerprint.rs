//! What idempotency compares.

use fiscal::draft::Draft;
use fiscal::json::Value;
use fiscal::number::parse_exact;
use fiscal::receipt::Hash;
use fiscal::sign;
use fiscal::testing::Random;
use proptest::prelude::*;

use crate::shop::{Shop, Sold, device};
use crate::{Verdict, assert_caught, fail, same};

type PrintFn = fn(&Draft, &str) -> Hash;

/// The fingerprint of a sale is the same however its numbers are spelt and its members ordered, and
/// another one as soon as anything in it is another.
fn check_fingerprint(seed: u64, fingerprint: PrintFn) -> Verdict {
    let mut shop = Shop::new(seed);
    let mut random = Random::new(seed ^ 0x5EED);
    for _ in 0..6 {
        let Sold { sale, draft, .. } = shop.sell();
        let value = Value::parse(sale.json.as_bytes()).map_err(|e| e.to_string())?;
        let ours = fingerprint(&draft, &sale.json);
        let respelt = respell(&mut random, &value, "");
        let (again, findings) = Draft::read(respelt.as_bytes());
        same(&respelt, &findings, &Vec::new())?;
        same(&respelt, &fingerprint(&again, &respelt), &ours)?;
        let leaves = count_leaves(&value);
        let mut place = usize::try_from(random.below(leaves as u64)).unwrap_or(0);
        let changed = change_leaf(&value, &mut place);
        let (other, findings) = Draft::read(changed.as_bytes());
        if findings.is_empty() && fingerprint(&other, &changed) == ours {
            return Err(format!("the same fingerprint:\n{}\n{changed}", sale.json));
        }
    }
    Ok(())
}

/// Members that are whole numbers: they may be quoted, not written as 517.0.
const WHOLE: &[&str] = &[
    "deviceID",
    "taxID",
    "receiptLineNo",
    "receiptGlobalNo",
    "fiscalDayNo",
];

/// Members that are numbers and may come as strings.
fn is_number(name: &str) -> bool {
    let endings = ["Price", "Quantity", "Total", "Amount", "Percent", "WithTax"];
    endings.iter().any(|e| name.ends_with(e)) || ["tendered", "change"].contains(&name)
}

fn respell(random: &mut Random, value: &Value<'_>, name: &str) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<String> = members
                .iter()
                .filter(|(_, value)| *value != Value::Null)
                .map(|(name, value)| format!("\"{name}\": {}", respell(random, value, name)))
                .collect();
            if random.chance(50) {
                members.reverse();
            }
            format!("{{\n{}}}", members.join(" ,"))
        }
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| respell(random, item, name))
                .collect();
            format!("[{}]", items.join(", "))
        }
        Value::Number(text) => respell_number(random, text, name),
        Value::String(text) if is_number(name) => respell_number(random, text, name),
        other => other.to_string(),
    }
}

fn respell_number(random: &mut Random, text: &str, name: &str) -> String {
    if WHOLE.contains(&name) {
        return if random.chance(50) {
            format!("\"{text}\"")
        } else {
            text.to_owned()
        };
    }
    let exact = parse_exact(text, 6).expect("a number").normalize();
    match random.below(4) {
        0 => format!("\"{exact}\""),
        1 => format!("{}E-{}", exact.mantissa(), exact.scale()),
        2 if exact.scale() > 0 => format!("{exact}000000000"),
        _ => exact.to_string(),
    }
}

fn count_leaves(value: &Value<'_>) -> usize {
    match value {
        Value::Object(members) => members.iter().map(|(_, v)| count_leaves(v)).sum(),
        Value::Array(items) => items.iter().map(count_leaves).sum(),
        _ => 1,
    }
}

/// The document with the leaf at `place` changed into another value of its kind.
fn change_leaf(value: &Value<'_>, place: &mut usize) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("\"{name}\":{}", change_leaf(value, place)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| change_leaf(item, place)).collect();
            format!("[{}]", items.join(","))
        }
        leaf => {
            let is_it = *place == 0;
            *place = place.wrapping_sub(1);
            if is_it {
                changed(leaf)
            } else {
                leaf.to_string()
            }
        }
    }
}

fn changed(leaf: &Value<'_>) -> String {
    match leaf {
        // A null that becomes a word is refused by the reader, and nothing is compared.
        Value::Null => "\"was null\"".to_owned(),
        Value::Bool(value) => (!value).to_string(),
        Value::Number(text) => format!("1{}", text.trim_start_matches('-')),
        Value::String(text) => format!("\"1{}\"", text.replace('"', "")),
        other => other.to_string(),
    }
}

/// Fingerprints that see too much or too little are seen.
#[test]
fn defective_fingerprints_are_caught() {
    let defects: [(&str, PrintFn); 4] = [
        ("the bytes as sent", |_, json| sign::hash(json)),
        ("the number alone", |draft, _| {
            sign::hash(draft.invoice_no.as_deref().unwrap_or_default())
        }),
        ("lines left out", |draft, _| {
            let draft = Draft {
                receipt_lines: None,
                ..draft.clone()
            };
            draft.fingerprint(device())
        }),
        ("one hash for all", |_, _| sign::hash("")),
    ];
    for (defect, fingerprint) in defects {
        assert_caught(defect, |seed| check_fingerprint(seed, fingerprint));
    }
}

/// The same sale at two tills is two sales; whether the POS names its till does not matter.
#[test]
fn a_sale_belongs_to_its_till() {
    let other = fiscal::DeviceId::new(1).expect("a device ID");
    let draft = Shop::new(1).sell().draft;
    let unnamed = Draft {
        device_id: None,
        ..draft.clone()
    };
    assert_eq!(draft.device_id, Some(device()));
    assert_eq!(unnamed.fingerprint(device()), draft.fingerprint(device()));
    assert_ne!(draft.fingerprint(other), draft.fingerprint(device()));
}

proptest! {
    /// The same sale is the same sale, another one is another.
    #[test]
    fn fingerprints(seed: u64) {
        check_fingerprint(seed, |draft, _| {
            draft.fingerprint(draft.device_id.unwrap_or(device()))
        })
        .map_err(fail)?;
    }
}
